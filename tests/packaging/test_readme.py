"""The README's commands are run: every `harness` line, with names standing for the reader's own things filled in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.persona.persona_files import alpaca

ROOT = Path(__file__).resolve().parents[2]
READMES = ["README.md", "README.ko.md"]


def harness_lines(readme: str) -> list[str]:
    """Return the `harness ...` commands of the console blocks, without comments."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("harness ")]


def make_lines(readme: str) -> list[str]:
    """Return the `make ...` commands of the console blocks."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.startswith("make ")]


def test_both_languages_show_the_same_commands() -> None:
    assert set(harness_lines("README.ko.md")) <= set(harness_lines("README.md"))
    assert make_lines("README.ko.md") == make_lines("README.md") == ["make demo", "make test"]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    for line in make_lines("README.md"):
        assert re.search(rf"^{line.removeprefix('make ')}:", makefile, flags=re.MULTILINE)


def test_the_commands_without_make_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    for part in (
        "-c constraints.txt torch",
        "-c constraints.txt -e '.[hf]'",
        "harness models pull smollm2-135m",
    ):
        assert part in text
        assert part in makefile
    assert "harness run suites/tool_calling --limit 100" in text
    assert "harness run suites/tool_calling --limit 100" in makefile


def trains(line: str) -> bool:
    """Return True for the lines that train, and for those that name a training run."""
    return "train/smoke.yaml" in line or "train/runs/RUN" in line


def decides(line: str) -> bool:
    """Return True for the lines that judge, compare or ask runs that are there."""
    return line.split()[1] in ("gate", "compare", "noise", "parity", "query", "export")


def asks_elsewhere(line: str) -> bool:
    """Return True for the lines with another engine: tests/engines/test_vllm_suite.py runs vLLM's, one below the server's."""
    return "--engine vllm" in line or "--engine openai" in line


def words_of(command: str) -> list[str]:
    """Return a command's words without `harness`: one sample where a model answers, training on a busy machine too."""
    words = shlex.split(command)[1:]
    if words[0] in ("run", "sweep") and "scripted" not in words:
        words = [word for word in words if word not in ("50", "--limit")]
        words += ["--limit", "1"]
    return [*words, "--force"] if words[0] == "train" else words


def with_short_replies(workspace: Path) -> None:
    """Let every suite of a workspace ask for a few tokens: a command is tried here, not a model."""
    for path in workspace.glob("suites/**/suite.yaml"):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        spec.setdefault("generation", {})["max_new_tokens"] = 8
        path.write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")


@pytest.mark.model
@pytest.mark.timeout(1800)
def test_every_harness_line_runs(
    harness: Callable[..., Any],
    in_process: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from harness.models.resolve import resolve_model
    from harness.testing.tiny_model import make_tiny_adapter

    model = resolve_model("smollm2-135m").path
    workspace = tmp_path / "workspace"
    assert harness("init", workspace).exit_code == 0
    with_short_replies(workspace)
    make_tiny_adapter(workspace / "train" / "adapters" / "mine", model)
    alpaca(workspace / "mychar.json")
    # In this process, which imports torch once; Ray's own processes want one that ends.
    monkeypatch.chdir(workspace)
    first = in_process("run", "suites/tool_calling", "--limit", "1")
    assert first.exit_code == 0, first.err
    tried = 0
    for line in harness_lines("README.md"):
        if trains(line) or decides(line) or asks_elsewhere(line):
            continue
        command = line.replace("my/model-folder", str(model)).replace("reports/RUN", str(first.run_dir))
        words = words_of(command)

        done = harness(*words, cwd=workspace) if "ray" in words else in_process(*words)

        assert done.exit_code == 0, (line, done.err)
        tried += 1
    assert tried >= 12


@pytest.mark.model
@pytest.mark.network
def test_the_line_with_a_server_runs(harness: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    from harness.models.resolve import resolve_model
    from harness.models.tokenizer import load_tokenizer
    from tests.engines.stub_openai import serving

    (line,) = (line for line in harness_lines("README.md") if "--engine openai" in line)
    workspace = tmp_path / "workspace"
    assert harness("init", workspace).exit_code == 0
    tokenizer = load_tokenizer(resolve_model("smollm2-135m").path)
    with serving(tokenizer, adapters={"structural-smollm2-135m": "tuned"}) as server:
        command = line.replace("http://HOST:8000/v1", server.url).replace("MODEL", "smollm2-135m")
        done = harness(*words_of(command), cwd=workspace)

    assert done.exit_code == 0, done.err
    assert "1 planned, 1 scored" in done.out


def test_every_deciding_line_runs(harness: Callable[..., Any], tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    assert harness("init", workspace).exit_code == 0
    gates = workspace / "suites" / "tool_calling" / "tool_calling.gate.yaml"
    spec = yaml.safe_load(gates.read_text(encoding="utf-8"))
    gates.write_text(yaml.safe_dump({**spec, "baseline": "../../reports/baselines/mine.json"}))
    runs = {}
    for name, share in (("A", 0.3), ("B", 0.1)):
        script = workspace / f"{name}.yaml"
        script.write_text(yaml.safe_dump({"name": name, "faults": {"wrong_value": share}}), encoding="utf-8")
        scripted = ("--engine", "scripted", "--engine-option", f"script={script}")
        done = harness("run", "suites/tool_calling", *scripted, cwd=workspace)
        assert done.exit_code == 0, done.err
        runs[name] = str(done.run_dir)
    assert harness("gate", runs["B"], "--propose-baseline", cwd=workspace).exit_code == 1
    tried = 0
    for line in filter(decides, harness_lines("README.md")):
        command = line.replace("reports/A", runs["A"]).replace("reports/B", runs["B"])
        command = command.replace("reports/RUN", runs["B"]).replace("hf,hf:", "scripted,scripted:")
        words = shlex.split(command)[1:]

        done = harness(*words, *(("--engine", "scripted") if words[0] == "noise" else ()), cwd=workspace)

        assert done.exit_code == 0, (line, done.err)
        tried += 1
    assert tried >= 6


@pytest.mark.model
@pytest.mark.timeout(1800)
def test_every_training_line_runs(harness: Callable[..., Any], tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    assert harness("init", workspace).exit_code == 0
    with_short_replies(workspace)
    recipe = workspace / "train" / "smoke.yaml"
    spec = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    spec["train"]["limit"], spec["validation"]["limit"] = 4, 1
    spec["training"] |= {"max_steps": 2, "per_device_train_batch_size": 1, "gradient_checkpointing": True}
    spec["evaluation"] |= {"every": 2, "train_probe": 0}
    recipe.write_text(yaml.safe_dump(spec), encoding="utf-8")
    tried = 0
    for line in filter(trains, harness_lines("README.md")):
        command = line
        if "RUN" in line:
            (run,) = (workspace / "train" / "runs").iterdir()
            command = line.replace("train/runs/RUN", str(run)).replace("checkpoint-8", "checkpoint-2")

        done = harness(*words_of(command), cwd=workspace)

        assert done.exit_code == 0, (line, done.err)
        tried += 1
    assert tried >= 5
