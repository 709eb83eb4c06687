"""Hermes and Qwen2.5: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, any number of them.

`serving_calls` follows vLLM's `hermes` parser (`Hermes2ProToolParser.extract_tool_calls`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness.parse.json_calls import Broken, Budget, Decoded, decode, dump, measure
from harness.parse.render import tools_block
from harness.parse.repair import recover
from harness.parse.reply import ReplyBuilder, no_attempt
from harness.parse.scan import CLOSE_TAG, OPEN_TAG, Scan
from harness.parse.shapes import serving_decode, tagged_shape
from harness.parse.structural_tag import Constraint, any_text, call_tags, whole
from harness.types import Json, ParsedReply, ToolCall, ToolSpec

_TAG = re.compile(r"</?tool_call>")
_SERVING = re.compile(r"<tool_call>(.*?)</tool_call>|<tool_call>(.*)", re.DOTALL)
_JSON_OPENING = re.compile(r"[ \t\n\r]*+[{\[]")
_CLOSING = re.compile(r"\s*+</tool_call>")
_LEAST_CUT_TAG: Final = len("<tool_")


class Hermes:
    """Calls as JSON between tags."""

    name = "hermes"

    def render_tools(self, tools: Sequence[ToolSpec]) -> str:
        """Return the text for a system message that offers the tools."""
        example = f'{OPEN_TAG}\n{{"name": "<function name>", "arguments": {{<argument names and values>}}}}\n{CLOSE_TAG}'
        how = f"To call a function, write a JSON object between tags, one pair of tags per call:\n{example}"
        return tools_block(tools, how)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """Return the assistant text that makes these calls. Raises ValueError for arguments that JSON cannot hold."""
        return "\n".join(
            f"{OPEN_TAG}\n{dump({'name': call.name, 'arguments': call.arguments})}\n{CLOSE_TAG}"
            for call in calls
        )

    def render_result(self, name: str, content: str) -> str:
        """Return the text that hands a tool's result back."""
        return f"<tool_response>\n{dump({'name': name, 'content': content})}\n</tool_response>"

    def structural_tag(self, constraint: Constraint, tools: Sequence[ToolSpec]) -> Mapping[str, Json]:
        """Return the structural tag: text is free, and what follows an opening tag is one call and its closing tag.

        Where `tools` are to be kept and none is offered, no opening tag can be written.
        """
        if constraint == "tools" and not tools:
            return whole(any_text([OPEN_TAG, CLOSE_TAG]))
        tags = call_tags(
            constraint,
            tools,
            opening=OPEN_TAG + "\n",
            closing="\n" + CLOSE_TAG,
            excludes=(OPEN_TAG, CLOSE_TAG),
        )
        return whole(
            {"type": "triggered_tags", "triggers": [OPEN_TAG], "tags": tags, "excludes": [CLOSE_TAG]}
        )

    def parse(self, text: str, *, truncated: bool = False, tool_names: Sequence[str] = ()) -> ParsedReply:
        """Take a reply apart. See docs/dialects.md for every status and code."""
        budget = Budget()
        build = ReplyBuilder(self.name, text, truncated, budget, tagged_shape)
        scan = Scan(text, truncated, frozenset(tool_names), False, budget)
        position = 0
        while not build.full:
            tag = _TAG.search(text, position)
            _between(build, scan, position, tag.start() if tag else len(text))
            if tag is None or build.full:
                break
            if tag.group() == CLOSE_TAG:
                build.add_error("stray_close_tag", "a closing tag without an opening one", tag.span())
                position = tag.end()
            else:
                position = _block(build, tag.start(), tag.end())
        if build.full and build.spans[-1][1] < len(text):
            build.add_limit(build.spans[-1][1])
        if not build.spans:
            return no_attempt(self.name, text)
        return build.finish(lambda: _serving(build))


def _between(build: ReplyBuilder, scan: Scan, start: int, end: int) -> None:
    if start == end or build.text[start:end].isspace():
        return
    for piece in scan.pieces(start, end):
        if build.full:
            return
        build.add_foreign(piece)
    if build.truncated and end == len(build.text):
        place = build.text.rfind("<", start)
        tail = build.text[place:] if place >= 0 else ""
        free = not build.spans or build.spans[-1][1] <= place
        if free and len(tail) >= _LEAST_CUT_TAG and OPEN_TAG.startswith(tail):
            build.add_error("unfinished", "the reply ends inside an opening tag", (place, end))


