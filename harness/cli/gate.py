"""`harness gate RUN`: is the run good enough, by the gates beside its suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import EXIT_DONE, EXIT_GATE_FAILED, HarnessError, UsageError

if TYPE_CHECKING:
    from harness.gate.propose import MovedMeasure, Proposal
    from harness.gate.result import GateReport, GateResult

_WORDS = {"pass": "PASS", "fail": "FAIL", "cannot_tell": "CANNOT TELL"}
_ACTIONS = {"pass": "counts as passed", "warn": "a warning", "fail": "counts as failed"}


@click.command("gate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--gate-file", type=click.Path(path_type=Path), help="Default: every *.gate.yaml beside the suite."
)
@click.option("--baseline", type=click.Path(path_type=Path), help="Default: the one the gate file names.")
@click.option("--against", type=click.Path(path_type=Path), help="Compare with this run folder instead.")
@click.option("--suite", help="Where the suite is now, if it has moved since the run.")
@click.option(
    "--propose-baseline", is_flag=True, help="Write RUN as the baseline, say what changes, exit with 1."
)
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
def command(
    run: Path,
    gate_file: Path | None,
    baseline: Path | None,
    against: Path | None,
    suite: str | None,
    propose_baseline: bool,
    as_json: bool,
) -> int:
    """Hold RUN against thresholds and a baseline; exit with 1 if a gate fails (docs/gates.md).

    The verdicts are left in RUN/gates.json, a file that cannot be evaluated among them as not decided, and the scorecard is
    made again with them on its first screen.
    """
    if baseline is not None and against is not None:
        raise UsageError("--baseline is a file and --against a run folder: give one of them")
    if propose_baseline and (against is not None or as_json):
        raise UsageError("--propose-baseline compares with nothing: leave out --against and --json")
    if against is not None and against.resolve() == run.resolve():
        raise UsageError("--against names RUN itself, and a run is as good as itself", where=run)
    paths = _gate_paths(run, gate_file, suite)
    if propose_baseline:
        return _propose(run, paths, baseline)
    from harness.log import schema
    from harness.report.scorecard_file import show_gates

    reports, errors = _evaluated(run, paths, baseline, against)
    refused = show_gates(run, reports)
    if refused:
        _say(refused, err=True)
    if errors:
        for error in errors[1:]:
            _say(error.one_message(), err=True)
        raise errors[0]
    if as_json:
        click.echo(json.dumps([report.record() for report in reports], indent=1, ensure_ascii=False))
    else:
        for report in reports:
            _show(report)
        if not refused:
            _say(f"scorecard: {run / schema.SCORECARD}")
    return EXIT_GATE_FAILED if any(report.failed for report in reports) else EXIT_DONE


def _gate_paths(run: Path, named: Path | None, suite: str | None) -> list[Path]:
    from harness.gate.load import gate_paths_of
    from harness.log.reader import RunFolder

    header = RunFolder(run).header()
    if named is not None:
        return [named]
    folder = Path(suite if suite is not None else header["suite"]["path"])
    if not folder.is_dir():
        raise UsageError(
            f"the suite of this run is no longer at {folder}", where=run, remedy="Say where it is: --suite."
        )
    return gate_paths_of(folder)


def _evaluated(
    run: Path, paths: list[Path], baseline: Path | None, against: Path | None
) -> tuple[list[GateReport], list[HarnessError]]:
    """Return a report of every gate file, also of those that cannot be evaluated, and why those cannot."""
    from harness.gate.evaluate import evaluate
    from harness.gate.load import load_gate_file
    from harness.gate.result import not_evaluated

    reports, errors = [], []
    for path in paths:
        try:
            reports.append(evaluate(run, load_gate_file(path), baseline=baseline, against=against))
        except HarnessError as error:
            reports.append(not_evaluated(run, path, error))
            errors.append(error)
    return reports, errors


def _show(report: GateReport) -> None:
    from harness.gate.wording import broken_text, tally

    _say(report.file + (f", baseline {report.baseline}" if report.baseline else ""))
    for result in report.results:
        _say(f"  {_label(result):<11}  {result.name}: {result.sentence}")
        if result.outcome != "pass" and result.broken_samples:
            _say(f"{'':<15}{broken_text(result.broken_samples, result.broken_samples_more)}")
    failed = len(report.failed)
    stopped = f"; {failed} stop{'s' if failed == 1 else ''} the release" if failed else ""
    _say(tally([result.verdict for result in report.results]) + stopped)


def _label(result: GateResult) -> str:
    word = _WORDS[result.verdict]
    return f"{word} ({_ACTIONS[result.outcome]})" if result.verdict == "cannot_tell" else word


def _say(text: str, *, err: bool = False) -> None:
    from harness.report.text import visible

    click.echo(visible(text), err=err)


def _propose(run: Path, paths: list[Path], baseline: Path | None) -> int:
    from harness.gate.load import load_gate_file
    from harness.gate.propose import propose

    files = [load_gate_file(path) for path in paths]
    wanting = [file for file in files if file.relative or baseline is not None]
    if not wanting:
        raise UsageError(
            "no gate compares with a baseline, so none is needed",
            where=files[0].path,
            remedy="Add a gate with no_worse_by.",
        )
    if baseline is not None and len(wanting) > 1:
        raise UsageError("--baseline names one file: name its --gate-file too")
    proposals = [propose(run, file, baseline) for file in wanting]
    for proposal in proposals:
        _show_proposal(proposal)
    return EXIT_DONE if all(proposal.state == "same" for proposal in proposals) else EXIT_GATE_FAILED


def _show_proposal(proposal: Proposal) -> None:
    if proposal.state == "same":
        _say(f"{proposal.path}: nothing to propose, the run answers as the baseline does")
        return
    _say(f"{proposal.path}: {'new' if proposal.state == 'new' else 'changed'}, {proposal.samples} samples")
    if proposal.replaced:
        _say(f"  not compared sample by sample: {proposal.replaced}")
    for moved in proposal.moved:
        _show_moved(moved)
    _say("Look at the change (git diff), and commit it if these answers are the new standard.")


def _show_moved(moved: MovedMeasure) -> None:
    from harness.gate.propose import listed

    before, after = ("-" if value is None else f"{value:.4f}" for value in (moved.before, moved.after))
    direction = "" if moved.higher_is_better else " (lower is better)"
    _say(f"  {moved.name}{moved.mark}{direction}: {before} -> {after}")
    for word, samples in (("broke", moved.broken), ("fixed", moved.fixed)):
        if samples:
            _say(f"    {len(samples)} {word}: {listed(samples)}")
