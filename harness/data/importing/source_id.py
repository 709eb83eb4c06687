"""What a source calls its rows."""

from __future__ import annotations

from collections.abc import Mapping

from harness.types import Json

SOURCE_KEYS = ("id",)


def source_id(row: Mapping[str, Json]) -> str:
    """Return the row's own id as text, or "" if it has none."""
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return str(value).strip()
