"""A comparison as one JSON object, for programs. Equal comparisons give equal text."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.report.compare_model import Comparison, MetricChange, MetricRow
from harness.report.compare_outcomes import Outcome
from harness.report.compare_samples import ChangedSample, ShownSample

SCHEMA = 1


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Return the object that docs/compare.md describes; texts are as the runs hold them."""
    samples = comparison.samples
    return {
        "schema": SCHEMA,
        "suite": comparison.suite,
        "complete": comparison.complete,
        "n": comparison.n,
        "tests": comparison.tests,
        "reference": asdict(comparison.sides[0]),
        "against": [
            {**asdict(side), **_outcome(outcome), "metrics": _metrics(comparison.metrics, place)}
            for place, side, outcome in comparison.others
        ],
        "measures": [
            {
                "name": row.name,
                "label": row.label,
                "definition": row.definition,
                "higher_is_better": row.higher_is_better,
                "headline": row.headline,
                "unit": "share" if row.share else "number",
            }
            for row in comparison.metrics
        ],
        "changed": [_shown(one) for one in samples.shown] + [_named(one) for one in samples.listed],
        "changed_total": samples.total,
        "changed_unlisted": samples.unlisted,
        "differs": [{"label": one.label, "values": list(one.values)} for one in comparison.differs],
        "notes": list(comparison.notes),
    }


def render_comparison_json(comparison: Comparison) -> str:
    """Return the object as indented JSON in ASCII, so that no byte of a run can harm a reader."""
    return json.dumps(comparison_data(comparison), indent=1, allow_nan=False) + "\n"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    data = asdict(outcome)
    verdict = data.pop("verdict")
    return {
        "verdict": verdict["word"],
        "sentence": verdict["sentence"],
        "samples": {
            **data.pop("counts"),
            "same_right": data.pop("same_right"),
            "same_wrong": data.pop("same_wrong"),
        },
        **data,
    }


def _metrics(rows: tuple[MetricRow, ...], place: int) -> list[dict[str, Any]]:
    return [_metric(change) for row in rows if (change := row.changes[place]) is not None]


def _metric(change: MetricChange) -> dict[str, Any]:
    found = change.change
    return {
        "metric": found.metric,
        "before": found.before,
        "after": found.after,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_holm": found.adjusted,
        "n": found.n,
        "changed": found.changed,
        "clusters": change.clusters,
        "detectable": change.detectable,
        "noise": found.noise,
        "verdict": found.standing,
    }


def _named(one: ChangedSample) -> dict[str, Any]:
    return {
        "sample_id": one.sample_id,
        "repeat": one.repeat,
        "kinds": list(one.kinds),
        "verdicts": list(one.verdicts),
    }


def _shown(one: ShownSample) -> dict[str, Any]:
    return {
        **_named(one.name),
        "question": one.question.text,
        "replies": [
            {
                "text": reply.text.text,
                "characters": reply.text.total,
                "truncated": reply.truncated,
                "findings": list(reply.findings),
            }
            for reply in one.replies
        ],
    }
