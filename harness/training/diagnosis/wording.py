"""A diagnosis in words: sentences from the catalogue, numbers in one format, settings by the trainer's own names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from harness.training.diagnosis.model import (
    Axis,
    BestCheckpoint,
    Change,
    Diagnosis,
    Finding,
    Language,
    Note,
    Source,
    Value,
)
from harness.training.diagnosis.texts import Both
from harness.training.diagnosis.words import ADVICE, BEST, LABELS, NOTES, SETTINGS, VERDICTS
from harness.training.diagnosis.words_findings import FINDINGS

_SOURCES: dict[Source, int] = {"harness": 0, "transformers": 1, "llama_factory": 2}
_RATIOS = ("share", "rise", "drop")
_EU_RO = {"0": "으로", "3": "으로", "6": "으로"}
_SPOKEN = {"epoch": "으로"}


class FindingText(NamedTuple):
    """A finding as people read it: title, the sentence with its numbers, what to do, and where it is."""

    title: str
    because: str
    advice: tuple[str, ...]
    place: str | None


def say(text: Both, language: Language) -> str:
    """Return one side of a catalogue entry."""
    return text.ko if language == "ko" else text.en


def label(name: str, language: Language) -> str:
    """Return a heading or a short word."""
    return say(LABELS[name], language)


def number(value: Value) -> str:
    """Return a number with four significant digits, exponents without their zero: 0.0554, 2e-5, 1500, NaN."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = f"{value:.4g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def percent(value: float, *, signed: bool = False) -> str:
    """Return a ratio as a percentage with one decimal, or none from 100 % on."""
    if not math.isfinite(value):
        return number(value)
    sign = "+" if signed and value > 0 else ""
    return f"{sign}{100 * value:.1f}\u00a0%" if abs(value) < 10 else f"{sign}{100 * value:,.0f}\u00a0%"


def place(x: float, axis: Axis, language: Language, epoch: float | None = None) -> str:
    """Return a place on the axis: "step 20 (epoch 8.42)", "epoch 1.94", "log entry 12"."""
    unit, at = say(LABELS[axis], language), number(x)
    if language == "ko":
        text = f"{at}번째 {unit}" if axis == "entry" else f"{at}{unit}"
        return f"{text}({number(epoch)}에폭)" if epoch is not None and axis == "step" else text
    return f"{unit} {at}" + (f" (epoch {number(epoch)})" if epoch is not None and axis == "step" else "")


def towards(text: str) -> str:
    """Return a Korean word with its particle (으)로, by how its last letter is read."""
    if text in _SPOKEN:
        return text + _SPOKEN[text]
    last = text[-1:]
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
        return text + ("으로" if final not in (0, 8) else "로")
    return text + _EU_RO.get(last, "로")


def _filled(evidence: Mapping[str, Value], axis: Axis, language: Language) -> dict[str, str]:
    """Return evidence as text: places by the axis, ratios as percentages, everything else as numbers."""
    shown: dict[str, str] = {}
    for name, value in evidence.items():
        if name.endswith("_at") and not isinstance(value, str):
            shown[name] = place(value, axis, language)
        elif name.endswith(_RATIOS) and not isinstance(value, str):
            shown[name] = percent(value, signed=name == "rise")
        else:
            shown[name] = f"{value:.1g}" if name == "p" else number(value)
    for plan in ("progress_share", "rate_share"):
        if plan in evidence:
            words = LABELS["of_plan" if plan == "progress_share" else "of_rate"]
            shown["of_plan"] = say(words, language).format_map(shown)
    return shown


def setting_name(change: Change, source: Source) -> str:
    """Return what the setting to change is called in the trainer that wrote the log, "" where there is none."""
    if change.setting is None:
        return ""
    if change.setting == "every" and change.value == "epoch" and source != "harness":
        return "eval_strategy"
    return SETTINGS[change.setting][_SOURCES[source]]


def change_text(change: Change, diagnosis: Diagnosis, language: Language) -> str:
    """Return one piece of advice, with the setting's name in the trainer that wrote the log."""
    setting = setting_name(change, diagnosis.facts.source)
    value = number(change.value) if change.value is not None else ""
    at = ""
    if isinstance(change.value, int | float):
        at = place(change.value, diagnosis.curves.axis, language)
    return say(ADVICE[change.advice], language).format(
        setting=setting, value=value, value_ro=towards(value), place=at
    )


def finding_text(finding: Finding, diagnosis: Diagnosis, language: Language) -> FindingText:
    """Return a finding in words."""
    words, axis = FINDINGS[finding.code], diagnosis.curves.axis
    at = None
    if finding.at is not None:
        at = place(finding.at, axis, language, diagnosis.curves.epoch_at(finding.at))
    return FindingText(
        title=say(words.title, language),
        because=say(words.because, language).format_map(_filled(finding.evidence, axis, language)),
        advice=tuple(change_text(change, diagnosis, language) for change in finding.changes),
        place=at,
    )


def verdict_text(diagnosis: Diagnosis, language: Language) -> tuple[str, str]:
    """Return the verdict's word and its sentence."""
    word, sentence = VERDICTS[diagnosis.verdict]
    codes = {finding.code for finding in diagnosis.findings}
    critical = {finding.code for finding in diagnosis.findings if finding.severity == "critical"}
    if diagnosis.verdict == "healthy" and "gain_unseen" in codes:
        sentence = LABELS["gain_unseen"]
    elif diagnosis.verdict == "flawed" and critical == {"leaked_rows"}:
        sentence = LABELS["leaked_rows"]
    elif diagnosis.verdict == "underfit" and not codes & {"underfit", "not_learning"}:
        sentence = LABELS["no_gain"]
    return say(word, language), say(sentence, language)


def best_text(best: BestCheckpoint, diagnosis: Diagnosis, language: Language) -> str:
    """Return which evaluation to ship and why, in one sentence without a full stop."""
    axis = diagnosis.curves.axis
    why = say(BEST[best.why], language).format(
        key=best.key,
        value=number(best.value),
        extreme_value=number(best.extreme_value),
        extreme_at=place(best.extreme_x, axis, language),
        band=number(best.band),
        equals=best.equals,
    )
    where = place(best.x, axis, language, best.epoch)
    if axis == "step" and best.saved:
        where = f"checkpoint-{int(best.x)}"
    kept = ""
    if best.saved is None:
        kept = f", {label('unknown_kept', language)}"
    elif not best.saved:
        kept = f", {label('not_kept', language)}"
    return f"{where}{kept}: {why}"


def note_text(note: Note, language: Language) -> str:
    """Return a note about the log file."""
    return say(NOTES[note.code], language).format_map({k: number(v) for k, v in note.evidence.items()})
