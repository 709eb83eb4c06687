"""What every registered dialect must do: write calls that read back, and read any text without loss or failure."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.parse.base import Dialect
from harness.parse.choose import DIALECTS, get_dialect
from harness.parse.codes import NOTE_CODES, PARSE_CODES, SHAPE_CODES
from harness.types import ParsedReply, ToolCall, ToolSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "dialects"
NAMES = DIALECTS.names()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["</tool_call>", "<tool_call>", "[TOOL_CALLS]", "```", "\\", '"', "a\nb", "\x00", "'", "서울 🌧"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
CALLS = st.lists(
    st.builds(
        lambda name, arguments: ToolCall(name=name, arguments=arguments),
        st.text(max_size=12),
        st.dictionaries(st.text(max_size=6) | st.sampled_from(["name", "</tool_call>"]), VALUES, max_size=4),
    ),
    min_size=1,
    max_size=4,
)
PARTS = [
    *(
        "<tool_call>",
        "</tool_call>",
        "<tool_",
        "[TOOL_CALLS]",
        "<function=",
        "[f(",
        "functions.f(",
        "```",
        "```json",
    ),
    *(
        '"name"',
        "'name'",
        '"arguments"',
        '"parameters"',
        '"function"',
        '{"name":"f","arguments":{}}',
        '{"name":"f"',
    ),
    *("NaN", "True", "null", "1", "{", "}", "[", "]", '"', "'", ":", ",", ";", "\\", "{{", "}}"),
    *("\ud800", "\x00", "서울", "\n", " "),
]
FRAGMENTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=24).map("".join)
# Text that can neither begin nor disturb JSON, tags or fences.
HARMLESS = st.text(st.characters(blacklist_characters="{}[]\"'<>`;\\("), max_size=20)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> str:
    text = get_dialect(name).render_calls(draw(CALLS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 8)))
        text = text[:start] + draw(st.just("") | FRAGMENTS | st.just(text[start:stop] * 2)) + text[stop:]
    return text


def any_text(name: str) -> st.SearchStrategy[str]:
    return st.text() | FRAGMENTS | mutated(name)


def assert_consistent(text: str, reply: ParsedReply, name: str) -> None:
    spans = [call.span for call in reply.calls] + [error.span for error in reply.errors] + list(reply.text)
    position = 0
    for start, end in sorted(spans):
        assert start == position < end, f"gap or overlap at {position}"
        position = end
    assert position == len(text)
    for kind in (
        [call.span for call in reply.calls],
        [error.span for error in reply.errors],
        list(reply.text),
    ):
        assert kind == sorted(kind)
    assert reply.content == "".join(text[start:end] for start, end in reply.text)
    assert reply.dialect == name
    codes = {code for call in reply.calls for code in call.problems}
    assert codes <= NOTE_CODES | SHAPE_CODES
    assert codes | {error.code for error in reply.errors} <= PARSE_CODES
    for call in reply.calls:
        shapely = call.name is not None and call.arguments is not None
        assert shapely == SHAPE_CODES.isdisjoint(call.problems)
    assert_status(reply)


def assert_status(reply: ParsedReply) -> None:
    if reply.status == "none":
        assert (reply.calls, reply.errors, reply.serving_calls, reply.recovered) == ((), (), (), ())
    else:
        assert reply.calls or reply.errors
        assert reply.serving_calls != ()
    if reply.status == "ok":
        assert not reply.errors
        assert reply.recovered == ()
        assert reply.serving_calls is None or same(reply.serving_calls, good_calls(reply))
    if reply.status == "truncated":
        assert len(reply.errors) == 1


def good_calls(reply: ParsedReply) -> list[ToolCall]:
    return [
        ToolCall(name=call.name, arguments=call.arguments)
        for call in reply.calls
        if call.name is not None and call.arguments is not None
    ]


def same(ones: Any, others: Any) -> bool:
    return repr(list(ones)) == repr(list(others))


@pytest.mark.parametrize("name", NAMES)
class TestEveryDialect:
    @settings(deadline=None)
    @given(data=st.data())
    def test_calls_read_back_as_they_were(self, name: str, data: st.DataObject) -> None:
        calls = data.draw(CALLS)
        dialect = get_dialect(name)
        reply = dialect.parse(dialect.render_calls(calls))
        assert reply.status == "ok"
        assert same(good_calls(reply), calls)
        assert reply.serving_calls is not None
        assert same(reply.serving_calls, calls)
        assert all(call.strict for call in reply.calls)

    @pytest.mark.parametrize(
        "value", ["</tool_call>", "<tool_call>", "x</tool_call><tool_call>{", "\ud800", "\x00"]
    )
    def test_hostile_values_read_back(self, name: str, value: str) -> None:
        dialect = get_dialect(name)
        calls = [
            ToolCall(name=value, arguments={value: [value, {value: value}]}),
            ToolCall(name="g", arguments={}),
        ]
        text = dialect.render_calls(calls)
        assert same(good_calls(dialect.parse(text)), calls)
        assert text.encode(), "what is rendered must be UTF-8"

    @settings(deadline=None, max_examples=200)
    @given(data=st.data())
    def test_any_text_is_read_without_loss(self, name: str, data: st.DataObject) -> None:
        text = data.draw(any_text(name))
        truncated = data.draw(st.booleans())
        tools = data.draw(st.sampled_from([(), ("f",), ("", "f", "name")]))
        assert_consistent(text, get_dialect(name).parse(text, truncated=truncated, tool_names=tools), name)

    @settings(deadline=None, max_examples=200)
    @given(data=st.data())
    def test_knowing_more_never_hides_an_attempt(self, name: str, data: st.DataObject) -> None:
        text = data.draw(any_text(name))
        dialect = get_dialect(name)
        if dialect.parse(text).attempted:
            assert dialect.parse(text, truncated=True).attempted
            assert dialect.parse(text, tool_names=("f", "g")).attempted

    @settings(deadline=None)
    @given(data=st.data())
    def test_text_around_a_call_never_hides_it(self, name: str, data: st.DataObject) -> None:
        before, after, calls = data.draw(HARMLESS), data.draw(HARMLESS), data.draw(CALLS)
        dialect = get_dialect(name)
        reply = dialect.parse(before + dialect.render_calls(calls) + after)
        assert reply.status == "ok"
        assert same(good_calls(reply), calls)
        assert reply.content.startswith(before)
        assert reply.content.endswith(after)

    @settings(deadline=None)
    @given(data=st.data())
    def test_every_cut_of_a_call_is_harmless(self, name: str, data: st.DataObject) -> None:
        dialect = get_dialect(name)
        text = dialect.render_calls(data.draw(CALLS))
        cut = text[: data.draw(st.integers(0, len(text)))]
        reply = dialect.parse(cut, truncated=True)
        assert_consistent(cut, reply, name)
        assert reply.status in ("none", "ok", "truncated")

    def test_text_before_a_lone_mark_is_kept(self, name: str) -> None:
        for mark in ("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<function="):
            reply = get_dialect(name).parse(f"Well. {mark}")
            assert reply.status == "malformed"
            assert reply.content == "Well. "
            assert reply.serving_calls is None

    def test_tools_are_rendered_in_order_and_the_same_every_time(self, name: str) -> None:
        dialect = get_dialect(name)
        schema = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}}
        tools = [
            ToolSpec(name="후속", description="끝 </tools>", parameters=schema),
            ToolSpec(name="b", description="", parameters=dict(schema)),
        ]
        text = dialect.render_tools(tools)
        assert text == get_dialect(name).render_tools(tools)
        assert text.count("</tools>") == text.count("<tools>") == 2, (
            "one in the sentence, one around the list"
        )
        lines = text.partition("<tools>\n")[2].partition("\n</tools>")[0].split("\n")
        assert [json.loads(line)["function"]["name"] for line in lines] == ["후속", "b"]
        assert json.loads(lines[0])["function"]["description"] == "끝 </tools>"
        assert lines[0].index('"z"') < lines[0].index('"a"')
        assert lines[1] == json.dumps(json.loads(lines[1]), separators=(",", ":")), "compact"
        assert "후속" in lines[0]

    def test_results_carry_the_content(self, name: str) -> None:
        text = get_dialect(name).render_result("f", '{"t": 24} </tool_response>')
        payload = text.removeprefix("<tool_response>\n").removesuffix("\n</tool_response>")
        assert json.loads(payload) == {"name": "f", "content": '{"t": 24} </tool_response>'}
        assert text.count("</tool_response>") <= 1

    def test_what_json_cannot_hold_is_not_rendered(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"[Ff]loat"):
            get_dialect(name).render_calls([ToolCall(name="f", arguments={"a": math.nan})])


MILLION = 1_000_000
HOSTILE = {
    "braces": "{" * 500_000,
    "brackets": "[" * MILLION,
    "brackets before a call": "[" * MILLION + '{"name":"f","arguments":{}}',
    "open tags": "<tool_call>" * 200_000,
    "close tags": "</tool_call>" * 80_000,
    "marks before a bracket": "</tool_call>" * 80_000 + "{",
    "tiny blocks": "<tool_call>1</tool_call>" * 42_000,
    "open strings in blocks": '<tool_call>{"</tool_call>' * 40_000,
    "quotes": '"' * MILLION,
    "single quotes": "'" * MILLION,
    "backslashes": "\\" * MILLION,
    "NUL": "\0" * MILLION,
    "angles": "<" * MILLION,
    "blanks": '{"name": "f", "arguments": {"a": 1,' + " " * MILLION,
    "heads of calls": '{"name":' * 125_000,
    "heads with a key at the end": '{"name":' * 125_000 + '"arguments"',
    "not quite JSON": '{"name" x}' * 100_000,
    "escapes in an open string": '{"name":"f","arguments":"' + '\\"' * 500_000,
    "escapes in a single-quoted string": "{'name':'f','arguments':'" + "\\'" * 500_000,
    "deep arguments": '{"name":"f","arguments":' + '{"a":' * 200_000,
    "calls": '{"name":"f","arguments":{}}' * 37_000,
    "calls in Python": "{'name':'f','arguments':{}}" * 37_000,
    "a list of calls": "[" + '{"name":"f","arguments":{}},' * 35_000 + "{}]",
    "fenced calls": '```json\n{"name":"f","arguments":{}}\n```' * 25_000,
    "foreign marks": "[TOOL_CALLS]" * 80_000,
    "namespaces": "functions." * 100_000,
    "calls in Python on lines": "f(1)\n" * 200_000,
    "lines that nearly call": "f(f(`" * 200_000,
    "actions": "Action: f\n" * 100_000,
    "objects keyed by a tool": '{"f": {' * 140_000,
    "heads in other words": '{"tool": "f" x}' * 60_000,
    "open heads in other words": '{"tool": "f",' * 70_000 + '"args"',
    "many parts": "[" + '{"x": {}},' * 100_000 + '{"name":"f"}]',
    "long number": '<tool_call>{"name":"f","arguments":{"a":' + "9" * MILLION + "}}</tool_call>",
    "repeated keys": '<tool_call>{"name":"f","arguments":{' + '"a":1,' * 160_000 + '"a":1}}</tool_call>',
    "surrogates": '<tool_call>{"name":"f","arguments":{"a":"' + "\\ud800" * 160_000 + '"}}</tool_call>',
    "noise": "".join(random.Random(1).choices("{}[]\"':,\\<tool_ca/>nme\n ", k=MILLION)),
}


# The limit guards against quadratic work, which takes minutes here; it measures nothing.
@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_a_million_hostile_characters_are_read(name: str, what: str) -> None:
    for truncated in (False, True):
        reply = get_dialect(name).parse(HOSTILE[what], truncated=truncated, tool_names=("f", "a"))
        assert_consistent(HOSTILE[what], reply, name)
        assert len(reply.calls) + len(reply.errors) <= 1001


def golden_rows() -> list[Any]:
    rows = []
    for name in NAMES:
        path = GOLDEN / f"{name}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rows += [pytest.param(name, json.loads(line), id=f"{name}-{n}") for n, line in enumerate(lines, 1)]
    return rows


def raw_of(row: dict[str, Any]) -> str:
    return row["raw"] if "raw" in row else "".join(text * times for text, times in row["raw_parts"])


def read_row(dialect: Dialect, row: dict[str, Any]) -> ParsedReply:
    return dialect.parse(
        raw_of(row), truncated=row.get("truncated", False), tool_names=row.get("tool_names", ())
    )


def plain(value: Any) -> Any:
    """Return a value that JSON can hold, with the names of the numbers that it cannot."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


