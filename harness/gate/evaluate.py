"""A run folder, a gate file and what it is compared with -> GateReport. This is what every door to the gates calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import SpecError, UsageError, did_you_mean, nearest_hint
from harness.gate.baseline import (
    NAME_ONE,
    PROPOSE,
    Baseline,
    baseline_of_run,
    check_same_samples,
    read_baseline,
)
from harness.gate.decide import (
    Decision,
    Verdict,
    decide_absolute,
    decide_relative,
    reach_towards,
    samples_to_clear,
)
from harness.gate.evidence import Evidence, Pairs, Question, weigh
from harness.gate.identity import identity_of
from harness.gate.load import GateFile
from harness.gate.noise_floor import with_noise
from harness.gate.outcomes import read_outcomes
from harness.gate.pairing import PairedOutcomes
from harness.gate.result import NAMED, GateReport, GateResult
from harness.gate.run_summary import MeasureFacts, RunSummary, check_share, read_run
from harness.gate.schema import GateSpec
from harness.gate.wording import Scale, absolute_sentence, relative_sentence, rule_of, too_few_sentence
from harness.score.aggregate import OVERALL, group_name
from harness.stats import MIN_CLUSTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One gate on one run, checked against what the run measured."""

    gate: GateSpec
    where: str
    group: str | None
    facts: MeasureFacts
    scale: Scale
    rule: str


def evaluate(
    run: Path, file: GateFile, *, baseline: Path | None = None, against: Path | None = None
) -> GateReport:
    """Return the results of a file's gates on a run, in the file's order.

    Relative gates compare with the baseline file that is given, with the run folder `against`, or with the baseline
    that the gate file names. Raises IncompleteRun for a run that passes nothing, SpecError (file:line) for a gate on
    what the run does not have, UsageError for a baseline that is missing, corrupted or of other samples.
    """
    summary = read_run(run, max_error_rate=file.spec.max_error_rate)
    check_beside(file, summary)
    return evaluate_gates(summary, file, baseline=baseline, against=against)


def evaluate_gates(
    summary: RunSummary, file: GateFile, *, baseline: Path | None = None, against: Path | None = None
) -> GateReport:
    """Return the results of gates, wherever they were written, on a run that was read. Raises as `evaluate` does."""
    check_whole(summary)
    cases = [_case(file, gate, summary) for gate in file.spec.gates]
    relative = [case for case in cases if case.gate.relative]
    found = {case.gate.name: _absolute(file, case, summary) for case in cases if not case.gate.relative}
    reference = None
    if relative:
        reference = reference_of(file, summary, baseline, against)
        found |= _relative(file, relative, summary, reference)
    elif baseline is not None or against is not None:
        raise UsageError(
            "nothing to compare: no gate in this file has no_worse_by",
            where=file.path,
            remedy="Leave out --baseline and --against.",
        )
    return GateReport(
        file=str(file.path),
        run=str(summary.path),
        suite=str(summary.header["suite"].get("name", "")),
        baseline=reference.name if reference else None,
        results=with_noise([found[gate.name] for gate in file.spec.gates], summary),
    )


def reference_of(
    file: GateFile, summary: RunSummary, baseline: Path | None, against: Path | None
) -> Baseline:
    """Return what the file's relative gates compare a run with. Raises UsageError for nothing, and for the run itself."""
    measures = sorted({gate.metric for gate in file.relative})
    if against is not None:
        other = read_run(against, max_error_rate=file.spec.max_error_rate)
        if other.header["run_id"] == summary.header["run_id"]:
            raise UsageError(
                "this is the gated run itself, or a copy of it, and a run is as good as itself",
                where=against,
                remedy="Name another run.",
            )
        check_measures(file, other)
        return baseline_of_run(str(against), other.header, read_outcomes(against, measures))
    path = baseline or file.baseline
    if path is None:
        raise UsageError(
            "gates with no_worse_by, and no baseline to compare with",
            where=file.path,
            remedy=f"{NAME_ONE} or --against.",
        )
    found = read_baseline(path)
    missing = [measure for measure in measures if measure not in found.outcomes.measures]
    if missing:
        raise UsageError(f"this baseline does not hold {', '.join(missing)}", where=path, remedy=PROPOSE)
    return found


def check_whole(summary: RunSummary) -> None:
    """Raise UsageError for a run of a part of the suite: gates speak of all of it."""
    if summary.part:
        raise UsageError(
            f"this run measured a part of the suite ({summary.part}), and gates speak of all of it",
            where=summary.path,
            remedy="Run the suite without --limit and --tag; a gate on a part of it has a slice.",
        )


