"""The metrics that a suite names: built in, from its scorer.py, or from the entry points `harness.metrics`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import Any

from harness.errors import HarnessError, SpecError, nearest_hint
from harness.fingerprint import sha256_of, sha256_of_file
from harness.persona.references import references_sha256
from harness.registry import Registry
from harness.score.base import Metric, MetricInfo, check_metrics
from harness.score.builtin import BUILTIN_METRICS
from harness.suite.load import Suite, load_scorer

LOCAL_PREFIX = "scorer.py:"


def metrics_of(suite: Suite) -> list[Metric]:
    """Return the suite's metric objects in its order.

    A metric class with a classmethod `for_suite(suite)` measures a persona: it is made for the suite's card. Executes the
    suite's scorer.py where a metric is named `scorer.py:NAME`. Raises SpecError with the nearest name for
    one that does not exist, UsageError if two metrics define one measure.
    """
    where = suite.folder / "suite.yaml"
    metrics = [_instance(suite, _metric(suite, name), name, str(where)) for name in suite.spec.metrics]
    check_metrics(metrics)
    return metrics


def metric_versions(suite: Suite, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Return what stood behind each metric name, for the run header: name, version, and a hash of what else it is made of.

    That is the source of a plug-in or scorer.py, and the card and references of a persona metric.
    """
    plugins = Registry("harness.metrics")
    records = []
    for name, metric in zip(suite.spec.metrics, metrics, strict=True):
        source = None
        if name.startswith(LOCAL_PREFIX):
            source = sha256_of_file(suite.scorer)
        elif name not in BUILTIN_METRICS:
            source = plugins.record(name).source_sha256
        if measures_persona(metric):
            source = sha256_of([source, *persona_sources(suite)])
        records.append({"name": name, "version": metric.info.version, "source_sha256": source})
    return records


def check_names(suite: Suite) -> None:
    """Raise SpecError with the nearest name for a metric that cannot exist; executes nothing."""
    for name in suite.spec.metrics:
        _check_name(suite, name)


def _check_name(suite: Suite, name: str) -> None:
    where = suite.folder / "suite.yaml"
    plugins = Registry("harness.metrics").names()
    if name.startswith(LOCAL_PREFIX):
        if not suite.scorer.is_file():
            raise SpecError(f"metrics: {name!r}, but the folder has no scorer.py", where=where)
    elif name in BUILTIN_METRICS and name in plugins:
        raise SpecError(
            f"metric {name!r} is built in, and an installed plug-in has that name too", where=where
        )
    elif name not in BUILTIN_METRICS and name not in plugins:
        known = [*BUILTIN_METRICS, *plugins]
        remedy = f"{nearest_hint(name, known)}Known: {', '.join(known)}."
        raise SpecError(f"metrics: unknown metric {name!r}", where=where, remedy=remedy)


def _metric(suite: Suite, name: str) -> Any:
    _check_name(suite, name)
    if name.startswith(LOCAL_PREFIX):
        attribute = name.removeprefix(LOCAL_PREFIX)
        module = load_scorer(suite)
        if not hasattr(module, attribute):
            raise SpecError(f"metrics: scorer.py has no {attribute!r}", where=suite.folder / "suite.yaml")
        return getattr(module, attribute)
    if name not in BUILTIN_METRICS:
        return Registry("harness.metrics").get(name)
    module_name, _, attribute = BUILTIN_METRICS[name].partition(":")
    return getattr(importlib.import_module(module_name), attribute)


def measures_persona(metric: Any) -> bool:
    """Return whether a metric (or its class) is made for a persona card, so that its numbers need a validation."""
    return callable(getattr(metric, "for_suite", None))


def persona_sources(suite: Suite) -> list[str | None]:
    """Return the hashes of the suite's cards and their references; [] without a persona."""
    cards = [suite.persona] if suite.persona is not None else []
    cards += suite.scenario.cards.values() if suite.scenario is not None else ()
    return [digest for card in cards for digest in (card.sha256, references_sha256(card))]


def _instance(suite: Suite, metric: Any, name: str, where: str) -> Metric:
    if measures_persona(metric) and suite.persona is None and suite.scenario is None:
        raise SpecError(
            f"metrics: {name!r} measures a persona, and the suite names none",
            where=where,
            remedy="Add persona: persona.yaml, the card of the character.",
        )
    try:
        if measures_persona(metric):
            made: Any = metric.for_suite(suite)
        else:
            made = metric() if inspect.isclass(metric) else metric
    except HarnessError:
        raise
    except Exception as error:
        raise SpecError(f"metrics: {name!r} cannot be made: {error}", where=where) from error
    if not isinstance(getattr(made, "info", None), MetricInfo) or not callable(getattr(made, "score", None)):
        raise SpecError(f"metrics: {name!r} has no `info` and `score`, so it is no metric", where=where)
    checked: Metric = made
    return checked
