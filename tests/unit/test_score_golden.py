"""Tables of cases with a why: sample and reply in, every stated measure, finding and verdict out."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.score.base import Metric, check_metrics
from harness.score.builtin import BUILTIN_METRICS
from harness.score.findings import FINDINGS
from harness.score.score_sample import score_sample
from harness.score.verdict import CORRECT, VERDICTS
from harness.types import (
    Generation,
    GoldArgument,
    GoldCall,
    Message,
    ParsedCall,
    ParsedReply,
    ParseError,
    Sample,
    ToolCall,
    ToolSpec,
)

FOLDER = Path(__file__).parent.parent / "golden" / "scores"
TOOLS = {
    name: ToolSpec(name=name, **spec)
    for name, spec in json.loads((FOLDER / "tools.json").read_text(encoding="utf-8")).items()
}


OF_PERSONAS = ("persona", "in_character", "leak:", "after:")
"""How names begin that only metrics of a character give; tests/persona has the cases for those."""


def builtin_metrics() -> list[Metric]:
    found = []
    for name, place in BUILTIN_METRICS.items():
        if not name.startswith(OF_PERSONAS):
            module, _, attribute = place.partition(":")
            found.append(getattr(importlib.import_module(module), attribute)())
    return found


def of_calls(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.startswith(OF_PERSONAS)}


def cases() -> list[Any]:
    rows = []
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append(pytest.param(row, id=f"{path.stem}-{row['id']}"))
    return rows


def sample_of(row: dict[str, Any]) -> Sample:
    raw = row["sample"]
    gold = tuple(
        GoldCall(
            name=call["name"],
            arguments={
                key: GoldArgument(accept=tuple(value["accept"]), optional=value.get("optional", False))
                for key, value in call["arguments"].items()
            },
        )
        for call in raw["gold"]
    )
    return Sample(
        id=row["id"],
        messages=(Message(role="user", content=raw["text"]),),
        tools=tuple(TOOLS[name] for name in raw["tools"]),
        expect=raw["expect"],
        order=raw["order"],
        gold=gold,
    )


def reply_of(raw: dict[str, Any]) -> ParsedReply:
    calls = tuple(
        ParsedCall(
            name=call["name"],
            arguments=call["arguments"],
            span=(10 * index, 10 * index + 5),
            strict=call.get("strict", True),
            problems=tuple(call.get("problems", ())),
        )
        for index, call in enumerate(raw["calls"])
    )
    errors = tuple(
        ParseError(code=code, message="planted", span=(900, 905)) for code in raw.get("errors", ())
    )
    readable = tuple(
        ToolCall(name=call.name, arguments=call.arguments)
        for call in calls
        if call.name is not None and call.arguments is not None
    )
    return ParsedReply(
        dialect="hermes",
        status=raw.get("status", "ok" if calls else "none"),
        calls=calls,
        errors=errors,
        text=(),
        content=raw.get("content", ""),
        serving_calls=readable if raw.get("serving", True) else None,
        recovered=(ToolCall(name="add_load", arguments={}),) * raw.get("recovered", 0),
    )


GENERATION = Generation(key="k", sample_id="s", repeat=0, status="ok", text="", finish_reason="stop")


@pytest.mark.parametrize("row", cases())
def test_case(row: dict[str, Any]) -> None:
    score = score_sample(sample_of(row), GENERATION, reply_of(row["reply"]), builtin_metrics())
    measured = {
        name: [score.measures[name].numerator, score.measures[name].denominator]
        if name in score.measures
        else None
        for name in row["measures"]
    }
    assert measured == row["measures"], row["why"]
    assert score.verdict == row["verdict"], row["why"]
    assert score.correct == (row["verdict"] in CORRECT)
    assert Counter(finding.code for finding in score.findings) == Counter(row["findings"]), (
        row["why"],
        score.findings,
    )
    assert {finding.code for finding in score.findings} <= FINDINGS.keys()
    assert score.verdict in VERDICTS


def test_every_measure_is_pinned_by_a_case() -> None:
    pinned = {name for case in cases() for name in case.values[0]["measures"]}
    assert {name for metric in builtin_metrics() for name in metric.measure_names} == pinned


def test_every_answer_verdict_and_finding_is_pinned_by_a_case() -> None:
    rows = [case.values[0] for case in cases()]
    assert {row["verdict"] for row in rows} == of_calls(VERDICTS) - {"error", "too_long"}
    assert {code for row in rows for code in row["findings"]} == of_calls(FINDINGS)


def test_builtin_metrics_do_not_collide_and_match_their_names() -> None:
    metrics = builtin_metrics()
    check_metrics(metrics)
    assert {metric.name for metric in metrics} == of_calls(BUILTIN_METRICS)
    assert all(metric.name in metric.headline for metric in metrics)
    assert [metric.headline[metric.name] for metric in metrics] == [True, True, True, False]