def check_beside(file: GateFile, summary: RunSummary) -> None:
    """Raise unless the file lies beside the suite that was run and scored: its version, its data, its contents."""
    from harness.suite.load import load_suite

    folder = file.path.parent
    if not (folder / "suite.yaml").is_file():
        raise SpecError("a gate file lies beside its suite.yaml, and there is none here", where=file.path)
    now, suite, dataset = load_suite(str(folder)), summary.header["suite"], summary.header["dataset"]
    for what, ours, theirs in (
        ("suite", now.spec.name, suite.get("name")),
        ("version of the suite", now.spec.version, suite.get("version")),
        ("split", now.spec.dataset.split, dataset.get("split")),
    ):
        if ours != theirs:
            raise UsageError(
                f"this run is of another {what}: {theirs}, and the gates are for {ours}",
                where=summary.path,
                remedy=f"Run {folder}, or name other gates with --gate-file.",
            )
    if now.records_sha256 != dataset.get("sha256"):
        raise UsageError(
            f"the data set changed after this run, without a new version of the suite: {now.records} or its tools.json",
            where=summary.path,
            remedy=f"Restore the data set, or raise the version in {folder / 'suite.yaml'} and run the suite again.",
        )
    if now.sha256 != suite.get("sha256"):
        raise UsageError(
            f"suite.yaml or scorer.py in {folder} changed after this run was scored, without a new version",
            where=summary.path,
            remedy=f"Score it again (harness score {summary.path}); if other answers are asked for now, raise the version "
            "and run the suite again.",
        )


def check_measures(file: GateFile, summary: RunSummary) -> None:
    """Raise SpecError (file:line, the nearest name) for a gate on a measure that the run does not have."""
    for gate in file.spec.gates:
        if gate.metric not in summary.measures:
            remedy = nearest_hint(gate.metric, summary.measures)
            raise SpecError(
                f"gate {gate.name!r}: this suite measures no {gate.metric!r}",
                where=file.where(gate),
                remedy=f"{remedy}Measured: {', '.join(summary.measures)}.",
            )


def _case(file: GateFile, gate: GateSpec, summary: RunSummary) -> _Case:
    check_measures(file, summary)
    facts = summary.measures[gate.metric]
    group = None
    for name, value in gate.slice.items():
        group = group_name(name, value)
        if name not in summary.slices:
            raise SpecError(
                f"gate {gate.name!r}: this suite has no slice {name!r}",
                where=file.where(gate),
                remedy=did_you_mean(name, summary.slices, "Slices"),
            )
        known = [one.partition("=")[2] for one in summary.values[gate.metric] if one.startswith(f"{name}=")]
        if value not in known:
            raise SpecError(
                f"gate {gate.name!r}: no sample has {name}={value}",
                where=file.where(gate),
                remedy=did_you_mean(value, known, f"Values of {name}"),
            )
    check_share(summary, gate.metric, group or OVERALL)
    bounds = [value for value in (gate.at_least, gate.at_most) if value is not None]
    if facts.unit == "share" and not (all(0 <= value <= 1 for value in bounds) and gate.ruled_out < 1):
        raise SpecError(
            f"gate {gate.name!r}: {gate.metric} lies between 0 and 1, and so must its bound, not "
            f"{bounds[0] if bounds else gate.ruled_out:g}",
            where=file.where(gate),
            remedy="Write percent as a share: 0.9 for 90 %, 0.05 for five points.",
        )
    scale = Scale(facts.unit, facts.higher_is_better)
    return _Case(
        gate=gate,
        where=file.where(gate),
        group=group,
        facts=facts,
        scale=scale,
        rule=rule_of(gate, group, scale, facts.mark),
    )


def _common(file: GateFile, case: _Case, verdict: Verdict, sentence: str) -> dict[str, Any]:
    """Return the fields that every kind of result has."""
    gate = case.gate
    return {
        "name": gate.name,
        "where": case.where,
        "metric": gate.metric,
        "slice": case.group,
        "kind": "relative" if gate.relative else "absolute",
        "rule": case.rule,
        "verdict": verdict,
        "on_cannot_tell": file.action(gate),
        "sentence": sentence,
        "reason": sentence if verdict == "cannot_tell" else "",
        "unit": case.facts.unit,
        "higher_is_better": case.facts.higher_is_better,
        "validated": case.facts.validated,
    }


