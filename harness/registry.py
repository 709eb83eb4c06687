"""Named plug-ins from entry points: listed without importing, imported on first use, collisions are errors.

Groups: harness.suites, harness.metrics, harness.engines, harness.dialects, harness.reporters.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from harness.errors import MissingDependency, UsageError, nearest_hint


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """Which code stood behind a name: recorded in the run's header."""

    group: str
    name: str
    distribution: str
    version: str
    source_sha256: str | None


class Registry:
    """The plug-ins of one entry-point group. Bare names must be unique over all installed distributions."""

    def __init__(self, group: str) -> None:
        self.group = group

    def names(self) -> list[str]:
        """Return the names, sorted, importing nothing."""
        return sorted(_points(self.group))

    def get(self, name: str) -> Any:
        """Import and return the object.

        Raises UsageError for an unknown name (with the nearest one) or a collision, MissingDependency if it cannot be
        imported because a package is not installed.
        """
        point = self._point(name)
        try:
            return point.load()
        except ModuleNotFoundError as error:
            raise MissingDependency(
                f"{self._kind()} {name!r} needs the package {error.name!r}, which is not installed",
                remedy=f"pip install 'persona-harness[{name}]'"
                if name in ("hf", "vllm", "openai", "ray")
                else None,
            ) from error

    def record(self, name: str) -> PluginRecord:
        """Return what stands behind a name, for the run header."""
        point = self._point(name)
        distribution = point.dist
        try:
            source = inspect.getsourcefile(self.get(name))
        except TypeError:
            source = None
        digest = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None
        return PluginRecord(
            group=self.group,
            name=name,
            distribution=distribution.name if distribution else "",
            version=distribution.version if distribution else "",
            source_sha256=digest,
        )

    def _kind(self) -> str:
        return self.group.rpartition(".")[2].removesuffix("s")

    def _point(self, name: str) -> EntryPoint:
        points = _points(self.group)
        if name not in points:
            known = ", ".join(sorted(points)) or "none"
            raise UsageError(
                f"unknown {self._kind()} {name!r}",
                remedy=f"{nearest_hint(name, points)}Known: {known}.",
            )
        candidates = points[name]
        if len(candidates) > 1:
            owners = " and ".join(
                sorted({point.dist.name if point.dist else point.value for point in candidates})
            )
            raise UsageError(
                f"{self._kind()} {name!r} is offered by {owners}",
                remedy="Uninstall one of them: a name means one thing.",
            )
        return candidates[0]


@cache
def _points(group: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        same = found.setdefault(point.name, [])
        # An editable and a stale install of one distribution list the same value twice: that is no collision.
        if all(other.value != point.value for other in same):
            same.append(point)
    return found
