"""Logs as Weights & Biases exports them: the same diagnosis as from the trainer_state.json of the same run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RunFolderError, UsageError
from harness.training.diagnosis import Diagnosis, diagnose
from harness.training.diagnosis.export import diagnosis_data
from harness.training.diagnosis.reader import read_training_log

CURVES = Path(__file__).resolve().parents[1] / "training_logs" / "training_curves.json"
LOGS: list[dict[str, Any]] = json.loads(CURVES.read_text(encoding="utf-8"))
COLUMNS = ["train/loss", "train/learning_rate", "train/grad_norm", "train/epoch", "eval/loss", "eval/runtime"]


def _rewritten(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry as transformers' WandbCallback logs it (transformers.integrations.rewrite_logs)."""
    row: dict[str, Any] = {}
    for key, value in entry.items():
        if key == "step":
            continue
        row[f"eval/{key[5:]}" if key.startswith("eval_") else f"train/{key}"] = value
    return {**row, "train/global_step": entry["step"]} if "step" in entry else row


def _history(log: list[dict[str, Any]], gap: Any) -> list[dict[str, Any]]:
    """Return rows as `run.scan_history()` (gap None) or a pandas table (gap NaN) has them: every column in every row."""
    rows = [_rewritten(entry) | {"_step": i, "_timestamp": 1.7e9 + i} for i, entry in enumerate(log)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [{column: row.get(column, gap) for column in columns} for row in rows]


def _diagnosed(path: Path) -> Diagnosis:
    read = read_training_log(path)
    return diagnose(read.entries, read.facts)


@pytest.mark.parametrize("gap", [None, math.nan], ids=["scan_history", "pandas"])
@pytest.mark.parametrize("log", LOGS, ids=[log["id"] for log in LOGS])
def test_an_export_reads_as_the_run_does(log: dict[str, Any], gap: Any, tmp_path: Path):
    path = tmp_path / "history.json"
    path.write_text(json.dumps(_history(log["log_history"], gap)), encoding="utf-8")
    found, expected = diagnosis_data(_diagnosed(path)), diagnosis_data(diagnose(log["log_history"]))
    notes = found.pop("notes")
    expected.pop("notes")
    assert "tracker_export" in {note["code"] for note in notes}
    assert found == expected


def test_lines_of_an_export(tmp_path: Path):
    rows = _history(LOGS[0]["log_history"], None)
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert _diagnosed(path).verdict == "overfit"


def test_a_nan_loss_in_a_table_is_evidence(tmp_path: Path):
    """The gaps of a table are NaN as well; a loss beside a learning rate is none."""
    log = [{"step": i, "loss": 2 - 0.1 * i, "learning_rate": 1e-4, "epoch": i / 10} for i in range(1, 10)]
    log[6]["loss"] = math.nan
    log += [{"step": i, "eval_loss": 2 - 0.1 * i, "epoch": i / 10} for i in (3, 6, 9)]
    path = tmp_path / "history.json"
    path.write_text(json.dumps(_history(log, math.nan)), encoding="utf-8")
    diagnosis = _diagnosed(path)
    assert diagnosis.verdict == "broken"
    assert len(diagnosis.curves.train) == 9
    assert diagnosis.curves.losses["eval_loss"].x == (3, 6, 9)


def test_without_a_trainers_step_the_trackers_own_is_taken(tmp_path: Path):
    rows = [{"_step": 5 * i, "train/loss": 2 - 0.1 * i} for i in range(1, 9)]
    rows += [{"_step": 5 * i, "val/loss": 2 - 0.1 * i} for i in (2, 4, 6, 8)]
    (tmp_path / "h.json").write_text(json.dumps(rows), encoding="utf-8")
    diagnosis = _diagnosed(tmp_path / "h.json")
    assert diagnosis.curves.train.x[-1] == 40
    assert diagnosis.curves.validation == "eval_val_loss"


def test_an_exported_reinforcement_log_is_declined(tmp_path: Path):
    rows = [{"_step": i, "train/loss": 0.01, "train/reward": 0.5} for i in range(5)]
    (tmp_path / "h.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(UsageError, match="reinforcement"):
        read_training_log(tmp_path / "h.json")


DECLINED = [
    (
        '"Step","run - train/loss"\n1,2.0\n',
        "h.csv",
        "CSV",
        "scan_history",
        "the chart download of the web page",
    ),
    ("_step\ttrain/loss\n1\t2.0\n", "h.tsv", "CSV", "scan_history", "tabs are a table too"),
    (
        '[{"accuracy": 1, "size": 3}]',
        "h.json",
        "keys: accuracy, size",
        "trainer_state.json",
        "some other list",
    ),
    (
        '{"_step": 3, "x/y": 1}\n{"_step": 4}\n',
        "h.jsonl",
        "keys: _step, x/y",
        "trainer_state.json",
        "no loss",
    ),
    ("hello, world\n", "h.txt", "not JSON", "trainer_state.json", "a sentence with a comma is no table"),
]


@pytest.mark.parametrize(
    ("text", "name", "what", "remedy", "why"), DECLINED, ids=[row[4] for row in DECLINED]
)
def test_what_cannot_be_read_is_declined(
    text: str, name: str, what: str, remedy: str, why: str, tmp_path: Path
):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(RunFolderError) as raised:
        read_training_log(tmp_path / name)
    assert what in raised.value.one_message(), why
    assert remedy in str(raised.value.remedy), why


def test_a_state_that_logged_nothing_yet_is_still_diagnosed(tmp_path: Path):
    """logging_steps above max_steps: the summary alone is a log of Hugging Face's, with nothing in it."""
    state = {"log_history": [{"epoch": 1.0, "step": 3, "train_runtime": 2.0, "train_loss": 1.2}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    assert [finding.code for finding in _diagnosed(tmp_path).findings] == ["no_data"]
