"""The sentences of a sweep: what to ship, why that one, what other rules would have cost, and whether it held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.text import count, percent, plural
from harness.run.paired_answers import Difference
from harness.training.choose_checkpoint import Choice, Rival
from harness.training.sweep_result import Column, Rate, Row, Sweep
from harness.training.sweep_targets import BASE, START

_CURVE = {
    "overfit": "after overfitting began",
    "memorising": "while memorising",
    "diverged": "after divergence",
    "lost_progress": "after progress was lost",
}
_RULES = {
    "validation_loss": "Lowest validation loss",
    "smallest_gap": "Smallest gap of validation to train loss",
    "start": "No further training",
    "last": "The last checkpoint",
    "highest": "The highest value",
}
_SMALL = 20
"""Fewer samples than this are called few, as in a scorecard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepVerdict:
    """The first thing a reader sees: a tone (`good`, `bad`, `unsure`), a word and a sentence."""

    tone: str
    word: str
    sentence: str


def rate_value(rate: Rate | None, column: Column) -> str:
    """Return "85.2 %", a plain number for what is no share, a dash where nothing counts."""
    if rate is None or rate.value is None:
        return "–"
    return percent(rate.value) if column.share else f"{rate.value:.3g}"


def rate_interval(rate: Rate | None, column: Column) -> str:
    """Return "79.1 to 90.3", in the unit of the value."""
    if rate is None or rate.low is None or rate.high is None:
        return "–"
    scale, digits = (100, ".1f") if column.share else (1, ".3g")
    return f"{rate.low * scale + 0.0:{digits}} to {rate.high * scale + 0.0:{digits}}"


def change(value: float, column: Column, *, signed: bool = True) -> str:
    """Return "+12.0 points", or a plain signed number for what is no share."""
    amount, digits = (value * 100, ".1f") if column.share else (value, ".3g")
    text = f"{amount + 0.0:{'+' if signed else ''}{digits}}"
    if not column.share:
        return text
    return f"{text} point" if text in ("+1.0", "-1.0", "1.0") else f"{text} points"


def evidence(difference: Difference, column: Column) -> str:
    """Return "95 % interval +4.0 to +20.0, p = 0.012"."""
    scale, digits = (100, "+.1f") if column.share else (1, "+.3g")
    parts = []
    if difference.low is not None and difference.high is not None:
        low, high = (f"{bound * scale + 0.0:{digits}}" for bound in (difference.low, difference.high))
        parts.append(f"95\u00a0% interval {low} to {high}")
    else:
        parts.append("no interval: too few independent samples")
    if difference.p is not None:
        parts.append(p_value(difference.p))
    return ", ".join(parts)


def p_value(p: float) -> str:
    """Return "p = 0.012" or "p < 0.001", in one piece."""
    text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
    return text.replace(" ", "\u00a0")


def loss_text(value: float | None) -> str:
    """Return a loss with three decimals."""
    return "–" if value is None else f"{value:.3f}"


