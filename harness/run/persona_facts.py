"""What summary.json says of a persona run: by which card, under which prompt, and whether its numbers may be believed.

A metric that is made for a card (`for_suite`) may have `corpus()`, an object with `add(sample, reply, score)` for every
scored sample and `finish()`, what only the replies together tell. Whether the metric itself was validated stands in
there as `validated` and `why_not`; a persona number without a passed validation is marked wherever it is shown, since
the mark is part of its label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from harness.errors import HarnessError
from harness.persona.references import references_sha256
from harness.run.metrics import measures_persona
from harness.score.base import Metric
from harness.suite.load import Suite
from harness.types import Json, ParsedReply, Sample, SampleScore

UNVALIDATED = " (unvalidated)"
NO_VALIDATION = "the metric was never validated: run harness persona validate"


class Corpus(Protocol):
    """What a metric learns of all replies together."""

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None: ...
    def finish(self) -> Mapping[str, Json]: ...


class PersonaFacts:
    """Collects them during one scoring. Only for a suite with a persona."""

    def __init__(self, suite: Suite, metrics: Sequence[Metric]) -> None:
        if suite.persona is None:
            raise HarnessError("a suite without persona has no persona facts", where=suite.folder)
        self._card = suite.persona
        self._references = references_sha256(suite.persona)
        self._metrics = [metric for metric in metrics if measures_persona(metric)]
        self._corpora: list[Corpus] = []
        for metric in self._metrics:
            make = getattr(metric, "corpus", None)
            corpus = make() if callable(make) else None
            if corpus is not None:
                self._corpora.append(cast(Corpus, corpus))

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Take in one scored sample."""
        for corpus in self._corpora:
            corpus.add(sample, reply, score)

    def finish(self, header: Mapping[str, Any]) -> dict[str, Json]:
        """Return summary.json's `persona`."""
        prompt = header.get("prompt", {})
        found: dict[str, Json] = {
            "name": self._card.name,
            "display_name": self._card.display_name,
            "version": self._card.version,
            "card_sha256": self._card.sha256,
            "references_sha256": self._references,
            "system_prompt": prompt.get("system_prompt"),
            "names_masked": prompt.get("names_masked") is True,
        }
        validated: bool | None = None
        reasons: dict[str, None] = {}
        for corpus in self._corpora:
            facts = dict(corpus.finish())
            said = facts.pop("validated", None)
            reasons |= dict.fromkeys(str(reason) for reason in facts.pop("why_not", ()))
            if said is not None:
                validated = bool(said) and validated is not False
            found |= facts
        if self._metrics:
            found["validated"] = validated is True
            found["why_not"] = [] if validated else list(reasons) or [NO_VALIDATION]
        return found

    def unvalidated(self, finished: Mapping[str, Json]) -> frozenset[str]:
        """Return the measures to be marked, given what `finish` returned."""
        if finished.get("validated") is True:
            return frozenset()
        return frozenset(name for metric in self._metrics for name in metric.info.measure_names)
