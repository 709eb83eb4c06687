"""A scorecard's numbers as JSON: for machines, and as the island inside the page.

`scorecard.schema.json` beside the style sheet describes it (JSON Schema, draft 2020-12); docs/ holds a copy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.report.against import Baseline
from harness.report.changed import ChangedSample, ChangedSamples
from harness.report.consistency import Consistency
from harness.report.gates import Gates
from harness.report.model import Kind, Scorecard
from harness.report.page import asset
from harness.report.scenario_panel import ScenarioPanel
from harness.report.text import visible
from harness.report.training_panel import TrainingPanel

SCHEMA = 2
SCHEMA_FILE = "scorecard.schema.json"
DIGITS = 9
"""Significant digits of a number: more would differ between processors that add up in another order."""

_ISLAND = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def scorecard_data(card: Scorecard) -> dict[str, Any]:
    """Return the scorecard's numbers as JSON values, without sample bodies. Numbers have nine significant digits."""
    metrics = (*card.headline, *card.secondary)
    slices = [row for part in card.slices for group in part.groups for row in group.rows]
    data = {
        "schema": SCHEMA,
        "run_id": card.run_id,
        "status": card.status,
        "complete": card.complete,
        "title": card.title,
        "name": card.name,
        "verdict": {
            "word": card.verdict.word,
            "tone": card.verdict.tone,
            "sentence": card.verdict.sentence,
            "answers": {
                answer.question: [line.text for line in answer.lines] for answer in card.verdict.answers
            },
        },
        "counts": asdict(card.counts),
        "correct": card.correct,
        "judged": card.judged,
        "identity": {fact.label: fact.full for fact in card.identity},
        "headline": [metric.name for metric in card.headline],
        "measures": [
            {
                "name": metric.name,
                "label": metric.label,
                "definition": metric.definition,
                "higher_is_better": metric.higher_is_better,
                "headline": metric.headline,
                **({"validated": metric.validated} if metric.validated is not None else {}),
            }
            for metric in metrics
        ],
        "estimates": [asdict(metric.overall) for metric in metrics] + [asdict(row) for row in slices],
        "gates": _gates(card.gates),
        "baseline": _baseline(card.baseline),
        "changed": _changed(card.changed),
        "failures": [_kind(kind) for kind in card.failures],
        "findings": [_kind(kind) for kind in card.findings],
        "consistency": _consistency(card.consistency),
        "speed": asdict(card.speed),
        "training": _training(card.training),
        **({"persona": asdict(card.persona)} if card.persona is not None else {}),
        **({"judge": asdict(card.judge)} if card.judge is not None else {}),
        **({"scenario": _scenario(card.scenario)} if card.scenario is not None else {}),
        "ship": asdict(card.ship),
        "limits": list(card.limits),
        "command": card.command,
        "samples": {"shown": len(card.bodies), "listed": len(card.listed), "unlisted": card.unlisted},
    }
    rounded: dict[str, Any] = _rounded(data)
    return rounded


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `scorecard_data`."""
    found: dict[str, Any] = json.loads(asset(SCHEMA_FILE))
    return found


def render_json(card: Scorecard) -> str:
    """Return the scorecard's numbers as indented JSON in ASCII, so that no byte of a run can harm a reader."""
    return json.dumps(scorecard_data(card), indent=2, allow_nan=False) + "\n"


def island(card: Scorecard) -> str:
    """Return JSON that may stand inside a script element: it holds no `<`, `>`, `&` and only ASCII."""
    return island_of(scorecard_data(card))


def island_of(data: Mapping[str, Any]) -> str:
    """Return JSON values as text that may stand inside a script element."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_ISLAND)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "code": kind.code,
        "samples": kind.samples,
        "examples": [visible(example.sample_id) for example in kind.examples],
    }


def _scenario(panel: ScenarioPanel) -> dict[str, Any]:
    """Return what is said in words; the numbers themselves stand in summary.json."""
    return {
        "title": panel.title,
        "sentences": list(panel.sentences),
        "tables": [
            {
                "caption": table.caption,
                "columns": list(table.columns),
                "rows": [list(row) for row in table.rows],
            }
            for table in panel.tables
        ],
    }


def _gates(gates: Gates | None) -> dict[str, Any] | None:
    if gates is None:
        return None
    return {
        "passed": gates.passed,
        "counts": dict(gates.counts),
        "source": gates.source,
        "baseline": gates.baseline,
        "gates": [asdict(row) for row in gates.rows],
    }


def _baseline(baseline: Baseline | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    return {
        "run_id": baseline.run_id,
        "title": baseline.title,
        "name": baseline.name,
        "identity": {fact.label: fact.full for fact in baseline.identity},
        "differs": [{"what": what, "baseline": was, "run": now} for what, was, now in baseline.differs],
        "changes": [asdict(change) for change in baseline.changes.values()],
    }


def _changed(changed: ChangedSamples | None) -> dict[str, Any] | None:
    if changed is None:
        return None
    return {
        "compared": changed.compared,
        "right_before": changed.right_before,
        "right_after": changed.right_after,
        "broken": changed.broken_n,
        "fixed": changed.fixed_n,
        "otherwise_wrong": changed.moved_n,
        "p": changed.p,
        "transitions": [asdict(one) for one in changed.transitions],
        "broken_samples": [_sample(one) for one in changed.broken],
        "fixed_samples": [_sample(one) for one in changed.fixed],
    }


def _sample(one: ChangedSample) -> dict[str, Any]:
    return {"id": visible(one.sample_id), "repeat": one.repeat, "before": one.before, "after": one.after}


def _consistency(found: Consistency | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "tries": found.tries,
        "samples": found.samples,
        "incomplete": found.incomplete,
        "estimates": [asdict(one) for one in (*found.all_right, *found.any_right, found.same_reply)],
        "flipping": found.flipping_n,
    }


def _training(panel: TrainingPanel | None) -> dict[str, Any] | None:
    if panel is None:
        return None
    sweep = panel.sweep
    return {
        "facts": {fact.label: fact.full for fact in panel.facts},
        "verdict": panel.word,
        "sentence": panel.sentence,
        "best": panel.best,
        "findings": [
            {"severity": severity, "title": title, "because": because}
            for severity, title, because in panel.findings
        ],
        "sweep": None
        if sweep is None
        else {
            "verdict": sweep.word,
            "sentence": sweep.sentence,
            "chosen": sweep.chosen,
            "metric": sweep.metric,
            "split": sweep.split,
            "checkpoints": [
                {
                    "name": row.name,
                    "step": row.step,
                    "epoch": row.epoch,
                    "train_loss": row.train_loss,
                    "validation_loss": row.validation_loss,
                    "rates": [asdict(rate) for rate in row.rates],
                    "status": list(row.status),
                    "chosen": row.chosen,
                    "measured": row.measured,
                }
                for row in sweep.rows
            ],
        },
    }
