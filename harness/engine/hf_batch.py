"""A batch of rows on a transformers model: prefill, one step after another, rows dropped as they finish.

`SharedBatch` keeps shared prefixes once and each row's own keys in a cache that is allocated once. `PlainBatch` is
transformers' own cache with left padding, for models whose layers are not all plain full attention.
"""

# mypy: disable-error-code="untyped-decorator, misc"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from harness.engine.hf_attention import ACTIVE, Segment
from harness.engine.hf_plan import PrefixNode, Row, prefill_groups, step_tokens_on


class OwnLayer(DynamicLayer):
    """One layer's keys and values in tensors of full size from the start, so that a step copies one token only."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        rows, heads, _, size = key_states.shape
        self.keys = key_states.new_empty((rows, heads, self.capacity, size))
        self.values = value_states.new_empty((rows, heads, self.capacity, value_states.shape[-1]))
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.length

    def take(self, part: OwnLayer, rows: Any, count: int, length: int) -> None:
        """Take what was computed for some of `count` rows, its end at `length`; what stands before it is zero."""
        if not self.is_initialized:
            self.dtype, self.device = part.dtype, part.device
            self.keys, self.values = (
                have.new_empty((count, have.shape[1], self.capacity, have.shape[-1]))
                for have in (part.keys, part.values)
            )
            # Masked, but a product with what may stand there would be NaN all the same.
            self.keys[:, :, :length] = 0
            self.values[:, :, :length] = 0
            self.is_initialized = True
            self.length = length
        self.keys[rows, :, length - part.length : length] = part.keys
        self.values[rows, :, length - part.length : length] = part.values

    def keep(self, rows: Any, first: int) -> None:
        """Go on with some of the rows, and without the slots before `first`."""
        used = self.length - first
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty((len(rows), old.shape[1], self.capacity - first, old.shape[3]))
            new[:, :, :used] = old[:, :, first : self.length].index_select(0, rows)
            setattr(self, name, new)
        self.length = used
        self.capacity -= first


def _forward(model: Any, tokens: Any, mask: Any, positions: Any, cache: Any, last: int = 1) -> Any:
    """Return the logits of the last positions, [rows, last, vocabulary]."""
    out = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=last,
    )
    return out.logits


def _padded(rows: Sequence[tuple[int, ...]], device: Any) -> tuple[Any, Any]:
    """Return left-padded token ids and their mask (True where a token is real), both [rows, longest]."""
    longest = max(map(len, rows))
    tokens = torch.tensor([(0,) * (longest - len(row)) + row for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    real = torch.arange(longest, device=device)[None] >= longest - lengths[:, None]
    return tokens, real


class SharedBatch:
    """Rows over shared prefixes. Needs the attention of `hf_attention` and layers of plain full attention."""

    def __init__(self, model: Any, rows: Sequence[Row], step_tokens: int | None = None) -> None:
        """`step_tokens` bounds the padding of a pass over prompts; None for what the device is known for."""
        self._model = model
        self._step_tokens = step_tokens_on(model.device.type) if step_tokens is None else step_tokens
        self._layer_count = int(model.config.get_text_config(decoder=True).num_hidden_layers)
        self._rows = list(rows)
        self._device = model.device
        self._cache: Any = None

    @torch.inference_mode()
    def prefill(self) -> Any:
        """Compute missing prefixes and every row's own tokens; return the logits [rows, vocabulary]."""
        for row in self._rows:
            if row.node is not None:
                _compute_prefix(self._model, self._layer_count, row.node)
        own = [row.own for row in self._rows]
        longest = max(map(len, own))
        capacity = longest + max(row.room for row in self._rows)
        lengths = torch.tensor([len(tokens) for tokens in own], device=self._device)[:, None]
        self._real = torch.arange(longest, device=self._device)[None] >= longest - lengths
        self._next = lengths + torch.tensor([[row.shared] for row in self._rows], device=self._device)
        self._cache = Cache(layers=[OwnLayer(capacity) for _ in range(self._layer_count)])
        groups = prefill_groups([len(tokens) for tokens in own], self._step_tokens)
        if len(groups) == 1:
            logits = self._prefill(self._rows, self._cache)
        else:
            logits = self._prefill_apart(groups, longest)
        self._segments = segments_of(self._rows)
        return logits

    def _prefill(self, rows: Sequence[Row], cache: Any) -> Any:
        """Compute the own tokens of rows, left padded, into an empty cache; return the last logits [rows, vocabulary]."""
        tokens, real = _padded([row.own for row in rows], self._device)
        shared = torch.tensor([row.shared for row in rows], device=self._device)
        positions = (real.cumsum(1) - 1 + shared[:, None]).clamp_(min=0)
        self._segments = segments_of(rows)
        return self._run(tokens, _causal_mask(real), positions, cache=cache)[:, -1]

    def _prefill_apart(self, groups: Sequence[Sequence[int]], longest: int) -> Any:
        """Compute groups of rows one after another, so that few tokens are padding, and put them side by side."""
        count = len(self._rows)
        logits = None
        for group in groups:
            rows = [self._rows[place] for place in group]
            width = max(row.own_length for row in rows)
            part = Cache(layers=[OwnLayer(width) for _ in range(self._layer_count)])
            found = self._prefill(rows, part)
            places = torch.tensor(group, device=self._device)
            if logits is None:
                logits = found.new_empty((count, found.shape[-1]))
            logits[places] = found
            for layer, computed in zip(self._cache.layers, part.layers, strict=True):
                layer.take(computed, places, count, longest)
                del computed.keys, computed.values
        return logits

    @torch.inference_mode()
    def step(self, tokens: Any) -> Any:
        """Feed one token a row; return the logits [rows, vocabulary]."""
        self._real = torch.cat([self._real, self._real.new_ones(len(tokens), 1)], dim=1)
        positions = self._next
        self._next = positions + 1
        return self._run(tokens[:, None], self._real[:, None, None], positions)[:, -1]

    @torch.inference_mode()
    def check(self, pieces: Sequence[Sequence[int]]) -> Any:
        """Feed one token or more a row; return the logits after each, [rows, longest piece, vocabulary].

        What follows a piece that is shorter is meaningless. `accept` must say next how much of each piece holds.
        """
        longest = max(map(len, pieces))
        tokens = torch.tensor(
            [[*piece, *[0] * (longest - len(piece))] for piece in pieces], device=self._device
        )
        before = self._real[:, None].expand(-1, longest, -1)
        among = torch.ones(longest, longest, dtype=torch.bool, device=self._device).tril()
        mask = torch.cat([before, among.expand(len(pieces), -1, -1)], dim=2)
        ends = torch.tensor([len(piece) - 1 for piece in pieces], device=self._device)[:, None]
        positions = self._next + torch.arange(longest, device=self._device)[None].minimum(ends)
        return self._run(tokens, mask[:, None], positions, longest)

    @torch.inference_mode()
    def accept(self, counts: Sequence[int], longest: int) -> None:
        """Keep the first tokens of the pieces that `check` was fed last, so many of each; hide the rest for good."""
        kept = torch.tensor(counts, device=self._device)[:, None]
        self._real = torch.cat([self._real, torch.arange(longest, device=self._device)[None] < kept], dim=1)
        self._next = self._next + kept

    @torch.inference_mode()
    def keep(self, indices: Sequence[int]) -> None:
        """Go on with the rows at these places, in this order."""
        chosen = torch.tensor(indices, device=self._device)
        self._rows = [self._rows[index] for index in indices]
        self._segments = segments_of(self._rows)
        # Padding that only the rows that are gone needed goes with them.
        first = int(self._real[chosen].int().argmax(1).min())
        self._real, self._next = self._real[chosen, first:], self._next[chosen]
        for layer in self._cache.layers:
            layer.keep(chosen, first)

    def _run(self, tokens: Any, mask: Any, positions: Any, last: int = 1, cache: Any = None) -> Any:
        ACTIVE.segments, ACTIVE.grouped = self._segments, True
        try:
            return _forward(
                self._model, tokens, mask, positions, self._cache if cache is None else cache, last
            )
        finally:
            ACTIVE.segments, ACTIVE.grouped = [], False


