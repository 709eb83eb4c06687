"""Adding up: names of measures are checked, and sums, groups and clusters are right by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.score.aggregate import OVERALL, Accumulator
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, check_metrics, share
from harness.types import Measure, SampleScore


class _Polite(Metric):
    info = MetricInfo(
        name="polite",
        version="1",
        measures=(MeasureInfo(name="polite_rate", label="Polite", definition="."),),
    )

    def score(self, sample: Any, reply: Any, generation: Any) -> MetricResult:
        return MetricResult(measures={"polite_rate": share(True)})


def test_two_metrics_may_not_define_one_measure() -> None:
    class Other(_Polite):
        info = MetricInfo(name="other", version="1", measures=_Polite.info.measures)

    check_metrics([_Polite()])
    with pytest.raises(UsageError, match="both define the measure 'polite_rate'"):
        check_metrics([_Polite(), Other()])
    with pytest.raises(UsageError, match="listed twice"):
        check_metrics([_Polite(), _Polite()])


def _score(sample_id: str, status: Any = "scored", **measures: tuple[float, float]) -> SampleScore:
    return SampleScore(
        key="k", sample_id=sample_id, repeat=0, status=status, parse="ok", findings=(), correct=True, verdict="correct",
        measures={name: Measure(numerator=top, denominator=bottom) for name, (top, bottom) in measures.items()},
    )  # fmt: skip


def test_accumulator_by_hand() -> None:
    accumulator = Accumulator(["accuracy", "f1", "never"], ["language"], resamples=200)
    accumulator.add(_score("a", accuracy=(1, 1), f1=(4, 6)), tags={"language": "ko"}, cluster="one")
    accumulator.add(_score("b", accuracy=(0, 1), f1=(0.5, 2)), tags={"language": "ko"}, cluster="one")
    accumulator.add(_score("c", accuracy=(1, 1), f1=(300, 400)), tags={"language": "en"})
    accumulator.add(_score("d"), tags={})
    accumulator.add(_score("e", status="error"), tags={"language": "ko"})
    accumulator.add(_score("f", status="unscored"), tags={"language": "ko"})
    assert len(accumulator) == 4
    found = {(a.metric, a.group): a for a in accumulator.aggregates()}
    whole = found["accuracy", OVERALL]
    assert (whole.value, whole.n, whole.clusters, whole.numerator, whole.denominator) == (
        2 / 3,
        3,
        2,
        2.0,
        3.0,
    )
    assert found["f1", OVERALL].value == pytest.approx(304.5 / 408)
    assert found["accuracy", "language=ko"].value == 0.5
    assert found["accuracy", "language=ko"].clusters == 1
    assert found["accuracy", "language=en"].value == 1.0
    assert found["accuracy", "language=(none)"].value is None
    assert found["never", OVERALL].ci_low is None
    assert {group for _, group in found} == {OVERALL, "language=ko", "language=en", "language=(none)"}
    assert {a.group for a in accumulator.aggregates([])} == {OVERALL}
    assert all(a.ci_low <= a.value <= a.ci_high for a in found.values() if a.value is not None)


def test_accumulator_is_compact() -> None:
    import tracemalloc

    names = [f"m{index}" for index in range(25)]
    scores = [_score(f"s{index}", **dict.fromkeys(names, (index % 2, 1))) for index in range(10)]
    accumulator = Accumulator(names, ["a", "b", "c"])
    tracemalloc.start()
    for index in range(20_000):
        accumulator.add(
            scores[index % 10], tags={"a": "1", "b": "2", "c": "3"}, cluster=f"cluster {index % 500}"
        )
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current / 20_000 < 250
