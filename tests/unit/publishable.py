"""An adapter folder as training leaves it, and run folders that measured it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from harness.models.fingerprint import adapter_fingerprint
from tests.unit.model_folders import write_adapter

BASE_FINGERPRINT = "b" * 64
TOKEN = "hf_" + "PlantedTokenForThisTest" + "0123456789"
REPO = "kim/lamp-adapter"
LOCAL = "/home/kim/models/base"


def make_adapter(folder: Path, **config: Any) -> Path:
    """Write an adapter with everything beside it that must stay at home."""
    adapter = write_adapter(folder, base_model_name_or_path=LOCAL, **config)
    for name in (
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "training_args.bin",
        "trainer_state.json",
        ".env",
    ):
        (adapter / name).write_bytes(b"stays at home")
    (adapter / "tokenizer.json").write_text("{}", encoding="utf-8")
    (adapter / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (adapter / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    origin = {
        "schema": 1,
        "base": "smollm2-135m",
        "base_fingerprint": BASE_FINGERPRINT,
        "dialect": "hermes",
        "template_sha256": "t" * 64,
        "tools_by": "tool_block",
        "golden": {"text": "hi", "tokens_sha256": "0"},
        "data": {"train": {"file": "structural/train.jsonl", "sha256": "d" * 64, "rows": 480}},
        "recipe": {"schema": 1, "name": "r", "base": LOCAL, "lora": {"r": 4}},
        "recipe_sha256": "c" * 64,
        "versions": {"peft": "0.21.2"},
        "step": 50,
        "epoch": 2.0,
        "created": "2026-01-01T00:00:00Z",
    }
    (adapter / "harness_adapter.json").write_text(json.dumps(origin), encoding="utf-8")
    return adapter


def make_run(
    in_process: Callable[..., Any],
    folder: Path,
    adapter: Path | None,
    faults: dict[str, float] | None = None,
    **engine: Any,
) -> Path:
    """Run the smoke suite with planted faults, and say in its header that this adapter (or the base) answered."""
    suite = Path(__file__).resolve().parents[2] / "suites" / "_smoke"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "script.yaml"
    script.write_text(yaml.safe_dump({"faults": faults or {}}), encoding="utf-8")
    before = set(folder.iterdir())
    done = in_process(
        "run", suite, "--engine", "scripted", "--engine-option", f"script={script}", "--out", folder
    )
    assert done.exit_code == 0, done.err
    (run,) = set(folder.iterdir()) - before
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    header["engine"] |= {
        "model": "smollm2-135m",
        "model_fingerprint": BASE_FINGERPRINT,
        "adapter": str(adapter) if adapter else None,
        "adapter_fingerprint": adapter_fingerprint(adapter) if adapter else None,
    } | engine
    (run / "run.json").write_text(json.dumps(header), encoding="utf-8")
    return run
