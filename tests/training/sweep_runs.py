"""A suite for sweeps, an engine whose answers are planted, and what a test sweeps with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from harness.engine.base import EngineRequest
from harness.models.fingerprint import adapter_fingerprint, model_fingerprint
from harness.parse.choose import get_dialect
from harness.training.sweep import SweepRequest, sweep
from harness.training.sweep_result import Sweep
from harness.types import EngineInfo, Generation, Prompt, ToolCall
from tests.training.records import record, write_dataset

LOSSES = {10: 1.0, 20: 0.5, 30: 0.6, 40: 0.9}
"""Validation loss by step."""
SUITE = """
schema: 1
name: lamps
version: 1.0.0
description: Lamps.
dataset: {path: ../data, split: test}
models: {default: nothing}
generation: {temperature: 0, max_new_tokens: 8}
metrics: [tool_name_accuracy, parameter_accuracy, json_validity, hallucination_rate]
slices: [category]
"""


def write_suite(folder: Path, *, validation: int = 60, test: int = 45) -> Path:
    """Write a suite and its data set into a folder and return the suite."""
    data = write_dataset(folder / "data", [], [record(number, "held") for number in range(validation)])
    lines = [json.dumps(record(number, "test")) + "\n" for number in range(test)]
    (data / "test.jsonl").write_text("".join(lines), encoding="utf-8")
    suite = folder / "suite"
    suite.mkdir()
    (suite / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return suite


class PlantedEngine:
    """Right on the first so many samples of a split, by adapter: `right[(adapter or base, split)]`."""

    right: ClassVar[dict[tuple[str, str], int]] = {}
    talks: ClassVar[dict[str, int]] = {}
    """How many samples that expect no call get one all the same, by adapter."""
    loads = 0
    asked: ClassVar[list[tuple[str, str]]] = []
    stop_after: int | None = None
    failing: ClassVar[set[tuple[str, str]]] = set()

    @classmethod
    def reset(cls, right: dict[tuple[str, str], int], talks: dict[str, int] | None = None) -> None:
        cls.right, cls.talks, cls.loads, cls.asked = right, talks or {}, 0, []
        cls.stop_after, cls.failing = None, set()

    def __init__(self, request: EngineRequest) -> None:
        PlantedEngine.loads += 1
        self._request = request
        self._active: Path | None = None

    def info(self) -> EngineInfo:
        active = self._active
        assert self._request.model_path is not None
        return EngineInfo(
            engine="planted",
            model=self._request.model,
            model_fingerprint=model_fingerprint(self._request.model_path),
            adapter=str(active) if active else None,
            adapter_fingerprint=adapter_fingerprint(active) if active else None,
            dtype=self._request.dtype,
            quantization=self._request.quantization,
            device="none",
            context_length=4096,
            versions={},
        )

    def use_adapter(self, adapter: Path | None) -> None:
        assert adapter is None or adapter in self._request.adapters
        self._active = adapter

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        for prompt in prompts:
            yield self._answer(self._active, prompt)

    def _answer(self, adapter: Path | None, prompt: Prompt) -> Generation:
        name = adapter.name if adapter else "base"
        sample = prompt.sample
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((name, sample.id))
        split, _, number = sample.id.partition("-")
        return Generation(
            key=prompt.key,
            sample_id=sample.id,
            repeat=prompt.repeat,
            status="error" if (name, sample.id) in self.failing else "ok",
            text=self._text(name, split, int(number), prompt),
            finish_reason="stop",
            prompt_tokens=1,
            new_tokens=1,
        )

    def _text(self, name: str, split: str, number: int, prompt: Prompt) -> str:
        dialect = get_dialect("hermes")
        if prompt.sample.expect == "no_call":
            call = ToolCall(name="turn", arguments={"lamp": 1})
            return dialect.render_calls([call]) if number < self.talks.get(name, 0) else "No."
        if number >= self.right.get((name, split), 0):
            return "I would rather not."
        gold = prompt.sample.gold[0]
        arguments = {key: one.accept[0] for key, one in gold.arguments.items() if not one.optional}
        return dialect.render_calls([ToolCall(name=gold.name, arguments=arguments)])

    def close(self) -> None:
        """Nothing is held."""


class PlantedInOnePass(PlantedEngine):
    """The same for several adapters at once: a window of prompts is held, and its last one answered first."""

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        raise AssertionError("a sweep is one pass")

    def generate_for(
        self, parts: Sequence[tuple[Path | None, Iterable[Prompt]]]
    ) -> Iterator[tuple[int, Generation]]:
        before = self._active
        source = ((place, prompt) for place, (_, prompts) in enumerate(parts) for prompt in prompts)
        while window := list(islice(source, 100)):
            for place, prompt in reversed(window):
                assert parts[place][0] is None or parts[place][0] in self._request.adapters
                yield place, self._answer(parts[place][0], prompt)
        assert self._active is before


class Quiet:
    """Watches nothing, but keeps what was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.scored_folders: list[Path] = []

    def begin(self, name: str, split: str) -> Quiet:
        self.begun.append((name, split))
        return self

    def end(self) -> None: ...
    def started(self, planned: int, done: int) -> None: ...
    def finished_one(self, generation: Any) -> None: ...

    def scored(self, folder: Path) -> None:
        self.scored_folders.append(folder)


def right_on(base: int, *checkpoints: int, test: bool = True) -> dict[tuple[str, str], int]:
    """Plant the samples below a number as right, for base and checkpoints 10, 20, ...; on the test split in proportion."""
    names = ["base", *(f"checkpoint-{10 * (place + 1)}" for place in range(len(checkpoints)))]
    planted = {(name, "held"): number for name, number in zip(names, (base, *checkpoints), strict=True)}
    return planted | {(name, "test"): number * 3 // 4 * test for (name, _), number in list(planted.items())}


def swept(place: Path, watch: Quiet | None = None, **changes: Any) -> Sweep:
    """Sweep the run in a place over the suite there; `changes` are of the request."""
    request = SweepRequest(**{"suite": str(place / "suite"), **changes})
    return sweep(place / "run", request, watch or Quiet())
