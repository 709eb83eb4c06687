"""One sample in several runs: what each answered, and its calls beside the expected ones, argument by argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.report.align import CallPair, Mark
from harness.report.sample_body import SampleBody
from harness.report.text import Clipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one run answered to a sample: its verdict, right or not, and its reply; None for what no page holds."""

    verdict: str
    kind: str
    reply: Clipped | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one run wrote in one place (`text` is None where it wrote nothing there), and how it compares."""

    text: Clipped | str | None
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentCells:
    """One argument: what was expected (None: not expected), and each run's value; None where no page holds it."""

    name: str
    expected: Clipped | None
    values: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTable:
    """One expected call (or, where `expected` is None, a call that nobody expected) in every run."""

    expected: str | None
    tools: tuple[Cell | None, ...]
    rows: tuple[ArgumentCells, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """A sample in full: `body` is one run's, `answers` and `calls` hold every run's, the reference first."""

    anchor: str
    body: SampleBody
    answers: tuple[Answered | None, ...]
    calls: tuple[CallTable, ...]


def shown_samples(
    names: Sequence[tuple[str, int]], pages: Sequence[Sequence[SampleBody]]
) -> Iterator[ShownSample]:
    """Yield the samples (id, repeat) that any run's page holds; `pages` are the runs' samples, the reference first."""
    tables = [{(body.sample_id, body.repeat): body for body in page} for page in pages]
    for name in names:
        bodies = [table.get(name) for table in tables]
        known = [body for body in bodies if body is not None]
        if not known:
            continue
        broken = next(
            (body for body in bodies[1:] if body is not None and body.change == "broken"), known[-1]
        )
        # The reference's answer also stands in the others' pages, as what their own is compared with.
        compared = next((body for body in known if body.before_reply is not None), None)
        answers = [_answered(body) for body in bodies]
        written = [_written(body.pairs, before=False) if body else None for body in bodies]
        if bodies[0] is None and compared is not None:
            answers[0] = Answered(verdict=compared.before_verdict, kind="", reply=compared.before_reply)
            written[0] = _written(compared.pairs, before=True)
        yield ShownSample(
            anchor=broken.anchor, body=broken, answers=tuple(answers), calls=tuple(_tables(known, written))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    tool: Cell
    arguments: Mapping[str, Cell]


def _answered(body: SampleBody | None) -> Answered | None:
    if body is None:
        return None
    return Answered(verdict=body.verdict, kind=body.outcome, reply=body.reply)


def _written(pairs: Sequence[CallPair], *, before: bool) -> list[_Call]:
    """Return the calls of a page's run, or of the reference that it is compared with, in the order of the pairs."""
    calls = []
    for pair in pairs:
        tool, mark = (pair.before, pair.before_mark) if before else (pair.actual, pair.mark)
        cells = {}
        for row in pair.rows:
            text, found = (row.before, row.before_mark) if before else (row.actual, row.mark)
            cells[row.name] = Cell(text=text, mark=found or "ok")
        calls.append(_Call(tool=Cell(text=tool, mark=mark or "ok"), arguments=cells))
    return calls


def _tables(known: Sequence[SampleBody], written: Sequence[list[_Call] | None]) -> Iterator[CallTable]:
    """Yield a table for each expected call, in order, then for the calls that some run made beyond them."""
    for place in range(max(len(body.pairs) for body in known)):
        pairs = [body.pairs[place] for body in known if place < len(body.pairs)]
        wanted = {row.name: row.expected for pair in pairs for row in pair.rows if row.expected is not None}
        names = [*wanted, *(row.name for pair in pairs for row in pair.rows if row.name not in wanted)]
        yield CallTable(
            expected=next((pair.expected for pair in pairs if pair.expected is not None), None),
            tools=tuple(_cell(calls, place) for calls in written),
            rows=tuple(
                ArgumentCells(
                    name=name,
                    expected=wanted.get(name),
                    values=tuple(_cell(calls, place, name) for calls in written),
                )
                for name in dict.fromkeys(names)
            ),
        )


def _cell(calls: list[_Call] | None, place: int, argument: str | None = None) -> Cell | None:
    """Return what a run wrote; None where its page is cut, or has no such sample."""
    if calls is None:
        return None
    if place >= len(calls):
        # This run made fewer calls than another, and none was expected here.
        return Cell(text=None, mark="ok")
    call = calls[place]
    if argument is None:
        return call.tool
    return call.arguments.get(argument, Cell(text=None, mark="ok"))
