"""JSON-Lines files of persona suites, read strictly: what is wrong is a RecordError with file:line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError, SpecError, did_you_mean
from harness.types import Json


@dataclass(frozen=True, slots=True)
class Record:
    """One line's object with its place; its methods raise RecordError naming it."""

    fields: Mapping[str, Json]
    path: Path
    line: int

    @property
    def where(self) -> str:
        """Return file:line, and the record's id where it has one."""
        name = self.fields.get("id")
        return f"{self.path}:{self.line}" + (f" ({name})" if isinstance(name, str) and name else "")

    def fail(self, what: str, remedy: str | None = None) -> RecordError:
        """Return the error to raise."""
        return RecordError(what, where=self.where, remedy=remedy)

    def keys(self, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
        """Raise for a key that is missing or unknown."""
        known = (*required, *optional)
        for key in self.fields:
            if key not in known:
                raise self.fail(f"unknown key {key!r}", did_you_mean(str(key), known, "Known keys"))
        for key in required:
            if key not in self.fields:
                raise self.fail(f"key {key!r} is missing", f"A line needs {', '.join(required)}.")

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.fields.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(f"{key} must be text that is not empty")
        return value

    def number(self, key: str) -> int:
        """Return a whole number of 1 or more."""
        value = self.fields.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.fail(f"{key} must be a whole number of 1 or more")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.fields.get(key)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.fail(f"{key} must be a list of texts")
        return tuple(value)

    def parts(self, key: str) -> list[Record]:
        """Return a list of objects, each as a record of the same place."""
        value = self.fields.get(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.fail(f"{key} must be a list of objects")
        return [Record(one, self.path, self.line) for one in value]

    def tags(self) -> dict[str, str]:
        """Return the tags, texts by name; {} where there are none."""
        value: Any = self.fields.get("tags", {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self.fail("tags must be an object of texts")
        return dict(value)


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file, each with an `id` of its own. Raises SpecError if there is no such file."""
    if not path.is_file():
        raise SpecError("no such file", where=path)
    seen: set[str] = set()
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        if not line.raw.strip():
            raise RecordError("empty line", where=where, remedy="Delete it; one JSON object a line.")
        fields = decode_bytes(line.raw, where)
        if not isinstance(fields, dict):
            raise RecordError("a line must hold a JSON object", where=where)
        record = Record(fields, path, line.number)
        name = record.text("id")
        if name in seen:
            raise record.fail(f"id {name!r} stands twice", "Give it its own id.")
        seen.add(name)
        yield record
