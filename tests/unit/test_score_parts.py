"""The parts of scoring one by one, held against a reference wherever there is one."""

from __future__ import annotations

import itertools
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.score.aggregate import OVERALL, Accumulator
from harness.score.assignment import greedy_matching, heaviest_pairs, perfect_matching
from harness.score.base import MeasureInfo, Metric, MetricInfo, MetricResult, check_metrics, share
from harness.score.grounding import Source
from harness.score.hallucination import edit_distance
from harness.score.hostile import MAX_DEPTH, is_hostile, show
from harness.score.normal import as_number, same_text
from harness.score.numbers_in_text import numbers_in
from harness.score.phantom import claims_done
from harness.score.schema_check import HOSTILE, UNUSABLE, CompiledTool
from harness.score.schema_close import closed_schema
from harness.score.schema_fast import SUPPORTED, UNSUPPORTED, compile_fast
from harness.score.shape import Shape
from harness.score.value_match import semantic_equal, strict_equal
from harness.types import Measure, SampleScore, ToolSpec

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 1.5, -2.0])
    | st.text("ab", max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def _schemas(inner: Any) -> Any:
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "items": inner,
            "additionalProperties": st.booleans() | inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    )


LEAF_SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["string", "integer", "number", "object", "array", "boolean", "null", ["string", "null"]]
        ),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.sampled_from([-1, 0, 1.5]),
        "minLength": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "minProperties": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$", "ab?"]),
    },
)
SCHEMAS = st.recursive(LEAF_SCHEMAS, _schemas, max_leaves=5)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_the_fast_check_agrees_with_the_reference(schema: dict[str, Any], value: Any) -> None:
    check = compile_fast(schema)
    assert check is not None
    assert check(value) == jsonschema.Draft202012Validator(schema).is_valid(value)


def test_every_keyword_is_either_compiled_or_left_to_the_reference() -> None:
    known = set(jsonschema.Draft202012Validator.VALIDATORS) - {"format", "then", "else", "$recursiveRef"}
    assert known <= SUPPORTED | UNSUPPORTED
    assert not SUPPORTED & UNSUPPORTED


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, VALUES)
def test_closing_only_ever_forbids(schema: dict[str, Any], value: Any) -> None:
    """Where no `not` or `oneOf` can turn it round, what the closed schema accepts the open one accepts."""
    if any(word in str(schema) for word in ("'not'", "'oneOf'")):
        return
    if jsonschema.Draft202012Validator(closed_schema(schema)).is_valid(value):
        assert jsonschema.Draft202012Validator(schema).is_valid(value)


