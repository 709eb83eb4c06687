"""What a persona costs in tool calls, in words: verdict, sentence and rows, the same on a terminal and on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from harness.persona.estimate import Estimate
from harness.persona.tools.analysis import ACCURACY, TAXED, Comparison
from harness.persona.tools.tax import ToolTax
from harness.report.scenario_panel import TOOL_ROWS, PanelTable, estimate_text, measure_of
from harness.report.text import one_line, percent, plural
from harness.report.tools_svg import Spot
from harness.run.tool_runs import ComparedRun, ToolRuns

WORDS = {"non_inferior": "NO WORSE", "inferior": "WORSE", "cannot_tell": "CANNOT TELL"}
TONES = {"non_inferior": "good", "inferior": "bad", "cannot_tell": "unsure"}

LABELS = {
    ACCURACY: "Tool tasks right",
    "tool_name_accuracy": "Tool names exact",
    "parameter_accuracy": "Calls exact",
}
_GAINS = {
    "chat_style": "Style in chat",
    "after_style": "Style after tools",
    "chat_passed": "Gates passed in chat",
    "after_passed": "Gates passed after tools",
}


def points(one: Estimate) -> str:
    """Return "+2.5 (-1.0 to +6.1)" in points."""
    return estimate_text(asdict(one), points=True)


def verdict_word(one: Comparison) -> str:
    """Return the verdict on the tool tasks."""
    return WORDS[one.tax[ACCURACY].non_inferiority.verdict]


def verdict_tone(one: Comparison) -> str:
    """Return how the verdict is coloured."""
    return TONES[one.tax[ACCURACY].non_inferiority.verdict]


def verdict_sentence(one: Comparison, runs: ToolRuns) -> str:
    """Return the verdict's reason: from, to, difference, interval, and what the number of tasks can show."""
    tax = one.tax[ACCURACY]
    found = tax.non_inferiority
    before, after = (tax.accuracy[name].value for name in ("base_neutral", "adapter_persona"))
    if before is None or after is None:
        return "No task is scored in all four cells."
    margin = f"{100 * found.margin:g} points"
    said = {
        "non_inferior": f"fewer than {margin} are lost",
        "inferior": f"more than {margin} are lost",
        "cannot_tell": f"whether more than {margin} are lost cannot be told",
    }[found.verdict]
    text = (
        f"Base with the neutral prompt {percent(before)} of the tool tasks, adapter with the persona prompt "
        f"{percent(after)}: {points(found.change)} points on {plural(tax.tasks, 'task')}, "
        f"{found.better} gained and {found.worse} lost; {said}."
    )
    if found.verdict == "cannot_tell" and tax.tasks < found.enough:
        text += f" With so few tasks that can hardly be shown: where all agree, {found.enough} are needed for {margin}."
    return text


def style_sentence(one: Comparison) -> str:
    """Return what is left of the style after tools, in the adapter's run under the persona prompt."""
    cell = one.adapter["persona"]
    chat, after = (cell.measures[name].value for name in ("chat_style", "after_style"))
    if chat is None or after is None:
        return "There is no style score on both sides, so nothing is said of the style kept."
    kept = cell.style_kept
    said = (
        f"kept {estimate_text(asdict(kept))}"
        if kept.value is not None
        else "so little in chat that a share kept means nothing"
    )
    return f"Adapter under the persona prompt: style {percent(chat)} in chat, {percent(after)} after tools; {said}."


def left_out_sentence(run: ComparedRun) -> str:
    """Return which characters are not compared and why, "" where all are."""
    said = [
        f"{one_line(one.persona, 80)}, which only the {'base' if one.only_in == 'base' else 'adapter'}'s run has"
        for one in run.left_out
    ]
    return f"Not compared: {'; '.join(said)}." if said else ""


def tax_table(one: Comparison) -> PanelTable:
    """Return the price and its parts, positive where accuracy is lost."""
    rows = []
    for name in TAXED:
        tax: ToolTax = one.tax[name]
        rows.append(
            (
                LABELS[name],
                points(tax.tax),
                points(tax.prompt),
                points(tax.adapter),
                points(tax.interaction),
                str(tax.tasks),
            )
        )
    return PanelTable(
        caption="Tool tax in points: what is lost from base, neutral prompt to adapter, persona prompt",
        columns=("Measure", "Tax", "Prompt alone", "Adapter alone", "Both together, beyond that", "Tasks"),
        rows=tuple(rows),
    )


def cells_table(one: Comparison) -> PanelTable:
    """Return every measure in the four cells."""
    stored = [
        asdict(cells[condition]) for cells in (one.base, one.adapter) for condition in ("neutral", "persona")
    ]
    return PanelTable(
        caption="The four cells",
        columns=("Measure", "Base, neutral", "Base, persona", "Adapter, neutral", "Adapter, persona"),
        rows=tuple(
            (label, *(estimate_text(measure_of(cell, name), share=share) for cell in stored))
            for name, label, share in TOOL_ROWS
        ),
    )


def gain_table(one: Comparison) -> PanelTable:
    """Return what the adapter adds to the style under the persona prompt."""
    return PanelTable(
        caption="What the adapter adds under the persona prompt, in points",
        columns=("Measure", "Adapter minus base", "Samples"),
        rows=tuple(
            (label, points(one.style_gain[name]), str(one.style_gain[name].n))
            for name, label in _GAINS.items()
        ),
    )


def tables(one: Comparison) -> Iterator[PanelTable]:
    """Yield a comparison's tables in their order."""
    yield tax_table(one)
    yield cells_table(one)
    yield gain_table(one)


def spots(runs: ToolRuns, persona: str) -> list[Spot]:
    """Return the points of the picture for one character: the base once, then each run, under both prompts."""
    found: dict[tuple[int, str], Spot] = {}
    shown = _spot_names(runs)
    for group, run in enumerate(runs.runs, 1):
        for one in run.comparisons:
            if one.persona != persona:
                continue
            for number, cells in ((0, one.base), (group, one.adapter)):
                for condition, cell in cells.items():
                    accuracy, style = (_triple(cell.measures, key) for key in (ACCURACY, "after_style"))
                    if accuracy is not None and style is not None:
                        found.setdefault(
                            (number, condition),
                            Spot(
                                name=f"{shown[number]}, {condition}",
                                group=number,
                                persona_prompt=condition == "persona",
                                accuracy=accuracy,
                                style=style,
                            ),
                        )
    return list(found.values())


def _spot_names(runs: ToolRuns) -> list[str]:
    """Return what the base and each run are called in the picture; names that are alike once cut are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for name in ("base", *(one_line(run.name, 30) for run in runs.runs)):
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return found


def _triple(measures: Mapping[str, Estimate], name: str) -> tuple[float, float | None, float | None] | None:
    one = measures[name]
    return None if one.value is None else (one.value, one.low, one.high)
