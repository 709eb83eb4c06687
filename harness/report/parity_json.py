"""How far engines agree as one JSON object, for programs. Equal agreements give equal text."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.parity.agreement import Against, Agreement, ColumnResult, Differing, MetricAgreement, Share

SCHEMA = 1


def parity_data(found: Agreement) -> dict[str, Any]:
    """Return the object that docs/parity.md describes; texts are as the runs hold them."""
    return {
        "schema": SCHEMA,
        "suite": {"name": found.suite, "version": found.version},
        "model": found.model,
        "adapter": found.adapter,
        "planned": found.planned,
        "reference": found.reference.name,
        "positions_count": found.unit,
        "engines": [_column(one) for one in found.columns],
        "noise_floor": asdict(found.floor),
        "notes": list(found.notes),
    }


def render_parity_json(found: Agreement) -> str:
    """Return the object as indented JSON in ASCII, so that no byte of a run can harm a reader."""
    return json.dumps(parity_data(found), indent=1, allow_nan=False) + "\n"


def _column(one: ColumnResult) -> dict[str, Any]:
    measured = asdict(one.measured) if one.measured is not None else {}
    against = _against(one.against) if one.against is not None else {}
    return {"name": one.name, "failure": one.failure, **measured, **against}


def _against(against: Against) -> dict[str, Any]:
    parted = against.parted
    return {
        "texts": _share(against.texts),
        "verdicts": _share(against.verdicts),
        "metrics": [_metric(one) for one in against.metrics],
        "first_difference": {"earliest": parted.earliest, "median": parted.median} if parted else None,
        "differing": [_differing(one) for one in parted.shown] if parted else [],
    }


def _share(share: Share) -> dict[str, Any]:
    return {**asdict(share), "share": share.value if share.n else None}


def _metric(metric: MetricAgreement) -> dict[str, Any]:
    found = metric.found
    return {
        "metric": found.metric,
        "unit": "share" if metric.share else "number",
        "reference": found.before,
        "here": found.after,
        "difference": found.difference.value,
        "low": found.difference.low,
        "high": found.difference.high,
        "n": found.n,
        "changed": found.changed,
        "noise": metric.noise,
        "inside_noise": metric.inside,
    }


def _differing(one: Differing) -> dict[str, Any]:
    return {
        "sample_id": one.sample_id,
        "repeat": one.repeat,
        "verdicts": list(one.verdicts),
        **asdict(one.at),
    }
