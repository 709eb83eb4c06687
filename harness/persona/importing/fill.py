"""`neutral.todo.jsonl`, as far as somebody has filled it in, goes into the references: pairs that a style score needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.facts import read_facts
from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError, StorageError, UsageError, did_you_mean
from harness.persona.card import PersonaCard
from harness.persona.emptiness import has_word
from harness.persona.importing.build import SHARES, TODO
from harness.persona.importing.card_text import BOTH, GATES_ALONE
from harness.persona.importing.write import DATASHEET, MADE_BY, PROBES, jsonl, read_probes, write_probes
from harness.persona.length import count_words
from harness.persona.references import count_pairs, load_probes, load_references, split_path, splits_of
from harness.persona.speech_level import check_speech_level, default_analyser
from harness.types import Json

MAX_STRETCH = 1.3
"""A neutral reply much longer or shorter than the true one would let a classifier win by length."""
_KEYS = ("id", "split", "category", "facts", "question", "persona", "neutral_same", "neutral_formal")
_REPLIES = ("persona", "neutral_same", "neutral_formal")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a neutral reply stands now: the references' file, its line, the question's id."""

    file: Path
    line: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What went in, what is left, and the neutral replies that a person should look at again.

    `complete`: there was nothing left to fill in. `other_level` and `other_length` are of all neutral replies that stand
    in the references, whenever they went in.
    """

    replies: int
    questions: int
    left: int
    pairs: Mapping[str, int]
    probes: int
    needed: int
    complete: bool
    other_level: tuple[Place, ...]
    other_length: tuple[Place, ...]
    style_added: bool
    """True if the suite's metrics now hold the style score."""


@dataclass(slots=True)
class _Folder:
    """A data-set folder of `harness persona new` in memory."""

    references: dict[str, dict[str, dict[str, Json]]]
    records: dict[str, dict[str, dict[str, Json]]]
    left: list[dict[str, Json]] = field(default_factory=list)
    replies: int = 0
    touched: list[dict[str, Json]] = field(default_factory=list)


def fill(card: PersonaCard) -> Filled:
    """Move filled-in replies into the references and records, and leave what is still empty in the file.

    Probes and SHA256SUMS are made anew, also where nothing is left to fill in: a reference may have been corrected by hand.
    Raises UsageError for a folder without the file that `harness persona new` did not make, RecordError with file:line for a line that cannot be used (nothing is
    written then), StorageError if the folder cannot be written.
    """
    dataset = split_path(card).parent
    todo = dataset / TODO
    complete = not todo.is_file()
    if complete and not _is_made(dataset):
        raise UsageError(
            f"there is no {TODO} here",
            where=dataset,
            remedy="harness persona new writes one; this folder is not made by it.",
        )
    # All that is read again below, before anything is written.
    for split in splits_of(card):
        load_references(card, split)
    load_probes(card)
    if (dataset / PROBES).is_file():
        read_probes(dataset / PROBES)
    folder = _Folder(
        references={split: _by_id(dataset / f"{split}.jsonl") for split in SHARES},
        records={split: _by_id(dataset / "records" / f"{split}.jsonl") for split in SHARES},
    )
    if not complete:
        for row, where in list(_rows(todo)):
            _take(card, folder, row, where)
        _write(dataset, folder)
    probes = write_probes(card) if (dataset / PROBES).is_file() else len(load_probes(card))
    pairs = {split: count_pairs(load_references(card, split)) for split in SHARES}
    enough = pairs["train"] >= card.style.min_pairs
    return Filled(
        replies=folder.replies,
        questions=len(folder.touched),
        left=len(folder.left),
        pairs=pairs,
        probes=probes,
        needed=card.style.min_pairs,
        complete=complete,
        other_level=tuple(_other_level(card, dataset)),
        other_length=tuple(_other_length(dataset)),
        style_added=enough and _add_style(card.folder / "suite.yaml"),
    )


def _is_made(dataset: Path) -> bool:
    """Return whether `harness persona new` made a folder: its datasheet says so."""
    try:
        return MADE_BY in (dataset / DATASHEET).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _rows(path: Path) -> Iterator[tuple[dict[str, Json], str]]:
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        if not line.raw.strip():
            continue
        row = decode_bytes(line.raw, where)
        if not isinstance(row, dict):
            raise RecordError("a line must hold a JSON object", where=where)
        for key in row:
            if key not in _KEYS:
                raise RecordError(
                    f"unknown key {key!r}", where=where, remedy=did_you_mean(key, _KEYS, "Known keys")
                )
        for key in ("id", "split", "question", *_REPLIES):
            if not isinstance(row.get(key), str):
                raise RecordError(
                    f"{key} must be text", where=where, remedy='Leave "" where nothing is written yet.'
                )
        if row["split"] not in SHARES:
            raise RecordError(
                f"no split {row['split']!r}", where=where, remedy=did_you_mean(row["split"], SHARES)
            )
        yield row, where


