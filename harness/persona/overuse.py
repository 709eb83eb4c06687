"""Phrases that stand in too many replies: how many prompts' replies hold one, against the persona's own.

A property of many replies together; no single reply can show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.persona.reply_text import eojeols, mask, nfc
from harness.types import Json

MIN_PROMPTS = 3
"""A phrase in the replies to fewer prompts is no habit."""
LONGEST = 20_000

Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverusedPhrase:
    """A phrase of n eojeols (words): the share of prompts whose replies hold it, here and in the references."""

    phrase: str
    prompts: int
    share: float
    reference_share: float

    @property
    def excess(self) -> float:
        """Return the share here minus that in the references."""
        return self.share - self.reference_share


@dataclass(frozen=True, slots=True, kw_only=True)
class OveruseTable:
    """The phrases with the largest excess, first the worst."""

    phrases: tuple[OverusedPhrase, ...]
    prompts: int
    reference_prompts: int
    max_excess_share: float

    @property
    def excess(self) -> float:
        """Return the largest excess, 0 where no phrase is overused."""
        return max((phrase.excess for phrase in self.phrases), default=0.0)

    @property
    def passed(self) -> bool:
        """Return whether no phrase goes beyond what the card allows."""
        return self.excess <= self.max_excess_share

    def as_json(self) -> dict[str, Json]:
        """Return the table for summary.json."""
        return {
            "prompts": self.prompts,
            "reference_prompts": self.reference_prompts,
            "max_excess_share": self.max_excess_share,
            "excess": self.excess,
            "passed": self.passed,
            "phrases": [
                {
                    "phrase": phrase.phrase,
                    "prompts": phrase.prompts,
                    "share": phrase.share,
                    "reference_share": phrase.reference_share,
                }
                for phrase in self.phrases
            ],
        }


class PhraseCounts:
    """Counts in how many prompts' replies each phrase stands; several replies to one prompt count once."""

    def __init__(self, ngram: tuple[int, int]) -> None:
        self._shortest, self._longest = ngram
        self._counts: Counter[Phrase] = Counter()
        self._seen: dict[str, set[Phrase]] = {}

    @property
    def prompts(self) -> int:
        """Return how many prompts have been counted."""
        return len(self._seen)

    def add(self, prompt: str, question: str, reply: str) -> None:
        """Count a reply to the prompt of that name; what the question says itself is left out."""
        seen = self._seen.setdefault(prompt, set())
        asked = set(self._phrases(question))
        for phrase in dict.fromkeys(self._phrases(reply)):
            if phrase not in seen and phrase not in asked:
                seen.add(phrase)
                self._counts[phrase] += 1

    def share(self, phrase: Phrase) -> float:
        """Return the share of prompts with the phrase, 0 where nothing was counted."""
        return self._counts[phrase] / self.prompts if self.prompts else 0.0

    def against(self, references: PhraseCounts, *, max_excess_share: float, top: int) -> OveruseTable:
        """Return the phrases most in excess of the references, each only in its longest form."""
        found = [
            OverusedPhrase(
                phrase=" ".join(phrase),
                prompts=count,
                share=count / self.prompts,
                reference_share=references.share(phrase),
            )
            for phrase, count in self._counts.items()
            if count >= MIN_PROMPTS and count / self.prompts > references.share(phrase)
        ]
        found.sort(key=lambda one: (-one.excess, -len(one.phrase), one.phrase))
        return OveruseTable(
            phrases=tuple(_longest_forms(found, top)),
            prompts=self.prompts,
            reference_prompts=references.prompts,
            max_excess_share=max_excess_share,
        )

    def _phrases(self, text: str) -> Iterable[Phrase]:
        plain = mask(nfc(text[:LONGEST])).casefold()
        words = [plain[start:end].strip(_MARKS) for start, end in eojeols(plain)]
        words = [word for word in words if word]
        for length in range(self._shortest, self._longest + 1):
            for start in range(len(words) - length + 1):
                yield tuple(words[start : start + length])


_MARKS = ".,!?…~\"'“”‘’「」『』()[]{}:;*_`-–—"


def _longest_forms(found: list[OverusedPhrase], top: int) -> Iterable[OverusedPhrase]:
    kept: list[OverusedPhrase] = []
    for one in found:
        if len(kept) == top:
            break
        within = any(
            f" {one.phrase} " in f" {other.phrase} " and one.excess <= other.excess for other in kept
        )
        if not within:
            kept.append(one)
    return kept
