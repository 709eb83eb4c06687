"""One sample, one generation, its reply and the metrics: one SampleScore."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

from harness.errors import HarnessError
from harness.score.base import MAX_FINDINGS, NO, YES, Metric, MetricResult
from harness.score.verdict import CORRECT, VERDICTS, verdict_of
from harness.score.view import view_of
from harness.types import Finding, Generation, Measure, ParsedReply, Sample, SampleScore

_SILENCE = "correct_silence"


def score_sample(
    sample: Sample, generation: Generation, reply: ParsedReply | None, metrics: Sequence[Metric]
) -> SampleScore:
    """Return everything that the metrics say about one generation.

    A failed generation has status `error` and one that did not fit `unscored`; neither has measures. Measures that do
    not apply (denominator 0) are left out. `correct` and `verdict` do not depend on the metrics, but for the words of a
    reply that rightly calls nothing, which a metric may judge (`MetricResult.verdict`). Raises HarnessError naming metric and sample if a metric fails or returns what is no measure.
    """
    if generation.status == "error":
        return _unjudged(generation, "error")
    if generation.status == "too_long":
        return _unjudged(generation, "too_long")
    if reply is None:
        raise HarnessError("a generation with an answer needs its parsed reply", where=sample.id)
    measures: dict[str, Measure] = {}
    findings: dict[Finding, None] = {}
    spoken: str | None = None
    for metric in metrics:
        result = _ask(metric, sample, reply, generation)
        declared = metric.info.measure_names
        for name, measure in result.measures.items():
            if name not in declared or not (measure is YES or measure is NO or _is_sound(measure)):
                raise _bad_measure(metric, name, measure, sample)
            if measure.denominator:
                measures[name] = measure
        for finding in islice(result.findings, MAX_FINDINGS):
            findings[finding] = None
        if spoken is None and result.verdict is not None:
            spoken = _known(metric, result.verdict, sample)
    verdict = verdict_of(view_of(sample, reply))
    if verdict == _SILENCE and spoken is not None:
        verdict = spoken
    return SampleScore(
        key=generation.key,
        sample_id=generation.sample_id,
        repeat=generation.repeat,
        status="scored",
        parse=reply.status,
        measures=measures,
        findings=tuple(findings),
        correct=verdict in CORRECT,
        verdict=verdict,
    )


def _known(metric: Metric, verdict: str, sample: Sample) -> str:
    if verdict not in VERDICTS:
        raise HarnessError(
            f"metric {metric.info.name!r} returned the verdict {verdict!r}, which does not exist",
            where=sample.id,
            remedy="Verdicts are codes of harness.score.verdict.",
        )
    return verdict


def _unjudged(generation: Generation, verdict: str) -> SampleScore:
    return SampleScore(
        key=generation.key,
        sample_id=generation.sample_id,
        repeat=generation.repeat,
        status="error" if verdict == "error" else "unscored",
        parse=None,
        measures={},
        findings=(),
        correct=None,
        verdict=verdict,
    )


def _ask(metric: Metric, sample: Sample, reply: ParsedReply, generation: Generation) -> MetricResult:
    try:
        return metric.score(sample, reply, generation)
    except (Exception, SystemExit) as error:
        raise HarnessError(
            f"metric {metric.info.name!r} failed: {type(error).__name__}: {error}",
            where=sample.id,
            remedy="A metric must judge every reply; this is a bug in the metric.",
        ) from error


def _is_sound(measure: Measure) -> bool:
    # Comparisons with NaN are false, so that this refuses it too.
    return 0 <= measure.denominator < math.inf and -math.inf < measure.numerator < math.inf


def _bad_measure(metric: Metric, name: str, measure: Measure, sample: Sample) -> HarnessError:
    return HarnessError(
        f"metric {metric.info.name!r} returned a bad measure {name!r}: "
        f"{measure.numerator}/{measure.denominator}",
        where=sample.id,
        remedy="A measure is declared in the metric's `info`; it is finite, with a denominator of 0 or more.",
    )
