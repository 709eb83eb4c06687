"""A diagnosis as JSON values, for machines: codes, numbers and changes; the sentences beside them."""

from __future__ import annotations

import math
from typing import Any

from harness.training.diagnosis.model import Change, Diagnosis, Finding, Language, Value
from harness.training.diagnosis.wording import best_text, finding_text, note_text, setting_name, verdict_text

SCHEMA = 1


def diagnosis_data(diagnosis: Diagnosis, language: Language = "en") -> dict[str, Any]:
    """Return the diagnosis as JSON values. Values that JSON cannot hold (NaN, infinities) are text."""
    curves, best = diagnosis.curves, diagnosis.best
    word, sentence = verdict_text(diagnosis, language)
    return {
        "schema": SCHEMA,
        "verdict": diagnosis.verdict,
        "verdict_text": f"{word}: {sentence}",
        "confidence": diagnosis.confidence,
        "worst": diagnosis.worst,
        "axis": curves.axis,
        "end": _value(curves.end),
        "counts": {
            "logs": len(curves.train),
            "evaluations": {key: len(series) for key, series in {**curves.losses, **curves.metrics}.items()},
            "training_rows": curves.train_rows,
            "validation_rows": curves.eval_rows,
        },
        "best": None
        if best is None
        else {
            "at": _value(best.x),
            "epoch": best.epoch,
            "key": best.key,
            "value": _value(best.value),
            "why": best.why,
            "saved": best.saved,
            "band": _value(best.band),
            "equals": best.equals,
            "text": best_text(best, diagnosis, language),
        },
        "findings": [_finding(finding, diagnosis, language) for finding in diagnosis.findings],
        "notes": [
            {"code": note.code, "text": note_text(note, language), **dict(note.evidence)}
            for note in diagnosis.notes
        ],
    }


def _finding(finding: Finding, diagnosis: Diagnosis, language: Language) -> dict[str, Any]:
    words = finding_text(finding, diagnosis, language)
    return {
        "code": finding.code,
        "severity": finding.severity,
        "at": None if finding.at is None else _value(finding.at),
        "evidence": {name: _value(value) for name, value in finding.evidence.items()},
        "title": words.title,
        "text": words.because,
        "changes": [
            _change(change, words.advice[index], diagnosis) for index, change in enumerate(finding.changes)
        ],
    }


def _change(change: Change, text: str, diagnosis: Diagnosis) -> dict[str, Any]:
    setting = setting_name(change, diagnosis.facts.source) or None
    value = None if change.value is None else _value(change.value)
    return {"advice": change.advice, "setting": setting, "value": value, "text": text}


def _value(value: Value) -> Value:
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    return value
