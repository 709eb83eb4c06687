"""Why a verdict is missing: a code, and what a reader is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

VerdictProblem = Literal[
    "cut", "no_json", "wrong_shape", "left_out", "unclear", "contradiction", "no_quote", "false_quote"
]

REASONS: Mapping[str, str] = {
    # no answer
    "timeout": "no answer in time",
    "connection": "connection failed or was cut",
    "rate_limit": "the server kept asking to wait",
    "server_error": "the server failed",
    "not_an_answer": "the server sent no chat completion",
    "refused": "the server refused the request",
    "too_large": "an answer of more than 1 MB",
    "prompt_cut": "the server cut the prompt",
    # an answer that says nothing readable
    "cut": "the answer hit its budget",
    "no_json": "prose instead of JSON",
    "wrong_shape": "JSON of another shape",
    # one verdict in a readable answer
    "left_out": "the item was left out",
    "unclear": "neither of the allowed words",
    "contradiction": "the item was answered both ways",
    "no_quote": "no quotation, or one too short",
    "false_quote": "the quotation is not in the reply",
}


def described(missing: Mapping[str, int]) -> str:
    """Return "prose instead of JSON: 4, no answer in time: 1", the most frequent first."""
    return ", ".join(f"{REASONS[code]}: {count}" for code, count in Counter(missing).most_common())
