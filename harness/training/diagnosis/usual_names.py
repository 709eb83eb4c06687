"""Losses that other trainers log under names of their own, back to Hugging Face's: `val_loss`, a perplexity, `train_loss`.

Only where a log has no loss under Hugging Face's name: beside an `eval_loss`, a perplexity is the same number twice. What
is measured on test rows at one place only (`predict`, or `evaluate` after the training) is a score and no curve.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.training.diagnosis.metric_names import is_loss, is_probe, words
from harness.training.diagnosis.model import Note
from harness.training.diagnosis.numbers import is_table_row, to_number

_ROWS = (
    *("eval", "evaluation", "val", "valid", "validation", "dev", "test"),
    *("heldout", "held_out", "holdout"),
)
_HELD_OUT = re.compile(rf"({'|'.join(_ROWS)})_(.+)")
_PERPLEXITY = re.compile(r"(.+_)(?:perplexity|ppl)")
_TEST = re.compile(r"test_.+")
_TRAIN = ("train_loss", "training_loss")
_PLACES = ("step", "current_steps", "global_step", "epoch")
_APART = re.compile(r"[\s/.\-]+")
_SPEAKS_OF_ROWS = frozenset((*_ROWS, "held", "unseen"))

_SHOWN = 8


class NamedLog(NamedTuple):
    """A log under Hugging Face's names, and what was renamed or could not be understood, as notes."""

    entries: Sequence[Mapping[str, Any]]
    notes: tuple[Note, ...]


def usual_names(log: Sequence[Mapping[str, Any]]) -> NamedLog:
    """Return the log with its losses under Hugging Face's names; the log itself where it has them already."""
    keys: set[Any] = set()
    for entry in log:
        keys.update(entry)
    named = [key for key in keys if isinstance(key, str)]
    once = {key for key in named if _TEST.fullmatch(_plain(key)) and not _at_places(log, key)}
    names = [key for key in named if key not in once]
    renamed = {key: new for key, new in _held_out(names).items() if new != key}
    per_step = next((key for key in sorted(names) if _plain(key) in _TRAIN), None)
    if "loss" not in keys and per_step is not None and _is_curve(log, per_step):
        renamed[per_step] = "loss"
    notes = []
    if renamed:
        losses = [key for key, new in renamed.items() if is_loss(new)]
        notes.append(Note(code="renamed", evidence={"key": _listed(losses or renamed)}))
        log = [_renamed(entry, renamed) if renamed.keys() & entry.keys() else entry for entry in log]
    if not any(_is_held_out_loss(key) for key in (*names, *renamed.values())):
        unread = [
            key
            for key in names
            if key not in renamed and not key.startswith("eval_") and _SPEAKS_OF_ROWS & {*words(key)}
        ]
        scores = [key for key in once if is_loss(_usual(key) or "")]
        if scores:
            notes.append(Note(code="measured_once", evidence={"key": _listed(scores)}))
        if unread:
            notes.append(Note(code="unread_keys", evidence={"key": _listed(unread)}))
    return NamedLog(log, tuple(notes))


def names_a_loss(keys: Iterable[str]) -> bool:
    """Return whether a key is a loss under a name that `usual_names` knows."""
    return any(_plain(key) in _TRAIN or is_loss(_usual(key) or "") for key in keys)


def _held_out(names: Sequence[str]) -> dict[str, str]:
    """Return Hugging Face's names of held-out values: of losses, else of perplexities; {} where it has its own loss."""
    if any(_is_held_out_loss(key) for key in names):
        return {}
    usual = {key: new for key in names if (new := _usual(key)) is not None}
    perplexities = {key for key in usual if _PERPLEXITY.fullmatch(_plain(key))}
    if any(is_loss(new) and key not in perplexities for key, new in usual.items()):
        usual = {key: new for key, new in usual.items() if key not in perplexities}
    once = {new: key for key, new in sorted(usual.items())}
    return {key: new for new, key in once.items()}


def _usual(key: str) -> str | None:
    """Return Hugging Face's name of a held-out value: eval_val_loss for `val_loss`, eval_loss for `eval_perplexity`."""
    match = _HELD_OUT.fullmatch(_plain(key))
    if match is None:
        return None
    rows, rest = match.groups()
    name = f"eval_{rest}" if rows in ("eval", "evaluation") else f"eval_{rows}_{rest}"
    perplexity = _PERPLEXITY.fullmatch(name)
    return f"{perplexity.group(1)}loss" if perplexity else name


def _plain(key: str) -> str:
    return _APART.sub("_", key.strip().lower())


def _is_held_out_loss(key: str) -> bool:
    return key.startswith("eval_") and is_loss(key) and not is_probe(key)


def _is_curve(log: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Return whether a loss is logged along the way; the mean that Hugging Face writes at the end is one entry."""
    return sum(key in entry and "train_runtime" not in entry for entry in log) > 1


def _at_places(log: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Return whether a key has values at two places or more. The empty cells of a table are none."""
    places: set[str] = set()
    for index, entry in enumerate(log):
        value = to_number(entry.get(key))
        if value is None or (value != value and is_table_row(entry)):
            continue
        places.add(str(next((entry[name] for name in _PLACES if name in entry), index)))
        if len(places) > 1:
            return True
    return False


def _renamed(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in entry.items():
        new = names.get(key)
        if new is None or (new == "loss" and "train_runtime" in entry):
            changed[key] = value
        elif _PERPLEXITY.fullmatch(_plain(key)):
            changed[new] = _logarithm(value)
        else:
            changed[new] = value
    return changed


def _logarithm(value: Any) -> Any:
    number = to_number(value)
    if number is None or number <= 0:
        return value if number is None else math.nan
    return math.log(number) if math.isfinite(number) else number


def _listed(keys: Iterable[str]) -> str:
    ordered = sorted(keys)
    return ", ".join(key[:40] for key in ordered[:_SHOWN]) + (", ..." if len(ordered) > _SHOWN else "")
