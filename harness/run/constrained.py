"""What constrains a run's answers: the declared constraint, and the structural tag of every sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.engine.base import can_constrain
from harness.errors import HarnessError, RunFolderError, UsageError
from harness.fingerprint import sha256_in_order, sha256_of
from harness.parse.schema_in_grammar import loosely_held
from harness.parse.structural_tag import CONSTRAINTS, Constrains, Constraint, constraining
from harness.prompt.template import PROBE
from harness.registry import Registry
from harness.types import Json, Prompt, Sample, ToolSpec

_LARGEST_CACHE = 512


class Constrained:
    """One constraint in the words of one dialect."""

    def __init__(
        self,
        constraint: Constraint,
        dialect: object,
        name: str,
        on_event: Callable[[str, Mapping[str, Any]], None] = lambda kind, detail: None,
    ) -> None:
        """`on_event` hears once of every tool whose schema a grammar does not hold whole.

        Raises UsageError for a dialect that cannot constrain.
        """
        self._on_event = on_event
        self._told: set[tuple[str, tuple[str, ...]]] = set()
        self.constraint: Constraint = constraint
        self._dialect: Constrains = constraining(dialect, name, constraint)
        self._tags: dict[int, tuple[Sequence[ToolSpec], Mapping[str, Json], str]] = {}

    @property
    def sha256(self) -> str:
        """Equal where tools get the same tags."""
        tags = [self._dialect.structural_tag(self.constraint, tools) for tools in ((), (PROBE,))]
        return sha256_of([sha256_in_order(tag) for tag in tags])

    def tag(self, sample: Sample) -> Mapping[str, Json]:
        """Return the sample's structural tag."""
        return self._of(sample.tools)[1]

    def tag_sha256(self, sample: Sample) -> str:
        """Return the hash of the sample's structural tag, for its generation key."""
        return self._of(sample.tools)[2]

    def of_prompt(self, prompt: Prompt) -> Mapping[str, Json]:
        """Return the structural tag of a prompt's answer, as engines ask for it."""
        return self.tag(prompt.sample)

    def _of(self, tools: Sequence[ToolSpec]) -> tuple[Sequence[ToolSpec], Mapping[str, Json], str]:
        # Samples of one data set mostly share one tuple of tools; holding it keeps its id from being used again.
        found = self._tags.get(id(tools))
        if found is None:
            tag = self._dialect.structural_tag(self.constraint, tools)
            found = tools, tag, sha256_in_order(tag)
            self._tell(tools)
            if len(self._tags) >= _LARGEST_CACHE:
                self._tags.clear()
            self._tags[id(tools)] = found
        return found

    def _tell(self, tools: Sequence[ToolSpec]) -> None:
        for tool in tools if self.constraint == "tools" else ():
            loose = loosely_held(tool.parameters)
            if loose and (tool.name, loose) not in self._told:
                self._told.add((tool.name, loose))
                self._on_event("schema_loosely_held", {"tool": tool.name, "keywords": list(loose)})


def check_engine(name: str, constraint: Constraint) -> None:
    """Raise UsageError for an engine that cannot constrain, naming those that can."""
    engines = Registry("harness.engines")
    if can_constrain(engines.get(name)):
        return
    able = []
    for other in engines.names():
        try:
            able += [other] if can_constrain(engines.get(other)) else []
        except HarnessError:  # a plug-in that is not usable here
            continue
    raise UsageError(
        f"--constrain {constraint}: the engine {name!r} cannot constrain its answers",
        remedy=f"Leave out --constrain, or use one of: {', '.join(able)}.",
    )


def recorded_constraint(header: Mapping[str, Any]) -> Constraint | None:
    """Return what constrained the answers of a run, None for free decoding. Raises RunFolderError for an unknown word."""
    sampling = header.get("sampling")
    if not isinstance(sampling, Mapping):
        raise RunFolderError("'sampling' is missing or damaged", where=header.get("run_id"))
    word = sampling.get("constraint")
    for known in CONSTRAINTS:
        if word == known:
            return known
    if word is None:
        return None
    raise RunFolderError(
        f"this run was constrained by {word!r}, which this version does not know",
        where=header.get("run_id"),
        remedy="Use the version of the harness that made it, or a later one.",
    )
