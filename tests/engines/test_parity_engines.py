"""`harness parity` with real engines: a tiny model in transformers, and a server with OpenAI's interface."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("httpx")
pytest.importorskip("peft")

import torch

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.errors import HarnessError
from harness.log.reader import RunFolder, iter_lines
from harness.models.tokenizer import load_tokenizer
from harness.parity.first_difference import Tokens, first_difference
from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model
from tests.conftest import ROOT
from tests.engines.stub_openai import StubOpenAi, serving
from tests.planted_server import Reaction, Request

SMOKE = ROOT / "suites" / "_smoke"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose context holds the suite's prompts: a token is a byte."""
    return make_tiny_model(tmp_path_factory.mktemp("wide"), context=8192)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    return make_tiny_adapter(tmp_path_factory.mktemp("adapters") / "mine", model)


def parity(in_process: Callable[..., Any], out: Path, engines: str, *more: str | Path) -> tuple[Any, Any]:
    done = in_process("parity", SMOKE, "--engines", engines, "--out", out, *more)
    results = sorted(out.glob("*/agreement.json"))
    return done, json.loads(results[-1].read_text("utf-8")) if results else None


def test_tokens_are_the_tokenizers(model: Path) -> None:
    splitter = Tokens(load_tokenizer(model))
    cases = [
        ("load", "lord", 2, "one token a byte"),
        ("가", "각", 2, "three bytes, of which the last differs"),
        ("a<tool_call>x", "a<tool_call>y", 2, "a special token is one token"),
        ("a\ud800", "b\ud800", 0, "what no encoder takes"),
        ("a", "a<|im_end|>", 1, "one ends where the other goes on"),
    ]
    for one, two, place, why in cases:
        assert first_difference(splitter, one, two).position == place, why


def test_hf_agrees_with_itself_on_every_text(
    in_process: Callable[..., Any], tmp_path: Path, model: Path
) -> None:
    engines = "hf,hf:max_batch=1,hf:share_prefix=off,hf:max_batch=3,share_prefix=off"
    bounds = ("--fail-under-texts", "1", "--fail-under-verdicts", "1")
    done, found = parity(in_process, tmp_path, engines, "--model", model, *bounds)
    assert done.exit_code == 0, done.err
    assert len(found["engines"]) == 4
    for column in found["engines"][1:]:
        assert (column["texts"]["equal"], column["texts"]["n"]) == (8, 8), column["name"]
    assert found["noise_floor"]["kind"] == "own_settings"
    assert set(found["noise_floor"]["floors"].values()) == {0.0}
    folder = next(tmp_path.glob("*/1-hf/*"))
    assert len({line.record["text"] for line in iter_lines(folder / "generations.jsonl")}) > 4, "real answers"


def test_other_numbers_are_found_and_said(
    in_process: Callable[..., Any], tmp_path: Path, model: Path
) -> None:
    done, found = parity(in_process, tmp_path, "hf,hf:dtype=bfloat16", "--model", model)
    assert done.exit_code == 0, done.err
    assert found["positions_count"] == "token"
    assert found["engines"][1]["engine"]["dtype"] == "bfloat16"
    assert any("computes in bfloat16" in note for note in found["notes"])
    assert found["engines"][1]["texts"]["equal"] < 8, "random weights in 16 bit write something else"


def test_the_reference_decides_the_numbers_of_the_others(
    in_process: Callable[..., Any], tmp_path: Path, model: Path
) -> None:
    _, found = parity(in_process, tmp_path, "hf:dtype=bfloat16,hf", "--model", model)
    assert [column["engine"]["dtype"] for column in found["engines"]] == ["bfloat16", "bfloat16"]


