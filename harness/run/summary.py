"""summary.json: counts, aggregates with intervals, verdicts and findings, built one sample at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.log.schema import SCHEMA_VERSION
from harness.run.persona_facts import UNVALIDATED, PersonaFacts
from harness.run.scenario_facts import ScenarioFacts
from harness.score.aggregate import Accumulator
from harness.score.base import MeasureInfo, Metric
from harness.score.findings import FINDINGS
from harness.score.verdict import VERDICTS
from harness.types import Generation, ParsedReply, Sample, SampleScore

EXAMPLES = 5


class Summary:
    """Adds up scored samples; `planned` is set by whoever knows how many there should be.

    `persona` is what a run says of the character that its metrics were made for, None for a suite without one.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        slices: Sequence[str],
        persona: PersonaFacts | ScenarioFacts | None = None,
    ) -> None:
        self._persona = persona
        self._measures: list[MeasureInfo] = [
            measure for metric in metrics for measure in metric.info.measures
        ]
        self._accumulator = Accumulator([measure.name for measure in self._measures], slices)
        self._verdicts: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self.planned = 0

    def add(
        self, sample: Sample, generation: Generation, score: SampleScore, reply: ParsedReply | None = None
    ) -> None:
        """Count one scored sample. `reply` is what the persona's facts are taken from."""
        self._counts["generated"] += 1
        self._counts[{"scored": "scored", "unscored": "unscored", "error": "errors"}[score.status]] += 1
        self._counts["truncated"] += generation.finish_reason == "length"
        self._counts["too_long"] += generation.status == "too_long"
        self._tokens["prompt"] += generation.prompt_tokens
        self._tokens["new"] += generation.new_tokens
        if score.status != "scored":
            return
        self._accumulator.add(score, tags=sample.tags, cluster=sample.cluster)
        if self._persona is not None and reply is not None:
            self._persona.add(sample, reply, score)
        self._verdicts[score.verdict] += 1
        for code in {finding.code for finding in score.findings}:
            self._findings[code] += 1
            examples = self._examples.setdefault(code, [])
            if len(examples) < EXAMPLES:
                examples.append(sample.id)

    def finish(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Return summary.json's content; `complete` only if every planned generation is there without error."""
        counts = {
            name: self._counts[name]
            for name in ("generated", "scored", "unscored", "errors", "truncated", "too_long")
        }
        whole = counts["generated"] == self.planned and counts["errors"] == 0
        constraint = header.get("sampling", {}).get("constraint")
        generation_s = float(header.get("generation_s") or 0.0)
        speed = int(header.get("generated_tokens") or 0) / generation_s if generation_s else None
        persona = self._persona.finish(header) if self._persona is not None else None
        unvalidated = self._persona.unvalidated(persona) if self._persona and persona else frozenset()
        return {
            "v": SCHEMA_VERSION,
            "run_id": header["run_id"],
            "status": "complete" if whole else "incomplete",
            **({"constraint": constraint} if constraint is not None else {}),
            "counts": {"planned": self.planned, **counts},
            "tokens": {
                "prompt": self._tokens["prompt"],
                "new": self._tokens["new"],
                "generation_s": generation_s,
                "tokens_per_s": round(speed, 1) if speed is not None else None,
            },
            "measures": {
                measure.name: {
                    "label": measure.label + (UNVALIDATED if measure.name in unvalidated else ""),
                    "definition": measure.definition,
                    "higher_is_better": measure.higher_is_better,
                    "headline": measure.headline,
                    "unit": measure.unit,
                    **({"validated": False} if measure.name in unvalidated else {}),
                }
                for measure in self._measures
            },
            "aggregates": [asdict(aggregate) for aggregate in self._accumulator.aggregates()],
            "verdicts": dict(sorted(self._verdicts.items(), key=lambda item: (-item[1], item[0]))),
            "verdict_texts": {code: VERDICTS[code] for code in sorted(self._verdicts) if code in VERDICTS},
            "findings": {
                code: {"samples": count, "examples": self._examples[code]}
                for code, count in sorted(self._findings.items(), key=lambda item: (-item[1], item[0]))
            },
            "finding_texts": {code: FINDINGS[code] for code in sorted(self._findings) if code in FINDINGS},
            **({"persona": persona} if persona is not None else {}),
        }
