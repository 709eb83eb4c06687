"""Which samples a scorecard shows in full, chosen in one pass with bounded memory.

Examples of each kind of failure first, then what changed since the baseline, then failures, samples without a score,
and passes. Where there are more than fit, a seeded draw decides (the lowest hashes of the ids), so that the order of
the file does not, and two reports of one run show the same samples.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.report.sample_body import (
    OUTCOMES,
    ChangeKind,
    Earlier,
    Outcome,
    Pair,
    Record,
    SampleBody,
    label,
    make_body,
    outcome_of,
)
from harness.report.stored import number, whole

MAX_BODIES = 200
MAX_LISTED = 1_000
MAX_PAGE_BYTES = 620_000
EXAMPLES = 3
MAX_VERDICTS = 64
MAX_KEPT_TEXT = 4_000
"""Characters of question and reply up to which a candidate's records are held as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """How many samples a page shows in full and lists, and how many bytes the full ones may take together."""

    bodies: int = MAX_BODIES
    listed: int = MAX_LISTED
    bytes: int = MAX_PAGE_BYTES


FULL = PageLimits(bodies=sys.maxsize, listed=0, bytes=sys.maxsize)
"""Every sample in full: the page grows with the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRef:
    """One sample that is only listed."""

    sample_id: str
    repeat: int
    anchor: str
    outcome: Outcome
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What one pass over the samples left."""

    bodies: tuple[SampleBody, ...]
    listed: tuple[SampleRef, ...]
    unlisted: int
    seen: int
    correct: int
    judged: int
    examples: Mapping[str, tuple[str, ...]]
    """Verdict code to the first sample ids that got it."""
    passing: frozenset[str]
    """Verdict codes that were given to samples that are right."""
    anchors: Mapping[str, str]
    """Sample id to the anchor of its first repeat on the page."""
    latencies: tuple[float, ...]
    new_tokens: tuple[float, ...]


_Kept = SampleBody | Pair
"""A candidate for the page: records that are short as they are, as most are pushed out again; long ones cut to a body."""

_EXAMPLE, _CHANGED, _OTHER = 2, 1, 0
"""What is taken first."""

_SHARES: Mapping[Outcome, float] = {"fail": 0.75, "unscored": 0.85, "pass": 1.0}
"""The part of the page's bytes that may be full after each outcome, so that failures leave room for passes."""


@dataclass(slots=True)
class _Shelf:
    """The best `size` candidates seen of one outcome: by rank, then by lowest hash."""

    size: int
    heap: list[tuple[int, int, int, _Kept]] = field(default_factory=list)

    def would_take(self, rank: int, draw: int) -> bool:
        return self.size > 0 and (len(self.heap) < self.size or (rank, -draw) > self.heap[0][:2])

    def put(self, rank: int, draw: int, order: int, kept: _Kept) -> None:
        heapq.heappush(self.heap, (rank, -draw, -order, kept))
        if len(self.heap) > self.size:
            heapq.heappop(self.heap)

    def examples(self) -> int:
        return sum(entry[0] == _EXAMPLE for entry in self.heap)

    def best(self, many: int) -> list[_Kept]:
        return [entry[3] for entry in sorted(self.heap, key=lambda entry: entry[:3], reverse=True)[:many]]


