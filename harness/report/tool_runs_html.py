"""What a persona costs in tool calls as one HTML page: verdicts, accuracy against style, every table. No script."""

from __future__ import annotations

from markupsafe import Markup

from harness.report import text
from harness.report import tool_runs_words as say
from harness.report.page import asset, page_environment, policy
from harness.report.tools_svg import NARROW, WIDE, tools_svg
from harness.run.tool_runs import ToolRuns


def render_tool_runs_html(runs: ToolRuns) -> str:
    """Return the page. Equal comparisons give equal text, and it can always be encoded as UTF-8."""
    style = "".join(
        asset(name) for name in ("scorecard.css", "curves.css", "diagnosis.css", "sweep.css", "tools.css")
    )
    personas = list(dict.fromkeys(one.persona for run in runs.runs for one in run.comparisons))
    pictures = [
        (
            runs.characters.get(persona, persona),
            tools_svg(say.spots(runs, persona), width=WIDE, ident=f"wide-{place}"),
            tools_svg(say.spots(runs, persona), width=NARROW, ident=f"narrow-{place}"),
        )
        for place, persona in enumerate(personas)
    ]
    return (
        page_environment({"one_line": text.one_line}, {"say": say})
        .get_template("tools.html.j2")
        .render(
            runs=runs,
            pictures=[picture for picture in pictures if picture[1]],
            signs={"good": "✓", "bad": "▲", "unsure": "?"},
            style=Markup(style),
            csp=Markup(policy(style)),
        )
    )
