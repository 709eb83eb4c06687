"""`--engines hf,hf:max_batch=1,vllm` -> columns: one engine each, with settings of its own.

A piece between commas that is NAME or NAME:K=V begins a column; a piece K=V goes on with the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.engine.packages import install_command, missing_packages
from harness.engine.ready import check_engine_options, check_packages
from harness.errors import UsageError, did_you_mean, nearest_hint
from harness.log.reader import redacted
from harness.registry import Registry

DEFAULT = "hf,hf:max_batch=1,hf:share_prefix=off"
OPTIONAL = "vllm"
"""An engine that is compared as well, where it is installed and nothing else was asked for."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
_QUANTIZATIONS = ("nf4",)
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_FORM = "Write NAME, or NAME:OPTION=VALUE,OPTION=VALUE; for example: --engines hf,hf:max_batch=1,hf:dtype=bfloat16"
_MOST = 20
_OF_ADAPTER = "adapter"
"""`adapter:FOLDER=NAME` is one option, whose name holds a colon (docs/engines.md, openai)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One engine with its settings. `name` tells it apart from the others; `dtype` None means the reference's.

    `merged`: the adapter is merged into the base before, and this engine runs the merged model.
    """

    name: str
    engine: str
    dtype: str | None = None
    quantization: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    merged: bool = False

    def record(self) -> dict[str, Any]:
        """Return the column as it is stored, without secrets."""
        shown = (redacted([f"{key}={value}"])[0].partition("=") for key, value in self.options.items())
        return {**asdict(self), "options": {key: value for key, _, value in shown}}


def read_columns(text: str, base_url: str | None = None) -> tuple[Column, ...]:
    """Return the columns, the reference first; `base_url` is the address of those of the engine `openai` without one.

    Raises UsageError for a piece that cannot be read, an unknown engine, and fewer than two columns.
    """
    columns: list[Column] = []
    for raw in text.split(","):
        piece = raw.strip()
        name, colon, setting = piece.partition(":")
        key, equals, _ = piece.partition("=")
        if columns and equals and (_NAME.fullmatch(key) or name == _OF_ADAPTER):
            columns[-1] = _with_setting(columns[-1], piece, piece)
        elif _NAME.fullmatch(name) and (not colon or "=" in setting):
            columns.append(_with_setting(_column(name), setting, piece) if colon else _column(name))
        else:
            what = f"{piece!r} begins no column" if piece else "there is nothing between two commas"
            raise UsageError(f"--engines {text!r}: {what}", remedy=_FORM)
    if base_url is not None:
        columns = _addressed(columns, base_url)
    if len(columns) < 2:
        raise UsageError("parity needs two columns or more: the first is the reference", remedy=_FORM)
    if len(columns) > _MOST:
        raise UsageError(f"{len(columns)} columns; {_MOST} can be told apart", remedy="Name fewer.")
    return named(columns)


def _column(engine: str) -> Column:
    known = Registry("harness.engines").names()
    if engine not in known:
        raise UsageError(f"--engines: there is no engine {engine!r}", remedy=did_you_mean(engine, known))
    return Column(name="", engine=engine)


def _with_setting(column: Column, setting: str, piece: str) -> Column:
    key, _, value = setting.partition("=")
    if not key or not value:
        raise UsageError(f"--engines: {piece!r} sets nothing", remedy=_FORM)
    given = {"dtype": column.dtype, "quantization": column.quantization, **column.options}
    if given.get(key) is not None:
        raise UsageError(f"--engines: {column.engine} is given {key} twice", remedy=_FORM)
    if key == "dtype":
        return replace(column, dtype=_one_of(key, value, DTYPES))
    if key == "quantization":
        return replace(column, quantization=_one_of(key, value, _QUANTIZATIONS))
    return replace(column, options={**column.options, key: value})


def _one_of(key: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        hint = nearest_hint(value, known)
        raise UsageError(
            f"--engines: {key} {value!r} is not known", remedy=f"{hint}One of: {', '.join(known)}."
        )
    return value


def _addressed(columns: Sequence[Column], base_url: str) -> list[Column]:
    if not any(column.engine == "openai" for column in columns):
        raise UsageError(
            "--base-url is the address of a server, and no column asks one",
            remedy="Add openai: --engines hf,openai --base-url http://127.0.0.1:8000/v1",
        )
    return [
        replace(column, options={"base_url": base_url, **column.options})
        if column.engine == "openai"
        else column
        for column in columns
    ]


def named(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns with names that say what is particular to each; equal ones are numbered."""
    names: list[str] = []
    for column in columns:
        parts = [f"{key}={value}" for key, value in column.record()["options"].items()]
        parts += [f"dtype={column.dtype}"] if column.dtype else []
        parts += [f"quantization={column.quantization}"] if column.quantization else []
        names.append(
            f"{column.engine}{' merged' if column.merged else ''}{':' if parts else ''}{','.join(parts)}"
        )
    numbered = [
        name if names.index(name) == at else f"{name} #{names[: at + 1].count(name)}"
        for at, name in enumerate(names)
    ]
    return tuple(replace(column, name=name) for column, name in zip(columns, numbered, strict=True))


def default_columns() -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Return what is compared where nothing was asked for, and a sentence for each engine that is left out."""
    if not missing_packages(OPTIONAL):
        return read_columns(f"{DEFAULT},{OPTIONAL}"), ()
    left_out = f"Left out: {OPTIONAL}, which is not installed. Install it: {install_command(OPTIONAL)}"
    return read_columns(DEFAULT), (left_out,)


def check_columns(columns: Sequence[Column]) -> None:
    """Raise UsageError or MissingDependency for a column whose engine is not installed or does not know an option.

    Better now than after the columns before it.
    """
    for column in columns:
        check_packages(column.engine, column.options, quantization=column.quantization)
        try:
            check_engine_options(column.engine, column.options)
        except UsageError as error:
            raise UsageError(f"--engines: {column.name}: {error.what}", remedy=error.remedy) from None


def with_merged(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns with the merged model's after the reference, in the reference's settings."""
    reference = columns[0]
    return named([reference, replace(reference, merged=True), *columns[1:]])
