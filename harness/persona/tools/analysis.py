"""Scored tool tasks -> what each cell of base/adapter x neutral/persona shows, and what the persona costs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.persona.estimate import Estimate, Part, difference, share, signed_ratio
from harness.persona.tools.style_kept import style_kept
from harness.persona.tools.tasks import CONDITIONS, Condition
from harness.persona.tools.tax import MARGIN, ToolTax, tool_tax

ACCURACY = "tools_right"
TAXED = (ACCURACY, "tool_name_accuracy", "parameter_accuracy")
"""Measures of the call side for which the tax is given; the verdict is that of the first."""

CALL_MEASURES = (*TAXED, "argument_leak", "key_leak", "call_chatter")
AFTER_MEASURES = (
    "after_style",
    "after_passed",
    "fact_recall",
    "after_other_number",
    "after_json_echo",
    "after_lead",
    "after_called",
)
CHAT_MEASURES = ("chat_style", "chat_passed")
COUNTS = ("call_chatter", "after_lead")
"""Measures in eojeols: no shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scored sample: where it stands, and its part in each measure (numerator, denominator)."""

    sample: str
    cluster: str
    persona: str
    condition: str
    side: str
    parts: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One model under one prompt: every measure of its side of the suite, and the style kept after tools."""

    measures: Mapping[str, Estimate]
    style_kept: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A base and an adapter on one character's suite.

    `style_gain` is what the adapter adds to the style under the persona prompt (adapter minus base, same samples), by
    measure.
    """

    persona: str
    base: Mapping[str, Cell]
    adapter: Mapping[str, Cell]
    tax: Mapping[str, ToolTax]
    style_gain: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def personas_of(rows: Sequence[Row]) -> list[str]:
    """Return the characters that the rows are of, by name."""
    return sorted({row.persona for row in rows})


def cell(rows: Sequence[Row], persona: str, condition: Condition) -> Cell:
    """Return what one run shows under one prompt."""
    own = [row for row in rows if row.persona == persona and row.condition == condition]
    found: dict[str, Estimate] = {}
    for side, names in (("call", CALL_MEASURES), ("after", AFTER_MEASURES), ("chat", CHAT_MEASURES)):
        there = [row for row in own if row.side == side]
        for name in names:
            parts = _parts(there, name)
            found[name] = signed_ratio(parts) if name in COUNTS else share(parts)
    return Cell(
        measures=found,
        style_kept=style_kept(_side(own, "after", "after_style"), _side(own, "chat", "chat_style")),
    )


def cells(rows: Sequence[Row], persona: str) -> dict[str, Cell]:
    """Return the cells of one run, by prompt."""
    return {condition: cell(rows, persona, condition) for condition in CONDITIONS}


def compare(
    base: Sequence[Row], adapter: Sequence[Row], persona: str, *, margin: float = MARGIN
) -> Comparison:
    """Return what the persona costs, and what the adapter adds to the style. Raises ValueError for a bad margin."""
    return Comparison(
        persona=persona,
        base=cells(base, persona),
        adapter=cells(adapter, persona),
        tax={
            name: tool_tax(
                {
                    f"{who}_{condition}": _outcomes(rows, persona, condition, name)
                    for who, rows in (("base", base), ("adapter", adapter))
                    for condition in CONDITIONS
                },
                margin=margin,
            )
            for name in TAXED
        },
        style_gain={
            name: _gain(base, adapter, persona, name)
            for name in ("after_style", "after_passed", *CHAT_MEASURES)
        },
    )


def _parts(rows: Sequence[Row], name: str) -> list[Part]:
    return [Part(row.cluster, *row.parts[name]) for row in rows if name in row.parts]


def _side(rows: Sequence[Row], side: str, name: str) -> list[Part]:
    return _parts([row for row in rows if row.side == side], name)


def _outcomes(rows: Sequence[Row], persona: str, condition: str, name: str) -> dict[str, tuple[float, float]]:
    """Return each task's (sum, number) in a measure of the call side, over repeats."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows:
        if (row.persona, row.condition, row.side) == (persona, condition, "call") and name in row.parts:
            top, bottom = found.get(row.cluster, (0.0, 0.0))
            found[row.cluster] = (top + row.parts[name][0], bottom + row.parts[name][1])
    return found


def _gain(base: Sequence[Row], adapter: Sequence[Row], persona: str, name: str) -> Estimate:
    sides = [
        [row for row in rows if (row.persona, row.condition) == (persona, "persona") and name in row.parts]
        for rows in (base, adapter)
    ]
    common = {row.sample for row in sides[0]} & {row.sample for row in sides[1]}
    first, second = (_parts([row for row in side if row.sample in common], name) for side in sides)
    return difference(first, second)
