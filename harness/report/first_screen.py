"""The first screen of a scorecard: is it better, by how much, how sure, what broke, which checkpoint to ship."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.report import gates as gate_words
from harness.report import wording_of_change as say
from harness.report.text import count, percent, plural
from harness.report.wording import estimate_value

if TYPE_CHECKING:
    from harness.report.against import Baseline
    from harness.report.changed import ChangedSample, ChangedSamples
    from harness.report.gates import Gate, Gates
    from harness.report.measures import Metric
    from harness.report.model import Counts, Kind
    from harness.report.training_panel import Ship

Tone = Literal["done", "incomplete", "good", "bad", "unsure"]

_WHY = {
    "running": "still running, or killed without a chance to say so",
    "incomplete": "samples are missing or there were too many errors",
    "interrupted": "interrupted by the user",
    "failed": "the engine failed",
}
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an answer; `standing` is `better`, `worse`, `unclear` or empty."""

    text: str
    standing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A place on the page, and what to call it."""

    anchor: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question of the first screen with its answer."""

    question: str
    lines: tuple[Line, ...]
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first thing a reader sees. `banner` is empty for a complete run."""

    tone: Tone
    word: str
    sentence: str
    banner: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a verdict is made from."""

    status: str
    counts: Counts
    correct: int | None
    judged: int
    headline: Sequence[Metric]
    failures: Sequence[Kind]
    gates: Gates | None
    baseline: Baseline | None
    changed: ChangedSamples | None
    ship: Ship
    no_baseline: str


def verdict(parts: Parts) -> Verdict:
    """Return the verdict: of the gates where there are any, else against the baseline, else only what was measured."""
    tone, word = _word(parts)
    if parts.gates is not None and tone != "incomplete":
        sentence = gate_words.summary(parts.gates)
    elif parts.baseline is not None and tone != "incomplete":
        sentence = _better(parts.headline, parts.baseline)
    else:
        sentence = _right(parts)
    return Verdict(
        tone=tone,
        word=word,
        sentence=sentence,
        banner="" if parts.status == "complete" else _banner(parts),
        answers=tuple(answer for answer in _answers(parts) if answer.lines),
    )


def tally(headline: Sequence[Metric]) -> dict[str, list[Metric]]:
    """Return the headline metrics that have a difference, by standing."""
    found: dict[str, list[Metric]] = {"better": [], "worse": [], "unclear": []}
    for metric in headline:
        if metric.change is not None and metric.change.standing is not None:
            found[metric.change.standing].append(metric)
    return found


def _word(parts: Parts) -> tuple[Tone, str]:
    if parts.status != "complete":
        return "incomplete", "INCOMPLETE"
    if parts.gates is not None:
        if parts.gates.passed:
            return "good", "PASS"
        failed = any(row.stops and row.verdict != "cannot_tell" for row in parts.gates.rows)
        return ("bad", "FAIL") if failed else ("unsure", "CANNOT TELL")
    if parts.baseline is None:
        return "done", "COMPLETE"
    found = tally(parts.headline)
    if found["better"] and found["worse"]:
        return "unsure", "BETTER AND WORSE"
    if found["worse"]:
        return "bad", "WORSE"
    return ("good", "BETTER") if found["better"] else ("unsure", "CANNOT TELL")


def _better(headline: Sequence[Metric], baseline: Baseline) -> str:
    found = tally(headline)
    better, worse, total = found["better"], found["worse"], sum(map(len, found.values()))
    if not total:
        return f"No headline score can be compared with {baseline.name}."
    if not better and not worse:
        return f"No headline score can be told apart from {baseline.name}."
    scores = plural(total, "headline score")
    if better and worse:
        return f"Against {baseline.name}: better in {_labels(better)}, worse in {_labels(worse)}."
    if better:
        return f"Better than {baseline.name} in {count(len(better))} of {scores}, worse in none."
    return f"Worse than {baseline.name} in {_labels(worse)}, better in none of {scores}."


def _labels(metrics: Sequence[Metric]) -> str:
    names = [metric.label[:1].lower() + metric.label[1:] for metric in metrics]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _right(parts: Parts) -> str:
    if parts.correct is None:
        return f"{count(parts.counts.scored)} of {plural(parts.counts.planned, 'sample')} scored."
    if not parts.judged:
        return "No sample could be judged."
    share = percent(parts.correct / parts.judged)
    return f"Right on {count(parts.correct)} of {plural(parts.judged, 'sample')} ({share})."


