"""Prompts that hold answers of the same run: which round they belong to, and what those answers are.

A turn of a conversation can be asked once the turns before it are answered. A sample's round is the number of answers that
it quotes: in round 0 stand the samples that quote none, and each round is one batch for the engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import UsageError
from harness.types import Generation, Sample


def quoted_by(sample: Sample) -> tuple[str, ...]:
    """Return the ids of the samples whose answers this sample quotes, in the order of its turns."""
    return tuple(message.reply_of for message in sample.messages if message.reply_of is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How many rounds a run has, and the samples whose answers are quoted."""

    count: int = 1
    quoted: frozenset[str] = frozenset()


def rounds_of(samples: Iterable[Sample], where: Path) -> Rounds:
    """Return the rounds of a run of these samples.

    Raises UsageError if one quotes a sample that is not among them: half a conversation cannot be asked.
    """
    there: set[str] = set()
    wanted: dict[str, str] = {}
    most = 0
    for sample in samples:
        there.add(sample.id)
        names = quoted_by(sample)
        most = max(most, len(names))
        wanted |= dict.fromkeys(names, sample.id)
    missing = next((name for name in wanted if name not in there), None)
    if missing is not None:
        raise UsageError(
            f"{wanted[missing]!r} continues a conversation whose turn {missing!r} is not selected",
            where=where,
            remedy="Choose whole conversations (--tag persona=..., --tag conversation=...); --limit cuts them up.",
        )
    return Rounds(count=most + 1, quoted=frozenset(wanted))


@dataclass(slots=True)
class Answered:
    """The answers of a run so far, of those samples that others quote.

    `unfit` are the samples (and repeats) that continue a conversation which did not fit the model's context: they do
    not fit either, and nobody need try. `refused` says of those whose conversation the model's chat template does not
    take with the answers in it (an empty one, say) why not.
    """

    rounds: Rounds
    unfit: set[tuple[str, int]] = field(default_factory=set)
    refused: dict[tuple[str, int], str] = field(default_factory=dict)
    _texts: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def add(self, generation: Generation) -> None:
        """Take in one answer. A failed one is none: what quotes it waits for the next try."""
        if generation.sample_id in self.rounds.quoted and generation.status != "error":
            text = generation.text if generation.status == "ok" else None
            self._texts[generation.sample_id, generation.repeat] = text

    def fill(self, sample: Sample, repeat: int) -> Sample | None:
        """Return the sample with the answers that it quotes, None if one of them is not there."""
        names = quoted_by(sample)
        if any((name, repeat) not in self._texts for name in names):
            return None
        if any(self._texts[name, repeat] is None for name in names):
            self.unfit.add((sample.id, repeat))
        messages = tuple(
            message
            if message.reply_of is None
            else replace(message, content=self._texts[message.reply_of, repeat] or "", reply_of=None)
            for message in sample.messages
        )
        return replace(sample, messages=messages)
