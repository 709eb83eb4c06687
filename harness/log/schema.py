"""What lies in a run folder. docs/run-folder.md is the specification.

run.json            RunHeader; atomic, written before the first sample and at every change of status
generations.jsonl   one Generation a line, append-only, one write a record
scores.jsonl        one ScoreRecord a line; derived, replaced as a whole by scoring
events.jsonl        what happened on the way (resumed, out of memory, torn tail); never needed to read results
summary.json        derived aggregates
scorecard.html      derived
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from harness.types import Generation

SCHEMA_VERSION = 1

RUN = "run.json"
GENERATIONS = "generations.jsonl"
SCORES = "scores.jsonl"
EVENTS = "events.jsonl"
SUMMARY = "summary.json"
SCORECARD = "scorecard.html"
LOCK = ".lock"
RESERVE = ".reserve"

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_line(value: Mapping[str, Any]) -> bytes:
    """Return the value as one line of UTF-8 JSON with its newline.

    Lone surrogates, which UTF-8 cannot hold, are written as JSON escapes and read back unchanged. Raises ValueError
    for NaN and infinities.
    """
    text = _ENCODER.encode(value)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text).encode() + b"\n"


_GENERATION_FIELDS = tuple(field.name for field in fields(Generation))


def generation_record(generation: Generation) -> dict[str, Any]:
    """Return the generation as the dict that is stored."""
    record: dict[str, Any] = {"v": SCHEMA_VERSION}
    for name in _GENERATION_FIELDS:
        record[name] = getattr(generation, name)
    return record


def generation_from_record(record: Mapping[str, Any]) -> Generation:
    """Return the stored generation. Raises TypeError if fields are missing or unknown."""
    given = dict(record)
    given.pop("v", None)
    if not isinstance(given.get("text", ""), str):
        raise TypeError("its text is no string")
    return Generation(**given)
