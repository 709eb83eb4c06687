"""Log files of every kind, whole and damaged, and what becomes of resumed, unsorted and odd entries."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, RunFolderError, UsageError
from harness.training.diagnosis import RunFacts, diagnose
from harness.training.diagnosis.curves import build_curves
from harness.training.diagnosis.export import diagnosis_data
from harness.training.diagnosis.facts import facts_of_header
from harness.training.diagnosis.reader import read_training_log

ENTRIES = [{"step": 10 * i, "epoch": i / 2, "loss": 2 - 0.1 * i, "learning_rate": 1e-4} for i in range(1, 9)]
ENTRIES += [{"step": 10 * i, "epoch": i / 2, "eval_loss": 2.1 - 0.1 * i} for i in (2, 4, 6, 8)]


def _lines(entries: list[Any]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def _run_folder(folder: Path) -> Path:
    header = {
        "schema": 1,
        "status": "done",
        "recipe": {
            "training": {
                "learning_rate": 2e-4,
                "num_train_epochs": 4,
                "per_device_train_batch_size": 4,
                "gradient_accumulation_steps": 2,
            },
            "evaluation": {"metric": "eval_loss"},
            "eval_suite": {"path": "x", "limit": 50},
        },
        "data": {"train": {"rows": 500}, "validation": {"rows": 60}},
        "rows": {
            "read": 520,
            "kept": 500,
            "dropped": 20,
            "truncated": 0,
            "tokens": 1000,
            "supervised_tokens": 100,
        },
    }
    (folder / "train.json").write_text(json.dumps(header), encoding="utf-8")
    (folder / "log.jsonl").write_text(_lines(ENTRIES), encoding="utf-8")
    (folder / "checkpoint-40").mkdir()
    (folder / "checkpoint-80").mkdir()
    return folder


def _state(path: Path, entries: list[Any], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"log_history": entries, "global_step": 80, **more}), encoding="utf-8")
    return path


def _llama_factory(folder: Path) -> Path:
    rows = [
        {
            "current_steps": entry["step"],
            "total_steps": 80,
            "epoch": entry["epoch"],
            "percentage": 1.0,
            "elapsed_time": "0:01:00",
            **({"loss": entry["loss"], "lr": 1e-4} if "loss" in entry else {}),
            **({"eval_loss": entry["eval_loss"]} if "eval_loss" in entry else {}),
        }
        for entry in ENTRIES
    ]
    (folder / "trainer_log.jsonl").write_text(_lines(rows), encoding="utf-8")
    return folder / "trainer_log.jsonl"


def _array(folder: Path) -> Path:
    (folder / "history.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
    return folder / "history.json"


def _jsonl(folder: Path) -> Path:
    (folder / "history.txt").write_text("\ufeff" + _lines(ENTRIES), encoding="utf-8")
    return folder / "history.txt"


SOURCES: list[tuple[Callable[[Path], Path], str, str]] = [
    (_run_folder, "harness", "our run folder"),
    (lambda f: _state(f / "trainer_state.json", ENTRIES), "transformers", "a trainer state"),
    (
        lambda f: _state(f / "checkpoint-80" / "trainer_state.json", ENTRIES).parent,
        "transformers",
        "a checkpoint folder",
    ),
    (
        lambda f: _state(f / "checkpoint-80" / "trainer_state.json", ENTRIES).parent.parent,
        "transformers",
        "an output folder",
    ),
    (_llama_factory, "llama_factory", "LLaMA-Factory's log"),
    (lambda f: _llama_factory(f).parent, "llama_factory", "LLaMA-Factory's output folder"),
    (_array, "transformers", "a JSON list"),
    (_jsonl, "transformers", "JSON lines under any name, with a byte-order mark"),
]


@pytest.mark.parametrize(("make", "source", "why"), SOURCES, ids=[row[2] for row in SOURCES])
def test_sources(make: Callable[[Path], Path], source: str, why: str, tmp_path: Path):
    read = read_training_log(make(tmp_path))
    diagnosis = diagnose(read.entries, read.facts)
    assert read.facts.source == source
    assert len(diagnosis.curves.train) == 8, why
    assert len(diagnosis.curves.learning_rate) == 8, why
    assert diagnosis.curves.losses["eval_loss"].y[-1] == pytest.approx(1.3)


def test_the_newest_checkpoint_is_read(tmp_path: Path):
    _state(tmp_path / "checkpoint-90" / "trainer_state.json", ENTRIES[:3])
    newest = _state(tmp_path / "checkpoint-100" / "trainer_state.json", ENTRIES)
    read = read_training_log(tmp_path)
    assert read.file == newest, "100 comes after 90, though not by letters"
    assert read.facts.checkpoints == (90, 100)


def test_facts_of_our_header(tmp_path: Path):
    facts = read_training_log(_run_folder(tmp_path)).facts
    assert facts == RunFacts(
        source="harness",
        state="done",
        planned_epochs=4.0,
        learning_rate=2e-4,
        adapter=True,
        batch_rows=8,
        train_rows=500,
        validation_rows=60,
        read_rows=520,
        dropped_rows=20,
        truncated_rows=0,
        supervised_share=0.1,
        checkpoints=(40, 80),
        task_samples=50,
    )


def test_preflights_numbers_are_findings(tmp_path: Path):
    """What preflight counted is in train.json, and the first rules of a diagnosis go by it."""
    folder = _run_folder(tmp_path)
    header = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    header["preflight"] = {"end_of_turn_supervised": False, "leaked_rows": 3, "vocab_size": 4}
    (folder / "train.json").write_text(json.dumps(header), encoding="utf-8")
    read = read_training_log(folder)
    found = {finding.code: finding for finding in diagnose(read.entries, read.facts).findings}
    assert found["no_end_of_turn"].severity == "critical"
    assert found["leaked_rows"].evidence == {"rows": 3}
    assert found["near_uniform"].severity == "critical", "1.9 is above 0.8 ln 4: guessing among four tokens"


@pytest.mark.parametrize(
    "preflight",
    [None, [], {"leaked_rows": -1, "vocab_size": 0}, {"leaked_rows": "3", "vocab_size": math.nan}],
)
def test_preflights_numbers_of_a_wrong_type_are_unknown(preflight: Any):
    facts = facts_of_header({"preflight": preflight, "metrics": preflight})
    assert (facts.end_of_turn_supervised, facts.leaked_rows, facts.vocab_size) == (None, None, None)
    assert (facts.higher_is_better, facts.lower_is_better) == ((), ())


@pytest.mark.parametrize(
    "value", [None, [], "x", {"recipe": 3, "rows": [1]}, {"rows": {"kept": True, "read": "9"}}]
)
def test_facts_of_a_strange_header(value: Any):
    assert facts_of_header(value if isinstance(value, dict) else {}).train_rows is None


DAMAGE: list[tuple[bytes, str, str, str]] = [
    (b"", "log.json", "empty", "an empty file"),
    (b"\x89PNG\r\n", "log.json", "not JSON", "a picture"),
    (b'{"log_history": [{"loss": 1.0}, {"lo', "trainer_state.json", "damaged", "a state cut short"),
    (
        b'{"loss": 1}\nxx\n{"loss": 2}\n',
        "log.jsonl",
        "log.jsonl:2",
        "a bad line in the middle names its line",
    ),
    (b'{"loss": 1}\n[1]\n{"loss": 2}\n', "log.jsonl", "a list, not an object", "a line of the wrong type"),
    (b'{"loss": 1, "a": "\xff"}\n{"loss": 2}\n', "log.jsonl", "UTF-8", "bytes that are no text"),
    (b'{"config": 1}', "x.json", "no log_history", "another JSON file"),
    (b"[1, 2]", "x.json", "entry 1", "a list of numbers"),
    (b"[" * 100_000, "x.json", "nested too deep", "nested brackets"),
    (b'[{"log_history": []}, {"log_history": []}]', "x.json", "2 logs", "a collection of logs"),
    (b'{"log_history": []}', "trainer_state.json", "no log entries", "a log without entries"),
]


@pytest.mark.parametrize(("data", "name", "what", "why"), DAMAGE, ids=[row[3] for row in DAMAGE])
def test_damaged_files(data: bytes, name: str, what: str, why: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(RunFolderError) as raised:
        read_training_log(path)
    assert what in raised.value.one_message(), why
    assert raised.value.remedy


def test_nothing_there(tmp_path: Path):
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(RunFolderError) as raised:
            read_training_log(path)
        assert raised.value.remedy


def test_a_damaged_newest_state_names_the_one_before(tmp_path: Path):
    older = _state(tmp_path / "checkpoint-90" / "trainer_state.json", ENTRIES)
    broken = tmp_path / "checkpoint-100" / "trainer_state.json"
    broken.parent.mkdir()
    broken.write_text('{"log_history": [', encoding="utf-8")
    with pytest.raises(RunFolderError) as raised:
        read_training_log(tmp_path)
    assert str(older) in raised.value.one_message()


def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path):
    folder = _run_folder(tmp_path)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 90, "lo')
    read = read_training_log(folder)
    assert len(read.entries) == len(ENTRIES)
    assert [(note.code, note.evidence["line"]) for note in read.facts.notes] == [
        ("torn_line", len(ENTRIES) + 1)
    ]


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_header_is_said_and_does_without(content: str, tmp_path: Path):
    folder = _run_folder(tmp_path)
    (folder / "train.json").write_text(content, encoding="utf-8")
    facts = read_training_log(folder).facts
    assert [note.code for note in facts.notes] == ["header_unreadable"]
    assert facts.source == "harness"


OTHER = [
    ({"reward": 0.5, "reward_std": 0.1, "loss": 0.01}, "reinforcement"),
    ({"completions/mean_length": 80.0, "loss": 0.01}, "reinforcement"),
    ({"rewards/accuracy_reward/mean": 0.5, "loss": 0.01}, "reinforcement"),
    ({"objective/kl": 0.5}, "reinforcement"),
    ({"rewards/chosen": 0.5, "rewards/margins": 0.2, "loss": 0.69}, "preferences"),
    ({"eval_rewards/chosen": 0.5, "eval_loss": 0.69}, "preferences"),
]


@pytest.mark.parametrize(("entry", "what"), OTHER, ids=[next(iter(row[0])) for row in OTHER])
def test_other_objectives_are_declined(entry: dict[str, float], what: str, tmp_path: Path):
    (tmp_path / "log.jsonl").write_text(_lines([{"step": i, **entry} for i in range(5)]), encoding="utf-8")
    with pytest.raises(UsageError, match=what):
        read_training_log(tmp_path / "log.jsonl")


def test_nan_tokens_are_evidence(tmp_path: Path):
    (tmp_path / "trainer_state.json").write_text(
        '{"log_history": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": NaN}, {"step": 3, "loss": Infinity}]}',
        encoding="utf-8",
    )
    read = read_training_log(tmp_path)
    diagnosis = diagnose(read.entries, read.facts)
    assert diagnosis.verdict == "broken"
    text = json.dumps(diagnosis_data(diagnosis), allow_nan=False)
    assert "nonfinite_loss" in text


def test_a_resumed_run_keeps_the_last_of_each_step():
    first = [{"step": s, "loss": 1.0} for s in range(10, 110, 10)] + [{"step": 100, "eval_loss": 9.0}]
    second = [{"step": s, "loss": 0.5} for s in range(60, 90, 10)] + [{"step": 80, "eval_loss": 1.0}]
    curves = build_curves(first + second, RunFacts())
    assert curves.train.x == (10, 20, 30, 40, 50, 60, 70, 80)
    assert curves.train.y == (1, 1, 1, 1, 1, 0.5, 0.5, 0.5)
    assert curves.losses["eval_loss"].x == (80,), "the abandoned attempt's evaluation goes with it"
    assert {note.code for note in curves.notes} == {"resumed"}
    assert curves.end == 80


def test_an_entry_twice_is_one_point():
    curves = build_curves([ENTRIES[0], ENTRIES[0], *ENTRIES[1:]], RunFacts())
    assert len(curves.train) == 8
    assert curves.notes == ()


def test_train_first_and_evaluations_after_is_no_resume():
    curves = build_curves(ENTRIES, RunFacts())
    assert curves.notes == ()
    assert curves.epoch_at(40) == 2.0


def test_unsorted_entries_are_sorted():
    log = [{"step": s, "loss": float(s)} for s in range(500, 0, -10)]
    curves = build_curves(log, RunFacts())
    assert curves.train.x == tuple(range(10, 510, 10))
    assert [note.code for note in curves.notes] == ["unsorted"]


AXES = [
    ([{"step": 5, "loss": 1.0}], "step", 5),
    ([{"current_steps": 5, "loss": 1.0}], "step", 5),
    ([{"epoch": 0.5, "loss": 1.0}], "epoch", 0.5),
    ([{"loss": 1.0}, {"loss": 0.9}], "entry", 2),
    ([{"step": True, "loss": 1.0}], "entry", 1),
    ([{"step": -5, "epoch": 1, "loss": 1.0}], "epoch", 1),
]


@pytest.mark.parametrize(("log", "axis", "end"), AXES)
def test_the_axis(log: list[dict[str, Any]], axis: str, end: float):
    curves = build_curves(log, RunFacts())
    assert (curves.axis, curves.end) == (axis, end)


HOSTILE: list[Any] = [
    {"step": 1, "loss": "nan"},
    {"step": 1, "loss": [1, 2]},
    {"step": 1, "loss": {"a": 1}},
    {"step": 1, "loss": True},
    {"step": 1, "loss": 10**400},
    {"step": 10**400, "loss": 1.0},
    {"step": math.inf, "loss": 1.0},
    {"step": 1, "loss": 1e308, "grad_norm": -1e308},
    {"step": "20", "loss": "1.5"},
    {"step": 1, "eval_loss": None, "eval_x": "\ud800"},
    {"step": 1, "eval_\ud800_loss": 1.0, "": 2, "eval_": 3, "eval_<b>": 4},
    {1: 2},
    {"epoch": "x", "loss": -5.0},
    {"train_runtime": "x", "train_samples_per_second": None, "epoch": 0, "loss": 0},
    {"train_runtime": 1e308, "train_samples_per_second": 1e308, "epoch": 1e-308, "step": 3},
    {"eval_runtime": 0.0, "eval_samples_per_second": math.inf, "eval_loss": 0.0, "step": 2},
]


@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_hostile_values_never_raise(index: int):
    from harness.report.diagnosis_html import render_diagnosis_html
    from harness.report.diagnosis_svg import standalone_svg

    for log in ([HOSTILE[index]] * 12, [*ENTRIES, HOSTILE[index]], [HOSTILE[index], *ENTRIES, *HOSTILE]):
        diagnosis = diagnose(log)
        for language in ("en", "ko"):
            json.dumps(diagnosis_data(diagnosis, language), allow_nan=False)
            render_diagnosis_html(diagnosis, title="\ud800<script>", language=language)
            standalone_svg(diagnosis, language=language)


def test_numbers_that_are_none_are_counted():
    curves = build_curves([*ENTRIES, {"step": 90, "loss": [1]}, {"step": 100, "loss": True}], RunFacts())
    assert [(note.code, note.evidence["n"]) for note in curves.notes] == [("not_numbers", 2)]


def test_many_keys_are_bounded():
    log = [{"step": i, f"eval_{i}_x": 1.0} for i in range(5000)]
    curves = build_curves(log, RunFacts())
    assert len(curves.metrics) < 200
    assert "too_many_keys" in {note.code for note in curves.notes}


VALIDATION = [
    (["eval_loss", "eval_train_probe_loss"], "eval_loss", "eval_loss", "eval_train_probe_loss"),
    (["eval_val_loss", "eval_train_loss"], "eval_loss", "eval_val_loss", "eval_train_loss"),
    (["eval_general_loss", "eval_persona_loss"], "eval_persona_loss", "eval_persona_loss", None),
    (["eval_zoo_loss", "eval_bar_loss"], "eval_loss", "eval_bar_loss", None),
    (["eval_constraint_loss"], "eval_loss", "eval_constraint_loss", None),
    (["eval_train_probe_loss"], "eval_loss", None, "eval_train_probe_loss"),
]


@pytest.mark.parametrize(("keys", "metric", "validation", "probe"), VALIDATION)
def test_which_loss_is_held_out(keys: list[str], metric: str, validation: str | None, probe: str | None):
    log = [{"step": s, **dict.fromkeys(keys, 1.0)} for s in (1, 2)]
    curves = build_curves(log, RunFacts(metric=metric))
    assert (curves.validation, curves.probe) == (validation, probe)


def test_errors_are_ours(tmp_path: Path):
    (tmp_path / "x.json").write_bytes(b'{"log_history": 3}')
    with pytest.raises(HarnessError):
        read_training_log(tmp_path / "x.json")
