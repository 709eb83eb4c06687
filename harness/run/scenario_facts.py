"""What summary.json says of a scenario run: whose voices, by which cards, and what all replies together tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from harness.errors import HarnessError
from harness.persona.references import references_sha256
from harness.run.persona_facts import NO_VALIDATION, Corpus
from harness.score.base import Metric
from harness.suite.load import Suite
from harness.types import Json, ParsedReply, Sample, SampleScore

NOTHING_JUDGED = "no reply was judged"


class ScenarioFacts:
    """Collects them during one scoring. Only for a suite with a scenario."""

    def __init__(self, suite: Suite, metrics: Sequence[Metric]) -> None:
        if suite.scenario is None:
            raise HarnessError("a suite without scenario has no scenario facts", where=suite.folder)
        self._scenario = suite.scenario
        self._metrics = [metric for metric in metrics if callable(getattr(metric, "corpus", None))]
        self._met: set[str] = set()
        self._corpora = [cast(Corpus, cast(Any, metric).corpus()) for metric in self._metrics]

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Take in one scored sample."""
        if sample.persona is not None:
            self._met.add(sample.persona)
        for corpus in self._corpora:
            corpus.add(sample, reply, score)

    def finish(self, header: Mapping[str, Any]) -> dict[str, Json]:
        """Return summary.json's `persona` for a scenario.

        `validated` is true only if the metric of every character that was judged is: one mark for all numbers.
        """
        reasons: dict[str, None] = {}
        for metric in self._metrics:
            said = getattr(metric, "validation", None)
            found_by = said() if callable(said) else {"": [NO_VALIDATION]}
            for name, problems in (found_by or {"": [NOTHING_JUDGED]}).items():
                reasons |= dict.fromkeys(f"{name}: {problem}" if name else problem for problem in problems)
        found: dict[str, Json] = {
            "scenario": self._scenario.kind,
            "display_name": ", ".join(
                card.display_name
                for name, card in self._scenario.cards.items()
                if name in self._met or not self._met
            ),
            "system_prompt": self._scenario.condition,
            "characters": {
                name: {
                    "display_name": card.display_name,
                    "version": card.version,
                    "card_sha256": card.sha256,
                    "references_sha256": references_sha256(card),
                }
                for name, card in self._scenario.cards.items()
            },
        }
        for corpus in self._corpora:
            found |= dict(corpus.finish())
        found["validated"] = bool(self._metrics) and not reasons
        found["why_not"] = list(reasons)
        return found

    def unvalidated(self, finished: Mapping[str, Json]) -> frozenset[str]:
        """Return the measures to be marked, given what `finish` returned."""
        if finished.get("validated") is True:
            return frozenset()
        return frozenset(name for metric in self._metrics for name in metric.info.measure_names)
