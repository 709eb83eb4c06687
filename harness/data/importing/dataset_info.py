"""LLaMA-Factory's dataset_info.json: which file, in which form, under which column names and roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.importing.alpaca import alpaca
from harness.data.importing.columns import OPENAI_ROLES, SHAREGPT_ROLES, AlpacaColumns, ChatColumns, Speaker
from harness.data.importing.context import Converter
from harness.data.importing.openai import openai
from harness.data.importing.rows import read_text
from harness.data.importing.sharegpt import sharegpt
from harness.data.strict_json import StrictJsonError, decode
from harness.errors import SpecError, did_you_mean
from harness.types import Json

FILE_NAME = "dataset_info.json"
_FORMATTINGS = ("alpaca", "sharegpt", "openai")
_PLACES = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name", "file_name")
_KNOWN = (
    *_PLACES,
    "formatting",
    "ranking",
    "subset",
    "split",
    "folder",
    "num_samples",
    "columns",
    "tags",
    "revision",
)
_ALPACA = ("prompt", "query", "response", "history", "system", "tools")
_CHAT = ("messages", "system", "tools")
_REFUSED = {
    "chosen": "preference data",
    "rejected": "preference data",
    "kto_tag": "feedback on answers (KTO)",
    "images": "images",
    "videos": "videos",
    "audios": "sound",
}
_TAGS: Mapping[str, Speaker] = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "call",
    "system_tag": "system",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One data set of the file. Either `files` or `hub` says where its rows are."""

    name: str
    converter: Converter
    formatting: str
    files: tuple[Path, ...] = ()
    hub: str | None = None
    subset: str | None = None
    split: str = "train"
    folder: str | None = None
    notes: tuple[str, ...] = ()


