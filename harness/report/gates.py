"""The gates of a run as a scorecard shows them, read from what `harness gate` leaves: gates.json in the run folder.

The file is plain data (`harness.gate.result.gates_record`). What is missing shows as unknown; a verdict that is none of
`pass`, `fail` and `cannot_tell` is called not decided, and passes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.report.stored import items, mapping, mappings, number, whole
from harness.report.text import count

GateVerdict = Literal["pass", "fail", "cannot_tell", "unknown"]
VERDICTS: tuple[GateVerdict, ...] = ("fail", "unknown", "cannot_tell", "pass")
"""Worst first, as a page lists them."""
_WORDS: Mapping[GateVerdict, str] = {
    "fail": "failed",
    "cannot_tell": "cannot tell",
    "unknown": "not decided",
}
MAX_GATES = 200
MAX_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate. `stops` says whether its verdict stops a release: a gate may let pass what cannot be told.

    `rule` is what it asks, `sentence` what it found. For a relative gate `bound` is the drop that is allowed and `low` to
    `high` the interval of `difference` (run minus baseline); else the bound itself and the value's own interval. `worse`
    names samples that got worse, where the gate does not pass; `worse_more` counts the others.
    """

    name: str
    rule: str
    sentence: str
    verdict: GateVerdict
    stops: bool
    relative: bool
    observed: float | None
    low: float | None
    high: float | None
    bound: float | None
    baseline: float | None
    difference: float | None
    p: float | None
    n: int | None
    share: bool
    worse: tuple[str, ...] = ()
    worse_more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Every gate of a run, failed ones first. `passed` is the verdict on all of them together."""

    rows: tuple[Gate, ...]
    omitted: int
    counts: Mapping[GateVerdict, int]
    passed: bool
    source: str
    baseline: str

    @property
    def total(self) -> int:
        """Return how many gates there are."""
        return sum(self.counts.values())

    def named(self, verdict: GateVerdict) -> tuple[str, ...]:
        """Return the names of the gates with this verdict."""
        return tuple(row.name for row in self.rows if row.verdict == verdict)


def gates_of(record: Mapping[str, Any] | None) -> Gates | None:
    """Return the gates of a stored gates.json, None where there is none or it holds no gate."""
    if not record:
        return None
    rows = [_gate(raw) for raw in mappings(record.get("gates"))]
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: (not row.stops, VERDICTS.index(row.verdict)))
    tally = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    return Gates(
        rows=tuple(ordered[:MAX_GATES]),
        omitted=max(0, len(ordered) - MAX_GATES),
        counts=tally,
        passed=not any(row.stops for row in rows),
        source=_text(record.get("file") or record.get("source")),
        baseline=_text(mapping(record.get("baseline")).get("name") or record.get("baseline")),
    )


def summary(gates: Gates) -> str:
    """Return "7 of 8 gates passed, 1 failed: parameter_accuracy_no_worse."."""
    parts = [f"{count(gates.counts['pass'])} of {count(gates.total)} gates passed"]
    for verdict, word in _WORDS.items():
        if gates.counts[verdict]:
            names = gates.named(verdict)
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            parts.append(f"{count(gates.counts[verdict])} {word}: {shown}")
    return ", ".join(parts) + "."


def _gate(raw: Mapping[str, Any]) -> Gate:
    verdict = _verdict(raw.get("verdict"))
    observed, bound, baseline = (number(raw.get(key)) for key in ("observed", "bound", "baseline"))
    # What cannot be told stops a release unless the gate says otherwise.
    counts_as = _verdict(raw.get("counts_as")) if raw.get("counts_as") else verdict
    # A verdict that nobody knows is not made a pass by what it counts as.
    stops = verdict in ("fail", "unknown") or counts_as != "pass"
    rule, sentence = _text(raw.get("rule")), _text(raw.get("sentence")) or _text(raw.get("reason"))
    unit = raw.get("unit")
    within = all(value is None or -1 <= value <= 1 for value in (observed, bound, baseline))
    n = number(raw.get("n"))
    return Gate(
        name=_text(raw.get("name")) or "(no name)",
        rule=rule,
        sentence=_without(rule, sentence),
        verdict=verdict,
        stops=stops,
        relative=raw.get("kind") == "relative",
        observed=observed,
        low=number(raw.get("low")),
        high=number(raw.get("high")),
        bound=bound,
        baseline=baseline,
        difference=number(raw.get("difference")),
        p=number(raw.get("p")),
        n=None if n is None else int(n),
        share=within if unit is None else within and unit == "share",
        **_worse(raw, verdict),
    )


def _worse(raw: Mapping[str, Any], verdict: GateVerdict) -> dict[str, Any]:
    named = [one[:200] for one in items(raw.get("broken_samples")) if isinstance(one, str)]
    if verdict == "pass" or not named:
        return {}
    return {"worse": tuple(named[:MAX_NAMED]), "worse_more": max(0, whole(raw.get("broken_samples_more")))}


def worse_text(gate: Gate) -> str:
    """Return "Got worse: a, b and 3 more.", an empty text where a gate names no sample."""
    if not gate.worse:
        return ""
    more = f" and {count(gate.worse_more)} more" if gate.worse_more else ""
    return f"Got worse: {', '.join(gate.worse)}{more}."


def _without(rule: str, sentence: str) -> str:
    """Return what was found without the rule before it, which stands beside it."""
    rest = sentence.removeprefix(f"{rule}: ") if rule else sentence
    return rest[:1].upper() + rest[1:]


def _verdict(value: Any) -> GateVerdict:
    text = str(value).replace(" ", "_").lower()
    known: dict[str, GateVerdict] = {"pass": "pass", "fail": "fail", "cannot_tell": "cannot_tell"}
    return known.get(text, "unknown")


def _text(value: Any) -> str:
    return value[:2000] if isinstance(value, str) else ""
