"""A conversation with its answers inside -> samples: what came before an assistant turn, and that turn as the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.data.importing.context import Context
from harness.data.importing.rows import Row
from harness.data.strict_json import StrictJsonError, decode
from harness.data.turn_problems import turn_problems
from harness.errors import RecordError
from harness.types import GoldArgument, GoldCall, Message, Role, Sample, ToolCall, ToolSpec

_ANSWERABLE = ("user", "tool")
_NULL_REMEDY = "Leave the argument out, allow null in the schema, or remove all nulls with --drop-nulls."


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a source. A tool turn's name is None where only its position tells which call it answers.

    `answers` is the position of the answered call in its turn, where the source says it: results are put in the order
    of their calls, since a record's results have no ids. `learn` is False for assistant turns that the source marks as
    not to be learned.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    answers: int | None = None
    learn: bool = True


def conversation_samples(
    turns: Sequence[Turn],
    tools: tuple[ToolSpec, ...],
    row: Row,
    context: Context,
    *,
    source_id: str = "",
    tags: Mapping[str, str] | None = None,
) -> list[Sample]:
    """Return the sample whose answer is the last assistant turn, or with `every_turn` one for each of them.

    An earlier turn that is empty or calls what the tools do not take is kept, never to be learnt. Raises RecordError if
    there is no assistant turn that answers something, for turns in an impossible order, and for a null that a tool does
    not allow.
    """
    turns = _system_turns(_named_results(_merged(turns, row, context), row, context), context, row)
    messages = [_message(turn, tools, row, context) for turn in turns]
    answers = _answers(turns, row, context)
    if not context.every_turn:
        context.note("turns after the answer left out", len(turns) - 1 - answers[-1])
        answers = answers[-1:]
    return [
        _sample(messages[:index], turns[index], tools, context, source_id, dict(tags or {}))
        for index in answers
    ]


def _message(turn: Turn, tools: tuple[ToolSpec, ...], row: Row, context: Context) -> Message:
    message = Message(
        role=turn.role, content=turn.content, tool_calls=turn.calls, name=turn.name, learn=turn.learn
    )
    problems = list(turn_problems(message, tools, context.checks))
    null = next((problem for problem in problems if problem.fault == "null"), None)
    if null is not None:
        raise row.fail(f"an assistant turn {null.message}", _NULL_REMEDY)
    if not problems or not turn.learn:
        return message
    context.note("earlier turns that are empty or call what the tools do not take, kept with weight 0")
    return replace(message, learn=False)


def _sample(
    before: Sequence[Message],
    answer: Turn,
    tools: tuple[ToolSpec, ...],
    context: Context,
    source_id: str,
    tags: dict[str, str],
) -> Sample:
    if answer.calls and answer.content.strip():
        context.note("text beside the answer's calls left out")
    tags.setdefault("category", category_of(before, answer, tools))
    return Sample(
        id=source_id,
        messages=tuple(before),
        tools=tools,
        expect="call" if answer.calls else "no_call",
        gold=tuple(gold_call(call) for call in answer.calls),
        reply=None if answer.calls else answer.content,
        tags=tags,
    )


def gold_call(call: ToolCall) -> GoldCall:
    """Return the expected call that accepts these arguments and no others."""
    arguments = {name: GoldArgument(accept=(value,)) for name, value in call.arguments.items()}
    return GoldCall(name=call.name, arguments=arguments)


def category_of(before: Sequence[Turn | Message], answer: Turn, tools: Sequence[ToolSpec]) -> str:
    """Return the tag `category`: chat, no_call, follow_up, parallel, single or multiple."""
    if any(turn.role == "tool" for turn in before):
        return "follow_up"
    if not answer.calls:
        return "no_call" if tools else "chat"
    if len(answer.calls) > 1:
        return "parallel"
    return "single" if len(tools) == 1 else "multiple"


def _answers(turns: Sequence[Turn], row: Row, context: Context) -> list[int]:
    """Return the indices of the turns that may be an answer, in order."""
    found = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        if not turn.learn:
            context.note("assistant turns not to be learned, never an answer")
        elif index == 0 or turns[index - 1].role not in _ANSWERABLE:
            context.note("assistant turns that answer nothing (an opening), never an answer")
        elif not turn.calls and not turn.content.strip():
            raise row.fail("an assistant turn is empty", "Write the answer, or delete the row.")
        else:
            found.append(index)
    if not found:
        raise row.fail(
            "no answer: no assistant turn follows a user turn or a tool result",
            "A row needs something that is asked and the assistant's answer to it.",
        )
    return found


def _merged(turns: Sequence[Turn], row: Row, context: Context) -> list[Turn]:
    """Return the turns with calls joined to the assistant turn right before them, which some sources write apart."""
    merged: list[Turn] = []
    for turn in turns:
        if not merged or merged[-1].role != "assistant" or turn.role != "assistant":
            merged.append(turn)
            continue
        if not turn.calls or turn.content.strip():
            raise row.fail(
                "two assistant turns in a row", "Join them, or put what was said between them back."
            )
        last = merged[-1]
        merged[-1] = replace(last, calls=last.calls + turn.calls, learn=last.learn and turn.learn)
        context.note("calls joined to the assistant turn before them")
    return merged


def _named_results(turns: Sequence[Turn], row: Row, context: Context) -> list[Turn]:
    """Return the turns with each tool result named after the call that it answers."""
    named: list[Turn] = []
    position = 0
    while position < len(turns):
        turn = turns[position]
        if turn.role != "tool":
            named.append(turn)
            position += 1
            continue
        end = position
        while end < len(turns) and turns[end].role == "tool":
            end += 1
        calls = named[-1].calls if named and named[-1].role == "assistant" else ()
        named += _name(turns[position:end], calls, row, context)
        position = end
    return named


def _name(results: Sequence[Turn], calls: Sequence[ToolCall], row: Row, context: Context) -> list[Turn]:
    if all(result.answers is not None for result in results):
        results = sorted(results, key=lambda result: result.answers or 0)
    if all(result.name is not None for result in results):
        return list(results)
    if len(results) > len(calls):
        raise row.fail(
            f"{len(results)} tool results follow {len(calls)} calls",
            "Put the call that was answered before its result.",
        )
    if len(results) == 1 and len(calls) > 1:
        parts = _list_of(results[0].content, len(calls))
        if parts is not None:
            context.note("one result for several calls, divided among them", 1)
            return [
                replace(results[0], content=part, name=call.name)
                for part, call in zip(parts, calls, strict=True)
            ]
    if len(results) < len(calls):
        context.note("fewer results than calls, named in order")
    return [
        replace(result, name=result.name or call.name) for result, call in zip(results, calls, strict=False)
    ]


def _list_of(text: str, length: int) -> list[str] | None:
    """Return the elements of a JSON list of that length as texts, or None."""
    try:
        value = decode(text)
    except StrictJsonError:
        return None
    if not isinstance(value, list) or len(value) != length:
        return None
    return [as_text(item) for item in value]


def as_text(value: object) -> str:
    """Return a text as it is and any other JSON value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _system_turns(turns: Sequence[Turn], context: Context, row: Row) -> list[Turn]:
    """Return the turns with system turns as the import wants them."""
    if context.system_as == "system" or not any(turn.role == "system" for turn in turns):
        return list(turns)
    rest = [turn for turn in turns if turn.role != "system"]
    texts = [turn.content for turn in turns if turn.role == "system" and turn.content.strip()]
    if context.system_as == "drop":
        context.note("system turns left out", len(turns) - len(rest))
        return rest
    first = next((index for index, turn in enumerate(rest) if turn.role == "user"), None)
    if first is None:
        raise row.fail(
            "there is no user turn to put the system turn before", "Use --system-as system or drop."
        )
    rest[first] = replace(rest[first], content="\n\n".join([*texts, rest[first].content]))
    context.note("system turns put before the first user turn", len(turns) - len(rest))
    return rest


def text_of(value: object, what: str, row: Row) -> str:
    """Return a turn's text: text, nothing, or OpenAI's list of text parts. Raises RecordError for anything else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_part(part, what, row) for part in value)
    raise row.fail(f"{what} must be text", "Only text can be imported.")


def _part(part: object, what: str, row: Row) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") in ("text", None) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else None
    raise _no_text(row, what, kind)


def _no_text(row: Row, what: str, kind: object) -> RecordError:
    named = f" of type {kind!r}" if isinstance(kind, str) else ""
    return row.fail(
        f"{what} holds a part{named} that is no text", "Only text can be imported; delete the row."
    )
