"""A scorecard's numbers as JSON: for machines, and as the island inside the page."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.report.model import Estimate, Kind, Scorecard
from harness.report.text import visible

SCHEMA = 1

_ISLAND = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate)


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "code": kind.code,
        "samples": kind.samples,
        "examples": [visible(example.sample_id) for example in kind.examples],
    }


def scorecard_data(card: Scorecard) -> dict[str, Any]:
    """Return the scorecard's numbers as JSON values, without sample bodies."""
    metrics = (*card.headline, *card.secondary)
    slices = [row for part in card.slices for group in part.groups for row in group.rows]
    return {
        "schema": SCHEMA,
        "run_id": card.run_id,
        "status": card.status,
        "complete": card.complete,
        "title": card.title,
        "verdict": f"{card.verdict.word}: {card.verdict.sentence}",
        "counts": asdict(card.counts),
        "correct": card.correct,
        "judged": card.judged,
        "identity": {fact.label: fact.full for fact in card.identity},
        "headline": [metric.name for metric in card.headline],
        "estimates": [_estimate(metric.overall) for metric in metrics] + [_estimate(row) for row in slices],
        "failures": [_kind(kind) for kind in card.failures],
        "findings": [_kind(kind) for kind in card.findings],
        "speed": asdict(card.speed),
        "command": card.command,
        "samples": {"shown": len(card.bodies), "listed": len(card.listed), "unlisted": card.unlisted},
    }


def render_json(card: Scorecard) -> str:
    """Return the scorecard's numbers as indented JSON in ASCII, so that no byte of a run can harm a reader."""
    return json.dumps(scorecard_data(card), indent=2, allow_nan=False) + "\n"


def island(card: Scorecard) -> str:
    """Return JSON that may stand inside a script element: it holds no `<`, `>`, `&` and only ASCII."""
    text = json.dumps(scorecard_data(card), separators=(",", ":"), allow_nan=False)
    return text.translate(_ISLAND)