class SamplePicker:
    """Feed it every (score, generation) once, then take `finish()`. `earlier` is what a baseline answered."""

    def __init__(
        self,
        limits: PageLimits,
        *,
        wanted: frozenset[str],
        verdict_texts: Mapping[str, str],
        finding_texts: Mapping[str, str],
        earlier: Earlier | None = None,
    ) -> None:
        self._limits = limits
        self._wanted = wanted
        self._earlier = earlier
        self._texts: Mapping[str, Mapping[str, str]] = {"verdict": verdict_texts, "finding": finding_texts}
        self._shelves = {outcome: _Shelf(limits.bodies) for outcome in OUTCOMES}
        self._refs: dict[Outcome, list[SampleRef]] = {outcome: [] for outcome in OUTCOMES}
        self._totals: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self._examples: dict[str, list[str]] = {}
        self._passing: set[str] = set()
        self._correct = self._judged = 0
        self._latencies, self._new_tokens = array("d"), array("d")

    def add(self, score: Record, generation: Record, change: ChangeKind | None = None) -> None:
        """Take one sample into account; `change` is what became of it since the baseline."""
        outcome = outcome_of(score)
        sample_id, repeat = label(score.get("sample_id")), whole(score.get("repeat"))
        verdict = label(score.get("verdict"), 80)
        self._totals[outcome] += 1
        self._tally(score, generation, verdict)
        if len(self._refs[outcome]) < self._limits.listed + MAX_BODIES:
            self._refs[outcome].append(
                SampleRef(sample_id=sample_id, repeat=repeat, anchor="", outcome=outcome, verdict=verdict)
            )
        example = outcome != "pass" and self._is_example(verdict, sample_id)
        changed = _CHANGED if change in ("broken", "fixed") else _OTHER
        rank = _EXAMPLE if example or sample_id in self._wanted else changed
        key = f"{sample_id}\x00{repeat}".encode("utf-8", "surrogatepass")
        draw = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        shelf = self._shelves[outcome]
        if shelf.would_take(rank, draw):
            long = len(str(generation.get("text"))) + len(str(score.get("question"))) > MAX_KEPT_TEXT
            kept: _Kept = self._body(score, generation) if long else (score, generation)
            shelf.put(rank, draw, sum(self._totals.values()), kept)

    def _body(self, score: Record, generation: Record) -> SampleBody:
        before = None
        if self._earlier is not None:
            before = self._earlier.pair(score.get("sample_id"), score.get("repeat"))
        texts = self._texts
        return make_body(
            score, generation, verdict_texts=texts["verdict"], finding_texts=texts["finding"], before=before
        )

    def _tally(self, score: Record, generation: Record, verdict: str) -> None:
        correct = score.get("correct")
        if isinstance(correct, bool) and score.get("status", "scored") == "scored":
            self._judged += 1
            self._correct += correct
            if correct:
                self._passing.add(verdict)
        latency = number(generation.get("latency_s"))
        if latency is not None:
            self._latencies.append(latency)
        if generation.get("status") == "ok":
            self._new_tokens.append(whole(generation.get("new_tokens")))

    def _is_example(self, verdict: str, sample_id: str) -> bool:
        if verdict not in self._examples and len(self._examples) >= MAX_VERDICTS:
            return False
        known = self._examples.setdefault(verdict, [])
        if len(known) < EXAMPLES and sample_id not in known:
            known.append(sample_id)
        return sample_id in known

    def _choose(self) -> list[SampleBody]:
        """Fill the page in order of outcome, but keep a tenth, or the examples, for the later ones."""
        most = self._limits.bodies
        reserve = {
            outcome: max(shelf.examples(), min(self._totals[outcome], most // 10))
            for outcome, shelf in self._shelves.items()
        }
        room, chosen, spent = most, list[SampleBody](), 0
        for place, outcome in enumerate(OUTCOMES):
            later = sum(reserve[other] for other in OUTCOMES[place + 1 :])
            kept = self._shelves[outcome].best(max(0, room - later))
            for entry in kept:
                body = entry if isinstance(entry, SampleBody) else self._body(*entry)
                if spent + body.cost <= self._limits.bytes * _SHARES[outcome]:
                    spent += body.cost
                    chosen.append(body)
            room -= len(kept)
        return chosen

    def finish(self) -> Picked:
        """Return the chosen bodies in reading order (broken ones, then failures by verdict) and the others as a list."""
        common = {code: -sum(ref.verdict == code for ref in self._refs["fail"]) for code in self._examples}
        chosen = sorted(
            self._choose(),
            key=lambda b: (
                OUTCOMES.index(b.outcome),
                b.change not in ("broken", "fixed"),
                common.get(b.verdict, 0),
                b.verdict,
                b.sample_id,
                b.repeat,
            ),
        )
        shown = {(body.sample_id, body.repeat) for body in chosen}
        others = [
            ref
            for ref in itertools.chain.from_iterable(self._refs[outcome] for outcome in OUTCOMES)
            if (ref.sample_id, ref.repeat) not in shown
        ]
        seen = sum(self._totals.values())
        names = _Anchors()
        bodies = tuple(names.named(body) for body in chosen)
        listed = tuple(names.named(ref) for ref in others[: self._limits.listed])
        return Picked(
            bodies=bodies,
            listed=listed,
            unlisted=max(0, seen - len(bodies) - len(listed)),
            seen=seen,
            correct=self._correct,
            judged=self._judged,
            examples={code: tuple(ids) for code, ids in self._examples.items()},
            passing=frozenset(self._passing),
            anchors=names.first,
            latencies=tuple(sorted(self._latencies)),
            new_tokens=tuple(sorted(self._new_tokens)),
        )


_Shown = TypeVar("_Shown", SampleBody, SampleRef)


class _Anchors:
    """Unique element ids of the form `sample=ID`, from ids that may hold any character."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self.first: dict[str, str] = {}

    def named(self, item: _Shown) -> _Shown:
        """Return `item` with its anchor."""
        safe = "".join(c if c.isalnum() or c in "._-:/" else "_" for c in item.sample_id)
        base = f"sample={safe}" + (f"~{item.repeat}" if item.repeat else "")
        anchor, copy = base, 1
        while anchor in self._used:
            copy += 1
            anchor = f"{base}~~{copy}"
        self._used.add(anchor)
        self.first.setdefault(item.sample_id, anchor)
        return replace(item, anchor=anchor)
