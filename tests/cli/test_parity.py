"""`harness parity` from end to end with scripted engines whose differences are planted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine import packages
from harness.log.reader import RunFolder, iter_lines
from harness.log.writer import RunLock
from harness.run.planted import Script, fault_of, load_script
from harness.suite.load import load_suite
from harness.suite.select import Selection, select
from harness.types import Sample
from tests.conftest import ROOT, harness_command

SMOKE = ROOT / "suites" / "_smoke"
SUITE = ROOT / "suites" / "tool_calling"
LIMIT = 60
FAULTS = (
    "name: odd\nseed: 4\nfaults: {wrong_value: 0.2, silence: 0.1, call_when_none: 0.3, call_when_ask: 0.2}\n"
)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A script that answers some samples wrong."""
    path = tmp_path / "odd.yaml"
    path.write_text(FAULTS, encoding="utf-8")
    return path


def result_in(done: Any) -> dict[str, Any]:
    line = next(line for line in done.err.splitlines() if line.startswith("parity folder: "))
    folder = Path(line.removeprefix("parity folder: "))
    found: dict[str, Any] = json.loads((folder / "agreement.json").read_text("utf-8"))
    return {**found, "folder": folder}


def test_planted_differences_are_what_is_measured(
    in_process: Callable[..., Any], tmp_path: Path, odd: Path
) -> None:
    engines = f"scripted,scripted:script={odd}"
    saved = tmp_path / "result.json"
    done = in_process(
        "parity", SUITE, "--limit", LIMIT, "--engines", engines, "--out", tmp_path / "r", "--json", saved
    )
    assert done.exit_code == 0, done.err
    loaded = load_suite(str(SUITE))
    selection = Selection(limit=LIMIT, tags={}, strata=loaded.spec.slices)
    chosen = select((one.sample for one in loaded.samples()), selection)
    samples = [one.sample for one in loaded.samples() if chosen.takes(one.sample, selection)]
    planted = [sample for sample in samples if fault_of(load_script(odd), sample) is not None]
    assert 5 < len(planted) < 30
    found = result_in(done)
    column = found["engines"][1]
    for part in ("texts", "verdicts"):
        assert (column[part]["equal"], column[part]["n"]) == (LIMIT - len(planted), LIMIT)
        assert column[part]["low"] < 1 - len(planted) / LIMIT < column[part]["high"]
    assert {one["sample_id"] for one in column["differing"]} == {sample.id for sample in planted}
    assert json.loads(saved.read_text("ascii")) == {
        key: value for key, value in found.items() if key != "folder"
    }
    assert f"{LIMIT - len(planted)} of {LIMIT}" in done.out
    assert (found["folder"] / "compare.html").is_file()


def test_the_place_where_texts_part(in_process: Callable[..., Any], tmp_path: Path) -> None:
    texts = {"smoke-5": ("The capital is Paris.", "The capital is Rome."), "smoke-6": ("Bye", "Bye!")}
    paths = []
    for side in (0, 1):
        path = tmp_path / f"{side}.yaml"
        replies = {name: both[side] for name, both in texts.items()}
        path.write_text(json.dumps({"name": "s", "replies": replies}), encoding="utf-8")
        paths.append(path)
    engines = f"scripted:script={paths[0]},scripted:script={paths[1]}"
    done = in_process("parity", SMOKE, "--engines", engines, "--out", tmp_path / "r")
    assert done.exit_code == 0, done.err
    column = result_in(done)["engines"][1]
    places = {one["sample_id"]: one["position"] for one in column["differing"]}
    assert places == {"smoke-5": len("The capital is "), "smoke-6": len("Bye")}
    assert column["first_difference"] == {"earliest": 3, "median": 9.0}
    assert (column["texts"]["equal"], column["verdicts"]["equal"]) == (6, 8), "both are no calls"
    assert "[P]aris." in done.out
    assert "[the end]" in done.out