def _absolute(file: GateFile, case: _Case, summary: RunSummary) -> GateResult:
    gate, group = case.gate, case.group or OVERALL
    measured = summary.values[gate.metric][group]
    clusters = summary.clusters[gate.metric][group]
    bound = gate.at_least if gate.at_least is not None else gate.at_most
    assert bound is not None
    by_interval, reach = gate.by == "interval", None
    verdict: Verdict = "cannot_tell"
    if measured.n < gate.min_n:
        needed: int | None = gate.min_n
        sentence = too_few_sentence(case.rule, measured.n, clusters, gate.min_n, 0)
    else:
        verdict = decide_absolute(
            measured, at_least=gate.at_least, at_most=gate.at_most, by_interval=by_interval
        )
        open_ = verdict == "cannot_tell"
        needed = samples_to_clear(measured, bound) if open_ else None
        reach = reach_towards(measured, bound) if open_ else None
        sentence = absolute_sentence(
            case.rule, measured, verdict, case.scale, by_interval=by_interval, reach=reach, needed=needed
        )
    return GateResult(
        **_common(file, case, verdict, sentence),
        observed=measured.value,
        bound=bound,
        n=measured.n,
        clusters=clusters,
        low=measured.low,
        high=measured.high,
        smallest_detectable=reach,
        n_needed=needed,
    )


def _relative(
    file: GateFile, cases: Sequence[_Case], summary: RunSummary, reference: Baseline
) -> dict[str, GateResult]:
    measures = sorted({case.gate.metric for case in cases})
    outcomes = read_outcomes(summary.path, measures, summary.slices)
    check_same_samples(reference, identity_of(summary.header), outcomes)
    paired = PairedOutcomes(reference.outcomes, outcomes)
    asked = {case.gate.name: paired.pairs(case.gate.metric, case.gate.slice, case.facts) for case in cases}
    tested = [case for case in cases if _enough(case.gate, asked[case.gate.name])]
    evidence = [
        weigh(
            asked[case.gate.name],
            Question(
                margin=case.gate.margin,
                ruled_out=case.gate.ruled_out,
                by_interval=case.gate.by == "interval",
                family=len(tested),
            ),
        )
        for case in tested
    ]
    decisions = decide_relative(evidence, [case.gate.margin for case in tested])
    found = {
        case.gate.name: _decided(
            file,
            case,
            one,
            decision,
            len(tested),
            paired.broken(case.gate.metric, case.gate.slice, case.facts),
        )
        for case, one, decision in zip(tested, evidence, decisions, strict=True)
    }
    for case in cases:
        if case.gate.name not in found:
            found[case.gate.name] = _undecided(file, case, asked[case.gate.name])
    return found


def _enough(gate: GateSpec, pairs: Pairs) -> bool:
    return pairs.testable and pairs.n >= gate.min_n and pairs.independent >= MIN_CLUSTERS


def _decided(
    file: GateFile,
    case: _Case,
    evidence: Evidence,
    decision: Decision,
    family: int,
    broken_samples: tuple[str, ...],
) -> GateResult:
    sentence = relative_sentence(case.rule, case.gate, evidence, decision, case.scale, family)
    return GateResult(
        **_common(file, case, decision.verdict, sentence),
        observed=evidence.after,
        bound=case.gate.margin,
        n=evidence.n,
        clusters=evidence.clusters,
        baseline=evidence.before,
        difference=evidence.difference,
        low=evidence.low,
        high=evidence.high,
        p=decision.p_adjusted,
        p_within=evidence.p_within,
        ruled_out=case.gate.ruled_out,
        method=evidence.worse_by,
        broken=evidence.broken,
        fixed=evidence.fixed,
        broken_samples=broken_samples[:NAMED],
        broken_samples_more=len(broken_samples[NAMED:]),
        smallest_detectable=evidence.smallest_detectable,
        n_needed=evidence.n_needed,
    )


def _undecided(file: GateFile, case: _Case, pairs: Pairs) -> GateResult:
    clusters = pairs.independent
    sentence = too_few_sentence(
        case.rule, pairs.n if pairs.testable else 0, clusters, case.gate.min_n, MIN_CLUSTERS
    )
    values: Mapping[int, float | None] = {
        place: float(top.sum() / bottom.sum()) if bottom.sum() > 0 else None
        for place, (top, bottom) in enumerate((pairs.before, pairs.after))
    }
    return GateResult(
        **_common(file, case, "cannot_tell", sentence),
        observed=values[1],
        bound=case.gate.margin,
        n=pairs.n,
        clusters=clusters,
        baseline=values[0],
        ruled_out=case.gate.ruled_out,
        n_needed=case.gate.min_n if pairs.n < case.gate.min_n else None,
    )
