"""Does a predicted call equal an expected one, and do all of them: by level.

A level is a rule for one call and a way to pair several. `strict` and `semantic` are here; a further level (such as
BFCL's own rules, with `matching=greedy_matching`) is one more `Level` in `LEVELS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.score.assignment import perfect_matching
from harness.score.shape import Shape
from harness.score.value_match import Equal, accepted, is_default, semantic_equal, strict_equal
from harness.types import GoldCall, Json, Sample, ToolCall

CallFits = Callable[[ToolCall, GoldCall, Shape | None], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How exactly a call must agree. `fits` compares arguments and is only asked about calls of equal name."""

    name: str
    fits: CallFits
    matching: Callable[[int, Callable[[int, int], bool]], bool] = perfect_matching


def strict_fits(call: ToolCall, gold: GoldCall, shape: Shape | None) -> bool:
    """Every argument accepted exactly; only optional ones may be absent; nothing that gold does not name."""
    arguments, expected = call.arguments, gold.arguments
    if any(key not in expected for key in arguments):
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


LEVELS: dict[str, Level] = {
    "strict": Level(name="strict", fits=strict_fits),
    "semantic": Level(name="semantic", fits=semantic_fits),
}


def calls_match(sample: Sample, calls: Sequence[ToolCall], shapes: Mapping[str, Shape], level: Level) -> bool:
    """Return whether the calls are gold's, as a multiset, or in order where the sample's order is strict."""
    gold = sample.gold
    if len(calls) != len(gold):
        return False

    def fits(row: int, column: int) -> bool:
        expected, call = gold[row], calls[column]
        return expected.name == call.name and level.fits(call, expected, shapes.get(call.name))

    if len(gold) == 1:
        return fits(0, 0)
    if sample.order == "strict":
        return all(fits(index, index) for index in range(len(gold)))
    return level.matching(len(gold), fits)


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
