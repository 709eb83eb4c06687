"""Planned against measured peak memory of training on a CPU: three settings, each in a process of its own.

Each setting trains one epoch of a few optimiser steps of smollm2-135m on a slice of the structural data set, with
micro-batches of changing length as in a real run. Measured is the peak resident set of the whole process. The plan's
constants were set on other models and settings (docs/memory.md).
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ALIAS = "smollm2-135m"
_DATA = {"path": str(ROOT / "datasets" / "structural"), "split": "train"}
SETTINGS: dict[str, dict[str, Any]] = {
    "bf16 LoRA, not quantised, 2 rows padded": {
        "quantization": "none",
        "train": _DATA | {"limit": 75},
        "lora": {"r": 16, "alpha": 32},
        "tokens": {"max_length": 480},
        "training": {"per_device_train_batch_size": 2, "dtype": "bfloat16", "optim": "adamw_torch"},
    },
    "nf4, bf16, 6 rows as a shared-prefix tree": {
        "quantization": "nf4",
        "train": _DATA | {"limit": 70},
        "lora": {"r": 12, "alpha": 24},
        "tokens": {"max_length": 560, "share_prefix": True},
        "training": {"per_device_train_batch_size": 6, "dtype": "bfloat16", "optim": "paged_adamw_8bit"},
    },
    "fp32 LoRA with gradient checkpointing, 2 rows padded, with evaluation": {
        "quantization": "none",
        "train": _DATA | {"limit": 64},
        "validation": _DATA | {"split": "validation", "limit": 30},
        "lora": {"r": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"]},
        "tokens": {"max_length": 640},
        "training": {
            "per_device_train_batch_size": 2,
            "dtype": "float32",
            "optim": "adamw_torch",
            "gradient_checkpointing": True,
        },
        "evaluation": {"train_probe": 2},
    },
}

_SPARE = 1.25
"""Times the plan must be free, so that a wrong plan does not end another program."""


def recipe_of(name: str) -> dict[str, Any]:
    """Return one setting as a recipe."""
    setting = json.loads(json.dumps(SETTINGS[name]))
    setting["training"] |= {"num_train_epochs": 1, "extra": {"use_cpu": True}}
    return {"schema": 1, "name": "bench-memory", "base": ALIAS, **setting}


def measure_here(name: str, folder: Path) -> dict[str, Any]:
    """Plan one setting, train it in this process, and return plan, peak and their ratio."""
    import resource

    from harness.models.resolve import read_config
    from harness.training.batch_shape import shape_of_rows
    from harness.training.machine import free_memory
    from harness.training.memory_plan import decide_target, gib, plan_memory
    from harness.training.prepare import prepare
    from harness.training.run_folder import TrainingFolder
    from harness.training.train import train

    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe_of(name)), encoding="utf-8")
    prepared = prepare(path)
    validation = prepared.validation.rows if prepared.validation else ()
    shape = shape_of_rows(prepared.recipe, prepared.train.rows, validation)
    target = decide_target(prepared.recipe, "cpu")
    plan = plan_memory(read_config(prepared.model.path), prepared.recipe, shape, target)
    there = free_memory()
    if there is not None and plan.needed * _SPARE > there.bytes:
        raise SystemExit(
            f"{name}: needs about {gib(plan.needed)}, and {gib(there.bytes)} are free; not started"
        )
    run = TrainingFolder.create(folder / "runs", "bench-memory")
    with redirect_stdout(io.StringIO()):
        outcome = train(prepared, run, resume=False, watch=lambda _: None, report=lambda *_: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    saved = sorted(run.path.glob("checkpoint-*/"))
    weights = saved[-1] / "adapter_model.safetensors" if saved else None
    return {
        "setting": name,
        "rows": len(prepared.train.rows),
        "micro_batch_tokens": shape.tokens,
        "steps": outcome.steps,
        "planned_bytes": plan.total,
        "measured_bytes": peak,
        "ratio": round(plan.total / peak, 3),
        "terms": {term.name: term.bytes for term in plan.terms if term.bytes},
        "adapter_planned_bytes": plan.adapter_bytes,
        "adapter_file_bytes": weights.stat().st_size if weights else None,
        "optimiser_planned_bytes": plan.optimiser_bytes,
        "optimiser_file_bytes": (saved[-1] / "optimizer.pt").stat().st_size if saved else None,
    }


def measure(names: list[str]) -> list[dict[str, Any]]:
    """Return the result of each setting, measured one after the other."""
    results = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-P", __file__, "--one", name, folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure_here(sys.argv[2], Path(sys.argv[3]))))
    else:
        chosen = [list(SETTINGS)[int(number)] for number in sys.argv[1:]] or list(SETTINGS)
        print(json.dumps({"settings": measure(chosen)}, indent=1))
