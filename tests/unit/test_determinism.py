"""`--deterministic`: what each engine does, says and refuses, and that answers made otherwise do not get in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine import hf_determinism, vllm_determinism
from harness.engine.base import EngineRequest
from harness.engine.determinism import Promise, Settled, settle
from harness.engine.hf_determinism import deterministic
from harness.errors import UsageError
from harness.log.reader import RunFolder
from harness.report.facts import identity, reproduce

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "suites" / "_smoke"


def request(dtype: str = "auto", quantization: str | None = None, **options: str) -> EngineRequest:
    return EngineRequest(model="m", model_path=None, dtype=dtype, quantization=quantization, options=options)


HF = [
    ("cpu", request(), {}, "float32", "float32 on a CPU needs nothing else"),
    ("cpu", request("float32", max_batch="8"), {"max_batch": "8"}, "float32", "any batch size"),
    ("cpu", request("bfloat16"), "alone", "bfloat16", "16 bit rounds otherwise in a batch"),
    ("cpu", request(quantization="nf4"), "alone", "auto", "4 bit as well"),
    ("cuda", request(), "alone", "auto", "a GPU picks its kernels by shape"),
    ("cuda", request("float32"), "alone", "float32", "in float32 too"),
]
VLLM_ALONE = {"max_num_seqs": "1", "prefix_cache": "off"}
ALONE = {"max_batch": "1", "share_prefix": "off", "drafts": "off", "deterministic": "on"}


@pytest.mark.parametrize(("device", "asked", "options", "dtype", "why"), HF, ids=[case[4] for case in HF])
def test_what_hf_does(
    monkeypatch: pytest.MonkeyPatch, device: str, asked: EngineRequest, options: Any, dtype: str, why: str
) -> None:
    monkeypatch.setattr(hf_determinism, "_device", lambda: device)
    settled = deterministic(asked)
    assert dict(settled.request.options) == (ALONE if options == "alone" else options)
    assert settled.request.dtype == dtype
    assert settled.promise.promised
    assert settled.promise.not_promised, "no engine promises another machine"
    assert ("CUBLAS_WORKSPACE_CONFIG" in settled.environment) == (device == "cuda")
    assert ("measured" in settled.promise.promised[0]) == (options != "alone"), "what is not proved says so"


def test_a_base_that_is_quantised_itself_answers_one_prompt_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(hf_determinism, "_device", lambda: "cpu")
    settled = deterministic(EngineRequest(model="m", model_path=tmp_path))
    assert dict(settled.request.options) == ALONE


CONTRADICTIONS = [{"max_batch": "8"}, {"share_prefix": "on"}, {"drafts": "on"}, {"deterministic": "off"}]


@pytest.mark.parametrize("options", CONTRADICTIONS, ids=[next(iter(one)) for one in CONTRADICTIONS])
def test_options_that_say_the_opposite_are_refused(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.setattr(hf_determinism, "_device", lambda: "cuda")
    with pytest.raises(UsageError, match=f"--deterministic sets {next(iter(options))}="):
        deterministic(request(**options))
    with pytest.raises(UsageError, match="has no option 'nonsense'"):
        deterministic(request(nonsense="1"))


class Declares:
    @staticmethod
    def deterministic(asked: EngineRequest) -> Settled:
        promise = Promise(promised=("All.",))
        return Settled(request=asked, promise=promise, environment={"HARNESS_PLANTED": "1"})


VLLM = [
    (None, request(), {}, {}, "measured", "float32 on a CPU needs one process"),
    (None, request("bfloat16"), VLLM_ALONE, {}, "alone", "16 bit rounds otherwise in a batch"),
    (None, request(quantization="fp8"), VLLM_ALONE, {}, "alone", "8 bit as well"),
    ((9, 0), request(), {}, {"VLLM_BATCH_INVARIANT": "1"}, "batch-invariant", "an H100 has the kernels"),
    ((8, 0), request("bfloat16"), {}, {"VLLM_BATCH_INVARIANT": "1"}, "batch-invariant", "so has an A100"),
    ((9, 0), request(quantization="nf4"), VLLM_ALONE, {}, "alone", "no such kernels for 4 bit"),
    ((7, 5), request(), VLLM_ALONE, {}, "alone", "a T4 has not"),
    ((0, 0), request(), VLLM_ALONE, {}, "alone", "another maker's GPU"),
]


@pytest.mark.parametrize(
    ("capability", "asked", "options", "environment", "said", "why"), VLLM, ids=[case[5] for case in VLLM]
)
def test_what_vllm_does(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int] | None,
    asked: EngineRequest,
    options: Mapping[str, str],
    environment: Mapping[str, str],
    said: str,
    why: str,
) -> None:
    monkeypatch.setattr(vllm_determinism, "_capability", lambda: capability)
    settled = vllm_determinism.deterministic(asked)
    assert dict(settled.request.options) == options
    assert dict(settled.environment) == {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", **environment}
    assert said in settled.promise.promised[0]
    assert settled.promise.not_promised
    if options:
        with pytest.raises(UsageError, match="max_num_seqs"):
            vllm_determinism.deterministic(replace(asked, options={"max_num_seqs": "8"}))


def test_variables_are_set_and_never_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PLANTED", "0")
    with pytest.raises(UsageError, match="needs HARNESS_PLANTED=1, and the environment says '0'"):
        settle(Declares, "planted", request())
    monkeypatch.delenv("HARNESS_PLANTED")
    assert settle(Declares, "planted", request())[1].promised == ("All.",)
    assert os.environ["HARNESS_PLANTED"] == "1"


def test_an_engine_that_says_nothing_promises_nothing() -> None:
    asked = request()
    settled, promise = settle(object, "plugin", asked)
    assert settled is asked
    assert promise.promised == ()
    assert "'plugin' says nothing" in promise.not_promised[0]


def run(in_process: Callable[..., Any], out: Path, *more: str | Path) -> Any:
    return in_process("run", SMOKE, "--engine", "scripted", "--out", out, *more)


def test_the_promise_is_said_and_stored_and_shown(in_process: Callable[..., Any], tmp_path: Path) -> None:
    done = run(in_process, tmp_path, "--deterministic")
    assert done.exit_code == 0, done.err
    assert "promised: The same texts on any machine" in done.err
    header = RunFolder(done.run_dir).header()
    assert header["deterministic"]["promised"]
    assert "asked for" in [fact.value for fact in identity(header) if fact.label == "Deterministic"]
    assert "The same texts" in str(
        [section for section in reproduce(header) if section.name == "Determinism"]
    )
    plain = run(in_process, tmp_path)
    assert "deterministic" not in json.dumps(RunFolder(plain.run_dir).header()["plan"])
    assert "promised" not in plain.err


def test_answers_that_were_made_otherwise_do_not_get_in(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    plain = run(in_process, tmp_path)
    promised = run(in_process, tmp_path, "--deterministic")
    for folder, more, said in (
        (plain.run_dir, ("--deterministic",), "deterministic: None -> "),
        (promised.run_dir, (), " -> None"),
    ):
        done = run(in_process, tmp_path, "--resume", folder, *more)
        assert done.exit_code == 4
        assert said in done.err
    reused = run(in_process, tmp_path, "--reuse", plain.run_dir, "--deterministic")
    assert reused.exit_code == 4
    assert "nothing is promised of them" in reused.err
    assert run(in_process, tmp_path, "--reuse", promised.run_dir, "--deterministic").exit_code == 0
    assert run(in_process, tmp_path, "--reuse", promised.run_dir).exit_code == 0
