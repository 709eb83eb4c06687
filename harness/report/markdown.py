"""The scorecard as Markdown: for a pull request, a GitHub step summary, a chat.

What a model or a data set wrote stands in code spans, where Markdown neither links, nor mentions, nor formats; the rest
is escaped. The text stays far below GitHub's limit of 1 MiB for a step summary, whatever the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.report import gates as gate_words
from harness.report import wording
from harness.report import wording_of_change as say
from harness.report.gates import Gate
from harness.report.measures import Metric
from harness.report.model import Scorecard
from harness.report.persona_panel import PersonaPanel, share_text, with_interval, word_of
from harness.report.scenario_panel import ScenarioPanel
from harness.report.text import count, one_line, percent

MAX_ROWS = 20
MAX_SAMPLES = 20
_MARKUP = re.compile(r"([\\`*_\[\]<>|~#!&])")
_BACKTICKS = re.compile(r"`+")
_SIGNS = {"good": "✅", "bad": "❌", "unsure": "❔", "done": "⚪", "incomplete": "⚠️"}
_GATES = {"pass": "✅ pass", "fail": "❌ fail", "cannot_tell": "❔ cannot tell", "unknown": "❔ not decided"}


def escaped(text: str, width: int = 400) -> str:
    """Return text on one line that Markdown shows as it is; an @ names nobody."""
    return _MARKUP.sub(r"\\\1", one_line(text, width)).replace("@", "&#64;")


def code(text: str, width: int = 80) -> str:
    """Return text as a code span that also holds in a table; an empty text as an empty string."""
    shown = one_line(text, width)
    if not shown:
        return ""
    longest = max(map(len, _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", "\\|")


def render_markdown(card: Scorecard) -> str:
    """Return the scorecard's first screen, scores, gates, what broke and why, as GitHub-flavoured Markdown."""
    blocks = [block for part in _parts(card) if (block := part)]
    return "\n\n".join(blocks) + "\n"


def _parts(card: Scorecard) -> Iterator[str]:
    yield f"## {_SIGNS[card.verdict.tone]} {card.verdict.word}: {escaped(card.title)}"
    yield f"**{escaped(card.verdict.sentence)}**"
    if card.verdict.banner:
        yield f"> {escaped(card.verdict.banner, 600)}"
    if card.persona is not None and card.persona.validated is False:
        yield f"> ⚠️ {escaped(card.persona.sentence, 1200)}"
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
        yield escaped(gate_words.summary(card.gates), 600)
        yield _gates(card.gates.rows)
    if card.persona is not None:
        yield from _persona(card.persona)
    if card.scenario is not None:
        yield from _scenario(card.scenario)
    yield from _broken(card)
    if card.failures:
        yield "### Failure kinds"
        yield _failures(card)
    yield _details(
        "Identity", _table(("", ""), [(fact.label, code(fact.value, 200)) for fact in card.identity])
    )
    yield _details("What this does not say", "\n".join(f"- {escaped(text, 800)}" for text in card.limits))
    if card.command:
        yield _details("Reproduce", code(card.command, 2000))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """Return a table; the last `numbers` columns are set to the right."""
    rule = ["---"] * (len(head) - numbers) + ["--:"] * numbers
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _details(name: str, body: str) -> str:
    return f"<details><summary>{name}</summary>\n\n{body}\n\n</details>" if body else ""


def _answers(card: Scorecard) -> str:
    signs = {"better": "▲ ", "worse": "▼ ", "unclear": "? "}
    rows = [
        (
            "" if place else f"**{answer.question}**",
            signs.get(line.standing, "") + escaped(line.text, 600),
        )
        for answer in card.verdict.answers
        for place, line in enumerate(answer.lines)
    ]
    return _table(("", ""), rows)


def _scores(card: Scorecard) -> str:
    head = ["Measure", "Better", "Value", "95 % interval", "n"]
    compared = card.baseline is not None
    head += [f"{escaped(card.baseline.name, 40)}", "Difference", "95 % interval", ""] if card.baseline else []
    rows = []
    for metric in card.headline:
        overall = metric.overall
        row = [
            f"**{escaped(metric.label, 60)}**",
            "↑" if metric.higher_is_better else "↓",
            wording.estimate_value(overall),
            wording.estimate_interval(overall),
            count(overall.n) + (" (small)" if overall.small and overall.n else ""),
        ]
        rows.append(row + (_difference(metric) if compared else []))
    return _table(head, rows, numbers=len(head) - 2)


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
                    f"**{escaped(row.rule or row.name, 200)}**",
                    escaped(row.sentence, 500),
                    escaped(gate_words.worse_text(row), 500),
                )
                if part
            ),
            wording.value_text(row.observed, row.share),
            "–" if row.n is None else count(row.n),
        )
        for row in rows[: 3 * MAX_ROWS]
    ]
    table = _table(("Verdict", "Gate", "Observed", "n"), cells, numbers=2)
    more = len(rows) - len(cells)
    return f"{table}\n\n{count(more)} more gates not shown." if more > 0 else table


def _persona(panel: PersonaPanel) -> Iterator[str]:
    yield "### Persona"
    yield f"{code(panel.name)}, asked under {panel.prompt}. {escaped(panel.adjusted)}".strip()
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
        yield _table(head, cells, numbers=3)
    if panel.checks:
        rows = [
            (
                escaped(one.name, 80),
                with_interval(one.value, one.low, one.high),
                count(one.n),
                escaped(one.goal, 120),
                word_of(one),
            )
            for one in panel.checks[:MAX_ROWS]
        ]
        table = _table(("Check", "Value", "n", "Goal", "Result"), rows)
        yield _details("Checks of the metric itself", table)
    if panel.confounds:
        other = [
            (escaped(one.name, 80), with_interval(one.auc, one.low, one.high))
            for one in panel.confounds[:MAX_ROWS]
        ]
        yield _details("What tells the replies apart beside manner", _table(("Feature", "AUC"), other))


def _scenario(panel: ScenarioPanel) -> Iterator[str]:
    yield f"### {panel.title}"
    yield "\n".join(f"- {escaped(sentence, 600)}" for sentence in panel.sentences)
    for table in panel.tables:
        rows = [tuple(escaped(cell, 120) for cell in row) for row in table.rows]
        yield _details(
            escaped(table.caption, 80), _table(tuple(escaped(name, 80) for name in table.columns), rows)
        )


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
            escaped(kind.sentence, 160),
            count(kind.samples),
            percent(kind.samples / card.outcomes) if card.outcomes else "–",
        )
        for kind in card.failures[:MAX_ROWS]
    ]
    return _table(("Outcome", "", "Samples", "Share"), rows, numbers=2)
