"""The scorecard as a value: everything a report says, taken from a run folder's contents and nothing else.

No clock, no environment, no files: equal contents give an equal `Scorecard`, and every renderer (HTML,
terminal, JSON) shows the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report import wording
from harness.report.facts import Fact, Section, command, identity, reproduce
from harness.report.samples import Picked, SampleBody, SamplePicker, SampleRef
from harness.report.stored import items, mapping, mappings, number, texts, whole

SMALL_N = 20
MAX_GROUPS = 40
MAX_KINDS = 60


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
    """What a metric is called and means, with its value over all samples."""

    name: str
    label: str
    definition: str
    higher_is_better: bool
    headline: bool
    overall: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceGroup:
    """One metric over the values of one tag."""

    key: str
    rows: tuple[Estimate, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSlices:
    """One headline metric in all its slices."""

    metric: Metric
    groups: tuple[SliceGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sample to look at; `anchor` is None where it is not on the page."""

    sample_id: str
    anchor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of outcome or finding: how often, in a sentence, with examples."""

    code: str
    sentence: str
    samples: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many samples were planned, and what became of them."""

    planned: int
    generated: int
    scored: int
    unscored: int
    errors: int
    truncated: int
    too_long: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What the run cost. Latencies are None where the engine could not time single samples."""

    prompt_tokens: int
    new_tokens: int
    generation_s: float | None
    tokens_per_s: float | None
    latency_p50: float | None
    latency_p95: float | None
    latency_n: int
    reply_p50: float | None
    reply_p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """One run, ready to be shown."""

    run_id: str
    status: str
    complete: bool
    title: str
    description: str
    counts: Counts
    correct: int | None
    judged: int
    outcomes: int
    """Samples that have an outcome: what the shares of `failures` are of."""
    verdict: wording.Verdict
    identity: tuple[Fact, ...]
    headline: tuple[Metric, ...]
    secondary: tuple[Metric, ...]
    slices: tuple[MetricSlices, ...]
    failures: tuple[Kind, ...]
    findings: tuple[Kind, ...]
    bodies: tuple[SampleBody, ...]
    listed: tuple[SampleRef, ...]
    unlisted: int
    seen: int
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    """Tag keys with the values that the bodies have, for the page's filter."""
    speed: Speed
    limits: tuple[str, ...]
    command: str
    reproduce: tuple[Section, ...]


def _estimate(raw: Mapping[str, Any], described: Mapping[str, Any]) -> Estimate:
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


def _metrics(
    summary: Mapping[str, Any], suite: Mapping[str, Any], overall: Mapping[str, Estimate]
) -> list[Metric]:
    """Return the metrics in the suite's order, then the summary's; over-refusal follows hallucination."""
    described = mapping(summary.get("measures"))
    names = dict.fromkeys([*map(str, items(suite.get("metrics"))), *described, *overall])
    if "hallucination_rate" in names and "over_refusal" in names:
        order = [name for name in names if name != "over_refusal"]
        order.insert(order.index("hallucination_rate") + 1, "over_refusal")
        names = dict.fromkeys(order)
    paired = bool(mapping(described.get("hallucination_rate")).get("headline"))
    metrics = []
    for name in names:
        if name not in described and name not in overall:
            continue
        about = mapping(described.get(name))
        metrics.append(
            Metric(
                name=name,
                label=str(about.get("label") or name.replace("_", " ").capitalize()),
                definition=str(about.get("definition") or ""),
                higher_is_better=bool(about.get("higher_is_better", True)),
                # Silence lowers hallucination and raises over-refusal: one without the other misleads.
                headline=bool(about.get("headline")) or (name == "over_refusal" and paired),
                overall=overall.get(name) or _estimate({"metric": name}, described),
            )
        )
    return metrics


def _slices(
    headline: Sequence[Metric], estimates: Sequence[Estimate], order: Sequence[str]
) -> tuple[MetricSlices, ...]:
    found: dict[str, dict[str, list[Estimate]]] = {}
    for estimate in estimates:
        if estimate.group != "all":
            found.setdefault(estimate.metric, {}).setdefault(estimate.group.partition("=")[0], []).append(
                estimate
            )
    result = []
    for metric in headline:
        by_key = found.get(metric.name, {})
        keys = dict.fromkeys([*(key for key in order if key in by_key), *by_key])
        groups = tuple(
            SliceGroup(
                key=key, rows=tuple(by_key[key][:MAX_GROUPS]), omitted=max(0, len(by_key[key]) - MAX_GROUPS)
            )
            for key in keys
        )
        if groups:
            result.append(MetricSlices(metric=metric, groups=groups))
    return tuple(result)


def _examples(ids: Any, picked: Picked) -> tuple[Example, ...]:
    return tuple(
        Example(sample_id=str(name), anchor=picked.anchors.get(str(name))) for name in items(ids)[:3]
    )


