"""Which runs can be compared: what cannot is refused by name, and what may differ is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, IncompleteRun, NothingCollected, RunFolderError, UsageError
from harness.report.compare_markdown import render_comparison_markdown
from harness.run.paired_runs import paired_differences
from tests.unit.scored_runs import MEASURES, Planted, write_run
from tests.unit.test_compare import compared, samples


def _a(tmp_path: Path) -> Path:
    return write_run(tmp_path / "a", samples("correct", "correct"))


def _b(tmp_path: Path, **changes: Any) -> Path:
    return write_run(tmp_path / "b", samples("correct", "malformed"), **changes)


REFUSED: list[tuple[str, dict[str, Any], type[HarnessError], str]] = [
    ("another suite", {"suite__name": "chairs"}, RunFolderError, "another suite: lamps and chairs"),
    ("another version", {"suite__version": "2.0.0"}, RunFolderError, "another version of the suite lamps: 1.0.0 and 2.0.0"),
    ("same version, other content", {"suite__sha256": "x"}, RunFolderError, "without a new version"),
    ("another split", {"dataset__split": "validation"}, RunFolderError, "another split of the data set: test and validation"),
    ("other data", {"dataset__sha256": "x"}, RunFolderError, "another state of the data set lamps"),
    ("another template, one model", {"prompt__template_sha256": "x"}, RunFolderError, "the chat template differs"),
    ("tools shown otherwise, one model", {"prompt__tools_by": "tool_block"}, RunFolderError, "how the tools are shown differs"),
    ("another dialect, one model", {"prompt__dialect": "bare_json"}, RunFolderError, "the tool-call dialect differs"),
    ("interrupted", {"status": "interrupted"}, IncompleteRun, "this run is interrupted"),
    ("a copy", {"run_id": "20260101T000000Z-lamps-a"}, UsageError, "a copy of the run"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "kind", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], kind: type[HarnessError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        compared(_a(tmp_path), _b(tmp_path, **changes))
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert caught.value.remedy


def test_another_model_may_bring_its_own_template_and_it_is_said(tmp_path: Path) -> None:
    other = _b(tmp_path, prompt__template_sha256="x", engine__model_fingerprint="other")
    comparison = compared(_a(tmp_path), other)
    assert any("another model" in note and "the chat template differ" in note for note in comparison.notes)


def test_prompts_of_other_lengths_are_refused_by_sample(tmp_path: Path) -> None:
    longer = [Planted("s0"), Planted("s1", prompt_tokens=101)]
    other = write_run(tmp_path / "b", longer)
    with pytest.raises(RunFolderError, match=r"1 of 2 differ in length, the first 's1' with 100 and 101"):
        compared(_a(tmp_path), other)


def test_different_prompts_are_compared_on_request_and_it_is_said(tmp_path: Path) -> None:
    changed = [Planted("s0"), Planted("s1", prompt_tokens=101)]
    other = write_run(tmp_path / "b", changed, prompt__dialect="bare_json")
    comparison = compared(_a(tmp_path), other, across_prompts=True)
    assert comparison.n == 2
    (note,) = [note for note in comparison.notes if "other prompts" in note]
    assert "b was asked with other prompts than a: the tool-call dialect, the length of 1 prompt." in note
    assert render_comparison_markdown(comparison).count("asked with other prompts") == 1


def test_other_data_is_refused_on_any_request(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="another state of the data set"):
        compared(_a(tmp_path), _b(tmp_path, dataset__sha256="x"), across_prompts=True, allow_incomplete=True)


def test_the_same_run_twice(tmp_path: Path) -> None:
    run = _a(tmp_path)
    with pytest.raises(UsageError, match="named twice"):
        compared(run, tmp_path / "." / "a")
    with pytest.raises(UsageError, match="two runs or more"):
        compared(run)


def test_no_common_sample(tmp_path: Path) -> None:
    other = write_run(tmp_path / "b", [Planted("t0"), Planted("t1")])
    with pytest.raises(NothingCollected, match="share no scored sample"):
        compared(_a(tmp_path), other)
    with pytest.raises(NothingCollected):
        paired_differences(tmp_path / "a", other)


def _edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        path = run / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    return edit


DAMAGED: list[tuple[str, Callable[[Path], None], str]] = [
    ("never scored", lambda run: (run / "scores.jsonl").unlink(), "no scores.jsonl"),
    ("fewer scores than are counted", _edit("scores.jsonl", lambda text: text.splitlines(keepends=True)[0]), "scores.jsonl holds 1 records for counts.scored, and summary.json says 2"),
    ("no summary", lambda run: (run / "summary.json").unlink(), "never scored"),
    ("no generation", _edit("generations.jsonl", lambda text: text.splitlines(keepends=True)[0]), "a score without its generation"),
    ("not a number", _edit("scores.jsonl", lambda text: text.replace("[1, 1]", "[NaN, 1]")), "holds no numbers"),
    ("a negative count", _edit("scores.jsonl", lambda text: text.replace("[1, 1]", "[1, -1]")), "holds no numbers"),
    ("too large a number", _edit("scores.jsonl", lambda text: text.replace("[1, 1]", f"[{'9' * 400}, 1]")), "scores.jsonl:1: not a score record"),
    ("measures of another shape", _edit("scores.jsonl", lambda text: text.replace("[1, 1]", '"1"')), "scores.jsonl:1: not a score record"),
    ("no sample", _edit("scores.jsonl", lambda text: text.replace("sample_id", "sample")), "scores.jsonl:1: not a score record: no 'sample_id'"),
    ("a status of its own", _edit("scores.jsonl", lambda text: text.replace('"scored"', '"done"')), "scores.jsonl:1: not a score record: no 'done'"),
    ("twice", _edit("scores.jsonl", lambda text: text.replace('"s1"', '"s0"')), "'s0' is scored twice"),
    ("a generation that is none", _edit("generations.jsonl", lambda text: text.replace('"repeat": 0', '"repeat": "0"')), "generations.jsonl:1: not a generation record"),
    ("a line that is no JSON", _edit("scores.jsonl", lambda text: "{\n" + text), "scores.jsonl:1: not a JSON object"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "message"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED]
)
def test_damaged_runs(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    run = _b(tmp_path)
    damage(run)
    with pytest.raises(RunFolderError) as caught:
        compared(_a(tmp_path), run)
    assert message in str(caught.value)


def test_a_torn_last_line_of_a_run_that_was_killed(tmp_path: Path) -> None:
    run = _b(tmp_path)
    with (run / "generations.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"sample_id": "s')
    assert compared(_a(tmp_path), run).n == 2


def test_the_latest_generation_of_a_sample_counts(tmp_path: Path) -> None:
    run = _b(tmp_path)
    lines = (run / "generations.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    failed = {**json.loads(lines[1]), "status": "error", "text": "", "prompt_tokens": 7}
    (run / "generations.jsonl").write_text(lines[0] + json.dumps(failed) + "\n" + lines[1], encoding="utf-8")
    (shown,) = compared(_a(tmp_path), run).samples.shown
    assert shown.replies[1].text.text == "samemalformed"


def test_another_definition_of_a_measure_is_said(tmp_path: Path) -> None:
    old = {**MEASURES, "right": {**MEASURES["right"], "definition": "Something else."}}
    a = write_run(tmp_path / "a", samples("correct", "correct"), measures=old)
    comparison = compared(a, _b(tmp_path))
    assert any("scored with other definitions (right)" in note for note in comparison.notes)
