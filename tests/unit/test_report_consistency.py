"""Consistency over repeats: pass^k and pass@k against counting by hand, and what a page says of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from harness.report.consistency import ConsistencyCounter
from harness.report.html import render_html
from harness.report.model import build_scorecard
from tests.unit.report_runs import run

RIGHT = {"a": [1, 1, 1, 1], "b": [1, 0, 1, 1], "c": [0, 0, 0, 0], "d": [1, 0, 0, 0], "e": [0, 1, 1, 0]}


def counted(right: dict[str, list[int]], *, text: str = "") -> ConsistencyCounter:
    counter = ConsistencyCounter(4)
    for name, tries in right.items():
        for repeat, one in enumerate(tries):
            score = {"sample_id": name, "repeat": repeat, "status": "scored", "correct": bool(one)}
            counter.add(score, {"text": text or f"{name}{one}"})
    return counter


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_pass_k_is_the_share_of_draws_of_k_tries_that_are_all_right(k: int) -> None:
    found = counted(RIGHT).finish({})
    assert found is not None
    draws = [[*itertools.combinations(tries, k)] for tries in RIGHT.values()]
    all_right = sum(sum(map(all, some)) / len(some) for some in draws) / len(draws)
    any_right = sum(sum(map(any, some)) / len(some) for some in draws) / len(draws)
    assert found.all_right[k - 1].value == pytest.approx(all_right)
    assert found.any_right[k - 1].value == pytest.approx(any_right)


def test_samples_that_flip_are_named_the_most_undecided_first() -> None:
    found = counted(RIGHT).finish({"e": "sample=e"})
    assert found is not None
    assert [(one.sample_id, one.right) for one in found.flipping] == [("e", 2), ("b", 3), ("d", 1)]
    assert found.flipping[0].anchor == "sample=e"
    assert found.flipping_n == 3


def test_replies_are_compared_word_for_word() -> None:
    found = counted(RIGHT).finish({})
    assert found is not None
    assert found.same_reply.numerator == 2, "a and c alone say the same every time"
    same = counted(RIGHT, text="always this").finish({})
    assert same is not None
    assert same.same_reply.value == 1


def test_a_sample_without_every_try_is_left_out_and_counted() -> None:
    found = counted({**RIGHT, "f": [1, 1]}).finish({})
    assert found is not None
    assert (found.samples, found.incomplete) == (5, 1)
    assert counted({"f": [1]}).finish({}) is None


def _page(repeats: Any) -> str:
    pairs = []
    for index in range(12):
        for repeat in range(3):
            score, generation = run.sample(index, "right_call" if (index + repeat) % 3 else "wrong_value")
            pairs.append(({**score, "repeat": repeat}, {**generation, "repeat": repeat}))
    header = {**run.header(), "repeats": repeats}
    return render_html(build_scorecard(header, run.summary(pairs), pairs))


def test_the_page_shows_repeats_or_says_that_there_are_none() -> None:
    page = _page(3)
    assert "pass^3" in page
    assert "12 samples are</b>" in page or "12 samples are right in some tries" in page
    assert "Each sample was asked once" in _page(1)
    assert "none has every try" in _page(7)
    for junk in (0, -3, None, "x", 10**9, float("nan")):
        assert "Consistency" in _page(junk), "a damaged header still makes a page"
