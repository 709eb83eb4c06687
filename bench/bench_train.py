"""QLoRA on this machine: `harness train` against a plain TRL script with the same settings, and with shared prefixes.

Three sides, each a process of its own, in turn: a plain SFTTrainer script over prompt and completion texts (as TRL's
documentation has it), `harness.training` with padded rows (the same micro-batches, the same masks), and with
`share_prefix`. Same model, same records, nf4, same LoRA, optimiser and number of steps; the first step is left out.
Speed is tokens of the rows (padding not counted) over wall time. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS, BATCH, ROUNDS = 4, 4, 2
SIDES = ("plain_trl", "padded", "share_prefix")
RECIPE = {
    "schema": 1,
    "name": "bench",
    "base": "smollm2-135m",
    "train": {"path": str(ROOT / "datasets" / "structural"), "split": "train", "limit": STEPS * BATCH},
    "quantization": "nf4",
    "lora": {"r": 8, "alpha": 16},
    "training": {
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "warmup_steps": 0,
        "dtype": "bfloat16",
        "logging_steps": 1,
    },
}


class StepClock:
    """Wall times at the end of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def report(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Note when a step ended."""
        if kind == "step":
            self.times.append(time.perf_counter())

    def seconds(self) -> float:
        """Return the time from the end of the first step to the end of the last."""
        return self.times[-1] - self.times[0]


def ours(folder: Path, share_prefix: bool) -> float:
    """Return the seconds of all steps but the first with our trainer."""
    from harness.training.launch import open_folder
    from harness.training.prepare import prepare
    from harness.training.train import train

    clock = StepClock()
    prepared = prepare(_recipe(folder, share_prefix))
    run = open_folder(prepared, folder, None)
    try:
        train(prepared, run, resume=False, watch=lambda history: None, report=clock.report)
    finally:
        run.close()
    return clock.seconds()


def plain_trl(folder: Path) -> float:
    """Return the seconds of all steps but the first with TRL alone."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from harness.training.prepare import prepare

    prepared = prepare(_recipe(folder, False))
    decode = prepared.tokenizer.decode
    pairs = [
        {
            "prompt": decode(list(row.ids[: row.spans[0][0]])),
            "completion": decode(list(row.ids[row.spans[0][0] :])),
        }
        for row in prepared.train.rows
    ]
    model = AutoModelForCausalLM.from_pretrained(
        str(prepared.model.path),
        dtype=torch.bfloat16,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
        device_map={"": "cpu"},
    )
    clock = StepClock()

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            clock.report("step", {})

    SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "plain"),
            max_steps=STEPS,
            per_device_train_batch_size=BATCH,
            learning_rate=2e-4,
            optim="paged_adamw_8bit",
            bf16=True,
            use_cpu=True,
            gradient_checkpointing=False,
            logging_steps=1,
            max_length=2048,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            completion_only_loss=True,
            eos_token="<|im_end|>",
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=prepared.tokenizer,
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[Clock()],
    ).train()
    return clock.seconds()


def _recipe(folder: Path, share_prefix: bool) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({**RECIPE, "tokens": {"share_prefix": share_prefix}}), encoding="utf-8")
    return path


def measure(rounds: int) -> dict[str, Any]:
    """Return the median seconds of each side and the ratios of speeds."""
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-P", __file__, "--side", side, "--folder", folder]
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
                )
                seconds[side].append(float(done.stdout.strip().splitlines()[-1]))
    middle = {side: statistics.median(times) for side, times in seconds.items()}
    tokens = _tokens() * (STEPS - 1) / STEPS
    return {
        "steps": STEPS - 1,
        "rows_a_step": BATCH,
        "tokens_per_s": {side: round(tokens / value, 1) for side, value in middle.items()},
        "seconds": {side: [round(value, 2) for value in times] for side, times in seconds.items()},
        "ratio_padded": round(middle["plain_trl"] / middle["padded"], 3),
        "ratio_share_prefix": round(middle["plain_trl"] / middle["share_prefix"], 3),
    }


def _tokens() -> int:
    from harness.training.prepare import prepare

    with tempfile.TemporaryDirectory() as folder:
        return prepare(_recipe(Path(folder), False)).train.tokens


def main() -> None:
    """Measure, or run one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    if given.side is None:
        print(json.dumps(measure(given.rounds)))
    elif given.side == "plain_trl":
        print(plain_trl(given.folder))
    else:
        print(ours(given.folder, given.side == "share_prefix"))


if __name__ == "__main__":
    main()
