"""What the user names -> the files or hub data sets to read, each with the converter of its format."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.data.importing import bfcl
from harness.data.importing.alpaca import alpaca
from harness.data.importing.arrow import SUFFIXES, hub_rows, parquet_rows
from harness.data.importing.columns import ChatColumns
from harness.data.importing.context import Converter
from harness.data.importing.dataset_info import FILE_NAME, is_dataset_info, read_entry
from harness.data.importing.hermes import hermes
from harness.data.importing.openai import openai
from harness.data.importing.request import ImportRequest
from harness.data.importing.rows import Row, first_character, read_rows
from harness.data.importing.sharegpt import sharegpt
from harness.data.importing.xlam import xlam
from harness.errors import RecordError, UsageError
from harness.types import Json

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LOOKED_AT = 100
_UNREADABLE = (".csv", ".tsv", ".txt", ".xlsx", ".zip", ".gz", ".md", ".py")
_FORMS = "Formats: alpaca, sharegpt, openai, dataset_info, bfcl, xlam, hermes (docs/importing.md)."


class UnknownFormat(UsageError):
    """The format of a source cannot be told from the keys of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one file or hub data set. `stem` names them in ids; `files` are all that is read for them."""

    stem: str
    rows: Callable[[], Iterator[Row]]
    converter: Converter
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Everything that one import reads. `format` is the resolved one."""

    label: str
    format: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()


def open_source(request: ImportRequest) -> Source:
    """Return what to read and how.

    Raises UsageError for a source that is not there, a format that does not fit it or cannot be told, and whatever
    reading the first rows raises.
    """
    if "\0" in request.source or len(request.source) > 4000:
        raise UsageError("this is no path", where=request.source[:60].replace("\0", "\\0"))
    path = Path(request.source).expanduser()
    if path.is_dir():
        return _folder(path, request)
    if path.is_file():
        if request.format == "dataset_info" or (request.format == "auto" and _describes(path)):
            return _entry(path, request)
        return _files((path,), request)
    if (
        _HUB_ID.fullmatch(request.source)
        and not request.source.startswith(".")
        and not path.suffix.startswith(".json")
    ):
        return _hub(request, request.source, request.subset, request.source_split or "train")
    raise UsageError(
        "no such file or folder", where=request.source, remedy="Check the path; a hub id is OWNER/NAME."
    )


def _folder(path: Path, request: ImportRequest) -> Source:
    if request.format in ("auto", "dataset_info") and (path / FILE_NAME).is_file():
        return _entry(path / FILE_NAME, request)
    files = sorted(path.glob("BFCL_v*.json"))
    if request.format in ("auto", "bfcl") and files:
        read = [file for file in files if bfcl.why_not(bfcl.category_of_file(file)) is None]
        notes = [
            f"{file.name} not read: {bfcl.why_not(bfcl.category_of_file(file))}"
            for file in files
            if file not in read
        ]
        if not read:
            raise UsageError("no file here can be imported", where=path, remedy="; ".join(notes))
        parts = tuple(_bfcl_part(file) for file in read)
        return Source(label=path.resolve().name, format="bfcl", parts=parts, notes=tuple(notes))
    raise UsageError(
        "this is a folder",
        where=path,
        remedy=f"Name a file in it; a folder needs {FILE_NAME} or BFCL_v*.json.",
    )


def _describes(path: Path) -> bool:
    """Return whether a file is a dataset_info.json, whatever it is called."""
    if path.name == FILE_NAME:
        return True
    if path.suffix.lower() != ".json":
        return False
    try:
        return first_character(path) == "{" and is_dataset_info(next(read_rows(path)).value)
    except RecordError:
        return False


def _entry(path: Path, request: ImportRequest) -> Source:
    entry = read_entry(path, request.name)
    if entry.hub is not None:
        split = request.source_split or entry.split
        rows = _hub_rows(entry.hub, request.subset or entry.subset, split, entry.folder)
        parts: tuple[Part, ...] = (
            Part(stem=entry.name, rows=rows, converter=entry.converter, files=(path,)),
        )
    else:
        parts = tuple(
            Part(
                stem=entry.name if len(entry.files) == 1 else f"{entry.name}-{file.stem}",
                rows=_file_rows(file),
                converter=entry.converter,
                files=(path, file),
            )
            for file in entry.files
        )
    kind = f"dataset_info ({entry.formatting})"
    return Source(label=f"{path.name}, entry {entry.name}", format=kind, parts=parts, notes=entry.notes)


def _files(files: Sequence[Path], request: ImportRequest) -> Source:
    path = files[0]
    rows = _file_rows(path)
    name = request.format if request.format != "auto" else detect(_first_rows(rows), path)
    if request.name is not None:
        raise UsageError("--name is for dataset_info.json", where=path)
    part = (
        _bfcl_part(path)
        if name == "bfcl"
        else Part(stem=path.stem, rows=rows, converter=_converter(name, rows), files=(path,))
    )
    return Source(label=path.name, format=name, parts=(part,))


