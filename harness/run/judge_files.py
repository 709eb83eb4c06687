"""judge.json and judge-verdicts.jsonl beside a run: what a judge said, written as a whole and read again for reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from harness.errors import RunFolderError
from harness.fingerprint import sha256_of_file
from harness.log.files import read_json, write_atomically, write_json_atomically
from harness.log.schema import GENERATIONS, json_line
from harness.persona.judge.checklist import ReplyVerdict
from harness.persona.judge.pairwise import PairVerdict
from harness.persona.judge.qualification import PARTS
from harness.persona.judge.result import JudgeRow, JudgeSummary, RowOf

SCHEMA = 2
JUDGE = "judge.json"
ANSWERS = "judge-answers.jsonl"
VERDICTS = "judge-verdicts.jsonl"


def write_judge(folder: Path, summary: JudgeSummary, details: Mapping[str, Any]) -> Path:
    """Write judge.json and return it. Raises StorageError."""
    path = folder / JUDGE
    write_json_atomically(path, {"schema": SCHEMA, "summary": asdict(summary), **details})
    return path


def write_verdicts(
    folder: Path,
    checklists: Mapping[str, Iterable[ReplyVerdict]],
    pairs: Iterable[PairVerdict],
) -> None:
    """Write every verdict, one a line: check-lists by side, then pairs. Raises StorageError."""
    lines: list[bytes] = []
    for side, verdicts in checklists.items():
        lines += [
            json_line({"kind": "checklist", "side": side, "score": one.score, **asdict(one)})
            for one in verdicts
        ]
    lines += [json_line({"kind": "pair", "consistent": one.consistent, **asdict(one)}) for one in pairs]
    write_atomically(folder / VERDICTS, b"".join(lines))


def read_judge(folder: Path) -> JudgeSummary | None:
    """Return what a judge said about a run, None where none was asked; `stale` if the run's answers are others by now.

    Raises RunFolderError for a damaged file.
    """
    path = folder / JUDGE
    if not path.is_file():
        return None
    stored = read_json(path)
    if stored.get("schema") != SCHEMA:
        raise RunFolderError(
            f"written by another harness (schema {stored.get('schema')!r}, this one reads {SCHEMA})",
            where=path,
            remedy="Judge again: harness persona judge",
        )
    try:
        summary = stored["summary"]
        return JudgeSummary(
            judge=_text(summary["judge"]),
            host=_text(summary["host"]),
            persona=_text(summary["persona"]),
            run=_text_or_none(summary["run"]),
            base=_text_or_none(summary["base"]),
            why_not={part: tuple(map(_text, summary["why_not"][part])) for part in PARTS},
            rows=tuple(map(_row, summary["rows"])),
            missing={_text(code): int(count) for code, count in summary["missing"].items()},
            notes=tuple(map(_text, summary["notes"])),
            stale=_stale(folder, _text_or_none(stored["generations_sha256"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RunFolderError(
            f"not a judge's results: {said}", where=path, remedy="Judge again: harness persona judge"
        ) from None


def _stale(folder: Path, judged: str | None) -> bool:
    """Return whether a run's answers are not those of this digest. A trial has none of either."""
    generations = folder / GENERATIONS
    return judged is not None and (not generations.is_file() or sha256_of_file(generations) != judged)


def _row(stored: Mapping[str, Any]) -> JudgeRow:
    of, unit, believed = stored["of"], stored["unit"], stored["believed"]
    if of not in get_args(RowOf) or unit not in ("share", "difference", "number"):
        raise ValueError(f"unknown row {of!r}, {unit!r}")
    if not isinstance(believed, bool):
        raise ValueError(f"{believed!r} is neither true nor false")
    return JudgeRow(
        id=_text(stored["id"]),
        label=_text(stored["label"]),
        of=of,
        unit=unit,
        value=_number(stored["value"]),
        low=_number(stored["low"]),
        high=_number(stored["high"]),
        n=int(stored["n"]),
        believed=believed,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
