"""Can a regular expression take forever? Told from the expression alone, before any text is matched against it.

Tools may have `pattern` and `patternProperties`, and scoring matches them against what a model wrote, with Python's
backtracking `re`. Its time grows with the number of ways in which one text can be read: the ambiguity of the position
automaton (Glushkov). It is exponential if a state has two different loops on one word, and a polynomial of degree d + 1
if d pairs of loops stand in a chain, each sharing a word with a way from one to the next (Weber and Seidl, "On the degree
of ambiguity of finite automata", 1991; Weideman et al., "Analyzing matching time behavior of backtracking regular
expression matchers", 2016). Only expressions of at most quadratic time are let through.

Counts above `_COPIES` are read as unbounded, which can only refuse more. Constant factors are bounded by length and
number of positions alone.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

MAX_LENGTH = 1000
MAX_POSITIONS = 1000
_COPIES = 16
_MOST_CHAINED = 1
_PLAIN_CHARACTERS = "aZ_0 \t\n-.,é가٣€\U0001f600"

_parser: Any = importlib.import_module("re._parser")
_UNBOUNDED = int(_parser.MAXREPEAT)


class _Refused(Exception):
    """The reason stands in the message."""


@lru_cache(maxsize=4096)
def pattern_problem(pattern: str) -> str | None:
    """Return why text of a model may not be matched against the pattern, or None."""
    if len(pattern) > MAX_LENGTH:
        return f"it is longer than {MAX_LENGTH:,} characters"
    try:
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"it is no regular expression: {error}"
    try:
        for automaton in _automata(tree):
            _check(automaton)
    except _Refused as refused:
        return str(refused)
    return None


@dataclass(slots=True)
class _Part:
    """A piece of the expression: in how many ways it is empty, and which positions begin and end it, how often."""

    empty: int
    first: Counter[int] = field(default_factory=Counter)
    last: Counter[int] = field(default_factory=Counter)


class _Automaton:
    """Positions with the characters they take, and in how many ways one follows another."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.labels: list[Any] = []
        self.follow: dict[int, Counter[int]] = {}

    def position(self, label: Any) -> _Part:
        if len(self.labels) >= MAX_POSITIONS:
            raise _Refused("it is too large to be checked")
        self.labels.append(label)
        place = len(self.labels) - 1
        self.follow[place] = Counter()
        return _Part(0, Counter([place]), Counter([place]))

    def link(self, last: Mapping[int, int], first: Mapping[int, int]) -> None:
        for one, ways in last.items():
            for other, more in first.items():
                self.follow[one][other] = min(2, self.follow[one][other] + ways * more)

    def joined(self, one: _Part, two: _Part) -> _Part:
        self.link(one.last, two.first)
        return _Part(
            min(2, one.empty * two.empty),
            _sum(one.first, two.first, one.empty),
            _sum(two.last, one.last, two.empty),
        )

    def looped(self, body: _Part) -> _Part:
        """Return one or more of the body. An empty round ends the loop, so it doubles the ways out."""
        self.link(body.last, body.first)
        exits = 1 + body.empty
        return _Part(body.empty, body.first, Counter({at: min(2, n * exits) for at, n in body.last.items()}))


def _sum(one: Counter[int], two: Counter[int], times: int) -> Counter[int]:
    return Counter({at: min(2, one[at] + two[at] * times) for at in {*one, *(two if times else ())}})


def _automata(tree: Any) -> Iterator[_Automaton]:
    """Yield the automaton of an expression and, since each is matched by itself, of every look-around in it."""
    pending = [(tree, _is_anchored(tree))]
    while pending:
        items, anchored = pending.pop()
        automaton = _Automaton(tree.state.flags)
        inner: list[Any] = []
        part = _sequence(automaton, items, inner, in_loop=False)
        if not anchored:
            # `search` tries every place in the text: a loop over any character before the expression.
            automaton.joined(automaton.looped(automaton.position(None)), part)
        pending += [(look_around, False) for look_around in inner]
        yield automaton


def _is_anchored(tree: Any) -> bool:
    op = str(tree[0][0]) if len(tree) else ""
    return op == "AT" and str(tree[0][1]).startswith("AT_BEGINNING") and not tree.state.flags & re.MULTILINE


