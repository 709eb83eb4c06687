"""The file of records that a recipe's data entry names, made first where the entry has another trainer's format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import SpecError
from harness.training.data_spec import DataSpec, ImportSpec
from harness.training.import_data import ImportedData, foreign_source, import_data, is_hub_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """The JSONL file of records that a data entry names; `imported` says how it was made, where it was."""

    path: Path
    imported: ImportedData | None = None


def data_file(recipe_path: Path, data: DataSpec) -> DataFile:
    """Return the file of records that a data entry names, importing it first if it has another trainer's format.

    Raises SpecError if it is not there, and what import_data raises.
    """
    path = (recipe_path.parent / data.path).resolve()
    if data.import_ is not None:
        if not path.exists() and not is_hub_id(data.path):
            raise SpecError(
                f"no data at {path}", where=recipe_path, remedy="Paths are relative to the recipe."
            )
        return _imported(recipe_path, data, str(path) if path.exists() else data.path, data.split)
    folder = path
    if path.is_file() and data.split is not None:
        source = foreign_source(path)
        if source is not None:
            return _imported(recipe_path, data, str(source), data.split)
        raise SpecError(
            f"{data.path} is a file, and a split is one of a folder",
            where=recipe_path,
            remedy="Leave out `split:`, or name the folder.",
        )
    if data.split is not None:
        path = path / f"{data.split}.jsonl"
    # A folder's own file of a split is all of that split; a whole folder or file may be divided.
    places = [path] if path.exists() else [*(path.with_suffix(end) for end in (".json", ".parquet")), folder]
    for place in places:
        source = foreign_source(place) if place.exists() else None
        if source is not None:
            own = place != folder and data.split is not None
            return _imported(recipe_path, data, str(source), None if own else data.split)
    if data.split is None and path.is_dir():
        splits = ", ".join(sorted(file.stem for file in path.glob("*.jsonl"))) or "none"
        raise SpecError(
            f"{data.path} is a folder, so a split must be named (there: {splits})",
            where=recipe_path,
            remedy="Add `split: train`.",
        )
    if not path.is_file():
        raise SpecError(f"no data file {path}", where=recipe_path, remedy=_data_remedy(data, folder))
    return DataFile(path=path)


def _imported(recipe_path: Path, data: DataSpec, source: str, split: str | None) -> DataFile:
    """Return the records that `source` becomes: those of `split`, or all."""
    spec = data.import_ or ImportSpec()
    there = list(spec.split) or ["train"]
    if split is None and spec.split:
        raise SpecError(
            f"the import of {data.path} is divided, so a split must be named (there: {', '.join(there)})",
            where=recipe_path,
            remedy=f"Add `split: {there[0]}`.",
        )
    if split is not None and split not in there:
        raise SpecError(
            f"{data.path} is imported as {', '.join(there)}, and has no split {split!r}",
            where=recipe_path,
            remedy="Divide it, in train and in validation alike: "
            "`import: {split: {train: 0.9, validation: 0.1}}`. Or give the other split a file of its own.",
        )
    imported = import_data(source, spec.model_dump())
    return DataFile(path=imported.result.out / f"{split or 'train'}.jsonl", imported=imported)


def _data_remedy(data: DataSpec, folder: Path) -> str:
    """Return what to do about a data file that is not there."""
    if not folder.is_dir():
        hub = (
            " A data set on the hub is read with `import: {}` beside its path."
            if is_hub_id(data.path)
            else ""
        )
        return f"Paths are relative to the recipe.{hub}"
    there = sorted(file.parent for file in folder.glob("*/*.jsonl") if file.stem == data.split)
    if there:
        return f"The folder holds no such file; {there[0].relative_to(folder)}/ in it does."
    splits = ", ".join(sorted(file.stem for file in folder.glob("*.jsonl")))
    return f"The folder is there; its splits are: {splits or 'none'}."