def _failures(summary: Mapping[str, Any], picked: Picked) -> tuple[Kind, ...]:
    said = texts(summary.get("verdict_texts"))
    wrong = [
        (code, whole(many))
        for code, many in mapping(summary.get("verdicts")).items()
        if code not in picked.passing
    ]
    wrong.sort(key=lambda item: (-item[1], item[0]))
    return tuple(
        Kind(
            code=code,
            sentence=said.get(code, ""),
            samples=many,
            examples=_examples(picked.examples.get(code, ()), picked),
        )
        for code, many in wrong[:MAX_KINDS]
        if many
    )


def _finding_kinds(summary: Mapping[str, Any], picked: Picked) -> tuple[Kind, ...]:
    said = texts(summary.get("finding_texts"))
    found = [(code, mapping(about)) for code, about in mapping(summary.get("findings")).items()]
    found.sort(key=lambda item: (-whole(item[1].get("samples")), item[0]))
    return tuple(
        Kind(
            code=code,
            sentence=said.get(code, ""),
            samples=whole(about.get("samples")),
            examples=_examples(about.get("examples"), picked),
        )
        for code, about in found[:MAX_KINDS]
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile of an ordered sequence, None of an empty one."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


def _speed(summary: Mapping[str, Any], picked: Picked) -> Speed:
    tokens = mapping(summary.get("tokens"))
    return Speed(
        prompt_tokens=whole(tokens.get("prompt")),
        new_tokens=whole(tokens.get("new")),
        generation_s=number(tokens.get("generation_s")),
        tokens_per_s=number(tokens.get("tokens_per_s")),
        latency_p50=_quantile(picked.latencies, 0.5),
        latency_p95=_quantile(picked.latencies, 0.95),
        latency_n=len(picked.latencies),
        reply_p50=_quantile(picked.new_tokens, 0.5),
        reply_p95=_quantile(picked.new_tokens, 0.95),
    )


def _counts(summary: Mapping[str, Any]) -> Counts:
    raw = mapping(summary.get("counts"))
    names = ("planned", "generated", "scored", "unscored", "errors", "truncated", "too_long")
    return Counts(**{name: whole(raw.get(name)) for name in names})


def _filters(bodies: Sequence[SampleBody], keys: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    values: dict[str, set[str]] = {}
    for body in bodies:
        for key, value in body.tags:
            values.setdefault(key, set()).add(value)
    return tuple((key, tuple(sorted(values[key]))) for key in keys[:3] if len(values.get(key, ())) > 1)


def _pick(summary: Mapping[str, Any], samples: Iterable[tuple[Any, Any]], max_bodies: int) -> Picked:
    found = mapping(summary.get("findings")).values()
    wanted = frozenset(str(name) for about in found for name in items(mapping(about).get("examples"))[:3])
    picker = SamplePicker(
        max_bodies,
        wanted=wanted,
        verdict_texts=texts(summary.get("verdict_texts")),
        finding_texts=texts(summary.get("finding_texts")),
    )
    for score, generation in samples:
        picker.add(mapping(score), mapping(generation))
    return picker.finish()


def build_scorecard(
    header: Mapping[str, Any],
    summary: Mapping[str, Any],
    samples: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
    *,
    max_bodies: int = 200,
) -> Scorecard:
    """Return the scorecard of a run.

    `header` and `summary` are run.json and summary.json as stored; `samples` yields each (score, generation)
    once and is read in one pass. Memory is bounded by `max_bodies` clipped samples, not by the length of the run.
    Missing keys read as unknown, so that the folder of a run that died early still has a scorecard.
    """
    picked = _pick(summary, samples, max_bodies)
    suite = mapping(header.get("suite"))
    described = mapping(summary.get("measures"))
    estimates = [_estimate(raw, described) for raw in mappings(summary.get("aggregates"))]
    metrics = _metrics(summary, suite, {e.metric: e for e in estimates if e.group == "all"})
    headline = tuple(metric for metric in metrics if metric.headline)
    statuses = [str(source["status"]) for source in (header, summary) if source.get("status")]
    status = next((name for name in statuses if name != "complete"), statuses[0] if statuses else "unknown")
    counts, correct = _counts(summary), picked.correct if picked.seen else None
    failures = _failures(summary, picked)
    slice_keys = [str(key) for key in items(suite.get("slices"))]
    return Scorecard(
        run_id=str(header.get("run_id") or summary.get("run_id") or "unknown run"),
        status=status,
        complete=status == "complete",
        title=wording.title(header, summary),
        description=str(suite.get("description") or ""),
        counts=counts,
        correct=correct,
        judged=picked.judged,
        outcomes=sum(map(whole, mapping(summary.get("verdicts")).values())),
        verdict=wording.verdict(status, counts, correct, picked.judged, headline, failures),
        identity=identity(header),
        headline=headline,
        secondary=tuple(metric for metric in metrics if not metric.headline),
        slices=_slices(headline, estimates, slice_keys),
        failures=failures,
        findings=_finding_kinds(summary, picked),
        bodies=picked.bodies,
        listed=picked.listed,
        unlisted=picked.unlisted,
        seen=picked.seen,
        filters=_filters(picked.bodies, slice_keys),
        speed=_speed(summary, picked),
        limits=wording.limits(header, headline),
        command=command(header),
        reproduce=reproduce(header),
    )