REF_SCHEMA = {
    "type": "object",
    "properties": {
        "start": {"$ref": "#/$defs/point"},
        "load": {"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"value": {"type": "number"}}}]},
        "tree": {"$ref": "#/$defs/node"},
        "open": {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
    },
    "$defs": {
        "point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        "base": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}},
        },
    },
}


@pytest.mark.parametrize(
    ("arguments", "codes", "why"),
    [
        ({"start": {"x": 1}}, [], "a reference is followed"),
        ({"start": {"x": 1, "y": 2}}, ["H2"], "and the place that refers is closed"),
        ({"start": {}}, ["V1"], "what the reference requires is required"),
        ({"load": {"id": 1, "value": 2}}, [], "parts of allOf do not forbid each other's properties"),
        ({"load": {"id": 1, "value": 2, "z": 3}}, ["H2"], "but together they close the object"),
        ({"tree": {"next": {"next": {"v": 1}}}}, [], "recursive schemas are fine"),
        ({"tree": {"next": {"next": {"w": 1}}}}, ["H2"], "at any depth"),
        ({"open": {"zzz": 1}}, [], "what the author opened stays open"),
        ({"start": {"x": "1"}}, ["V2"], "types"),
        ({"q": 1}, ["H2"], "the top level"),
    ],
)
def test_references_and_combinations(arguments: dict[str, Any], codes: list[str], why: str) -> None:
    tool = CompiledTool(ToolSpec(name="t", description="", parameters=REF_SCHEMA))
    first = tool.violations(arguments)
    assert [violation.code for violation in first] == codes, (why, first)
    assert tool.violations(dict(arguments)) == first, "the remembered verdict is the same"


def test_two_missing_and_two_invented_keys_are_named_once_each() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}
    found = CompiledTool(ToolSpec(name="t", description="", parameters=schema)).violations({"x": 1, "y": 2})
    assert sorted((violation.code, violation.path) for violation in found) == [
        ("H2", "x"),
        ("H2", "y"),
        ("V1", "a"),
        ("V1", "b"),
    ]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (
            {"properties": {"a": {"$ref": "https://example.invalid/x.json"}}},
            "a remote reference is never fetched",
        ),
        ({"properties": {"a": {"type": "strin"}}}, "an unknown type"),
        ({"properties": {"a": {"pattern": "("}}}, "a pattern that does not compile"),
        ({"properties": {"a": {"minimum": "3"}, "b": {}}, "required": True}, "keywords of the wrong type"),
    ],
)
def test_a_broken_schema_judges_nothing(schema: dict[str, Any], why: str) -> None:
    assert (
        CompiledTool(ToolSpec(name="t", description="", parameters=schema)).violations({"a": "x"}) == UNUSABLE
    ), why


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_hostile_values() -> None:
    assert is_hostile({"a": _nested(50_000)})
    assert is_hostile({"a": _nested(MAX_DEPTH + 1)})
    assert is_hostile({"a": 10**5000})
    assert is_hostile({"a": list(range(30_000))})
    assert not is_hostile({"a": _nested(MAX_DEPTH - 2), "b": "x" * 1_000_000, "c": [1.5, None, True]})
    tool = CompiledTool(ToolSpec(name="t", description="", parameters={}))
    assert tool.violations({"a": 10**5000}) == HOSTILE
    for value in (_nested(50_000), 10**5000, "x" * 10**6, "\ud800", float("nan"), {"k": "v" * 1000}):
        assert len(show(value)) < 100


@pytest.mark.parametrize(
    ("one", "two", "same", "why"),
    [
        ("Seoul", "seoul ", True, "case and space"),
        ("add-on", "add_on", True, "separators"),
        ("-12.5", "125", False, "sign and point of a number"),
        ("5", "5.0", True, "numbers by value"),
        ("1,000", "1000", True, "thousands"),
        ("007", "7", False, "a leading zero makes a code"),
        ("v1.2", "v12", False, "a point between digits"),
        ("1-2", "12", False, "a range"),
        ("1/2", "12", False, "a fraction"),
        ("5 6", "56", False, "two numbers"),
        ("5, 6", "5 6", True, "two ways to write two numbers"),
        ("010-1234-5678", "01012345678", True, "a telephone number"),
        ("2024-1-5", "2024.01.05", True, "a date"),
        ("load -5", "load 5", False, "a sign after a word"),
        ("node-5", "node 5", True, "a hyphen after a word"),
        ("it's", "it’s", True, "kinds of quotes"),
        ("x^2", "x*2", False, "BFCL drops both marks; they mean something"),
        ("한글", "한글", True, "composed and decomposed Hangul"),
        ("", " - ", True, "nothing but separators"),
    ],
)
def test_same_text(one: str, two: str, same: bool, why: str) -> None:
    assert same_text(one, two) is same, why
    assert same_text(two, one) is same, why


@given(st.text(max_size=40))
def test_normalising_never_fails(text: str) -> None:
    assert same_text(text, text)
    as_number(text)
    same_text(text, text.upper() + "1")


@given(VALUES, VALUES)
def test_strict_equality_implies_semantic(one: Any, two: Any) -> None:
    shape = Shape([{"type": "object"}], {})
    assert strict_equal(one, one, None)
    if strict_equal(one, two, None):
        assert semantic_equal(one, two, shape)
        assert strict_equal(two, one, None)


def test_nan_equals_nothing() -> None:
    nan = float("nan")
    assert not strict_equal(nan, nan, None)
    assert not semantic_equal(nan, nan, None)
    assert not semantic_equal(float("inf"), 1e308, None)
    assert not semantic_equal(10**400, 1.5, None)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=4, max_size=4))
