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
        self._corpora: dict[str, Corpus] = {}
        self._failed: frozenset[str] = frozenset(metric.info.name for metric in self._metrics)
        for metric in self._metrics:
            make = getattr(metric, "corpus", None)
            corpus = make() if callable(make) else None
            if corpus is not None:
                self._corpora[metric.info.name] = cast(Corpus, corpus)

    def add(self, sample: Sample, reply: ParsedReply, score: SampleScore) -> None:
        """Take in one scored sample."""
        for corpus in self._corpora.values():
            corpus.add(sample, reply, score)

    def finish(self, header: Mapping[str, Any]) -> dict[str, Json]:
        """Return summary.json's `persona`. `validated` is true only if every persona metric passed its validation."""
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
        failed: dict[str, list[str]] = {}
        for metric in self._metrics:
            name = metric.info.name
            facts = dict(self._corpora[name].finish()) if name in self._corpora else {}
            said, why_not = facts.pop("validated", None), facts.pop("why_not", ())
            if said is not True:
                failed[name] = list(map(str, why_not)) or [NO_VALIDATION]
            found |= facts
        self._failed = frozenset(failed)
        if self._metrics:
            found["validated"] = not failed
            # Which metric it is needs saying only where another one passed.
            some = len(failed) < len(self._metrics)
            found["why_not"] = list(
                dict.fromkeys(
                    f"{name}: {reason}" if some else reason
                    for name, reasons in failed.items()
                    for reason in reasons
                )
            )
        return found

    def unvalidated(self, finished: Mapping[str, Json]) -> frozenset[str]:
        """Return the measures to be marked, given what `finish` returned: those of each metric that did not pass."""
        if finished.get("validated") is True:
            return frozenset()
        return frozenset(
            name
            for metric in self._metrics
            if metric.info.name in self._failed
            for name in metric.info.measure_names
        )
