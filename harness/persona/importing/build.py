"""Questions with replies in character -> references and records by split, and what is still to be written.

A style score needs neutral replies to the same questions, at the character's own speech level: without them a classifier
learns the topic, or the level, and not the manner. They cannot be made from the file, so `neutral.todo.jsonl` asks for them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.data.facts import facts_json
from harness.data.importing.split import assign_splits, group_samples
from harness.data.leakage import near_duplicates, normalise, user_text
from harness.data.records import sample_from_record
from harness.data.strict_json import decode_bytes, iter_lines
from harness.data.to_record import record_from_sample
from harness.persona.card import MIN_PAIRS
from harness.persona.importing.exchange import Exchange
from harness.types import Json, Sample

SHARES = {"train": 0.6, "validation": 0.1, "test": 0.3}
NEEDED = math.ceil(MIN_PAIRS / SHARES["train"])
"""Questions with a reply in character that a style score needs: enough to fit on, and others held out."""
TO_WRITE = {"train": 64, "validation": 12, "test": 28}
"""Questions for which neutral replies are asked at most; more would help little."""
TODO = "neutral.todo.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question in one split: as it is asked, and the replies in character that there are."""

    sample: Sample
    split: str
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The questions of a new persona: `own` are the file's, `lent` come with the harness and have no replies yet."""

    own: tuple[Question, ...]
    lent: tuple[Question, ...]


def build(name: str, language: str, exchanges: Sequence[Exchange], shipped: Path, *, seed: int = 0) -> Built:
    """Return the questions, split whole clusters at a time; the same file gives the same split.

    `shipped` holds the data set of a shipped character. Its test questions are lent to be asked: an adapter trained on the
    whole file knows the file's own. All of them are lent, to write replies to, where the file has fewer than `NEEDED`.
    """
    replies: dict[str, list[str]] = {}
    first: dict[str, Exchange] = {}
    for exchange in exchanges:
        key = json.dumps([[turn.role, turn.content] for turn in exchange.messages], ensure_ascii=False)
        first.setdefault(key, exchange)
        said = replies.setdefault(key, [])
        if exchange.reply not in said:
            said.append(exchange.reply)
    samples = [
        _sample(name, language, number, first[key], said[0])
        for number, (key, said) in enumerate(replies.items(), 1)
    ]
    groups = group_samples(samples, [exchange.row for exchange in first.values()])
    splits = assign_splits(samples, groups.together, SHARES, seed) if samples else []
    own = tuple(
        Question(sample=replace(sample, cluster=samples[root].id), split=split, replies=tuple(said))
        for sample, root, split, said in zip(samples, groups.clusters, splits, replies.values(), strict=True)
    )
    lent = [one for one in _lent(name, shipped) if len(own) < NEEDED or one.split == "test"]
    return Built(own=own, lent=tuple(_new_to(own, lent)))


def _sample(name: str, language: str, number: int, exchange: Exchange, reply: str) -> Sample:
    return Sample(
        id=f"{name}-{number:04d}",
        messages=exchange.messages,
        tools=(),
        expect="no_call",
        reply=reply,
        tags={"language": language, "category": "own"},
        cluster=f"{name}-{number:04d}",
        persona=name,
    )


def _new_to(own: Sequence[Question], lent: Sequence[Question]) -> Iterator[Question]:
    """Yield the lent questions that are neither equal nor nearly equal to one of the file."""
    texts = [normalise(user_text(one.sample)) for one in (*own, *lent)]
    known = set(texts[: len(own)])
    near = {max(one, other) for one, other, _ in near_duplicates(texts) if min(one, other) < len(own)}
    for place, question in enumerate(lent, len(own)):
        if texts[place] not in known and place not in near:
            yield question


def _lent(name: str, shipped: Path) -> Iterator[Question]:
    """Yield the questions of a shipped character under the new persona's name, in the splits that they have there."""
    for split in SHARES:
        path = shipped / f"{split}.jsonl"
        for line in iter_lines(path):
            record = decode_bytes(line.raw, f"{path}:{line.number}")
            yield Question(
                sample=_lent_sample(name, record, f"{path}:{line.number}"), split=split, replies=()
            )


def _lent_sample(name: str, record: dict[str, Json], where: str) -> Sample:
    identity = f"{name}-{record['id'].partition('-')[2]}"
    fields = {
        "id": identity,
        "messages": record["messages"],
        "tools": [],
        "expect": "no_call",
        "facts": record["facts"],
        "persona": name,
        "tags": record["tags"],
        "cluster": identity,
    }
    return sample_from_record(fields, {}, where=where)


def version_names(many: int) -> list[str]:
    """Return names of versions: A, B, ... Z, then A26, B26, ..."""
    return [chr(65 + place % 26) + (str(place) if place >= 26 else "") for place in range(many)]


def reference_record(question: Question) -> dict[str, Json]:
    """Return a line of the references' files. Only for a question with replies."""
    record = record_from_sample(question.sample)
    said = dict(zip(version_names(len(question.replies)), question.replies, strict=True))
    return {
        "id": record["id"],
        "persona": question.sample.persona,
        "messages": record["messages"],
        "facts": facts_json(question.sample.facts),
        "replies": {"persona": said},
        "tags": record["tags"],
        "cluster": record["cluster"],
    }


def sample_record(question: Question) -> dict[str, Json]:
    """Return a line of the records' files."""
    record = record_from_sample(question.sample)
    kept = ("id", "messages", "tools", "expect", "reply", "facts", "persona", "tags", "cluster")
    return {
        key: record[key] for key in kept if key in record and not (key == "reply" and record[key] is None)
    }


def todo_record(question: Question) -> dict[str, Json]:
    """Return a line of the file that asks for replies."""
    return {
        "id": question.sample.id,
        "split": question.split,
        "category": question.sample.tags.get("category", ""),
        "facts": facts_json(question.sample.facts),
        "question": question.sample.messages[-1].content,
        "persona": question.replies[0] if question.replies else "",
        "neutral_same": "",
        "neutral_formal": "",
    }


def to_write(built: Built) -> list[Question]:
    """Return the questions that replies are asked for: own ones first, in each split those with the lowest hash of the id."""
    chosen = []
    for split, most in TO_WRITE.items():
        own = [question for question in built.own if question.split == split]
        own.sort(key=lambda question: hashlib.sha256(question.sample.id.encode()).hexdigest())
        lent = [question for question in built.lent if question.split == split and len(built.own) < NEEDED]
        chosen += [*own, *lent][:most]
    return chosen