def _causal_mask(real: Any) -> Any:
    """Return [rows, 1, n, n]: real tokens up to and with the query; padding sees itself, so that no row is empty."""
    size = real.shape[1]
    before = torch.ones(size, size, dtype=torch.bool, device=real.device).tril()
    itself = torch.eye(size, dtype=torch.bool, device=real.device)
    return ((before & real[:, None]) | itself)[:, None]


def segments_of(rows: Sequence[Row]) -> list[Segment]:
    """Return the runs of neighbouring rows that use the same stretch of the same prefix."""
    segments: list[Segment] = []
    last: tuple[int, int] | None = None
    for index, row in enumerate(rows):
        if row.node is None or row.shared == 0:
            last = None
            continue
        if (id(row.node), row.shared) == last:
            segments[-1].stop = index + 1
            continue
        keys, values = row.node.state
        part = slice(0, row.shared)
        segments.append(Segment(index, index + 1, [k[:, part] for k in keys], [v[:, part] for v in values]))
        last = (id(row.node), row.shared)
    return segments


def _compute_prefix(model: Any, layers: int, node: PrefixNode) -> None:
    """Fill `node.state` with its keys and values, on top of its parent's where it has one."""
    chain = [node]
    while chain[-1].state is None and chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    for current in reversed(chain):
        if current.state is not None:
            continue
        parent = current.parent
        start = parent.length if parent else 0
        tokens = torch.tensor([current.tokens[start : current.length]], device=model.device)
        positions = torch.arange(start, current.length, device=model.device)[None]
        cache = Cache(layers=[OwnLayer(current.length - start) for _ in range(layers)])
        mask = None
        if parent is not None:
            mask = _causal_mask(torch.ones_like(tokens, dtype=torch.bool))
            ACTIVE.segments = [Segment(0, 1, *parent.state)]
        ACTIVE.grouped = parent is not None
        try:
            _forward(model, tokens, mask, positions, cache)
        finally:
            ACTIVE.segments, ACTIVE.grouped = [], False
        keys = [layer.keys[0] for layer in cache.layers]
        values = [layer.values[0] for layer in cache.layers]
        if parent is not None:
            keys = [torch.cat([old, new], dim=1) for old, new in zip(parent.state[0], keys, strict=True)]
            values = [torch.cat([old, new], dim=1) for old, new in zip(parent.state[1], values, strict=True)]
        current.state = (keys, values)


