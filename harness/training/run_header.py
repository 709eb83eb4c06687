"""Who trains what on what: the header of a training run, and the origin that its checkpoints carry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.fingerprint import sha256_of_file
from harness.log.writer import utc_now
from harness.models.adapter_origin import AdapterOrigin
from harness.models.fingerprint import adapter_fingerprint, model_fingerprint
from harness.prompt.golden import golden_prompt
from harness.run.header import environment, git_state
from harness.training.preflight_numbers import preflight_numbers
from harness.training.prepare import Prepared, PreparedData, reasons
from harness.training.settings import Device
from harness.training.task_metrics import metric_directions


def run_origin(prepared: Prepared) -> AdapterOrigin:
    """Return what every checkpoint of a run says about where it comes from; `step` and `epoch` are filled in later."""
    return AdapterOrigin(
        base=prepared.base_name,
        base_fingerprint=model_fingerprint(prepared.model.path),
        dialect=prepared.dialect,
        template_sha256=prepared.renderer.template_sha256,
        tools_by=prepared.renderer.tools_by,
        golden=golden_prompt(prepared.renderer),
        data={name: _data_record(part) for name, part in prepared.splits.items()},
        recipe=prepared.recipe.model_dump(mode="json", by_alias=True),
        recipe_sha256=prepared.recipe.sha256(),
        versions=environment()["packages"],
        step=0,
        epoch=0.0,
        created=utc_now(),
        notes={"start_from": adapter_fingerprint(prepared.start)} if prepared.start else {},
    )


def _data_record(data: PreparedData) -> dict[str, Any]:
    """Return file, hash and rows of a split; of several sets the hash of all, and `sets` with what each is."""
    whole = {"sha256": data.sha256, "rows": len(data.rows)}
    if len(data.sets) == 1:
        return {"file": _short(data.sets[0].path), **whole}
    sets: list[dict[str, Any]] = [
        {"file": _short(part.path), "sha256": part.sha256, "records": len(part.samples)} for part in data.sets
    ]
    return {"file": ", ".join(entry["file"] for entry in sets), **whole, "sets": sets}


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _placed(data: PreparedData) -> dict[str, Any]:
    """Return a split's record with where on this machine it stands: a path, or those of its sets."""
    paths = [str(part.path) for part in data.sets]
    return {"path": paths[0] if len(paths) == 1 else paths, **_data_record(data)}


def run_header(prepared: Prepared, device: Device, origin: AdapterOrigin) -> dict[str, Any]:
    """Return the train.json of a run that begins now.

    `metrics` maps the measures of `eval_suite` to True where higher is better; `preflight` are numbers that a diagnosis
    of the curves needs.
    """
    return {
        "schema": 1,
        "status": "running",
        "recipe": dict(origin.recipe),
        "recipe_path": str(prepared.recipe_path),
        "recipe_file_sha256": sha256_of_file(prepared.recipe_path),
        "recipe_sha256": origin.recipe_sha256,
        "base": {
            "name": origin.base,
            "path": str(prepared.model.path),
            "fingerprint": origin.base_fingerprint,
        },
        "prompt": {
            "dialect": origin.dialect,
            "template_sha256": origin.template_sha256,
            "tools_by": origin.tools_by,
            "date": prepared.renderer.date,
        },
        "data": {
            "train": _placed(prepared.train),
            "validation": _placed(prepared.validation) if prepared.validation else None,
        },
        "rows": counts(prepared.train),
        "preflight": preflight_numbers(prepared),
        "metrics": metric_directions(prepared),
        "device": {"kind": device.kind, "dtype": device.dtype, "checkpointing": device.checkpointing},
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "env": environment(),
        "git": git_state(prepared.recipe_path.parent),
        "started": utc_now(),
        "ended": None,
        "stopped_because": None,
    }


def counts(data: PreparedData) -> dict[str, Any]:
    """Return what became of a split's records: how many were read, kept, dropped and truncated (and why), and tokens."""
    return {
        "read": data.read,
        "kept": len(data.rows),
        "dropped": len(data.dropped),
        "truncated": len(data.cut),
        "reasons": reasons((*data.dropped, *data.cut)),
        "tokens": data.tokens,
        "supervised_tokens": data.supervised,
        "longest": max(len(row.ids) for row in data.rows),
    }
