"""Tool calls that a server has taken apart -> the dialect's words, so that one parser reads the answers of every engine.

Arguments come as text that should be JSON. Text that is not stays what it is: it is neither mended nor left out, and
the dialect's parser must find no readable call in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.engine.base import CallWords
from harness.types import Json, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCall:
    """A call as a server gives it: `arguments` is the text that should be JSON."""

    name: str
    arguments: str


def served_calls(message: Mapping[str, Any]) -> list[ServedCall]:
    """Return the calls of a chat message, those in the older form `function_call` included.

    Raises TypeError or LookupError for a list of calls of another shape.
    """
    listed = message.get("tool_calls") or []
    if not isinstance(listed, list):
        raise TypeError("tool_calls is no list")
    functions = [call["function"] for call in listed]
    if not functions and message.get("function_call"):
        functions = [message["function_call"]]
    calls = []
    for function in functions:
        name, arguments = function["name"], function.get("arguments")
        if not isinstance(name, str):
            raise TypeError("the name of a tool call is no text")
        # Some servers send the arguments decoded; JSON again, they are what the others send.
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append(ServedCall(name=name, arguments=text))
    return calls


def write_calls(words: CallWords, calls: Sequence[ServedCall], *, cut: bool = False) -> str:
    """Return the assistant's text that makes these calls, as the dialect writes them.

    `cut`: the answer's budget was spent, and arguments of the last call that are unfinished end the text. Other
    arguments that are no strict JSON object stand in it as they came. Where that would read as a call all the same (text
    such as `{"a": 1}, "b": {}` closes one object and opens another), they stand as a JSON string, which is no arguments
    either. Raises ValueError if the dialect has no place for them.
    """
    nonce = "x" + hashlib.sha256(repr(calls).encode("utf-8", "backslashreplace")).hexdigest()[:20]
    written = [_written(call, f"{nonce}{place}") for place, call in enumerate(calls)]
    text = words.render_calls([call for call, _ in written])
    last = len(written) - 1
    for place, (_, raw) in enumerate(written):
        if raw is None:
            continue
        mark = f"{nonce}{place}"
        ended = _ended_in(words, text, mark, calls[place], raw) if cut and place == last else None
        text = _put(words, text, mark, calls[place], raw) if ended is None else ended
    return text


def _written(call: ServedCall, mark: str) -> tuple[ToolCall, str | None]:
    """Return the call to write, and what has to stand in the place of its arguments if that is not what is written."""
    try:
        arguments = json.loads(
            call.arguments,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        return ToolCall(name=call.name, arguments={mark: 0}), call.arguments
    if isinstance(arguments, dict):
        return ToolCall(name=call.name, arguments=arguments), None
    return ToolCall(name=call.name, arguments={mark: 0}), call.arguments


def _ended_in(words: CallWords, text: str, mark: str, call: ServedCall, raw: str) -> str | None:
    """Return the text up to the end of a call's arguments, None where what stands there would not read as cut off."""
    place = _place_of(mark)
    alone = words.render_calls([ToolCall(name=call.name, arguments={mark: 0})])
    found, found_alone = place.search(text), place.search(alone)
    if found is None or found_alone is None:
        return None
    parsed = words.parse(alone[: found_alone.start()] + raw, truncated=True)
    if parsed.status != "truncated" or any(one.arguments is not None for one in parsed.calls):
        return None
    return text[: found.start()] + raw


def _place_of(mark: str) -> re.Pattern[str]:
    return re.compile(r"\{\s*\"" + mark + r"\"\s*:\s*0\s*\}")


def _put(words: CallWords, text: str, mark: str, call: ServedCall, raw: str) -> str:
    place = _place_of(mark)
    if len(place.findall(text)) == 1:
        if _is_json(raw):
            # A `<` in JSON stands inside a string, where its escape is the same; it must not end the call.
            return place.sub(lambda _: raw.replace("<", "\\u003c"), text)
        alone = words.render_calls([ToolCall(name=call.name, arguments={mark: 0})])
        if _unreadable(words, place.sub(lambda _: raw, alone)):
            return place.sub(lambda _: raw, text)
        as_text = json.dumps(raw).replace("<", "\\u003c")
        if _unreadable(words, place.sub(lambda _: as_text, alone)):
            return place.sub(lambda _: as_text, text)
    raise ValueError(f"the dialect {words.name!r} cannot write a call whose arguments are no JSON object")


def _unreadable(words: CallWords, text: str) -> bool:
    parsed = words.parse(text)
    return parsed.status in ("malformed", "truncated") and all(
        call.arguments is None for call in parsed.calls
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _without_repeats(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _finite(number: str) -> float:
    found = float(number)
    if math.isinf(found):
        raise ValueError(f"{number[:50]} is beyond the range of a number")
    return found


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")
