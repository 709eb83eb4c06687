"""Logs as Weights & Biases exports them, back to Hugging Face's keys.

transformers' WandbCallback writes `loss` as train/loss, `eval_loss` as eval/loss and the step as train/global_step
(`integration_utils.rewrite_logs`); W&B adds _step, _runtime and _timestamp, and null where a row has no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from harness.training.diagnosis.numbers import to_number

_HELD_OUT = {"eval": "eval_", "val": "eval_val_", "valid": "eval_val_", "validation": "eval_validation_"}
_HELD_OUT |= {"dev": "eval_dev_", "test": "eval_test_"}
_STEPS = ("train/global_step", "trainer/global_step", "global_step")
_CALLS = "_step"
"""W&B's own count of calls to log(): a place on the axis only where neither steps nor epochs were logged."""

_LOOKED_AT = 1000


def is_tracker_export(log: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the losses of a log have W&B's names."""
    names = {"train/loss", *(f"{part}/loss" for part in _HELD_OUT)}
    rows = list(islice(log, _LOOKED_AT))
    return any(names & row.keys() for row in rows) and not any("loss" in row for row in rows)


def from_tracker(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the entries with Hugging Face's keys, without the gaps (null, or NaN in a row of another kind)."""
    epochs = ("train/epoch", "epoch")
    places = (*_STEPS, *epochs, _CALLS)
    first = next((key for key in places if any(_there(row.get(key)) for row in log)), None)
    step = None if first in epochs else first
    return [_entry(row, step) for row in log]


def _entry(row: Mapping[str, Any], step: str | None) -> dict[str, Any]:
    # A table from pandas has NaN in every column without a value; a NaN loss stands beside a learning rate or an epoch.
    kinds = {_kind(key) for key, value in row.items() if _there(value)}
    entry: dict[str, Any] = {}
    for key, value in row.items():
        name = _name(key)
        if name is None or value is None or (not _there(value) and _kind(key) not in kinds):
            continue
        entry[name] = value
    if step is not None and _there(row.get(step)):
        entry["step"] = row[step]
    return entry


def _name(key: Any) -> str | None:
    """Return Hugging Face's name of a column, None for what is no part of the log."""
    if not isinstance(key, str) or key in _STEPS or key.startswith("_"):
        return None
    part, slash, rest = key.partition("/")
    if slash and part == "train":
        return rest
    if slash and part in _HELD_OUT:
        return _HELD_OUT[part] + rest
    return key


def _kind(key: Any) -> str:
    """Return which pass a column belongs to: "train", "eval" ...; "" for the tracker's own and for what both log."""
    if not isinstance(key, str) or key in ("train/epoch", *_STEPS):
        return ""
    part, slash, _ = key.partition("/")
    return part if slash else ""


def _there(value: Any) -> bool:
    number = to_number(value)
    return value is not None and not (number is not None and number != number)
