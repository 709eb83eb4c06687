"""A comparison on a terminal: the verdict, the tested metrics, what became of samples, and the first broken ones."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from harness.report import compare_wording as say
from harness.report.compare_model import Comparison, Side
from harness.report.compare_outcomes import Outcome
from harness.report.compare_samples import AlignedCall, Cell, ShownSample
from harness.report.pen import VERDICT_STYLES, Pen
from harness.report.text import count, one_line
from harness.report.wording import value_text
from harness.report.wording_of_change import amount, bare_p, interval, standing

SAMPLES = 5
PIPE_WIDTH = 160
"""Where nobody looks at a terminal, lines are as wide as the tables are."""
_MAX_TRANSITIONS = 12
_VALUE = 44
_REPLY = 400
_KINDS = {"broken": "red", "fixed": "green", "changed": "yellow", "same": ""}
_MARKS = {"ok": "", "wrong": "≠ ", "missing": "missing", "extra": "+ ", "optional": "left out"}
_ASCII = {"≠": "!=", "▲": "^", "▼": "v", "→": "->"}


def render_comparison(comparison: Comparison, console: Console, *, samples: int = SAMPLES) -> None:
    """Print the comparison, with at most `samples` samples in full."""
    pen = Pen(console, _ASCII)
    banner = say.banner(comparison.sides)
    if banner:
        pen.line(banner, "bold black on yellow")
    pen.line(
        f"{comparison.suite}, {count(comparison.n)} samples scored in every run; reference: {comparison.sides[0].name}"
    )
    for side in comparison.sides:
        pen.line(f"  {side.name}: {one_line(side.run_id, 120)}, {say.coverage(side)}", "dim")
    for place, side, outcome in comparison.others:
        console.print()
        _against(comparison, place, side, outcome, pen)
    for sample in comparison.samples.shown[:samples]:
        _sample(comparison, sample, pen)
    left = comparison.samples.total - min(samples, len(comparison.samples.shown))
    if left:
        pen.line(f"{count(left)} more changed samples: see --html, --markdown or --json.", "dim")
    for note in comparison.notes:
        pen.line(f"Note: {note}", "yellow")


def _against(comparison: Comparison, place: int, side: Side, outcome: Outcome, pen: Pen) -> None:
    verdict = outcome.verdict
    pen.line(f"{verdict.word}. {verdict.sentence}", VERDICT_STYLES[verdict.tone])
    pen.line(f"{verdict.tally} {say.outcome_sentence(outcome, comparison.n)}")
    pen.table(_metrics(comparison, place, side, pen))
    if outcome.transitions:
        pen.table(_transitions(comparison, side, outcome, pen))


def _metrics(comparison: Comparison, place: int, side: Side, pen: Pen) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("metric", overflow="fold")
    names = (one_line(comparison.sides[0].name, 20), one_line(side.name, 20))
    for name in (*names, "difference", "95 % interval", "p (Holm)", "detects", "noise", "n"):
        table.add_column(pen.text(name), justify="right", no_wrap=True, overflow="crop")
    table.add_column("")
    for row in comparison.headline:
        change = row.changes[place]
        label = one_line(row.label, 40) + ("" if row.higher_is_better else " (lower is better)")
        if change is None:
            table.add_row(pen.text(label), *[pen.text("–")] * 8, "")
            continue
        found = change.change
        cells = (
            value_text(found.before, row.share),
            value_text(found.after, row.share),
            amount(found.value, row.share),
            interval(found),
            bare_p(found.adjusted),
            say.detectable_text(change),
            say.noise_text(found),
            count(found.n),
        )
        style = {"better": "green", "worse": "bold red"}.get(found.standing or "", "")
        table.add_row(pen.text(label), *map(pen.text, cells), pen.text(standing(found), style))
    return table


def _transitions(comparison: Comparison, side: Side, outcome: Outcome, pen: Pen) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in (comparison.sides[0].name, side.name):
        table.add_column(pen.text(one_line(name, 30)), overflow="fold")
    table.add_column("samples", justify="right")
    table.add_column("")
    for one in outcome.transitions[:_MAX_TRANSITIONS]:
        table.add_row(
            pen.text(one_line(one.before, 40)),
            pen.text(one_line(one.after, 40)),
            count(one.samples),
            pen.text(one.kind, _KINDS[one.kind]),
        )
    more = len(outcome.transitions) - _MAX_TRANSITIONS
    if more > 0:
        table.add_row(pen.text(f"{more} more kinds of change", "dim"), "", "", "")
    return table


def _sample(comparison: Comparison, sample: ShownSample, pen: Pen) -> None:
    kinds = say.became(sample.name)
    repeat = f" (repeat {sample.name.repeat})" if sample.name.repeat else ""
    pen.line(
        f"{kinds}: {one_line(sample.name.sample_id, 80)}{repeat}", _KINDS.get(sample.name.kinds[0], "bold")
    )
    pen.line(f"asked: {one_line(sample.question.text, _REPLY)}", indent=2)
    expected = say.expectation(sample.expect)
    if expected:
        pen.line(expected, indent=2)
    if sample.calls:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="dim")
        for name in ("", "expected", *(side.name for side in comparison.sides)):
            table.add_column(pen.text(one_line(name, 30)), overflow="fold", max_width=_VALUE)
        for row in _rows(sample.calls):
            table.add_row(*map(pen.text, row))
        pen.table(table)
    for side, reply in zip(comparison.sides, sample.replies, strict=True):
        cut = ", cut off by the answer budget" if reply.truncated else ""
        pen.line(f"{side.name} ({reply.verdict}{cut}): {one_line(reply.text.text, _REPLY)}", indent=2)
    pen.line("")


def _rows(calls: tuple[AlignedCall, ...]) -> Iterator[list[str]]:
    """Yield the lines of the aligned calls: each tool, then its arguments that are not right everywhere."""
    for call in calls:
        yield ["tool", one_line(call.expected or "–", _VALUE), *map(_cell, call.cells)]
        same = 0
        for row in call.rows:
            if all(cell.mark == "ok" for cell in row.cells):
                same += 1
                continue
            wanted = one_line(row.expected.text, _VALUE) if row.expected is not None else "–"
            yield [one_line(row.name, 30), wanted, *map(_cell, row.cells)]
        if same:
            yield [f"{same} more, right in all", *[""] * (1 + len(call.cells))]


def _cell(cell: Cell) -> str:
    mark = _MARKS.get(cell.mark or "", "")
    return f"{mark}{one_line(cell.text.text, _VALUE)}" if cell.text is not None else mark or "–"