def _banner(parts: Parts) -> str:
    why = _WHY.get(parts.status, "its status is not known")
    return (
        f"{count(parts.counts.generated)} of {plural(parts.counts.planned, 'planned sample')} generated, "
        f"{count(parts.counts.scored)} scored ({why}). All numbers cover these only; this run passes no gate."
    )


def _answers(parts: Parts) -> list[Answer]:
    """Return the five questions with their answers, and first how good the run is by itself."""
    return [
        Answer(question="How good is it?", lines=tuple(_how_good(parts))),
        Answer(question="Is it better?", lines=tuple(_is_it_better(parts))),
        Answer(question="By how much, how sure?", lines=tuple(_by_how_much(parts))),
        _what_broke(parts),
        Answer(question="Which checkpoint to ship?", lines=(Line(text=parts.ship.sentence),)),
    ]


def _how_good(parts: Parts) -> list[Line]:
    notes = [
        f"{metric.label} {estimate_value(metric.overall)}"
        for metric in parts.headline
        if metric.overall.value is not None
    ]
    return [Line(text=_right(parts)), *([Line(text=" · ".join(notes))] if notes else [])]


def _is_it_better(parts: Parts) -> list[Line]:
    if parts.baseline is None:
        return [Line(text=parts.no_baseline)]
    lines = [Line(text=_better(parts.headline, parts.baseline))]
    if parts.baseline.differs:
        what = ", ".join(label for label, *_ in parts.baseline.differs)
        lines.append(
            Line(
                text=f"Look: the two runs differ in more than the model or adapter ({what}).",
                standing="unclear",
            )
        )
    return lines


def _by_how_much(parts: Parts) -> list[Line]:
    order = {"worse": 0, "better": 1, "unclear": 2}
    moved = [metric for metric in parts.headline if metric.change is not None]
    moved.sort(key=lambda metric: order.get(metric.change.standing or "", 3) if metric.change else 3)
    return [
        Line(
            text=f"{metric.label} {say.from_to(metric.change)}: {say.amount(metric.change.value, metric.change.share)} "
            f"({say.evidence(metric.change)})",
            standing=metric.change.standing or "",
        )
        for metric in moved
        if metric.change is not None
    ]


def _what_broke(parts: Parts) -> Answer:
    lines: list[Line] = []
    links: list[Link] = []
    if parts.gates is not None:
        stopped = [row for row in parts.gates.rows if row.stops]
        lines += [
            Line(text=_gate(row), standing="unclear" if row.verdict == "cannot_tell" else "worse")
            for row in stopped[:_NAMED]
        ]
        links += [Link(anchor="gates", label="all gates")] if stopped else []
    changed = parts.changed
    if changed is not None:
        lines.append(Line(text=_changed(changed), standing="worse" if changed.broken_n else ""))
        worst = [one for one in changed.transitions if one.kind == "broken"]
        if worst:
            lines.append(
                Line(
                    text=f"Most often: {worst[0].before} became {worst[0].after} ({count(worst[0].samples)})."
                )
            )
        links += _sample_links(changed.broken)
        links += [Link(anchor="changed", label="all that changed")]
    elif parts.failures:
        worst_kind = parts.failures[0]
        lines.append(
            Line(
                text=f"Most frequent failure: {worst_kind.code}, {plural(worst_kind.samples, 'sample')}. "
                f"{worst_kind.sentence}".strip()
            )
        )
        links.append(Link(anchor="failures", label="all kinds of failure"))
    elif not lines:
        lines.append(Line(text="Nothing: no failure."))
    return Answer(question="What broke?", lines=tuple(lines), links=tuple(links))


def _gate(row: Gate) -> str:
    return f"{row.rule or row.name}: {row.sentence[:1].lower() + row.sentence[1:] or row.verdict}"


def _changed(changed: ChangedSamples) -> str:
    sure = (
        f" ({say.p_value(changed.p)})" if changed.p is not None and changed.broken_n + changed.fixed_n else ""
    )
    return (
        f"{count(changed.broken_n)} of {plural(changed.compared, 'sample')} were right and are wrong now, "
        f"{count(changed.fixed_n)} the other way round{sure}."
    )


def _sample_links(samples: Sequence[ChangedSample]) -> list[Link]:
    on_page: dict[str, str] = {}
    for one in samples:
        if one.anchor is not None:
            on_page.setdefault(one.sample_id, one.anchor)
    return [Link(anchor=anchor, label=name) for name, anchor in list(on_page.items())[:_NAMED]]
