"""What a metric is: per sample a few ratios (numerator, denominator) and coded findings; summing is done elsewhere.

A metric of one's own is an object with `info` and `score`; subclassing `Metric` fills in the rest:

    class Politeness(Metric):
        info = MetricInfo(name="politeness", version="1", measures=(
            MeasureInfo(name="polite_rate", label="Polite replies", definition="Share of replies that say please.",
                        headline=True),))

        def score(self, sample, reply, generation):
            polite = "please" in reply.content
            return MetricResult(measures={"polite_rate": share(polite)})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from harness.errors import UsageError
from harness.types import Finding, Generation, Measure, ParsedReply, Sample

MAX_FINDINGS = 50
"""Findings kept of one metric on one sample; the rest of a runaway reply says nothing new."""

NOT_APPLICABLE = Measure(numerator=0, denominator=0)
YES = Measure(numerator=1, denominator=1)
NO = Measure(numerator=0, denominator=1)


def share(holds: bool, applies: bool = True) -> Measure:
    """Return one sample's part in a share of samples: 1/1, 0/1, or 0/0 where the question does not arise."""
    if not applies:
        return NOT_APPLICABLE
    return YES if holds else NO


def ratio(numerator: float, denominator: float) -> Measure:
    """Return one sample's part in a ratio of sums, with the constants reused: most samples hold 0/0, 0/1 or 1/1."""
    if denominator == 0:
        return NOT_APPLICABLE
    if denominator == 1 and numerator in (0, 1):
        return YES if numerator else NO
    return Measure(numerator=numerator, denominator=denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureInfo:
    """What one number means. `unit` `share` is a ratio in [0, 1]; anything else is printed as it stands."""

    name: str
    label: str
    definition: str
    higher_is_better: bool = True
    headline: bool = False
    unit: str = "share"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """A metric's name, the version of its definitions (raise it whenever a value could change) and its measures."""

    name: str
    version: str
    measures: tuple[MeasureInfo, ...]
    measure_names: tuple[str, ...] = field(init=False)
    """The names of every measure, in the order in which a report shows them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "measure_names", tuple(measure.name for measure in self.measures))

    @property
    def headline(self) -> dict[str, bool]:
        """Return the headline measures: name to `higher_is_better`."""
        return {measure.name: measure.higher_is_better for measure in self.measures if measure.headline}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One metric's word on one sample. A measure that is left out does not apply (the same as denominator 0).

    `verdict`, a code of `harness.score.verdict`, says what became of a sample that calls say nothing about: where no call
    is expected and none was attempted, it stands instead of `correct_silence`.
    """

    measures: Mapping[str, Measure]
    findings: tuple[Finding, ...] = field(default=())
    verdict: str | None = None


class Metric(Protocol):
    """A pure function from sample and reply to measures, with its description. Must not keep state between samples."""

    info: ClassVar[MetricInfo]

    @property
    def name(self) -> str:
        """Return the metric's name, as a suite's `metrics:` spells it."""
        return self.info.name

    @property
    def version(self) -> str:
        """Return the version of the metric's definitions."""
        return self.info.version

    @property
    def headline(self) -> dict[str, bool]:
        """Return the headline measures: name to `higher_is_better`."""
        return self.info.headline

    @property
    def measure_names(self) -> tuple[str, ...]:
        """Return the names of the measures that `score` may return."""
        return self.info.measure_names

    def score(self, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
        """Judge one reply. Must not raise on any reply: a reply that cannot be read is a wrong answer."""
        ...


def check_metrics(metrics: Iterable[Metric]) -> None:
    """Raise UsageError if two metrics share a name, or two measures do: a number must have one definition."""
    owner: dict[str, str] = {}
    seen: set[str] = set()
    for metric in metrics:
        if metric.info.name in seen:
            raise UsageError(f"metric {metric.info.name!r} is listed twice", remedy="List each metric once.")
        seen.add(metric.info.name)
        for measure in metric.info.measure_names:
            if measure in owner:
                raise UsageError(
                    f"metrics {owner[measure]!r} and {metric.info.name!r} both define the measure {measure!r}",
                    remedy="Rename one of the two measures.",
                )
            owner[measure] = metric.info.name
