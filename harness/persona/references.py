"""What a persona is measured against: its true replies, neutral replies to the same questions, and adversarial probes.

Files are JSONL, one question a line, in `<dataset>/{train,validation,test}.jsonl`:
`{"id", "messages", "facts", "replies": {"persona": {"A": ...}, "neutral_same": {...}, "neutral_formal": {...}}, "tags",
"cluster"}`. Questions are split by cluster, so that no question is both fitted on and held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from harness.data.facts import read_facts
from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError, SpecError, did_you_mean
from harness.fingerprint import sha256_of_file
from harness.persona.card import PersonaCard
from harness.persona.check import CHECK_NAMES
from harness.persona.emptiness import has_word
from harness.types import Facts, Json

ReplyKind = Literal["persona", "neutral_formal", "neutral_same"]
REPLY_KINDS: tuple[str, ...] = get_args(ReplyKind)
Verdict = Literal["accept", "reject"]
SPLITS = ("train", "validation", "test")

_REFERENCE_KEYS = ("id", "persona", "messages", "facts", "replies", "tags", "cluster", "concept")
_PROBE_KEYS = (
    "id",
    "persona",
    "kind",
    "prompt_id",
    "messages",
    "facts",
    "reply",
    "expect",
    "made",
    "why",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One question with its replies by kind and version, e.g. `replies["persona"]["A"]`."""

    id: str
    question: str
    """The last user turn."""
    category: str
    kind: str
    facts: Facts
    replies: Mapping[str, Mapping[str, str]]
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A reply with the verdict it must get: `accept` (no check fires) or `reject` (one of the checks in `by` fires)."""

    id: str
    kind: str
    prompt_id: str | None
    question: str
    facts: Facts
    reply: str
    verdict: Verdict
    by: tuple[str, ...]
    made: str
    why: str


EntryT = TypeVar("EntryT", Reference, Probe)


def load_references(card: PersonaCard, split: str | None = None) -> tuple[Reference, ...]:
    """Return a split of the card's references (default: the one the card names), in file order.

    Raises SpecError for a card without references or a split that does not exist, RecordError with file:line for a line
    that is wrong, another persona's, or whose id stands twice.
    """
    path = split_path(card, split)
    return tuple(_unique(path, (read_reference(card.name, *line) for line in _lines(path))))


def load_probes(card: PersonaCard) -> tuple[Probe, ...]:
    """Return the card's probes in file order; () for a card that names none. Raises as `load_references`."""
    if card.references is None or card.references.probes is None:
        return ()
    path = card.resolve(card.references.probes.path)
    if not path.is_file():
        raise SpecError(f"references.probes.path: no such file: {path}", where=card.path)
    return tuple(_unique(path, (read_probe(card.name, *line) for line in _lines(path))))


def split_path(card: PersonaCard, split: str | None = None) -> Path:
    """Return a split's file. Raises SpecError naming the splits that are there."""
    if card.references is None:
        raise SpecError(
            f"the card of {card.name!r} has no references",
            where=card.path,
            remedy="Add references: {dataset: {path: ...}}; docs/persona.md shows the files.",
        )
    folder = card.resolve(card.references.dataset.path)
    if not folder.is_dir():
        raise SpecError(f"references.dataset.path: no such folder: {folder}", where=card.path)
    wanted = split or card.references.dataset.split
    path = folder / f"{wanted}.jsonl"
    if not path.is_file():
        there = ", ".join(name for name in SPLITS if (folder / f"{name}.jsonl").is_file()) or "none"
        raise SpecError(f"{folder} has no {path.name}", where=card.path, remedy=f"Splits there: {there}.")
    return path


def splits_of(card: PersonaCard) -> tuple[str, ...]:
    """Return which of train, validation and test the card's references have."""
    folder = split_path(card).parent
    return tuple(name for name in SPLITS if (folder / f"{name}.jsonl").is_file())


def references_sha256(card: PersonaCard) -> str | None:
    """Return one hash over all splits and the probes; None for a card without references."""
    if card.references is None:
        return None
    folder = split_path(card).parent
    files = [folder / f"{name}.jsonl" for name in splits_of(card)]
    if card.references.probes is not None:
        files.append(card.resolve(card.references.probes.path))
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise SpecError(f"references.probes.path: no such file: {file}", where=card.path)
        digest.update(f"{file.name} {sha256_of_file(file)}\n".encode())
    return digest.hexdigest()


def count_pairs(references: tuple[Reference, ...]) -> int:
    """Return how many questions have both a persona reply and a neutral one at the same speech level."""
    return sum(
        bool(one.replies.get("persona")) and bool(one.replies.get("neutral_same")) for one in references
    )


def check_splits_apart(card: PersonaCard) -> None:
    """Raise RecordError if one cluster's questions stand in two splits: the held-out score would be of what was fitted."""
    seen: dict[str, tuple[str, str]] = {}
    for split in splits_of(card):
        for one in load_references(card, split):
            before = seen.setdefault(one.cluster, (split, one.id))
            if before[0] != split:
                raise RecordError(
                    f"{one.id!r} shares its cluster {one.cluster!r} with {before[1]!r} of {before[0]}",
                    where=split_path(card, split),
                    remedy="Keep all versions of one question in one split.",
                )