def _by_id(path: Path) -> dict[str, dict[str, Json]]:
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Json]] = {}
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        record = decode_bytes(line.raw, where)
        if not isinstance(record, dict):
            raise RecordError("a line must hold a JSON object", where=where)
        if not isinstance(record.get("id"), str):
            raise RecordError("id must be text", where=where)
        found[record["id"]] = record
    return found


def _take(card: PersonaCard, folder: _Folder, row: dict[str, Json], where: str) -> None:
    said = {kind: row[kind].strip() for kind in _REPLIES}
    for kind in _REPLIES:
        if said[kind] and not has_word(said[kind]):
            raise RecordError(
                f"{kind} has no words: {said[kind][:20]!r}",
                where=where,
                remedy='An emoji or a mark alone has no manner: write words, or "" for later.',
            )
    references = folder.references[row["split"]]
    reference = references.get(row["id"])
    if not any(said.values()) or (
        reference is not None and not (said["neutral_same"] or said["neutral_formal"])
    ):
        folder.left.append(row)
        return
    if reference is None and not said["persona"]:
        raise RecordError(
            "a neutral reply stands here, and no reply in character",
            where=where,
            remedy="Write `persona` too: a pair has both.",
        )
    for kind in ("neutral_same", "neutral_formal"):
        if said[kind] and said[kind] == said["persona"]:
            raise RecordError(
                f"{kind} is the reply in character again", where=where, remedy="Say it as anybody would."
            )
    if reference is None:
        reference = _new_reference(card, row, where)
        references[row["id"]] = reference
        folder.replies += 1
        _add_record(card, folder, row, reference)
    for kind in ("neutral_same", "neutral_formal"):
        if said[kind]:
            reference["replies"].setdefault(kind, {})["A"] = said[kind]
            folder.replies += 1
    folder.touched.append(reference)
    if not said["neutral_same"]:
        folder.left.append(row)


def _new_reference(card: PersonaCard, row: dict[str, Json], where: str) -> dict[str, Json]:
    read_facts(row.get("facts", []), where)
    return {
        "id": row["id"],
        "persona": card.name,
        "messages": [{"role": "user", "content": row["question"]}],
        "facts": row.get("facts", []),
        "replies": {"persona": {"A": row["persona"].strip()}},
        "tags": {"language": card.language.code, "category": row.get("category") or "own"},
        "cluster": row["id"],
    }


def _add_record(card: PersonaCard, folder: _Folder, row: dict[str, Json], reference: dict[str, Json]) -> None:
    folder.records[row["split"]][row["id"]] = {
        "id": row["id"],
        "messages": reference["messages"],
        "tools": [],
        "expect": "no_call",
        "reply": reference["replies"]["persona"]["A"],
        "facts": reference["facts"],
        "persona": card.name,
        "tags": reference["tags"],
        "cluster": reference["cluster"],
    }


def _write(dataset: Path, folder: _Folder) -> None:
    texts = {f"{split}.jsonl": jsonl(list(rows.values())) for split, rows in folder.references.items()}
    texts |= {
        f"records/{split}.jsonl": jsonl(list(rows.values())) for split, rows in folder.records.items() if rows
    }
    try:
        files = {name: text.encode() for name, text in texts.items()}
        files[TODO] = jsonl(folder.left).encode()
        for name, data in files.items():
            temporary = dataset / f"{name}.tmp"
            temporary.write_bytes(data)
            temporary.replace(dataset / name)
        if not folder.left:
            (dataset / TODO).unlink()
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=error.filename or dataset) from None


def _pairs(dataset: Path) -> Iterator[tuple[Place, str, str]]:
    """Yield place, true reply and neutral reply of every `neutral_same`, beside the true one of its version if there is one."""
    for split in SHARES:
        path = dataset / f"{split}.jsonl"
        for line in iter_lines(path) if path.is_file() else ():
            row = decode_bytes(line.raw, f"{path}:{line.number}")
            replies = row["replies"]
            first = next(iter(replies["persona"].values()))
            for version, neutral in replies.get("neutral_same", {}).items():
                place = Place(path, line.number, row["id"])
                yield place, replies["persona"].get(version, first), neutral


def _other_level(card: PersonaCard, dataset: Path) -> Iterator[Place]:
    """Yield the places whose `neutral_same` is not at the character's level: they would teach the level, not the manner."""
    analyser = default_analyser()
    for place, _, neutral in _pairs(dataset):
        if check_speech_level(neutral, card, analyser).passed is False:
            yield place


def _other_length(dataset: Path) -> Iterator[Place]:
    for place, true, neutral in _pairs(dataset):
        one, other = count_words(neutral), count_words(true)
        if max(one, other) > MAX_STRETCH * min(one, other):
            yield place


def _add_style(suite: Path) -> bool:
    """Write the style score into a suite.yaml that still has the line of `harness persona new`."""
    try:
        text = suite.read_text(encoding="utf-8")
        if GATES_ALONE not in text:
            return False
        suite.write_text(text.replace(GATES_ALONE, BOTH), encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return True
