"""What the harness adds to an engine: a whole run (render, write, score, report) against the same prompts through the
bare engine, in turn, in one process, on the real model."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

from harness.cli.present import finish_run
from harness.run.execute import execute, open_folder
from harness.run.obtain import Silent
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.suite.select import Selection

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 2


def measure(limit: int = 16) -> dict[str, float]:
    """Return the ratio of wall times, harness / bare engine, as the median over rounds, and its range."""
    suite = load_suite(str(ROOT / "suites" / "tool_calling"))
    session = open_session(suite, SessionRequest(adapters=("base",)), lambda kind, detail: None)
    selection = Selection(limit=limit, tags={}, strata=suite.spec.slices)
    (plan,) = session.plans(selection)
    prompts = list(plan.prompts())
    list(session.engine.generate(prompts[:4]))
    ratios = []
    bare_s = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        bare = list(session.engine.generate(prompts))
        middle = time.perf_counter()
        with tempfile.TemporaryDirectory() as name, open_folder(plan, None, Path(name), []) as writer:
            execute(plan, session.engine, writer, Silent())
            with contextlib.redirect_stdout(io.StringIO()):
                finish_run(writer.folder, suite)
        ended = time.perf_counter()
        if len(bare) != plan.planned:
            raise SystemExit("the bare engine lost samples")
        ratios.append((ended - middle) / (middle - started))
        bare_s.append(middle - started)
    return {
        "samples": plan.planned,
        "bare_engine_s": round(statistics.median(bare_s), 2),
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
