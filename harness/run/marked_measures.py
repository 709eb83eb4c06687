"""The measures of a suite by name, each label with the mark of a persona metric that passed no validation.

For whoever shows numbers without a summary.json, which has the marks already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.run.persona_facts import UNVALIDATED, PersonaFacts
from harness.run.scenario_facts import ScenarioFacts
from harness.score.base import MeasureInfo, Metric
from harness.suite.load import Suite


def marked_measures(suite: Suite, metrics: Sequence[Metric]) -> dict[str, MeasureInfo]:
    """Return every measure that the suite's metrics define."""
    facts: PersonaFacts | ScenarioFacts | None = None
    if suite.persona is not None:
        facts = PersonaFacts(suite, metrics)
    elif suite.scenario is not None:
        facts = ScenarioFacts(suite, metrics)
    unvalidated = facts.unvalidated(facts.finish({"prompt": {}})) if facts is not None else frozenset()
    measures = [measure for metric in metrics for measure in metric.info.measures]
    return {
        measure.name: replace(measure, label=measure.label + UNVALIDATED)
        if measure.name in unvalidated
        else measure
        for measure in measures
    }
