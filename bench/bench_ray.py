"""Two Ray workers against one: a local Ray, the scripted engine waiting before every answer, the same prompts, in turn.

Engines are open before the clock starts; what is timed is `generate`, from the first prompt read to the last answer here. The
same prompts through the bare scripted engine, without Ray, stand beside it. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from harness.engine.base import Engine
from harness.run.session import SessionRequest, open_session
from harness.suite.load import load_suite
from harness.suite.select import Selection
from harness.types import Prompt

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = 250
DELAY_S = 0.02
ROUNDS = 3


def opened(engine: str, options: Mapping[str, str], on: ExitStack) -> tuple[Engine, list[Prompt]]:
    """Return an engine, closed when `on` is, and the prompts for it."""
    suite = load_suite(str(ROOT / "suites" / "tool_calling"))
    request = SessionRequest(engine=engine, options={"delay_s": str(DELAY_S), **options})
    session = open_session(suite, request, lambda kind, detail: None)
    on.enter_context(closing(session.engine))
    (plan,) = session.plans(Selection(limit=SAMPLES, tags={}, strata=suite.spec.slices))
    return session.engine, list(plan.prompts())


def seconds(engine: Engine, prompts: list[Prompt]) -> float:
    """Return the wall time of one pass; every prompt must be answered."""
    started = time.perf_counter()
    answers = {answer.key for answer in engine.generate(iter(prompts)) if answer.status == "ok"}
    spent = time.perf_counter() - started
    if answers != {prompt.key for prompt in prompts}:
        raise SystemExit("answers are missing")
    return spent


def measure() -> dict[str, object]:
    """Return the ratio of answers a second, two workers / one, as the median over rounds, and its range."""
    over_ray = {"engine": "scripted", "address": "local", "cpus_per_worker": "1"}
    ratios, one_s, two_s, bare_s = [], [], [], []
    with ExitStack() as on:
        bare, prompts = opened("scripted", {}, on)
        for _ in range(ROUNDS):
            # One at a time, so that neither side's workers take cores from the other's.
            with ExitStack() as turn:
                two, _ = opened("ray", {**over_ray, "workers": "2"}, turn)
                two_s.append(seconds(two, prompts))
            with ExitStack() as turn:
                one, _ = opened("ray", {**over_ray, "workers": "1"}, turn)
                one_s.append(seconds(one, prompts))
            bare_s.append(seconds(bare, prompts))
            ratios.append(one_s[-1] / two_s[-1])
    return {
        "samples": len(prompts),
        "delay_s": DELAY_S,
        "cores": os.cpu_count(),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "two_workers_s": round(statistics.median(two_s), 2),
        "one_worker_s": round(statistics.median(one_s), 2),
        "without_ray_s": round(statistics.median(bare_s), 2),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
