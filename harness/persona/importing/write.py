"""A new persona's folders: suites/persona/NAME and datasets/persona-NAME, both or neither."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError, StorageError, UsageError
from harness.fingerprint import sha256_of_file
from harness.paths import templates_root
from harness.persona.card import CARD, PersonaCard, load_card
from harness.persona.importing.build import (
    NEEDED,
    SHARES,
    TODO,
    Built,
    build,
    reference_record,
    sample_record,
    to_write,
    todo_record,
)
from harness.persona.importing.card_text import card_text, suite_text, token_budget
from harness.persona.importing.character_card import card_json, read_character_card
from harness.persona.importing.describe import Description, check_levels, describe, language_of
from harness.persona.importing.exchange import PersonaSource
from harness.persona.importing.made_probes import MADE, made_probes
from harness.persona.importing.training_data import read_training_data
from harness.persona.own_replies import OwnReplies, check_own_replies
from harness.persona.references import load_references, split_path
from harness.types import Json

CHECKSUMS = "SHA256SUMS"
PROBES = "probes.jsonl"
DATASHEET = "DATASHEET.md"
MADE_BY = "Made by `harness persona new`"
"""How the datasheet of such a data set begins."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,59}")
_USER = {"ko": "사용자", "en": "the user"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What to make: NAME in the workspace `root` from a file.

    `gates_only` also takes a file with too few replies for a style score.
    """

    name: str
    file: Path
    root: Path
    display_name: str | None = None
    levels: tuple[str, ...] = ()
    gates_only: bool = False
    skip_bad: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was written, and what of it a person has to look at."""

    suite: Path
    dataset: Path
    source: PersonaSource
    found: Description
    levels: tuple[str, ...]
    built: Built
    asked: int
    """Questions in neutral.todo.jsonl."""
    own_replies: OwnReplies | None
    """How the file's replies do under the card that was made of them."""


def new_persona(request: NewRequest) -> Made:
    """Write the two folders.

    Raises UsageError for a bad name, folders that exist, a file that cannot be read, and fewer replies than a style score
    needs (unless only gates are wanted), RecordError for wrong rows, StorageError if they cannot be written.
    """
    if not _NAME.fullmatch(request.name):
        raise UsageError(
            f"{request.name!r} cannot name a persona",
            remedy="Use lower-case letters, digits and underscores.",
        )
    suite = request.root / "suites" / "persona" / request.name
    dataset = request.root / "datasets" / f"persona-{request.name}"
    for folder in (suite, dataset):
        if folder.exists():
            raise UsageError("this exists already", where=folder, remedy="Take another name, or delete it.")
    source = read_source(request)
    if not source.replies:
        raise UsageError("the file holds nothing that the character says", where=request.file)
    language = language_of(source.replies, str(request.file))
    found = describe(source.replies, language)
    levels = check_levels(request.levels, found, str(request.file))
    shipped = templates_root() / "datasets" / "persona" / f"founder_{language}"
    built = build(request.name, language, source.exchanges, shipped, seed=request.seed)
    _check_enough(request, source, built)
    named = request.display_name or source.display_name
    display_name = named or request.name
    files = _files(built, request, source.kind)
    text = card_text(
        name=request.name,
        display_name=display_name,
        named=named is not None,
        found=found,
        levels=levels,
        system_prompt=source.system_prompt,
        prompt_fields=source.prompt_fields,
        dataset=f"../../../datasets/persona-{request.name}",
    )
    records = f"../../../datasets/persona-{request.name}/records"
    tests = sum(question.split == "test" for question in (*built.own, *built.lent))
    budget = token_budget(source.replies, language)
    suites = {CARD: text, "suite.yaml": suite_text(request.name, display_name, records, tests, budget)}
    _write({suite: suites, dataset: files})
    try:
        card = load_card(suite)
        write_probes(card)
        own_replies = check_own_replies(card)
    except UsageError as error:
        # What a file says may be nothing that a card can hold (a system prompt of 100,000 characters).
        shutil.rmtree(suite)
        shutil.rmtree(dataset)
        raise UsageError(
            f"no card can be made of this file: {error.what}", where=request.file, remedy=error.remedy
        ) from None
    return Made(
        suite=suite,
        dataset=dataset,
        source=source,
        found=found,
        levels=levels,
        built=built,
        asked=len(to_write(built)),
        own_replies=own_replies,
    )


def read_source(request: NewRequest) -> PersonaSource:
    """Return the file as a character card, or else as rows of fine-tuning data."""
    if not request.file.is_file():
        raise UsageError("no such file", where=request.file)
    card = card_json(request.file)
    if card is None:
        return read_training_data(request.file, skip_bad=request.skip_bad)
    first = read_character_card(card, request.file, user="the user")
    # The word for the user stands in the character's language.
    return read_character_card(
        card,
        request.file,
        user=_USER[language_of(first.replies or (first.system_prompt or "",), str(request.file))],
    )


def _check_enough(request: NewRequest, source: PersonaSource, built: Built) -> None:
    have = len(built.own)
    if have >= NEEDED or request.gates_only or source.is_card:
        return
    left_out = "".join(f"\n  note: {note}" for note in source.notes if "left out" in note)
    raise UsageError(
        f"{have} questions with a reply in character are too few for a style score: it needs {NEEDED}, "
        f"40 to fit on and the rest held out{left_out}",
        where=request.file,
        remedy=f"Write {NEEDED - have} more, or take --gates-only: language, speech level, breaks and the other checks, "
        "and questions to write replies to.",
    )


def _files(built: Built, request: NewRequest, kind: str) -> dict[str, str]:
    everything = (*built.own, *built.lent)
    files: dict[str, str] = {}
    for split in SHARES:
        files[f"{split}.jsonl"] = jsonl([reference_record(one) for one in built.own if one.split == split])
        # A question without a reply can be asked, and cannot be trained on.
        records = [one for one in everything if one.split == split and (split == "test" or one.replies)]
        if records:
            files[f"records/{split}.jsonl"] = jsonl([sample_record(one) for one in records])
    files[PROBES] = ""
    files[TODO] = jsonl([todo_record(one) for one in to_write(built)])
    files[DATASHEET] = _datasheet(built, request, kind)
    return files


def _datasheet(built: Built, request: NewRequest, kind: str) -> str:
    rows = []
    for split in SHARES:
        own = [one for one in built.own if one.split == split]
        lent = sum(one.split == split for one in built.lent)
        rows.append(f"| {split} | {len(own)} | {sum(len(one.replies) for one in own)} | {lent} |")
    digest = sha256_of_file(request.file)
    return "\n".join(
        [
            f"# persona-{request.name}",
            "",
            f"{MADE_BY} from {request.file.name!r} ({kind}, sha256 {digest}), split by question, "
            f"seed {request.seed}.",
            "",
            "| split | questions of the file | replies in character | questions lent |",
            "|---|---|---|---|",
            *rows,
            "",
            "Lent questions come with the harness and have no replies in character. A model that was trained on the whole file",
            "knows the answers to the file's own questions (category `own`): of such a model only the lent ones say anything.",
            f"`{TODO}` asks for neutral replies: docs/persona.md of the harness says how to write them.",
            "Who wrote the replies, and under which licence, is for you to add here.",
            "",
        ]
    )


def write_probes(card: PersonaCard) -> int:
    """Write the probes that can be made from the references anew, beside those of the author; return how many there are.

    SHA256SUMS is brought up to date. Raises RecordError with file:line for a line that is no object (nothing is written
    then), StorageError if the folder cannot be written.
    """
    dataset = split_path(card).parent
    path = dataset / PROBES
    written = [row for row in read_probes(path) if row.get("made") != MADE]
    made = made_probes(card, load_references(card, "train"), load_references(card, "test"))
    probes = [*written, *made]
    try:
        path.write_bytes(jsonl(probes).encode())
        names = sorted(
            one for one in dataset.rglob("*") if one.is_file() and one.name not in (CHECKSUMS, TODO)
        )
        files = {one.relative_to(dataset).as_posix(): one.read_bytes() for one in names}
        (dataset / CHECKSUMS).write_text(checksums(files), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=error.filename or dataset) from None
    return len(probes)


def read_probes(path: Path) -> list[dict[str, Json]]:
    """Return the lines of a probes.jsonl. Raises RecordError with file:line for one that is no object."""
    rows = []
    for line in iter_lines(path):
        row = decode_bytes(line.raw, f"{path}:{line.number}")
        if not isinstance(row, dict):
            raise RecordError("a line must hold a JSON object", where=f"{path}:{line.number}")
        rows.append(row)
    return rows


def jsonl(records: Sequence[Mapping[str, Json]]) -> str:
    """Return records one a line."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def checksums(files: Mapping[str, bytes]) -> str:
    """Return the text of SHA256SUMS."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))


def _write(folders: Mapping[Path, Mapping[str, str]]) -> None:
    made: list[Path] = []
    try:
        for folder, files in folders.items():
            encoded = {name: text.encode("utf-8", "backslashreplace") for name, text in files.items()}
            folder.mkdir(parents=True)
            made.append(folder)
            for name, data in encoded.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(data)
    except OSError as error:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        raise StorageError(f"cannot be written: {error.strerror}", where=error.filename) from None
