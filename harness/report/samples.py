"""Which samples a scorecard shows in full, chosen in one pass with bounded memory.

Examples of each kind of failure first, then failures, then samples without a score, then passes. Where there
are more than fit, a seeded draw decides (the lowest hashes of the ids), so that the order of the file does
not, and two reports of one run show the same samples.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from harness.report.align import Budget, CallPair, align
from harness.report.stored import items, mapping, mappings, number, whole
from harness.report.text import Clipped, clip, markup_cost

Outcome = Literal["fail", "unscored", "pass"]
OUTCOMES: tuple[Outcome, ...] = ("fail", "unscored", "pass")

REPLY_BYTES = 8_000
QUESTION_BYTES = 3_000
ERROR_BYTES = 2_000
DETAIL_BYTES = 400
LABEL_BYTES = 200
MAX_TOOLS = 40
MAX_FINDINGS = 20
MAX_TAGS = 12
MAX_LISTED = 1_000
MAX_PAGE_BYTES = 3_500_000
BODY_BYTES = 2_600
EXAMPLES = 3
MAX_VERDICTS = 64
MAX_KEPT_TEXT = 4_000
"""Characters of question and reply up to which a candidate's records are held as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingNote:
    """One finding of one sample, as shown."""

    code: str
    text: str
    detail: Clipped
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBody:
    """One sample shown in full: the question, the calls side by side, the raw reply, what scoring found."""

    sample_id: str
    repeat: int
    anchor: str
    outcome: Outcome
    status: str
    verdict: str
    verdict_text: str
    parse: str | None
    expect: str
    language: str
    tags: tuple[tuple[str, str], ...]
    question: Clipped
    pairs: tuple[CallPair, ...]
    pairs_omitted: int
    reply: Clipped
    error: Clipped | None
    finish_reason: str | None
    prompt_tokens: int
    new_tokens: int
    latency_s: float | None
    findings: tuple[FindingNote, ...]
    tools: tuple[str, ...]
    tools_omitted: int
    cost: int


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


def outcome_of(score: Mapping[str, Any]) -> Outcome:
    """Return how a sample is filed: a score that is right or not judged as a whole is no failure."""
    if score.get("status", "scored") != "scored":
        return "unscored"
    return "fail" if score.get("correct") is False else "pass"


def _label(value: Any, limit: int = LABEL_BYTES) -> str:
    text = "" if value is None else str(value)
    kept = clip(text, limit)
    return kept.text + "…" if kept.omitted else kept.text


def _finding(raw: Mapping[str, Any], texts: Mapping[str, str]) -> FindingNote:
    code = _label(raw.get("code"))
    call, argument = raw.get("call"), raw.get("argument")
    places = [f"call {call + 1}"] if isinstance(call, int) and not isinstance(call, bool) else []
    places += [f"argument {_label(argument)}"] if argument is not None else []
    return FindingNote(
        code=code,
        text=texts.get(code, ""),
        detail=clip(str(raw.get("detail") or ""), DETAIL_BYTES),
        place=", ".join(places),
    )


def make_body(
    score: Mapping[str, Any],
    generation: Mapping[str, Any],
    *,
    verdict_texts: Mapping[str, str],
    finding_texts: Mapping[str, str],
) -> SampleBody:
    """Return one sample cut to what a page can hold. Its `anchor` is set when the page is put together."""
    budget = Budget()
    pairs, pairs_omitted = align(mappings(score.get("expected")), mappings(score.get("predicted")), budget)
    question = clip(str(score.get("question") or ""), QUESTION_BYTES)
    reply = clip(str(generation.get("text") or ""), REPLY_BYTES)
    error = clip(str(generation["error"]), ERROR_BYTES) if generation.get("error") else None
    notes = tuple(_finding(raw, finding_texts) for raw in mappings(score.get("findings"))[:MAX_FINDINGS])
    tools = [_label(tool, 80) for tool in items(score.get("tools"))]
    tags = tuple((_label(key, 80), _label(value, 80)) for key, value in mapping(score.get("tags")).items())
    verdict = _label(score.get("verdict"), 80)
    texts = [question.text, reply.text, error.text if error else "", *tools[:MAX_TOOLS]]
    texts += [note.detail.text for note in notes]
    return SampleBody(
        sample_id=_label(score.get("sample_id")),
        repeat=whole(score.get("repeat")),
        anchor="",
        outcome=outcome_of(score),
        status=_label(score.get("status")),
        verdict=verdict,
        verdict_text=verdict_texts.get(verdict, ""),
        parse=_label(score.get("parse")) or None,
        expect=_label(score.get("expect")),
        language=str(dict(tags).get("language", "")),
        tags=tags[:MAX_TAGS],
        question=question,
        pairs=pairs,
        pairs_omitted=pairs_omitted,
        reply=reply,
        error=error,
        finish_reason=_label(generation.get("finish_reason")) or None,
        prompt_tokens=whole(generation.get("prompt_tokens")),
        new_tokens=whole(generation.get("new_tokens")),
        latency_s=number(generation.get("latency_s")),
        findings=notes,
        tools=tuple(tools[:MAX_TOOLS]),
        tools_omitted=max(0, len(tools) - MAX_TOOLS),
        cost=BODY_BYTES + budget.spent + sum(map(markup_cost, texts)) + 220 * len(notes) + 14 * len(tools),
    )


