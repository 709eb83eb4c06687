"""Findings of preflight that need planted rows: each where it should be, and not just beside it."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.training.machine import Available
from harness.training.memory_plan import preflight_memory
from harness.training.preflight import PreflightFinding, preflight
from harness.training.prepare import Dropped, Prepared, prepare
from harness.training.rows import TokenRow
from harness.training.settings import Device
from harness.types import Message, ToolCall
from tests.training.records import record

CPU = Device(kind="cpu", dtype="float32", checkpointing=False)


@pytest.fixture
def prepared(recipe: Callable[..., Path]) -> Prepared:
    return prepare(recipe())


def found(prepared: Prepared, tmp_path: Path) -> dict[str, PreflightFinding]:
    return {finding.code: finding for finding in preflight(prepared, tmp_path)}


def with_rows(prepared: Prepared, rows: list[TokenRow]) -> Prepared:
    return replace(prepared, train=replace(prepared.train, rows=tuple(rows)))


def with_training(prepared: Prepared, **changes: Any) -> Prepared:
    training = prepared.recipe.training.model_copy(update=changes)
    return replace(prepared, recipe=prepared.recipe.model_copy(update={"training": training}))


def test_rows_as_they_should_be(prepared: Prepared, tmp_path: Path) -> None:
    assert set(found(prepared, tmp_path)) == {"few_rows", "few_validation_rows", "supervised_tokens"}


def test_a_row_without_a_token_that_bears_loss(prepared: Prepared, tmp_path: Path) -> None:
    """A template that writes nothing for an answer leaves an empty span."""
    first, second, *others = prepared.train.rows
    silent = replace(second, spans=((len(second.ids), len(second.ids)),))
    seen = found(with_rows(prepared, [first, silent, *others]), tmp_path)
    finding = seen["no_supervised_tokens"]
    assert finding.severity == "critical"
    assert finding.message == f"1 rows have no token that bears loss (first: {second.sample_id})"
    assert "--show" in finding.remedy
    assert "supervised_tokens" not in seen


@pytest.mark.parametrize(("learnt", "code"), [(19, "few_supervised_tokens"), (20, "supervised_tokens")])
def test_hardly_any_token_bears_loss(prepared: Prepared, tmp_path: Path, learnt: int, code: str) -> None:
    """The limit is 2 % of all tokens: 20 of 1,000."""
    row = replace(prepared.train.rows[0], ids=array("i", [5] * 1000), spans=((1000 - learnt, 1000),))
    finding = found(with_rows(prepared, [row]), tmp_path)[code]
    assert finding.severity == ("warning" if code == "few_supervised_tokens" else "info")
    assert ("1.9% of the tokens" if learnt == 19 else "20 of 1,000 tokens") in finding.message


def test_some_rows_end_without_the_end_of_their_turn(prepared: Prepared, tmp_path: Path) -> None:
    first, second, *others = prepared.train.rows
    seen = found(with_rows(prepared, [first, replace(second, ends=False), *others]), tmp_path)
    finding = seen["end_of_turn_cut"]
    assert finding.severity == "warning"
    assert finding.message.endswith(f"(first: {second.sample_id})")
    assert "tokens.max_length" in finding.remedy
    assert "end_of_turn_not_learnt" not in seen


def test_a_base_that_names_no_stop_token(prepared: Prepared, tmp_path: Path) -> None:
    finding = found(replace(prepared, stop_ids=frozenset()), tmp_path)["no_stop_token"]
    assert finding.severity == "critical"
    assert "eos_token_id" in finding.remedy


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"max_steps": None, "num_train_epochs": 4.5}, "4.5 times"),
        ({"max_steps": None, "num_train_epochs": 4.0}, None),
        ({"max_steps": 13}, "4.3 times"),
        ({"max_steps": 12}, None),
    ],
    ids=str,
)
def test_few_rows_seen_many_times(
    prepared: Prepared, tmp_path: Path, changes: dict[str, Any], times: str | None
) -> None:
    """Twelve rows in batches of four: twelve steps are four epochs."""
    finding = found(with_training(prepared, **changes), tmp_path).get("many_epochs")
    assert (finding is not None) == (times is not None)
    if finding is not None and times is not None:
        assert finding.severity == "info"
        assert f"each row is seen {times}" in finding.message


def test_many_rows_may_be_seen_many_times(prepared: Prepared, tmp_path: Path) -> None:
    many = with_rows(prepared, list(prepared.train.rows) * 84)
    assert "many_epochs" not in found(with_training(many, max_steps=None, num_train_epochs=9.0), tmp_path)


def with_turn(prepared: Prepared, turn: Message, loss_on: str = "answer") -> Prepared:
    """Plant an earlier turn in record 1, which offers `turn` alone."""
    (records,) = prepared.train.sets
    samples = list(records.samples)
    samples[1] = replace(samples[1], messages=(*samples[1].messages, turn))
    tokens = prepared.recipe.tokens.model_copy(update={"loss_on": loss_on})
    return replace(
        prepared,
        recipe=prepared.recipe.model_copy(update={"tokens": tokens}),
        train=replace(prepared.train, sets=(replace(records, samples=tuple(samples)),)),
    )


def calling(name: str, **arguments: Any) -> Message:
    call = ToolCall(name=name, arguments=arguments)
    return Message(role="assistant", content="", tool_calls=(call,))


WRONG_TURNS = [
    (calling("stop"), "turn_tool", "calls 'stop', which is not offered"),
    (calling("turn", lamp=None), "turn_null", "calls turn where lamp is null"),
    (calling("turn", lamp=1, hue=[None]), "turn_null", "hue[0] is null"),
    (calling("turn", lamp="five"), "turn_arguments", "'five' is not of type 'integer'"),
    (calling("turn", hue="red"), "turn_arguments", "calls turn without 'lamp'"),
    (calling("turn", lamp=1, watt=5), "turn_arguments", "calls turn with 'watt'"),
    (Message(role="assistant", content=" "), "turn_empty", "is empty"),
]


@pytest.mark.parametrize("weight", [1, 0])
@pytest.mark.parametrize("loss_on", ["answer", "assistant", "all"])
@pytest.mark.parametrize(("turn", "code", "said"), WRONG_TURNS, ids=lambda value: str(value)[:30])
def test_an_earlier_turn_that_is_wrong(
    prepared: Prepared, tmp_path: Path, turn: Message, code: str, said: str, loss_on: str, weight: int
) -> None:
    """It is critical where it is learnt; a turn of weight 0 is learnt by `loss_on: all` alone."""
    planted = with_turn(prepared, replace(turn, learn=weight == 1), loss_on)
    faults = {name: one for name, one in found(planted, tmp_path).items() if name.startswith("turn_")}
    learnt = loss_on == "all" or (loss_on == "assistant" and weight == 1)
    if not learnt and weight == 0:
        assert not faults
        return
    assert faults.keys() == {code}
    finding = faults[code]
    assert finding.severity == ("critical" if learnt else "warning")
    assert finding.message.startswith("train: 1 record holds ")
    who = "an earlier turn that is learnt" if learnt else "an earlier turn"
    assert f"first: {prepared.train.sets[0].path}:2 (train-1): {who} " in finding.message
    assert said in finding.message
    assert "`weight: 0`" in finding.remedy


@pytest.mark.parametrize("loss_on", ["answer", "assistant", "all"])
def test_an_earlier_turn_that_is_right(prepared: Prepared, tmp_path: Path, loss_on: str) -> None:
    for turn in (calling("turn", lamp=1), Message(role="assistant", content="Which lamp?")):
        assert not any(
            code.startswith("turn_") for code in found(with_turn(prepared, turn, loss_on), tmp_path)
        )


@pytest.mark.parametrize(("accept", "code"), [([None, 3], "turn_null"), (["three", 3], "turn_arguments")])
def test_an_answer_that_its_tool_forbids(
    recipe: Callable[..., Path], tmp_path: Path, accept: list[Any], code: str
) -> None:
    """Gold may accept more than the schema permits; its first value is the one that is learnt."""
    rows = [record(number) for number in range(12)]
    rows[3]["gold"][0]["arguments"]["lamp"] = {"accept": accept}
    finding = found(prepare(recipe(rows)), tmp_path)[code]
    assert finding.severity == "critical"
    assert "train.jsonl:4 (train-3): the answer calls turn" in finding.message
    assert "weight" not in finding.remedy, "the answer is always learnt"
    rows[3]["gold"][0]["arguments"]["lamp"] = {"accept": accept[::-1]}
    assert code not in found(prepare(recipe(rows)), tmp_path)


@pytest.mark.parametrize("loss_on", ["answer", "all"])
def test_a_record_of_which_no_row_is_left_is_not_judged(
    prepared: Prepared, tmp_path: Path, loss_on: str
) -> None:
    """A record may become several rows; while one of them is trained on, so is what it holds."""
    planted = with_turn(prepared, calling("stop"), loss_on)
    over = Dropped(sample_id="train-1", where="train.jsonl:2", why="longer than max_length", tokens=999)
    rows = [row for row in planted.train.rows if row.sample_id != "train-1"]
    gone = replace(planted, train=replace(planted.train, rows=tuple(rows), dropped=(over,)))
    assert "turn_tool" not in found(gone, tmp_path)
    partly = replace(planted, train=replace(planted.train, dropped=(over,)))
    assert "turn_tool" in found(partly, tmp_path)


def test_a_null_in_an_earlier_turn_that_is_learnt_ends_training_before_it_begins(
    recipe: Callable[..., Path], in_process: Any, tmp_path: Path
) -> None:
    calls = [{"name": "turn", "arguments": {"lamp": None}}]
    rows = [record(number) for number in range(12)]
    rows[1]["messages"] += [
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "name": "turn", "content": "ok"},
    ]
    done = in_process("train", recipe(rows, tokens__loss_on="assistant"), "--out", tmp_path / "runs")
    assert done.exit_code == 4
    assert "critical: train: 1 record holds a null" in done.err
    assert "train.jsonl:2 (train-1): an earlier turn that is learnt calls turn where lamp is null" in done.err
    assert "Leave the argument out" in done.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("there", "forced", "severity", "verdict"),
    [
        (1 << 20, False, "critical", "does not fit"),
        (1 << 20, True, "warning", "does not fit"),
        (1 << 40, False, "info", "fits"),
    ],
)
def test_memory_that_does_not_suffice(
    prepared: Prepared, there: int, forced: bool, severity: str, verdict: str
) -> None:
    available = Available(bytes=there, what="planted")
    (finding,) = preflight_memory(prepared, CPU, forced=forced, available=available)
    assert (finding.code, finding.severity) == ("memory", severity)
    assert f"(planted): {verdict};" in finding.message
    assert ("harness plan" in finding.remedy) == (verdict != "fits")


def test_force_trains_although_the_memory_looks_too_small(
    recipe: Callable[..., Path], in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "harness.training.settings.device_memory", lambda kind: Available(bytes=1 << 20, what="planted")
    )
    path = recipe(training__max_steps=2)
    done = in_process("train", path, "--out", tmp_path / "runs")
    assert done.exit_code == 4
    assert "critical: memory: about" in done.err
    assert not (tmp_path / "runs").exists()
    done = in_process("train", path, "--out", tmp_path / "runs", "--force")
    assert done.exit_code == 0, done.err
    assert "warning: memory: about" in done.err
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_force_forces_nothing_else(
    recipe: Callable[..., Path], in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.training.preflight.wandb_can_log_in", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = in_process("train", recipe(report_to="wandb"), "--out", tmp_path / "runs", "--force")
    assert done.exit_code == 4
    assert "needs the package wandb" in done.err
    assert not (tmp_path / "runs").exists()
