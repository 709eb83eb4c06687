"""The scorecard as Markdown: for a pull request, a GitHub step summary, a chat.

What a model or a data set wrote stands in code spans, where Markdown neither links, nor mentions, nor formats; the rest
is escaped (see `markdown_text`). The text stays far below GitHub's limit of 1 MiB for a step summary, whatever the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report import gates as gate_words
from harness.report import wording
from harness.report import wording_of_change as say
from harness.report.gates import Gate
from harness.report.judge_panel import JudgePanel, interval_text, mark_of, value_text
from harness.report.markdown_text import code, plain
from harness.report.measures import Metric
from harness.report.model import Scorecard
from harness.report.persona_panel import PersonaPanel, share_text, with_interval, word_of
from harness.report.scenario_panel import ScenarioPanel
from harness.report.text import count, percent

MAX_ROWS = 20
MAX_SAMPLES = 20
SIGNS = {"good": "✅", "bad": "❌", "unsure": "❔", "done": "⚪", "incomplete": "⚠️"}
_GATES = {"pass": "✅ pass", "fail": "❌ fail", "cannot_tell": "❔ cannot tell", "unknown": "❔ not decided"}


def render_markdown(card: Scorecard) -> str:
    """Return the scorecard's first screen, scores, gates, what broke and why, as GitHub-flavoured Markdown."""
    return "\n\n".join(block for block in _parts(card) if block) + "\n"


def _parts(card: Scorecard) -> Iterator[str]:
    yield f"## {SIGNS[card.verdict.tone]} {card.verdict.word}: {plain(card.title, 400)}"
    yield f"**{plain(card.verdict.sentence, 400)}**"
    if card.verdict.banner:
        yield f"> {plain(card.verdict.banner, 600)}"
    if card.persona is not None and card.persona.validated is False:
        yield f"> ⚠️ {plain(card.persona.sentence, 1200)}"
    yield _answers(card)
    counts = card.counts
    yield (
        f"{count(counts.planned)} planned, {count(counts.scored)} scored, {count(counts.errors)} errors, "
        f"{count(counts.unscored)} unscored, {count(counts.truncated)} truncated."
    )
    if card.headline:
        yield "### Scores"
        yield _scores(card)
    if card.gates is not None:
        yield "### Gates"
        yield plain(gate_words.summary(card.gates), 600)
        yield _gates(card.gates.rows)
    if card.persona is not None:
        yield from _persona(card.persona)
    if card.judge is not None:
        yield from _judge(card.judge)
    if card.scenario is not None:
        yield from _scenario(card.scenario)
    yield from _broken(card)
    if card.failures:
        yield "### Failure kinds"
        yield _failures(card)
    yield _details(
        "Identity", table(("", ""), [(fact.label, code(fact.value, 200)) for fact in card.identity])
    )
    yield _details("What this does not say", "\n".join(f"- {plain(text, 800)}" for text in card.limits))
    if card.command:
        yield _details("Reproduce", code(card.command, 2000))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """Return a table; the last `numbers` columns are set to the right."""
    rule = ["---"] * (len(head) - numbers) + ["--:"] * numbers
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _details(name: str, body: str) -> str:
    return f"<details><summary>{name}</summary>\n\n{body}\n\n</details>" if body else ""


def _answers(card: Scorecard) -> str:
    rows = [
        (
            "" if place else f"**{answer.question}**",
            (f"{say.sign(line.standing)} " if line.standing else "") + plain(line.text, 600),
        )
        for answer in card.verdict.answers
        for place, line in enumerate(answer.lines)
    ]
    return table(("", ""), rows)


def _scores(card: Scorecard) -> str:
    head = ["Measure", "Better", "Value", "95 % interval", "n"]
    compared = card.baseline is not None
    head += [f"{plain(card.baseline.name, 40)}", "Difference", "95 % interval", ""] if card.baseline else []
    rows = []
    for metric in card.headline:
        overall = metric.overall
        row = [
            f"**{plain(metric.label, 60)}**",
            "↑" if metric.higher_is_better else "↓",
            wording.estimate_value(overall),
            wording.estimate_interval(overall),
            count(overall.n) + (" (small)" if overall.small and overall.n else ""),
        ]
        rows.append(row + (_difference(metric) if compared else []))
    return table(head, rows, numbers=len(head) - 2)


