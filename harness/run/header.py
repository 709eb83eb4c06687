"""The run header: who ran what, where and when, with enough to reproduce it and no secrets."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import __version__
from harness.fingerprint import sha256_of
from harness.log.reader import redacted
from harness.log.schema import SCHEMA_VERSION
from harness.log.writer import utc_now
from harness.paths import slug
from harness.persona.references import references_sha256
from harness.run.plan import RunPlan
from harness.suite.load import Suite

RECORDED_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "numpy",
    "jinja2",
    "jsonschema",
    "scikit-learn",
    "kiwipiepy",
    "bitsandbytes",
    "vllm",
    "xgrammar",
)


def make_header(plan: RunPlan, argv: list[str], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return run.json's content for a run that starts now."""
    suite = plan.suite
    spec = suite.spec
    started = utc_now()
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id(plan, started),
        "status": "running",
        "plan_sha256": plan.sha256,
        "plan": plan.fields(),
        "suite": {
            "name": spec.name,
            "version": spec.version,
            "description": spec.description,
            "path": str(suite.folder),
            "sha256": suite.sha256,
            "metrics": list(spec.metrics),
            "metric_versions": metrics,
            "slices": list(spec.slices),
            "limits": spec.limits,
        },
        **({"persona": persona_of(suite)} if suite.persona is not None else {}),
        **({"scenario": scenario_of(suite), "rounds": plan.rounds.count} if suite.scenario else {}),
        "dataset": {
            "path": suite.records.parent.name,
            "split": spec.dataset.split,
            "sha256": suite.records_sha256,
            "n_records": plan.selected.total,
        },
        "selection": {
            "limit": plan.selection.limit,
            "tags": dict(plan.selection.tags),
            "n": plan.selected.count,
        },
        # Who renders stands under `prompt`, and only where it is not the harness.
        "engine": {key: value for key, value in asdict(plan.engine).items() if key != "template"},
        "prompt": plan.fields()["prompt"],
        "sampling": plan.sampling_fields(),
        "repeats": plan.repeats,
        **({"deterministic": plan.promise.record()} if plan.promise is not None else {}),
        "env": environment(),
        "git": git_state(suite.folder, suite.records.parent.resolve()),
        "argv": redacted(argv),
        "started_at": started,
        "finished_at": None,
        "duration_s": None,
        "generation_s": 0.0,
        "generated_tokens": 0,
    }


def persona_of(suite: Suite) -> dict[str, Any]:
    """Return which card and references a suite measures by. The system prompt stands under `prompt`."""
    card = suite.persona
    if card is None:
        return {}
    return {
        "name": card.name,
        "version": card.version,
        "card_sha256": card.sha256,
        "references_sha256": references_sha256(card),
    }


def scenario_of(suite: Suite) -> dict[str, Any]:
    """Return the kind of a suite's scenario and the cards that it measures by."""
    if suite.scenario is None:
        return {}
    return {
        "kind": suite.scenario.kind,
        "system_prompt": suite.scenario.condition,
        "characters": {
            name: {
                "version": card.version,
                "card_sha256": card.sha256,
                "references_sha256": references_sha256(card),
            }
            for name, card in suite.scenario.cards.items()
        },
    }


def run_id(plan: RunPlan, started: str) -> str:
    """Return `<UTC time>-<suite>-<model>[-<adapter>]-<hash>`; two runs in one second differ in the hash."""
    model = slug(Path(plan.engine.model).name)
    if plan.engine.adapter:
        model += "-" + slug(Path(plan.engine.adapter).name)
    unique = sha256_of([plan.sha256, os.getpid(), datetime.now(UTC).timestamp()])[:6]
    return f"{started.replace('-', '').replace(':', '')}-{slug(plan.suite.spec.name)}-{model}-{unique}"


def environment() -> dict[str, Any]:
    """Return versions and hardware. Nothing is read from environment variables."""
    packages = {"persona-harness": __version__}
    for name in RECORDED_PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "packages": packages,
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_state(folder: Path, *used: Path) -> dict[str, Any] | None:
    """Return commit and dirtiness of the repository that holds `folder`, or None outside one.

    Dirty are changed files anywhere, and files in `folder` or `used` that no commit has: without them the commit does
    not give the same run.
    """
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
        top = Path(_git(folder, "rev-parse", "--show-toplevel"))
        inside = [str(path) for path in (folder.resolve(), *used) if path.resolve().is_relative_to(top)]
        return {
            "commit": commit,
            "dirty": bool(changed or _git(folder, "status", "--porcelain", "--", *inside)),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
