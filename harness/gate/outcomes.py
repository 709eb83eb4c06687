"""What one run answered, per sample: each measure's numerator and denominator, its cluster, and its slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.reader import iter_lines
from harness.score.aggregate import UNTAGGED

Status = Literal["scored", "unscored", "error"]
Part = tuple[float, float]
"""One sample's numerator and denominator in a measure."""
Key = tuple[str, int]
"""Sample id and repeat."""

NOTHING: Part = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One sample's outcome; `parts` follow `Outcomes.measures` and are empty unless it was scored."""

    status: Status
    cluster: str
    parts: tuple[Part, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """A run's outcomes by sample and repeat, in the run's order."""

    measures: tuple[str, ...]
    samples: Mapping[Key, Outcome]


def read_outcomes(folder: Path, measures: Sequence[str], slices: Sequence[str] = ()) -> Outcomes:
    """Return a scored run's outcomes in these measures; `tags` hold these slices ("(none)" where a sample has no tag).

    Raises RunFolderError with file and line for a record that is none, and for a run that was never scored.
    """
    path = folder / schema.SCORES
    if not path.is_file():
        raise RunFolderError(
            "this run has no scores.jsonl", where=folder, remedy=f"Score it: harness score {folder}"
        )
    samples: dict[Key, Outcome] = {}
    for line in iter_lines(path):
        try:
            key, outcome = _outcome(line.record, measures, slices)
            if key in samples:
                raise ValueError(f"sample {key[0]!r} is scored twice")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            said = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise RunFolderError(
                f"not a score record: {said}",
                where=f"{path}:{line.number}",
                remedy=f"Score again: harness score {folder}",
            ) from None
        samples[key] = outcome
    return Outcomes(measures=tuple(measures), samples=samples)


def _outcome(record: dict[str, Any], measures: Sequence[str], slices: Sequence[str]) -> tuple[Key, Outcome]:
    sample, repeat, status = record["sample_id"], record["repeat"], record["status"]
    if not isinstance(sample, str) or isinstance(repeat, bool) or not isinstance(repeat, int):
        raise TypeError("its sample_id or repeat is damaged")
    if status not in ("scored", "unscored", "error"):
        raise ValueError(f"unknown status {str(status)[:40]!r}")
    stored, tags, cluster = record["measures"], record.get("tags"), record.get("cluster")
    if not isinstance(stored, dict) or not isinstance(tags, dict) or not isinstance(cluster, str):
        raise TypeError("its measures, tags or cluster are damaged")
    parts = tuple(_parts(stored, measures)) if status == "scored" else ()
    shown = {name: str(tags.get(name, UNTAGGED)) for name in slices}
    return (sample, repeat), Outcome(status=status, cluster=cluster, parts=parts, tags=shown)


def _parts(stored: Mapping[str, Any], measures: Sequence[str]) -> Iterator[Part]:
    for name in measures:
        found = stored.get(name)
        if found is None:
            yield NOTHING
            continue
        top, bottom = found
        yield checked_part(name, top, bottom)


def checked_part(name: str, top: Any, bottom: Any) -> Part:
    """Return a numerator and a denominator as finite numbers. Raises ValueError."""
    for value in (top, bottom):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"its measure {name!r} holds no numbers")
    if bottom < 0:
        raise ValueError(f"its measure {name!r} has a negative denominator")
    return float(top), float(bottom)
