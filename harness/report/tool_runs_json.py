"""What a persona costs in tool calls, as JSON: the numbers behind the page."""

from __future__ import annotations

from typing import Any

from harness.persona.tools.analysis import ACCURACY
from harness.report import tool_runs_words as say
from harness.run.tool_runs import ToolRuns


def tool_runs_data(runs: ToolRuns) -> dict[str, Any]:
    """Return the object that docs/persona_tools.md describes. Shares are between 0 and 1."""
    return {
        "v": 1,
        "suite": runs.suite,
        "base": {"run": str(runs.base), "name": runs.base_name},
        "margin": runs.margin,
        "validated": runs.validated,
        "why_not": list(runs.why_not),
        "runs": [
            {
                "run": str(run.folder),
                "name": run.name,
                "left_out": [{"persona": one.persona, "only_in": one.only_in} for one in run.left_out],
                "personas": [
                    {
                        **one.to_json(),
                        "verdict": one.tax[ACCURACY].non_inferiority.verdict,
                        "sentence": say.verdict_sentence(one, runs),
                    }
                    for one in run.comparisons
                ],
            }
            for run in runs.runs
        ],
    }
