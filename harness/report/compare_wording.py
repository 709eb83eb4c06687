"""The sentences of a comparison. Every number in them stands in a table as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.report.stored import mapping
from harness.report.text import count, one_line, plural
from harness.report.wording_of_change import amount, constrained, p_value
from harness.run.comparable import PROMPT_PARTS, same_model
from harness.run.noise_file import NoiseFile, unlike
from harness.run.paired_runs import prompts_of_other_lengths

if TYPE_CHECKING:
    from harness.report.against import Change
    from harness.report.compare_model import MetricChange, MetricRow, Side
    from harness.report.compare_outcomes import Outcome
    from harness.report.compare_samples import ChangedSample, Kind
    from harness.run.paired_runs import PairedRuns

Tone = Literal["good", "bad", "unsure"]
EXPECTATIONS = {"no_call": "expected: no call", "ask": "expected: a question back, no call"}
_FEW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first thing a reader sees of one run against the reference."""

    tone: Tone
    word: str
    sentence: str
    tally: str


def verdict(
    reference: str,
    name: str,
    place: int,
    metrics: Sequence[MetricRow],
    counts: Mapping[Kind, int],
    n: int,
) -> Verdict:
    """Return the verdict on one run: what is clearly better and worse by the tested metrics, and what came of samples."""
    moved: dict[str, list[str]] = {"better": [], "worse": []}
    for row in metrics:
        change = row.changes[place]
        if change is not None and change.change.standing in moved:
            said = f"{one_line(row.label, 60)} {amount(change.change.value, row.share)}"
            moved[change.change.standing].append(said)
    tally = (
        f"{count(counts['broken'])} broken, {count(counts['fixed'])} fixed, {count(counts['changed'])} wrong in another "
        f"way, {count(counts['same'])} the same, of {plural(n, 'sample')}."
    )
    better, worse = ", ".join(moved["better"]), ", ".join(moved["worse"])
    tone: Tone
    if better and worse:
        word, tone = "BETTER AND WORSE", "unsure"
        sentence = f"{name} against {reference}: better in {better}; worse in {worse}."
    elif better:
        word, tone, sentence = "BETTER", "good", f"{name} is better than {reference}: {better}."
    elif worse:
        word, tone, sentence = "WORSE", "bad", f"{name} is worse than {reference}: {worse}."
    else:
        word, tone, sentence = "CANNOT TELL", "unsure", _cannot_tell(reference, name, place, metrics)
    return Verdict(tone=tone, word=word, sentence=sentence, tally=tally)


def _cannot_tell(reference: str, name: str, place: int, metrics: Sequence[MetricRow]) -> str:
    tested = [(row, change) for row in metrics if row.headline and (change := row.changes[place]) is not None]
    if not tested:
        return f"No tested metric has a value for both {name} and {reference}."
    if all(not change.change.changed for _, change in tested):
        return f"{name} and {reference} have the same values in every tested metric, sample by sample."
    sentence = f"No tested metric of {name} differs from {reference} by more than chance or noise explains."
    known = [change.detectable for row, change in tested if row.share and change.detectable is not None]
    if known:
        sentence += f" Differences below {amount(min(known), True, signed=False)} could not have been found."
    return sentence


def banner(sides: Sequence[Side]) -> str:
    """Return what must be said before anything else if a run is incomplete, else an empty text."""
    parts = [
        f"{side.name} is {side.status}: {count(side.coverage.scored)} of {plural(side.planned, 'sample')} scored"
        for side in sides
        if not side.complete
    ]
    return f"INCOMPLETE. {'; '.join(parts)}. Nothing here passes a gate." if parts else ""


def coverage(side: Side) -> str:
    """Return what a run brought: "250 of 250 scored, 2 errors, 1 unscored, 3 missing"."""
    found = side.coverage
    parts = [f"{count(found.scored)} of {count(side.planned)} scored"]
    parts += [plural(found.errors, "error")] if found.errors else []
    parts += [f"{count(found.unscored)} unscored"] if found.unscored else []
    parts += [f"{count(found.missing)} missing"] if found.missing else []
    return ", ".join(parts)


