"""The noise floor: what was planted between repetitions is what is measured, and a damaged file is named."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import IncompleteRun, RunFolderError, UsageError
from harness.log.reader import RunFolder
from harness.run.noise import Variant, noise_between, recorded_variant, variants
from harness.run.noise_file import NoiseFile, about, noise_of, noise_path, read_noise, unlike, write_noise
from harness.suite.load import load_suite
from tests.unit.scored_runs import Planted, header, write_run

ROOT = Path(__file__).resolve().parents[2]
SUITE = load_suite(str(ROOT / "suites" / "tool_calling"))


def batch(value: int) -> Variant:
    return Variant(varied="batch_size", value=value)


def repeated(folder: Path, *wrong: tuple[int, ...]) -> list[tuple[Variant, Path]]:
    """Write runs of ten samples that differ in their batch size alone; `wrong` are the places that each gets wrong."""
    found = []
    for at, places in enumerate(wrong):
        samples = [
            Planted(f"s{place}", "malformed" if place in places else "correct", reply=f"{place in places}")
            for place in range(10)
        ]
        run = write_run(folder / f"r{at}", samples, engine__adapter=None, engine__adapter_fingerprint=None)
        found.append((batch(at + 1), run))
    return found


def test_the_floor_is_the_largest_difference_of_two_runs(tmp_path: Path) -> None:
    found = noise_between(repeated(tmp_path, (0, 1, 2), (2, 3), (4,)))
    assert found.floors == {"right": pytest.approx(0.2), "noise": 0.0}
    assert found.replies_changed == pytest.approx(0.4), "0, 1, 2 against 4"
    assert found.outcomes_changed == pytest.approx(0.4)
    assert (found.varied, found.values, found.samples) == ("batch_size", (1, 2, 3), 10)
    assert found.runs == tuple(f"20260101T000000Z-lamps-r{at}" for at in range(3))


def test_replies_may_move_where_no_metric_does(tmp_path: Path) -> None:
    found = noise_between(repeated(tmp_path, (0, 1), (2, 3)))
    assert found.floors["right"] == 0
    assert found.replies_changed == pytest.approx(0.4)


def test_runs_that_differ_in_more_are_refused(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", [Planted("s0")])
    other = write_run(tmp_path / "b", [Planted("s0")])
    with pytest.raises(RunFolderError, match=r"more than what was varied: engine\.adapter_fingerprint"):
        noise_between([(batch(1), one), (batch(8), other)])


def test_an_incomplete_run_measures_nothing(tmp_path: Path) -> None:
    runs = repeated(tmp_path, (), ())
    run = runs[1][1]
    (run / "run.json").write_text(
        json.dumps({**json.loads((run / "run.json").read_text("utf-8")), "status": "interrupted"}), "utf-8"
    )
    with pytest.raises(IncompleteRun):
        noise_between(runs)


@pytest.mark.parametrize(
    ("temperature", "given", "chosen"),
    [
        (0.0, ((), ()), [("batch_size", 1), ("batch_size", 8)]),
        (0.7, ((), ()), [("seed", 5), ("seed", 6)]),
        (0.0, ((2, 4, 16), ()), [("batch_size", 2), ("batch_size", 4), ("batch_size", 16)]),
        (0.7, ((1, 8), ()), [("batch_size", 1), ("batch_size", 8)]),
        (0.7, ((), (1, 2, 3)), [("seed", 1), ("seed", 2), ("seed", 3)]),
    ],
    ids=["greedy by default", "drawing by default", "batch sizes", "batch sizes of drawing", "seeds"],
)
def test_what_is_varied(temperature: float, given: Any, chosen: list[tuple[str, int]]) -> None:
    assert [(one.varied, one.value) for one in variants(_suite(temperature), *given)] == chosen


def _suite(temperature: float) -> Any:
    generation = SUITE.spec.generation.model_copy(update={"temperature": temperature, "seed": 5})
    return replace(SUITE, spec=SUITE.spec.model_copy(update={"generation": generation}))


@pytest.mark.parametrize(
    ("temperature", "given", "message"),
    [
        (0.7, ((1, 8), (1, 2)), "two different noises"),
        (0.0, ((), (1, 2)), "a seed changes nothing"),
        (0.0, ((8,), ()), "two different values"),
        (0.0, ((8, 8), ()), "two different values"),
        (0.0, ((1, 8, 8), ()), "two different values"),
    ],
    ids=["both", "seeds of greedy", "one", "twice one", "one of three twice"],
)
def test_what_may_not_be_varied(temperature: float, given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        variants(_suite(temperature), *given)


MEASURED = NoiseFile(
    about=about(header("a")),
    varied="seed",
    values=(0, 1),
    runs=("one", "two \ud800"),
    samples=10,
    replies_changed=0.5,
    outcomes_changed=0.25,
    floors={"right": 0.1, "length": 12.5},
)


def test_a_file_reads_back_and_stands_beside_the_runs(tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "reports" / "a", [Planted("s0")]))
    assert noise_of(run, tmp_path / "reports") is None
    path = noise_path(tmp_path / "reports", run.header())
    assert path == tmp_path / "reports" / "noise" / "lamps" / "tiny-a.json"
    write_noise(path, MEASURED)
    written = path.read_bytes()
    found = noise_of(run, tmp_path / "reports")
    assert found is not None
    assert replace(found, runs=MEASURED.runs) == MEASURED
    write_noise(path, MEASURED)
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, []),
        ({"engine__model": "elsewhere/tiny"}, []),
        ({"engine__adapter_fingerprint": "other"}, ["engine.adapter_fingerprint"]),
        ({"engine__quantization": "nf4"}, ["engine.quantization"]),
        ({"suite__version": "2.0.0", "prompt__dialect": "bare_json"}, ["suite.version", "prompt.dialect"]),
        ({"dataset__sha256": "00"}, ["dataset.sha256"]),
        ({"sampling__seed": 3}, []),
    ],
    ids=[
        "the same",
        "a renamed model",
        "another adapter",
        "4 bit",
        "suite and dialect",
        "data",
        "another seed",
    ],
)
def test_what_a_measurement_counts_for(changes: dict[str, Any], differs: list[str]) -> None:
    assert unlike(MEASURED.about, header("a", **changes)) == differs


def test_prompts_that_a_server_renders_are_others_whichever_was_measured() -> None:
    ours, theirs = header("a"), header("a", prompt__template="server")
    assert unlike(about(ours), theirs) == unlike(about(theirs), ours) == ["prompt.template"]


def _stored(**changes: Any) -> str:
    about_ = {name: dict(values) for name, values in MEASURED.about.items()}
    whole = {"schema": 1, "about": about_, "varied": "seed", "values": [0, 1], "runs": ["a"], "samples": 1, "replies_changed": 0, "outcomes_changed": 0, "floors": {"right": 0.1}}  # fmt: skip
    return json.dumps({**whole, **changes})


DAMAGED = {
    "no_json": ("{", "not valid JSON"),
    "a_list": ("[]", "not a JSON object"),
    "newer": (_stored(schema=2), "written by another harness"),
    "nothing_else": ('{"schema": 1}', "'about' is missing"),
    "floors_a_list": (_stored(floors=[1]), "not a noise file"),
    "floor_nan": (_stored(floors={"right": float("nan")}), "nan is no amount"),
    "floor_negative": (_stored(floors={"right": -0.1}), "-0.1 is no amount"),
    "floor_true": (_stored(floors={"right": True}), "True is no amount"),
    "floor_huge": (_stored(floors={"right": 10**400}), "not a noise file"),
    "share_of_two": (_stored(replies_changed=2), "2 is no share"),
    "values_a_text": (_stored(values="ab"), "not a noise file"),
    "about_a_text": (_stored(about="x"), "not a noise file"),
}


@pytest.mark.parametrize("case", list(DAMAGED))
def test_a_damaged_file(tmp_path: Path, case: str) -> None:
    stored, message = DAMAGED[case]
    path = tmp_path / "noise.json"
    path.write_text(stored, encoding="utf-8")
    with pytest.raises(RunFolderError) as caught:
        read_noise(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_a_run_was_varied_in(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [Planted("s0")])
    assert recorded_variant(run) is None
    (run / "events.jsonl").write_text(
        '{"kind":"ended"}\n{"kind":"noise","varied":"seed","value":3}\n', "utf-8"
    )
    assert recorded_variant(run) == {"varied": "seed", "value": 3}


def test_the_floor_of_an_unvalidated_metric_is_marked() -> None:
    from rich.console import Console

    from harness.report.noise_terminal import render_noise

    measured = NoiseFile(
        about={},
        varied="seed",
        values=(0, 1),
        runs=(),
        samples=10,
        replies_changed=0.1,
        outcomes_changed=0.1,
        floors={"persona_style": 0.2, "right": 0.1},
    )
    console = Console(width=200, record=True, quiet=False, file=io.StringIO())
    render_noise(measured, {"right"}, console, unvalidated={"persona_style"})
    text = console.export_text()
    assert "persona_style (unvalidated)" in text
    assert "right (unvalidated)" not in text
