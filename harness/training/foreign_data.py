"""Data of another trainer's format that a recipe names: refused with the command that imports it."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

from harness.errors import HarnessError, RecordError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_OUR_KEYS = frozenset(("expect", "gold", "reply", "order", "cluster"))


def refuse_foreign(path: Path) -> None:
    """Raise RecordError with the command to run if a file or folder has a format that `harness data import` reads.

    Nothing is raised for records, however wrong they are, and for what nobody can tell.
    """
    found = _foreign(path)
    if found is None:
        return
    kind, source, entry = found
    out = source.parent / f"{source.stem}-records"
    command = [
        "harness",
        "data",
        "import",
        str(source),
        "--out",
        str(out),
        *(("--name", entry) if entry else ()),
    ]
    raise RecordError(
        f"this is {kind} data, and a recipe takes records",
        where=path,
        remedy=f"Run: {shlex.join(command)}\n"
        f"  Then write {{path: {_yaml(str(out))}, split: train}} here. docs/importing.md has the options.",
    )


def hub_remedy(name: str) -> str:
    """Return what to do if a path that is not there is a data set on the hub, with a blank before it; else ''."""
    if not _HUB_ID.fullmatch(name):
        return ""
    command = f"harness data import {name} --out {name.rpartition('/')[2]}-records"
    return f" A data set on the hub is imported first: {command}"


def _foreign(path: Path) -> tuple[str, Path, str | None] | None:
    """Return the format, what to import, and the entry to name where there are several; None for anything else."""
    from harness.data.importing.dataset_info import FILE_NAME
    from harness.data.importing.request import ImportRequest
    from harness.data.importing.sources import open_source

    described = path / FILE_NAME if path.is_dir() else path
    try:
        if path.is_file() and _has_our_keys(path):
            return None
        source = open_source(ImportRequest(source=str(path), out=path.parent))
    except HarnessError:
        return (
            ("dataset_info", described, "ENTRY")
            if described.name == FILE_NAME and described.is_file()
            else None
        )
    return source.format, described if source.format.startswith("dataset_info") else path, None


def _has_our_keys(path: Path) -> bool:
    """Return True if a row among the first has a key that only records have."""
    from harness.data.importing.arrow import SUFFIXES
    from harness.data.importing.rows import read_rows

    if path.suffix.lower() in SUFFIXES:
        return False
    return any(_OUR_KEYS & row.value.keys() for row in itertools.islice(read_rows(path), 100))


def _yaml(text: str) -> str:
    """Return a path as a value in YAML's braces."""
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("'", "''") + "'"