def _hub(request: ImportRequest, name: str, subset: str | None, split: str) -> Source:
    rows = _hub_rows(name, subset, split, None)
    kind = request.format if request.format != "auto" else detect(_first_rows(rows), name)
    if kind in ("bfcl", "dataset_info"):
        raise UsageError(f"{kind} is read from files", where=name, remedy="Name the file.")
    part = Part(stem=name.rpartition("/")[2], rows=rows, converter=_converter(kind, rows))
    return Source(label=f"{name} on the hub, split {split}", format=kind, parts=(part,))


def _bfcl_part(path: Path) -> Part:
    answers = path.parent / bfcl.ANSWERS_FOLDER / path.name
    converter = bfcl.bfcl(path)
    return Part(
        stem=path.stem,
        rows=_file_rows(path),
        converter=converter,
        files=(path, answers) if answers.is_file() else (path,),
    )


def _converter(name: str, rows: Callable[[], Iterator[Row]]) -> Converter:
    makers: dict[str, Callable[[], Converter]] = {
        "alpaca": alpaca,
        "sharegpt": lambda: sharegpt(_chat_columns(rows)),
        "openai": openai,
        "xlam": lambda: xlam,
        "hermes": lambda: hermes,
    }
    return makers[name]()


def _chat_columns(rows: Callable[[], Iterator[Row]]) -> ChatColumns | None:
    """Return the columns of ShareGPT rows whose conversations stand under `messages`, None for the usual ones."""
    with suppress(RecordError):
        keys = set().union(*_first_rows(rows))
        if "messages" in keys and "conversations" not in keys:
            return ChatColumns(messages="messages")
    return None


def _file_rows(path: Path) -> Callable[[], Iterator[Row]]:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return lambda: parquet_rows(path)
    if suffix in _UNREADABLE:
        raise UsageError(
            f"{suffix} files cannot be read", where=path, remedy="Write JSON, JSON Lines or Parquet."
        )
    return lambda: read_rows(path)


def _hub_rows(name: str, subset: str | None, split: str, folder: str | None) -> Callable[[], Iterator[Row]]:
    return lambda: hub_rows(name, subset, split, folder)


def _first_rows(rows: Callable[[], Iterator[Row]]) -> list[dict[str, Json]]:
    found: list[dict[str, Json]] = []
    first: RecordError | None = None
    try:
        for row in itertools.islice(rows(), _LOOKED_AT):
            first = first or row.problem
            if row.value:
                found.append(row.value)
    except RecordError:
        if not found:
            raise
    if first is not None and not found:
        raise first
    return found


def detect(rows: Sequence[dict[str, Json]], where: Path | str) -> str:
    """Return the format of a source's first rows, told from their keys. Raises UsageError if it cannot be told."""
    keys = set().union(*rows)
    if {"messages", "expect"} <= keys:
        raise UsageError(
            "these are records already", where=where, remedy="Copy the folder; `harness data lint` checks it."
        )
    if {"chosen", "rejected"} <= keys or {"preferred_output", "non_preferred_output"} <= keys:
        raise UsageError(
            "this is preference data",
            where=where,
            remedy="Records hold one right answer; import another set.",
        )
    if {"question", "function"} <= keys or (
        {"question", "id"} <= keys and Path(where).name.startswith("BFCL_v")
    ):
        return "bfcl"
    if {"id", "ground_truth"} <= keys:
        raise UsageError("these are BFCL's answers", where=where, remedy="Name the file with the questions.")
    if {"query", "tools", "answers"} <= keys:
        return "xlam"
    if "messages" in keys:
        return "sharegpt" if any(_has_from(row.get("messages")) for row in rows) else "openai"
    if "conversations" in keys:
        return "hermes" if any(_is_hermes(row.get("conversations")) for row in rows) else "sharegpt"
    if {"instruction", "output"} <= keys:
        return "alpaca"
    shown = ", ".join(sorted(map(str, keys))[:20]) or "none"
    raise UnknownFormat(
        f"the format cannot be told from the keys {shown}",
        where=where,
        remedy=f"Name it with --format, or map the columns in {FILE_NAME}. {_FORMS}",
    )


def _has_from(messages: Json) -> bool:
    return isinstance(messages, list) and any(
        isinstance(entry, dict) and "from" in entry for entry in messages
    )


def _is_hermes(messages: Json) -> bool:
    if not isinstance(messages, list):
        return False
    texts = [entry.get("value") for entry in messages if isinstance(entry, dict)]
    return any(isinstance(text, str) and ("<tools>" in text or "<tool_call>" in text) for text in texts)
