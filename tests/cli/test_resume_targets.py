"""`harness run --resume` where a suite measures base and adapters: the run's own target is found, then what comes after it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("peft")

from harness.testing.tiny_model import make_tiny_adapter, make_tiny_model

ROOT = Path(__file__).resolve().parents[2]


def adapters_of(reports: Path) -> dict[str, Path]:
    """Return the run folders by what they measured."""
    found = {}
    for header in reports.glob("*/run.json"):
        adapter = json.loads(header.read_text(encoding="utf-8"))["engine"]["adapter"]
        found[Path(adapter).name if adapter else "base"] = header.parent
    return found


def test_the_run_that_was_cut_goes_on_and_the_adapter_after_it_follows(
    tmp_path: Path, in_process: Any
) -> None:
    model = make_tiny_model(tmp_path / "model", context=4096)
    make_tiny_adapter(tmp_path / "one", model)
    make_tiny_adapter(tmp_path / "two", model, seed=2)
    reports = tmp_path / "reports"
    words = ["run", ROOT / "suites/_smoke", "--model", model, "--limit", "2", "--out", reports]
    for adapter in ("base", tmp_path / "one", tmp_path / "two"):
        words += ["--adapter", adapter]
    assert in_process(*words).exit_code == 0
    runs = adapters_of(reports)
    assert set(runs) == {"base", "one", "two"}
    shutil.rmtree(runs["two"])
    answers = runs["one"] / "generations.jsonl"
    whole = answers.read_bytes()
    answers.write_bytes(whole.splitlines(keepends=True)[0])
    kept = (runs["base"] / "generations.jsonl").stat().st_mtime_ns

    done = in_process(*words, "--resume", runs["one"])

    assert done.exit_code == 0, done.err
    again = adapters_of(reports)
    assert again["one"] == runs["one"]
    assert len(answers.read_bytes().splitlines()) == 2
    assert "two" in again, "what had not begun follows"
    assert len(list(reports.glob("*/run.json"))) == 3, "the base was finished, and is not run again"
    assert (runs["base"] / "generations.jsonl").stat().st_mtime_ns == kept


def test_a_run_of_another_target_is_refused(tmp_path: Path, in_process: Any) -> None:
    model = make_tiny_model(tmp_path / "model", context=4096)
    for name, seed in (("one", 1), ("two", 2), ("other", 3)):
        make_tiny_adapter(tmp_path / name, model, seed=seed)
    words = ["run", ROOT / "suites/_smoke", "--model", model, "--limit", "2", "--out", tmp_path / "reports"]
    first = in_process(*words, "--adapter", tmp_path / "other")
    assert first.exit_code == 0
    (run,) = adapters_of(tmp_path / "reports").values()

    done = in_process(*words, "--adapter", tmp_path / "one", "--adapter", tmp_path / "two", "--resume", run)

    assert done.exit_code == 4
    assert "Name its one --adapter" in done.err


def test_the_suites_adapters_are_of_its_own_model(tmp_path: Path, in_process: Any) -> None:
    own, other = (
        make_tiny_model(tmp_path / name, context=4096, seed=seed) for name, seed in (("own", 1), ("other", 2))
    )
    make_tiny_adapter(tmp_path / "tuned", own)
    suite = tmp_path / "suite"
    shutil.copytree(ROOT / "suites/_smoke", suite)
    spec = yaml.safe_load((suite / "suite.yaml").read_text("utf-8"))
    spec["dataset"]["path"] = str(ROOT / "datasets" / "smoke")
    spec["models"] = {"default": str(own), "adapters": ["../tuned"]}
    (suite / "suite.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    words = ["run", suite, "--limit", "1", "--out"]

    for model in ((), ("--model", own)):
        reports = tmp_path / f"reports-{len(model)}"
        assert in_process(*words, reports, *model).exit_code == 0
        assert set(adapters_of(reports)) == {"base", "tuned"}
    done = in_process(*words, tmp_path / "reports", "--model", other)

    assert done.exit_code == 0, done.err
    assert set(adapters_of(tmp_path / "reports")) == {"base"}
    assert f"of its default model, {own}; name one with --adapter" in done.err
    (events,) = (tmp_path / "reports").glob("*/events.jsonl")
    assert '"suite_adapters_left_out"' in events.read_text("utf-8")
