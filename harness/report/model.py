"""The scorecard as a value: everything a report says, taken from a run folder's contents and nothing else.

No clock, no environment, no files: equal contents give an equal `Scorecard`, and every renderer (HTML, terminal,
Markdown, JUnit, JSON) shows the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.report import first_screen, wording
from harness.report.against import Baseline, baseline, judged
from harness.report.changed import ChangeCounter, ChangedSamples
from harness.report.consistency import Consistency, ConsistencyCounter
from harness.report.facts import Fact, Section, command, identity, name_of, reproduce, title_of
from harness.report.first_screen import Verdict
from harness.report.gates import Gates, gates_of
from harness.report.judge_panel import JudgePanel
from harness.report.measures import Estimate, Metric, MetricSlices, estimate, is_headline, metrics, slices
from harness.report.persona_panel import PersonaPanel, persona_panel
from harness.report.sample_body import Earlier, Pair, SampleBody, label
from harness.report.samples import FULL, MAX_BODIES, PageLimits, Picked, SamplePicker, SampleRef
from harness.report.scenario_panel import ScenarioPanel, scenario_panel
from harness.report.stored import items, mapping, mappings, number, texts, whole
from harness.report.training_panel import Ship, TrainingPanel, ship, training_panel
from harness.report.training_source import Training
from harness.run.paired_runs import PairedDifference

MAX_KINDS = 60
NO_BASELINE = "Not known: there is no baseline to hold it against (harness report RUN --baseline BASE)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """The run to hold this one against: its run.json and summary.json, the paired differences (this minus it), and its
    answers."""

    header: Mapping[str, Any]
    summary: Mapping[str, Any]
    differences: Sequence[PairedDifference]
    earlier: Earlier
    noise: Mapping[str, float] = field(default_factory=dict)
    """By metric, the largest difference between repetitions of one of the two runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sample to look at; `anchor` is None where it is not on the page."""

    sample_id: str
    anchor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of outcome or finding: how often, in a sentence, with examples."""

    code: str
    sentence: str
    samples: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many samples were planned, and what became of them."""

    planned: int
    generated: int
    scored: int
    unscored: int
    errors: int
    truncated: int
    too_long: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What the run cost. Latencies are None where the engine could not time single samples."""

    prompt_tokens: int
    new_tokens: int
    generation_s: float | None
    tokens_per_s: float | None
    latency_p50: float | None
    latency_p95: float | None
    latency_n: int
    reply_p50: float | None
    reply_p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """One run, ready to be shown. What a run does not have (a baseline, gates, repeats, training) is None."""

    run_id: str
    status: str
    complete: bool
    title: str
    name: str
    """Who answered, in a word: the adapter, else the model."""
    description: str
    counts: Counts
    correct: int | None
    judged: int
    outcomes: int
    """Samples that have an outcome: what the shares of `failures` are of."""
    verdict: Verdict
    identity: tuple[Fact, ...]
    headline: tuple[Metric, ...]
    secondary: tuple[Metric, ...]
    gates: Gates | None
    baseline: Baseline | None
    changed: ChangedSamples | None
    slices: tuple[MetricSlices, ...]
    failures: tuple[Kind, ...]
    findings: tuple[Kind, ...]
    bodies: tuple[SampleBody, ...]
    listed: tuple[SampleRef, ...]
    unlisted: int
    seen: int
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    """Tag keys with the values that the bodies have, for the page's filter."""
    repeats: int
    consistency: Consistency | None
    speed: Speed
    training: TrainingPanel | None
    persona: PersonaPanel | None
    judge: JudgePanel | None
    scenario: ScenarioPanel | None
    ship: Ship
    limits: tuple[str, ...]
    command: str
    reproduce: tuple[Section, ...]


def _examples(ids: Any, picked: Picked) -> tuple[Example, ...]:
    return tuple(
        Example(sample_id=str(name), anchor=picked.anchors.get(str(name))) for name in items(ids)[:3]
    )


def _failures(summary: Mapping[str, Any], picked: Picked) -> tuple[Kind, ...]:
    said = texts(summary.get("verdict_texts"))
    wrong = [
        (code, whole(many))
        for code, many in mapping(summary.get("verdicts")).items()
        if code not in picked.passing
    ]
    wrong.sort(key=lambda item: (-item[1], item[0]))
    return tuple(
        Kind(
            code=code,
            sentence=said.get(code, ""),
            samples=many,
            examples=_examples(picked.examples.get(code, ()), picked),
        )
        for code, many in wrong[:MAX_KINDS]
        if many
    )


