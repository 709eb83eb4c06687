"""The vllm engine against the same token ids through a bare `LLM.generate`, in turn in one process, on the real model:
`python -m bench.bench_vllm [--samples 40]`; with `--against-hf` against the hf engine, each in a process of its own.

The bare side and the harness share one vLLM engine, whose prefix cache is emptied before each measurement. The harness
side is the whole run of the base: rendering, generating, writing, scoring, intervals and scorecard. The hf engine is held
against it on what the suite measures by default, base and shipped adapter; not in vLLM's process, for vLLM changes torch's
settings there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

from harness.cli.present import finish_run
from harness.run.execute import execute, open_folder
from harness.run.obtain import Silent
from harness.run.session import Session, SessionRequest, open_session
from harness.suite.load import load_suite
from harness.suite.select import Selection

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("base", str(ROOT / "train" / "adapters" / "structural-smollm2-135m"))
ROUNDS, WARM_UP = 7, 8


def shared_engine(model: str) -> tuple[Any, Session]:
    """Return vLLM's own front door and a session of the harness on the same engine behind it."""
    import torch
    from vllm import LLM
    from vllm.platforms import current_platform

    from harness.engine import vllm as vllm_engine
    from harness.engine.vllm_load import grouped_lora, load_engine
    from harness.engine.vllm_options import engine_arguments, read_options

    held: list[LLM] = []

    def open_both(request: Any, options: Any, verdicts: Any) -> Any:
        del options
        on_cpu = not torch.cuda.is_available()
        dtype = "float32" if on_cpu else "bfloat16"
        arguments = engine_arguments(request, read_options({}), dtype=dtype, on_cpu=on_cpu, verdicts=verdicts)
        with grouped_lora(current_platform) if on_cpu else contextlib.nullcontext():
            held.append(LLM(**arguments))
        return held[0].llm_engine

    vllm_engine.load_engine = open_both
    try:
        suite = load_suite(str(ROOT / "suites" / "tool_calling"))
        request = SessionRequest(engine="vllm", model=model, adapters=TARGETS)
        session = open_session(suite, request, lambda kind, detail: None)
    finally:
        vllm_engine.load_engine = load_engine
    return held[0], session


def answers(
    session: Session, selection: Selection, forget: Callable[[], object]
) -> tuple[list[float], dict[str, str]]:
    """Return the seconds of the answers of each target, in order, and every answer. Some are asked and forgotten before."""
    seconds: list[float] = []
    texts: dict[str, str] = {}
    for plan in session.plans(selection):
        prompts = list(plan.prompts())
        if not seconds:
            list(session.engine.generate(prompts[:WARM_UP]))
        forget()
        started = time.perf_counter()
        found = list(session.engine.generate(prompts))
        seconds.append(time.perf_counter() - started)
        texts |= {f"{len(seconds)} {one.sample_id}": one.text for one in found}
    return seconds, texts


def hf_answers(model: str, samples: int) -> tuple[list[float], dict[str, str]]:
    """Return what `answers` returns, of the hf engine in this process."""
    suite = load_suite(str(ROOT / "suites" / "tool_calling"))
    session = open_session(suite, SessionRequest(model=model, adapters=TARGETS), lambda kind, detail: None)
    try:
        return answers(session, Selection(limit=samples, tags={}, strata=suite.spec.slices), lambda: None)
    finally:
        session.engine.close()


def against_hf(model: str, samples: int) -> dict[str, Any]:
    """Return how fast the hf engine is against the vllm engine."""
    command = [sys.executable, "-P", __file__, "--model", model, "--samples", str(samples), "--hf"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    hf_s, hf_texts = json.loads(done.stdout)
    llm, session = shared_engine(model)
    selection = Selection(limit=samples, tags={}, strata=session.suite.spec.slices)
    vllm_s, vllm_texts = answers(session, selection, llm.reset_prefix_cache)
    device = device_of(session)
    session.engine.close()
    return {
        "samples": samples,
        "device": device,
        "vllm_engine_s": [round(one, 2) for one in vllm_s],
        "hf_engine_s": [round(one, 2) for one in hf_s],
        "hf_speed_of_vllm": round(sum(vllm_s) / sum(hf_s), 3),
        "hf_speed_by_target": [round(one / other, 3) for one, other in zip(vllm_s, hf_s, strict=True)],
        "texts": len(hf_texts),
        "identical_texts": sum(vllm_texts[name] == text for name, text in hf_texts.items()),
    }


def device_of(session: Session) -> str:
    """Return the device and the number type, as the page names them."""
    info = session.engine.info()
    return "CPU, fp32" if info.device == "cpu" else f"{info.device}, {info.dtype}"


def measure(model: str, samples: int) -> dict[str, Any]:
    """Return the ratio harness / bare vLLM, median and range over rounds."""
    from vllm import SamplingParams

    llm, session = shared_engine(model)
    suite = session.suite
    selection = Selection(limit=samples, tags={}, strata=suite.spec.slices)
    plan = next(session.plans(selection))
    prompts = list(plan.prompts())
    stops = sorted(session.engine._writer.stop_ids)

    def bare() -> list[str]:
        params = SamplingParams(
            temperature=0.0, max_tokens=prompts[0].sampling.max_new_tokens, stop_token_ids=stops
        )
        inputs = [{"prompt_token_ids": list(prompt.token_ids)} for prompt in prompts]
        found = llm.generate(inputs, [params] * len(inputs), use_tqdm=False)
        return [one.outputs[0].text for one in found]

    finish_s: list[float] = []

    def harness() -> None:
        with tempfile.TemporaryDirectory() as name, open_folder(plan, None, Path(name), []) as writer:
            counts = execute(plan, session.engine, writer, Silent())
            answered = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                finish_run(writer.folder, suite)
        finish_s.append(time.perf_counter() - answered)
        if counts.generated != len(prompts) or counts.errors:
            raise SystemExit("the harness lost samples")

    def timed(side: Any) -> float:
        llm.reset_prefix_cache()
        started = time.perf_counter()
        side()
        return time.perf_counter() - started

    bare(), harness()
    ratios, bare_s = [], []
    for turn in range(ROUNDS):
        order = (bare, harness) if turn % 2 == 0 else (harness, bare)
        seconds = {side: timed(side) for side in order}
        ratios.append(seconds[harness] / seconds[bare])
        bare_s.append(seconds[bare])
    device = device_of(session)
    session.engine.close()
    tokens = sum(len(prompt.token_ids) for prompt in prompts)
    return {
        "samples": len(prompts),
        "device": device,
        "prompt_tokens": tokens,
        "bare_s": round(statistics.median(bare_s), 2),
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
        "scoring_and_scorecard_s": round(statistics.median(finish_s[1:]), 2),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--against-hf", action="store_true", help="the vllm engine against the hf engine")
    parser.add_argument("--hf", action="store_true", help="only the hf engine: seconds and answers")
    given = parser.parse_args()
    if given.hf:
        print(json.dumps(hf_answers(given.model, given.samples)))
    else:
        side = against_hf if given.against_hf else measure
        print(json.dumps(side(given.model, given.samples), indent=1))


if __name__ == "__main__":
    main()
