"""The scenario of a suite, for the metric that measures scenarios of that kind."""

from __future__ import annotations

from typing import Any, TypeVar

from harness.errors import SpecError

S = TypeVar("S")


def scenario_of(suite: Any, kind: type[S], name: str) -> S:
    """Return a suite's scenario of the kind that the metric of that name measures.

    Raises SpecError for any other suite, MissingDependency without what the style score needs.
    """
    from harness.persona.style.libraries import load_sklearn

    # Judges are made when they are needed; what they need is missed before anything is generated.
    load_sklearn()
    scenario = getattr(suite, "scenario", None)
    if not isinstance(scenario, kind):
        raise SpecError(
            f"metrics: {name!r} measures a scenario, and the suite has another or none",
            where=suite.folder / "suite.yaml",
            remedy=f"Add scenario: {{kind: {name}, personas: [...]}}; see docs/{name}.md.",
        )
    return scenario
