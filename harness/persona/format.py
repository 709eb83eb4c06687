"""Whether a reply is prose, without the lists, headings, tables and bold titles of written answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.persona.check import CheckResult, evidence_at, first_evidence
from harness.persona.reply_text import lines, mask
from harness.types import Span

_BULLET = re.compile(r"\s*(?:[-*+•·▪●○◦‣]\s+|(?:\(?\d{1,3}[.)]|\(?[가-하a-zA-Z][.)]|[①-⑳])\s+|[①-⑳])(?=\S)")
_HEADING = re.compile(
    r"\s{0,3}#{1,6}\s+\S|\s*(?:\*\*|__)[^*_\n]{1,80}(?:\*\*|__)\s*:?\s*$|\s*(?:\*\*|__)[^*_\n]{1,60}:(?:\*\*|__)\s*$"
)
_TABLE = re.compile(r"\s*\|.*\|\s*$")
_RULE = re.compile(r"\s*(?:-{3,}|\*{3,}|_{3,}|={3,})\s*$")

MIN_ITEMS = 2
"""One line that begins with a dash may be speech; two in a row are a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatUse:
    """The lines of a reply that are formatting rather than prose."""

    items: tuple[Span, ...]
    headings: tuple[Span, ...]
    tables: tuple[Span, ...]


def find_format(reply: str) -> FormatUse:
    """Return the reply's list items (of lists of at least MIN_ITEMS), headings and table rows; code is left out."""
    text = mask(reply, frozenset({"code", "json"}))
    runs: list[list[Span]] = [[]]
    headings: list[Span] = []
    tables: list[Span] = []
    for span in lines(text):
        line = text[span[0] : span[1]]
        if _RULE.match(line):
            continue
        if _BULLET.match(line) and not _HEADING.match(line):
            runs[-1].append(span)
            continue
        if _HEADING.match(line):
            headings.append(span)
        elif _TABLE.match(line):
            tables.append(span)
        if not line.startswith((" ", "\t")):
            runs.append([])
    items = [span for run in runs if len(run) >= MIN_ITEMS for span in run]
    return FormatUse(items=tuple(items), headings=tuple(headings), tables=tuple(tables))


def check_format(reply: str) -> CheckResult:
    """Return whether the reply has neither list, heading nor table. values: lines of each, `list_items`, `headings`, `tables`."""
    use = find_format(reply)
    evidence = [evidence_at(reply, span, "a list item") for span in use.items]
    evidence += (evidence_at(reply, span, "a heading") for span in use.headings)
    evidence += (evidence_at(reply, span, "a row of a table") for span in use.tables)
    return CheckResult(
        check="format",
        passed=not evidence,
        values={
            "list_items": float(len(use.items)),
            "headings": float(len(use.headings)),
            "tables": float(len(use.tables)),
        },
        evidence=first_evidence(evidence),
    )
