"""The scorecard's summary on a terminal: the same verdict, scores and failure kinds as the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report.judge_panel import JudgePanel, interval_text, mark_of, value_text
from harness.report.measures import Estimate
from harness.report.model import Kind, Scorecard, build_scorecard
from harness.report.pen import Pen
from harness.report.text import count, one_line, percent, plural
from harness.report.wording import estimate_interval, estimate_value

_WIDTH = 21
_MAX_KINDS = 8


def _whisker(estimate: Estimate, plain: bool) -> str:
    """Return the dot and whisker on an axis from 0 to 1, in characters; empty for what is no ratio."""
    if estimate.value is None or not estimate.share:
        return ""
    axis, bar, dot = (".", "-", "o") if plain else ("·", "─", "●")
    cells = [axis] * _WIDTH
    if estimate.low is not None and estimate.high is not None:
        for at in range(round(estimate.low * (_WIDTH - 1)), round(estimate.high * (_WIDTH - 1)) + 1):
            cells[at] = bar
    cells[round(estimate.value * (_WIDTH - 1))] = dot
    return "".join(cells)


TONES = {
    "done": "reverse",
    "incomplete": "black on yellow",
    "good": "black on green",
    "bad": "white on red",
    "unsure": "black on yellow",
}
STANDINGS = {"better": ("+", "green"), "worse": ("!", "red"), "unclear": ("?", "yellow")}


def _answers(card: Scorecard, pen: Pen) -> list[RenderableType]:
    """Return the questions of the first screen with their answers, a sign before what is better, worse or unclear."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for answer in card.verdict.answers:
        for place, line in enumerate(answer.lines):
            sign, style = STANDINGS.get(line.standing, ("", ""))
            text = pen.text(f"{sign} {line.text}" if sign else line.text, style)
            table.add_row("" if place else answer.question, text)
    return [table]


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")
    return table


def _number(table: Table, name: str) -> None:
    table.add_column(name, justify="right", no_wrap=True, overflow="crop")


def _scores(card: Scorecard, pen: Pen, wide: bool) -> Table:
    table = _table("measure")
    _number(table, "value")
    _number(table, "95 % interval")
    if wide:
        table.add_column("0" + " " * (_WIDTH - 4) + "100", no_wrap=True, overflow="crop")
    _number(table, "n")
    table.add_column("better", no_wrap=True, overflow="crop")
    for metric in (*card.headline, *card.secondary):
        overall, style = metric.overall, "bold" if metric.headline else ""
        row = [
            pen.text(one_line(metric.label, 48), style),
            pen.text(estimate_value(overall), style),
            pen.text(estimate_interval(overall)),
        ]
        row += [Text(_whisker(overall, pen.plain), style="cyan")] if wide else []
        row += [pen.text(count(overall.n) + (" small" if overall.small and overall.n else ""))]
        table.add_row(*row, Text("higher" if metric.higher_is_better else "lower", style="dim"))
    return table


def _kinds(kinds: tuple[Kind, ...], total: int, pen: Pen) -> Table:
    table = _table("failures")
    _number(table, "samples")
    _number(table, "share")
    table.add_column("for example", overflow="fold")
    for kind in kinds[:_MAX_KINDS]:
        table.add_row(
            pen.text(one_line(kind.code, 40)),
            pen.text(count(kind.samples)),
            pen.text(percent(kind.samples / total) if total else "–"),
            pen.text(", ".join(one_line(example.sample_id, 32) for example in kind.examples)),
        )
    return table


def _judge(panel: JudgePanel, pen: Pen) -> list[RenderableType]:
    lines: list[RenderableType] = [pen.text(f"judge model: {panel.title}")]
    lines += [pen.text(text, "yellow") for text in panel.warnings]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for row in panel.rows:
        cells = (row.label, value_text(row), interval_text(row), f"n = {count(row.n)}")
        table.add_row(*map(pen.text, cells), pen.text(mark_of(row), "red"))
    if panel.rows:
        lines.append(table)
    return [*lines, *(pen.text(f"note: {note}") for note in panel.notes)]


def render_terminal(scorecard: Scorecard | Mapping[str, Any], console: Console) -> None:
    """Print the verdict, the counts, every measure and the most frequent failures.

    Takes a scorecard, or a stored summary where nothing else is at hand (no sample is looked at then).
    """
    card = scorecard if isinstance(scorecard, Scorecard) else build_scorecard({}, scorecard, ())
    pen, counts = Pen(console), card.counts
    word = Text(f" {card.verdict.word} ", style=f"bold {TONES[card.verdict.tone]}")
    lines: list[RenderableType] = [
        Text.assemble(word, " ", pen.text(one_line(card.title, 400))),
        pen.text(card.verdict.sentence),
    ]
    if card.verdict.banner:
        lines.append(pen.text(card.verdict.banner, "yellow"))
    if card.persona is not None and card.persona.validated is False:
        lines.append(pen.text(card.persona.sentence, "yellow"))
    if card.baseline or card.gates or card.training:
        lines += [Text(""), *_answers(card, pen), Text("")]
    tally = (
        f"{count(counts.planned)} planned, {count(counts.scored)} scored, {plural(counts.errors, 'error')}, "
        f"{count(counts.unscored)} unscored, {count(counts.truncated)} truncated"
    )
    lines += [pen.text(tally, "yellow" if counts.errors or counts.unscored else ""), Text("")]
    if card.headline or card.secondary:
        lines += [_scores(card, pen, console.width >= 88), Text("")]
    if card.persona is not None:
        lines += [
            pen.text(
                f"{card.persona.name}, asked under {card.persona.prompt}. {card.persona.adjusted}".strip()
            ),
            *(pen.text(text, "yellow") for text in card.persona.warnings),
            Text(""),
        ]
    if card.judge is not None:
        lines += [*_judge(card.judge, pen), Text("")]
    if card.scenario is not None:
        lines += [*(pen.text(sentence) for sentence in card.scenario.sentences), Text("")]
    if card.failures:
        lines += [_kinds(card.failures, card.outcomes, pen), Text("")]
    console.print(Group(*lines))
