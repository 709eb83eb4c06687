"""A training run on disk without training: made adapters as checkpoints, with origins, header and a log of losses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.models.adapter_origin import ORIGIN_FILE, AdapterOrigin, origin_record
from harness.models.fingerprint import model_fingerprint
from harness.models.tokenizer import load_tokenizer
from harness.parse.choose import dialect_for_template, get_dialect
from harness.prompt.golden import golden_prompt
from harness.prompt.render import Renderer
from harness.testing.tiny_model import make_tiny_adapter
from harness.training.run_folder import HEADER, LOG


def make_training_run(folder: Path, model: Path, losses: Mapping[int, float], *, start: float = 3.0) -> Path:
    """Write a finished run with one checkpoint a step and its validation loss into `folder`, and return it.

    `start` is the validation loss of step 0; a hundred steps are an epoch. Needs torch, transformers and peft.
    """
    folder.mkdir(parents=True)
    tokenizer = load_tokenizer(model)
    template = tokenizer.chat_template
    dialect = dialect_for_template(template if isinstance(template, str) else None)
    renderer = Renderer(tokenizer, get_dialect(dialect))
    fingerprint = model_fingerprint(model)
    header = {
        "schema": 1,
        "status": "done",
        "recipe": {"name": "made"},
        "base": {"name": str(model), "path": str(model), "fingerprint": fingerprint},
    }
    (folder / HEADER).write_text(json.dumps(header), encoding="utf-8")
    log: list[dict[str, Any]] = [{"eval_loss": start, "epoch": 0.0, "step": 0}]
    for step, loss in losses.items():
        epoch = step / 100
        log.append({"loss": loss - 0.1, "learning_rate": 1e-3, "epoch": epoch, "step": step})
        log.append({"eval_loss": loss, "epoch": epoch, "step": step})
        adapter = make_tiny_adapter(folder / f"checkpoint-{step}", model, seed=step)
        origin = AdapterOrigin(
            base=str(model),
            base_fingerprint=fingerprint,
            dialect=dialect,
            template_sha256=renderer.template_sha256,
            tools_by=renderer.tools_by,
            golden=golden_prompt(renderer),
            data={},
            recipe={"name": "made"},
            recipe_sha256="0" * 64,
            versions={},
            step=step,
            epoch=epoch,
            created="2026-01-01T00:00:00Z",
        )
        (adapter / ORIGIN_FILE).write_text(json.dumps(origin_record(origin)), encoding="utf-8")
    (folder / LOG).write_text("".join(json.dumps(entry) + "\n" for entry in log), encoding="utf-8")
    return folder
