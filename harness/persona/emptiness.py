"""Whether a reply says anything: a word, that is, and not marks, an emoji or laughter alone."""

from __future__ import annotations

import re

from harness.persona.check import CheckResult, Evidence

_WORD = re.compile(r"[^\W_\u3131-\u318e]")


def has_word(text: str) -> bool:
    """Return whether a text holds a letter or a digit other than letters of laughter (ㅋㅋ, ㅠㅠ)."""
    return _WORD.search(text) is not None


def check_empty(reply: str) -> CheckResult:
    """Return whether the reply holds at least one letter or digit. values: `characters` that are no white space."""
    characters = sum(not character.isspace() for character in reply)
    said = has_word(reply)
    evidence = () if said else (Evidence(text=reply[:40], why="no word and no number", span=(0, len(reply))),)
    return CheckResult(
        check="empty", passed=said, values={"characters": float(characters)}, evidence=evidence
    )
