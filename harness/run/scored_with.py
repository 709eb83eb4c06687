"""With which suite and metrics a run's scores were made: the summary says so, for scoring anew may use later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.run.metrics import metric_versions
from harness.score.base import Metric
from harness.suite.load import Suite

SCORED_WITH = "scored_with"
"""The key of a summary that holds `sha256` of suite.yaml and scorer.py, and `metric_versions`."""


def scored_with(suite: Suite, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return what a summary records of the suite and the metrics that scored it."""
    return {"sha256": suite.sha256, "metric_versions": metric_versions(suite, metrics)}


def header_as_scored(header: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's header, its suite's hash and metric versions those of the scoring.

    They are the header's own where the summary was made before it recorded them; what is damaged there is None.
    """
    if SCORED_WITH not in summary:
        return dict(header)
    stored = summary[SCORED_WITH]
    found = stored if isinstance(stored, Mapping) else {}
    said = {key: found.get(key) for key in ("sha256", "metric_versions")}
    return {**header, "suite": {**header["suite"], **said}}


def versions_by_metric(header: Mapping[str, Any]) -> dict[str, str]:
    """Return "1.0.0", or "1.0.0 (<source hash>)" of a plug-in, by metric; what is damaged in the header is left out."""
    stored = header["suite"].get("metric_versions")
    records = [one for one in stored if isinstance(one, dict)] if isinstance(stored, list) else []
    return {str(one.get("name")): _version(one) for one in records}


def _version(record: Mapping[str, Any]) -> str:
    source = record.get("source_sha256")
    return f"{record.get('version')}" + (f" ({str(source)[:12]})" if source else "")