def _finding_kinds(summary: Mapping[str, Any], picked: Picked) -> tuple[Kind, ...]:
    said = texts(summary.get("finding_texts"))
    found = [(code, mapping(about)) for code, about in mapping(summary.get("findings")).items()]
    found.sort(key=lambda item: (-whole(item[1].get("samples")), item[0]))
    return tuple(
        Kind(
            code=code,
            sentence=said.get(code, ""),
            samples=whole(about.get("samples")),
            examples=_examples(about.get("examples"), picked),
        )
        for code, about in found[:MAX_KINDS]
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile of an ordered sequence, None of an empty one."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


def _speed(summary: Mapping[str, Any], picked: Picked) -> Speed:
    tokens = mapping(summary.get("tokens"))
    return Speed(
        prompt_tokens=whole(tokens.get("prompt")),
        new_tokens=whole(tokens.get("new")),
        generation_s=number(tokens.get("generation_s")),
        tokens_per_s=number(tokens.get("tokens_per_s")),
        latency_p50=_quantile(picked.latencies, 0.5),
        latency_p95=_quantile(picked.latencies, 0.95),
        latency_n=len(picked.latencies),
        reply_p50=_quantile(picked.new_tokens, 0.5),
        reply_p95=_quantile(picked.new_tokens, 0.95),
    )


def _counts(summary: Mapping[str, Any]) -> Counts:
    raw = mapping(summary.get("counts"))
    names = ("planned", "generated", "scored", "unscored", "errors", "truncated", "too_long")
    return Counts(**{name: whole(raw.get(name)) for name in names})


def _filters(bodies: Sequence[SampleBody], keys: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    values: dict[str, set[str]] = {}
    for body in bodies:
        for key, value in body.tags:
            values.setdefault(key, set()).add(value)
    return tuple((key, tuple(sorted(values[key]))) for key in keys[:3] if len(values.get(key, ())) > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one pass over the samples left."""

    picked: Picked
    changed: ChangedSamples | None
    consistency: Consistency | None


def _read(
    summary: Mapping[str, Any],
    samples: Iterable[Pair],
    limits: PageLimits,
    earlier: Earlier | None,
    repeats: int,
) -> _Read:
    found = mapping(summary.get("findings")).values()
    wanted = frozenset(str(name) for about in found for name in items(mapping(about).get("examples"))[:3])
    picker = SamplePicker(
        limits,
        wanted=wanted,
        verdict_texts=texts(summary.get("verdict_texts")),
        finding_texts=texts(summary.get("finding_texts")),
        earlier=earlier,
    )
    changes = ChangeCounter()
    tries = ConsistencyCounter(repeats) if repeats > 1 else None
    for raw_score, raw_generation in samples:
        score, generation = mapping(raw_score), mapping(raw_generation)
        change = None
        if earlier is not None:
            change = changes.add(score, earlier.score(score.get("sample_id"), score.get("repeat")))
        picker.add(score, generation, change)
        if tries is not None:
            tries.add(score, generation)
    picked = picker.finish()
    anchors = {(body.sample_id, body.repeat): body.anchor for body in picked.bodies}
    return _Read(
        picked=picked,
        changed=changes.finish(anchors),
        consistency=tries.finish(picked.anchors) if tries is not None else None,
    )


def status_of(header: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Return the status that both files allow: one of them that is not `complete` decides."""
    statuses = [str(source["status"]) for source in (header, summary) if source.get("status")]
    return next((name for name in statuses if name != "complete"), statuses[0] if statuses else "unknown")


def build_scorecard(
    header: Mapping[str, Any],
    summary: Mapping[str, Any],
    samples: Iterable[Pair],
    *,
    max_bodies: int = MAX_BODIES,
    full: bool = False,
    against: Against | None = None,
    no_baseline: str = NO_BASELINE,
    gates: Mapping[str, Any] | None = None,
    training: Training | None = None,
    judge: JudgePanel | None = None,
) -> Scorecard:
    """Return the scorecard of a run.

    `header` and `summary` are run.json and summary.json as stored; `samples` yields each (score, generation)
    once and is read in one pass. Memory is bounded by `max_bodies` clipped samples, not by the length of the run,
    unless `full` asks for every sample. `against` is a baseline (`no_baseline` says why there is none), `gates` a
    stored gates.json, `judge` what a judge model said. Missing keys read as unknown, so that the folder of a run that died early still has a scorecard.
    """
    repeats = max(1, min(1000, whole(header.get("repeats"))))
    limits = FULL if full else PageLimits(bodies=max(0, max_bodies))
    read = _read(summary, samples, limits, against.earlier if against else None, repeats)
    card = _card(header, summary, read, against, gates_of(gates), training_panel(training), repeats)
    return replace(card, judge=judge, verdict=_verdict(card, no_baseline))


def with_adjusted(card: Scorecard, adjusted: Mapping[str, float]) -> Scorecard:
    """Return a card with other p-values of its headline metrics, and the verdicts that follow from them.

    For a run that is looked at together with others, all of whose tests are one family.
    """
    if card.baseline is None:
        return card
    changes = {
        metric.name: judged(metric.change, adjusted.get(metric.name), metric.higher_is_better)
        for metric in card.headline
        if metric.change is not None
    }
    headline = {one.name: replace(one, change=changes.get(one.name)) for one in card.headline}
    found = replace(
        card,
        headline=tuple(headline.values()),
        slices=tuple(replace(part, metric=headline[part.metric.name]) for part in card.slices),
        baseline=replace(card.baseline, changes={**card.baseline.changes, **changes}),
        limits=tuple(wording.together(text) for text in card.limits),
    )
    return replace(found, verdict=_verdict(found, NO_BASELINE))


def _card(
    header: Mapping[str, Any],
    summary: Mapping[str, Any],
    read: _Read,
    against: Against | None,
    gates: Gates | None,
    panel: TrainingPanel | None,
    repeats: int,
) -> Scorecard:
    """Return the scorecard but for its verdict, which is a function of the rest."""
    suite, described = mapping(header.get("suite")), mapping(summary.get("measures"))
    picked, status = read.picked, status_of(header, summary)
    estimates = _estimates(summary, described)
    overall = {one.metric: one for one in estimates if one.group == "all"}
    held = _baseline(header, described, overall, against)
    measured = metrics(summary, suite, overall, held.changes if held else {})
    headline = tuple(metric for metric in measured if metric.headline)
    slice_keys = [str(key) for key in items(suite.get("slices"))]
    earlier = _estimates(against.summary, described) if against else []
    return Scorecard(
        run_id=str(header.get("run_id") or summary.get("run_id") or "unknown run"),
        status=status,
        complete=status == "complete",
        title=title_of(header)
        if suite or header.get("engine")
        else label(summary.get("run_id") or "Unknown run"),
        name=name_of(header),
        description=label(suite.get("description"), 1_000),
        counts=_counts(summary),
        correct=picked.correct if picked.seen else None,
        judged=picked.judged,
        outcomes=sum(map(whole, mapping(summary.get("verdicts")).values())),
        verdict=Verdict(tone="done", word="", sentence="", banner="", answers=()),
        identity=identity(header),
        headline=headline,
        secondary=tuple(metric for metric in measured if not metric.headline),
        gates=gates,
        baseline=held,
        changed=read.changed,
        slices=slices(headline, estimates, slice_keys, earlier),
        failures=_failures(summary, picked),
        findings=_finding_kinds(summary, picked),
        bodies=picked.bodies,
        listed=picked.listed,
        unlisted=picked.unlisted,
        seen=picked.seen,
        filters=_filters(picked.bodies, slice_keys),
        repeats=repeats,
        consistency=read.consistency,
        speed=_speed(summary, picked),
        training=panel,
        persona=persona_panel(summary),
        judge=None,
        scenario=scenario_panel(summary),
        ship=ship(panel, bool(mapping(header.get("engine")).get("adapter"))),
        limits=wording.limits(header, headline, compared=held is not None),
        command=command(header),
        reproduce=reproduce(header),
    )


def _estimates(summary: Mapping[str, Any], described: Mapping[str, Any]) -> list[Estimate]:
    return [estimate(raw, described) for raw in mappings(summary.get("aggregates"))]


def _baseline(
    header: Mapping[str, Any],
    described: Mapping[str, Any],
    overall: Mapping[str, Estimate],
    against: Against | None,
) -> Baseline | None:
    if against is None:
        return None
    names = [one.metric for one in against.differences if is_headline(one.metric, described)]
    shares = {name: one.share for name, one in overall.items()}
    return baseline(header, against.header, against.differences, names, shares, against.noise)


def _verdict(card: Scorecard, no_baseline: str) -> Verdict:
    return first_screen.verdict(
        first_screen.Parts(
            status=card.status,
            counts=card.counts,
            correct=card.correct,
            judged=card.judged,
            headline=card.headline,
            failures=card.failures,
            gates=card.gates,
            baseline=card.baseline,
            changed=card.changed,
            ship=card.ship,
            no_baseline=no_baseline,
        )
    )
