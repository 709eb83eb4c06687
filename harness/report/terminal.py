"""The scorecard's summary on a terminal: the same verdict, scores and failure kinds as the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from harness.report.model import Estimate, Kind, Scorecard, build_scorecard
from harness.report.text import count, one_line, percent, plural, visible
from harness.report.wording import estimate_interval, estimate_value

_WIDTH = 21
_MAX_KINDS = 8


def _whisker(estimate: Estimate, plain: bool) -> str:
    """Return the dot and whisker on an axis from 0 to 1, in characters; empty for what is no ratio."""
    numbers = (estimate.value, estimate.low, estimate.high)
    if estimate.value is None or any(n is not None and not 0 <= n <= 1 for n in numbers):
        return ""
    axis, bar, dot = (".", "-", "o") if plain else ("·", "─", "●")
    cells = [axis] * _WIDTH
    if estimate.low is not None and estimate.high is not None:
        for at in range(round(estimate.low * (_WIDTH - 1)), round(estimate.high * (_WIDTH - 1)) + 1):
            cells[at] = bar
    cells[round(estimate.value * (_WIDTH - 1))] = dot
    return "".join(cells)


def _scores(card: Scorecard, wide: bool, plain: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("measure", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    if wide:
        table.add_column("0" + " " * (_WIDTH - 4) + "100", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for metric in (*card.headline, *card.secondary):
        overall, style = metric.overall, "bold" if metric.headline else ""
        row = [
            Text(one_line(metric.label, 48), style=style),
            Text(estimate_value(overall), style=style),
            Text(estimate_interval(overall)),
        ]
        row += [Text(_whisker(overall, plain), style="cyan")] if wide else []
        row += [Text(count(overall.n) + (" small" if overall.small else ""))]
        table.add_row(*row, Text("higher" if metric.higher_is_better else "lower", style="dim"))
    return table


def _kinds(kinds: tuple[Kind, ...], total: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("failures", overflow="fold")
    table.add_column("samples", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("for example", overflow="fold")
    for kind in kinds[:_MAX_KINDS]:
        examples = ", ".join(one_line(example.sample_id, 32) for example in kind.examples)
        share = percent(kind.samples / total) if total else "–"
        table.add_row(Text(one_line(kind.code, 40)), Text(count(kind.samples)), Text(share), Text(examples))
    return table


def _printable(value: Any, plain: bool) -> Text:
    text = visible(str(value))
    return Text(text.encode("ascii", "backslashreplace").decode("ascii") if plain else text)


def render_terminal(scorecard: Scorecard | Mapping[str, Any], console: Console) -> None:
    """Print the verdict, the counts, every measure and the most frequent failures.

    Takes a scorecard, or a stored summary where nothing else is at hand (no sample is looked at then).
    """
    card = scorecard if isinstance(scorecard, Scorecard) else build_scorecard({}, scorecard, ())
    plain = not console.encoding.lower().startswith("utf")
    counts = card.counts
    word = Text(f" {card.verdict.word} ", style="bold reverse" if card.complete else "bold black on yellow")
    lines: list[Any] = [
        Text.assemble(word, " ", _printable(card.title, plain)),
        _printable(card.verdict.sentence, plain),
    ]
    if card.verdict.banner:
        lines.append(Text(card.verdict.banner, style="yellow"))
    tally = (
        f"{count(counts.planned)} planned, {count(counts.scored)} scored, {plural(counts.errors, 'error')}, "
        f"{count(counts.unscored)} unscored, {count(counts.truncated)} truncated"
    )
    lines += [Text(tally, style="yellow" if counts.errors or counts.unscored else ""), Text("")]
    if card.headline or card.secondary:
        lines += [_scores(card, console.width >= 88, plain), Text("")]
    if card.failures:
        lines += [_kinds(card.failures, counts.scored + counts.unscored + counts.errors), Text("")]
    console.print(Group(*lines))
