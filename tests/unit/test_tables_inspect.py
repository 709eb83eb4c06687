"""A run as an Inspect log, opened with the package itself.

inspect_ai wants an older fsspec than the other packages here, so it is no dependency of any extra. `pip install
inspect_ai==0.3.285` in an environment of its own runs the first half of these tests; the second half needs nothing.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RunFolderError
from harness.tables.export import export_run
from tests.unit.scored_runs import Planted, write_run

NASTY = '\ud800 \x00 \x1b[2J \u202e </script> " ,\r\n 가'
KEPT = NASTY.replace("\ud800", "\\ud800")
GOLD = {"name": "t", "arguments": {"a": {"accept": [1], "optional": False}}}
CALL = {"name": NASTY, "arguments": {"a": 1}, "problems": []}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = write_run(
        tmp_path / "a",
        [
            Planted("s0", parts={"right": (1, 1), "noise": (1, 4)}, reply=NASTY, question=NASTY, expected=[GOLD], predicted=[CALL], tags={"language": "ko"}),
            Planted("s0", "malformed", repeat=1, reply="no"),
            Planted(f"a/b {NASTY}", "malformed", parts={"correct": (1, 2)}),
            Planted("s2", status="error"),
            Planted("s3", status="unscored", parts={}),
        ],
        repeats=2,
        finished_at="2026-01-01T00:01:00Z",
    )  # fmt: skip
    path = made / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    row = {"metric": "right", "group": "all", "value": 0.25, "ci_low": 0.1, "ci_high": None, "numerator": 1, "denominator": 4, "n": 4, "clusters": 4}  # fmt: skip
    slice_row = {**row, "group": "language=ko", "value": 0.75}
    path.write_text(json.dumps({**summary, "aggregates": [row, slice_row]}), encoding="utf-8")
    return made


@pytest.fixture
def log(run: Path, tmp_path: Path) -> Path:
    return export_run(run, "inspect", tmp_path / "log.eval")[0]


def package() -> Any:
    return pytest.importorskip(
        "inspect_ai.log", reason="pip install inspect_ai, in an environment of its own"
    )


def test_inspect_opens_the_header(log: Path) -> None:
    header = package().read_eval_log(str(log), header_only=True)
    assert (header.version, header.status, header.eval.task, header.eval.task_version) == (2, "success", "lamps", "1.0.0")  # fmt: skip
    assert header.eval.model == "models/tiny + adapters/a"
    assert (header.eval.config.epochs, header.eval.dataset.samples) == (2, 4)
    assert (header.results.total_samples, header.results.completed_samples) == (5, 4)
    values = {score.name: {name: one.value for name, one in score.metrics.items()} for score in header.results.scores}  # fmt: skip
    assert values == {"correct": {"accuracy": 1 / 3}, "right": {"ratio": 0.25, "low": 0.1}}


def test_inspect_reads_every_sample(log: Path) -> None:
    inspect = package()
    whole = inspect.read_eval_log(str(log))
    found = {(one.id, one.epoch): one for one in whole.samples}
    assert len(found) == 5
    first = found["s0", 1]
    assert (first.input, first.output.completion, first.output.stop_reason) == (KEPT, KEPT, "stop")
    assert [message.text for message in first.messages] == [KEPT, KEPT]
    assert json.loads(first.target) == [GOLD]
    assert first.metadata["tags"] == {"language": "ko"}
    assert first.metadata["predicted"][0]["name"] == KEPT
    assert {name: score.value for name, score in first.scores.items()} == {"correct": "C", "right": 1, "noise": 0.25}  # fmt: skip
    assert first.scores["noise"].metadata == {"numerator": 1, "denominator": 4}
    assert first.output.usage.input_tokens == 100
    assert found["s0", 2].scores["correct"].value == "I"
    assert found["s0", 2].scores["correct"].explanation == "malformed"
    assert found["s2", 1].error is not None
    assert not found["s3", 1].scores
    other = next(one for key, one in found.items() if key[0].startswith("a/b"))
    assert {name: one.value for name, one in other.scores.items()} == {"correct": "I", "correct_2": 0.5}
    again = inspect.read_eval_log_sample(str(log), id=other.id, epoch=1)
    assert again.model_dump() == other.model_dump()


def test_inspect_lists_summaries_and_goes_over_samples(log: Path) -> None:
    inspect = package()
    listed = inspect.read_eval_log_sample_summaries(str(log))
    assert [(one.id, one.epoch, one.completed) for one in listed][:2] == [("s0", 1, True), ("s0", 2, True)]
    assert json.loads(listed[0].scores["correct"].answer)[0]["name"] == KEPT
    assert [one.error is not None for one in listed] == [False, False, False, True, False]
    assert len(list(inspect.read_eval_log_samples(str(log), all_samples_required=False))) == 5


def test_inspect_writes_the_same_in_its_other_format(log: Path, tmp_path: Path) -> None:
    inspect = package()
    whole = inspect.read_eval_log(str(log))
    inspect.write_eval_log(whole, str(tmp_path / "again.json"))
    again = inspect.read_eval_log(str(tmp_path / "again.json"))
    assert [one.model_dump() for one in again.samples] == [one.model_dump() for one in whole.samples]


STATUS = {"interrupted": "cancelled", "incomplete": "error", "running": "started"}


@pytest.mark.parametrize("status", list(STATUS))
def test_an_unfinished_run_says_so(tmp_path: Path, status: str) -> None:
    run = write_run(tmp_path / "a", [Planted("s0")], status=status)
    file, _ = export_run(run, "inspect", tmp_path / "log.eval")
    with zipfile.ZipFile(file) as archive:
        header = json.loads(archive.read("header.json"))
    assert header["status"] == STATUS[status]
    assert bool(header["error"]) == (status == "incomplete")


def test_what_lies_in_the_archive(log: Path) -> None:
    with zipfile.ZipFile(log) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        for name in names:
            json.loads(archive.read(name).decode("utf-8"))
        summaries = json.loads(archive.read("summaries.json"))
    assert {"header.json", "summaries.json", "_journal/start.json", "samples/s0_epoch_1.json"} <= set(names)
    assert len(summaries) == 5
    for one in summaries:
        assert f"samples/{one['id']}_epoch_{one['epoch']}.json" in names, "Inspect finds a sample by its id"


@pytest.mark.parametrize("started", [None, "yesterday", 3])
def test_a_run_without_a_time(tmp_path: Path, started: Any) -> None:
    run = write_run(tmp_path / "a", [Planted("s0")], started_at=started)
    with pytest.raises(RunFolderError, match="its started_at is no time"):
        export_run(run, "inspect", tmp_path / "log.eval")