class PlainBatch:
    """Whole prompts, left padded, on the cache that transformers makes for the model."""

    def __init__(self, model: Any, rows: Sequence[Row]) -> None:
        self._model = model
        self._rows = list(rows)
        self._device = model.device

    @torch.inference_mode()
    def prefill(self) -> Any:
        """Compute every prompt; return the logits [rows, vocabulary]."""
        tokens, self._real = _padded([row.prompt.token_ids for row in self._rows], self._device)
        positions = (self._real.cumsum(1) - 1).clamp_(min=0)
        self._next = positions[:, -1:] + 1
        self._cache = DynamicCache(config=self._model.config)
        return _forward(self._model, tokens, self._real.long(), positions, self._cache)[:, -1]

    @torch.inference_mode()
    def step(self, tokens: Any) -> Any:
        """Feed one token a row; return the logits [rows, vocabulary]."""
        self._real = torch.cat([self._real, self._real.new_ones(len(tokens), 1)], dim=1)
        positions = self._next
        self._next = positions + 1
        return _forward(self._model, tokens[:, None], self._real.long(), positions, self._cache)[:, -1]

    @torch.inference_mode()
    def keep(self, indices: Sequence[int]) -> None:
        """Go on with the rows at these places, in this order."""
        chosen = torch.tensor(indices, device=self._device)
        self._real, self._next = self._real[chosen], self._next[chosen]
        self._cache.reorder_cache(chosen)


def all_layers_plain(model: Any) -> bool:
    """Return True if transformers would cache every layer of the model as plain full attention."""
    cache = DynamicCache(config=model.config)
    decoder = model.config.get_text_config(decoder=True)
    expected = getattr(decoder, "num_hidden_layers", None)
    return len(cache.layers) == expected and all(type(layer) is DynamicLayer for layer in cache.layers)


def padding_is_safe(model: Any) -> bool:
    """Return True if every layer is attention, where masked padding cannot change a result."""
    layers = DynamicCache(config=model.config).layers
    return all(isinstance(layer, DynamicLayer) and "Linear" not in type(layer).__name__ for layer in layers)
