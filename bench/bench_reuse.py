"""A run whose every answer can be taken over (`--reuse`) against the run that made them, on the real model; loading is
left out on both sides, because it is the same: `python -m bench.bench_reuse [--samples 24]`."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.cli.present import finish_run
from harness.log.reader import Generations
from harness.log.writer import RunWriter
from harness.run.execute import Counts, execute, open_folder
from harness.run.obtain import Silent
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.suite.select import Selection

ROOT = Path(__file__).resolve().parents[1]


def measure(samples: int) -> dict[str, Any]:
    """Return the wall times of both runs (scoring and scorecard included), and their ratio."""
    suite = load_suite(str(ROOT / "suites" / "tool_calling"))
    session = open_session(suite, SessionRequest(adapters=("base",)), lambda kind, detail: None)
    (plan,) = session.plans(Selection(limit=samples, tags={}, strata=suite.spec.slices))
    list(session.engine.generate(list(plan.prompts())[:4]))

    def whole(writer: RunWriter, reused: Generations | None) -> tuple[float, Counts]:
        started = time.perf_counter()
        counts = execute(plan, session.engine, writer, Silent(), reused)
        with contextlib.redirect_stdout(io.StringIO()):
            finish_run(writer.folder, suite)
        return time.perf_counter() - started, counts

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_folder(plan, None, folder / "first", []) as writer:
            first_s, _ = whole(writer, None)
            earlier = writer.folder
        with Generations(earlier) as reused, open_folder(plan, None, folder / "again", []) as writer:
            again_s, counts = whole(writer, reused)
    if counts.reused != plan.planned or counts.generated:
        raise SystemExit(f"{counts.reused} of {plan.planned} answers were taken over")
    return {
        "samples": plan.planned,
        "first_s": round(first_s, 2),
        "again_s": round(again_s, 3),
        "ratio": round(again_s / first_s, 4),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=24)
    print(json.dumps(measure(parser.parse_args().samples), indent=1))


if __name__ == "__main__":
    main()
