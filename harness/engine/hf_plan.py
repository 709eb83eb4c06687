"""Which prompts share which prefix, and which rows run together. Plain Python: no tensor, no torch.

A window of prompts is sorted by its token ids; neighbours then share the longest prefixes, and the prefixes form a
tree. A node of the tree is worth computing once if that saves enough prompt tokens. Every prompt becomes a row: the
node whose keys and values it reuses, and its own remaining tokens (at least one, since its logits are needed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from harness.types import Prompt

MIN_SAVED_TOKENS = 128
"""A shared prefix must save this many prompt tokens: each one costs a forward pass of its own and two small matrix
products a layer in every decoding step of the batches that use it (an estimate, not tuned)."""

MAX_PREFIXES = 16
"""Different prefixes within one batch, and alive between batches."""

PATIENCE = 20
"""Clean batches before the budget grows again."""

STEP_TOKENS, _STEP_TOKENS_GPU = 30, 200
"""A decoding step reads all weights; that takes as long as computing about this many prompt tokens. Measured on a CPU in
fp32; on a GPU an estimate, from the operations in 16 bit that it does while it reads the two bytes of a weight."""

SEGMENT_SLOTS, _SEGMENT_SLOTS_GPU = 400, 20_000
"""A prefix more costs a decoding step as much as attending to this many padded slots beyond those of its prompt: its operations
are small and many, and it is computed in a pass of its own (spread over a usual answer). Measured on a CPU with a model of 135M
parameters; on a GPU an estimate, from the time that it takes to start them."""

USUAL_ANSWER = 40
"""Tokens of an answer for which another batch is weighed against padding: most end long before their budget."""


@dataclass(slots=True, eq=False)
class PrefixNode:
    """A prefix of `length` tokens (the first ones of `tokens`) that several rows share; `parent` is a shorter one.

    `state` is whatever the backend computed for it, None while it has not.
    """

    tokens: tuple[int, ...]
    length: int
    parent: PrefixNode | None
    state: Any = None


@dataclass(slots=True, eq=False)
class Row:
    """One prompt to run: the first `shared` tokens come from `node`, the rest are its own.

    `draft` is an answer that the model may be about to give; it is checked token by token, and only saves time.
    """

    prompt: Prompt
    node: PrefixNode | None
    shared: int
    draft: tuple[int, ...] = ()

    @property
    def own(self) -> tuple[int, ...]:
        """The tokens that must be computed for this row alone."""
        return tuple(self.prompt.token_ids)[self.shared :]

    @property
    def own_length(self) -> int:
        return len(self.prompt.token_ids) - self.shared

    @property
    def budget(self) -> int:
        """How many tokens may be generated."""
        return self.prompt.sampling.max_new_tokens

    @property
    def room(self) -> int:
        """Cache slots for the answer, and for as much as its draft twice over: what is checked and dropped stays empty."""
        return self.budget + 2 * len(self.draft)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two sequences share."""
    limit = min(len(first), len(second))
    if first[:limit] == second[:limit]:
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(slots=True, eq=False)
class _Branch:
    """A node of the tree of all common prefixes, before it is decided which are worth computing."""

    length: int
    prompts: list[Prompt] = field(default_factory=list)
    children: list[_Branch] = field(default_factory=list)
    keep: bool = False


def plan_rows(prompts: Sequence[Prompt], *, share: bool, min_saved: int = MIN_SAVED_TOKENS) -> list[Row]:
    """Return one row a prompt, rows that share a prefix next to each other, the longest of them first.

    Without `share` every row stands alone, longest first.
    """
    if not share:
        rows = [Row(prompt, None, 0) for prompt in prompts]
        return sorted(rows, key=_longest_first)
    root = _tree(sorted(prompts, key=lambda prompt: tuple(prompt.token_ids)))
    _decide(root, min_saved)
    rows = []
    pending: list[tuple[_Branch, PrefixNode | None]] = [(root, None)]
    direct: dict[int, tuple[PrefixNode | None, list[Row]]] = {}
    while pending:
        branch, node = pending.pop()
        if branch.keep:
            node = PrefixNode(tuple(_any_prompt(branch).token_ids), branch.length, node)
        group = direct.setdefault(id(node), (node, []))[1]
        for prompt in branch.prompts:
            shared = min(node.length, len(prompt.token_ids) - 1) if node else 0
            group.append(Row(prompt, node, shared))
        pending += [(child, node) for child in reversed(branch.children)]
    for _, group in direct.values():
        rows += sorted(group, key=_longest_first)
    return rows