def _sequence(automaton: _Automaton, items: Any, inner: list[Any], *, in_loop: bool) -> _Part:
    part = _Part(1)
    for op, value in items:
        part = automaton.joined(part, _piece(automaton, str(op), value, inner, in_loop))
    return part


def _piece(automaton: _Automaton, op: str, value: Any, inner: list[Any], in_loop: bool) -> _Part:
    if op in ("LITERAL", "NOT_LITERAL", "IN", "ANY", "RANGE", "CATEGORY"):
        return automaton.position((op, value))
    if op == "AT":
        return _Part(1)
    if op == "FAILURE":
        return _Part(0)
    if op == "ATOMIC_GROUP":
        return _sequence(automaton, value, inner, in_loop=in_loop)
    if op == "SUBPATTERN" and not (value[1] or value[2]):
        return _sequence(automaton, value[3], inner, in_loop=in_loop)
    if op == "BRANCH":
        parts = [_sequence(automaton, branch, inner, in_loop=in_loop) for branch in value[1]]
        whole = _Part(min(2, sum(part.empty for part in parts)))
        for part in parts:
            whole.first, whole.last = _sum(whole.first, part.first, 1), _sum(whole.last, part.last, 1)
        return whole
    if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, high, body = value
        return _repeat(automaton, int(low), int(high), body, inner, in_loop)
    if op in ("ASSERT", "ASSERT_NOT") and not in_loop:
        inner.append(value[1])
        return _Part(1)
    named = {
        "GROUPREF": "a back-reference",
        "GROUPREF_EXISTS": "a condition",
        "SUBPATTERN": "flags for one group",
    }
    raise _Refused(
        f"it holds {named.get(op, 'a look-around inside a repetition')}, whose cost cannot be told"
    )


def _repeat(automaton: _Automaton, low: int, high: int, body: Any, inner: list[Any], in_loop: bool) -> _Part:
    def copy() -> _Part:
        part = _sequence(automaton, body, inner, in_loop=in_loop or high > 1)
        if part.empty and (low > 1 or 1 < high < _UNBOUNDED):
            raise _Refused("it repeats something that may be empty a number of times")
        return part

    if high > _COPIES:
        part = automaton.looped(copy())
        return part if low else _Part(min(2, part.empty + 1), part.first, part.last)
    part = _Part(1)
    for number in range(high, 0, -1):
        part = automaton.joined(copy(), part)
        if number > low:
            part.empty = min(2, part.empty + 1)
    return part


def _check(automaton: _Automaton) -> None:
    """Raise _Refused if matching may take more than quadratic time."""
    masks = _masks(automaton)
    edges = {at: tuple(following) for at, following in automaton.follow.items()}
    loops = [group for group in _components(edges) if len(group) > 1 or any(at in edges[at] for at in group)]
    for group in loops:
        if any(automaton.follow[one][two] > 1 for one in group for two in group) or _two_ways(
            group, edges, masks
        ):
            raise _Refused(
                "it can read one text in exponentially many ways (a repetition inside a repetition, or "
                "alternatives in one that begin alike)"
            )
    if _longest_chain(loops, edges, masks) > _MOST_CHAINED:
        raise _Refused(
            "several of its repetitions can share one stretch of text, which takes cubic time or more (begin it with "
            "^, or let a character that none of them takes stand between two repetitions)"
        )


