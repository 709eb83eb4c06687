"""A sweep with an engine that answers for all targets in one pass: what each run folder says of itself."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted
from harness.log.reader import iter_lines
from tests.training.sweep_runs import PlantedEngine, PlantedInOnePass, swept


@pytest.fixture
def planted_engine() -> type[PlantedEngine]:
    return PlantedInOnePass


def headers(place: Path) -> dict[str, dict[str, Any]]:
    """Return the headers of the sweep's runs by target."""
    found = {}
    for path in (place / "run" / "sweep").glob("*/run.json"):
        header = json.loads(path.read_text(encoding="utf-8"))
        header["answers"] = sum(1 for _ in iter_lines(path.parent / "generations.jsonl"))
        found[Path(header["engine"]["adapter"] or "base").name] = header
    return found


def test_what_is_whole_when_the_others_are_stopped_stays_whole(place: Path) -> None:
    # 60 samples each, read 100 at a time: the base's and 40 of the first checkpoint, then 30 of the next 100.
    PlantedEngine.stop_after = 130
    with pytest.raises(Interrupted, match=r"170 of 300 left"):
        swept(place)
    found = headers(place)
    assert {name: header["status"] for name, header in found.items()} == {
        "base": "complete",
        **{f"checkpoint-{step}": "interrupted" for step in (10, 20, 30, 40)},
    }
    assert sum(header["answers"] for header in found.values()) == 130
    assert found["base"]["answers"] == 60


def test_the_time_of_the_pass_is_shared_out(place: Path) -> None:
    began = time.monotonic()
    swept(place, test=False)
    passed = time.monotonic() - began
    found = headers(place).values()
    assert sum(header["generated_tokens"] for header in found) == 300
    spent = [header["generation_s"] for header in found]
    assert 0 < sum(spent) < passed
    assert max(spent) - min(spent) <= 0.002, "as many tokens, as much time"


def test_errors_are_of_their_own_target(place: Path) -> None:
    PlantedEngine.failing = {("checkpoint-20", "held-1")}
    swept(place, test=False)
    incomplete = [name for name, header in headers(place).items() if header["status"] != "complete"]
    assert incomplete == ["checkpoint-20"]
    assert len(PlantedEngine.asked) == 300, "not asked again in the same sweep"
