"""An engine with planted faults, installed as a plug-in where Ray's workers find it: real processes that really die."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import harness.errors
from harness.engine.base import EngineRequest, without_answer
from harness.engine.determinism import Promise, Settled
from harness.engine.scripted import ScriptedEngine
from harness.types import EngineInfo, Generation, Prompt

ENTRY_POINTS = "[harness.engines]\nodd = odd_engines:OddEngine\n"
TOO_LATE = "nobody took the answers before this one"
_PATIENCE_S = 30
_LATE_S = 1


def install(folder: Path) -> None:
    """Make `folder`, once it is on the path, a place where the engine `odd` is installed."""
    (folder / "odd_engines.py").write_bytes(Path(__file__).read_bytes())
    metadata = folder / "odd_engines-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-engines\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)


class OddEngine(ScriptedEngine):
    """A scripted engine. `fault` happens at the samples in `samples` (comma separated), or when it is built:
    `dies_loading`, or `refuses` with the class of harness.errors in `samples`; `disagrees` is in its info, and
    `promises_otherwise` in what it promises of a deterministic run. `waits` until the file that `samples` names after
    the sample is there, and `refuses_adapter` in the one process that makes the file `samples`. `refuses_key_later` dies at
    the sample, and is not built again once the file that `samples` names after it is there. Answers name the adapter.
    """

    NAME = "odd"
    OPTIONS = (*ScriptedEngine.OPTIONS, "fault", "samples")

    @classmethod
    def deterministic(cls, request: EngineRequest) -> Settled:
        settled = super().deterministic(request)
        if request.options.get("fault") != "promises_otherwise":
            return settled
        return replace(settled, promise=Promise(promised=(f"Only in process {os.getpid()}.",)))

    def __init__(self, request: EngineRequest) -> None:
        self._fault = request.options.get("fault", "")
        self._samples = request.options.get("samples", "").split(",")
        super().__init__(request)
        self._on_event = request.on_event
        if self._fault == "dies_loading":
            os._exit(1)
        if self._fault == "refuses":
            raise getattr(harness.errors, self._samples[0])("planted", where="here:1", remedy="Do that.")
        if self._fault == "refuses_key_later" and not _made(Path(self._samples[1])):
            raise harness.errors.ServerRefuses("the key was refused")
        self._on_event("odd_built", {"pid": os.getpid()})

    def info(self) -> EngineInfo:
        dtype = str(os.getpid()) if self._fault == "disagrees" else "none"
        named = None if self._adapter is None else str(self._adapter)
        return replace(super().info(), dtype=dtype, adapter=named, adapter_fingerprint=named)

    def use_adapter(self, adapter: Path | None) -> None:
        if adapter is not None and self._fault == "refuses_adapter" and _made(Path(self._samples[0])):
            time.sleep(_LATE_S)  # until the others have it
            raise harness.errors.UsageError("a planted refusal")
        self._adapter = adapter

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        prompts = iter(prompts)
        for prompt in prompts:
            (answer,) = super().generate([prompt])
            if self._adapter is not None:
                answer = replace(answer, text=self._adapter.name)
            if prompt.sample.id not in self._samples:
                yield answer
            elif self._fault in ("kills", "refuses_key_later"):
                os.kill(os.getpid(), 9)
            elif self._fault == "raises":
                raise RuntimeError("a planted bug")
            elif self._fault == "fails_all":
                # As vLLM does: everything that is in it fails, and then the engine ends.
                for doomed in (prompt, *prompts):
                    yield without_answer(doomed, "error", "failed with another")
                raise harness.errors.EngineError("a planted bug")
            elif self._fault == "refuses_key":
                raise harness.errors.ServerRefuses("the key was refused", where="there", remedy="Mend it.")
            elif self._fault == "waits":
                yield answer if _comes(Path(self._samples[1])) else replace(answer, text=TOO_LATE)
            elif self._fault == "other_key":
                yield replace(answer, key="somebody else's")
            elif self._fault != "skips":
                raise AssertionError(self._fault)
        self._on_event("odd_ended", {})


def _made(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _comes(file: Path) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return file.exists()
