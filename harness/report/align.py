"""Expected and actual calls side by side, argument by argument, for reading only.

The marks compare JSON values exactly (a number equals the same number written otherwise, true is not 1). They
explain a verdict and never make one: what counts is what scoring said.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.report.text import Clipped, clip, json_text, markup_cost

Mark = Literal["ok", "wrong", "missing", "extra", "optional"]

MAX_CALLS = 12
MAX_ROWS = 40
MAX_ACCEPTED = 5
VALUE_BYTES = 400
BUDGET_BYTES = 6_000
ROW_BYTES = 330


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentRow:
    """One argument: what was accepted (None: not expected), what came (None: not there).

    `before` is what a baseline wrote, judged by `before_mark`; both None where there is no baseline's call beside it.
    """

    name: str
    expected: Clipped | None
    actual: Clipped | None
    mark: Mark
    before: Clipped | None = None
    before_mark: Mark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPair:
    """One expected call beside the actual call that fits it best; either may be absent.

    `before` is the tool of a baseline's call that fits best, judged by `before_mark` (None without a baseline).
    """

    expected: str | None
    actual: str | None
    mark: Mark
    note: str
    rows: tuple[ArgumentRow, ...]
    rows_omitted: int
    before: str | None = None
    before_mark: Mark | None = None


class Budget:
    """What argument values of one sample may still take in the page, so that one sample cannot fill it."""

    def __init__(self, limit: int = BUDGET_BYTES) -> None:
        self.left = limit
        self.spent = 0

    def clip(self, text: str, limit: int = VALUE_BYTES) -> Clipped:
        """Clip to `limit` or to what is left, whichever is less."""
        kept = clip(text, min(limit, self.left))
        cost = markup_cost(kept.text)
        self.left = max(0, self.left - cost)
        self.spent += cost
        return kept

    def row(self) -> None:
        """Count the markup around one row."""
        self.spent += ROW_BYTES


def json_equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are the same value."""
    try:
        return _equal(left, right)
    except RecursionError:
        return False


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _arguments(call: Mapping[str, Any] | None) -> Mapping[str, Any]:
    arguments = call.get("arguments") if call else None
    return arguments if isinstance(arguments, Mapping) else {}


def _accepted(gold: Any) -> tuple[list[Any], bool]:
    if not isinstance(gold, Mapping):
        return [gold], False
    accept = gold.get("accept")
    return (accept if isinstance(accept, list) else []), bool(gold.get("optional"))


def _fit(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> tuple[int, int]:
    same_name = expected.get("name") == actual.get("name")
    got = _arguments(actual)
    right = sum(
        any(json_equal(got[key], value) for value in _accepted(gold)[0])
        for key, gold in _arguments(expected).items()
        if key in got
    )
    return int(same_name), right


def _pairs(
    expected: Sequence[Mapping[str, Any]], actual: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]]:
    """Pair best fits first, among equals in order; other names pair only when nothing else is left."""
    fits = sorted(
        (
            (-name, -right, i, j)
            for i, gold in enumerate(expected)
            for j, call in enumerate(actual)
            for name, right in [_fit(gold, call)]
        )
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, i, j in fits:
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    pairs: list[tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]] = [
        (gold, actual[partner[i]] if i in partner else None) for i, gold in enumerate(expected)
    ]
    return pairs + [(None, call) for j, call in enumerate(actual) if j not in taken]


def _mark(name: str, gold: Any, got: Mapping[str, Any], expected: bool) -> Mark:
    accept, optional = _accepted(gold)
    if not expected:
        return "extra"
    if name not in got:
        return "optional" if optional else "missing"
    return "ok" if any(json_equal(got[name], value) for value in accept) else "wrong"


def _wanted(gold: Any, budget: Budget) -> Clipped:
    accept = _accepted(gold)[0]
    more = len(accept) - MAX_ACCEPTED
    choices = " or ".join(json_text(value) for value in accept[:MAX_ACCEPTED]) or "(nothing accepted)"
    return budget.clip(choices + (f" or {more} more" if more > 0 else ""))


def _row(
    name: str,
    gold: Any,
    got: Mapping[str, Any],
    expected: bool,
    before: Mapping[str, Any] | None,
    budget: Budget,
) -> ArgumentRow:
    budget.row()
    row = ArgumentRow(
        name=budget.clip(name, 120).text,
        expected=_wanted(gold, budget) if expected else None,
        actual=budget.clip(json_text(got[name])) if name in got else None,
        mark=_mark(name, gold, got, expected) if expected or name in got else "ok",
    )
    if before is None:
        return row
    return replace(
        row,
        before=budget.clip(json_text(before[name])) if name in before else None,
        before_mark=_mark(name, gold, before, expected) if expected or name in before else "ok",
    )


def _name(call: Mapping[str, Any] | None, budget: Budget) -> str | None:
    if call is None:
        return None
    name = call.get("name")
    return budget.clip(name, 200).text if isinstance(name, str) and name else "(no name)"


def _call_mark(gold: Mapping[str, Any] | None, call: Mapping[str, Any] | None) -> Mark:
    if gold is None:
        return "ok" if call is None else "extra"
    if call is None:
        return "missing"
    return "ok" if gold.get("name") == call.get("name") else "wrong"


def _pair(
    gold: Mapping[str, Any] | None,
    call: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None,
    compared: bool,
    budget: Budget,
) -> CallPair:
    wanted, got, was = _arguments(gold), _arguments(call), _arguments(before)
    names = [(name, True) for name in wanted]
    names += [(name, False) for name in dict.fromkeys([*got, *was]) if name not in wanted]
    budget.row()
    shapeless = call is not None and not isinstance(call.get("arguments"), Mapping)
    return CallPair(
        expected=_name(gold, budget),
        actual=_name(call, budget),
        mark=_call_mark(gold, call),
        note="The arguments of this call are not a JSON object." if shapeless else "",
        rows=tuple(
            _row(name, wanted.get(name), got, known, was if compared else None, budget)
            for name, known in names[:MAX_ROWS]
        ),
        rows_omitted=max(0, len(names) - MAX_ROWS),
        before=_name(before, budget) if compared else None,
        before_mark=_call_mark(gold, before) if compared else None,
    )


def align(
    expected: Sequence[Mapping[str, Any]],
    actual: Sequence[Mapping[str, Any]],
    budget: Budget,
    before: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[tuple[CallPair, ...], int]:
    """Return the pairs to show and how many calls are not shown.

    `before` holds a baseline's calls, each beside the expected call that it fits best; calls that nobody expected stand
    beside each other in order.
    """
    wanted = expected[:MAX_CALLS]
    pairs = _pairs(wanted, actual[:MAX_CALLS])
    omitted = max(0, len(expected) - MAX_CALLS) + max(0, len(actual) - MAX_CALLS)
    if before is None:
        return tuple(_pair(gold, call, None, False, budget) for gold, call in pairs), omitted
    omitted += max(0, len(before) - MAX_CALLS)
    was = [call for _, call in _pairs(wanted, before[:MAX_CALLS])]
    nothing = (None, None)
    rows = itertools.zip_longest(pairs, was, fillvalue=None)
    return tuple(_pair(*(pair or nothing), one, True, budget) for pair, one in rows), omitted
