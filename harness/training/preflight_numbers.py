"""What preflight counts, as the numbers that a run's train.json keeps for its diagnosis."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, TypedDict

from harness.data.leakage import normalise
from harness.models.resolve import read_config
from harness.training.prepare import Prepared
from harness.types import Sample


class PreflightNumbers(TypedDict):
    """Numbers of rules D0 and D1 of a diagnosis.

    `end_of_turn_supervised`: some training row bears loss on the token that ends a turn. `leaked_rows`: validation
    records that also stand in the training data. `vocab_size`: tokens that a loss is taken over.
    """

    end_of_turn_supervised: bool
    leaked_rows: int
    vocab_size: int


def preflight_numbers(prepared: Prepared) -> PreflightNumbers:
    """Return the numbers of prepared rows. Raises ModelError if the base's config.json cannot be read."""
    return {
        "end_of_turn_supervised": any(row.ends for row in prepared.train.rows),
        "leaked_rows": len(leaked_records(prepared)),
        "vocab_size": _vocabulary(read_config(prepared.model.path), prepared.tokenizer),
    }


def leaked_records(prepared: Prepared) -> tuple[str, ...]:
    """Return the ids of the validation records whose conversation and tools also stand in the training data."""
    if prepared.validation is None:
        return ()
    trained = {asked(sample) for sample in prepared.train.samples}
    return leaked_of(prepared.validation.samples, trained)


def leaked_of(held: Iterable[Sample], trained: Set[tuple[object, ...]]) -> tuple[str, ...]:
    """Return the ids of the records that are among the questions that are `trained`."""
    return tuple(sample.id for sample in held if asked(sample) in trained)


def asked(sample: Sample) -> tuple[object, ...]:
    """Return what makes two records one question: the conversation, and the tools that are offered."""
    turns = tuple((message.role, normalise(message.content)) for message in sample.messages)
    return (turns, frozenset(tool.name for tool in sample.tools))


def _vocabulary(config: dict[str, Any], tokenizer: Any) -> int:
    """Return the size of the vocabulary: the model's, else the tokenizer's (a config may leave it to a default)."""
    inner = config.get("text_config")
    for part in (config, inner if isinstance(inner, dict) else {}):
        size = part.get("vocab_size")
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
    return len(tokenizer)
