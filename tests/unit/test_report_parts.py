"""The parts of a scorecard: visible text, clipping, alignment of calls, numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.align import Budget, align, json_equal
from harness.report.html import marked
from harness.report.svg import whisker
from harness.report.text import clip, count, json_text, markup_cost, one_line, percent, seconds, visible

ANY_TEXT = st.text(st.characters(), max_size=300)


@given(ANY_TEXT)
def test_visible_text_is_always_encodable_and_stable(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown", "why"),
    [
        ("plain 한글 naïve 👍🏽\n\ttab", "plain 한글 naïve 👍🏽\n\ttab", "ordinary text is untouched"),
        ("a\x00\x1b[0m", "a\\x00\\x1b[0m", "control characters"),
        ("\u202eabc", "\\u202eabc", "bidi override"),
        ("\ud800", "\\ud800", "lone surrogate"),
        ("👩\u200d🔧", "👩\u200d🔧", "a joiner in an emoji is part of it"),
        ("ad\u200dmin", "ad\\u200dmin", "a joiner in a word hides"),
        ("e\u0301\u0302\u0303\u0304\u0305", "e\u0301\u0302\u0303\u0304\\u0305", "a fifth mark on a letter"),
    ],
)
def test_visible(text: str, shown: str, why: str) -> None:
    assert visible(text) == shown, why


@given(ANY_TEXT, st.integers(0, 400))
def test_clipped_text_is_a_beginning_within_its_cost(text: str, limit: int) -> None:
    kept = clip(text, limit)
    assert text.startswith(kept.text)
    assert kept.omitted == len(text) - len(kept.text)
    assert len(marked(kept.text).encode()) <= markup_cost(kept.text)


def test_clipping_says_how_much_there_was() -> None:
    assert "of 1,000,000 characters" in marked(clip("x" * 1_000_000, 100))
    assert clip("\n" * 10_000, 8_000).omitted > 9_000, "lines are bounded too"


def test_one_line() -> None:
    assert one_line("a\n b\tc", 20) == "a b c"
    assert one_line("abcdefgh" * 9, 8) == "abcdefg…"


def test_numbers() -> None:
    assert (percent(0.4104), percent(-0.0), count(1234.0), count(12.5)) == (
        "41.0\u00a0%",
        "0.0\u00a0%",
        "1,234",
        "12.5",
    )
    assert [seconds(s) for s in (0.416, 12.34, 200, 3720)] == [
        "0.42\u00a0s", "12.3\u00a0s", "3\u00a0min 20\u00a0s", "1\u00a0h 02\u00a0min",
    ]  # fmt: skip


def test_values_that_python_cannot_write_do_not_stop_a_report() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert json_text(deep).startswith("(")
    assert json_text(10**5000).startswith("(")
    assert json_text({"a": "가", "b": float("nan")}) == '{"a": "가", "b": NaN}'


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (True, 1, False),
        ("1", 1, False),
        ([1, {"a": None}], [1, {"a": None}], True),
        ([1], [1, 2], False),
    ],
)
def test_json_equality(left: Any, right: Any, equal: bool) -> None:
    assert json_equal(left, right) is equal


def _gold(name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "name": name,
        "arguments": {
            key: {"accept": [value], "optional": key == "unit"} for key, value in arguments.items()
        },
    }


def _call(name: str | None, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _marks(expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    pairs, _ = align(expected, actual, Budget())
    return [(pair.mark, {row.name: row.mark for row in pair.rows}) for pair in pairs]


def test_every_kind_of_difference_has_its_mark() -> None:
    gold = _gold("add", node=5, direction="Y", value=20, unit="kN")
    actual = _call("add", node=5, direction="X", colour="red")
    assert _marks([gold], [actual]) == [
        (
            "ok",
            {"node": "ok", "direction": "wrong", "value": "missing", "unit": "optional", "colour": "extra"},
        )
    ]


def test_calls_pair_by_name_and_fit_not_by_order() -> None:
    expected = [_gold("add", node=1), _gold("add", node=2), _gold("run")]
    actual = [_call("run"), _call("add", node=2), _call("add", node=1), _call("stop")]
    assert [mark for mark, _ in _marks(expected, actual)] == ["ok", "ok", "ok", "extra"]
    assert _marks(expected, actual)[0] == ("ok", {"node": "ok"})


def test_missing_extra_and_misnamed_calls() -> None:
    assert _marks([_gold("add", node=1)], []) == [("missing", {"node": "missing"})]
    assert _marks([], [_call("add", node=1)]) == [("extra", {"node": "extra"})]
    assert _marks([_gold("add", node=1)], [_call("ad", node=1)]) == [("wrong", {"node": "ok"})]
    assert _marks([_gold("add", node=1)], [{"name": None, "arguments": None}])[0][0] == "wrong"


def test_a_thousand_calls_are_cut_and_counted() -> None:
    pairs, omitted = align([], [_call("x", **{f"k{i}": "v" * 500 for i in range(90)})] * 1_000, Budget())
    assert len(pairs) + omitted == 1_000
    assert all(pair.rows_omitted == 50 for pair in pairs)


def test_a_chart_without_a_value_is_still_a_named_drawing() -> None:
    drawing = whisker(None, None, None, title="<b>", description="none")
    assert "&lt;b&gt;" in drawing
    assert "<circle" not in drawing
