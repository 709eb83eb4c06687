"""What nvidia-smi says -> the memory that a process may use: of the cards it sees, and not of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.training.machine import read_gpus, visible_gpus
from harness.training.plan_recipe import read_size

THREE = (
    "0, GPU-8f1d2a, NVIDIA A100-SXM4-40GB, 1000\n"
    "1, GPU-8f1e77, NVIDIA A100-SXM4-40GB, 39000\n"
    "2, GPU-17aa00, Tesla T4, 15000\n"
)


@pytest.mark.parametrize(
    ("visible", "mebibytes", "why"),
    [
        (None, [1000, 39000, 15000], "all are seen"),
        ("0", [1000], "one, by its number"),
        ("2,0", [15000, 1000], "two of three, in the order that CUDA numbers them"),
        ("GPU-8f1e", [39000], "by the beginning of its UUID"),
        (" 0 , 2 ", [1000, 15000], "with blanks"),
        ("0,9,1", [1000], "CUDA stops at the first that is none"),
        ("", [], "hidden on purpose"),
        ("-1", [], "hidden on purpose"),
        ("NoDevFiles", [], "hidden by a scheduler"),
    ],
)
def test_only_cards_that_the_process_sees_count(visible: str | None, mebibytes: list[int], why: str) -> None:
    assert [gpu.bytes >> 20 for gpu in read_gpus(THREE, visible) if gpu] == mebibytes, why


def test_a_card_that_does_not_say_what_is_free_is_a_card() -> None:
    assert read_gpus("0, GPU-1, NVIDIA GB10, [N/A]\n") == (None,)
    assert read_gpus("0, GPU-1, NVIDIA GB10, [N/A]\n", "0") == (None,)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "No devices were found\n", "a,b\n"],
    ids=["nothing", "a blank line", "no card", "too few"],
)
def test_an_answer_without_a_card(text: str) -> None:
    assert read_gpus(text) == read_gpus(text, "0") == ()


def test_the_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{THREE}END\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    (found,) = visible_gpus()
    assert found is not None
    assert (found.bytes >> 20, found.what) == (15000, "free on Tesla T4")


def test_a_plan_for_a_card_that_does_not_say_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Any
) -> None:
    """It is a plan for the card, and not for the processor."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-1, NVIDIA GB10, [N/A]'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sizes = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(sizes | {"vocab_size": 300}), encoding="utf-8")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{schema: 1, name: x, base: nowhere, train: {path: x.jsonl}}\n", encoding="utf-8")
    done = in_process("plan", recipe, "--config", tmp_path / "config.json")
    assert done.exit_code == 0, done.err
    assert "memory on the GPU" in done.out
    assert "there: unknown; give it with --gpu" in done.out


@pytest.mark.parametrize(
    ("size", "said", "remedy"),
    [
        ("24", "'24' has no unit", "Write 24GiB (or 24GB)."),
        ("8.5", "'8.5' has no unit", "Write 8.5GiB (or 8.5GB)."),
        ("24gigs", "is no size", "Write it like 24GB or 16GiB."),
        ("0", "is no size", "Write it like 24GB or 16GiB."),
    ],
)
@pytest.mark.parametrize("option", ["--gpu", "--memory"])
def test_a_size_needs_its_unit(
    in_process: Any, tmp_path: Path, option: str, size: str, said: str, remedy: str
) -> None:
    """A number alone would be bytes, in which nothing fits."""
    done = in_process("plan", tmp_path / "recipe.yaml", option, size)
    assert done.exit_code == 4
    assert said in done.err
    assert remedy in done.err


def test_sizes_with_their_units() -> None:
    assert [read_size(text) for text in ("24GB", "16GiB", "1.5 gib", "512B")] == [
        24 * 10**9,
        16 << 30,
        3 << 29,
        512,
    ]
