"""What a scorecard says about a scenario run: sentences and tables, the same in every form, and the curves of a drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.report.stored import items, mapping, mappings, number, whole
from harness.report.text import one_line, plural
from harness.report.wording import value_text
from harness.stats import MIN_CLUSTERS

MAX_PERSONAS = 20
MAX_TURNS = 60
_DASH = "–"
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelTable:
    """A table of words: the first column names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A value with its interval at a turn."""

    turn: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A score over the turns."""

    name: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioPanel:
    """One scenario run. `curves` are drawn where there is a picture; their numbers stand in a table too."""

    title: str
    sentences: tuple[str, ...]
    tables: tuple[PanelTable, ...]
    curves: tuple[Curve, ...] = ()


def scenario_panel(summary: Mapping[str, Any]) -> ScenarioPanel | None:
    """Return the panel of a stored summary, None for a run without scenario or without anything to say of it."""
    about = mapping(summary.get("persona"))
    if mapping(about.get("drift")):
        return _drift(mapping(about["drift"]), mapping(about.get("characters")))
    if mapping(about.get("tools")):
        return _tools(mapping(about["tools"]), mapping(about.get("characters")))
    return None


def estimate_text(raw: Mapping[str, Any], *, points: bool = False, share: bool = True) -> str:
    """Return "0.71 (0.62 to 0.80)": a share as a percentage, with `points` a signed change in points."""
    value, low, high = (number(raw.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return _DASH

    def said(one: float) -> str:
        return f"{100 * one:+.1f}" if points else value_text(one, share)

    if low is None or high is None:
        return said(value)
    return f"{said(value)} ({said(low)} to {said(high)})"


def _name(name: str, characters: Mapping[str, Any]) -> str:
    shown = mapping(characters.get(name)).get("display_name")
    return one_line(f"{shown} ({name})" if isinstance(shown, str) else name, 80)


def _drift(found: Mapping[str, Any], characters: Mapping[str, Any]) -> ScenarioPanel:
    personas = dict(list(mapping(found.get("personas")).items())[:MAX_PERSONAS])
    groups = {_name(name, characters): mapping(one) for name, one in personas.items()}
    if len(groups) != 1:
        groups = {"all conversations": mapping(found.get("all")), **groups}
    first = next(iter(groups.values()))
    return ScenarioPanel(
        title="Drift",
        sentences=(
            *(_drift_sentence(name, one) for name, one in groups.items()),
            "Style and passes are of answers to probes, asked on forks of the conversation; own: the model's replies are "
            "the history, written: replies in character are. Slopes in points a turn, intervals over conversations.",
        ),
        tables=(_slopes(groups), _by_turn(first), _events(groups), _recovery(groups)),
        curves=tuple(
            _curve(name, mapping(mapping(first.get("probes")).get(history)))
            for name, history in (("own history", "own"), ("written history", "reference"))
            if mapping(mapping(mapping(first.get("probes")).get(history)).get("by_turn"))
        ),
    )


def _drift_sentence(name: str, one: Mapping[str, Any]) -> str:
    slope = mapping(mapping(mapping(one.get("probes")).get("own")).get("slope"))
    breaks = mapping(one.get("breaks"))
    value, low, high = (number(slope.get(key)) for key in ("value", "low", "high"))
    if value is None:
        said = "no style score, so nothing is known of its course"
    elif whole(slope.get("clusters")) < MIN_CLUSTERS:
        said = f"too few conversations to tell a drift of the style, {estimate_text(slope, points=True)} points a turn"
    elif low is None or high is None or low <= 0 <= high:
        said = f"no clear drift of the style, {estimate_text(slope, points=True)} points a turn"
    else:
        said = f"the style {'falls' if value < 0 else 'rises'}, {estimate_text(slope, points=True)} points a turn"
    conversations = plural(whole(one.get("conversations")), "conversation")
    return (
        f"{name}: {said}; {whole(breaks.get('events'))} of {whole(breaks.get('n'))} conversations "
        f"with a break of the persona ({conversations})."
    )


def _slopes(groups: Mapping[str, Mapping[str, Any]]) -> PanelTable:
    rows = []
    for name, one in groups.items():
        probes = {key: mapping(mapping(one.get("probes")).get(key)) for key in ("own", "reference")}
        against = mapping(one.get("own_against_reference"))
        rows.append(
            (
                name,
                estimate_text(mapping(probes["own"].get("slope")), points=True),
                estimate_text(mapping(probes["reference"].get("slope")), points=True),
                estimate_text(mapping(against.get("slope")), points=True),
                estimate_text(mapping(probes["own"].get("drop")), points=True),
                estimate_text(mapping(against.get("style")), points=True),
            )
        )
    return PanelTable(
        caption="Course of the style, in points",
        columns=(
            "Conversations",
            "Slope a turn, own",
            "Slope a turn, written",
            "Own minus written",
            "First two minus last two, own",
            "Style, own minus written",
        ),
        rows=tuple(rows),
    )


def _by_turn(one: Mapping[str, Any]) -> PanelTable:
    series = [
        mapping(mapping(mapping(one.get(kind)).get(history)).get("by_turn"))
        for history in ("own", "reference")
        for kind in ("probes", "probes_passed")
    ]
    turns = sorted({int(turn) for by_turn in series for turn in by_turn if str(turn).isdecimal()})[:MAX_TURNS]
    return PanelTable(
        caption="Probes by turn",
        columns=("After turn", "Style, own", "Passed, own", "Style, written", "Passed, written"),
        rows=tuple(
            (str(turn), *(estimate_text(mapping(by_turn.get(str(turn)))) for by_turn in series))
            for turn in turns
        ),
    )


def _events(groups: Mapping[str, Mapping[str, Any]]) -> PanelTable:
    rows = []
    for name, one in groups.items():
        switch = mapping(one.get("switch"))
        for what, raw in (
            ("break of the persona", one.get("breaks")),
            ("other speech level", switch.get("first")),
        ):
            curve = mapping(raw)
            steps = mappings(curve.get("steps"))[:MAX_TURNS]
            last = steps[-1] if steps else {}
            ends = {key: last.get(key, curve.get(key)) for key in ("low", "high")}
            left = {"value": last.get("survival", 1.0), **ends}
            rows.append(
                (
                    name,
                    what,
                    f"{whole(curve.get('events'))} of {whole(curve.get('n'))}",
                    ", ".join(f"{whole(s.get('turn'))} ({whole(s.get('events'))})" for s in steps) or _DASH,
                    _DASH if number(curve.get("median")) is None else str(whole(curve.get("median"))),
                    estimate_text(left) if whole(curve.get("n")) else _DASH,
                    f"{whole(switch.get('lasting'))} of {whole(switch.get('switched'))}"
                    if what != "break of the persona" and whole(switch.get("switched"))
                    else _DASH,
                )
            )
    return PanelTable(
        caption="First events (Kaplan-Meier)",
        columns=(
            "Conversations",
            "Event",
            "Happened",
            "At turn (how many)",
            "Median turn",
            "Without it at the end",
            "Never came back",
        ),
        rows=tuple(rows),
    )


_KINDS = {
    "attack": "doubts that it is human",
    "lure_level": "asks for another speech level",
    "lure_language": "asks for another language",
}


def _recovery(groups: Mapping[str, Mapping[str, Any]]) -> PanelTable:
    rows = [
        (
            name,
            _KINDS.get(str(raw.get("kind")), one_line(str(raw.get("kind")), 40)),
            str(whole(raw.get("turns"))),
            estimate_text(mapping(raw.get("held"))),
            estimate_text(mapping(raw.get("back"))),
            f"{estimate_text(mapping(raw.get('recovered')))} of {whole(mapping(raw.get('recovered')).get('n'))}",
        )
        for name, one in groups.items()
        for raw in mappings(one.get("recovery"))[:10]
    ]
    return PanelTable(
        caption="When somebody tries to pull it out of its voice",
        columns=(
            "Conversations",
            "The user",
            "Turns",
            "Reply passes",
            "Next reply passes",
            "Next passes, of those that fell",
        ),
        rows=tuple(rows),
    )


def _curve(name: str, course: Mapping[str, Any]) -> Curve:
    points = []
    for turn, raw in list(mapping(course.get("by_turn")).items())[:MAX_TURNS]:
        value = number(mapping(raw).get("value"))
        if value is not None and str(turn).isdecimal():
            low, high = (number(mapping(raw).get(key)) for key in ("low", "high"))
            points.append(CurvePoint(turn=int(turn), value=value, low=low, high=high))
    return Curve(name=name, points=tuple(sorted(points, key=lambda one: one.turn)))


TOOL_ROWS = (
    ("tools_right", "Tool tasks right", True),
    ("tool_name_accuracy", "Tool names exact", True),
    ("parameter_accuracy", "Calls exact", True),
    ("argument_leak", "Calls with persona in an argument", True),
    ("key_leak", "Invented keys", True),
    ("call_chatter", "Words of prose beside a call", False),
    ("chat_style", "Style in chat", True),
    ("after_style", "Style after tools", True),
    ("style_kept", "Style kept after tools", True),
    ("chat_passed", "Gates passed in chat", True),
    ("after_passed", "Gates passed after tools", True),
    ("fact_recall", "Facts kept after tools", True),
    ("after_other_number", "Other numbers after tools", True),
    ("after_json_echo", "Raw results read out", True),
    ("after_lead", "Words before the first fact", False),
    ("after_called", "Calls instead of an answer", True),
)
"""Measure, label, and whether it is a share, in the order of the tables."""


def _tools(found: Mapping[str, Any], characters: Mapping[str, Any]) -> ScenarioPanel:
    tables = []
    for name, one in list(found.items())[:MAX_PERSONAS]:
        cells = [mapping(mapping(one).get(condition)) for condition in ("neutral", "persona")]
        tables.append(
            PanelTable(
                caption=_name(name, characters),
                columns=("Measure", "Neutral prompt", "Persona prompt"),
                rows=tuple(
                    (label, *(estimate_text(measure_of(cell, measure), share=share) for cell in cells))
                    for measure, label, share in TOOL_ROWS
                ),
            )
        )
    return ScenarioPanel(
        title="Persona and tools",
        sentences=(
            "What the persona costs in calls is a difference between runs of base and adapter: "
            "harness persona tools BASE_RUN ADAPTER_RUN.",
            "Calls and prose are judged apart. Closing replies follow the results of the expected calls.",
        ),
        tables=tuple(tables),
    )


def measure_of(cell: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a stored measure of one cell; `style_kept` stands beside the others."""
    if name == "style_kept":
        return mapping(cell.get("style_kept"))
    return mapping(mapping(cell.get("measures")).get(name))


def characters_of(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the characters of a scenario run as they are shown."""
    about = mapping(mapping(summary.get("persona")).get("characters"))
    return tuple(_name(name, about) for name in items(list(about)))
