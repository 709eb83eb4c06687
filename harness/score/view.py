"""One reply read for scoring: what the metrics share, worked out once.

`view_of` remembers the last reply, because the metrics of one sample are asked one after another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from harness.score.assignment import heaviest_pairs
from harness.score.call_match import (
    ArgumentCounts,
    CallFits,
    calls_match,
    count_arguments,
    extra_call,
    semantic_fits,
    strict_fits,
    unpaired_gold,
)
from harness.score.hostile import is_hostile
from harness.score.schema_check import CompiledTool, Violation, compiled
from harness.score.shape import Shape, keys_with_schema
from harness.types import ParsedReply, Sample, ToolCall

T = TypeVar("T")
_NAME_WEIGHT = 1
_VALUE_WEIGHT = 1000


class once(Generic[T]):
    """An attribute worked out when it is first asked for, as functools.cached_property but without its lock."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> T:
        value = instance.__dict__[self._name] = self._make(instance)
        return value


class Called(NamedTuple):
    """A readable call: its place among the reply's calls, and its tool (None if the tool was not offered)."""

    place: int
    call: ToolCall
    tool: CompiledTool | None
    hostile: bool


class Pair(NamedTuple):
    """An expected and a predicted call of one name, by index in `sample.gold` and `view.called`."""

    gold: int
    called: int
    counts: ArgumentCounts


class Keys(NamedTuple):
    """How many argument names a schema could judge, and those that it does not have: (call, path)."""

    checked: int
    invented: tuple[tuple[Called, str], ...]


class View:
    """A sample and a reply, with everything that more than one metric needs."""

    def __init__(self, sample: Sample, reply: ParsedReply) -> None:
        self.sample = sample
        self.reply = reply
        self.attempted = reply.attempted
        specs = {tool.name: tool for tool in reversed(sample.tools)}
        called = []
        broken = len(reply.errors)
        for index, found in enumerate(reply.calls):
            if found.name is None or found.arguments is None:
                broken += 1
                continue
            spec = specs.get(found.name)
            arguments = found.arguments if isinstance(found.arguments, dict) else dict(found.arguments)
            call = ToolCall(name=found.name, arguments=arguments)
            called.append(Called(index, call, compiled(spec) if spec else None, is_hostile(arguments)))
        self.called = tuple(called)
        self.offered = specs.keys()
        unread = reply.status in ("malformed", "truncated")
        # A dialect may call a reply malformed for a call that it still could read: that call is no further attempt.
        self.broken = broken or int(unread and not called)
        self.readable = not unread and not broken

    @once
    def calls(self) -> tuple[ToolCall, ...]:
        """The readable calls."""
        return tuple(entry.call for entry in self.called)

    @once
    def shapes(self) -> dict[str, Shape]:
        """The parameters of the tools that were called."""
        return {entry.call.name: entry.tool.shape for entry in self.called if entry.tool}

    @once
    def names(self) -> Counter[str]:
        """The multiset of called names."""
        return Counter(call.name for call in self.calls)

    @once
    def gold_names(self) -> Counter[str]:
        """The multiset of expected names."""
        return Counter(call.name for call in self.sample.gold)

    @once
    def names_exact(self) -> bool:
        """Whether every attempt is readable and the names are gold's, in order where order counts."""
        if not self.readable or len(self.called) != len(self.sample.gold):
            return False
        if self.sample.order == "strict" or len(self.called) == 1:
            return all(
                call.name == gold.name for call, gold in zip(self.calls, self.sample.gold, strict=True)
            )
        return self.names == self.gold_names

    def _exact(self, fits: CallFits) -> bool:
        if not self.names_exact or any(entry.hostile for entry in self.called):
            return False
        sample = self.sample
        return calls_match(sample.gold, self.calls, self.shapes, fits, in_order=sample.order == "strict")

    @once
    def strict(self) -> bool:
        """Whether every attempt is readable and the calls are gold's at the strict level."""
        return self._exact(strict_fits)

    @once
    def semantic(self) -> bool:
        """Whether every attempt is readable and the calls are gold's at the semantic level."""
        return self.strict or self._exact(semantic_fits)

    @once
    def only_misordered(self) -> bool:
        """Whether the calls would be gold's at the strict level if their order did not count."""
        if self.sample.order != "strict" or not self.readable or any(entry.hostile for entry in self.called):
            return False
        return not self.strict and calls_match(
            self.sample.gold, self.calls, self.shapes, strict_fits, in_order=False
        )

    @once
    def pairs(self) -> tuple[Pair, ...]:
        """Expected and predicted calls of equal name, paired so that the most values agree, then the most names."""
        found: list[Pair] = []
        for name in self.gold_names.keys() & self.names.keys():
            rows = [index for index, gold in enumerate(self.sample.gold) if gold.name == name]
            columns = [index for index, call in enumerate(self.calls) if call.name == name]
            counts = [[self._count(row, column) for column in columns] for row in rows]
            weights = [
                [cell.right * _VALUE_WEIGHT + cell.named * _NAME_WEIGHT for cell in line] for line in counts
            ]
            found += [Pair(rows[r], columns[c], counts[r][c]) for r, c in heaviest_pairs(weights)]
        return tuple(sorted(found))

    @once
    def argument_counts(self) -> ArgumentCounts:
        """Argument counts over all calls of the sample, paired or not."""
        if self.strict:
            right = sum(len(call.arguments) for call in self.calls)
            return ArgumentCounts(right, right, right, right)
        parts = [pair.counts for pair in self.pairs]
        if len(parts) == 1 and len(self.calls) == 1 and len(self.sample.gold) == 1:
            return parts[0]
        paired_gold = {pair.gold for pair in self.pairs}
        paired_calls = {pair.called for pair in self.pairs}
        parts += [unpaired_gold(gold) for i, gold in enumerate(self.sample.gold) if i not in paired_gold]
        parts += [extra_call(call.arguments) for i, call in enumerate(self.calls) if i not in paired_calls]
        return ArgumentCounts(
            sum(part.right for part in parts),
            sum(part.named for part in parts),
            sum(part.predicted for part in parts),
            sum(part.expected for part in parts),
        )

    def _count(self, row: int, column: int) -> ArgumentCounts:
        call, gold = self.calls[column], self.sample.gold[row]
        if self.called[column].hostile:
            return count_arguments(call.arguments, gold, None, lambda value, accept, shape: False)
        return count_arguments(call.arguments, gold, self.shapes.get(call.name))

    @once
    def violations(self) -> tuple[tuple[Violation, ...], ...]:
        """For each readable call what is wrong with its arguments; empty for a tool that was not offered."""
        return tuple(
            entry.tool.violations(entry.call.arguments, hostile=entry.hostile) if entry.tool else ()
            for entry in self.called
        )

    @once
    def keys(self) -> Keys:
        """The argument names of calls of offered tools, held against the schemas."""
        checked = 0
        invented: list[tuple[Called, str]] = []
        for entry in self.called:
            if entry.tool is None or entry.hostile:
                continue
            for path, declared in keys_with_schema(entry.call.arguments, entry.tool.shape):
                checked += 1
                if not declared:
                    invented.append((entry, path))
        return Keys(checked, tuple(invented))


_last: View | None = None


def view_of(sample: Sample, reply: ParsedReply) -> View:
    """Return the view of one reply."""
    global _last
    view = _last
    if view is None or view.sample is not sample or view.reply is not reply:
        view = _last = View(sample, reply)
    return view
