"""Scored runs of a tools scenario -> what the persona costs each adapter against the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import NothingCollected, RunFolderError, UsageError
from harness.log.reader import RunFolder
from harness.persona.tools.analysis import Comparison, Row, compare, personas_of
from harness.persona.tools.tasks import KIND
from harness.persona.tools.tax import MARGIN
from harness.run.comparable import check_comparable


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """An adapter's run: its folder, its name, and the comparison with the base for each character."""

    folder: Path
    name: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRuns:
    """Runs of one suite, the base first. `validated` says whether the style metric of all characters is."""

    suite: str
    base: Path
    base_name: str
    runs: tuple[ComparedRun, ...]
    characters: dict[str, str]
    margin: float
    validated: bool
    why_not: tuple[str, ...]


def compare_tool_runs(
    paths: Sequence[Path], *, margin: float = MARGIN, allow_incomplete: bool = False
) -> ToolRuns:
    """Return the comparison of the first run, of the base, with each of the others.

    Raises UsageError for fewer than two runs, a margin outside (0, 1) or a first run with an adapter, RunFolderError for
    runs of another suite or kind of suite, IncompleteRun for unfinished ones, NothingCollected without a common task.
    """
    if not 0 < margin < 1:
        raise UsageError(
            f"the margin is a share between 0 and 1, not {margin:g}", remedy="3 points are 0.03."
        )
    folders = [RunFolder(path) for path in paths]
    headers = check_comparable(folders, allow_incomplete=allow_incomplete)
    if headers[0]["engine"].get("adapter"):
        raise UsageError(
            "the first run is to be the base, and this one has an adapter",
            where=folders[0].path,
            remedy="Name the base's run first: harness run SUITE --adapter base --adapter MINE makes both.",
        )
    abouts = [_about(folder) for folder in folders]
    base = read_rows(folders[0])
    runs = []
    for folder, header in zip(folders[1:], headers[1:], strict=True):
        rows = read_rows(folder)
        found = [
            compare(base, rows, persona, margin=margin)
            for persona in sorted({*personas_of(base)} & {*personas_of(rows)})
        ]
        if not any(tax.tasks for one in found for tax in one.tax.values()):
            raise NothingCollected(
                "the runs share no tool task that both scored under both prompts",
                where=folder.path,
                remedy=f"Run both on the same samples; the base is {folders[0].path}.",
            )
        runs.append(ComparedRun(folder=folder.path, name=_name(header), comparisons=tuple(found)))
    return ToolRuns(
        suite=str(headers[0]["suite"].get("name")),
        base=folders[0].path,
        base_name=_name(headers[0]),
        runs=tuple(runs),
        characters={
            name: str(one.get("display_name") or name) if isinstance(one, dict) else name
            for name, one in abouts[0].get("characters", {}).items()
        },
        margin=margin,
        validated=all(about.get("validated") is True for about in abouts),
        why_not=tuple(
            dict.fromkeys(str(reason) for about in abouts for reason in about.get("why_not") or ())
        ),
    )


def read_rows(folder: RunFolder) -> list[Row]:
    """Return the scored samples of a run. Raises RunFolderError for a score without the tags of a tools scenario."""
    rows = []
    for score in folder.scores():
        if score.get("status") != "scored":
            continue
        tags, measures = score.get("tags"), score.get("measures")
        if not isinstance(tags, dict) or not isinstance(measures, dict) or not tags.keys() >= _TAGS:
            raise RunFolderError(
                f"the score of {score['sample_id']!r} is not of a tools scenario", where=folder.path
            )
        rows.append(
            Row(
                sample=f"{score['sample_id']}#{score['repeat']}",
                cluster=str(score.get("cluster") or score["sample_id"]),
                persona=str(tags["persona"]),
                condition=str(tags["condition"]),
                side=str(tags["side"]),
                parts={name: _part(folder, part) for name, part in measures.items()},
            )
        )
    return rows


_TAGS = {"persona", "condition", "side"}


def _part(folder: RunFolder, part: Any) -> tuple[float, float]:
    try:
        top, bottom = part
        return float(top), float(bottom)
    except (TypeError, ValueError):
        raise RunFolderError(
            "a measure is no pair of numbers",
            where=folder.path / "scores.jsonl",
            remedy=f"Score again: harness score {folder.path}",
        ) from None


def _about(folder: RunFolder) -> dict[str, Any]:
    about = folder.summary().get("persona")
    if not isinstance(about, dict) or about.get("scenario") != KIND:
        raise RunFolderError(
            "this is no run of a suite with scenario: {kind: persona_tools}",
            where=folder.path,
            remedy="Make one with: harness run suites/persona_tools --adapter base --adapter MINE",
        )
    return about


def _name(header: dict[str, Any]) -> str:
    engine = header["engine"]
    adapter = engine.get("adapter")
    return Path(str(adapter)).name if adapter else str(engine.get("model"))
