"""JSON without tags: `{"name": ..., "arguments" | "parameters": {...}}`, or a list of them, perhaps in a code fence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness.parse.json_calls import Budget, Decoded, decode, dump, measure
from harness.parse.render import tools_block
from harness.parse.reply import ReplyBuilder, no_attempt
from harness.parse.scan import Scan
from harness.parse.shapes import bare_shape, serving_decode
from harness.parse.structural_tag import Constraint, any_text, call_tags, whole
from harness.types import Json, ParsedReply, Span, ToolCall, ToolSpec

_FENCED = re.compile(r"```[\w-]{0,16}+[ \t]*+\r?\n?(?P<body>.*?)```\Z", re.DOTALL)
_GAP = re.compile(r"[\s,]*+")
_SEPARATOR = re.compile(r"\s*+;\s*+(?=\{)")
# Only ends are wanted here; the interpreter's own limit on integers must not count.
_ENDS: Final = json.JSONDecoder(parse_int=len)


class BareJson:
    """Calls as JSON in the open."""

    name = "bare_json"

    def render_tools(self, tools: Sequence[ToolSpec]) -> str:
        """Return the text for a system message that offers the tools."""
        how = (
            "To call a function, answer with nothing but a JSON object:\n"
            '{"name": "<function name>", "arguments": {<argument names and values>}}\n'
            "For several calls, answer with a JSON list of such objects."
        )
        return tools_block(tools, how)

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """Return the assistant text that makes these calls. Raises ValueError for arguments that JSON cannot hold."""
        if not calls:
            return ""
        written = [{"name": call.name, "arguments": call.arguments} for call in calls]
        return dump(written[0] if len(written) == 1 else written)

    def render_result(self, name: str, content: str) -> str:
        """Return the text that hands a tool's result back."""
        return dump({"name": name, "content": content})

    def structural_tag(self, constraint: Constraint, tools: Sequence[ToolSpec]) -> Mapping[str, Json]:
        """Return the structural tag: an answer is one call, a list of calls, or text without a brace.

        Nothing but its brace marks a call here, so that text with braces in it would be a way around. Where `tools`
        are to be kept and none is offered, text is all there is.
        """
        text = any_text(["{"])
        tags = call_tags(constraint, tools, opening="", closing="", keys=("arguments", "parameters"))
        if not tags:
            return whole(text)
        several = {"type": "tags_with_separator", "tags": tags, "separator": ", ", "at_least_one": True}
        calls = {"type": "tag", "begin": "[", "content": several, "end": "]"}
        one = {"type": "or", "elements": tags} if len(tags) > 1 else tags[0]
        return whole({"type": "or", "elements": [one, calls, text]})

    def parse(self, text: str, *, truncated: bool = False, tool_names: Sequence[str] = ()) -> ParsedReply:
        """Take a reply apart. See docs/dialects.md for every status and code."""
        budget = Budget()
        build = ReplyBuilder(self.name, text, truncated, budget, bare_shape)
        for piece in Scan(text, truncated, frozenset(tool_names), True, budget).pieces(0, len(text)):
            if build.full:
                build.add_limit(piece.span[0])
                break
            if piece.json is None or piece.read is None:
                build.add_foreign(piece)
            elif isinstance(piece.read.value, list):
                _add_list(build, piece.span, piece.json, len(piece.read.value))
            else:
                build.add_value(piece.read, piece.span)
        if not build.spans:
            return no_attempt(self.name, text)
        return build.finish(lambda: _serving(build))


def _add_list(build: ReplyBuilder, span: Span, place: Span, length: int) -> None:
    """Add a list as one call per element; the brackets belong to the first and the last."""
    start, position = span[0], place[0] + 1
    for index in range(length):
        gap = _GAP.match(build.text, position)
        begin = gap.end() if gap else position
        position = _ENDS.raw_decode(build.text, begin)[1]
        last = index == length - 1
        if build.full and not last:
            build.add_error(
                "work_limit", "too many calls: the rest of the list is not read", (start, span[1])
            )
            return
        element = decode(build.text, begin, position, build.budget)
        end = span[1] if last else position
        if isinstance(element, Decoded):
            build.add_value(element, (start, end))
        else:
            build.add_error(element.code, element.message, (start, end))
        start = end


def _serving(build: ReplyBuilder) -> tuple[ToolCall, ...] | None:
    """Return the calls of a reply that is JSON and nothing else, with one fence and `;` between objects allowed."""
    body = build.text.strip()
    fenced = _FENCED.match(body)
    body = fenced.group("body").strip() if fenced else body
    try:
        values = _values(body)
    except (ValueError, RecursionError):
        return None
    found: list[ToolCall] = []
    for value in values:
        name, arguments, _ = bare_shape(value)
        if name is None or arguments is None:
            return None
        found.append(ToolCall(name=name, arguments=arguments))
    return tuple(found) or None


def _values(body: str) -> list[Json]:
    """Return the objects of a body that is one object, one list, or objects with `;` between. Raises ValueError."""
    if not body.startswith("{"):
        value = serving_decode(body)
        return value if isinstance(value, list) else [value]
    budget = Budget()
    found: list[Json] = []
    position = 0
    while True:
        extent = measure(body, position, len(body), budget)
        if extent is None or not extent.closed:
            raise ValueError("the JSON does not end")
        found.append(serving_decode(body[position : extent.end]))
        if extent.end == len(body):
            return found
        separator = _SEPARATOR.match(body, extent.end)
        if separator is None:
            raise ValueError("text beside the JSON")
        position = separator.end()
