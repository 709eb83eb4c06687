"""A sweep against what it replaces: one `harness sweep` over base and 4 checkpoints, and one `harness run` for each of the
five, every command a process of its own, on the same samples: `python -m bench.bench_sweep [--samples 12] [--engine vllm]
[--fresh | --run FOLDER]`.

The checkpoints are trained here: 24 steps from the shipped adapter on, on the project's own data, or are those of a run folder
(`--run`, copied). `--fresh` trains from the base instead: checkpoints that hardly know the task yet, and agree little. The sweep
loads libraries and weights once, and checks what the last target answered before it writes an answer itself; the seconds
of generation alone stand beside the ratio. Both sides take turns, target by target, so that
a busy machine slows both: a fifth of the separate runs comes before the sweep, the rest after it. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.models.resolve import resolve_model
from harness.training.run_folder import checkpoints

ROOT = Path(__file__).resolve().parents[1]
RECIPE = """schema: 1
name: sweep-bench
base: {base}
{start}
train: {{path: {data}, split: train, limit: 128}}
lora: {{r: 12, alpha: 24}}
tokens: {{share_prefix: true}}
training: {{max_steps: 24, per_device_train_batch_size: 8, learning_rate: 8.0e-4, warmup_steps: 1, dtype: bfloat16}}
evaluation: {{every: 6}}
"""
TARGETS = 5
BASE = "smollm2-135m"
SHIPPED = ROOT / "train" / "adapters" / "structural-smollm2-135m"


def seconds(*arguments: str | Path) -> float:
    """Return the wall time of one harness command; end the bench with what it said if it fails."""
    started = time.perf_counter()
    command = [sys.executable, "-P", "-m", "harness", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def generations(folder: Path) -> tuple[float, dict[str, str]]:
    """Return the seconds that the runs in a folder spent generating, and every answer by adapter and sample."""
    spent, texts = 0.0, {}
    for header_path in folder.glob("*/run.json"):
        header = json.loads(header_path.read_text(encoding="utf-8"))
        spent += header["generation_s"]
        adapter = Path(header["engine"]["adapter"] or "base").name
        with (header_path.parent / "generations.jsonl").open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                texts[f"{adapter} {record['sample_id']}"] = record["text"]
    return spent, texts


def trained(folder: Path, model: Path, start: str) -> Path:
    """Train in a folder; return the run."""
    recipe = RECIPE.format(base=model, start=start, data=ROOT / "datasets" / "structural")
    (folder / "recipe.yaml").write_text(recipe)
    seconds("train", folder / "recipe.yaml", "--out", folder / "runs")
    (run,) = (folder / "runs").iterdir()
    return run


def measure(
    model_name: str, samples: int, engine: str = "hf", fresh: bool = False, given_run: Path | None = None
) -> dict[str, object]:
    """Return wall times of both ways and their ratio."""
    model = resolve_model(model_name).path
    suite = ROOT / "suites" / "tool_calling"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given_run is None:
            run = trained(folder, model, "" if fresh else f"start_from: {SHIPPED}")
        else:
            run = Path(
                shutil.copytree(given_run, folder / given_run.name, ignore=shutil.ignore_patterns("sweep"))
            )
        adapters: list[str | Path] = ["base", *checkpoints(run)]
        if len(adapters) != TARGETS:
            raise SystemExit(f"{len(adapters)} targets instead of {TARGETS}")
        limit = ("--engine", engine, "--limit", str(samples))
        seconds("run", suite, "-m", model, *limit[:2], "--limit", "1", "--out", folder / "warm")
        alone = []
        swept = 0.0
        for place, adapter in enumerate(adapters):
            alone.append(seconds("run", suite, "-m", model, "-a", adapter, *limit, "--out", folder / "alone"))
            if place == 0:
                swept = seconds("sweep", run, "--suite", suite, "--split", "test", *limit)
        (alone_s, alone_texts), (sweep_s, sweep_texts) = (
            generations(folder / "alone"),
            generations(run / "sweep"),
        )
        if alone_texts.keys() != sweep_texts.keys() or len(alone_texts) != samples * len(adapters):
            raise SystemExit("the two ways did not answer the same samples")
        return {
            "checkpoints": given_run.name if given_run else "from the base" if fresh else SHIPPED.name,
            "samples": samples,
            "targets": len(adapters),
            "sweep_s": round(swept, 1),
            "separate_s": round(sum(alone), 1),
            "ratio": round(swept / sum(alone), 3),
            "sweep_generation_s": round(sweep_s, 1),
            "separate_generation_s": round(alone_s, 1),
            "other_than_generation_ratio": round((swept - sweep_s) / (sum(alone) - alone_s), 3),
            "identical_texts": sum(sweep_texts[key] == text for key, text in alone_texts.items()),
        }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=BASE)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--engine", default="hf")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--fresh", action="store_true")
    way.add_argument("--run", type=Path)
    given = parser.parse_args()
    if given.model != BASE and not (given.fresh or given.run):
        parser.error(
            f"the shipped adapter is one of {BASE}; another model wants --fresh, or --run with a run of it"
        )
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    measured = measure(given.model, given.samples, given.engine, given.fresh, given.run)
    print(json.dumps({"bench": "sweep", "machine": machine, **measured}, indent=1))


if __name__ == "__main__":
    main()