def is_dataset_info(value: Json) -> bool:
    """Return whether a JSON value looks like the content of dataset_info.json."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(entry, dict) and any(place in entry for place in _PLACES) for entry in value.values()
        )
    )


def read_entry(path: Path, name: str | None) -> Entry:
    """Return one entry of the file: the one of that name, or the only one.

    Raises SpecError for a file that is no dataset_info.json, a name it does not have, and an entry that holds anything
    but prompts with their answers.
    """
    try:
        entries = decode(read_text(path))
    except StrictJsonError as error:
        raise SpecError(error.what, where=path, remedy=error.remedy or "Mend the file.") from None
    if not isinstance(entries, dict) or not entries:
        raise SpecError("must be an object of data sets by name", where=path)
    if name is None:
        if len(entries) > 1:
            raise SpecError(
                f"describes {len(entries)} data sets",
                where=path,
                remedy=f"Name one with --name: {_shown(entries)}.",
            )
        name = next(iter(entries))
    if name not in entries:
        raise SpecError(f"no data set {name!r}", where=path, remedy=did_you_mean(name, entries, "It has"))
    entry = entries[name]
    if not isinstance(entry, dict):
        raise SpecError(f"{name}: must be an object", where=path)
    return _Reader(path, name, entry).read()


def _shown(names: Mapping[str, Json]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return ", ".join(listed[:20]) + more


class _Reader:
    """Reads one entry."""

    __slots__ = ("entry", "name", "notes", "path")

    def __init__(self, path: Path, name: str, entry: dict[str, Json]) -> None:
        self.path = path
        self.name = name
        self.entry = entry
        self.notes: list[str] = []

    def fail(self, what: str, remedy: str | None = None) -> SpecError:
        return SpecError(f"{self.name}: {what}", where=self.path, remedy=remedy)

    def read(self) -> Entry:
        if self.entry.get("ranking"):
            raise self.fail(
                "is a preference data set (ranking: true)",
                "Records hold one right answer; import another set.",
            )
        formatting = self.entry.get("formatting", "alpaca")
        if formatting not in _FORMATTINGS:
            raise self.fail(f"formatting is {formatting!r}", did_you_mean(str(formatting), _FORMATTINGS))
        for key in self.entry:
            if key not in _KNOWN:
                self.notes.append(f"{key!r} of {self.name} is not known and was not used")
        if self.entry.get("num_samples") is not None:
            self.notes.append(
                f"'num_samples' of {self.name} draws at random and was not used: all rows are read"
            )
        columns = self.columns(_ALPACA if formatting == "alpaca" else _CHAT)
        files, hub = self.place()
        return Entry(
            name=self.name,
            converter=self.converter(str(formatting), columns),
            formatting=str(formatting),
            files=files,
            hub=hub,
            subset=self.text("subset"),
            split=self.text("split") or "train",
            folder=self.text("folder"),
            notes=tuple(self.notes),
        )

    def text(self, key: str) -> str | None:
        value = self.entry.get(key)
        if value is not None and not isinstance(value, str):
            raise self.fail(f"{key} must be text")
        return value

    def columns(self, known: tuple[str, ...]) -> dict[str, str | None] | None:
        """Return the mapped columns. As in LLaMA-Factory, a mapping leaves out every column that it does not name."""
        columns = self.entry.get("columns")
        if columns is None:
            return None
        if not isinstance(columns, dict):
            raise self.fail("columns must be an object")
        for key, value in columns.items():
            if key in _REFUSED:
                raise self.fail(
                    f"columns.{key}: {_REFUSED[key]} cannot be imported", "Records hold text and calls."
                )
            if key not in known:
                remedy = did_you_mean(key, known, "Columns of this formatting")
                raise self.fail(f"columns: unknown column {key!r}", remedy)
            if not isinstance(value, str):
                raise self.fail(f"columns.{key} must be text")
        return {key: columns.get(key) for key in known}

    def converter(self, formatting: str, columns: dict[str, str | None] | None) -> Converter:
        if formatting == "alpaca":
            if columns is None:
                # What LLaMA-Factory takes when nothing is mapped: no history, no system.
                return alpaca(AlpacaColumns(history=None, system=None, tools=None))
            if columns["prompt"] is None or columns["response"] is None:
                raise self.fail(
                    "columns must name prompt and response", "Text without an answer cannot be imported."
                )
            return alpaca(AlpacaColumns(**columns))
        mapped = {"messages": "conversations", "system": None, "tools": None} | (columns or {})
        messages = mapped["messages"]
        if messages is None:
            raise self.fail("columns must name messages")
        named = self.chat(messages, mapped["system"], mapped["tools"], formatting)
        return openai(named) if formatting == "openai" else sharegpt(named)

    def chat(self, messages: str, system: str | None, tools: str | None, formatting: str) -> ChatColumns:
        tags = self.entry.get("tags") or {}
        if not isinstance(tags, dict):
            raise self.fail("tags must be an object")
        for key, value in tags.items():
            if key not in (*_TAGS, "role_tag", "content_tag"):
                raise self.fail(
                    f"tags: unknown tag {key!r}", did_you_mean(key, (*_TAGS, "role_tag", "content_tag"))
                )
            if not isinstance(value, str):
                raise self.fail(f"tags.{key} must be text")
        usual = OPENAI_ROLES if formatting == "openai" else SHAREGPT_ROLES
        given = {tags[key]: speaker for key, speaker in _TAGS.items() if key in tags}
        taken = set(given.values())
        roles = {name: speaker for name, speaker in usual.items() if speaker not in taken} | given
        openai_form = formatting == "openai"
        return ChatColumns(
            messages=messages,
            system=system,
            tools=tools,
            role=tags.get("role_tag", "role" if openai_form else "from"),
            content=tags.get("content_tag", "content" if openai_form else "value"),
            roles=roles,
        )

    def place(self) -> tuple[tuple[Path, ...], str | None]:
        """Return the entry's files, or its hub id. The hub counts before a file, as in LLaMA-Factory."""
        hub = self.text("hf_hub_url")
        if hub:
            return (), hub
        file_name = self.text("file_name")
        if not file_name:
            places = [place for place in _PLACES if place in self.entry]
            what = f"names only {', '.join(places)}" if places else "names no file"
            raise self.fail(what, "Only file_name and hf_hub_url can be read.")
        path = self.path.parent / file_name
        try:
            if path.is_dir():
                visible = (file for file in path.iterdir() if not file.name.startswith("."))
                files = tuple(sorted(file for file in visible if file.is_file()))
                if not files:
                    raise self.fail(f"the folder {path} holds no file")
                return files, None
            there = path.is_file()
        except OSError as error:  # a name that the system refuses, say
            raise self.fail(f"file_name {file_name[:80]!r} cannot be read: {error.strerror}") from None
        if not there:
            raise self.fail(f"no file {path}", "Put it beside dataset_info.json, or correct file_name.")
        return (path,), None
