"""The dialect protocol: how one family of models writes tool calls, rendering and parsing side by side.

`parse(render_calls(calls))` returns the same calls: that is a property test for every dialect. Parsing never raises
on any text and never evaluates it; what cannot be read is kept as a `ParseError` with its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.types import ParsedReply, ToolCall, ToolSpec


class Dialect(Protocol):
    """One way to write calls. Stateless.

    One whose calls a grammar can hold has a method `structural_tag` as well (`harness.parse.structural_tag.Constrains`).
    """

    name: str

    def render_tools(self, tools: Sequence[ToolSpec]) -> str:
        """Return the text for a system message that offers the tools and says how to call them."""
        ...

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """Return the assistant text that makes these calls."""
        ...

    def render_result(self, name: str, content: str) -> str:
        """Return the text that hands a tool's result back to the model."""
        ...

    def parse(self, text: str, *, truncated: bool = False, tool_names: Sequence[str] = ()) -> ParsedReply:
        """Take a reply apart without loss.

        `truncated`: the reply hit its budget, so an unfinished call is `truncated`, not `malformed`. `tool_names`:
        names of the offered tools; they may help to recognise an attempt in a foreign form, never to repair a call.
        """
        ...
