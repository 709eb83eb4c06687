"""Scored runs of a tools scenario -> what the persona costs each adapter against the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import NothingCollected, RunFolderError, UsageError
from harness.log.reader import RunFolder
from harness.persona.tools.analysis import Comparison, Row, compare, personas_of
from harness.persona.tools.tasks import KIND
from harness.persona.tools.tax import MARGIN
from harness.run.comparable import check_comparable, same_model


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A character that is not compared, because only one of the two runs has it."""

    persona: str
    only_in: Literal["base", "adapter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """An adapter's run: its folder, its name, and the comparison with the base for each character.

    Adapters of equal folder names are numbered. `left_out` are the characters that only one of the two runs has.
    """

    folder: Path
    name: str
    comparisons: tuple[Comparison, ...]
    left_out: tuple[LeftOut, ...]


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

    Raises UsageError for fewer than two runs, a margin outside (0, 1), a first run with an adapter, and for others that are
    not of adapters of that base, under the same sampling and numbers; RunFolderError for runs of another suite or kind of
    suite, IncompleteRun for unfinished ones, NothingCollected without a common task.
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
    for folder, header in zip(folders[1:], headers[1:], strict=True):
        _check_adapter_of_base(folders[0].path, headers[0], folder.path, header)
    abouts = [_about(folder) for folder in folders]
    base = read_rows(folders[0])
    runs = []
    for folder, name in zip(folders[1:], _numbered([_name(header) for header in headers[1:]]), strict=True):
        rows = read_rows(folder)
        of_base, of_adapter = {*personas_of(base)}, {*personas_of(rows)}
        found = [compare(base, rows, persona, margin=margin) for persona in sorted(of_base & of_adapter)]
        if not any(tax.tasks for one in found for tax in one.tax.values()):
            raise NothingCollected(
                "the runs share no tool task that both scored under both prompts",
                where=folder.path,
                remedy=f"Run both on the same samples; the base is {folders[0].path}.",
            )
        runs.append(
            ComparedRun(
                folder=folder.path,
                name=name,
                comparisons=tuple(found),
                left_out=tuple(
                    LeftOut(persona=one, only_in="base" if one in of_base else "adapter")
                    for one in sorted(of_base ^ of_adapter)
                ),
            )
        )
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


def _check_adapter_of_base(base: Path, one: Mapping[str, Any], path: Path, other: Mapping[str, Any]) -> None:
    """Raise UsageError unless `other` is of an adapter of the model of `one`, asked as that was: the tax is the adapter's."""
    remedy = (
        f"Make both with one command: harness run SUITE --adapter base --adapter MINE. The base is {base}."
    )
    engines = [header["engine"] for header in (one, other)]
    if not engines[1].get("adapter"):
        raise UsageError(
            "this run has no adapter: only the first is to be the base", where=path, remedy=remedy
        )
    if not same_model(one, other):
        names = " and ".join(str(engine.get("model")) for engine in engines)
        raise UsageError(
            f"this adapter was measured on another base than the first run: {names}, with other weights",
            where=path,
            remedy=remedy,
        )
    numbers = [
        {
            **{name: engine.get(name) for name in ("dtype", "quantization")},
            **{f"sampling.{name}": value for name, value in sorted((header.get("sampling") or {}).items())},
            "repeats": header.get("repeats"),
        }
        for engine, header in zip(engines, (one, other), strict=True)
    ]
    for name in {**numbers[0], **numbers[1]}:
        values = [found.get(name) for found in numbers]
        if values[0] != values[1]:
            raise UsageError(
                f"this run was made with another {name} than the base's: {values[1]} instead of {values[0]}",
                where=path,
                remedy=remedy,
            )


def _numbered(names: Sequence[str]) -> list[str]:
    """Return the names with (2), (3), ... behind those that stood before."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return found


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
