"""What every engine that proves adapters active shares: the text that is read, and how far it must move."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import EngineError

PROBE_TEXT = (
    "You may call these tools. Add a load of 20 kN to node 5 in direction Y, then run the analysis.\n"
    '{"name": "add_nodal_load", "arguments": {"node_id": 5, "value": 20}}\n5번 절점에 하중을 넣어 주세요.'
)
LEAST_CHANGE = 1e-6
"""A log-probability of the probe text moves at least so far under an adapter that does anything."""


def not_loaded(path: Path, loaded: Iterable[Path]) -> EngineError:
    """Return the error for an adapter that an engine was not built with."""
    known = ", ".join(map(str, loaded)) or "none"
    return EngineError(f"the adapter {path} was not loaded with this engine (loaded: {known})")