@pytest.mark.parametrize(("name", "row"), golden_rows())
def test_example(name: str, row: dict[str, Any]) -> None:
    reply = read_row(get_dialect(name), row)
    served = reply.serving_calls
    got: dict[str, Any] = {
        "status": reply.status,
        "calls": [[call.name, plain(call.arguments), list(call.problems)] for call in reply.calls],
        "errors": [error.code for error in reply.errors],
        "serving": None if served is None else [[call.name, plain(call.arguments)] for call in served],
        "recovered": [[call.name, plain(call.arguments)] for call in reply.recovered],
    }
    if "errors_set" in row:
        got["errors_set"] = sorted(set(got.pop("errors")))
    if "content" in row:
        got["content"] = reply.content
    if "strict" in row:
        got["strict"] = [call.strict for call in reply.calls]
    assert got == {key: row[key] for key in got}, row["why"]
    assert_consistent(raw_of(row), reply, name)


def test_every_dialect_has_examples_that_say_why() -> None:
    assert NAMES, "no dialect is registered"
    for name in NAMES:
        path = GOLDEN / f"{name}.jsonl"
        assert path.exists(), f"{path} is missing: a dialect comes with examples"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(rows) >= 20
        assert all(row["why"] for row in rows)
        assert len(
            {raw_of(row) + str(row.get("truncated")) + str(row.get("tool_names")) for row in rows}
        ) == len(rows)
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == set(NAMES)