def test_equal_settings_agree_on_everything(
    in_process: Callable[..., Any], tmp_path: Path, odd: Path
) -> None:
    engines = f"scripted:script={odd},scripted:script={odd}"
    bounds = ("--fail-under-texts", "1", "--fail-under-verdicts", "1")
    done = in_process("parity", SMOKE, "--engines", engines, "--out", tmp_path, *bounds)
    assert done.exit_code == 0, done.err
    column = result_in(done)["engines"][1]
    assert column["texts"]["equal"] == column["verdicts"]["equal"] == 8
    assert column["differing"] == []
    assert {metric["difference"] for metric in column["metrics"]} == {0.0}


GATES = [
    (("--fail-under-texts", "0.75"), 0, "a bound that is just held"),
    (("--fail-under-texts", "0.76"), 1, "fewer texts"),
    (("--fail-under-verdicts", "0.76"), 1, "fewer verdicts"),
    ((), 0, "no bound, no verdict"),
]


@pytest.mark.parametrize(("bounds", "code", "why"), GATES, ids=[case[2] for case in GATES])
def test_bounds(
    in_process: Callable[..., Any], tmp_path: Path, bounds: tuple[str, ...], code: int, why: str
) -> None:
    script = tmp_path / "s.yaml"
    script.write_text('{name: s, replies: {smoke-1: "no", smoke-3: "no"}}', encoding="utf-8")
    done = in_process(
        "parity", SMOKE, "--engines", f"scripted,scripted:script={script}", "--out", tmp_path / "r", *bounds
    )
    assert done.exit_code == code, done.err
    assert ("FAILED" in done.err) == (code == 1)
    if code:
        assert "6 of 8" in done.err


def test_an_engine_that_does_not_open_is_named_and_the_others_are_kept(
    in_process: Callable[..., Any], tmp_path: Path, odd: Path
) -> None:
    late = tmp_path / "late.yaml"
    engines = f"scripted,scripted:script={late},scripted:script={odd}"
    words = ("parity", SMOKE, "--engines", engines, "--out", tmp_path / "r")
    done = in_process(*words)
    assert done.exit_code == 6
    assert f"scripted:script={late}: " in done.err
    found = result_in(done)
    assert [one["failure"] is None for one in found["engines"]] == [True, False, True]
    assert found["engines"][2]["texts"]["n"] == 8
    before = answers(found["folder"])
    late.write_text(FAULTS, encoding="utf-8")
    odd.unlink()  # a column that is done is not opened again
    again = in_process(*words, "--resume", found["folder"])
    assert again.exit_code == 0, again.err
    assert result_in(again)["engines"][1]["texts"]["n"] == 8
    after = answers(found["folder"])
    assert {path: data for path, data in after.items() if path in before} == before, "nothing is asked again"
    assert len(after) == 3


def answers(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.glob("*/*/generations.jsonl"))
    }


def test_without_the_reference_nothing_is_compared(in_process: Callable[..., Any], tmp_path: Path) -> None:
    engines = f"scripted:script={tmp_path / 'missing.yaml'},scripted"
    done = in_process("parity", SMOKE, "--engines", engines, "--out", tmp_path / "r")
    assert done.exit_code == 4
    assert "missing.yaml" in done.err
    assert answers(tmp_path / "r") == {}