def _longest_first(row: Row) -> tuple[int, int]:
    return (-row.own_length, -row.budget)


def _any_prompt(branch: _Branch) -> Prompt:
    while not branch.prompts:
        branch = branch.children[0]
    return branch.prompts[0]


def _tree(ordered: Sequence[Prompt]) -> _Branch:
    """Return the tree of common prefixes of prompts sorted by token ids (the classic stack over neighbours)."""
    root = _Branch(0)
    stack = [root]
    for index, prompt in enumerate(ordered):
        following = ordered[index + 1].token_ids if index + 1 < len(ordered) else ()
        length = common_prefix(prompt.token_ids, following)
        if length > stack[-1].length:
            stack.append(_Branch(length))
        stack[-1].prompts.append(prompt)
        while stack[-1].length > length:
            done = stack.pop()
            if stack[-1].length < length:
                stack.append(_Branch(length))
            stack[-1].children.append(done)
    while len(stack) > 1:
        done = stack.pop()
        stack[-1].children.append(done)
    return root


def _decide(root: _Branch, min_saved: int) -> None:
    """Mark the branches whose own stretch of tokens, computed once, saves `min_saved` tokens or more."""
    order: list[tuple[_Branch, int]] = []
    pending = [(root, 0)]
    while pending:
        branch, above = pending.pop()
        order.append((branch, above))
        pending += [(child, branch.length) for child in branch.children]
    users: dict[int, int] = {}
    for branch, above in reversed(order):
        count = len(branch.prompts) + sum(users[id(child)] for child in branch.children)
        branch.keep = (count - 1) * (branch.length - above) >= min_saved
        users[id(branch)] = 1 if branch.keep else count


