"""Sample -> token rows with loss masks, through the renderer that evaluation uses.

A row is exactly what evaluation asks, followed by exactly what the model should have said, up to and including the
token that ends its turn. Where a conversation's earlier assistant turns are learnt too, each turn is rendered as
evaluation would ask it; turns whose tokens continue each other are joined into one row, the others (templates that
rewrite history, as reasoning models' do) stay rows of their own.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.fingerprint import sha256_of
from harness.prompt.answer import expected_turn
from harness.prompt.render import Renderer
from harness.types import Message, Sample

LossOn = Literal["answer", "assistant", "all"]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One training row.

    `ids` are token ids; `spans` the half-open ranges of `ids` that bear loss, in order; `group` is equal for rows that
    offer the same tools under the same system message, and so begin alike; `ends` says that each span ends with a
    token that ends the turn.
    """

    sample_id: str
    ids: array[int]
    spans: tuple[Span, ...]
    group: str
    ends: bool

    @property
    def supervised(self) -> int:
        """Return the number of tokens that bear loss."""
        return sum(end - start for start, end in self.spans)

    def labels(self) -> list[int]:
        """Return the ids where they bear loss, -100 elsewhere."""
        labels = [-100] * len(self.ids)
        for start, end in self.spans:
            labels[start:end] = self.ids[start:end]
        return labels


def token_rows(
    sample: Sample, renderer: Renderer, stop_ids: frozenset[int], loss_on: LossOn, *, optional: bool
) -> Iterator[TokenRow]:
    """Yield the rows of one sample (one, unless earlier turns are learnt and do not continue each other).

    `optional`: whether optional gold arguments are written. Raises RecordError for a sample without an answer and for
    a conversation that the chat template refuses.
    """
    group = group_of(sample)
    turns = list(_answered_turns(sample, loss_on, optional))
    row: TokenRow | None = None
    for asked, answer in turns:
        prompt, rest = renderer.render_answered(asked, answer)
        kept, ended = _through_stop(rest.token_ids, stop_ids)
        ids = array("i", [*prompt.token_ids, *kept])
        span = (len(prompt.token_ids), len(ids))
        spans: tuple[Span, ...] = (span,)
        if row is not None and row.ids == ids[: len(row.ids)] and len(row.ids) <= span[0]:
            spans = (*row.spans, span)
            ended = ended and row.ends
        elif row is not None:
            yield row
        row = TokenRow(sample_id=sample.id, ids=ids, spans=spans, group=group, ends=ended)
    if row is not None:
        yield replace(row, spans=((0, len(row.ids)),)) if loss_on == "all" else row


def truncated(row: TokenRow, max_length: int) -> TokenRow | None:
    """Return the row cut at the end to `max_length` tokens, None if no token that bears loss is left."""
    spans = tuple((start, min(end, max_length)) for start, end in row.spans if start < max_length)
    if not spans:
        return None
    return replace(row, ids=row.ids[:max_length], spans=spans, ends=row.ends and spans == row.spans)


def group_of(sample: Sample) -> str:
    """Return a short name that samples with the same tools and the same system message share."""
    system = sample.messages[0].content if sample.messages[0].role == "system" else ""
    return sha256_of([system, [[tool.name, dict(tool.parameters)] for tool in sample.tools]])[:16]


def _answered_turns(sample: Sample, loss_on: LossOn, optional: bool) -> Iterator[tuple[Sample, Message]]:
    """Yield (what is asked, the assistant's turn): earlier turns that may be learnt first, the expected one last."""
    if loss_on == "assistant":
        for index, message in enumerate(sample.messages):
            if message.role == "assistant" and message.learn and index:
                yield replace(sample, messages=sample.messages[:index]), message
    yield sample, expected_turn(sample, optional=optional)


def _through_stop(ids: Sequence[int], stop_ids: frozenset[int]) -> tuple[Sequence[int], bool]:
    """Return the ids up to and including the first that ends the turn, and whether there is one."""
    for index, token in enumerate(ids):
        if token in stop_ids:
            return ids[: index + 1], True
    return ids, False
