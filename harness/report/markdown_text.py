"""Text of models and data sets inside Markdown, for pull requests: it must stay text whatever it holds.

Marks of markup become numeric entities, which are never markup themselves (CommonMark 2.5). Names stand in `<code>`,
where GitHub and GitLab link no mentions, issue numbers or addresses; in sentences an invisible joiner keeps those apart
from what follows. Longer text stands in `<pre>`, whose content no Markdown parser reads before the closing tag, which
escaped text cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from markupsafe import escape

from harness.report.text import one_line, visible

_MARKUP = re.compile(
    r"^(?:[-+=]+|[0-9]+[.)])"  # a list, a rule or a heading at the start
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, but not an underscore inside a word
    r"|[!#$&*<>@\[\\\]^`{|}~]"
    r"|%(?=[\w\"])|(?<=[gG][hH])-(?=[0-9])"  # milestones and issues
    r"|:(?=\S)|(?<=[wW])\."  # addresses
)
_REFERENCE = frozenset("@#!$%&~:.-")
"""What GitHub or GitLab make a link of after Markdown is done: people, issues, merge requests, labels, addresses."""
_JOINER = "&#8288;"


def inline(value: str, width: int = 120) -> str:
    """Return text for the middle of a paragraph or a table cell, on one line of at most `width` characters."""
    return f"<code>{_MARKUP.sub(_entities, one_line(value, width))}</code>"


def code(value: str, width: int = 80) -> str:
    """Return text as `inline` does, between backticks where nothing in it could end them; nothing for an empty text."""
    shown = one_line(value, width)
    return inline(value, width) if "`" in shown or "|" in shown else f"`{shown}`" if shown else ""


def plain(value: str, width: int | None = None) -> str:
    """Return a sentence that may hold names, on one line; with a `width`, of at most so many characters."""
    flat = " ".join(visible(value).split("\n")).strip() if width is None else one_line(value, width)
    return _MARKUP.sub(_apart, flat)


def block(value: str) -> str:
    """Return text as a preformatted block, line breaks kept."""
    return f"<pre>{escape(visible(value))}</pre>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return the lines of a table; cells must be safe already. The first `left` columns are aligned left."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return [_row(head), _row(rule), *map(_row, rows)]


def details(summary: str, body: Iterable[str]) -> list[str]:
    """Return the lines of a section that is folded at first; `summary` must be safe already."""
    return ["<details>", f"<summary>{summary}</summary>", "", *body, "", "</details>", ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _entities(found: re.Match[str]) -> str:
    return "".join(mark if mark.isalnum() else f"&#{ord(mark)};" for mark in found.group())


def _apart(found: re.Match[str]) -> str:
    return _entities(found) + (_JOINER if found.group() in _REFERENCE else "")