def test_an_adapter_and_the_model_it_is_merged_into(
    in_process: Callable[..., Any], tmp_path: Path, model: Path, adapter: Path
) -> None:
    words = ("--model", model, "--adapter", adapter, "--merged")
    done, found = parity(in_process, tmp_path, "hf,hf:max_batch=1", *words)
    assert done.exit_code == 0, done.err
    assert [column["name"] for column in found["engines"]] == ["hf", "hf merged", "hf:max_batch=1"]
    merged = found["engines"][1]
    assert merged["engine"]["adapter"] is None
    assert merged["engine"]["dtype"] == "float32"
    assert merged["texts"]["equal"] >= 7, "sums are formed in another order"
    assert any("merged into the base" in note for note in found["notes"])
    assert not list(tmp_path.glob("*/2-hf/merged")), "hundreds of megabytes are not left behind"
    assert found["engines"][0]["engine"]["adapter"] == str(adapter)
    base = in_process("parity", SMOKE, "--engines", "hf,hf", "--model", model, "--out", tmp_path / "b")
    assert base.exit_code == 0
    texts = [
        [line.record["text"] for line in iter_lines(next(tmp_path.glob(where)) / "generations.jsonl")]
        for where in ("*-parity-*/1-hf/*", "b/*/1-hf/*")
    ]
    assert sorted(texts[0]) != sorted(texts[1]), "the adapter was measured, not the base"


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_beside_transformers(in_process: Callable[..., Any], tmp_path: Path) -> None:
    wide = make_tiny_model(tmp_path / "wide", hidden=128, context=4096)
    words = ("--model", wide, "--deterministic", "--fail-under-verdicts", "0.98")
    done, found = parity(in_process, tmp_path / "r", "hf,vllm:kv_cache_gib=0.25", *words)
    assert done.exit_code == 0, done.err
    column = found["engines"][1]
    assert column["engine"]["dtype"] == "float32", "the reference's, not the checkpoint's"
    assert column["texts"]["n"] == 8
    assert column["promise"]["not_promised"]
    assert not any("different weights" in note for note in found["notes"])


@pytest.mark.network
def test_a_server_beside_transformers(in_process: Callable[..., Any], tmp_path: Path, model: Path) -> None:
    with serving(load_tokenizer(model)) as server:
        words = ("--model", model, "--base-url", server.url)
        done, found = parity(in_process, tmp_path, "hf,openai,openai:parallel=1", *words)
        _, two = parity(in_process, tmp_path / "two", "openai,openai:parallel=1", *words)
    assert done.exit_code == 0, done.err
    server_columns = found["engines"][1:]
    written = [
        {line.record["sample_id"]: line.record["text"] for line in iter_lines(path / "generations.jsonl")}
        for path in (next(tmp_path.glob("*/1-hf/*")), next(tmp_path.glob("*/2-openai/*")))
    ]
    for column in server_columns:
        assert (column["texts"]["equal"], column["texts"]["n"]) == (0, 8), "the stub writes words of its own"
        for one in column["differing"]:
            pair = [texts[one["sample_id"]].encode() for texts in written]
            same = next(at for at in range(64) if pair[0][at : at + 1] != pair[1][at : at + 1])
            assert one["position"] == same, "the tiny tokenizer has a token a byte"
    assert any("same weights" in note for note in found["notes"])
    assert two["engines"][1]["texts"]["equal"] == 8


@pytest.mark.network
def test_a_server_that_goes_away_leaves_the_others(
    in_process: Callable[..., Any], tmp_path: Path, model: Path
) -> None:
    server: StubOpenAi

    def gone(request: Request) -> Reaction | None:
        return Reaction(status=401, raw=b"{}") if request.body.get("max_tokens") == 64 else None

    with serving(load_tokenizer(model), gone) as server:
        done, found = parity(
            in_process, tmp_path, "hf,openai,hf:max_batch=2", "--model", model, "--base-url", server.url
        )
    assert done.exit_code == 6
    assert "openai:base_url=" in done.err
    assert found["engines"][1]["failure"]
    assert found["engines"][2]["texts"]["equal"] == 8
    assert "FAILED" in done.out


def test_a_deterministic_engine_takes_deterministic_algorithms_while_it_is_open(model: Path) -> None:
    options = {"deterministic": "on", "max_batch": "1", "share_prefix": "off"}
    engine = HfEngine(EngineRequest(model="tiny", model_path=model, options=options))
    assert torch.are_deterministic_algorithms_enabled()
    engine.close()
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_engine_that_does_not_open_sets_back_what_it_changed(
    model: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    idle = make_tiny_adapter(tmp_path_factory.mktemp("idle") / "zero", model, zero=True)
    with pytest.raises(HarnessError):
        HfEngine(
            EngineRequest(model="tiny", model_path=model, adapters=(idle,), options={"deterministic": "on"})
        )
    assert not torch.are_deterministic_algorithms_enabled()


def test_hf_says_in_the_header_what_it_promises(
    in_process: Callable[..., Any], tmp_path: Path, model: Path
) -> None:
    words = ("run", SMOKE, "--model", model, "--adapter", "base", "--limit", "2", "--deterministic")
    done = in_process(*words, "--out", tmp_path / "a")
    assert done.exit_code == 0, done.err
    header = RunFolder(done.run_dir).header()
    assert "float32" in header["engine"]["dtype"]
    assert header["deterministic"]["not_promised"]
    half = in_process(*words, "--dtype", "bfloat16", "--out", tmp_path / "b")
    assert half.exit_code == 0, half.err
    assert "computed alone" in half.err
