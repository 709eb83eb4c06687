"""What is wrong with an assistant turn: calls that the offered tools do not take, and turns that say nothing.

A record may hold such turns, for what went wrong in a conversation is worth asking about. None should be learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.data.importing.nulls import null_in_value
from harness.data.tools import SchemaChecks
from harness.types import Json, Message, ToolCall, ToolSpec

TurnFault = Literal["tool", "null", "arguments", "empty"]

_REMEDIES: dict[TurnFault, str] = {
    "tool": "Offer the tool in that record, or correct its name.",
    "null": "Leave the argument out, give it a value, or allow null in the tool's schema.",
    "arguments": "Correct the call, or the tool's schema.",
    "empty": "Write what was said, or take the turn out.",
}
_DECIDES_ABOUT_OTHERS = (
    "additionalProperties", "unevaluatedProperties", "patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref",
)  # fmt: skip
"""Keywords by which a schema itself says what it takes beside its `properties`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnProblem:
    """One thing wrong with a turn; `message` goes on from "the turn"."""

    fault: TurnFault
    message: str

    @property
    def remedy(self) -> str:
        """Return what to do about it."""
        return _REMEDIES[self.fault]


def turn_problems(turn: Message, tools: Sequence[ToolSpec], checks: SchemaChecks) -> Iterator[TurnProblem]:
    """Yield what is wrong with a turn that offers these tools; nothing for turns of other roles.

    Calls are held to what the reader of records asks of gold: an offered tool, its required parameters, none that it
    lacks (unless its schema itself says what else it takes), and values that the schema permits.
    """
    if turn.role != "assistant":
        return
    if not turn.tool_calls and not turn.content.strip() and turn.reply_of is None:
        yield TurnProblem(fault="empty", message="is empty: no words and no call")
    for call in turn.tool_calls:
        tool = next((tool for tool in tools if tool.name == call.name), None)
        if tool is None:
            yield TurnProblem(fault="tool", message=f"calls {call.name!r}, which is not offered")
        else:
            yield from _call_problems(call, tool, checks)


def _call_problems(call: ToolCall, tool: ToolSpec, checks: SchemaChecks) -> Iterator[TurnProblem]:
    properties = tool.parameters["properties"]
    for required in tool.parameters.get("required", ()):
        if required not in call.arguments:
            yield _wrong(f"calls {call.name} without {required!r}, which it requires")
    for key, value in call.arguments.items():
        if key not in properties:
            if not _takes_others(tool.parameters):
                yield _wrong(f"calls {call.name} with {key!r}, a parameter that it does not have")
            continue
        try:
            problem = checks.problem(tool, key, value)
        except ValueError as error:
            yield _wrong(f"calls {call.name}, whose schema of {key!r} cannot be applied: {error}")
            continue
        if problem is None:
            continue
        null = null_in_value(value, key)
        if null is None:
            yield _wrong(f"calls {call.name} with {key!r} as its schema forbids: {problem}")
        else:
            yield TurnProblem(
                fault="null",
                message=f"calls {call.name} where {null} is null, which its schema does not allow",
            )


def _wrong(message: str) -> TurnProblem:
    return TurnProblem(fault="arguments", message=message)


def _takes_others(parameters: Mapping[str, Json]) -> bool:
    if parameters.get("additionalProperties") is False:
        return False
    return any(keyword in parameters for keyword in _DECIDES_ABOUT_OTHERS)
