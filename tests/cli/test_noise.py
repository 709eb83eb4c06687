"""`harness noise SUITE` with a scripted model whose answers depend on batch size and seed in planted places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.fingerprint import sample_seed
from harness.run.planted import Script, loses_answer
from harness.suite.load import load_suite
from harness.suite.select import Selection, select

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites" / "tool_calling"
LIMIT = 50
UNSTABLE = 0.4


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    script = tmp_path / "shaky.yaml"
    script.write_text(f"name: shaky\nseed: 3\nunstable: {UNSTABLE}\n", encoding="utf-8")
    return ["--engine", "scripted", "--engine-option", f"script={script}", "--limit", str(LIMIT)]


def moved(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the share of the samples whose answer was planted to come and go between two (batch size, seed)."""
    loaded = load_suite(str(SUITE))
    selection = Selection(limit=LIMIT, tags={}, strata=loaded.spec.slices)
    chosen = select((located.sample for located in loaded.samples()), selection)
    script = Script(name="shaky", seed=3, unstable=UNSTABLE)
    samples = [one.sample for one in loaded.samples() if chosen.takes(one.sample, selection)]
    assert len(samples) == LIMIT

    def lost(sample_id: str, size: int, seed: int) -> bool:
        return loses_answer(script, sample_id, size, sample_seed(seed, sample_id, 0))

    called = [sample.id for sample in samples if sample.gold]
    return sum(lost(name, *one) != lost(name, *other) for name in called) / LIMIT


def test_what_was_planted_between_batch_sizes_is_measured(
    in_process, tmp_path: Path, options: list[str]
) -> None:
    done = in_process("noise", SUITE, *options, "--out", tmp_path / "reports", "--json")
    assert done.exit_code == 0, done.err
    (found,) = json.loads(done.out)
    wanted = moved((1, 0), (8, 0))
    assert wanted > 0.05
    assert found["outcomes_changed"] == pytest.approx(wanted)
    assert found["replies_changed"] >= wanted
    assert (found["varied"], found["values"], found["samples"]) == ("batch_size", [1, 8], LIMIT)
    assert Path(found["file"]) == tmp_path / "reports" / "noise" / "tool-calling" / "shaky.json"
    runs = sorted(path.name for path in (tmp_path / "reports").iterdir() if path.name != "noise")
    assert sorted(found["runs"]) == runs, "the file stands beside the runs that it names"
    values = [_value(tmp_path / "reports" / run, "tool_name_accuracy") for run in found["runs"]]
    assert found["floors"]["tool_name_accuracy"] == pytest.approx(abs(values[0] - values[1]))


def _value(run: Path, metric: str) -> float:
    rows: list[dict[str, Any]] = json.loads((run / "summary.json").read_text("utf-8"))["aggregates"]
    return float(next(row["value"] for row in rows if (row["metric"], row["group"]) == (metric, "all")))


def test_a_steady_model_has_no_noise(in_process, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "shaky.yaml").write_text("name: shaky\n", encoding="utf-8")
    done = in_process("noise", SUITE, *options, "--out", tmp_path / "reports")
    assert done.exit_code == 0, done.err
    assert "0.0\u00a0% of the replies" in done.out
    assert "metrics did not move." in done.out
    assert "noise floor: " in done.out


def test_compare_shows_it_and_calls_nothing_within_it_better(
    in_process, tmp_path: Path, options: list[str]
) -> None:
    reports = tmp_path / "reports"
    assert in_process("noise", SUITE, *options, "--out", reports).exit_code == 0
    runs = sorted(path for path in reports.iterdir() if path.name != "noise")
    done = in_process("compare", *runs, "--json")
    assert done.exit_code == 0, done.err
    (against,) = json.loads(done.out)["against"]
    assert against["verdict"] == "CANNOT TELL"
    for row in against["metrics"]:
        assert row["noise"] == pytest.approx(abs(row["difference"])), row["metric"]
    shown = in_process("compare", *runs)
    assert "not measured" not in shown.out


def test_seeds_of_a_suite_that_draws(in_process, tmp_path: Path, options: list[str]) -> None:
    suite = _drawing_suite(tmp_path)
    done = in_process("noise", suite, *options, "--seeds", "3,4,5", "--out", tmp_path / "reports", "--json")
    assert done.exit_code == 0, done.err
    (found,) = json.loads(done.out)
    assert (found["varied"], found["values"]) == ("seed", [3, 4, 5])
    assert 0 < found["outcomes_changed"] < UNSTABLE
    assert len(found["runs"]) == 3


def _drawing_suite(folder: Path) -> Path:
    text = (SUITE / "suite.yaml").read_text("utf-8")
    text = text.replace("../../datasets", str(ROOT / "datasets")).replace("../../train", str(ROOT / "train"))
    text = text.replace("temperature: 0,", "temperature: 0.7,")
    assert "0.7" in text
    (folder / "drawing").mkdir()
    (folder / "drawing" / "suite.yaml").write_text(text, encoding="utf-8")
    return folder / "drawing"


def test_an_interrupted_measurement_goes_on(in_process, tmp_path: Path, options: list[str]) -> None:
    reports = tmp_path / "reports"
    assert in_process("noise", SUITE, *options, "--out", reports).exit_code == 0
    first = {path: path.stat().st_mtime_ns for path in reports.glob("*/generations.jsonl")}
    again = in_process("noise", SUITE, *options, "--out", reports, "--resume")
    assert again.exit_code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in reports.glob("*/generations.jsonl")} == first
    anew = in_process("noise", SUITE, *options, "--out", reports)
    assert anew.exit_code == 0
    assert len(list(reports.glob("*/generations.jsonl"))) == 4


BAD = [
    (("--batch-sizes", "1,x"), 4, "'x' is no whole number of 1 or more"),
    (("--batch-sizes", "0,8"), 4, "'0' is no whole number of 1 or more"),
    (("--batch-sizes", "8"), 4, "two different values"),
    (("--batch-sizes", "8,8"), 4, "two different values"),
    (("--seeds", "1,2"), 4, "a seed changes nothing"),
    (("--batch-sizes", "1,8", "--seeds", "1,2"), 4, "two different noises"),
    (("--engine-option", "nonsense=1"), 4, "nonsense"),
    (("--engine-option", "max_batch=4"), 4, "--engine-option max_batch is what is varied here"),
    (("--engine", "replay"), 4, "the engine 'replay' has no batch size to vary"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input(
    in_process, tmp_path: Path, options: list[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = in_process("noise", SUITE, *options, *arguments, "--out", tmp_path / "reports")
    assert done.exit_code == code
    assert message in done.err
    assert not (tmp_path / "reports" / "noise").exists()


def test_an_engine_that_fails_measures_nothing(in_process, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "shaky.yaml").write_text("name: shaky\nfaults: {engine_error: 0.3}\n", encoding="utf-8")
    done = in_process("noise", SUITE, *options, "--out", tmp_path / "reports")
    assert done.exit_code == 6
    assert not (tmp_path / "reports" / "noise").exists()
