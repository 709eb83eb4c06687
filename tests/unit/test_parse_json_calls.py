"""Strict decoding names what is wrong, and its limits are its own."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse.json_calls import (
    MAX_DEPTH,
    MAX_DIGITS,
    SCAN_TOKENS,
    Broken,
    Budget,
    Decoded,
    decode,
    dump,
    measure,
)


def read(text: str) -> Decoded | Broken:
    return decode(text, 0, len(text), Budget())


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ('{"a": 1}', ()),
        (' \t\r\n{"a": 1}\n', ()),
        ('{"a": NaN}', ("nan",)),
        ("[-Infinity]", ("nan",)),
        ('{"a": {"b": 1, "b": 1}}', ("duplicate_key",)),
        ('{"a": [NaN], "a": -1e999}', ("duplicate_key", "nan", "number_overflow")),
        ('"\\ud83d\\ude00"', ()),
        ('"\\uD83D"', ("lone_surrogate",)),
        ('"\ud800"', ("lone_surrogate",)),
        ('{"\\udc00": 1}', ("lone_surrogate",)),
        ('"\\\\ud83d"', ()),
        ("9" * MAX_DIGITS, ()),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, ()),
        ("[" + "[]," * 200 + "[]]", ()),
        ('"' + "[" * 500 + '"', ()),
    ],
)
def test_what_decodes_carries_its_notes(text: str, notes: tuple[str, ...]) -> None:
    got = read(text)
    assert isinstance(got, Decoded), got
    assert got.notes == notes


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("{} {}", "trailing_text"),
        ("{}}", "trailing_text"),
        ("{'a': 1}", "invalid_json"),
        ("\u00a0{}", "invalid_json"),
        ("\ufeff{}", "invalid_json"),
        ('{"a": "\0"}', "control_character"),
        ('{"a": "\n"}', "control_character"),
        ("\0", "invalid_json"),
        ("```json\n{}\n```", "code_fence"),
        ("9" * (MAX_DIGITS + 1), "number_too_long"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "too_deep"),
        ("[" * 100_000, "too_deep"),
        ('{"a":' * 100_000, "too_deep"),
        ("[" + "[]," * SCAN_TOKENS + "[]]", "work_limit"),
    ],
)
def test_what_does_not_decode_says_why(text: str, code: str) -> None:
    got = read(text)
    assert isinstance(got, Broken), got
    assert got.code == code


def test_an_open_string_is_told_from_other_ends() -> None:
    cut, missing = read('{"a": "x'), read('{"a": "x"')
    assert isinstance(cut, Broken)
    assert isinstance(missing, Broken)
    assert (cut.open_string, missing.open_string) == (True, False)


def test_the_interpreters_limit_on_digits_ends_in_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        over = read("9" * (MAX_DIGITS + 1))
        sys.set_int_max_str_digits(640)
        low = read("9" * 700)
    finally:
        sys.set_int_max_str_digits(before)
    assert isinstance(over, Broken)
    assert isinstance(low, Broken)
    assert over.code == low.code == "number_too_long"


def test_a_stack_that_is_almost_full_ends_in_a_code() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    def descend() -> Decoded | Broken:
        try:
            return descend()
        except RecursionError:
            return read(text)

    got = descend()
    assert isinstance(got, Decoded) or got.code == "too_deep"


@given(st.text(alphabet='{}[]"\\a\n', max_size=40))
def test_an_extent_ends_where_brackets_balance_outside_strings(text: str) -> None:
    text = "{" + text
    extent = measure(text, 0, len(text), Budget())
    assert extent is not None
    depth, inside, escaped, end = 0, False, False, None
    for place, mark in enumerate(text):
        if inside:
            inside, escaped = escaped or mark != '"', not escaped and mark == "\\"
        elif mark == '"':
            inside = True
        elif mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
            if depth == 0:
                end = place + 1
                break
    assert (extent.closed, extent.end) == (end is not None, end or len(text))


def test_an_extent_stays_within_its_range() -> None:
    extent = measure('{"a": 1}}', 0, 7, Budget())
    assert extent is not None
    assert not extent.closed


def test_dumping_escapes_tags_and_surrogates_alone() -> None:
    assert dump({"a": "<b> </tool_call> 서울"}) == '{"a": "<b> \\u003c/tool_call> 서울"}'
    assert dump(["\ud800"], compact=True) == '["\\ud800"]'
    with pytest.raises(TypeError):
        dump({"a": object()})