def _block(build: ReplyBuilder, start: int, body: int) -> int:
    """Read the block whose opening tag is text[start:body]; return where to read on."""
    text = build.text
    close = text.find(CLOSE_TAG, body)
    stop = _without_cut_tag(text, body) if close < 0 else close
    after = len(text) if close < 0 else close + len(CLOSE_TAG)
    read = decode(text, body, stop, build.budget)
    if isinstance(read, Decoded) and close >= 0:
        build.add_value(read, (start, after))
        return after
    if isinstance(read, Broken) and read.code == "work_limit":
        build.add_limit(start)
        return len(text)
    if isinstance(read, Broken) and read.open_string and close >= 0:
        beyond = _close_tag_in_string(build, start, body, close)
        if beyond is not None:
            return beyond
    if isinstance(read, Broken):
        nested = text.find(OPEN_TAG, body, stop)
        if nested >= 0:
            return _cut_short(build, start, body, nested)
    return _failed(build, start, body, stop, after, read, closed=close >= 0)


def _without_cut_tag(text: str, body: int) -> int:
    """Return the end of an unclosed block's payload: before the piece of a closing tag that a spent budget left."""
    place = text.rfind("<", body)
    return place if place >= 0 and CLOSE_TAG.startswith(text[place:]) else len(text)


def _close_tag_in_string(build: ReplyBuilder, start: int, body: int, close: int) -> int | None:
    """Handle a closing tag that stands inside a JSON string: the runtime stops at it, a reader of JSON does not."""
    text = build.text
    opening = _JSON_OPENING.match(text, body)
    if opening is None:
        return None
    place = opening.end() - 1
    extent = measure(text, place, len(text), build.budget)
    if extent is None or not extent.closed or extent.end <= close:
        return None
    if not isinstance(decode(text, place, extent.end, build.budget), Decoded):
        return None
    closing = _CLOSING.match(text, extent.end)
    end = closing.end() if closing else extent.end
    calls, _ = recover(text, place, extent.end, build.budget)
    build.add_error(
        "close_tag_in_string", "a closing tag inside a JSON string ends the block early", (start, end), calls
    )
    return end


def _cut_short(build: ReplyBuilder, start: int, body: int, nested: int) -> int:
    """Handle a block that a second opening tag interrupts."""
    read = decode(build.text, body, nested, build.budget)
    calls, _ = recover(build.text, body, nested, build.budget)
    if isinstance(read, Decoded):
        build.add_error(
            "unclosed_tag", "the next call opens before this one is closed", (start, nested), calls
        )
    else:
        build.add_error(read.code, read.message, (start, nested), calls)
    return nested


def _failed(
    build: ReplyBuilder, start: int, body: int, stop: int, after: int, read: Decoded | Broken, *, closed: bool
) -> int:
    """Add the error of a block that is no call for a strict reader."""
    text = build.text
    scan = Scan(text, build.truncated, (), False, build.budget)
    calls, limited = recover(text, body, stop, build.budget)
    code, message = (
        ("unclosed_tag", "no closing tag") if isinstance(read, Decoded) else (read.code, read.message)
    )
    if not closed and isinstance(read, Broken) and _ends_open(build, body, stop):
        code, message = "unfinished", "the reply ends inside a call"
    elif code == "invalid_json" and any(piece.code == "wrong_dialect" for piece in scan.pieces(body, stop)):
        code, message = "wrong_dialect", "another dialect's mark inside this dialect's tags"
    if limited:
        code, message = "work_limit", f"{message}; repair stopped at its limit"
    build.add_error(code, message, (start, after), calls)
    return after


def _ends_open(build: ReplyBuilder, body: int, stop: int) -> bool:
    opening = _JSON_OPENING.match(build.text, body)
    if opening is None:
        return not build.text[body:stop].strip()
    extent = measure(build.text, opening.end() - 1, stop, build.budget)
    return extent is not None and not extent.closed and not extent.deep


def _serving(build: ReplyBuilder) -> tuple[ToolCall, ...] | None:
    """Return what vLLM would deliver: all blocks or none, each with the keys `name` and `arguments`.

    vLLM hands arguments on that are no object; no client can use them as arguments, so such a call is left out here.
    """
    if not build.errors and len(build.forgiven) == len(build.calls) and build.status() == "ok":
        return tuple(build.forgiven)
    if OPEN_TAG not in build.text:
        return None
    found: list[ToolCall] = []
    try:
        for match in _SERVING.finditer(build.text):
            payload = serving_decode(match.group(1) or match.group(2) or "")
            name, arguments = payload["name"], payload["arguments"]
            if not isinstance(name, str):
                return None
            if isinstance(arguments, dict):
                found.append(ToolCall(name=name, arguments=arguments))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return tuple(found) or None
