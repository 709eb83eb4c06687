"""The training of the adapter that was measured: recipe, curves read by rules, every checkpoint, which one to ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.report.facts import Fact
from harness.report.measures import Estimate
from harness.report.stored import items, mapping, mappings, number, whole
from harness.report.text import json_text
from harness.report.training_source import Training
from harness.training.diagnosis import Diagnosis
from harness.training.diagnosis.wording import best_text, finding_text, verdict_text

MAX_CHECKPOINTS = 40
MAX_COLUMNS = 6
MAX_FINDINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """One checkpoint of the sweep, or the base (step 0). `chosen` is the one to ship, `measured` that of this run."""

    name: str
    step: int
    epoch: float | None
    train_loss: float | None
    validation_loss: float | None
    rates: tuple[Estimate, ...]
    status: tuple[str, ...]
    chosen: bool
    measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The checkpoint table: `columns` are (measure, label, higher is better), in the order of each row's `rates`."""

    word: str
    sentence: str
    chosen: str
    metric: str
    split: str
    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[CheckpointRow, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPanel:
    """What the page says about training. `findings` are (severity, title, because)."""

    facts: tuple[Fact, ...]
    diagnosis: Diagnosis | None
    word: str
    sentence: str
    best: str
    findings: tuple[tuple[str, str, str], ...]
    sweep: Sweep | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship:
    """Which checkpoint to ship, in a sentence; `known` is False where nothing was measured that could tell."""

    known: bool
    sentence: str


def training_panel(training: Training | None) -> TrainingPanel | None:
    """Return the panel, None where the adapter carries nothing (or there is no adapter)."""
    if training is None:
        return None
    diagnosis = training.diagnosis
    word, sentence = verdict_text(diagnosis, "en") if diagnosis else ("", "")
    findings = (
        [(one.severity, finding_text(one, diagnosis, "en")) for one in diagnosis.findings[:MAX_FINDINGS]]
        if diagnosis
        else []
    )
    return TrainingPanel(
        facts=_facts(training),
        diagnosis=diagnosis,
        word=word,
        sentence=sentence,
        best=best_text(diagnosis.best, diagnosis, "en") if diagnosis and diagnosis.best else "",
        findings=tuple((severity, words.title, words.because) for severity, words in findings),
        sweep=_sweep(training),
        problems=training.problems,
    )


def ship(panel: TrainingPanel | None, adapter: bool) -> Ship:
    """Return which checkpoint to ship, as far as this run folder knows."""
    if not adapter:
        return Ship(known=False, sentence="This run measured a base model: there is no checkpoint to choose.")
    if panel is None:
        return Ship(known=False, sentence="Not known: the adapter carries nothing of its training.")
    if panel.sweep is not None and panel.sweep.chosen:
        return Ship(known=True, sentence=_of_sweep(panel.sweep))
    if panel.best:
        return Ship(
            known=True,
            sentence=f"By the curves: {panel.best}. No sweep scored the checkpoints by what the model is for.",
        )
    step = next((fact.value for fact in panel.facts if fact.label == "Checkpoint"), "")
    return Ship(
        known=False,
        sentence=f"Not known: this is {step or 'one checkpoint'}, and no other was scored (harness sweep does).",
    )


def _of_sweep(sweep: Sweep) -> str:
    measured = next((row.name for row in sweep.rows if row.measured), "")
    here = {sweep.chosen: " It is the one measured here."}.get(measured)
    if here is None:
        here = f" This run measured {measured}, another one." if measured else ""
    return f"{sweep.sentence}{here}"


def _facts(training: Training) -> tuple[Fact, ...]:
    origin = training.origin
    recipe = mapping(origin.get("recipe"))
    lora, run = mapping(recipe.get("lora")), mapping(recipe.get("training"))
    data = mapping(origin.get("data"))
    epoch = number(origin.get("epoch"))
    known: list[tuple[str, Any]] = [
        ("Checkpoint", f"step {whole(origin.get('step'))}, epoch {epoch or 0:.2f}" if origin else None),
        ("Recipe", _with_hash(recipe.get("name"), origin.get("recipe_sha256"))),
        ("Base", _with_hash(origin.get("base"), origin.get("base_fingerprint"))),
        *(
            (f"Data: {split}", _data(mapping(about)))
            for split, about in list(data.items())[:4]
            if isinstance(split, str)
        ),
        ("LoRA", f"r {_plain(lora.get('r'))}, alpha {_plain(lora.get('alpha'))}" if lora else None),
        ("Learning rate", run.get("learning_rate")),
        ("Quantised base", recipe.get("quantization")),
        ("Trained", origin.get("created")),
    ]
    return tuple(
        Fact(label=label, value=_plain(value), full=_plain(value))
        for label, value in known
        if value not in (None, "")
    )


def _data(about: Mapping[str, Any]) -> str:
    rows = f"{whole(about.get('rows')):,} rows" if about.get("rows") else ""
    sets = len(mappings(about.get("sets")))
    # Of several the names come last: what is cut off at its end is cut there.
    name, names = (f"{sets} data sets", about.get("file")) if sets else (about.get("file"), "")
    told = (_with_hash(name, about.get("sha256")), rows, names)
    return ", ".join(str(part) for part in told if part)


def _with_hash(name: Any, digest: Any) -> str:
    parts = [_plain(name)] if name else []
    return " · ".join([*parts, str(digest)[:12]] if digest else parts)


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json_text(value)
    return text[:300]


def _sweep(training: Training) -> Sweep | None:
    record = training.sweep
    rows = mappings(record.get("rows"))
    if not rows:
        return None
    columns = [
        (str(column.get("name")), str(column.get("label") or column.get("name")), column)
        for column in mappings(record.get("columns"))[:MAX_COLUMNS]
    ]
    chosen = record.get("chosen") if isinstance(record.get("chosen"), str) else ""
    return Sweep(
        word=str(record.get("verdict") or ""),
        sentence=str(record.get("sentence") or ""),
        chosen=str(chosen),
        metric=str(record.get("metric") or ""),
        split=str(record.get("split") or ""),
        columns=tuple(
            (name, label, bool(column.get("higher_is_better", True))) for name, label, column in columns
        ),
        rows=tuple(
            _row(raw, columns, chosen=raw.get("name") == chosen, measured=_is_measured(raw, training))
            for raw in rows[:MAX_CHECKPOINTS]
        ),
        omitted=max(0, len(rows) - MAX_CHECKPOINTS),
    )


def _is_measured(raw: Mapping[str, Any], training: Training) -> bool:
    """Return whether a row is this run's adapter: by its name, or by its step where the folder was renamed."""
    if raw.get("name") == training.name:
        return True
    step = training.origin.get("step")
    return bool(step) and raw.get("step") == step and not training.name.startswith("checkpoint-")


def _row(
    raw: Mapping[str, Any],
    columns: list[tuple[str, str, Mapping[str, Any]]],
    *,
    chosen: bool,
    measured: bool,
) -> CheckpointRow:
    rates = mapping(raw.get("rates"))
    return CheckpointRow(
        name=str(raw.get("name")),
        step=whole(raw.get("step")),
        epoch=number(raw.get("epoch")),
        train_loss=number(raw.get("train_loss")),
        validation_loss=number(raw.get("validation_loss")),
        rates=tuple(_rate(name, mapping(rates.get(name)), column) for name, _, column in columns),
        status=tuple(part for part in items(raw.get("status")) if isinstance(part, str)),
        chosen=chosen,
        measured=measured,
    )


def _rate(name: str, raw: Mapping[str, Any], column: Mapping[str, Any]) -> Estimate:
    value, low, high = (number(raw.get(key)) for key in ("value", "low", "high"))
    within = all(one is None or 0 <= one <= 1 for one in (value, low, high))
    return Estimate(
        metric=name,
        group="all",
        value=value,
        low=low,
        high=high,
        numerator=0.0,
        denominator=0.0,
        n=whole(raw.get("n")),
        clusters=0,
        share=within and bool(column.get("share", True)),
    )
