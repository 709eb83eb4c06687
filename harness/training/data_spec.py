"""What a recipe learns from or holds out: data sets, each with how it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.data.importing.context import SystemAs
from harness.data.importing.request import Format
from harness.yaml_spec import FiniteSpec, Positive


class ImportSpec(FiniteSpec):
    """How data of another trainer's format becomes records: the options of `harness data import`, by their names.

    `split` divides the source by shares that add up to 1, and the data entry's `split` says which part is read.
    """

    format: Format = "auto"
    split: dict[Literal["train", "validation", "test"], Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict
    )
    seed: int = 0
    name: str | None = None
    skip_bad: bool = False
    system_as: SystemAs = "system"
    every_turn: bool = False
    drop_nulls: bool = False
    subset: str | None = None
    source_split: str | None = None


class DataSpec(FiniteSpec):
    """One data-set split. `path` is relative to the recipe: a data-set folder (with `split`), one JSONL file, or what
    `harness data import` reads; a hub id needs `import`."""

    path: str
    split: str | None = None
    limit: Positive | None = None
    """At most so many records, spread evenly over the file."""
    import_: ImportSpec | None = Field(None, alias="import")

    @model_validator(mode="before")
    @classmethod
    def _has_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict | DataSpec):
            raise ValueError(
                "a data set is written as {path: FOLDER, split: train}, several as a list of these"
            )
        return data


def _as_several(data: Any) -> Any:
    """Return the data entries as a list: a recipe may write one alone."""
    if isinstance(data, list) and not data:
        raise ValueError("name at least one data set")
    return data if isinstance(data, list | tuple) else [data]


DataSpecs = Annotated[tuple[DataSpec, ...], BeforeValidator(_as_several)]
"""One data entry, or several that are read one after another and learnt (or held out) as one set."""
