"""Is a value one of the accepted ones? Two ways to compare, both following the schema down into nested values.

strict: types and strings exactly. A number is compared by value where the schema's type is `number` (5 and 5.0); where
it is `integer` the prediction must be written as an integer (5.0 is not 5: runtimes hand a float to the function);
without a declared type both must be of the same kind. True is never 1.

semantic: strings by normal form (see `normal`), numbers by value, an omitted object key equal to its schema default.
Types still count: "5" is not 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat

from harness.score.normal import normal_form, same_text
from harness.score.shape import MISSING, Shape
from harness.types import Json

Equal = Callable[[Json, Json, Shape | None], bool]


def accepted(value: Json, accept: Iterable[Json], shape: Shape | None, equal: Equal) -> bool:
    """Return whether the value equals one of the accepted ones."""
    return any(map(equal, repeat(value), accept, repeat(shape)))


def strict_equal(value: Json, gold: Json, shape: Shape | None) -> bool:
    """Compare at the strict level. Recursion is bounded by the gold value's depth."""
    if isinstance(gold, str):
        return isinstance(value, str) and value == gold
    if gold is None or isinstance(gold, bool) or isinstance(value, bool):
        return value is gold
    if isinstance(gold, (int, float)) and isinstance(value, (int, float)):
        if shape is None or not (shape.number or shape.integer):
            return type(value) is type(gold) and value == gold
        return value == gold and (shape.number or isinstance(value, int))
    if isinstance(gold, list) and isinstance(value, list):
        return len(gold) == len(value) and all(
            strict_equal(mine, yours, shape.item(index) if shape else None)
            for index, (mine, yours) in enumerate(zip(value, gold, strict=True))
        )
    if isinstance(gold, dict) and isinstance(value, dict):
        return gold.keys() == value.keys() and all(
            strict_equal(value[key], yours, shape.child(key) if shape else None)
            for key, yours in gold.items()
        )
    return False


def semantic_equal(value: Json, gold: Json, shape: Shape | None) -> bool:
    """Compare at the semantic level. Recursion is bounded by the gold value's depth."""
    if isinstance(gold, str) and isinstance(value, str):
        return value == gold or (_free_to_normalise(gold, shape) and same_text(value, gold))
    if isinstance(gold, bool) or isinstance(value, bool) or gold is None or value is None:
        return value is gold
    if isinstance(gold, (int, float)) and isinstance(value, (int, float)):
        return _same_number(value, gold)
    if isinstance(gold, list) and isinstance(value, list):
        return len(gold) == len(value) and all(
            semantic_equal(mine, yours, shape.item(index) if shape else None)
            for index, (mine, yours) in enumerate(zip(value, gold, strict=True))
        )
    if isinstance(gold, dict) and isinstance(value, dict):
        keys = dict.fromkeys([*gold, *value])
        return all(_same_member(key, value, gold, shape) for key in keys)
    return False


def is_default(value: Json, shape: Shape | None) -> bool:
    """Return whether the value is what the schema gives for an omitted one."""
    return shape is not None and shape.default is not MISSING and semantic_equal(value, shape.default, shape)


def _same_member(key: str, value: Mapping[str, Json], gold: Mapping[str, Json], shape: Shape | None) -> bool:
    child = shape.child(key) if shape else None
    if key in value and key in gold:
        return semantic_equal(value[key], gold[key], child)
    present = value[key] if key in value else gold[key]
    needed = shape is not None and key in shape.required
    return not needed and is_default(present, child)


def _free_to_normalise(gold: str, shape: Shape | None) -> bool:
    """Return False where a normal form would confuse two members of an enum ("AA", "Aa")."""
    if shape is None or not shape.enum:
        return True
    form = normal_form(gold)
    return sum(isinstance(member, str) and normal_form(member) == form for member in shape.enum) < 2


def _same_number(value: float, gold: float) -> bool:
    if value == gold:
        return True
    try:
        return math.isfinite(value) and math.isfinite(gold) and math.isclose(value, gold, rel_tol=1e-9)
    except OverflowError:
        return False
