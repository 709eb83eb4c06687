"""How far engines agree, on a terminal: a row an engine, its metrics, and where the first differing texts part."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from harness.parity.agreement import Against, Agreement, ColumnResult, Differing, Share
from harness.parity.first_difference import Side
from harness.report.pen import Pen
from harness.report.text import count, one_line, percent, plural, seconds
from harness.report.wording import value_text
from harness.report.wording_of_change import amount, bounds, last_part

SAMPLES = 3
"""Differing samples that are shown of each engine."""

PIPE_WIDTH = 160
_NAME = 44


def render_parity(found: Agreement, console: Console, *, samples: int = SAMPLES) -> None:
    """Print the agreement. What engines wrote is escaped."""
    pen = Pen(console)
    adapter = "without an adapter" if found.adapter == "base" else f"with adapter {last_part(found.adapter)}"
    pen.line(
        f"{found.suite} {found.version} on {one_line(found.model, 80)} {one_line(adapter, 80)}: "
        f"{plural(found.planned, 'answer')} an engine, held against {one_line(found.reference.name, _NAME)}",
        "bold",
    )
    pen.table(_engines(found, pen))
    if found.compared:
        pen.table(_metrics(found, pen))
    pen.line(found.floor.sentence)
    for one, against in found.compared:
        if against.parted is not None and samples:
            pen.line("")
            pen.line(_where(one.name, against, found.unit), "bold")
            pen.table(_differing(found, one.name, against.parted.shown[:samples], pen))
    for one in found.columns:
        if one.failure is not None:
            pen.line(f"{one_line(one.name, _NAME)}: FAILED. {one.failure}", "bold red")
    for note in found.notes:
        pen.line(f"Note: {note}", "yellow")
    for line in _promises(found):
        pen.line(line)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _numbers(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True, overflow="crop")


def _engines(found: Agreement, pen: Pen) -> Table:
    table = _table("engine")
    _numbers(
        table, "texts equal", "95 %", "verdicts equal", "95 %", "errors", f"parts at {found.unit}", "took"
    )
    for one in found.columns:
        table.add_row(*map(pen.text, _engine(one)))
    return table


def _engine(one: ColumnResult) -> list[str]:
    name = one_line(one.name, _NAME)
    if one.measured is None:
        return [name, "failed", *[""] * 6]
    last = [
        count(one.measured.errors + one.measured.missing),
        _parting(one.against),
        seconds(one.measured.seconds),
    ]
    if one.against is None:
        return [name, "failed" if one.failure else "reference", "", "", "", *last]
    return [name, *_share(one.against.texts), *_share(one.against.verdicts), *last]


def _share(share: Share) -> tuple[str, str]:
    low, high = (percent(bound).removesuffix("%").rstrip() for bound in (share.low, share.high))
    return f"{count(share.equal)} of {count(share.n)}", f"{low} to {high}"


def _parting(against: Against | None) -> str:
    if against is None or against.parted is None:
        return ""
    return f"{against.parted.median:g} ({against.parted.earliest})"


def _where(name: str, against: Against, unit: str) -> str:
    parted = against.parted
    if parted is None:
        return ""
    different = against.texts.n - against.texts.equal
    return (
        f"{one_line(name, _NAME)}: {plural(different, 'text')} of {count(against.texts.n)} "
        f"{'differs' if different == 1 else 'differ'}; the first different {unit} is number {parted.median:g} in the "
        f"median and {parted.earliest} at the earliest, counted from 0"
    )


def _metrics(found: Agreement, pen: Pen) -> Table:
    table = _table("metric", "engine")
    _numbers(table, "reference", "here", "difference", "95 % interval", "noise floor", "n")
    table.add_column("")
    for one, against in found.compared:
        for metric in against.metrics:
            change = metric.found.difference
            known = change.low is not None and change.high is not None
            cells = (
                one_line(metric.found.label, 40),
                one_line(one.name, _NAME),
                value_text(metric.found.before, metric.share),
                value_text(metric.found.after, metric.share),
                amount(change.value, metric.share),
                bounds(change.low or 0.0, change.high or 0.0, metric.share) if known else "–",
                "–" if metric.noise is None else amount(metric.noise, metric.share, signed=False),
                count(metric.found.n),
            )
            words = {True: ("inside", ""), False: ("OUTSIDE", "bold yellow"), None: ("", "")}
            table.add_row(*map(pen.text, cells), pen.text(*words[metric.inside]))
    return table


def _differing(found: Agreement, name: str, shown: tuple[Differing, ...], pen: Pen) -> Table:
    table = _table("sample")
    _numbers(table, found.unit)
    for heading in ("both wrote", one_line(found.reference.name, 30), one_line(name, 30)):
        table.add_column(pen.text(heading), overflow="fold", max_width=46)
    table.add_column("verdicts", overflow="fold")
    for one in shown:
        verdicts = one.verdicts[0] if one.verdicts[0] == one.verdicts[1] else " -> ".join(one.verdicts)
        cells = (
            one_line(one.sample_id, 40) + (f" #{one.repeat}" if one.repeat else ""),
            count(one.at.position),
            one_line(one.at.before, 40),
            _goes_on(one.at.reference),
            _goes_on(one.at.other),
            one_line(verdicts, 60),
        )
        table.add_row(*map(pen.text, cells))
    return table


def _goes_on(side: Side) -> str:
    """Return "[token]how it goes on"."""
    if side.token is None:
        return "[the end]"
    return f"[{one_line(side.text, 30) or ' '}]{one_line(side.after, 60)}"


def _promises(found: Agreement) -> list[str]:
    """Return what the engines promised of these runs, each sentence once with the engines that said it."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in found.columns:
        promise = (one.measured.promise if one.measured is not None else None) or {}
        for key, title in (("promised", "Promised"), ("not_promised", "Not promised")):
            for sentence in promise.get(key, ()):
                said.setdefault((title, str(sentence)), []).append(one_line(one.name, _NAME))
    return [f"{title} ({', '.join(names)}): {sentence}" for (title, sentence), names in said.items()]
