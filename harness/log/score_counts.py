"""How many score records a run folder holds, by status: what its summary says is held against it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.reader import iter_lines

STATUSES: Mapping[str, str] = {"scored": "scored", "unscored": "unscored", "error": "errors"}
"""A score record's status, and its name among the counts of a summary."""

# A record as scoring writes it, up to its status: decoding whole lines would take twenty times as long.
_HEAD = re.compile(
    rb'\{"v":1,"key":"[^"\\]*","sample_id":"(?:[^"\\]|\\.)*","repeat":\d+,"status":"(scored|unscored|error)",'
)


def count_scores(folder: Path) -> dict[str, int]:
    """Return how many records scores.jsonl holds, by the names of a summary's counts.

    A last line that was cut off is none. Raises RunFolderError for a run that was never scored, and with file and line
    for a line that is no record or has no known status.
    """
    path = folder / schema.SCORES
    if not path.is_file():
        raise RunFolderError(
            "this run has no scores.jsonl", where=folder, remedy=f"Score it: harness score {folder}"
        )
    counts: Counter[str] = Counter()
    with path.open("rb") as file:
        for raw in file:
            head = _HEAD.match(raw)
            if head is None or not raw.endswith(b"}\n"):
                return _decoded(path, folder)
            counts[head[1].decode()] += 1
    return {name: counts[status] for status, name in STATUSES.items()}


def _decoded(path: Path, folder: Path) -> dict[str, int]:
    """Return the same of a file that something else than scoring wrote, or that was cut off."""
    counts: Counter[str] = Counter()
    for line in iter_lines(path):
        status = line.record.get("status")
        if not isinstance(status, str) or status not in STATUSES:
            raise RunFolderError(
                f"not a score record: no {str(status)[:40]!r} among its statuses ({', '.join(STATUSES)})",
                where=f"{path}:{line.number}",
                remedy=f"Score again: harness score {folder}",
            )
        counts[status] += 1
    return {name: counts[status] for status, name in STATUSES.items()}


def score_difference(folder: Path, summary: Mapping[str, Any]) -> str | None:
    """Return what scores.jsonl holds otherwise than a summary counts, None where they agree. Raises as `count_scores`."""
    stored = summary.get("counts")
    counts = stored if isinstance(stored, Mapping) else {}
    for name, found in count_scores(folder).items():
        if counts.get(name) != found:
            said = f"{counts.get(name)!r:.40}"
            return (
                f"{schema.SCORES} holds {found} records for counts.{name}, and {schema.SUMMARY} says {said}"
            )
    return None


def damaged_scores(folder: Path, difference: str) -> RunFolderError:
    """Return what to tell of a run whose scores and summary disagree."""
    return RunFolderError(
        f"damaged: {difference}", where=folder, remedy=f"Score again: harness score {folder}"
    )