def _lines(path: Path) -> Iterator[tuple[Mapping[str, Json], str]]:
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        if not line.raw.strip():
            raise RecordError("empty line", where=where, remedy="Delete it; one JSON object a line.")
        record = decode_bytes(line.raw, where)
        if not isinstance(record, dict):
            raise RecordError("a line must hold a JSON object", where=where)
        yield record, where


def _unique(path: Path, entries: Iterator[EntryT]) -> Iterator[EntryT]:
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise RecordError(f"id {entry.id!r} stands twice", where=path, remedy="Give it its own id.")
        seen.add(entry.id)
        yield entry


def read_reference(persona: str, record: Mapping[str, Json], where: str) -> Reference:
    """Return the reference of a line. Raises RecordError at `where` for one that is wrong, or another persona's."""
    _check_keys(persona, record, _REFERENCE_KEYS, ("id", "messages", "replies"), where)
    tags = record.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise RecordError("tags must be an object of texts", where=where)
    identity = _text(record, "id", where)
    return Reference(
        id=identity,
        question=_question(record["messages"], where),
        category=tags.get("category", ""),
        kind=tags.get("kind", ""),
        facts=read_facts(record.get("facts", []), where),
        replies=_replies(record["replies"], where),
        cluster=_text(record, "cluster", where) if "cluster" in record else identity,
    )


def _replies(value: Json, where: str) -> Mapping[str, Mapping[str, str]]:
    if not isinstance(value, dict):
        raise RecordError("replies must be an object", where=where)
    for kind, versions in value.items():
        if kind not in REPLY_KINDS:
            remedy = did_you_mean(kind, REPLY_KINDS, "Known kinds")
            raise RecordError(f"replies: unknown kind {kind!r}", where=where, remedy=remedy)
        if not isinstance(versions, dict) or not all(isinstance(text, str) for text in versions.values()):
            raise RecordError(
                f"replies.{kind} must be an object of texts by version",
                where=where,
                remedy=f'Write "{kind}": {{"A": "..."}}.',
            )
        blank = next((version for version, text in versions.items() if not text.strip()), None)
        if blank is not None:
            raise RecordError(
                f"replies.{kind}.{blank} is empty", where=where, remedy="Write it or remove it."
            )
        wordless = next((version for version, text in versions.items() if not has_word(text)), None)
        if wordless is not None:
            raise RecordError(
                f"replies.{kind}.{wordless} has no words: {versions[wordless].strip()[:20]!r}",
                where=where,
                remedy="An emoji or a mark alone has no manner: write words, or remove it.",
            )
    if not value.get("persona"):
        raise RecordError("replies has no persona reply", where=where, remedy='Add "persona": {"A": "..."}.')
    return value


def read_probe(persona: str, record: Mapping[str, Json], where: str) -> Probe:
    """Return the probe of a line. Raises RecordError at `where` for one that is wrong, or another persona's."""
    _check_keys(persona, record, _PROBE_KEYS, ("id", "kind", "messages", "reply", "expect"), where)
    expect = record["expect"]
    if not isinstance(expect, dict) or expect.get("verdict") not in get_args(Verdict):
        raise RecordError('expect needs "verdict": "accept" or "reject"', where=where)
    by = expect.get("by", [])
    if not isinstance(by, list) or not all(isinstance(check, str) for check in by):
        raise RecordError("expect.by must be a list of checks", where=where)
    for check in by:
        if check not in CHECK_NAMES:
            raise RecordError(
                f"expect.by: unknown check {check!r}", where=where, remedy=did_you_mean(check, CHECK_NAMES)
            )
    if (expect["verdict"] == "reject") != bool(by):
        raise RecordError(
            "a rejected probe names in `by` what must reject it; an accepted one names nothing", where=where
        )
    prompt_id = record.get("prompt_id")
    if prompt_id is not None and not isinstance(prompt_id, str):
        raise RecordError("prompt_id must be text or null", where=where)
    return Probe(
        id=_text(record, "id", where),
        kind=_text(record, "kind", where),
        prompt_id=prompt_id,
        question=_question(record["messages"], where),
        facts=read_facts(record.get("facts", []), where),
        reply=_text(record, "reply", where),
        verdict=expect["verdict"],
        by=tuple(by),
        made=_text(record, "made", where) if "made" in record else "written",
        why=_text(record, "why", where) if "why" in record else "",
    )


def _check_keys(
    persona: str,
    record: Mapping[str, Json],
    known: tuple[str, ...],
    required: tuple[str, ...],
    where: str,
) -> None:
    for key in record:
        if key not in known:
            raise RecordError(
                f"unknown key {key!r}", where=where, remedy=did_you_mean(key, known, "Known keys")
            )
    for key in required:
        if key not in record:
            raise RecordError(f"key {key!r} is missing", where=where)
    whose = record.get("persona", persona)
    if whose != persona:
        raise RecordError(f"this line is of persona {whose!r}, the card of {persona!r}", where=where)


def _text(record: Mapping[str, Json], key: str, where: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise RecordError(f"{key} must be text", where=where)
    return value


def _question(messages: Json, where: str) -> str:
    turns = messages if isinstance(messages, list) else []
    users = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    if not users or not isinstance(users[-1].get("content"), str):
        raise RecordError("messages must be a list with a user turn", where=where)
    question: str = users[-1]["content"]
    return question
