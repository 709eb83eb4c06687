"""What one adapter answered, kept as the draft of what the next one may answer to the same prompt.

Checkpoints of one training run mostly agree, and checking an answer takes a few passes of the model where writing it
takes one a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.engine.hf_plan import Row

if TYPE_CHECKING:
    from harness.engine.hf_decode import Finished

MAX_TOKENS = 4_000_000
"""Tokens kept, over all prompts: about 160 MB, at 8 bytes a place in a tuple and 32 an int."""

_TRIAL = 512
_LEAST_SHARE = 0.25
"""Drafts are given up for an adapter that accepted a smaller share of the first `_TRIAL` tokens: an answer that is
left at once costs a little more than none (an estimate, not tuned)."""


class Drafts:
    """Answers by prompt. A wrong one costs time alone, so prompts are told apart by a hash of their tokens."""

    def __init__(self) -> None:
        self._answers: dict[int, tuple[int, ...]] = {}
        self._kept = 0
        self.offered = 0
        self.accepted = 0

    def turn(self) -> None:
        """Begin anew to count how well drafts do: another adapter answers from now on."""
        self.offered = self.accepted = 0

    def offer(self, rows: Sequence[Row]) -> None:
        """Give every greedy row the answer that its prompt got last, if drafts are worth it for this adapter."""
        poor = self.offered >= _TRIAL and self.accepted < _LEAST_SHARE * self.offered
        for row in rows:
            greedy = row.prompt.sampling.temperature == 0
            row.draft = () if poor or not greedy else self._answers.get(hash(tuple(row.prompt.token_ids)), ())

    def learn(self, done: Finished) -> None:
        """Count what became of a row's draft, and keep its answer."""
        row = done.row
        self.offered += min(len(row.draft), row.budget)
        self.accepted += done.accepted
        if row.prompt.sampling.temperature == 0:
            self.keep(row.prompt.token_ids, done.tokens)

    def keep(self, prompt: Sequence[int], answer: Sequence[int]) -> None:
        """Keep the token ids of an answer, if it is not one too many."""
        key = hash(tuple(prompt))
        if key in self._answers or self._kept < MAX_TOKENS:
            self._kept += len(answer) - len(self._answers.get(key, ()))
            self._answers[key] = tuple(answer)