def _components(edges: Mapping[Any, Iterable[Any]]) -> list[list[Any]]:
    """Return the strongly connected components, followers first (Tarjan, without recursion)."""
    index: dict[Any, int] = {}
    low: dict[Any, int] = {}
    stack: list[Any] = []
    open_ = set()
    found: list[list[Any]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        open_.add(root)
        while work:
            at, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    open_.add(other)
                    work.append((other, iter(edges[other])))
                    break
                if other in open_:
                    low[at] = min(low[at], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    cut = stack.index(at)
                    found.append(stack[cut:])
                    open_.difference_update(stack[cut:])
                    del stack[cut:]
    return found


def _two_ways(group: Sequence[int], edges: Mapping[int, Sequence[int]], masks: Sequence[int]) -> bool:
    """Return whether two different ways lead from a position of the group back to it on one word."""
    members = set(group)
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    pending = [(at, at) for at in group]
    while pending:
        one, two = pending.pop()
        if (one, two) in pairs:
            continue
        pairs[one, two] = [
            (a, b)
            for a in edges[one]
            if a in members
            for b in edges[two]
            if b in members and masks[a] & masks[b]
        ]
        pending += pairs[one, two]
    return any(
        any(one == two for one, two in found) and any(one != two for one, two in found)
        for found in _components(pairs)
    )


def _longest_chain(
    loops: Sequence[Sequence[int]], edges: Mapping[int, Sequence[int]], masks: Sequence[int]
) -> int:
    """Return the largest number of links in a chain of loops in which neighbours share a word."""
    longest = [0] * len(loops)
    # Followers stand first in the list, so every chain that begins at an earlier one is known already.
    for here, there in itertools.combinations(range(len(loops)), 2):
        if longest[there] < longest[here] + 1 and _share_a_word(loops[there], loops[here], edges, masks):
            longest[there] = longest[here] + 1
    return max(longest, default=0)


def _share_a_word(
    start: Sequence[int], end: Sequence[int], edges: Mapping[int, Sequence[int]], masks: Sequence[int]
) -> bool:
    """Return whether a word leads from p in `start` to p, from p to q, and from q in `end` to q."""
    first, last = set(start), set(end)
    for p, q in itertools.product(start, end):
        seen = {(p, p, q)}
        pending = [(p, p, q)]
        while pending:
            x, y, z = pending.pop()
            for a in edges[x]:
                if a not in first:
                    continue
                for b in edges[y]:
                    both = masks[a] & masks[b]
                    if not both:
                        continue
                    for c in edges[z]:
                        if c in last and both & masks[c]:
                            if (a, b, c) == (p, q, q):
                                return True
                            if (a, b, c) not in seen:
                                seen.add((a, b, c))
                                pending.append((a, b, c))
    return False


_CATEGORIES = {
    f"CATEGORY_{prefix}{name}": re.compile(f"\\{letter if not prefix else letter.upper()}")
    for name, letter in (("DIGIT", "d"), ("SPACE", "s"), ("WORD", "w"))
    for prefix in ("", "NOT_")
}


def _masks(automaton: _Automaton) -> list[int]:
    """Return, per position, which of the characters that tell all positions apart it takes, as bits."""
    characters = set(_PLAIN_CHARACTERS)
    for label in automaton.labels:
        for low, high in _ranges(label):
            characters.update(_tellers(low, high))
    if automaton.flags & re.IGNORECASE:
        characters.update(
            [form for one in characters for form in (one.lower(), one.upper()) if len(form) == 1]
        )
    ordered = sorted(characters)
    return [
        sum(1 << bit for bit, one in enumerate(ordered) if _takes(label, one, automaton.flags))
        for label in automaton.labels
    ]


@lru_cache(maxsize=1024)
def _tellers(low: int, high: int) -> frozenset[str]:
    """Return the ends of a range, what stands beside them, and its first character of each category."""
    found = {chr(code) for code in (low - 1, low, high, high + 1) if 0 <= code < 0x110000}
    whole = "".join(map(chr, range(low, high + 1)))
    hits = (kind.search(whole) for kind in _CATEGORIES.values())
    return frozenset(found | {hit.group() for hit in hits if hit})


def _ranges(label: Any) -> Iterator[tuple[int, int]]:
    if label is None:
        return
    op, value = label
    if op in ("LITERAL", "NOT_LITERAL"):
        yield value, value
    elif op == "RANGE":
        yield value
    elif op == "IN":
        for inner_op, inner in value:
            yield from _ranges((str(inner_op), inner))


def _takes(label: Any, one: str, flags: int) -> bool:
    if label is None or (label[0] == "ANY" and flags & re.DOTALL):
        return True
    op, value = label
    forms = {one, one.lower(), one.upper()} if flags & re.IGNORECASE else {one}
    return any(_takes_exactly(op, value, form) for form in forms)


def _takes_exactly(op: str, value: Any, one: str) -> bool:
    if op == "ANY":
        return one != "\n"
    if op == "LITERAL":
        return one == chr(value)
    if op == "NOT_LITERAL":
        return one != chr(value)
    if op == "RANGE":
        return len(one) == 1 and value[0] <= ord(one) <= value[1]
    if op == "CATEGORY":
        kind = _CATEGORIES.get(str(value))
        return kind is None or kind.match(one) is not None
    negated = str(value[0][0]) == "NEGATE"
    return any(_takes_exactly(str(inner_op), inner, one) for inner_op, inner in value[negated:]) != negated