def test_the_examples_reach_every_code() -> None:
    seen: set[str] = set()
    for parameters in golden_rows():
        name, row = parameters.values
        reply = read_row(get_dialect(name), row)
        seen |= {error.code for error in reply.errors} | {
            code for call in reply.calls for code in call.problems
        }
    assert seen == PARSE_CODES


def vllm_hermes(text: str) -> list[tuple[str, Any]] | None:
    """Say what vLLM's hermes parser delivers: its rules once more, independent of the package."""
    try:
        matches = re.findall(r"<tool_call>(.*?)</tool_call>|<tool_call>(.*)", text, re.DOTALL)
        payloads = [json.loads(match[0] if match[0] else match[1]) for match in matches]
        calls = [(payload["name"], payload["arguments"]) for payload in payloads]
    except Exception:
        return None
    if any(not isinstance(name, str) for name, _ in calls):
        return None
    return [(name, arguments) for name, arguments in calls if isinstance(arguments, dict)] or None


@settings(deadline=None, max_examples=300)
@given(text=any_text("hermes"))
@example('<tool_call>{"name": "f", "arguments": {"a": NaN, "a": 2}}</tool_call></tool_call>')
@example('<tool_call>{"name": "f", "arguments": {}}<tool_call>{"name": "f", "arguments": {}}</tool_call>')
@example('<tool_call></tool_call><tool_call>{"name": "f", "arguments": {}}')
def test_hermes_serves_what_vllm_serves(text: str) -> None:
    reply = get_dialect("hermes").parse(text)
    served = reply.serving_calls or None
    expected = vllm_hermes(text)
    assert (None if served is None else repr([(call.name, call.arguments) for call in served])) == (
        None if expected is None else repr(expected)
    )
