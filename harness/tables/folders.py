"""Which run folders lie under a reports folder, and how each is called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import NothingCollected, UsageError
from harness.log import schema

DEPTH = 2
"""How many folders below the reports folder a run may lie: reports/<run>, reports/examples/<run>."""


def run_folders(root: Path) -> list[tuple[str, Path]]:
    """Return (place below the root, folder) of every run, in order; of a run folder itself, that one.

    Raises UsageError if there is no such folder, NothingCollected if no run lies in it.
    """
    if not root.is_dir():
        raise UsageError(
            "no such folder", where=root, remedy="Name the folder that holds runs: --reports FOLDER"
        )
    if (root / schema.RUN).is_file():
        return [(root.resolve().name, root)]
    found = sorted((path.relative_to(root).as_posix(), path) for path in _below(root, DEPTH))
    if not found:
        raise NothingCollected("no run lies here", where=root, remedy="Name another folder: --reports FOLDER")
    return found


def _below(root: Path, depth: int) -> Iterator[Path]:
    """Yield folders with a run.json. Links are not followed, so that nothing outside the root is found."""
    try:
        with os.scandir(root) as entries:
            folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for folder in folders:
        header = folder / schema.RUN
        if header.is_file() and not header.is_symlink():
            yield folder
        elif depth > 1 and not folder.name.startswith("."):
            yield from _below(folder, depth - 1)
