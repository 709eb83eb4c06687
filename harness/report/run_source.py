"""From run folders to a scorecard: reads the run, its gates, its training and the baseline that it is held against.

The baseline is the run that --baseline names. Its place is kept in RUN/baseline.json, relative to the run folder, so
that making the scorecard again gives the same page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RunFolderError
from harness.fingerprint import sha256_of
from harness.log import schema
from harness.log.files import read_json, storage_error, write_json_atomically
from harness.log.reader import Generations, RunFolder
from harness.report.judge_panel import judge_panel
from harness.report.measures import is_headline
from harness.report.model import NO_BASELINE, Against, Scorecard, build_scorecard, status_of
from harness.report.sample_body import Pair, Record
from harness.report.side_by_side import SideBySide, side_by_side
from harness.report.stored import mapping
from harness.report.training_source import keep_training, read_training
from harness.run.comparable import check_comparable
from harness.run.noise_file import noise_path, read_noise, unlike, write_noise
from harness.run.paired_columns import SCORED, ScoreColumns, digest
from harness.run.paired_runs import measured, pair_runs

BASELINE, GATES, NOISE = "baseline.json", "gates.json", "noise.json"


class EarlierRun:
    """What another run answered: status, outcome and verdict of every sample held, the rest read when asked for."""

    def __init__(self, run: RunFolder, scores: ScoreColumns, verdicts: Sequence[str]) -> None:
        """`verdicts` are the names of `scores.verdicts`."""
        self._run, self._scores, self._verdicts = run, scores, verdicts
        self._places = dict(zip(scores.ids.tolist(), range(len(scores.ids)), strict=True))
        self._generations: Generations | None = None

    def score(self, sample_id: Any, repeat: Any) -> Record | None:
        """Return `status`, `correct` and `verdict` of a sample's score."""
        place = self._place(sample_id, repeat)
        if place is None:
            return None
        correct = int(self._scores.correct[place])
        return {
            "status": "scored" if self._scores.status[place] == SCORED else "unscored",
            "correct": None if correct < 0 else bool(correct),
            "verdict": self._verdicts[self._scores.verdicts[place]],
        }

    def pair(self, sample_id: Any, repeat: Any) -> Pair | None:
        """Return a sample's score and generation as stored."""
        place = self._place(sample_id, repeat)
        if place is None:
            return None
        if self._generations is None:
            self._generations = Generations(self._run.path)
        score = self._scores.record(place)
        return score, self._generations.record(score["sample_id"], score["repeat"]) or {}

    def close(self) -> None:
        """Close the file of generations."""
        if self._generations is not None:
            self._generations.close()

    def _place(self, sample_id: Any, repeat: Any) -> int | None:
        return self._places.get(digest(f"{sample_id}\0{repeat if isinstance(repeat, int) else 0}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The baseline to use: a folder, or the reason why there is none."""

    folder: Path | None
    reason: str = NO_BASELINE


def keep_baseline(run: Path, named: Path | None) -> None:
    """Remember (or, for None, forget) the run that this one is held against.

    Raises RunFolderError for a folder that is no run or that is the run itself, StorageError.
    """
    place = run / BASELINE
    if named is None:
        place.unlink(missing_ok=True)
        return
    other = RunFolder(named)
    other.header()
    if named.resolve() == run.resolve():
        raise RunFolderError("a run cannot be its own baseline", where=named, remedy="Name another run.")
    relative = Path(os.path.relpath(named.resolve(), run.resolve())).as_posix()
    write_json_atomically(place, {"run": relative})


def load_scorecard(
    folder: Path, *, named: Path | None = None, full: bool = False, remembered: bool = True
) -> Scorecard:
    """Return the scorecard of a scored run; nothing is written.

    `named` is a baseline that must fit, where it is not the one that RUN/baseline.json names (which counts only if
    `remembered`). Raises RunFolderError for a damaged run, and for a named baseline of another suite or data or that is
    unfinished; a remembered one that no longer fits is left out, and the page says why.
    """
    run = RunFolder(folder)
    header, summary = run.header(), run.summary()
    chosen = Chosen(folder=named)
    if named is None and remembered:
        chosen = remembered_baseline(run)
    against = None
    if chosen.folder is not None and status_of(header, summary) != "complete":
        chosen = Chosen(folder=None, reason="Not known: an unfinished run is not compared.")
    if chosen.folder is not None:
        try:
            against = _against(chosen.folder, folder)
        except HarnessError as error:
            if named:
                raise
            chosen = Chosen(folder=None, reason=f"Not known: the baseline cannot be used: {error.what}.")
    try:
        return build_scorecard(
            header,
            summary,
            run.scored_samples(),
            full=full,
            against=against,
            no_baseline=chosen.reason,
            gates=stored_gates(folder),
            training=read_training(folder, header),
            judge=judge_panel(folder),
        )
    finally:
        if against is not None and isinstance(against.earlier, EarlierRun):
            against.earlier.close()


def load_side_by_side(folders: Sequence[Path]) -> SideBySide:
    """Return scored runs side by side, the first the baseline of the others.

    An unfinished run stands there without differences. Raises UsageError for one run named twice, RunFolderError for a
    damaged run or one of another suite or data.
    """
    runs = [RunFolder(folder) for folder in folders]
    check_comparable(runs, allow_incomplete=True)
    statuses = [status_of(run.header(), run.summary()) for run in runs]
    whole = statuses[0] == "complete"
    # The base of the page is the first run, whatever run each was held against on its own.
    cards = [load_scorecard(folders[0], remembered=False)]
    for folder, status in zip(folders[1:], statuses[1:], strict=True):
        base = folders[0] if whole and status == "complete" else None
        cards.append(load_scorecard(folder, named=base, remembered=False))
    return side_by_side(cards)


def side_by_side_name(page: SideBySide) -> str:
    """Return the file name of a page: equal runs in equal order give an equal name."""
    return f"side-by-side-{sha256_of([run.card.run_id for run in page.runs])[:8]}.html"


def prepare(folder: Path) -> None:
    """Copy into the run folder what its scorecard needs from elsewhere: the adapter's training, the measured noise.

    Raises RunFolderError, StorageError.
    """
    header = RunFolder(folder).header()
    keep_training(folder, header)
    measured_noise = noise_path(folder.resolve().parent, header)
    if measured_noise.is_file():
        found = read_noise(measured_noise)
        if not unlike(found.about, header):
            write_noise(folder / NOISE, found)


def _against(named: Path, folder: Path) -> Against:
    other, run = RunFolder(named), RunFolder(folder)
    described = mapping(run.summary().get("measures"))
    headline = [name for name in described if is_headline(name, described)]
    paired = pair_runs([other, run])
    return Against(
        header=other.header(),
        summary=other.summary(),
        differences=measured(paired, 1, tested=headline),
        earlier=EarlierRun(other, paired.scores[0], paired.verdicts),
        noise=_noise((named, folder)),
    )


def _noise(folders: Sequence[Path]) -> Mapping[str, float]:
    """Return the larger of the runs' noise floors, by metric."""
    floors: dict[str, float] = {}
    for folder in folders:
        if (folder / NOISE).is_file():
            for name, floor in read_noise(folder / NOISE).floors.items():
                floors[name] = max(floor, floors.get(name, 0.0))
    return floors


def remembered_baseline(run: RunFolder) -> Chosen:
    """Return the run that RUN/baseline.json names, or why there is none to use."""
    place = run.path / BASELINE
    if not place.is_file():
        return Chosen(folder=None)
    try:
        named = read_json(place).get("run")
    except RunFolderError as error:
        return Chosen(folder=None, reason=f"Not known: {BASELINE} cannot be read ({error.what}).")
    if not isinstance(named, str) or "\0" in named:
        return Chosen(folder=None, reason=f"Not known: {BASELINE} names no run.")
    folder = run.path / named
    if not (folder / schema.RUN).is_file():
        return Chosen(folder=None, reason=f"Not known: the baseline is gone ({Path(named).name}).")
    return Chosen(folder=folder)


def drop_gates(folder: Path) -> None:
    """Remove the verdicts that gates gave on a run. Raises StorageError."""
    try:
        (folder / GATES).unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(folder / GATES, error) from error


def stored_gates(folder: Path) -> Mapping[str, Any] | None:
    """Return gates.json of a run folder, None where there is none; one that cannot be read holds a gate that says so."""
    place = folder / GATES
    if not place.is_file():
        return None
    try:
        return read_json(place)
    except RunFolderError as error:
        # A verdict that cannot be read must not look like a run without gates.
        return {"gates": [{"name": GATES, "verdict": "unknown", "reason": f"cannot be read: {error.what}"}]}
