"""A comparison as Markdown for a pull request: the verdict and the tested metrics; everything else is folded."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report import compare_wording as say
from harness.report.compare_model import Comparison, Side
from harness.report.compare_outcomes import Outcome
from harness.report.compare_samples import AlignedCall, Cell, ShownSample
from harness.report.markdown_text import block, details, inline, plain, table
from harness.report.text import count, one_line
from harness.report.wording import value_text
from harness.report.wording_of_change import amount, bare_p, interval, standing

SAMPLES = 10
MAX_BYTES = 60_000
"""GitHub takes 65,536 characters in a comment."""

_FRAME = 200
"""Bytes of the folded section around the samples."""

_MAX_TRANSITIONS = 20
_REPLY = 600
_CELL = 60
_SIGNS = {"good": "✅", "bad": "❌", "unsure": "❔"}
_MARKS = {"ok": "✓ ", "wrong": "≠ ", "missing": "missing", "extra": "+ ", "optional": "left out"}


def render_comparison_markdown(comparison: Comparison, *, samples: int = SAMPLES) -> str:
    """Return the Markdown, at most about 60,000 bytes: samples are left out at the end until it fits."""
    written = ["\n".join(_sample(comparison, one)) for one in comparison.samples.shown[:samples]]
    left = MAX_BYTES - _bytes(_text(comparison, []))
    fitting = 0
    while fitting < len(written) and (left := left - _bytes(written[fitting]) - 1) > _FRAME:
        fitting += 1
    return _text(comparison, written[:fitting])


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def _text(comparison: Comparison, samples: list[str]) -> str:
    return "\n".join(_lines(comparison, samples)).rstrip() + "\n"


def _lines(comparison: Comparison, samples: list[str]) -> Iterator[str]:
    banner = say.banner(comparison.sides)
    if banner:
        yield from (f"⚠️ **{plain(banner)}**", "")
    reference = comparison.sides[0]
    for place, side, outcome in comparison.others:
        yield f"### {_SIGNS[outcome.verdict.tone]} {outcome.verdict.word}: {inline(side.name, 80)}"
        yield ""
        yield plain(f"{outcome.verdict.sentence} {outcome.verdict.tally}")
        yield ""
        yield from _metrics(comparison, place, reference, side)
        yield ""
        yield from details("What became of the samples", _outcome(comparison, side, outcome))
    if samples:
        more = comparison.samples.total - len(samples)
        note = f", {count(more)} more not shown" if more else ""
        yield from details(f"Changed samples, broken first{note}", samples)
    yield from details("What was compared", _compared(comparison))
    for sentence in comparison.notes:
        yield f"> {plain(sentence)}"
        yield ""


def _metrics(comparison: Comparison, place: int, reference: Side, side: Side) -> list[str]:
    head = ["Metric", inline(reference.name, 30), inline(side.name, 30), "Difference", "95 % interval"]
    head += ["p (Holm)", "Detectable", "Noise", "n", "Verdict"]
    rows = []
    for row in comparison.headline:
        change = row.changes[place]
        label = plain(one_line(row.label, 60)) + ("" if row.higher_is_better else " (lower is better)")
        if change is None:
            rows.append([label, *["–"] * (len(head) - 1)])
            continue
        found = change.change
        bold = "**" if found.standing in ("better", "worse") else ""
        rows.append(
            [
                label,
                value_text(found.before, row.share),
                value_text(found.after, row.share),
                f"{bold}{amount(found.value, row.share)}{bold}",
                interval(found),
                plain(bare_p(found.adjusted)),
                say.detectable_text(change),
                say.noise_text(found),
                count(found.n),
                f"{bold}{standing(found)}{bold}",
            ]
        )
    return table(head, rows)


def _outcome(comparison: Comparison, side: Side, outcome: Outcome) -> Iterator[str]:
    yield plain(say.outcome_sentence(outcome, comparison.n))
    yield ""
    if not outcome.transitions:
        return
    head = [inline(comparison.sides[0].name, 30), inline(side.name, 30), "Change", "Samples"]
    rows = [
        [inline(one.before, 60), inline(one.after, 60), one.kind, count(one.samples)]
        for one in outcome.transitions[:_MAX_TRANSITIONS]
    ]
    yield from table(head, rows, left=3)
    more = len(outcome.transitions) - _MAX_TRANSITIONS
    if more > 0:
        yield ""
        yield f"{more} more kinds of change."


def _sample(comparison: Comparison, sample: ShownSample) -> Iterator[str]:
    kinds = say.became(sample.name)
    repeat = f" (repeat {sample.name.repeat})" if sample.name.repeat else ""
    yield f"**{kinds}** {inline(sample.name.sample_id)}{repeat}"
    yield ""
    expected = say.expectation(sample.expect)
    asked = f"asked: {one_line(sample.question.text, _REPLY)}"
    yield block(f"{asked}\n{expected}" if expected else asked)
    yield ""
    if sample.calls:
        head = ["", "expected", *(inline(side.name, 30) for side in comparison.sides)]
        yield from table(head, _calls(sample.calls), left=len(head))
        yield ""
    for side, reply in zip(comparison.sides, sample.replies, strict=True):
        said = f"{one_line(side.name, 40)} ({one_line(reply.verdict, 40)})"
        yield block(f"{said}: {one_line(reply.text.text, _REPLY)}")
        yield ""


def _calls(calls: tuple[AlignedCall, ...]) -> Iterator[list[str]]:
    for call in calls:
        yield [
            "tool",
            inline(call.expected, _CELL) if call.expected is not None else "–",
            *map(_cell, call.cells),
        ]
        for row in call.rows:
            if all(cell.mark == "ok" for cell in row.cells):
                continue
            wanted = inline(row.expected.text, _CELL) if row.expected is not None else "–"
            yield [inline(row.name, 40), wanted, *map(_cell, row.cells)]


def _cell(cell: Cell) -> str:
    mark = _MARKS.get(cell.mark or "", "")
    return mark + inline(cell.text.text, _CELL) if cell.text is not None else mark or "–"


def _compared(comparison: Comparison) -> Iterator[str]:
    yield f"{inline(comparison.suite)}, {count(comparison.n)} samples scored in every run."
    yield ""
    for side in comparison.sides:
        role = "reference" if side is comparison.sides[0] else "compared"
        yield f"- {role}: {inline(side.title, 200)}, run {inline(side.run_id)}, {plain(say.coverage(side))}"
    if comparison.differs:
        yield ""
        head = ["Differs", *(inline(side.name, 30) for side in comparison.sides)]
        yield from table(
            head,
            ([one.label, *(inline(text, 80) for text in one.values)] for one in comparison.differs),
            left=len(head),
        )
    yield ""
    yield (
        "Differences are paired on the same samples; intervals draw whole clusters of related samples. Verdicts ask "
        f"that the interval leaves out 0 and that Holm's p-value over {comparison.tests} tests is below 0.05."
    )
