"""Several runs of one suite on one page: a base and adapters, each held against the first. A function of scorecards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.report.against import adjusted
from harness.report.facts import Fact
from harness.report.first_screen import Tone, tally
from harness.report.gates import Gate
from harness.report.measures import Estimate, Metric
from harness.report.model import Scorecard, with_adjusted
from harness.report.side_by_side_samples import ShownSample, shown_samples

MAX_KINDS = 30
MAX_CHANGED = 60
MAX_SHOWN = 20
MAX_GATES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: its name on this page (told apart from the others), its scorecard, its verdict against the first."""

    name: str
    card: Scorecard
    tone: Tone
    word: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric in every run; None where a run does not have it."""

    name: str
    label: str
    definition: str
    higher_is_better: bool
    headline: bool
    values: tuple[Metric | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """One slice value in every run."""

    key: str
    value: str
    values: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One gate in every run; None where a run does not have it."""

    name: str
    rule: str
    values: tuple[Gate | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """One kind of failure in every run, in samples."""

    code: str
    sentence: str
    samples: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRow:
    """A sample that came out otherwise than in the first run in at least one run; `anchor` where it is shown in full."""

    sample_id: str
    repeat: int
    before: str
    kinds: tuple[str, ...]
    """`broken`, `fixed`, or empty, for every run but the first."""
    afters: tuple[str, ...]
    anchor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Runs of one suite, the reference first, ready to be shown."""

    title: str
    description: str
    tone: Tone
    word: str
    sentence: str
    runs: tuple[Run, ...]
    identity: tuple[tuple[str, tuple[Fact | None, ...], bool], ...]
    """(label, fact of each run, whether they differ)."""
    metrics: tuple[MetricRow, ...]
    slices: tuple[tuple[MetricRow, tuple[SliceRow, ...]], ...]
    gates: tuple[GateRow, ...]
    failures: tuple[KindRow, ...]
    changed: tuple[ChangedRow, ...]
    more_changed: int
    shown: tuple[ShownSample, ...]
    limits: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Return whether every run is complete."""
        return all(run.card.complete for run in self.runs)

    @property
    def headline(self) -> tuple[MetricRow, ...]:
        """Return the metrics of the first screen."""
        return tuple(row for row in self.metrics if row.headline)


def side_by_side(cards: Sequence[Scorecard]) -> SideBySide:
    """Return the page of two or more scorecards; all but the first have it as their baseline where that is possible.

    The tests of all runs are one family: the more runs, the likelier that one of them looks better by chance.
    """
    cards = _judged_together(cards)
    runs = tuple(_runs(cards))
    tone, word, sentence = _verdict(runs)
    changed = _changed(cards)
    names = [(row.sample_id, row.repeat) for row in changed[:MAX_SHOWN]]
    shown = tuple(shown_samples(names, [card.bodies for card in cards]))
    anchors = {(one.body.sample_id, one.body.repeat): one.anchor for one in shown}
    metrics = tuple(_metrics(cards))
    return SideBySide(
        title=_suite(cards),
        description=cards[0].description,
        tone=tone,
        word=word,
        sentence=sentence,
        runs=runs,
        identity=tuple(_identity(cards)),
        metrics=metrics,
        slices=tuple(_slices(metrics, cards)),
        gates=tuple(_gates(cards))[:MAX_GATES],
        failures=tuple(_failures(cards)),
        changed=tuple(
            replace(row, anchor=anchors.get((row.sample_id, row.repeat))) for row in changed[:MAX_CHANGED]
        ),
        more_changed=max(0, len(changed) - MAX_CHANGED),
        shown=shown,
        limits=tuple(dict.fromkeys(text for card in (*cards[1:], cards[0]) for text in card.limits)),
    )


def _judged_together(cards: Sequence[Scorecard]) -> list[Scorecard]:
    """Return the cards with Holm's p-values over the headline metrics of all of them."""
    family = adjusted(
        {
            (place, metric.name): metric.change.p
            for place, card in enumerate(cards)
            for metric in card.headline
            if metric.change is not None
        }
    )
    return [
        with_adjusted(card, {name: p for (at, name), p in family.items() if at == place})
        for place, card in enumerate(cards)
    ]


def _suite(cards: Sequence[Scorecard]) -> str:
    suites = dict.fromkeys(card.title.partition(" on ")[0] for card in cards)
    return ", ".join(suites)


def _runs(cards: Sequence[Scorecard]) -> Iterator[Run]:
    for place, card in enumerate(cards):
        same = [at for at, other in enumerate(cards) if other.name == card.name]
        name = card.name if len(same) == 1 else f"{card.name} ({same.index(place) + 1})"
        if place == 0 and card.complete:
            yield Run(
                name=name, card=card, tone="done", word="BASE", sentence=card.verdict.answers[0].lines[0].text
            )
        else:
            yield Run(
                name=name,
                card=card,
                tone=card.verdict.tone,
                word=card.verdict.word,
                sentence=card.verdict.sentence,
            )


def _verdict(runs: Sequence[Run]) -> tuple[Tone, str, str]:
    """Return whether any run is better than the first, and worse in nothing that is tested."""
    base, others = runs[0], runs[1:]
    unfinished = [run.name for run in runs if not run.card.complete]
    others = [run for run in others if run.card.complete]
    if not base.card.complete or not others:
        return "incomplete", "INCOMPLETE", f"Not finished, so not compared: {', '.join(unfinished)}."
    found = {run.name: tally(run.card.headline) for run in others}
    stopped = [run.name for run in others if run.card.gates is not None and not run.card.gates.passed]
    better = [
        run.name for run in others if _only(found[run.name], "better", "worse") and run.name not in stopped
    ]
    worse = [run.name for run in others if _only(found[run.name], "worse", "better")]
    both = [name for name in worse if name in stopped]
    said = [f"{_are(both)} worse and stopped by gates"] if both else []
    only_stopped = [name for name in stopped if name not in both]
    said += [f"gates stop {', '.join(only_stopped)}"] if only_stopped else []
    only_worse = [name for name in worse if name not in both]
    said += [f"{_are(only_worse)} worse"] if only_worse else []
    said += [f"{', '.join(unfinished)} not finished"] if unfinished else []
    tail = f"; {' and '.join(said)}" if said else ""
    if better:
        untested = ". Which of them is best was not tested" if len(better) > 1 else ""
        return (
            "good",
            "BETTER",
            f"{_are(better)} better than {base.name}, worse in none{untested}{tail}.",
        )
    if stopped or worse:
        tone: Tone = "bad" if len({*stopped, *worse}) == len(others) else "unsure"
        return (
            tone,
            "NONE BETTER",
            f"No run is shown to be better than {base.name} without being worse{tail}.",
        )
    return (
        "unsure",
        "CANNOT TELL",
        f"No run can be told apart from {base.name} as better and in nothing worse.",
    )


def _are(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _only(found: dict[str, list[Metric]], some: str, none: str) -> bool:
    return bool(found[some]) and not found[none]


def _identity(cards: Sequence[Scorecard]) -> Iterator[tuple[str, tuple[Fact | None, ...], bool]]:
    tables = [{fact.label: fact for fact in card.identity} for card in cards]
    for label in dict.fromkeys(label for table in tables for label in table):
        facts = tuple(table.get(label) for table in tables)
        yield label, facts, len({fact.full if fact else None for fact in facts}) > 1


def _metrics(cards: Sequence[Scorecard]) -> Iterator[MetricRow]:
    tables = [{metric.name: metric for metric in (*card.headline, *card.secondary)} for card in cards]
    for name in dict.fromkeys(name for table in tables for name in table):
        values = tuple(table.get(name) for table in tables)
        about = next(metric for metric in values if metric is not None)
        yield MetricRow(
            name=name,
            label=about.label,
            definition=about.definition,
            higher_is_better=about.higher_is_better,
            headline=about.headline,
            values=values,
        )


def _slices(
    metrics: Sequence[MetricRow], cards: Sequence[Scorecard]
) -> Iterator[tuple[MetricRow, tuple[SliceRow, ...]]]:
    for metric in metrics:
        if not metric.headline:
            continue
        tables = []
        for card in cards:
            parts = [part for part in card.slices if part.metric.name == metric.name]
            tables.append({row.group: row for part in parts for group in part.groups for row in group.rows})
        names = dict.fromkeys(name for table in tables for name in table)
        rows = []
        for name in names:
            key, _, value = name.partition("=")
            rows.append(SliceRow(key=key, value=value, values=tuple(table.get(name) for table in tables)))
        if rows:
            yield metric, tuple(rows)


def _gates(cards: Sequence[Scorecard]) -> Iterator[GateRow]:
    tables = [{gate.name: gate for gate in card.gates.rows} if card.gates else {} for card in cards]
    for name in dict.fromkeys(name for table in tables for name in table):
        values = tuple(table.get(name) for table in tables)
        yield GateRow(name=name, rule=next(gate.rule for gate in values if gate), values=values)


def _failures(cards: Sequence[Scorecard]) -> list[KindRow]:
    tables = [{kind.code: kind for kind in card.failures} for card in cards]
    rows = []
    for code in dict.fromkeys(code for table in tables for code in table):
        kinds = [table.get(code) for table in tables]
        rows.append(
            KindRow(
                code=code,
                sentence=next(kind.sentence for kind in kinds if kind),
                samples=tuple(kind.samples if kind else 0 for kind in kinds),
            )
        )
    return sorted(rows, key=lambda row: (-sum(row.samples), row.code))[:MAX_KINDS]


def _changed(cards: Sequence[Scorecard]) -> list[ChangedRow]:
    """Return the samples that are named as broken or fixed in some run: broken in most runs first."""
    tables = []
    for card in cards[1:]:
        changed = card.changed
        broken = {(one.sample_id, one.repeat): ("broken", one) for one in changed.broken} if changed else {}
        fixed = {(one.sample_id, one.repeat): ("fixed", one) for one in changed.fixed} if changed else {}
        tables.append({**broken, **fixed})
    rows = []
    for key in dict.fromkeys(key for table in tables for key in table):
        found = [table.get(key) for table in tables]
        kinds = tuple(one[0] if one else "" for one in found)
        rows.append(
            ChangedRow(
                sample_id=key[0],
                repeat=key[1],
                before=next(one[1].before for one in found if one),
                kinds=kinds,
                afters=tuple(one[1].after if one else "" for one in found),
                anchor=None,
            )
        )
    return sorted(rows, key=lambda row: (-row.kinds.count("broken"), row.kinds.count("fixed"), row.sample_id))