def test_matching_against_every_permutation(table: list[list[bool]]) -> None:
    best = any(all(table[row][order[row]] for row in range(4)) for order in itertools.permutations(range(4)))
    assert perfect_matching(4, lambda row, column: table[row][column]) == best
    assert greedy_matching(4, lambda row, column: table[row][column]) <= best


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_pairs_against_every_permutation(rows: int, columns: int, data: st.DataObject) -> None:
    line = st.lists(st.integers(0, 3000), min_size=columns, max_size=columns)
    weights = data.draw(st.lists(line, min_size=rows, max_size=rows))
    pairs = heaviest_pairs(weights)
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    wide = weights if rows <= columns else [list(column) for column in zip(*weights, strict=True)]
    best = max(
        sum(wide[row][column] for row, column in enumerate(order))
        for order in itertools.permutations(range(len(wide[0])), len(wide))
    )
    assert sum(weights[row][column] for row, column in pairs) == best


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20kN", 20), ("1,250.5", 1250.5), ("3만 원", 30000), ("2천", 2000), ("십 킬로뉴턴", 10), ("이십오 킬로뉴턴", 25),
        ("삼백이십 미터", 320), ("오만 삼천", 53000), ("3만 5천 원", 35000), ("1억 2천만 원", 1.2e8), ("스물다섯 개", 25), ("세 개", 3), ("열두 명", 12), ("일공삼호", 103),
        ("twenty-five", 25), ("one hundred and five", 105), ("two thousand three hundred", 2300), ("a dozen", 12),
        ("half", 0.5), ("50%", 0.5), ("1/4", 0.25), ("5k", 5000), ("1.5 million", 1.5e6), ("원점", 0),
    ],
)  # fmt: skip
def test_numbers_in_text(text: str, number: float) -> None:
    plain, _ = numbers_in(text)
    assert any(abs(found - number) < 1e-9 for found in plain), plain if len(plain) < 20 else "many"


@pytest.mark.parametrize(
    ("text", "value", "grounded", "why"),
    [
        ("하중 20kN", 20000.0, True, "kN to N"),
        ("길이 5 cm", 0.05, True, "cm to m"),
        ("30분 뒤에", 1800, True, "minutes to seconds"),
        ("하중 20kN", -20, True, "a direction may be a sign"),
        ("하중 20kN", 21, False, "another number"),
        ("노드 20", 20000, False, "no unit, no prefix"),
        ("철수에게 보내줘", "철수", True, "a particle follows"),
        ("send it to John Smith", "john.smith", True, "separators"),
        ("send it to John Smith", "Mary", False, "another name"),
        ("Y방향", "Y", True, "one letter standing alone"),
        ("by the way", "Y", False, "one letter inside a word"),
        ("5월 3일에 예약", "2024-05-03", True, "a date from its parts"),
        ("내일 예약", "2024-05-04", True, "a date relative to an unknown now"),
        ("5월 3일에 예약", "2024-06-09", False, "another date"),
        ("오후 3시 30분", "15:30", True, "a time of the afternoon"),
        ("오후 3시 30분", "16:45", False, "another time"),
    ],
)
def test_grounding(text: str, value: Any, grounded: bool, why: str) -> None:
    source = Source(text)
    found = (
        source.has_string(value) or source.has_moment(value)
        if isinstance(value, str)
        else source.has_number(value)
    )
    assert found is grounded, why


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("5번 절점에 하중을 추가했습니다.", True),
        ("하중이 추가되었습니다", True),
        ("설정 완료!", True),
        ("해석을 실행해 드렸어요", True),
        ("메일을 보냈습니다.", True),
        ("I've added the load.", True),
        ("The load has been successfully set.", True),
        ("Done!", True),
        ("I added a support at node 3.", True),
        ("하중을 추가하겠습니다.", False),
        ("하중을 추가할까요?", False),
        ("하중을 추가했나요?", False),
        ("하중을 추가하지 않았습니다.", False),
        ("추가하려면 값을 알려 주세요.", False),
        ("I will add the load.", False),
        ("The load has not been set.", False),
        ("I haven't added it.", False),
        ("Once the load has been added, run the analysis.", False),
        ("Have you added the load?", False),
        ("You mean I have added the load?", False),
        ("", False),
    ],
)
def test_phantom_claims(text: str, claims: bool) -> None:
    assert (claims_done(text) is not None) is claims, claims_done(text)


def test_edit_distance() -> None:
    assert [edit_distance(*pair) for pair in (("", "abc"), ("kitten", "sitting"), ("a", "a"))] == [3, 3, 0]


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
