"""Put a ParsedReply together so that nothing of the text is lost, whatever the dialect found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from harness.parse.codes import NOT_STRICT, SHAPE_CODES, UNFINISHED
from harness.parse.json_calls import Budget, Decoded
from harness.parse.scan import Piece
from harness.parse.shapes import Shape, calls_in
from harness.types import Json, ParsedCall, ParsedReply, ParseError, ParseStatus, Span, ToolCall

MAX_PLACES: Final = 1000
"""Calls and errors kept per reply; what follows is one `work_limit` error."""


@dataclass(slots=True)
class ReplyBuilder:
    """Collects calls and errors in the order of the text; what lies between is text."""

    dialect: str
    text: str
    truncated: bool
    budget: Budget
    shape: Callable[[Json], Shape]
    calls: list[ParsedCall] = field(default_factory=list)
    errors: list[ParseError] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    forgiven: list[ToolCall] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return len(self.spans) >= MAX_PLACES

    def add_value(self, read: Decoded, span: Span) -> None:
        """Add a payload that decoded, as a call if it is one."""
        name, arguments, problems = self.shape(read.value)
        strict = NOT_STRICT.isdisjoint(read.notes)
        found = ParsedCall(
            name=name, arguments=arguments, span=span, strict=strict, problems=problems + read.notes
        )
        self.calls.append(found)
        self.spans.append(span)
        if name is not None and arguments is not None:
            self.forgiven.append(ToolCall(name=name, arguments=arguments))
        else:
            self.forgiven += calls_in(read.value, self.budget)

    def add_error(self, code: str, message: str, span: Span, recovered: tuple[ToolCall, ...] = ()) -> None:
        self.errors.append(ParseError(code=code, message=message, span=span))
        self.spans.append(span)
        self.forgiven += recovered

    def add_limit(self, start: int) -> None:
        """Give up on everything from `start` on."""
        self.add_error(
            "work_limit", "too much to read: the rest of the reply is not read", (start, len(self.text))
        )

    def add_foreign(self, piece: Piece) -> None:
        """Add a piece as an error: in this dialect, text of that kind is no call."""
        if piece.read is None:
            self.add_error(piece.code, piece.message, piece.span, piece.recovered)
            return
        calls = tuple(calls_in(piece.read.value, self.budget))
        self.add_error(piece.code, "a call in JSON without this dialect's tags", piece.span, calls)

    def status(self) -> ParseStatus:
        if not self.spans:
            return "none"
        shapely = all(SHAPE_CODES.isdisjoint(call.problems) for call in self.calls)
        if not self.errors and shapely:
            return "ok"
        cut = self.truncated and len(self.errors) == 1 and shapely
        last = self.errors[-1] if self.errors else None
        if cut and last is not None and last.code in UNFINISHED and last.span == self.spans[-1]:
            return "truncated"
        return "malformed"

    def finish(self, serving: Callable[[], tuple[ToolCall, ...] | None]) -> ParsedReply:
        """Return the reply. `serving` is asked only if something was attempted."""
        status = self.status()
        text = _gaps(self.spans, len(self.text))
        return ParsedReply(
            dialect=self.dialect,
            status=status,
            calls=tuple(self.calls),
            errors=tuple(self.errors),
            text=text,
            content="".join(self.text[start:end] for start, end in text),
            serving_calls=() if status == "none" else serving(),
            recovered=tuple(self.forgiven) if status in ("malformed", "truncated") else (),
        )


def no_attempt(dialect: str, text: str) -> ParsedReply:
    """Return the reply of a text that tries no call."""
    return ParsedReply(
        dialect=dialect,
        status="none",
        calls=(),
        errors=(),
        text=((0, len(text)),) if text else (),
        content=text,
        serving_calls=(),
        recovered=(),
    )


def _gaps(spans: list[Span], length: int) -> tuple[Span, ...]:
    found: list[Span] = []
    position = 0
    for start, end in spans:
        if start > position:
            found.append((position, start))
        position = end
    if position < length:
        found.append((position, length))
    return tuple(found)
