"""Find what is meant as a call in text without this dialect's tags: call-shaped JSON, and other dialects' marks.

Linear over the text but for nested brackets, and those are bounded by the reply's budget.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from harness.parse.json_calls import MAX_DEPTH, Broken, Budget, Decoded, decode, measure
from harness.parse.repair import recover
from harness.parse.shapes import ARGUMENT_WORDS, NAME_WORDS, is_attempt
from harness.types import Span, ToolCall

OPEN_TAG: Final = "<tool_call>"
CLOSE_TAG: Final = "</tool_call>"

_OTHER_MARKS: Final = (
    r"\[TOOL_CALLS\]|<function=|<\|python_tag\|>|<function_?calls?>|<start_function_call>|<TOOL_?CALLS?>|<tool_calls>"
    r"|<\|tool_call(?:_start)?\|>|<｜tool▁calls?▁begin｜>|<\|tool_calls_section_begin\|>|<\w{1,16}:tool_call>"
    r"|<\|action_start\|>|<invoke name=|\bto=functions\."
)
_MARK = re.compile(_OTHER_MARKS)
_MARK_OR_TAG = re.compile(_OTHER_MARKS + r"|</?tool_call>")
# With the name of an offered tool: `functions.f(`, `[f(`; on a line of its own a call with values, perhaps printed or
# assigned (a signature, `f(a, b)`, is none); and ReAct's `Action: f`.
_NAMED = re.compile(
    r"""(?:\bfunctions\.|\[\s{0,8}+)(?P<python>\w[\w.\-]{0,127}+)\s{0,8}+\("""
    r"""|^[ \t`]{0,16}+(?:print\(|\w{1,32}+[ ]{0,4}+=[ ]{0,4}+)?(?P<line>\w[\w.\-]{0,127}+)\("""
    r"""(?=\s{0,8}+(?:\)[ \t`;]{0,16}+$|\w{1,64}+\s{0,4}+=(?!=)|["'\-\[{\d]|(?:True|False|None)\b))"""
    r"""|^[ \t]{0,16}+Action:[ \t]{0,8}+(?P<react>\w[\w.\-]{0,127}+)[ \t]{0,8}+$""",
    re.MULTILINE,
)
_OPENING = re.compile(r"[{\[]")
_HINT = re.compile(r"""["'](?:name|function)["']""")
# Words other than `name` mean a call only with the name of an offered tool; an object may also be keyed by that name.
_WIDE_HINT = re.compile(rf"""["'](?:{"|".join(NAME_WORDS)})["']|["']\s{{0,8}}+:\s{{0,8}}+\{{""")
_WIDE_HEAD = re.compile(
    rf"""[\s\[{{]{{0,64}}+["'](?:{"|".join(NAME_WORDS)})["']\s{{0,8}}+:\s{{0,8}}+["'](?P<name>[\w.\-]{{1,128}}+)["']"""
)
_WIDE_ARGUMENTS = re.compile(rf"""["'](?:{"|".join(ARGUMENT_WORDS)})["']""")
_HEAD = re.compile(r"""[\s\[{]{0,64}+["'](?:name|function|type)["']\s{0,8}+:""")
_ARGUMENTS = re.compile(r"""["'](?:arguments|parameters)["']""")
_FENCE_BEFORE = re.compile(r"```[\w-]{0,16}+[ \t]{0,8}+\r?\n?[ \t\n]{0,8}+\Z")
_FENCE_AFTER = re.compile(r"\s{0,8}+```")
_FENCE_WIDTH: Final = 40
_TOKENS_PER_CANDIDATE: Final = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A place in the text that is meant as a call: JSON that decodes (`json` says where), or an error's code."""

    span: Span
    json: Span | None = None
    read: Decoded | None = None
    code: str = "wrong_dialect"
    message: str = ""
    recovered: tuple[ToolCall, ...] = ()


@dataclass(slots=True)
class Scan:
    """One reply under scan. `tags`: count this project's own tags as foreign marks."""

    text: str
    truncated: bool
    tool_names: Collection[str]
    tags: bool
    budget: Budget
    # Where the next argument key stands, kept so that many openings before one key do not each search for it.
    arguments_at: int = -1
    wide_arguments_at: int = -1

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield the pieces in text[start:end], in order and without overlap."""
        marks = self._marks(start, end)
        mark = next(marks, None)
        hint_of = _WIDE_HINT if self.tool_names else _HINT
        hint = hint_of.search(self.text, start, end)
        position = floor = start
        opening: int | None = -1
        while mark is not None or hint is not None:
            if opening is not None and opening < position:
                found = _OPENING.search(self.text, position, end)
                opening = found.start() if found else None
            if mark is not None and (opening is None or mark[0] <= opening):
                read: Piece | int = self._foreign(mark, end)
            elif opening is not None:
                if self.budget.scan_tokens < 0 and not self._argument_ahead(opening, end):
                    opening = hint = None
                    continue
                read = self._candidate(opening, end, floor)
            else:
                return
            if isinstance(read, Piece):
                yield read
                position = floor = read.span[1]
            else:
                position = read
            while mark is not None and mark[0] < position:
                mark = next(marks, None)
            if hint is not None and hint.start() < position:
                hint = hint_of.search(self.text, position, end)

    def _marks(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        """Yield (place, what) of foreign marks, in order."""
        fixed = (_MARK_OR_TAG if self.tags else _MARK).finditer(self.text, start, end)
        named = self._with_name(start, end)
        one, other = next(fixed, None), next(named, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one.start() <= other.start()):
                assert one is not None
                yield one.start(), one.group()
                one = next(fixed, None)
            else:
                yield other.start(), "ReAct's form" if other["react"] else "Python's syntax"
                other = next(named, None)

    def _with_name(self, start: int, end: int) -> Iterator[re.Match[str]]:
        text = self.text
        if not self.tool_names or (text.find("(", start, end) < 0 and text.find("Action:", start, end) < 0):
            return
        for match in _NAMED.finditer(text, start, end):
            if (match["python"] or match["line"] or match["react"]) in self.tool_names:
                yield match

    def _foreign(self, mark: tuple[int, str], end: int) -> Piece:
        place, what = mark
        stop = end
        if what == OPEN_TAG:
            close = self.text.find(CLOSE_TAG, place, end)
            stop = end if close < 0 else close + len(CLOSE_TAG)
        elif what == CLOSE_TAG:
            stop = place + len(CLOSE_TAG)
        calls, _ = recover(self.text, place, stop, self.budget)
        return Piece(
            (place, stop), code="wrong_dialect", message=f"{what} belongs to another dialect", recovered=calls
        )

    def _candidate(self, place: int, end: int, floor: int) -> Piece | int:
        """Read the JSON that may begin at `place`: a piece, or the position from which to look on."""
        text = self.text
        self.budget.charge_scan(_TOKENS_PER_CANDIDATE, 0)
        extent = measure(text, place, end, self.budget)
        if extent is None:
            return self._limit(place, end)
        if extent.deep:
            if not self._looks_like_call(place, end):
                return place + 1
            return Piece((place, end), code="too_deep", message=f"nested deeper than {MAX_DEPTH} levels")
        if not extent.closed:
            if not self._looks_like_call(place, end):
                return place + 1
            code = "unfinished" if end == len(text) else "invalid_json"
            calls, _ = recover(text, place, end, self.budget)
            return Piece(
                (place, end), code=code, message="the JSON ends before its last bracket", recovered=calls
            )
        read = decode(text, place, extent.end, self.budget)
        if isinstance(read, Decoded):
            if not is_attempt(read.value, self.tool_names):
                return extent.end
            return Piece(self._with_fence(place, extent.end, floor, end), json=(place, extent.end), read=read)
        return self._broken(place, extent.end, end, read)

    def _broken(self, place: int, stop: int, end: int, broken: Broken) -> Piece | int:
        if broken.code == "work_limit":
            return self._limit(place, end)
        if not _HINT.search(self.text, place, stop) and not self._names_a_tool(place, stop):
            return place + 1
        calls, limited = recover(self.text, place, stop, self.budget)
        if not _ARGUMENTS.search(self.text, place, stop):
            calls = tuple(call for call in calls if call.name in self.tool_names)
        if not calls and not self._looks_like_call(place, stop):
            return self._limit(place, end) if limited else place + 1
        code = "work_limit" if limited else broken.code
        return Piece((place, stop), code=code, message=broken.message, recovered=calls)

    def _limit(self, place: int, end: int) -> Piece | int:
        """Give up on the rest, which is an attempt only if an argument key is still to come."""
        if not self._argument_ahead(place, end):
            return place + 1
        message = "too many brackets: the rest of this text is not read"
        return Piece((place, end), code="work_limit", message=message)

    def _argument_ahead(self, place: int, end: int) -> bool:
        if self.arguments_at < place:
            found = _ARGUMENTS.search(self.text, place)
            self.arguments_at = found.start() if found else len(self.text)
        return self.arguments_at < end

    def _looks_like_call(self, place: int, end: int) -> bool:
        """Tell whether broken JSON begins as a call does. A spent budget may have cut its arguments off."""
        if self._names_a_tool(place, end):
            return True
        if not _HEAD.match(self.text, place, end):
            return False
        return (self.truncated and end == len(self.text)) or self._argument_ahead(place, end)

    def _names_a_tool(self, place: int, end: int) -> bool:
        """Tell whether broken JSON begins with the name of an offered tool, with arguments by any word to come."""
        head = _WIDE_HEAD.match(self.text, place, end) if self.tool_names else None
        if head is None or head["name"] not in self.tool_names:
            return False
        if self.truncated and end == len(self.text):
            return True
        if self.wide_arguments_at < place:
            found = _WIDE_ARGUMENTS.search(self.text, place)
            self.wide_arguments_at = found.start() if found else len(self.text)
        return self.wide_arguments_at < end

    def _with_fence(self, start: int, stop: int, floor: int, end: int) -> Span:
        after = _FENCE_AFTER.match(self.text, stop, end)
        if after is None:
            return start, stop
        low = max(floor, start - _FENCE_WIDTH)
        before = _FENCE_BEFORE.search(self.text[low:start])
        return (start, stop) if before is None else (low + before.start(), after.end())
