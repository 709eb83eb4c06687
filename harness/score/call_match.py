"""Does a predicted call equal an expected one, and do all of them: at the strict and at the semantic level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.score.assignment import perfect_matching
from harness.score.shape import Shape
from harness.score.value_match import Equal, accepted, is_default, semantic_equal, strict_equal
from harness.types import GoldCall, Json, ToolCall

CallFits = Callable[[ToolCall, GoldCall, Shape | None], bool]
"""A level of exactness: whether the arguments of a call are gold's. Only asked about calls of equal name."""


def strict_fits(call: ToolCall, gold: GoldCall, shape: Shape | None) -> bool:
    """Every argument accepted exactly; only optional ones may be absent; nothing that gold does not name."""
    arguments, expected = call.arguments, gold.arguments
    if not arguments.keys() <= expected.keys():
        return False
    for key, argument in expected.items():
        if key in arguments:
            child = shape.child(key) if shape else None
            if not accepted(arguments[key], argument.accept, child, strict_equal):
                return False
        elif not argument.optional:
            return False
    return True


def semantic_fits(call: ToolCall, gold: GoldCall, shape: Shape | None) -> bool:
    """As strict, with semantic values; leaving out an optional parameter and giving its default are the same."""
    arguments, expected = call.arguments, gold.arguments
    for key in dict.fromkeys([*expected, *arguments]):
        child = shape.child(key) if shape else None
        needed = shape is not None and key in shape.required
        argument = expected.get(key)
        if argument is None:
            if needed or not is_default(arguments[key], child):
                return False
        elif key in arguments:
            if not accepted(arguments[key], argument.accept, child, semantic_equal):
                return False
        elif not argument.optional and (
            needed or not any(is_default(value, child) for value in argument.accept)
        ):
            return False
    return True


def calls_match(
    gold: Sequence[GoldCall],
    calls: Sequence[ToolCall],
    shapes: Mapping[str, Shape],
    fits: CallFits,
    *,
    in_order: bool,
) -> bool:
    """Return whether the calls are gold's: one by one where their order counts, else under some pairing of all."""
    if len(calls) != len(gold):
        return False

    def pair_fits(row: int, column: int) -> bool:
        expected, call = gold[row], calls[column]
        return expected.name == call.name and fits(call, expected, shapes.get(call.name))

    if in_order or len(gold) == 1:
        return all(pair_fits(index, index) for index in range(len(gold)))
    return perfect_matching(len(gold), pair_fits)


@dataclass(frozen=True, slots=True)
class ArgumentCounts:
    """What one pairing says about arguments. F1 = 2 · right / (predicted + expected)."""

    right: int
    named: int
    predicted: int
    expected: int


def count_arguments(
    arguments: Mapping[str, Json], gold: GoldCall, shape: Shape | None, equal: Equal = strict_equal
) -> ArgumentCounts:
    """Count one pair of calls.

    `named`: keys in both; `right`: of these, value accepted; `predicted`: keys of the call, but for unexpected ones that
    only spell out the default of an optional parameter; `expected`: gold's keys, but for optional ones left out.
    """
    right = named = 0
    predicted = len(arguments)
    for key, value in arguments.items():
        child = shape.child(key) if shape else None
        argument = gold.arguments.get(key)
        if argument is not None:
            named += 1
            right += accepted(value, argument.accept, child, equal)
        elif shape is not None and key not in shape.required and is_default(value, child):
            predicted -= 1
    expected = sum(key in arguments or not argument.optional for key, argument in gold.arguments.items())
    return ArgumentCounts(right, named, predicted, expected)


def unpaired_gold(gold: GoldCall) -> ArgumentCounts:
    """Count an expected call that was not made: every argument it needs is missing."""
    return ArgumentCounts(0, 0, 0, sum(not argument.optional for argument in gold.arguments.values()))


def extra_call(arguments: Mapping[str, Json]) -> ArgumentCounts:
    """Count a call that was not expected: every argument is too many."""
    return ArgumentCounts(0, 0, len(arguments), 0)
