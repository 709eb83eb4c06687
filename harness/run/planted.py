"""A scripted model with planted behaviour: right on every sample but for faults at known places.

Which fault a sample gets depends on its id and the script's seed alone, so that a test can count what was planted and
assert that the same was measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.parse.base import Dialect
from harness.prompt.answer import gold_calls
from harness.types import Expect, Generation, Prompt, Sample, ToolCall, ToolSpec
from harness.yaml_spec import Spec, read_yaml_spec

FAULTS: Mapping[str, Expect] = {
    "wrong_name": "call",
    "wrong_value": "call",
    "bad_json": "call",
    "invented_tool": "call",
    "invented_parameter": "call",
    "silence": "call",
    "call_when_none": "no_call",
    "call_when_ask": "ask",
}
"""Every fault that can be planted, and the kind of sample it is planted in."""


class Faults(Spec):
    """The share of samples of its kind that gets each fault; `engine_error` is a share of all samples."""

    wrong_name: float = Field(default=0, ge=0, le=1)
    wrong_value: float = Field(default=0, ge=0, le=1)
    bad_json: float = Field(default=0, ge=0, le=1)
    invented_tool: float = Field(default=0, ge=0, le=1)
    invented_parameter: float = Field(default=0, ge=0, le=1)
    silence: float = Field(default=0, ge=0, le=1)
    call_when_none: float = Field(default=0, ge=0, le=1)
    call_when_ask: float = Field(default=0, ge=0, le=1)
    engine_error: float = Field(default=0, ge=0, le=1)


class Script(Spec):
    """A scripted model: fixed replies by sample id first, then planted faults, else the right answer.

    `unstable` is the share of samples whose answer also depends on the batch size and the run's seed, as rounding and
    drawing make it in real engines: in about one run of two it is a full stop.
    """

    name: str = "oracle"
    seed: int = 0
    faults: Faults = Faults()
    unstable: float = Field(default=0, ge=0, le=1)
    replies: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class PlantedModel:
    """Answers prompts by a script, in a dialect."""

    script: Script
    dialect: Dialect
    batch: int = 0

    def __call__(self, prompt: Prompt) -> Generation:
        """Return the scripted answer to one prompt."""
        sample = prompt.sample
        fault = fault_of(self.script, sample)
        fields: dict[str, Any] = {"key": prompt.key, "sample_id": sample.id, "repeat": prompt.repeat}
        if fault == "engine_error":
            return Generation(**fields, status="error", error="planted engine error")
        text = self.script.replies.get(sample.id)
        if text is None:
            lost = loses_answer(self.script, sample.id, self.batch, prompt.seed)
            text = "." if lost else reply_with(fault, sample, self.dialect)
        return Generation(
            **fields,
            status="ok",
            text=text,
            finish_reason="stop",
            prompt_tokens=len(prompt.token_ids),
            new_tokens=len(text.encode("utf-8", "backslashreplace")),
        )


def load_script(path: Path | None) -> Script:
    """Return the script of a YAML file; the always-right oracle for None. Raises SpecError."""
    return read_yaml_spec(path, Script) if path is not None else Script()


def fault_of(script: Script, sample: Sample) -> str | None:
    """Return the fault that this sample gets, or None. A fault that a sample cannot show is not planted in it."""
    if sample.id in script.replies:
        return None
    if _uniform(script.seed, "engine_error", sample.id) < script.faults.engine_error:
        return "engine_error"
    point = _uniform(script.seed, "fault", sample.id)
    for fault, expect in FAULTS.items():
        if expect != sample.expect:
            continue
        rate = getattr(script.faults, fault)
        if point < rate:
            return fault if _possible(fault, sample) else None
        point -= rate
    return None


def loses_answer(script: Script, sample_id: str, batch: int, seed: int) -> bool:
    """Return whether a sample is unstable and this batch size and seed take its answer away."""
    if _uniform(script.seed, "unstable", sample_id) >= script.unstable:
        return False
    return _uniform(script.seed, f"lost {batch} {seed}", sample_id) < 0.5


def reply_with(fault: str | None, sample: Sample, dialect: Dialect) -> str:
    """Return the reply text that shows exactly this fault, or the right answer for None."""
    calls = list(gold_calls(sample))
    if fault is None:
        return dialect.render_calls(calls) if calls else sample.reply or "."
    if fault == "silence":
        return "."
    if fault in ("call_when_none", "call_when_ask"):
        tool = sample.tools[0]
        return dialect.render_calls([ToolCall(name=tool.name, arguments=_filled(tool))])
    first, rest = calls[0], calls[1:]
    if fault == "wrong_name":
        other = _other_tool(sample)
        first = ToolCall(name=other.name, arguments=_filled(other))
    elif fault == "invented_tool":
        first = ToolCall(name=f"{first.name}_v2", arguments=first.arguments)
    elif fault == "invented_parameter":
        first = ToolCall(name=first.name, arguments={**first.arguments, "invented_by_script": 1})
    elif fault == "wrong_value":
        name = _changeable(sample)
        first = ToolCall(name=first.name, arguments={**first.arguments, name: _wrong(first.arguments[name])})
    text = dialect.render_calls([first, *rest])
    if fault == "bad_json":
        cut = text.rindex("}")
        text = text[:cut] + text[cut + 1 :]
    return text


def _possible(fault: str, sample: Sample) -> bool:
    if fault == "wrong_name":
        names = {tool.name for tool in sample.tools} - {call.name for call in sample.gold}
        return bool(names)
    if fault == "wrong_value":
        return bool(_changeable(sample))
    if fault in ("call_when_none", "call_when_ask"):
        return bool(sample.tools)
    return True


def _other_tool(sample: Sample) -> ToolSpec:
    taken = {call.name for call in sample.gold}
    return next(tool for tool in sample.tools if tool.name not in taken)


def _changeable(sample: Sample) -> str:
    """Return the first argument of the first gold call that has a scalar value, or ""."""
    arguments = gold_calls(sample)[0].arguments
    return next((name for name, value in arguments.items() if isinstance(value, str | int | float)), "")


def _wrong(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "_wrong"
    return value + 987654


def _filled(tool: ToolSpec) -> dict[str, Any]:
    """Return arguments that fill every required parameter with a value of its type."""
    properties = tool.parameters.get("properties", {})
    return {name: _value(properties.get(name, {})) for name in tool.parameters.get("required", [])}


def _value(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _value(properties.get(name, {})) for name in schema.get("required", [])}
    if kind == "array":
        return [_value(schema.get("items", {}))] * max(1, int(schema.get("minItems", 1)))
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(str(kind), "A")


def _uniform(seed: int, what: str, sample_id: str) -> float:
    text = f"{seed}\x00{what}\x00{sample_id}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big") / (1 << 56)