def flaky_column(tmp_path: Path) -> tuple[str | Path, ...]:
    script = tmp_path / "flaky.yaml"
    script.write_text("{name: flaky}", encoding="utf-8")
    return ("parity", SMOKE, "--engines", f"scripted,scripted:script={script}", "--out", tmp_path / "r")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The samples at which the script `flaky` fails now: its hash, and so the plan, stays."""
    samples = {"smoke-2", "smoke-5", "smoke-6"}

    def fault(script: Script, sample: Sample) -> str | None:
        return "engine_error" if script.name == "flaky" and sample.id in samples else None

    monkeypatch.setattr("harness.run.planted.fault_of", fault)
    return samples


def test_failed_answers_make_it_incomplete_and_are_asked_again(
    in_process: Callable[..., Any], tmp_path: Path, failing: set[str]
) -> None:
    words = flaky_column(tmp_path)
    done = in_process(*words)
    assert done.exit_code == 6
    assert "some of its answers failed" in done.err
    found = result_in(done)
    column = found["engines"][1]
    assert column["errors"] == 3
    assert column["texts"]["n"] == column["texts"]["equal"] == 5, "an error is no text"

    failing -= {"smoke-2", "smoke-5"}
    fewer = in_process(*words, "--resume", found["folder"])
    assert (fewer.exit_code, result_in(fewer)["engines"][1]["errors"]) == (6, 1)
    failing.clear()
    again = in_process(*words, "--resume", found["folder"])

    assert again.exit_code == 0, again.err
    column = result_in(again)["engines"][1]
    assert (column["errors"], column["texts"]["n"], column["texts"]["equal"]) == (0, 8, 8)
    (second,) = found["folder"].glob("2-scripted/*/generations.jsonl")
    asked = [line.record["sample_id"] for line in iter_lines(second)]
    assert sorted(asked[:8]) == [f"smoke-{at}" for at in range(1, 9)]
    assert (sorted(asked[8:11]), asked[11:]) == (["smoke-2", "smoke-5", "smoke-6"], ["smoke-6"])


def test_killed_and_resumed_it_is_what_it_would_have_been(
    harness: Callable[..., Any], tmp_path: Path, odd: Path
) -> None:
    engines = f"scripted,scripted:script={odd},delay_s=0.4,scripted:script={odd},max_batch=2"
    words = ("parity", SMOKE, "--engines", engines, "--out", tmp_path / "r")
    process = subprocess.Popen(harness_command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        (second,) = list((tmp_path / "r").glob("*/2-scripted/*/generations.jsonl")) or [None]
        if second is not None and second.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = (tmp_path / "r").iterdir()
    first = answers(folder)[next((folder / "1-scripted").glob("*/generations.jsonl"))]
    kept = [
        line.record["sample_id"] for line in iter_lines(next(folder.glob("2-scripted/*/generations.jsonl")))
    ]
    assert 3 <= len(kept) < 8

    done = harness(*words, "--resume", folder)

    assert done.exit_code == 0, done.err
    assert answers(folder)[next((folder / "1-scripted").glob("*/generations.jsonl"))] == first
    (second,) = folder.glob("2-scripted/*/generations.jsonl")
    after = [line.record["sample_id"] for line in iter_lines(second)]
    assert after[: len(kept)] == kept
    assert Counter(after) == Counter({f"smoke-{at}": 1 for at in range(1, 9)})
    undisturbed = harness("parity", SMOKE, "--engines", engines.replace("0.4", "0"), "--out", tmp_path / "u")
    assert without_times(result_in(done)) == without_times(result_in(undisturbed))


def without_times(found: dict[str, Any]) -> Any:
    for column in found["engines"]:
        for key in ("run", "seconds", "opened_s", "name"):
            column.pop(key)
    return [found["engines"], found["notes"], found["noise_floor"]["kind"]]


def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    words = ("parity", SMOKE, "--engines", "scripted:delay_s=0.4,scripted", "--out", tmp_path / "r")
    process = subprocess.Popen(
        harness_command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.stat().st_size for path in (tmp_path / "r").glob("*/*/*/generations.jsonl")):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    (folder,) = (tmp_path / "r").iterdir()
    assert process.returncode == 2
    assert err.rstrip().endswith(f"--resume {folder}"), "the whole, not the run within it"


def test_the_order_of_columns_is_part_of_what_was_asked(
    in_process: Callable[..., Any], tmp_path: Path, odd: Path
) -> None:
    words = ("parity", SMOKE, "--out", tmp_path / "r")
    done = in_process(*words, "--engines", f"scripted,scripted:script={odd}")
    assert done.exit_code == 0, done.err
    folder = result_in(done)["folder"]
    stored = (folder / "agreement.json").read_bytes()
    swapped = in_process(*words, "--engines", f"scripted:script={odd},scripted", "--resume", folder)
    assert swapped.exit_code == 4
    assert (
        f"order: ['scripted', 'scripted:script={odd}'] -> ['scripted:script={odd}', 'scripted']"
        in swapped.err
    )
    assert (folder / "agreement.json").read_bytes() == stored


LATER = [
    ("scripted,scripted:nonsense=1", "scripted:nonsense=1: ", "has no option 'nonsense'"),
    ("scripted,scripted,hf", "the hf engine needs torch, ", 'pip install "persona-harness[hf]"'),
]


@pytest.mark.parametrize(("engines", "place", "message"), LATER, ids=[case[0] for case in LATER])
def test_a_later_column_that_cannot_run_is_refused_before_the_first_answers(
    in_process: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engines: str,
    place: str,
    message: str,
) -> None:
    monkeypatch.setattr("harness.engine.packages.find_spec", lambda name: None)
    no_model = ("--model", tmp_path / "no_model")
    done = in_process("parity", SMOKE, "--engines", engines, *no_model, "--out", tmp_path / "r")
    assert done.exit_code == 4, done.err
    assert place in done.err
    assert message in done.err
    assert not (tmp_path / "r").exists()


def test_what_a_column_needs_is_asked_only_until_it_is_done(
    in_process: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: set[str]
) -> None:
    words = flaky_column(tmp_path)
    resume = ("--resume", result_in(in_process(*words))["folder"])
    failing.clear()
    with monkeypatch.context() as patch:
        patch.setitem(packages._NEEDS, "scripted", ("not_installed_here",))
        refused = in_process(*words, *resume)
    assert refused.exit_code == 4
    assert "the scripted engine needs not_installed_here" in refused.err
    assert in_process(*words, *resume).exit_code == 0
    monkeypatch.setitem(packages._NEEDS, "scripted", ("not_installed_here",))
    done = in_process(*words, *resume)
    assert done.exit_code == 0, done.err


def test_a_folder_that_another_process_goes_on_with_is_refused(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("parity", SMOKE, "--engines", "scripted,scripted", "--out", tmp_path / "r")
    folder = result_in(in_process(*words))["folder"]
    (folder / "agreement.json").unlink()
    lock = RunLock(folder)
    lock.acquire()
    try:
        refused = in_process(*words, "--resume", folder)
    finally:
        lock.release()
    assert refused.exit_code == 4
    assert f"another process is writing this run (process {os.getpid()} on " in refused.err
    assert not (folder / "agreement.json").exists()
    assert in_process(*words, "--resume", folder).exit_code == 0


def test_what_is_promised_is_printed_and_stored(in_process: Callable[..., Any], tmp_path: Path) -> None:
    words = ("parity", SMOKE, "--engines", "scripted,scripted", "--out", tmp_path)
    done = in_process(*words, "--deterministic")
    assert done.exit_code == 0, done.err
    assert "Promised (scripted, scripted #2): The same texts on any machine" in done.out
    found = result_in(done)
    for column in found["engines"]:
        assert column["promise"]["promised"]
        assert RunFolder(found["folder"] / column["run"]).header()["deterministic"] == column["promise"]
    refused = in_process(*words, "--resume", found["folder"])
    assert refused.exit_code == 4
    assert "deterministic: True -> False" in refused.err


BAD = [
    (("--engines", "scripted"), 4, "two columns or more"),
    (("--engines", "scripted,sripted"), 4, "Did you mean 'scripted'"),
    (("--engines", "scripted,scripted:"), 4, "begins no column"),
    (("--engines", "scripted,scripted", "--base-url", "http://x/v1"), 4, "no column asks one"),
    (("--engines", "scripted,scripted", "--merged"), 4, "Give the adapter with --adapter"),
    (("--engines", "scripted,scripted", "--adapter", "mine"), 4, "has no adapters"),
    (("--engines", "scripted,scripted", "--resume", "nowhere"), 4, "not a parity folder"),
    (("--engines", "scripted,scripted", "--json", "no/such/x.json"), 4, "no such folder"),
    (("--engines", "scripted,scripted", "--fail-under-texts", "98"), 4, "0<=x<=1"),
    (("--engines", "scripted:nonsense=1,scripted"), 4, "has no option 'nonsense'"),
    (("--engines", "scripted,scripted", "--tag", "language=xx"), 5, "no sample has language=xx"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[" ".join(case[0][1:]) for case in BAD])
def test_bad_input(
    in_process: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = in_process("parity", SMOKE, *arguments, "--out", tmp_path / "r")
    assert done.exit_code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err