def outcome_sentence(outcome: Outcome, n: int) -> str:
    """Return what became of the samples as wholes, with its test."""
    said = p_value(outcome.p)
    changed = outcome.counts["broken"] + outcome.counts["fixed"]
    test = f" Broken against fixed: {said}." if said and changed else ""
    return (
        f"{count(outcome.same_right)} right in both, {count(outcome.same_wrong)} wrong in both in the same way. "
        f"{count(outcome.same_replies)} of {plural(n, 'reply', 'replies')} are word for word the same.{test}"
    )


def detectable_text(change: MetricChange) -> str:
    """Return the smallest detectable difference, a dash where there is none."""
    return "–" if change.detectable is None else amount(change.detectable, change.change.share, signed=False)


def noise_text(change: Change) -> str:
    """Return the noise floor, or that none was measured."""
    return "not measured" if change.noise is None else amount(change.noise, change.share, signed=False)


def became(sample: ChangedSample) -> str:
    """Return what became of a sample, each kind once: "broken, changed"."""
    return ", ".join(dict.fromkeys(kind for kind in sample.kinds if kind != "same"))


def expectation(expect: str) -> str:
    """Return what was expected where it is no call, else an empty text."""
    return EXPECTATIONS.get(expect, "")


def notes(
    paired: PairedRuns,
    sides: Sequence[Side],
    metrics: Sequence[MetricRow],
    noise: Sequence[NoiseFile | None],
) -> Iterator[str]:
    """Yield what a reader must know before believing the numbers."""
    for other in range(1, len(sides)):
        yield from _prompt_notes(paired, sides, other)
        yield from _decoding_notes(paired, sides, other)
    yield from _definition_notes(paired, sides)
    for side, header, one in zip(sides, paired.headers, [*noise, *[None] * len(sides)], strict=False):
        if one is not None and (differs := unlike(one.about, header)):
            yield f"The noise measured for {side.name} was measured on something else ({', '.join(differs)}): measure it again."
    few = sorted({one_line(row.label, 60) for row in metrics if row.headline and _few(row)})
    if few:
        yield f"Fewer than {_FEW} independent groups of samples for: {', '.join(few)}. Nothing can be told from these."
    if len(sides) > 2:
        yield "All numbers stand on the samples that every run scored, so that the columns can be compared."


def _few(row: MetricRow) -> bool:
    return any(change is not None and change.clusters < _FEW for change in row.changes)


def _prompt_notes(paired: PairedRuns, sides: Sequence[Side], other: int) -> Iterator[str]:
    one, two = paired.headers[0], paired.headers[other]
    unlike_parts = [
        name for key, name in PROMPT_PARTS.items() if one["prompt"].get(key) != two["prompt"].get(key)
    ]
    here, there = sides[other].name, sides[0].name
    if same_model(one, two):
        many = len(prompts_of_other_lengths(paired, other))
        differ = [*unlike_parts, *([f"the length of {plural(many, 'prompt')}"] if many else [])]
        if differ:
            yield f"{here} was asked with other prompts than {there}: {', '.join(differ)}. The difference holds the prompt."
    elif unlike_parts:
        yield (
            f"{here} is another model than {there} and was asked in its own way: {', '.join(unlike_parts)} differ. "
            "The difference holds model and prompt together."
        )


def _decoding_notes(paired: PairedRuns, sides: Sequence[Side], other: int) -> Iterator[str]:
    here, there = (constrained(paired.headers[place]) or "free" for place in (other, 0))
    if here != there:
        yield (
            f"{sides[other].name} and {sides[0].name} were not decoded alike: {one_line(here, 60)} and "
            f"{one_line(there, 60)}. The difference holds the grammar."
        )


def _definition_notes(paired: PairedRuns, sides: Sequence[Side]) -> Iterator[str]:
    described = [mapping(summary.get("measures")) for summary in paired.summaries]
    latest = described[-1]
    for side, here in zip(sides, described, strict=True):
        unlike_names = [
            name
            for name in latest
            if name in here
            and mapping(here[name]).get("definition") != mapping(latest[name]).get("definition")
        ]
        missing = [name for name in latest if name not in here]
        if unlike_names or missing:
            yield (
                f"{side.name} was scored with other definitions ({', '.join([*unlike_names, *missing])}): score it "
                "again with `harness score`."
            )
