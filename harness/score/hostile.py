"""Values from a model are hostile: too deep, too large, not representable. Found once, before anything walks them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness.types import Json

MAX_DEPTH = 64
MAX_INT_BITS = 4096
MAX_LEAVES = 20_000


def is_hostile(value: Json) -> bool:
    """Return whether a value is nested deeper, wider or has larger integers than any real argument.

    Such a value equals nothing and fits no schema; deciding so here keeps recursion and printing safe elsewhere.
    """
    todo: list[tuple[Json, int]] = [(value, 0)]
    seen = 0
    while todo:
        current, depth = todo.pop()
        seen += 1
        if isinstance(current, int) and current.bit_length() > MAX_INT_BITS:
            return True
        if not isinstance(current, (dict, list)):
            continue
        if depth >= MAX_DEPTH or seen + len(current) > MAX_LEAVES:
            return True
        parts = current.values() if isinstance(current, dict) else current
        todo += [(part, depth + 1) for part in parts if isinstance(part, (int, list, dict))]
        seen += len(current)
    return False


def show(value: Json, limit: int = 60) -> str:
    """Return a value as short JSON for a finding; never fails and never costs more than the part that is shown."""
    if isinstance(value, str):
        return json.dumps(value[:limit], ensure_ascii=False) + ("…" if len(value) > limit else "")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a huge integer"
    if isinstance(value, (list, dict)):
        return "".join(_pieces(value, limit))
    return json.dumps(value)


def _pieces(value: Json, limit: int) -> Iterator[str]:
    if is_hostile(value):
        yield "a very large or deeply nested value"
        return
    length = 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        if length + len(piece) > limit:
            yield piece[: max(0, limit - length)] + "…"
            return
        length += len(piece)
        yield piece
