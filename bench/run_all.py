"""`make bench`: every figure in docs/performance.md, measured in one run, each comparison side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.run.header import environment

ROOT = Path(__file__).resolve().parents[1]
BENCHES = ("bench_import", "bench_scripted", "bench_hf", "bench_overhead")
PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    """Run each bench in a process of its own and write the page."""
    results: dict[str, Any] = {}
    for name in BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-P", str(ROOT / "bench" / f"{name}.py")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results[name] = json.loads(done.stdout)
        print(json.dumps(results[name], indent=1), file=sys.stderr, flush=True)
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)


def page(results: dict[str, Any]) -> str:
    """Return docs/performance.md."""
    env = environment()
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    start, scripted, overhead = (results[f"bench_{name}"] for name in ("import", "scripted", "overhead"))
    rows = [
        ("`import harness`, whole process", f"{start['import_harness_s']} s", "≤ 0.3 s"),
        ("`harness --help`, whole process", f"{start['help_s']} s", "≤ 0.3 s"),
        (
            "scripted engine, 10,000 samples, everything included",
            f"{scripted['ms_per_sample_10k']} ms a sample",
            "≤ 0.5 ms",
        ),
        ("the same, 100,000 samples", f"{scripted['ms_per_sample_100k']} ms a sample", ""),
        (
            "peak memory, 100,000 beyond 10,000 samples",
            f"{scripted['extra_mb']} MB ({scripted['peak_mb_100k']} against {scripted['peak_mb_10k']})",
            "≤ 50 MB",
        ),
    ]
    for row in results["bench_hf"]["results"]:
        same = f"{row['identical_texts']} of {row['prompts']} texts the same"
        goal = "≥ 5, same texts" if row["dtype"] == "fp32" else ""
        rows.append(
            (f"hf engine / one prompt at a time, {row['dtype']}", f"{row['ratio']} × as fast, {same}", goal)
        )
    rows.append(
        (
            f"whole run / bare engine, {overhead['samples']} samples",
            f"{overhead['ratio_median']} ({overhead['ratio_min']} to {overhead['ratio_max']})",
            "≤ 1.03",
        )
    )
    table = "\n".join(f"| {what} | {figure} | {goal} |" for what, figure, goal in rows)
    return f"""# Performance

Written by `make bench` on {day}: {env["cpu"]}, {env["cores"]} cores, no GPU, Python {env["python"]},
torch {env["packages"].get("torch")}, transformers {env["packages"].get("transformers")}. Both sides of a ratio are measured in
turn in one run; absolute times are this machine's.

| what | measured | goal |
|---|---|---|
{table}

- **hf engine / one prompt at a time**: 24 tool prompts that share a block of about 1,000 tokens, 32 new tokens, SmolLM2-135M;
  against `apply_chat_template` and `generate` in a loop. In bf16 a batch rounds otherwise than a single prompt, so some texts
  differ.
- **whole run / bare engine**: rendering, writing, scoring, intervals and scorecard included, against the same prompts through
  the engine alone, in turn; median and range over rounds.
- **scripted engine**: data checked, prompts rendered, answers written, parsed, scored, summed up and reported by one process,
  its start included.
"""


if __name__ == "__main__":
    main()
