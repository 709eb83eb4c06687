"""Null members: Arrow writes one for every key that another row has, so they mean "not there" unless a schema says else."""

from __future__ import annotations

from harness.types import Json

_MAY_HOLD_NULL = ("default", "const", "enum", "examples")


def without_nulls(value: Json) -> tuple[Json, int]:
    """Return the value without null members of objects, at any depth, and how many were removed.

    Nulls in lists stay: Arrow adds none there.
    """
    if isinstance(value, dict):
        kept, removed = {}, 0
        for key, item in value.items():
            if item is None:
                removed += 1
                continue
            kept[key], below = without_nulls(item)
            removed += below
        return kept, removed
    if isinstance(value, list):
        pairs = [without_nulls(item) for item in value]
        return [item for item, _ in pairs], sum(below for _, below in pairs)
    return value, 0


def null_in_schema(value: Json, path: str = "") -> str | None:
    """Return the path of the first null that a JSON Schema has no use for, or None."""
    if isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if item is None and key not in _MAY_HOLD_NULL:
                return where
            if key in _MAY_HOLD_NULL and not path.endswith("properties"):
                continue
            found = null_in_schema(item, where)
            if found:
                return found
    if isinstance(value, list):
        for index, item in enumerate(value):
            found = null_in_schema(item, f"{path}[{index}]")
            if found:
                return found
    return None


def null_in_value(value: Json, path: str) -> str | None:
    """Return the path of the first null in a value, or None."""
    if value is None:
        return path
    if isinstance(value, dict):
        return next(
            (found for key, item in value.items() if (found := null_in_value(item, f"{path}.{key}"))), None
        )
    if isinstance(value, list):
        numbered = enumerate(value)
        return next((found for i, item in numbered if (found := null_in_value(item, f"{path}[{i}]"))), None)
    return None
