"""One run's scores and replies as columns: what pairing needs, in a few dozen bytes a sample.

Samples are named by 64 bits of a hash of (id, repeat); their records stay on disk and are read again by offset.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.reader import Line, RunFolder, iter_lines
from harness.score.aggregate import cluster_label

SCORED, UNSCORED, ERROR = 0, 1, 2
_STATUS = {"scored": SCORED, "unscored": UNSCORED, "error": ERROR}
_BLOCK = 1024
_MOST_VERDICTS = 250
OTHER = "(other)"
"""What verdicts beyond those that are told apart are called."""


class Verdicts:
    """Verdict codes as small numbers, shared by the runs of one comparison; what is beyond 250 is one "(other)"."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def code(self, verdict: Any) -> int:
        """Return the number of a verdict."""
        name = verdict if isinstance(verdict, str) else json.dumps(verdict)
        if name not in self._known and len(self._known) >= _MOST_VERDICTS:
            name = OTHER
        return self._known.setdefault(name, len(self._known))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the verdicts by number."""
        return tuple(self._known)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumns:
    """A run's scores, one entry a sample and repeat in the file's order.

    `correct` is 1, 0, or -1 where nothing was judged. `tops[at]` and `bottoms[at]` belong to `measures[at]`.
    """

    path: Path
    measures: tuple[str, ...]
    ids: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    clusters: NDArray[np.uint64]
    status: NDArray[np.uint8]
    correct: NDArray[np.int8]
    verdicts: NDArray[np.uint8]
    tops: tuple[NDArray[Any], ...]
    bottoms: tuple[NDArray[Any], ...]

    def record(self, place: int) -> dict[str, Any]:
        """Return one score record. Raises RunFolderError if the file has changed since."""
        return _record_at(self.path, int(self.offsets[place]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyColumns:
    """A run's latest generations by sample: sorted `ids`, and what belongs to each. `texts` are 64-bit hashes."""

    path: Path
    ids: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    prompt_tokens: NDArray[np.int64]
    texts: NDArray[np.uint64]

    def places(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return where samples stand. Raises RunFolderError for a score without its generation."""
        at = np.searchsorted(self.ids, ids)
        inside = np.minimum(at, max(0, len(self.ids) - 1))
        if len(ids) and (not len(self.ids) or not bool((self.ids[inside] == ids).all())):
            raise RunFolderError(
                "a score without its generation",
                where=self.path,
                remedy=f"Score again: harness score {self.path.parent}",
            )
        return inside.astype(np.int64)

    def record(self, place: int) -> dict[str, Any]:
        """Return one generation record. Raises RunFolderError if the file has changed since."""
        return _record_at(self.path, int(self.offsets[place]))


def digest(text: str) -> int:
    """Return 64 bits of a hash of any text, lone surrogates included."""
    encoded = text.encode("utf-8", "backslashreplace")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big")


def read_scores(run: RunFolder, measures: Sequence[str], verdicts: Verdicts) -> ScoreColumns:
    """Return a run's scores in columns. Raises RunFolderError with file and line for a record that is none."""
    path = run.path / schema.SCORES
    if not path.is_file():
        raise RunFolderError(
            "this run has no scores.jsonl", where=run.path, remedy=f"Score it: harness score {run.path}"
        )
    ids, offsets, clusters = array("Q"), array("q"), array("Q")
    status, correct, codes = array("B"), array("b"), array("B")
    parts = _Packed(len(measures))
    for line in iter_lines(path):
        record = line.record
        try:
            sample, repeat = _name(record)
            ids.append(digest(f"{sample}\0{repeat}"))
            offsets.append(line.offset)
            status.append(_STATUS[record["status"]])
            judged = record.get("correct")
            correct.append(int(judged) if isinstance(judged, bool) else -1)
            codes.append(verdicts.code(record.get("verdict")))
            clusters.append(digest(cluster_label(record.get("cluster"), sample)))
            parts.add(_parts(record.get("measures"), measures))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _damaged("a score", path, line, error) from None
    columns = parts.columns()
    found = ScoreColumns(
        path=path,
        measures=tuple(measures),
        ids=np.array(ids, np.uint64),
        offsets=np.array(offsets, np.int64),
        clusters=np.array(clusters, np.uint64),
        status=np.array(status, np.uint8),
        correct=np.array(correct, np.int8),
        verdicts=np.array(codes, np.uint8),
        tops=columns[0::2],
        bottoms=columns[1::2],
    )
    _check_unique(found)
    return found


def read_replies(run: RunFolder) -> ReplyColumns:
    """Return a run's latest generations in columns. Raises RunFolderError for a record that is none."""
    path = run.path / schema.GENERATIONS
    ids, offsets, tokens, texts = array("Q"), array("q"), array("q"), array("Q")
    for line in iter_lines(path):
        record = line.record
        try:
            sample, repeat = _name(record)
            ids.append(digest(f"{sample}\0{repeat}"))
            offsets.append(line.offset)
            tokens.append(int(record.get("prompt_tokens") or 0))
            texts.append(digest(str(record.get("text") or "")))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _damaged("a generation", path, line, error) from None
    named = np.array(ids, np.uint64)
    distinct, first = np.unique(named[::-1], return_index=True)
    latest = len(named) - 1 - first
    return ReplyColumns(
        path=path,
        ids=distinct,
        offsets=np.array(offsets, np.int64)[latest],
        prompt_tokens=np.array(tokens, np.int64)[latest],
        texts=np.array(texts, np.uint64)[latest],
    )


def _name(record: dict[str, Any]) -> tuple[str, int]:
    sample, repeat = record["sample_id"], record["repeat"]
    if not isinstance(sample, str) or isinstance(repeat, bool) or not isinstance(repeat, int):
        raise TypeError("its sample_id or repeat is damaged")
    return sample, repeat


def _parts(stored: Any, measures: Sequence[str]) -> Iterator[float]:
    """Yield each measure's numerator and denominator, 0 and 0 where it does not apply."""
    if not isinstance(stored, dict):
        raise TypeError("its measures are no object")
    for name in measures:
        top, bottom = stored.get(name, (0, 0))
        if not math.isfinite(top) or not math.isfinite(bottom) or bottom < 0:
            raise ValueError(f"its measure {name!r} holds no numbers")
        yield top
        yield bottom


def _damaged(what: str, path: Path, line: Line, error: Exception) -> RunFolderError:
    said = f"no {error}" if isinstance(error, KeyError) else str(error)
    return RunFolderError(f"not {what} record: {said}", where=f"{path}:{line.number}")


def _check_unique(columns: ScoreColumns) -> None:
    _, first, counts = np.unique(columns.ids, return_index=True, return_counts=True)
    if bool((counts > 1).any()):
        record = columns.record(int(first[counts > 1][0]))
        raise RunFolderError(
            f"sample {record['sample_id']!r} is scored twice",
            where=columns.path,
            remedy=f"Score again: harness score {columns.path.parent}",
        )


def _record_at(path: Path, offset: int) -> dict[str, Any]:
    with path.open("rb") as file:
        file.seek(offset)
        raw = file.readline()
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise RunFolderError("this file changed while it was read", where=path, remedy="Try again.")
    return record


class _Packed:
    """Rows of numbers as columns: one byte a number where all of a block are small integers (nearly all are 0 or 1)."""

    def __init__(self, width: int) -> None:
        self._width = 2 * width
        self._rows: list[list[float]] = []
        self._blocks: list[list[NDArray[Any]]] = []

    def add(self, row: Iterator[float]) -> None:
        self._rows.append(list(row))
        if len(self._rows) == _BLOCK:
            self._pack()

    def _pack(self) -> None:
        wide = np.array(self._rows, dtype=np.float64).reshape(len(self._rows), self._width)
        narrow = np.clip(wide, -128, 127).astype(np.int8)
        fits = (narrow == wide).all(axis=0)
        self._blocks.append([(narrow if fits[at] else wide)[:, at].copy() for at in range(self._width)])
        self._rows.clear()

    def columns(self) -> tuple[NDArray[Any], ...]:
        self._pack()
        return tuple(np.concatenate(parts) for parts in zip(*self._blocks, strict=True))
