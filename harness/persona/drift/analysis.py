"""Judged replies of scripted conversations -> everything that is said about drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.persona.drift.point import HISTORIES, Point
from harness.persona.drift.recovery import ATTACKS, Recovery, recovery
from harness.persona.drift.slope import Course, Value, course, slope_parts
from harness.persona.drift.survival import Lifetime, Survival, first_time, kaplan_meier
from harness.persona.estimate import Estimate, Part, difference

BREAK = "break"
LEVEL = "speech_level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Own history minus reference history, on the same probes at the same turns: what the model does to itself."""

    style: Estimate
    passed: Estimate
    slope: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """When the speech level is left.

    `first`: the first reply in another level than the card allows. `lasting`: in how many conversations it was never
    right again from there on, of `switched` that had one and at least one later reply that could be told.
    """

    first: Survival
    switched: int
    lasting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One persona's conversations, or all of them.

    `probes` and `probes_passed` are by history (`own`, `reference`): style and share of probes that passed. `turns`
    and `turns_passed` are the replies of the conversation itself.
    """

    conversations: int
    probes: dict[str, Course]
    probes_passed: dict[str, Course]
    turns: Course
    turns_passed: Course
    own_against_reference: Against
    breaks: Survival
    switch: Switch
    recovery: tuple[Recovery, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; keys of turns become text, as JSON wants."""
        return {key: _json(value) for key, value in asdict(self).items()}


def analyse(points: Sequence[Point]) -> Drift:
    """Return the drift of a set of conversations. Deterministic; the order of the points does not matter."""
    ordered = sorted(points, key=lambda one: (one.conversation, one.history, one.turn, one.is_probe))
    probes = {name: [one for one in ordered if one.is_probe and one.history == name] for name in HISTORIES}
    turns = [one for one in ordered if not one.is_probe and one.history == "own"]
    return Drift(
        conversations=len({one.conversation for one in ordered}),
        probes={name: course(_style(found)) for name, found in probes.items()},
        probes_passed={name: course(_passed(found)) for name, found in probes.items()},
        turns=course(_style(turns)),
        turns_passed=course(_passed(turns)),
        own_against_reference=_against(probes["own"], probes["reference"]),
        breaks=_survival(turns, BREAK),
        switch=_switch(turns),
        recovery=tuple(recovery(ordered, kind) for kind in ATTACKS),
    )


def analyse_by_persona(points: Sequence[Point]) -> dict[str, Drift]:
    """Return the drift of each persona's conversations, by name."""
    return {
        name: analyse([one for one in points if one.persona == name])
        for name in sorted({one.persona for one in points})
    }


def _style(points: Sequence[Point]) -> list[Value]:
    return [
        Value(one.conversation, one.cluster, one.turn, one.style) for one in points if one.style is not None
    ]


def _passed(points: Sequence[Point]) -> list[Value]:
    return [
        Value(one.conversation, one.cluster, one.turn, float(one.passed))
        for one in points
        if one.passed is not None
    ]


def _against(own: Sequence[Point], reference: Sequence[Point]) -> Against:
    def both(values: Sequence[Value], others: Sequence[Value]) -> list[Value]:
        there = {(one.conversation, one.turn) for one in others}
        return [one for one in values if (one.conversation, one.turn) in there]

    def mean(values: Sequence[Value]) -> list[Part]:
        return [Part(one.cluster, one.value, 1.0) for one in values]

    styles = _style(own), _style(reference)
    passes = _passed(own), _passed(reference)
    styles = both(*styles), both(styles[1], styles[0])
    passes = both(*passes), both(passes[1], passes[0])
    return Against(
        style=difference(mean(styles[1]), mean(styles[0])),
        passed=difference(mean(passes[1]), mean(passes[0])),
        slope=difference(slope_parts(styles[1]), slope_parts(styles[0])),
    )


def _by_conversation(turns: Sequence[Point]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for one in turns:
        found.setdefault(one.conversation, []).append(one)
    return found


def _fails(one: Point, check: str) -> bool | None:
    outcome = one.checks.get(check)
    return None if outcome is None else not outcome


def _survival(turns: Sequence[Point], check: str) -> Survival:
    lifetimes: list[Lifetime] = []
    clusters = set()
    for conversation in _by_conversation(turns).values():
        watched = first_time([(one.turn, _fails(one, check)) for one in conversation])
        if watched is not None:
            lifetimes.append(watched)
            clusters.add(conversation[0].cluster)
    return kaplan_meier(lifetimes, clusters=len(clusters))


def _switch(turns: Sequence[Point]) -> Switch:
    switched = lasting = 0
    for conversation in _by_conversation(turns).values():
        told = [outcome for one in conversation if (outcome := _fails(one, LEVEL)) is not None]
        if True not in told[:-1]:
            continue
        switched += 1
        lasting += all(told[told.index(True) :])
    return Switch(first=_survival(turns, LEVEL), switched=switched, lasting=lasting)


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    return value