def perplexity_text(value: float | None) -> str:
    """Return a perplexity: two decimals while it is small, then as a power."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 1000 else f"{value:.1e}"


def status_parts(row: Row, sweep: Sweep) -> tuple[str, ...]:
    """Return what is said of a row, the most important first."""
    choice = sweep.choice
    if row.problem is not None:
        return (f"incomplete: {row.problem}" if row.folder else f"not scored: {row.problem}",)
    if choice is None:
        return ()
    standing = choice.standings.get(row.name)
    if standing is None or standing.place is None:
        return ("base",) if row.name == BASE else (f"no sample counts for {sweep.metric}",)
    parts = ["training began with it"] if row.name == START else []
    parts += ["chosen"] if row.name == choice.chosen else []
    p = standing.to_best.p if standing.to_best is not None else None
    shown = f" ({p_value(p)})" if p is not None else ""
    parts.append(
        {
            "best": "best",
            "within_error": "within 1 SE of the best",
            "below": f"below the best{shown}",
            "worse": f"worse than the best{shown}",
        }[standing.place]
    )
    parts += {"not_better": ["not better than the base"], "worse": ["worse than the base"]}.get(
        standing.against_base or "", []
    )
    parts += [_CURVE[code] for code in row.curve if code in _CURVE]
    return tuple(parts)


def verdict(sweep: Sweep) -> SweepVerdict:
    """Return the verdict: to ship, to keep what training began with, not confirmed, not better, worse, or without a base."""
    choice = _chosen(sweep)
    column = sweep.column(sweep.metric)
    name, what = choice.chosen, _lower(column.label)
    to_base = choice.against_base
    unchanged = (
        f" {name} is the adapter that training began with: no checkpoint is shown to improve on it."
        if name == START
        else ""
    )
    rate = rate_value(sweep.row(name).rates.get(column.name), column)
    if to_base is None:
        return SweepVerdict(
            tone="unsure",
            word="NO BASE TO COMPARE",
            sentence=f"{name} is the one to choose, with {rate} ({what}), but the base has no complete run to hold it "
            f"against.{unchanged}",
        )
    against = f"{change(to_base.value, column)} against the base ({evidence(to_base, column)})"
    if choice.verdict == "worse":
        return SweepVerdict(
            tone="bad",
            word="WORSE THAN BASE",
            sentence=f"Ship none: {name}, the one to choose among the checkpoints, is worse than the base. "
            f"{column.label} {rate}, {against}.{unchanged}",
        )
    if choice.verdict == "not_better":
        return SweepVerdict(
            tone="unsure",
            word="NOT BETTER THAN BASE",
            sentence=f"{name} is the one to choose, but it is not shown to be better than the "
            f"base. {column.label} {rate}, {against}.{unchanged}",
        )
    held = _held(sweep)
    if held is False:
        return SweepVerdict(
            tone="unsure",
            word="NOT CONFIRMED",
            sentence=f"{name} is better than the base on the {sweep.split} split ({column.label} {rate}, {against}), "
            f"and the test split does not confirm it.{unchanged}",
        )
    if name == START:
        return SweepVerdict(
            tone="unsure",
            word="KEEP THE START",
            sentence=f"No checkpoint is shown to be better than {name}, the adapter that training began with: {what} "
            f"{rate} on {plural(sweep.samples, sweep.split + ' sample')}, {against}.",
        )
    return SweepVerdict(
        tone="good",
        word="SHIP",
        sentence=f"{name}: {what} {rate} on {plural(sweep.samples, sweep.split + ' sample')}, {against}.",
    )


def test_sentence(sweep: Sweep) -> str:
    """Return what the test split says of the metric; "" where it was not asked."""
    test = sweep.test
    if test is None:
        return ""
    paired = next(one for one in test.measures if one.column.name == sweep.metric)
    values = (
        f"On the {test.split} split ({plural(test.samples, 'sample')}, not used for choosing): base "
        f"{rate_value(paired.base, paired.column)}, {test.name} {rate_value(paired.chosen, paired.column)}"
    )
    if paired.difference is None:
        return f"{values}; no sample counts for both."
    against = " against the base" if sweep.began_with_adapter else ""
    word = {True: f"confirmed{against}", False: f"not confirmed{against}", None: "no base"}[_held(sweep)]
    lacking = "" if test.complete else " Samples are missing, so this is preliminary."
    return f"{values}: {change(paired.difference.value, paired.column)} ({evidence(paired.difference, paired.column)}), {word}.{lacking}"


def reasons(sweep: Sweep) -> tuple[str, ...]:
    """Return why this one: the one-standard-error rule in its numbers, and what validation loss would have cost."""
    choice = _chosen(sweep)
    column = sweep.column(sweep.metric)
    rate = rate_value(sweep.row(choice.best).rates.get(column.name), column)
    best = f"{choice.best} ({rate})"
    values = {choice.standings[name].value for name in choice.equals}
    scored = sum(
        standing.place is not None for standing in choice.standings.values() if standing.name != START
    )
    if choice.chosen == START:
        why = (
            f"No checkpoint is shown to do better than {START}."
            if choice.best == START
            else f"{START} is within one standard error of the best checkpoint, {best}, and none is clearly better."
        )
    elif choice.passed_over or START in choice.equals:
        passed = _listed(choice.passed_over) if choice.passed_over else ""
        less = f"; {passed} {'does' if len(choice.passed_over) == 1 else 'do'} not" if passed else ""
        why = (
            f"{choice.chosen} is the earliest checkpoint that equals the best, {best}, and improves on {START} by more "
            f"than one standard error{less}."
        )
    elif scored > 1 and len(choice.equals) == scored and len(values) == 1:
        every = "Both" if scored == 2 else f"All {scored}"
        why = f"{every} checkpoints have {rate}: {choice.chosen} is the earliest."
    elif scored == 1:
        why = f"{choice.chosen} is the only checkpoint that was scored."
    elif choice.chosen == choice.best:
        why = f"{choice.chosen} is the best of {scored} checkpoints, and no earlier one is within one standard error."
    elif not choice.error:
        why = f"{choice.chosen} is the earliest of {len(choice.equals)} checkpoints that equal the best, {best}."
    else:
        why = (
            f"{choice.chosen} is the earliest of {len(choice.equals)} checkpoints within one standard error of the best, "
            f"{best}: one standard error of its paired difference is {change(choice.error, column, signed=False)}."
        )
    rival = next((rival for rival in choice.rivals if rival.rule == "validation_loss"), None)
    if rival is None:
        return why, "No validation loss was logged for these checkpoints, so there is none to compare with."
    return why, f"Validation loss {_cost(rival, choice, column)}"


def _cost(rival: Rival, choice: Choice, column: Column) -> str:
    difference = rival.difference
    if rival.name == choice.chosen:
        return "is lowest there too."
    if difference is None:
        return f"would have chosen {rival.name}."
    gain = difference.value if choice.higher_is_better else -difference.value
    shown = f"{change(abs(difference.value), column, signed=False)} of {_lower(column.label)}"
    told = evidence(difference, column)
    if gain == 0:
        return f"would have chosen {rival.name}, which has the same {_lower(column.label)}."
    if not difference.clear:
        side = "lost" if gain > 0 else "gained"
        return f"would have chosen {rival.name}, which {side} {shown} here; that may be chance ({told})."
    if gain > 0:
        return f"would have chosen {rival.name}. That would have cost {shown} ({told})."
    return f"would have chosen {rival.name}, which has {shown} more ({told})."


def rival_rows(sweep: Sweep) -> tuple[tuple[str, str, str], ...]:
    """Return (rule, its choice, the chosen one minus it) of the usual rules."""
    choice, column = _chosen(sweep), sweep.column(sweep.metric)
    return tuple(
        (
            _RULES[rival.rule],
            rival.name,
            "the same"
            if rival.name == choice.chosen
            else "–"
            if rival.difference is None
            else f"{change(rival.difference.value, column)} ({evidence(rival.difference, column)})",
        )
        for rival in choice.rivals
    )


def warnings(sweep: Sweep) -> tuple[str, ...]:
    """Return what must not be overlooked: guards, few samples, incomplete rows, a split that was used up."""
    choice = _chosen(sweep)
    found = []
    if sweep.constraint is not None:
        found.append(
            f"The answers were constrained: {sweep.constraint}. A model that decodes freely may do worse."
        )
    start = next((rival for rival in choice.rivals if rival.rule == "start"), None)
    if start is not None and start.difference is not None and not start.difference.clear:
        column = sweep.column(sweep.metric)
        found.append(
            f"{choice.chosen} is not shown to be better than {START}, the adapter that training began with: "
            f"{change(start.difference.value, column)} ({evidence(start.difference, column)})."
        )
    if any(row.name == START and row.problem is not None for row in sweep.rows):
        found.append(
            "What training began with was not measured, so it is not known whether this stage gained anything."
        )
    for guard in choice.guards:
        column = sweep.column(guard.measure)
        found.append(
            f"{choice.chosen} is worse than {START if guard.start else 'the base'} on {_lower(column.label)}: "
            f"{change(guard.difference.value, column)} ({evidence(guard.difference, column)})."
        )
    counting = sweep.row(choice.chosen).rates[sweep.metric].n
    if counting < _SMALL:
        found.append(
            f"Only {plural(counting, 'sample')} count for the choice. Do not rely on it; sweep without --limit, or with "
            "a higher one."
        )
    missing = [row.name for row in sweep.rows if row.problem is not None]
    if missing:
        verb = "takes" if len(missing) == 1 else "take"
        found.append(f"{_listed(missing)} {verb} no part in the choice: see the table.")
    if sweep.split == "test":
        found.append(
            "The test split was used for choosing, so these figures are optimistic and nothing is left to check them."
        )
    return tuple(found)


def notes(sweep: Sweep) -> tuple[str, ...]:
    """Return how to read the numbers."""
    train = {
        "probe": "Train loss is that of a fixed slice of the training rows, evaluated as the validation rows are.",
        "log": "Train loss is the last one logged at or before the step: a mean over a few batches, with dropout.",
        "none": "No train loss was logged.",
    }[sweep.train_loss]
    found = [
        "Chosen: the earliest checkpoint whose metric is within one standard error of the best (Breiman et al. 1984), the "
        "error being that of the paired difference on the same samples, samples of one cluster counted together.",
        "Better and worse are said only where the 95 % interval of the paired difference leaves out 0 and the p-value of "
        "swapping clusters is below 0.05. With many checkpoints one of twenty equal ones will seem so by chance.",
        f"The {sweep.split} figures of a chosen checkpoint are a little optimistic, because it was chosen by them.",
        f"Perplexity is exp(validation loss). {train}",
    ]
    if sweep.began_with_adapter:
        start = "the adapter that training began with, the checkpoint of step 0. Later ones must earn their place."
        found.insert(0, f"{START.capitalize()}: {start}")
    return tuple(found)


def _held(sweep: Sweep) -> bool | None:
    """Return whether the test split confirms that the chosen one is better; None where it was not asked."""
    if sweep.test is None:
        return None
    paired = next(one for one in sweep.test.measures if one.column.name == sweep.metric)
    if paired.difference is None:
        return False
    gain = paired.difference.value if paired.column.higher_is_better else -paired.difference.value
    return paired.difference.clear and gain > 0


def _chosen(sweep: Sweep) -> Choice:
    if sweep.choice is None:
        raise ValueError("nothing was chosen yet")
    return sweep.choice


def _lower(label: str) -> str:
    """Return a label for the middle of a sentence: "Tool names exact" -> "tool names exact", "JSON ..." as it is."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{names[0]}, {names[1]} and {count(len(names) - 2)} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
