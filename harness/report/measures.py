"""The measures of a run as a report shows them: values with intervals, over all samples and in slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.against import Change
from harness.report.stored import items, mapping, number, whole

SMALL_N = 20
MAX_GROUPS = 40
MAX_KEYS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One metric over one group of samples, with its 95 % interval; `value` is None where nothing applies.

    `share` says that it is a ratio between 0 and 1, printed as a percentage; anything else is printed as it stands.
    """

    metric: str
    group: str
    value: float | None
    low: float | None
    high: float | None
    numerator: float
    denominator: float
    n: int
    clusters: int
    share: bool

    @property
    def small(self) -> bool:
        """Return whether so few samples count that the value should not be relied on."""
        return self.n < SMALL_N


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a metric is called and means, with its value over all samples; `change` is its difference to a baseline."""

    name: str
    label: str
    definition: str
    higher_is_better: bool
    headline: bool
    overall: Estimate
    change: Change | None = None
    validated: bool | None = None
    """False where the metric behind it passed no validation (its label says so too); None where none is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceGroup:
    """One metric over the values of one tag."""

    key: str
    rows: tuple[Estimate, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSlices:
    """One headline metric in all its slices; `before` holds a baseline's value by group ("category=single")."""

    metric: Metric
    groups: tuple[SliceGroup, ...]
    before: Mapping[str, float]


def estimate(raw: Mapping[str, Any], described: Mapping[str, Any]) -> Estimate:
    """Return one stored aggregate; `described` is the summary's `measures`."""
    metric = str(raw.get("metric", ""))
    value, low, high = (number(raw.get(key)) for key in ("value", "ci_low", "ci_high"))
    unit = mapping(described.get(metric)).get("unit")
    within = all(n is None or 0 <= n <= 1 for n in (value, low, high))
    return Estimate(
        metric=metric,
        group=str(raw.get("group", "all")),
        value=value,
        low=low,
        high=high,
        numerator=number(raw.get("numerator")) or 0.0,
        denominator=number(raw.get("denominator")) or 0.0,
        n=whole(raw.get("n")),
        clusters=whole(raw.get("clusters")),
        share=within if unit is None else within and unit == "share",
    )


def metrics(
    summary: Mapping[str, Any],
    suite: Mapping[str, Any],
    overall: Mapping[str, Estimate],
    changes: Mapping[str, Change],
) -> list[Metric]:
    """Return the metrics in the suite's order, then the summary's; over-refusal follows hallucination."""
    described = mapping(summary.get("measures"))
    names = dict.fromkeys([*map(str, items(suite.get("metrics"))), *described, *overall])
    if "hallucination_rate" in names and "over_refusal" in names:
        order = [name for name in names if name != "over_refusal"]
        order.insert(order.index("hallucination_rate") + 1, "over_refusal")
        names = dict.fromkeys(order)
    found = []
    for name in names:
        if name not in described and name not in overall:
            continue
        about = mapping(described.get(name))
        found.append(
            Metric(
                name=name,
                label=str(about.get("label") or name.replace("_", " ").capitalize()),
                definition=str(about.get("definition") or ""),
                higher_is_better=bool(about.get("higher_is_better", True)),
                headline=is_headline(name, described),
                overall=overall.get(name) or estimate({"metric": name}, described),
                change=changes.get(name),
                validated=False if about.get("validated") is False else None,
            )
        )
    return found


def is_headline(name: str, described: Mapping[str, Any]) -> bool:
    """Return whether a measure stands on the first screen.

    Silence lowers hallucination and raises over-refusal: one without the other misleads, so over-refusal comes along.
    """
    if name == "over_refusal" and mapping(described.get("hallucination_rate")).get("headline"):
        return True
    return bool(mapping(described.get(name)).get("headline"))


def slices(
    headline: Sequence[Metric],
    estimates: Sequence[Estimate],
    order: Sequence[str],
    earlier: Sequence[Estimate] = (),
) -> tuple[MetricSlices, ...]:
    """Return each headline metric by slice, the suite's own slices first; at most 40 values of a slice.

    `earlier` are the estimates of a baseline.
    """
    found: dict[str, dict[str, list[Estimate]]] = {}
    for one in estimates:
        if one.group != "all":
            found.setdefault(one.metric, {}).setdefault(one.group.partition("=")[0], []).append(one)
    result = []
    for metric in headline:
        by_key = found.get(metric.name, {})
        keys = list(dict.fromkeys([*(key for key in order if key in by_key), *by_key]))
        groups = tuple(
            SliceGroup(
                key=key, rows=tuple(by_key[key][:MAX_GROUPS]), omitted=max(0, len(by_key[key]) - MAX_GROUPS)
            )
            for key in keys[:MAX_KEYS]
        )
        if groups:
            before = {
                one.group: one.value for one in earlier if one.metric == metric.name and one.value is not None
            }
            result.append(MetricSlices(metric=metric, groups=groups, before=before))
    return tuple(result)
