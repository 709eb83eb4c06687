"""A run folder may hold anything: a report of it is made all the same, and no number is shown as what it is not."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from harness.report.html import render_html
from harness.report.json_ import render_json
from harness.report.model import build_scorecard
from harness.report.terminal import render_terminal
from tests.unit.report_runs import run

JUNK = (
    *(None, True, 3, -1.5, float("nan"), float("inf"), 10**400, 1e308, -7),
    *("text", "", "\x1b[31m", "\ud800", [], [1], ["a", None], {}, {"a": 1}, {"": None}),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from _paths(part, (*path, key))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def _whole() -> dict[str, Any]:
    header, summary, pairs = run.example()
    summary["aggregates"] = summary["aggregates"][:12]
    return {"header": header, "summary": summary, "pairs": [list(pair) for pair in (*pairs[:2], *pairs[-3:])]}


@pytest.mark.parametrize("seed", range(3))
def test_any_value_anywhere_still_makes_a_report(seed: int) -> None:
    chance = random.Random(seed)
    whole = _whole()
    paths = [path for path in _paths(whole) if len(path) > 1 and (path[0] != "pairs" or len(path) > 3)]
    for _ in range(120):
        damaged = copy.deepcopy(whole)
        path, junk = chance.choice(paths), copy.deepcopy(chance.choice(JUNK))
        _put(damaged, path, junk)

        card = build_scorecard(damaged["header"], damaged["summary"], map(tuple, damaged["pairs"]))

        render_html(card).encode()
        assert render_json(card).isascii()
        out = io.StringIO()
        render_terminal(card, Console(file=out, width=100))
        assert "\x1b" not in out.getvalue()


def _card(unit: str, *, value: float, high: float) -> Any:
    header, summary, pairs = run.example()
    estimate = {"metric": "mine", "numerator": 3, "denominator": 4, "n": 40, "clusters": 40, "ci_low": 0.25}
    groups = {"all": value, "language=ko": value / 2}
    summary["aggregates"] = [
        {**estimate, "group": group, "value": at, "ci_high": high} for group, at in groups.items()
    ]
    about = {"label": "Mine", "definition": "", "higher_is_better": True, "headline": True, "unit": unit}
    summary["measures"] = {"mine": about}
    return build_scorecard(header, summary, pairs)


def test_only_a_share_is_shown_as_a_percentage() -> None:
    seconds = render_html(_card("seconds", value=0.8, high=0.9))
    assert '<p class="big">0.8</p>' in seconds
    assert "80.0" not in seconds
    assert "100 %" not in seconds
    share = render_html(_card("share", value=0.8, high=0.9))
    assert '<p class="big">80.0\u00a0%</p>' in share
    assert "<span>100 %</span>" in share
    out = io.StringIO()
    render_terminal(_card("seconds", value=0.8, high=0.9), Console(file=out, width=120))
    assert "●" not in out.getvalue(), "an axis from 0 to 100 % fits shares alone"


def test_shares_of_failures_are_of_the_samples_that_have_an_outcome() -> None:
    header, summary, pairs = run.example()
    summary["verdicts"] = {"right_call": 6, "wrong_value": 2}
    summary["counts"] |= {"scored": 8, "errors": 12}
    card = build_scorecard(header, summary, pairs)
    assert card.outcomes == 8
    assert "25.0\u00a0%" in render_html(card)


def test_a_hash_that_names_its_kind_keeps_twelve_digits() -> None:
    header, summary, pairs = run.example()
    header["engine"]["model_fingerprint"] = "scripted:" + "0123456789abcdef" * 4
    card = build_scorecard(header, summary, pairs)
    assert card.identity[0].value.endswith("scripted:0123456789ab")


def test_a_measure_that_no_sample_counts_for_is_not_called_small() -> None:
    header, summary, pairs = run.example()
    empty = {"value": None, "ci_low": None, "ci_high": None, "n": 0, "numerator": 0, "denominator": 0}
    summary["aggregates"] = [{**one, **empty} for one in summary["aggregates"]]
    page = render_html(build_scorecard(header, summary, pairs))
    assert "No sample counts." in page
    assert ">small n<" not in page
