"""From logits to finished generations: greedy or seeded sampling, grammars, stop tokens, rows that leave as they finish.

A greedy row with a draft is fed a stretch of it at once. The logits after each token say whether the model would have
written the next one itself; what follows the first that it would not is dropped. So the answer is the one that it would
have been (Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", 2023, greedy case).
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Protocol

import torch

from harness.engine.hf_follower import Follower, Record, piece_length
from harness.engine.hf_grammar import Grammars, Way
from harness.engine.hf_plan import Row, step_tokens_on
from harness.types import FinishReason, Generation, Prompt, Sampling

_COMPACT_SHARE = 8
"""Rows are dropped from the tensors once an eighth of them has finished: dropping copies what the others hold."""

_PIECE = 32
"""Tokens of a draft that are checked at a time, at most: a row that leaves its draft wastes the rest of them."""

_MAX_LOGITS = 1 << 27
"""Logits held at a time while drafts are checked (512 MB in fp32)."""


class Batch(Protocol):
    """What `hf_batch` offers."""

    def prefill(self) -> Any: ...
    def step(self, tokens: Any) -> Any: ...
    def check(self, pieces: Sequence[Sequence[int]]) -> Any: ...
    def accept(self, counts: Sequence[int], longest: int) -> None: ...
    def keep(self, indices: Sequence[int]) -> None: ...


class Finished(NamedTuple):
    """A row, its generation with the tokens it is made of, and how many of those its draft had right."""

    row: Row
    generation: Generation
    tokens: list[int]
    accepted: int


class Writer:
    """Turns token ids into generations with one tokenizer."""

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int], grammars: Grammars | None = None) -> None:
        self._tokenizer = tokenizer
        self.stop_ids = stop_ids
        self._grammars = grammars

    def way(self, prompt: Prompt) -> Way | None:
        """Return what the answer must keep to, None where it is free."""
        return None if self._grammars is None else self._grammars.way(prompt)

    def generation(self, prompt: Prompt, tokens: list[int], reason: FinishReason) -> Generation:
        """Return the finished generation. Special tokens stay in the text (tool-call markers can be some); only the
        stop token that ended it does not. `new_tokens` counts it."""
        spoken = tokens[:-1] if reason == "stop" else tokens
        text = self._tokenizer.decode(spoken, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return Generation(
            key=prompt.key,
            sample_id=prompt.sample.id,
            repeat=prompt.repeat,
            status="ok",
            text=text,
            finish_reason=reason,
            prompt_tokens=len(prompt.token_ids),
            new_tokens=len(tokens),
        )


class _Live:
    """One row that is still being generated. `accepted` counts tokens that its draft had right, `way` is what its grammar
    has taken so far."""

    def __init__(self, row: Row, stop_ids: frozenset[int], way: Way | None) -> None:
        self.row = row
        self.way = way
        self.tokens: list[int] = []
        self.done = False
        self.accepted = 0
        sampling = row.prompt.sampling
        self.generator: Any = None
        if sampling.temperature > 0:
            # A generator of its own for every prompt: who else is in the batch cannot change the draw.
            self.generator = torch.Generator().manual_seed(row.prompt.seed % 2**63)
        draft = [] if self.generator else list(row.draft[: row.budget])
        end = next((at for at, token in enumerate(draft) if token in stop_ids), len(draft))
        self._follower = Follower(draft[: end + 1]) if draft else None

    def write(self, token: int) -> None:
        """Append a token to the answer."""
        self.tokens.append(token)
        if self._follower is not None:
            self._follower.wrote(self.tokens)

    def piece(self, limit: int) -> list[int]:
        """Return the tokens to feed next: the last one, and what its draft foretells after it."""
        most = min(limit - 1, self.row.budget - len(self.tokens) - 1)
        if self.done or self._follower is None or most < 1:
            return self.tokens[-1:]
        return [self.tokens[-1], *self._follower.ahead(most)]

    def right(self, piece: Sequence[int], logits: Any, best: Sequence[int]) -> int:
        """Return how many tokens after the first of a piece are what the row would have written itself.

        `logits` [tokens, vocabulary] and their `best` tokens stand after each token of the piece.
        """
        for at, token in enumerate(piece[1:]):
            own = best[at] if self.way is None else self.way.best(logits[at], best[at])
            if own != token:
                if self.way is not None:
                    self.way.back()
                return at
        return len(piece) - 1


def run_batch(batch: Batch, rows: Sequence[Row], writer: Writer) -> Generator[Finished, None, None]:
    """Generate for all rows of a batch and yield each as it finishes.

    Whatever the model raises comes through; rows that were not yielded by then have to be run again.
    """
    live = [_Live(row, writer.stop_ids, writer.way(row.prompt)) for row in rows]
    logits = batch.prefill()
    slots = max(row.room for row in rows)
    record = Record()
    chosen = _choose(logits, live)
    while True:
        for state, token in zip(live, chosen, strict=True):
            if state.done:
                continue
            state.write(token)
            stopped = token in writer.stop_ids
            if stopped or len(state.tokens) >= state.row.budget:
                state.done = True
                reason: FinishReason = "stop" if stopped else "length"
                yield Finished(
                    state.row,
                    writer.generation(state.row.prompt, state.tokens, reason),
                    state.tokens,
                    state.accepted,
                )
        left = [index for index, state in enumerate(live) if not state.done]
        if not left:
            return
        if len(live) - len(left) >= max(1, len(live) // _COMPACT_SHARE):
            batch.keep(left)
            live = [live[index] for index in left]
        # What a row drops of a piece takes slots of the cache all the same; those that answers may need yet stay free.
        limit = max(1, min(_PIECE, _MAX_LOGITS // (len(live) * logits.shape[-1])))
        spare = slots - max(state.row.budget - len(state.tokens) for state in live if not state.done)
        pieces = _pieces(live, min(limit, spare + 1), logits.device, record.trust)
        slots -= max(map(len, pieces))
        chosen = _next_tokens(batch, live, pieces, logits.device, record)


def _pieces(live: Sequence[_Live], limit: int, device: Any, trust: float) -> list[list[int]]:
    """Return what to feed to every row: its last token, and as much of its draft as is worth checking."""
    pieces = [state.piece(limit) for state in live]
    known = [len(piece) for state, piece in zip(live, pieces, strict=True) if not state.done]
    length = piece_length(known, len(live), step_tokens_on(device.type), trust)
    return [piece[:length] for piece in pieces]


def _next_tokens(
    batch: Batch, live: Sequence[_Live], pieces: list[list[int]], device: Any, record: Record
) -> list[int]:
    """Return the next token of every row, after appending to rows what their drafts had right before it."""
    longest = max(map(len, pieces))
    if longest == 1:
        fed = torch.tensor([piece[0] for piece in pieces], device=device)
        return list(_choose(batch.step(fed), live))
    logits = batch.check(pieces)
    would_write = logits.argmax(-1).tolist()
    right = [
        state.right(piece, own_logits, own)
        for state, piece, own_logits, own in zip(live, pieces, logits, would_write, strict=True)
    ]
    batch.accept([count + 1 for count in right], longest)
    for state, piece, count in zip(live, pieces, right, strict=True):
        for token in piece[1 : count + 1]:
            state.write(token)
        state.accepted += count
        # What stands behind a token that did not hold says nothing of the draft.
        record.checked += min(count + 1, len(piece) - 1)
        record.held += count
    last = torch.tensor(right, device=logits.device)
    return list(_choose(logits[torch.arange(len(pieces), device=logits.device), last], live))


@torch.inference_mode()
def _choose(logits: Any, live: Sequence[_Live]) -> list[int]:
    """Return the next token of every row (anything for rows that are done).

    Raises FloatingPointError for logits that are no numbers (an overflow in fp16, say): whatever were picked from them
    would look like an answer.
    """
    best = logits.argmax(-1, keepdim=True)  # of NaN and numbers it is the NaN
    sound = logits.gather(-1, best).isfinite()[:, 0].tolist()
    if not all(fine or state.done for fine, state in zip(sound, live, strict=True)):
        raise FloatingPointError("the model's logits are not numbers; try another dtype")
    chosen: list[int] = best[:, 0].tolist()
    for index, state in enumerate(live):
        if state.done:
            continue
        if state.generator is None:
            if state.way is not None:
                chosen[index] = state.way.best(logits[index], chosen[index])
            continue
        allowed = logits[index] if state.way is None else state.way.allowed(logits[index])
        chosen[index] = sample(allowed, state.row.prompt.sampling, state.generator)
        if state.way is not None:
            state.way.take(chosen[index])
    return chosen


def sample(logits: Any, sampling: Sampling, generator: Any) -> int:
    """Draw one token from logits [vocabulary]: temperature, then top_k, then top_p, as transformers orders them.

    On the CPU in fp32, whatever the model runs on, so that a seed means the same draw everywhere.
    """
    scores, order = torch.sort(logits.float().cpu() / sampling.temperature, descending=True, stable=True)
    # What cannot be drawn must not be drawn by rounding either.
    scores = scores[: int((scores > float("-inf")).sum())]
    if sampling.top_k > 0:
        scores = scores[: sampling.top_k]
    chances = torch.softmax(scores, dim=-1)
    if sampling.top_p < 1:
        before = chances.cumsum(-1) - chances
        chances = chances[before < sampling.top_p]
    sums = chances.double().cumsum(-1)
    drawn = torch.rand((), generator=generator, dtype=torch.float64) * sums[-1]
    place = int(torch.searchsorted(sums, drawn, right=True))
    return int(order[min(place, len(sums) - 1)])
