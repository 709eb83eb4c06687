"""One sample cut to what a page can hold: the question, the calls side by side, the raw reply, what scoring found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness.report.align import Budget, CallPair, align
from harness.report.stored import items, mapping, mappings, number, whole
from harness.report.text import Clipped, clip, markup_cost

Outcome = Literal["fail", "unscored", "pass"]
OUTCOMES: tuple[Outcome, ...] = ("fail", "unscored", "pass")

ChangeKind = Literal["broken", "fixed", "moved", "same"]
"""Against a baseline: right and now wrong, wrong and now right, wrong in another way, or neither."""

Record = Mapping[str, Any]
Pair = tuple[Record, Record]
"""A score and its generation, as stored."""


class Earlier(Protocol):
    """What a baseline answered, by sample and repeat; None where it has no such sample."""

    def score(self, sample_id: Any, repeat: Any) -> Record | None:
        """Return at least `status`, `correct` and `verdict` of its score."""

    def pair(self, sample_id: Any, repeat: Any) -> Pair | None:
        """Return its score and generation whole."""


REPLY_BYTES = 8_000
BEFORE_BYTES = 2_000
QUESTION_BYTES = 3_000
ERROR_BYTES = 2_000
DETAIL_BYTES = 400
LABEL_BYTES = 200
MAX_TOOLS = 40
MAX_FINDINGS = 20
MAX_TAGS = 12
BODY_BYTES = 2_600


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
    change: ChangeKind | None
    """None without a baseline, or where the baseline has no score for this sample."""
    before_verdict: str
    before_reply: Clipped | None
    """The baseline's reply, where the outcome is another."""
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


def outcome_of(score: Mapping[str, Any]) -> Outcome:
    """Return how a sample is filed: a score that is right or not judged as a whole is no failure."""
    if score.get("status", "scored") != "scored":
        return "unscored"
    return "fail" if score.get("correct") is False else "pass"


def change_of(score: Record, before: Record | None) -> ChangeKind | None:
    """Return what became of a sample since the baseline; None where one of them has no score."""
    if before is None or "unscored" in (outcome_of(score), outcome_of(before)):
        return None
    now, then = outcome_of(score), outcome_of(before)
    if now != then:
        return "broken" if now == "fail" else "fixed"
    return "moved" if now == "fail" and score.get("verdict") != before.get("verdict") else "same"


def label(value: Any, limit: int = LABEL_BYTES) -> str:
    """Return a value as text of at most `limit` bytes of markup, with an ellipsis where it was cut."""
    text = "" if value is None else str(value)
    kept = clip(text, limit)
    return kept.text + "…" if kept.omitted else kept.text


def _finding(raw: Mapping[str, Any], texts: Mapping[str, str]) -> FindingNote:
    code = label(raw.get("code"))
    call, argument = raw.get("call"), raw.get("argument")
    places = [f"call {call + 1}"] if isinstance(call, int) and not isinstance(call, bool) else []
    places += [f"argument {label(argument)}"] if argument is not None else []
    return FindingNote(
        code=code,
        text=texts.get(code, ""),
        detail=clip(str(raw.get("detail") or ""), DETAIL_BYTES),
        place=", ".join(places),
    )


def tags_of(score: Record) -> tuple[tuple[str, str], ...]:
    """Return a sample's tags."""
    return tuple((label(key, 80), label(value, 80)) for key, value in mapping(score.get("tags")).items())


def make_body(
    score: Record,
    generation: Record,
    *,
    verdict_texts: Mapping[str, str],
    finding_texts: Mapping[str, str],
    before: Pair | None = None,
) -> SampleBody:
    """Return one sample cut to what a page can hold. Its `anchor` is set when the page is put together.

    `before` is what a baseline answered; it is shown where the outcome is another.
    """
    budget = Budget()
    change = change_of(score, before[0]) if before else None
    was = before if before and change not in (None, "same") else None
    pairs, pairs_omitted = align(
        mappings(score.get("expected")),
        mappings(score.get("predicted")),
        budget,
        mappings(was[0].get("predicted")) if was else None,
    )
    before_reply = clip(str(was[1].get("text") or ""), BEFORE_BYTES) if was else None
    question = clip(str(score.get("question") or ""), QUESTION_BYTES)
    reply = clip(str(generation.get("text") or ""), REPLY_BYTES)
    error = clip(str(generation["error"]), ERROR_BYTES) if generation.get("error") else None
    notes = tuple(_finding(raw, finding_texts) for raw in mappings(score.get("findings"))[:MAX_FINDINGS])
    tools = [label(tool, 80) for tool in items(score.get("tools"))]
    tags = tags_of(score)
    verdict = label(score.get("verdict"), 80)
    clipped = (question, reply, error, before_reply, *(note.detail for note in notes))
    texts = [*tools[:MAX_TOOLS], *(one.text for one in clipped if one is not None)]
    return SampleBody(
        sample_id=label(score.get("sample_id")),
        repeat=whole(score.get("repeat")),
        anchor="",
        outcome=outcome_of(score),
        status=label(score.get("status")),
        verdict=verdict,
        verdict_text=verdict_texts.get(verdict, ""),
        parse=label(score.get("parse")) or None,
        expect=label(score.get("expect")),
        language=str(dict(tags).get("language", "")),
        tags=tags[:MAX_TAGS],
        question=question,
        change=change,
        before_verdict=label(before[0].get("verdict"), 80) if before and change else "",
        before_reply=before_reply,
        pairs=pairs,
        pairs_omitted=pairs_omitted,
        reply=reply,
        error=error,
        finish_reason=label(generation.get("finish_reason")) or None,
        prompt_tokens=whole(generation.get("prompt_tokens")),
        new_tokens=whole(generation.get("new_tokens")),
        latency_s=number(generation.get("latency_s")),
        findings=notes,
        tools=tuple(tools[:MAX_TOOLS]),
        tools_omitted=max(0, len(tools) - MAX_TOOLS),
        cost=BODY_BYTES + budget.spent + sum(map(markup_cost, texts)) + 220 * len(notes) + 14 * len(tools),
    )
