"""How a run is named and how a difference between two runs is put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.report.stored import mapping
from harness.report.text import percent

if TYPE_CHECKING:
    from harness.report.against import Change

_SIGNS: Mapping[str, str] = {"better": "▲", "worse": "▼", "unclear": "?"}
WORDS: Mapping[str, str] = {"better": "better", "worse": "worse", "unclear": "cannot tell"}


def last_part(name: Any) -> str:
    """Return the last part of a path or hub id, the name that people say."""
    parts = [part for part in re.split(r"[\\/]", str(name)) if part]
    return parts[-1] if parts else str(name)


def suite_name(header: Mapping[str, Any]) -> str:
    """Return the suite with its version: "tool_calling 1.0.0"; empty where neither is known."""
    suite = mapping(header.get("suite"))
    return " ".join(str(suite[key]) for key in ("name", "version") if suite.get(key))


def run_title(header: Mapping[str, Any]) -> str:
    """Return what was run on what: "tool_calling 1.0.0 on smollm2-135m with adapter structural"."""
    engine = mapping(header.get("engine"))
    text = f"{suite_name(header) or 'Unknown suite'} on {engine.get('model') or 'an unknown model'}"
    text += f" with adapter {last_part(engine['adapter'])}" if engine.get("adapter") else ""
    return f"{text}, {bound}" if (bound := constrained(header)) else text


def constrained(header: Mapping[str, Any]) -> str:
    """Return "constrained: tools", empty for free decoding."""
    word = mapping(header.get("sampling")).get("constraint")
    return f"constrained: {word}" if word else ""


def run_name(header: Mapping[str, Any]) -> str:
    """Return who answered, in a word or two: the adapter, else the model; and what constrained the answers."""
    engine = mapping(header.get("engine"))
    name = last_part(engine.get("adapter") or engine.get("model") or header.get("run_id") or "unknown run")
    return f"{name} ({bound})" if (bound := constrained(header)) else name


def amount(value: float, share: bool, *, signed: bool = True) -> str:
    """Return "+12.0 points", or a plain signed number for what is no share."""
    if not share:
        return f"{value + 0.0:{'+' if signed else ''}.3g}"
    text = f"{value * 100 + 0.0:{'+' if signed else ''}.1f}"
    # A change too small to print is no change of a sign.
    text = text.replace("-0.0", "0.0") if text == "-0.0" else text
    return f"{text}\u00a0{'point' if text.lstrip('+-') == '1.0' else 'points'}"


def interval(change: Change) -> str:
    """Return "+4.0 to +20.0", or a dash where there is no interval."""
    if change.low is None or change.high is None:
        return "–"
    return bounds(change.low, change.high, change.share)


def bounds(low: float, high: float, share: bool) -> str:
    """Return "+4.0 to +20.0": both ends of an interval of a difference."""
    scale, digits = (100, "+.1f") if share else (1, "+.3g")
    return " to ".join(f"{bound * scale + 0.0:{digits}}" for bound in (low, high))


def p_value(p: float | None) -> str:
    """Return "p = 0.012" or "p < 0.001", in one piece; empty where there is none."""
    if p is None:
        return ""
    text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
    return text.replace(" ", "\u00a0")


def bare_p(p: float | None) -> str:
    """Return "0.012" or "< 0.001" for a column that says what it is, a dash where there is none."""
    return p_value(p).removeprefix("p\u00a0").removeprefix("=\u00a0") or "–"


def uncertainty(change: Change) -> str:
    """Return "95 % interval +4.0 to +20.0, p = 0.012, n = 174"."""
    shown = interval(change)
    parts = ["no interval: too few independent samples" if shown == "–" else f"95\u00a0% interval {shown}"]
    p = p_value(change.adjusted if change.adjusted is not None else change.p)
    parts += [p] if p else []
    parts.append(f"n\u00a0=\u00a0{change.n:,}")
    return ", ".join(parts)


def evidence(change: Change) -> str:
    """Return the uncertainty, and the noise floor where there is one: "..., n = 174, noise 2.0 points"."""
    if change.noise is None:
        return uncertainty(change)
    return f"{uncertainty(change)}, noise {amount(change.noise, change.share, signed=False)}"


def standing(change: Change) -> str:
    """Return a sign and a word, "▲ better"; empty for a metric of which no verdict is given."""
    return f"{_SIGNS[change.standing]} {WORDS[change.standing]}" if change.standing else ""


def sign(standing_: str) -> str:
    """Return the sign of a standing, for a reader who sees no colour."""
    return _SIGNS.get(standing_, "")


def from_to(change: Change) -> str:
    """Return "14.1 to 52.3 %", or two plain numbers for what is no share."""
    if change.share:
        return f"{percent(change.before).removesuffix('%').rstrip()} to {percent(change.after)}"
    return f"{change.before:.3g} to {change.after:.3g}"
