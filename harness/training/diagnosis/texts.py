"""One text in English and Korean, and the two that a finding has."""

from __future__ import annotations

from typing import NamedTuple


class Both(NamedTuple):
    """One text in both languages; the names in braces are the same in both."""

    en: str
    ko: str


class Words(NamedTuple):
    """A finding's title and its sentence."""

    title: Both
    because: Both
