"""Data of another trainer's format that a recipe names: imported into the cache, as `harness data import` does it."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, MissingDependency, RecordError, StorageError, UsageError
from harness.fingerprint import sha256_of_file
from harness.models.cache import cache_dir

if TYPE_CHECKING:
    from harness.data.importing.request import ImportResult

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_OUR_KEYS = frozenset(("expect", "gold", "reply", "order", "cluster"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedData:
    """A data set in the cache, made of `source`; `result.out` is its folder, with DATASHEET.md."""

    source: str
    result: ImportResult


def import_data(source: str, options: Mapping[str, Any]) -> ImportedData:
    """Import a file, folder or hub id; `options` are fields of ImportRequest.

    The folder's name comes from what is in it: the same data and options give the same folder, and one that another
    process reads is never written again. Raises RecordError for rows or options that cannot be imported,
    MissingDependency for a hub id without `datasets`, and StorageError if the cache cannot be written.
    """
    from harness.data.importing.importer import import_dataset
    from harness.data.importing.request import ImportRequest
    from harness.data.importing.write import CHECKSUMS

    parent = cache_dir() / "imported"
    name = re.sub(r"[^\w.-]+", "-", Path(source).stem).strip("-.") or "data"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".") as temporary:
            out = Path(temporary) / name
            result = import_dataset(ImportRequest(source=source, out=out, **options))
            kept = parent / f"{name}-{sha256_of_file(out / CHECKSUMS)[:16]}"
            if not kept.is_dir():
                _move(out, kept)
    except (StorageError, OSError) as error:
        why = error.what if isinstance(error, StorageError) else error.strerror
        raise StorageError(
            f"imported data cannot be kept: {why}",
            where=parent,
            remedy="Make room there, or set HARNESS_CACHE to another folder.",
        ) from None
    except MissingDependency:
        raise
    except UsageError as error:
        raise RecordError(
            error.what,
            where=error.where or source,
            remedy=f"{error.remedy or ''} In a recipe the options of the import stand under `import:` "
            "(--skip-bad is `skip_bad: true`).".lstrip(),
        ) from None
    return ImportedData(source=source, result=replace(result, out=kept))


def foreign_source(path: Path) -> Path | None:
    """Return what to import if a file or folder has a format that `harness data import` reads, else None.

    None for records, however wrong they are, and for what nobody can tell.
    """
    from harness.data.importing.dataset_info import FILE_NAME
    from harness.data.importing.request import ImportRequest
    from harness.data.importing.sources import open_source

    described = path / FILE_NAME if path.is_dir() else path
    try:
        if path.is_file() and _has_our_keys(path):
            return None
        source = open_source(ImportRequest(source=str(path), out=path.parent))
    except HarnessError:
        return described if described.name == FILE_NAME and described.is_file() else None
    return described if source.format.startswith("dataset_info") else path


def is_hub_id(name: str) -> bool:
    """Return True for what may be a data set on the hub, OWNER/NAME."""
    return _HUB_ID.fullmatch(name) is not None


def _move(out: Path, kept: Path) -> None:
    """Move a folder. If another process has been faster, its folder holds the same."""
    try:
        out.replace(kept)
    except OSError:
        if not kept.is_dir():
            raise
        shutil.rmtree(out)


def _has_our_keys(path: Path) -> bool:
    """Return True if a row among the first has a key that only records have."""
    from harness.data.importing.arrow import SUFFIXES
    from harness.data.importing.rows import read_rows

    if path.suffix.lower() in SUFFIXES:
        return False
    return any(_OUR_KEYS & row.value.keys() for row in itertools.islice(read_rows(path), 100))