_Kept = SampleBody | tuple[Mapping[str, Any], Mapping[str, Any]]
"""A candidate for the page: records that are short as they are, as most are pushed out again; long ones cut to a body."""


@dataclass(slots=True)
class _Shelf:
    """The best `size` candidates seen of one outcome: pinned ones before others, then by lowest hash."""

    size: int
    heap: list[tuple[int, int, int, _Kept]] = field(default_factory=list)

    def would_take(self, pinned: bool, draw: int) -> bool:
        return len(self.heap) < self.size or (int(pinned), -draw) > self.heap[0][:2]

    def put(self, pinned: bool, draw: int, order: int, kept: _Kept) -> None:
        heapq.heappush(self.heap, (int(pinned), -draw, -order, kept))
        if len(self.heap) > self.size:
            heapq.heappop(self.heap)

    def pinned(self) -> int:
        return sum(entry[0] for entry in self.heap)

    def best(self, many: int) -> list[_Kept]:
        return [entry[3] for entry in sorted(self.heap, key=lambda entry: entry[:3], reverse=True)[:many]]


class SamplePicker:
    """Feed it every (score, generation) once, then take `finish()`."""

    def __init__(
        self,
        max_bodies: int,
        *,
        wanted: frozenset[str],
        verdict_texts: Mapping[str, str],
        finding_texts: Mapping[str, str],
    ) -> None:
        self._max = max(0, max_bodies)
        self._wanted = wanted
        self._texts: Mapping[str, Mapping[str, str]] = {"verdict": verdict_texts, "finding": finding_texts}
        self._shelves = {outcome: _Shelf(self._max) for outcome in OUTCOMES}
        self._refs: dict[Outcome, list[SampleRef]] = {outcome: [] for outcome in OUTCOMES}
        self._totals: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self._examples: dict[str, list[str]] = {}
        self._passing: set[str] = set()
        self._correct = self._judged = 0
        self._latencies, self._new_tokens = array("d"), array("d")

    def add(self, score: Mapping[str, Any], generation: Mapping[str, Any]) -> None:
        """Take one sample into account."""
        outcome = outcome_of(score)
        sample_id, repeat = _label(score.get("sample_id")), whole(score.get("repeat"))
        verdict = _label(score.get("verdict"), 80)
        self._totals[outcome] += 1
        self._tally(score, generation, verdict)
        if len(self._refs[outcome]) < MAX_LISTED + self._max:
            self._refs[outcome].append(
                SampleRef(sample_id=sample_id, repeat=repeat, anchor="", outcome=outcome, verdict=verdict)
            )
        example = outcome != "pass" and self._is_example(verdict, sample_id)
        pinned = example or sample_id in self._wanted
        key = f"{sample_id}\x00{repeat}".encode("utf-8", "surrogatepass")
        draw = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        shelf = self._shelves[outcome]
        if shelf.would_take(pinned, draw):
            long = len(str(generation.get("text"))) + len(str(score.get("question"))) > MAX_KEPT_TEXT
            kept: _Kept = self._body(score, generation) if long else (score, generation)
            shelf.put(pinned, draw, sum(self._totals.values()), kept)

    def _body(self, score: Mapping[str, Any], generation: Mapping[str, Any]) -> SampleBody:
        texts = self._texts
        return make_body(score, generation, verdict_texts=texts["verdict"], finding_texts=texts["finding"])

    def _tally(self, score: Mapping[str, Any], generation: Mapping[str, Any], verdict: str) -> None:
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
        """Fill the page in order of outcome, but keep a twentieth, or the pinned ones, for the later ones."""
        reserve = {
            outcome: max(shelf.pinned(), min(self._totals[outcome], self._max // 20))
            for outcome, shelf in self._shelves.items()
        }
        room, chosen, spent = self._max, [], 0
        for place, outcome in enumerate(OUTCOMES):
            later = sum(reserve[other] for other in OUTCOMES[place + 1 :])
            kept = self._shelves[outcome].best(max(0, room - later))
            bodies = [entry if isinstance(entry, SampleBody) else self._body(*entry) for entry in kept]
            room -= len(bodies)
            for body in bodies:
                spent += body.cost
                if spent <= MAX_PAGE_BYTES:
                    chosen.append(body)
        return chosen

    def finish(self) -> Picked:
        """Return the chosen bodies in reading order (failures by verdict) and the others as a list."""
        common = {code: -sum(ref.verdict == code for ref in self._refs["fail"]) for code in self._examples}
        chosen = sorted(
            self._choose(),
            key=lambda b: (
                OUTCOMES.index(b.outcome),
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
        listed = tuple(names.named(ref) for ref in others[:MAX_LISTED])
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