def _difference(metric: Metric) -> list[str]:
    change = metric.change
    if change is None:
        return ["–", "–", "–", ""]
    return [
        wording.value_text(change.before, change.share),
        say.amount(change.value, change.share),
        say.interval(change),
        say.standing(change),
    ]


def _gates(rows: Sequence[Gate]) -> str:
    cells = [
        (
            _GATES[row.verdict] + (" (stops nothing)" if not row.stops and row.verdict != "pass" else ""),
            " ".join(
                part
                for part in (
                    f"**{plain(row.rule or row.name, 200)}**",
                    plain(row.sentence, 500),
                    plain(gate_words.worse_text(row), 500),
                )
                if part
            ),
            wording.value_text(row.observed, row.share),
            "–" if row.n is None else count(row.n),
        )
        for row in rows[: 3 * MAX_ROWS]
    ]
    shown = table(("Verdict", "Gate", "Observed", "n"), cells, numbers=2)
    more = len(rows) - len(cells)
    return f"{shown}\n\n{count(more)} more gates not shown." if more > 0 else shown


def _judge(panel: JudgePanel) -> Iterator[str]:
    yield "### Judge model"
    yield code(panel.title, 200)
    for text in panel.warnings:
        yield f"> ⚠️ {plain(text, 500)}"
    if panel.rows:
        rows = [
            (plain(row.label, 80), value_text(row), interval_text(row), count(row.n), mark_of(row))
            for row in panel.rows
        ]
        yield table(("Figure", "Value", "95 % interval", "n", ""), rows)
    for note in panel.notes:
        yield plain(note, 500)


def _persona(panel: PersonaPanel) -> Iterator[str]:
    yield "### Persona"
    yield f"{code(panel.name)}, asked under {panel.prompt}. {plain(panel.adjusted)}".strip()
    for text in panel.warnings:
        yield f"> ⚠️ {plain(text, 400)}"
    if panel.phrases:
        cells = [
            (
                code(one.phrase, 60),
                count(one.questions),
                share_text(one.share),
                share_text(one.reference_share),
            )
            for one in panel.phrases[:MAX_ROWS]
        ]
        head = ("Phrase in too many replies", "Questions", "Share", "In the references")
        yield table(head, cells, numbers=3)
    if panel.checks:
        rows = [
            (
                plain(one.name, 80),
                with_interval(one.value, one.low, one.high),
                count(one.n),
                plain(one.goal, 120),
                word_of(one),
            )
            for one in panel.checks[:MAX_ROWS]
        ]
        checks = table(("Check", "Value", "n", "Goal", "Result"), rows)
        yield _details("Checks of the metric itself", checks)
    if panel.confounds:
        other = [
            (plain(one.name, 80), with_interval(one.auc, one.low, one.high))
            for one in panel.confounds[:MAX_ROWS]
        ]
        yield _details("What tells the replies apart beside manner", table(("Feature", "AUC"), other))


def _scenario(panel: ScenarioPanel) -> Iterator[str]:
    yield f"### {panel.title}"
    yield "\n".join(f"- {plain(sentence, 600)}" for sentence in panel.sentences)
    for one in panel.tables:
        rows = [tuple(plain(cell, 120) for cell in row) for row in one.rows]
        yield _details(plain(one.caption, 80), table(tuple(plain(name, 80) for name in one.columns), rows))


def _broken(card: Scorecard) -> Iterator[str]:
    changed = card.changed
    if changed is None or not changed.broken:
        return
    yield f"### Broken: right before, wrong now ({count(changed.broken_n)})"
    shown = changed.broken[:MAX_SAMPLES]
    lines = [f"- {code(one.sample_id)} {code(one.before, 40)} → {code(one.after, 40)}" for one in shown]
    if changed.broken_n > len(shown):
        lines.append(f"- and {count(changed.broken_n - len(shown))} more")
    yield "\n".join(lines)


def _failures(card: Scorecard) -> str:
    rows = [
        (
            code(kind.code, 40),
            plain(kind.sentence, 160),
            count(kind.samples),
            percent(kind.samples / card.outcomes) if card.outcomes else "–",
        )
        for kind in card.failures[:MAX_ROWS]
    ]
    return table(("Outcome", "", "Samples", "Share"), rows, numbers=2)
