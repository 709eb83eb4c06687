"""How well the checks do on sentences whose labels are known: accuracy, precision and recall with Wilson's intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import RecordError
from harness.stats import wilson_interval

if TYPE_CHECKING:
    from harness.persona.speech_level import SpeechLevelAnalyser


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """successes of n with Wilson's 95 % interval; `value` is None for n = 0."""

    successes: int
    n: int

    @property
    def value(self) -> float | None:
        return self.successes / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.successes, self.n)

    def __str__(self) -> str:
        if self.value is None:
            return "none"
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f}-{high:.3f}), {self.successes} of {self.n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldMiss:
    """A gold sentence that was judged otherwise."""

    id: str
    text: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldAccuracy:
    """How many gold cases were judged as labelled."""

    accuracy: Proportion
    misses: tuple[GoldMiss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldDetection:
    """Of the found ones how many are right (precision), of the right ones how many are found (recall)."""

    precision: Proportion
    recall: Proportion
    misses: tuple[GoldMiss, ...]


def read_gold(path: Path) -> list[dict[str, Any]]:
    """Return the records of a gold file. Raises RecordError (file:line) for what is no JSON object with id and text."""
    records: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise RecordError(f"not JSON: {error}", where=f"{path}:{number}") from None
            if not isinstance(record, dict) or not all(
                isinstance(record.get(k), str) for k in ("id", "text")
            ):
                raise RecordError("a gold record is an object with id and text", where=f"{path}:{number}")
            records.append(record)
    return records


def measure_scripts(records: Iterable[dict[str, Any]]) -> GoldAccuracy:
    """Return on how many script cases both the verdict and the scripts that leak are as labelled."""
    from harness.persona.card import Language
    from harness.persona.language import language_leaks

    results = []
    for record in records:
        spec = Language(
            code=record["language"],
            allow_terms=tuple(record["allow_terms"]),
            han_in_parentheses=record["han_in_parentheses"],
        )
        found = {leak.script for leak in language_leaks(record["text"], spec)}
        results.append((record, sorted(record["leaks"]), sorted(found)))
    return _accuracy((record, str(right), str(found), right == found) for record, right, found in results)


def measure_speech_levels(records: Sequence[dict[str, Any]], analyser: SpeechLevelAnalyser) -> GoldAccuracy:
    """Return for how many sentences the analyser's level is one of those that the label accepts."""
    from harness.persona.speech_level import level_of

    found = [level_of(record["text"], analyser) for record in records]
    return _accuracy(
        (record, "|".join(record["accept"]), level, level in record["accept"])
        for record, level in zip(records, found, strict=True)
    )


def measure_breaks(records: Iterable[dict[str, Any]], names: Sequence[str]) -> dict[str, GoldDetection]:
    """Return, for each language, how precisely and how completely breaks of a character of these names are found."""
    from harness.persona.persona_break import find_breaks

    judged: dict[str, list[tuple[dict[str, Any], list[str]]]] = {}
    for record in records:
        kinds: list[str] = [hit.kind for hit in find_breaks(record["text"], tuple(names)) if hit.breaks]
        judged.setdefault(record["language"], []).append((record, kinds))
    return {language: _detection(cases) for language, cases in sorted(judged.items())}


def _detection(cases: list[tuple[dict[str, Any], list[str]]]) -> GoldDetection:
    hits = sum(record["break"] and bool(kinds) for record, kinds in cases)
    return GoldDetection(
        precision=Proportion(successes=hits, n=sum(bool(kinds) for _, kinds in cases)),
        recall=Proportion(successes=hits, n=sum(record["break"] for record, _ in cases)),
        misses=tuple(
            GoldMiss(
                id=record["id"],
                text=record["text"],
                expected=record.get("kind", "") if record["break"] else "none",
                found=", ".join(kinds) or "none",
            )
            for record, kinds in cases
            if record["break"] != bool(kinds)
        ),
    )


def _accuracy(judged: Iterable[tuple[dict[str, Any], str, str, bool]]) -> GoldAccuracy:
    cases = list(judged)
    return GoldAccuracy(
        accuracy=Proportion(successes=sum(right for *_, right in cases), n=len(cases)),
        misses=tuple(
            GoldMiss(id=record["id"], text=record["text"], expected=expected, found=found)
            for record, expected, found, right in cases
            if not right
        ),
    )
