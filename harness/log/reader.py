"""Read a run folder: the header, records one at a time, and generations by sample without holding them."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.files import read_json
from harness.secret_names import names_a_secret
from harness.types import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record with its place: 1-based line and byte offset."""

    record: dict[str, Any]
    number: int
    offset: int


def iter_lines(path: Path, *, tolerate_torn_tail: bool = True) -> Iterator[Line]:
    """Yield a JSONL file's records.

    A torn last line (a crash while writing) is passed over where tolerated; a bad line anywhere else raises
    RunFolderError with file and line, and so does a record of a newer schema version.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        offset = 0
        for number, raw in enumerate(file, start=1):
            record = _decode(raw)
            if record is None:
                if tolerate_torn_tail and not file.read(1):
                    return
                raise RunFolderError(
                    "not a JSON object",
                    where=f"{path}:{number}",
                    remedy="A line in the middle was damaged after it was written; restore the file from a copy.",
                )
            version = record.get("v")
            if isinstance(version, int) and version > schema.SCHEMA_VERSION:
                raise RunFolderError(
                    f"written by a newer harness (schema {version}, this one reads {schema.SCHEMA_VERSION})",
                    where=f"{path}:{number}",
                    remedy="pip install --upgrade persona-harness",
                )
            yield Line(record=record, number=number, offset=offset)
            offset += len(raw)


def _decode(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_HEADER_KINDS: dict[str, type] = {
    "run_id": str,
    "status": str,
    "repeats": int,
    "plan.selection.strata": list,
    "suite.path": str,
    "dataset": dict,
    "selection.tags": dict,
    "engine.model": str,
    "prompt.dialect": str,
}
"""What every reader of a header relies on."""


class RunFolder:
    """A run on disk, read only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / schema.RUN).is_file():
            raise RunFolderError(
                "not a run folder: it has no run.json",
                where=path,
                remedy="Name a folder under reports/ that `harness run` made.",
            )

    def header(self) -> dict[str, Any]:
        """Return run.json. Raises RunFolderError if damaged or of a newer schema."""
        header = read_json(self.path / schema.RUN)
        version = header.get("schema_version")
        if not isinstance(version, int) or version > schema.SCHEMA_VERSION:
            raise RunFolderError(
                f"written by a newer harness (schema {version!r}, this one reads {schema.SCHEMA_VERSION})",
                where=self.path / schema.RUN,
                remedy="pip install --upgrade persona-harness",
            )
        for key, kind in _HEADER_KINDS.items():
            value: Any = header
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if not isinstance(value, kind):
                raise RunFolderError(f"{key!r} is missing or damaged", where=self.path / schema.RUN)
        return header

    def summary(self) -> dict[str, Any]:
        """Return summary.json. Raises RunFolderError."""
        return read_json(self.path / schema.SUMMARY)

    def scores(self) -> Iterator[dict[str, Any]]:
        """Yield the score records in the suite's order. Raises RunFolderError if the run was never scored."""
        if not (self.path / schema.SCORES).is_file():
            raise RunFolderError(
                "this run has no scores.jsonl", where=self.path, remedy=f"Score it: harness score {self.path}"
            )
        for line in iter_lines(self.path / schema.SCORES):
            score = line.record
            if not isinstance(score.get("sample_id"), str) or not isinstance(score.get("repeat"), int):
                raise RunFolderError(
                    "this line is no score: sample_id or repeat is missing",
                    where=f"{self.path / schema.SCORES}:{line.number}",
                    remedy=f"Score again: harness score {self.path}",
                )
            yield score

    def scored_samples(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield (score record, generation record) pairs in the suite's order."""
        with Generations(self.path) as generations:
            for score in self.scores():
                found = generations.record(score["sample_id"], score["repeat"])
                if found is None:
                    raise RunFolderError(
                        f"a score without its generation: {score['sample_id']}",
                        where=self.path / schema.SCORES,
                        remedy="Score again: harness score " + str(self.path),
                    )
                yield score, found


class Generations:
    """The generations of a run by (sample, repeat) or by key, the latest record winning; 24 bytes a record held."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / schema.GENERATIONS
        names: list[int] = []
        keys: list[int] = []
        offsets: list[int] = []
        finished: list[bool] = []
        arrays: list[tuple[Any, ...]] = []
        for line in iter_lines(self.path):
            record = line.record
            try:
                names.append(_name_digest(record["sample_id"], record["repeat"]))
                keys.append(int(record["key"][:16], 16))
                finished.append(record["status"] != "error")
            except (KeyError, TypeError, ValueError) as error:
                raise RunFolderError(
                    f"not a generation record: {error}", where=f"{self.path}:{line.number}"
                ) from None
            offsets.append(line.offset)
            if len(offsets) >= 4096:
                arrays.append(_arrays(names, keys, offsets, finished))
                names, keys, offsets, finished = [], [], [], []
        arrays.append(_arrays(names, keys, offsets, finished))
        columns = [np.concatenate([block[column] for block in arrays]) for column in range(4)]
        self.records = len(columns[0])
        self._offsets, self._finished = columns[2], columns[3]
        self._by_name = _latest(columns[0])
        self._by_key = _latest(columns[1])
        self._file = self.path.open("rb") if self.records else None

    def __enter__(self) -> Generations:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def samples(self) -> int:
        """Return how many samples and repeats have a generation."""
        return len(self._by_name[0])

    def record(self, sample_id: str, repeat: int) -> dict[str, Any] | None:
        """Return the latest generation of a sample as stored, or None."""
        return self._read(self._position(self._by_name, _name_digest(sample_id, repeat)))

    def get(self, sample_id: str, repeat: int) -> Generation | None:
        """Return the latest generation of a sample, or None."""
        return self._generation(self.record(sample_id, repeat))

    def finished(self, key: str) -> bool:
        """True if the latest record of this generation key is no error."""
        position = self._position(self._by_key, int(key[:16], 16))
        return position is not None and bool(self._finished[position])

    def by_key(self, key: str) -> Generation | None:
        """Return the latest generation with this key, or None."""
        found = self._generation(self._read(self._position(self._by_key, int(key[:16], 16))))
        return found if found is not None and found.key == key else None

    def _generation(self, record: dict[str, Any] | None) -> Generation | None:
        if record is None:
            return None
        try:
            return schema.generation_from_record(record)
        except TypeError as error:
            raise RunFolderError(f"not a generation record: {error}", where=self.path) from None

    @staticmethod
    def _position(index: tuple[array[int], array[int]], digest: int) -> int | None:
        digests, positions = index
        at = bisect_left(digests, digest)
        return positions[at] if at < len(digests) and digests[at] == digest else None

    def _read(self, position: int | None) -> dict[str, Any] | None:
        if position is None or self._file is None:
            return None
        self._file.seek(int(self._offsets[position]))
        record: dict[str, Any] = json.loads(self._file.readline())
        return record


def _arrays(*columns: list[Any]) -> tuple[Any, ...]:
    names, keys, offsets, finished = columns
    return (
        np.array(names, np.uint64),
        np.array(keys, np.uint64),
        np.array(offsets, np.int64),
        np.array(finished, np.bool_),
    )


def _latest(digests: Any) -> tuple[array[int], array[int]]:
    """Return sorted distinct digests and, for each, the position of its last occurrence.

    As plain arrays: single look-ups in them are several times faster than in numpy's.
    """
    distinct, first = np.unique(digests[::-1], return_index=True)
    latest = len(digests) - 1 - first
    return array("Q", distinct.tobytes()), array("q", latest.astype(np.int64).tobytes())


def _name_digest(sample_id: str, repeat: int) -> int:
    encoded = f"{sample_id}\x00{repeat}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big")


def redacted(argv: list[str]) -> list[str]:
    """Return the command line without values whose name speaks of a key, token, secret or password.

    Covers `--api-key V`, `--api-key=V`, `--engine-option api_key=V` and passwords in addresses.
    """
    hidden: list[str] = []
    hide_next = False
    for argument in argv:
        parts = argument.split("=")
        secret = next((at for at, name in enumerate(parts) if names_a_secret(name)), None)
        if hide_next:
            hidden.append("[redacted]")
            hide_next = False
        elif secret is not None and secret < len(parts) - 1:
            hidden.append("=".join([*parts[: secret + 1], "[redacted]"]))
        else:
            hidden.append(re.sub(r"(://)[^/@\s]+@", r"\1[redacted]@", argument))
            hide_next = secret is not None and argument.startswith("-")
    return hidden
