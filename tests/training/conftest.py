"""A tiny model, a tiny data set and a recipe on disk; a training run to sweep."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.registry import Registry
from harness.testing.tiny_model import make_tiny_model
from harness.testing.training_run import make_training_run
from tests.training.records import record, write_dataset
from tests.training.sweep_runs import LOSSES, PlantedEngine, right_on, write_suite


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model folder with room for a tool block."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", context=4096)


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path) -> Callable[..., Path]:
    """Return a function that writes data and a recipe; dotted keys change the recipe, None removes a key."""

    def write(
        records: list[dict[str, Any]] | None = None,
        validation: list[dict[str, Any]] | None = None,
        **changes: Any,
    ) -> Path:
        write_dataset(
            tmp_path / "data",
            records if records is not None else [record(number) for number in range(12)],
            validation if validation is not None else [record(number, "held") for number in range(4)],
        )
        spec: dict[str, Any] = {
            "schema": 1,
            "name": "tiny",
            "base": str(tiny_model),
            "train": {"path": "data", "split": "train"},
            "validation": {"path": "data", "split": "validation"},
            "quantization": "none",
            "lora": {"r": 4, "alpha": 8},
            "training": {
                "max_steps": 4,
                "per_device_train_batch_size": 2,
                "gradient_accumulation_steps": 2,
                "optim": "adamw_torch",
                "learning_rate": 0.01,
                "logging_steps": 1,
            },
            "evaluation": {"every": 2, "train_probe": 3},
        }
        for dotted, value in changes.items():
            place = spec
            *parents, key = dotted.split("__")
            for parent in parents:
                place = place.setdefault(parent, {})
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def sweep_made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A run with four checkpoints and its suite."""
    folder = tmp_path_factory.mktemp("sweep")
    write_suite(folder)
    make_training_run(folder / "run", tiny_model, LOSSES)
    return folder


@pytest.fixture
def planted_engine() -> type[PlantedEngine]:
    """The engine of `place`."""
    return PlantedEngine


@pytest.fixture
def place(
    sweep_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted_engine: type[PlantedEngine]
) -> Path:
    """A copy of it, `run` and `suite` inside, with the planted engine in place of the real one."""
    real = Registry.get

    def get(self: Registry, name: str) -> Any:
        return planted_engine if (self.group, name) == ("harness.engines", "hf") else real(self, name)

    monkeypatch.setattr(Registry, "get", get)
    copy = tmp_path / "place"
    shutil.copytree(sweep_made, copy)
    PlantedEngine.reset(right_on(15, 40, 56, 57, 30))
    return copy