@dataclass(slots=True)
class Budget:
    """How large a batch may be: `tokens` of cache over all rows (own, generated and shared ones), and `rows`.

    Halved when memory runs out, doubled back towards the start after PATIENCE clean batches.
    """

    tokens: int
    rows: int
    _start: tuple[int, int] = (0, 0)
    _clean: int = 0

    def __post_init__(self) -> None:
        self._start = (self.tokens, self.rows)

    def halve(self, batch: Sequence[Row]) -> None:
        """Allow half of what the batch that failed took."""
        self.tokens = max(1, min(self.tokens, batch_tokens(batch)) // 2)
        self.rows = max(1, min(self.rows, len(batch)) // 2)
        self._clean = 0

    def reset(self) -> None:
        """Go back to the start: what failed was one prompt, not the size of a batch."""
        self.tokens, self.rows = self._start
        self._clean = 0

    def clean(self) -> bool:
        """Count a batch that ran; return True if the budget grew."""
        self._clean += 1
        if self._clean < PATIENCE or (self.tokens, self.rows) == self._start:
            return False
        self._clean = 0
        self.tokens = min(self._start[0], self.tokens * 2)
        self.rows = min(self._start[1], self.rows * 2)
        return True


def step_tokens_on(device: str) -> int:
    """Return how many prompt tokens cost as much as a decoding step on a device ("cpu", "cuda", ...)."""
    return STEP_TOKENS if device == "cpu" else _STEP_TOKENS_GPU


def segment_slots_on(device: str) -> int:
    """Return how many padded slots cost as much as one prefix more in a batch on a device ("cpu", "cuda", ...)."""
    return SEGMENT_SLOTS if device == "cpu" else _SEGMENT_SLOTS_GPU


def batch_tokens(batch: Sequence[Row]) -> int:
    """Return the cache slots that a batch takes: padded rows, and each shared prefix once."""
    width = max((row.own_length for row in batch), default=0) + max((row.room for row in batch), default=0)
    shared = {id(row.node): row.node.length for row in batch if row.node}
    return len(batch) * width + sum(shared.values())


def detach_long(batch: Sequence[Row], segment_slots: int) -> list[tuple[Row, PrefixNode | None, int]]:
    """Give the longest rows of a batch prefixes that no other row shares, so that the others are not padded to their length.

    In every step a padded batch attends to rows times its longest row; a prefix more costs its whole prompt, the shared part
    of which it holds a second time, and as much as `segment_slots` slots beyond. As many rows are taken out as make the least
    of both, so the batch takes less memory than before. Returns what these rows had before: row, node and shared tokens.
    """
    ordered = sorted(batch, key=_longest_first)
    room = max(0, MAX_PREFIXES - len({id(row.node) for row in batch if row.node}))
    least, best = len(ordered) * ordered[0].own_length, 0
    apart = 0
    for count, (row, following) in enumerate(pairwise(ordered[: room + 1]), start=1):
        apart += len(row.prompt.token_ids) + segment_slots
        slots = apart + len(ordered) * following.own_length
        if slots < least:
            least, best = slots, count
    before = [(row, row.node, row.shared) for row in ordered[:best]]
    for row in ordered[:best]:
        length = len(row.prompt.token_ids) - 1
        row.node = PrefixNode(tuple(row.prompt.token_ids), length, row.node)
        row.shared = length
    return before


def prefill_groups(lengths: Sequence[int], step_tokens: int) -> list[list[int]]:
    """Return which rows of a batch are computed in one pass: places, longest rows first, in order within a group.

    A group ends where its padding would cost more than a pass of its own does beyond its tokens, `step_tokens`.
    """
    groups: list[list[int]] = []
    padding = longest = 0
    for place in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        padding += longest - lengths[place]
        if not groups or padding > step_tokens:
            groups.append([])
            padding, longest = 0, lengths[place]
        groups[-1].append(place)
    return [sorted(group) for group in groups]


def take_batch(
    rows: Sequence[Row],
    budget: Budget,
    *,
    padded: bool = True,
    step_tokens: int = STEP_TOKENS,
    padding_cost: float = 1.0,
) -> list[Row]:
    """Return rows that run together within the budget, at least one; those with the same prefix next to each other.

    They are the longest of the first rows, so that rows of like length meet, whatever prefix they use. A batch ends
    where its padding (`padding_cost` computed tokens a slot) would cost more than the decoding steps of another batch
    (`step_tokens` each). Without `padded` only rows of equal length run together (for models that padding would change).
    """
    candidates, shared = _candidates(rows, budget)
    batch: list[Row] = []
    longest = answer = own = 0
    for row in sorted(candidates, key=_longest_first):
        length = row.own_length
        if batch:
            wide, count = max(answer, row.room), len(batch) + 1
            full = count > budget.rows or count * (longest + wide) + shared > budget.tokens
            loose = padding_cost * (count * longest - own - length) > step_tokens * min(wide, USUAL_ANSWER)
            if full or loose or (not padded and length != longest):
                break
        batch.append(row)
        longest, answer, own = max(longest, length), max(answer, row.room), own + length
    together: dict[tuple[int, int], list[Row]] = {}
    for row in batch:
        together.setdefault((id(row.node), row.shared), []).append(row)
    return [row for group in together.values() for row in group]


def _candidates(rows: Sequence[Row], budget: Budget) -> tuple[Sequence[Row], int]:
    """Return the first rows whose prefixes may be alive together, and how many cache slots these prefixes take.

    Prefixes stay alive until their last row has run, so rows that are left over stay among the first.
    """
    alive: set[int] = set()
    slots = 0
    for index, row in enumerate(rows):
        if row.node is None or id(row.node) in alive:
            continue
        more = slots + row.node.length
        if alive and (len(alive) >= MAX_PREFIXES or more > budget.tokens // 2):
            return rows[:index], slots
        alive.add(id(row.node))
        slots = more
    return rows, slots
