"""A recipe or data that cannot be trained is refused before the first step, with place and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import HarnessError, ModelError, RecordError, SpecError
from harness.training.preflight import preflight
from harness.training.prepare import prepare
from harness.training.run_folder import TrainingFolder
from harness.training.settings import choose_device, sft_config
from tests.training.records import record, write_dataset

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "suites" / "_smoke"


def settle(path: Path) -> None:
    """Go as far as the first step of training would."""
    prepared = prepare(path)
    sft_config(prepared.recipe, choose_device(prepared.recipe), path.parent, micro_batch=1, accumulation=1)


def refused(path: Path) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        settle(path)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lora__r": 0}, "rank must be 1 or more"),
        ({"training__learning_rate": 0}, "above 0"),
        ({"training__learning_rate": -1e-4}, "above 0"),
        ({"lora__alpha": 0}, "alpha must be above 0"),
        ({"lora__dropout": 1.0}, "dropout"),
        ({"training__num_train_epochs": 0}, "num_train_epochs"),
        ({"quantization": "int8"}, "nf4"),
        ({"tokens": {"packing": True, "share_prefix": True}}, "choose one"),
        ({"evaluation__metric": "tool_name_accuracy"}, "eval_suite"),
        ({"name": "../up"}, "name"),
        ({"lora__r": True}, "lora.r: Input should be a valid integer"),
        ({"lora__alpha": True}, "lora.alpha: Input should be a valid number"),
        ({"training__max_steps": True}, "valid integer"),
        ({"training__max_grad_norm": False}, "yes, no, on and off are none"),
        ({"training__neftune_noise_alpha": True}, "valid number"),
        ({"evaluation__every": True}, "valid integer"),
        ({"evaluation__early_stopping": {"patience": True}}, "evaluation.early_stopping.patience"),
        ({"train": {"path": "x", "import": {"split": {"train": True}}}}, "train.import.split"),
    ],
)
def test_values_that_cannot_be(recipe, changes: dict[str, Any], said: str):
    error = refused(recipe(**changes))
    assert isinstance(error, SpecError)
    assert said in error.one_message()
    assert "recipe.yaml:" in str(error.where)


@pytest.mark.parametrize("metric", ["loss", "eval_loss", "mean_token_accuracy"])
def test_a_metric_of_validation_rows_needs_them(recipe, metric: str):
    path = recipe(eval_suite="anything", evaluation__metric=metric)
    spec = yaml.safe_load(path.read_text())
    del spec["validation"]
    path.write_text(yaml.safe_dump(spec))
    error = refused(path)
    (line,) = (n for n, text in enumerate(path.read_text().splitlines(), 1) if "metric:" in text)
    assert str(error.where).endswith(f"recipe.yaml:{line}")
    assert "Give `validation:`" in str(error.remedy)


def test_early_stopping_needs_something_to_evaluate(recipe):
    path = recipe(evaluation__early_stopping={"patience": 1})
    spec = yaml.safe_load(path.read_text())
    del spec["validation"]
    path.write_text(yaml.safe_dump(spec))
    assert "needs something to evaluate" in refused(path).what


@pytest.mark.parametrize(
    ("key", "replacement"),
    [
        ("training__evaluation_strategy", "evaluation.every"),
        ("training__warmup_ratio", "training.warmup_steps"),
        ("training__max_seq_length", "tokens.max_length"),
        ("training__tokenizer", "Leave it out"),
        ("training__fp16", "training.dtype"),
        ("lora__lora_alpha", "lora.alpha"),
        ("load_in_4bit", "quantization: nf4"),
        ("training__lr", "training.learning_rate"),
        ("model_name_or_path", "Use base"),
        ("training__push_to_hub_token", "HF_TOKEN"),
        ("training__group_by_length", "train_sampling_strategy"),
        ("traning", "training"),
        ("lora__peft_use_rslora", "lora.use_rslora"),
        ("finetuning_type", "Leave it out"),
        ("learning_rate", "belongs under `training:`"),
        ("share_prefix", "belongs under `tokens:`"),
        ("training__r", "belongs under `lora:`"),
        ("training__eval_suite", "top level"),
        ("patience", "belongs under `evaluation.early_stopping:`"),
        ("training__deepspeed", "accelerate launch"),
        ("lora__use_dora", "plain LoRA"),
        ("lora__use_bdlora", "plain LoRA"),
        ("training__chars_per_token", "packed by their own tokens"),
        ("training__torchdynamo", "training.extra: {torch_compile: true}"),
        ("training__adam_beta1", "training.extra: {adam_beta1: ...}"),
        ("torch_compile", "training.extra: {torch_compile: ...}"),
        ("training__eos_token", "Leave it out"),
        ("training__logging_first_step", "sets it for every run"),
        ("hub_model_id", "harness publish"),
        ("wandb_api_key", "no login"),
    ],
)
def test_removed_and_foreign_names_are_answered_with_the_name_to_use(recipe, key: str, replacement: str):
    error = refused(recipe(**{key: 1}))
    assert "unknown key" in error.what
    assert replacement in str(error.remedy)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"warmup_ratio": 0.1}, "training.warmup_steps"),
        ({"learning_rate": 1}, "decided by other keys"),
        ({"adam_beta3": 1}, "adam_beta"),
        ({"max_seq_length": 5}, "tokens.max_length"),
    ],
)
def test_extra_options_are_checked_against_the_installed_trl(recipe, extra: dict[str, Any], said: str):
    assert said in refused(recipe(training__extra=extra)).one_message()


def test_extra_options_that_exist_are_passed_on(recipe, tmp_path: Path):
    prepared = prepare(recipe(training__extra={"adam_beta2": 0.95}))
    made = sft_config(
        prepared.recipe, choose_device(prepared.recipe), tmp_path, micro_batch=1, accumulation=1
    )
    assert made.adam_beta2 == 0.95


def with_calls(calls: Any) -> dict[str, Any]:
    return {
        **record(1),
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "name": "turn", "content": "ok"},
        ],
    }


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({**record(2), "reply": None}, "nothing to imitate"),
        ({**record(2), "reply": "  "}, "nothing to imitate"),
        ({**record(1), "gold": []}, "gold is empty"),
        (with_calls([{"name": "turn", "arguments": "lamp five"}]), "arguments"),
        (with_calls([{"name": "turn", "arguments": None}]), "arguments"),
        ({**record(1), "messages": [{"role": "human", "content": "x"}]}, "role"),
        ({**record(1), "messages": []}, "messages is empty"),
        ({**record(1), "surprise": 1}, "unknown key"),
    ],
    ids=["no-reply", "blank-reply", "no-gold", "string", "null", "role", "no-messages", "key"],
)
def test_bad_rows_name_file_and_line(recipe, bad: dict[str, Any], said: str):
    error = refused(recipe([record(0), bad, record(3)]))
    assert isinstance(error, RecordError)
    assert "train.jsonl:2" in str(error.where)
    assert said in error.one_message()


def test_a_model_that_is_not_there(recipe):
    error = refused(recipe(base="./no-such-model"))
    assert isinstance(error, ModelError)
    assert "no-such-model" in error.one_message()


def test_a_tokenizer_without_a_template(recipe, tiny_model: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny_model.iterdir():
        if file.name != "chat_template.jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    assert "no chat template" in refused(recipe(base=str(bare))).what


@pytest.mark.parametrize(
    ("train", "remedy"),
    [
        ({"path": "data", "split": "trian"}, "The folder is there; its splits are: train, validation."),
        ({"path": ".", "split": "train"}, "The folder holds no such file; data/ in it does."),
        ({"path": "dat", "split": "train"}, "Paths are relative to the recipe."),
    ],
    ids=["another split", "a folder too high", "no such folder"],
)
def test_a_missing_split_is_answered_with_what_is_there(recipe, train: dict[str, str], remedy: str):
    error = refused(recipe(train=train))
    assert "no data file" in error.what
    assert (error.remedy or "").startswith(remedy)


def test_all_mistakes_of_a_recipe_are_named_at_once(recipe):
    path = recipe(lora__r=0, training__learning_rate=0)
    error = refused(path)
    (line,) = (n for n, text in enumerate(path.read_text().splitlines(), 1) if "learning_rate" in text)
    assert "rank must be 1 or more" in error.what
    assert error.remedy == f"(1 more after this one: training.learning_rate (line {line}))"


def test_a_folder_without_a_split(recipe):
    assert "split must be named" in refused(recipe(train={"path": "data"})).what


def test_rows_above_max_length(recipe):
    long = {**record(1), "id": "long", "messages": [{"role": "user", "content": "x" * 3000}]}
    rows = [record(n) for n in range(12)]
    kept = prepare(recipe([*rows, long], tokens__max_length=2000))
    assert len(kept.train.rows) == 12
    (lost,) = kept.train.dropped
    assert lost.where.endswith("train.jsonl:13")
    assert "max_length" in lost.why
    error = refused(recipe([*rows, long], tokens={"max_length": 2000, "too_long": "refuse"}))
    assert "train.jsonl:13" in str(error.where)
    assert "no row is left" in refused(recipe(tokens__max_length=16)).what


def codes(path: Path) -> dict[str, str]:
    return {finding.code: finding.severity for finding in preflight(prepare(path), path.parent)}


def test_preflight_sees_leakage_and_near_duplicates(recipe):
    rows = [record(number) for number in range(12)]
    assert codes(recipe(rows, [{**rows[3], "id": "held"}]))["leakage"] == "critical"
    text = "please turn on the lamp number fourteen in the long corridor of the second floor, thanks a lot"
    near = {**record(3), "id": "near", "messages": [{"role": "user", "content": text}]}
    twin = {**near, "id": "twin", "messages": [{"role": "user", "content": text + "!"}]}
    assert codes(recipe([*rows, near], [twin]))["near_duplicates"] == "warning"
    assert "leakage" not in codes(recipe())


def findings(path: Path, code: str) -> list[str]:
    return [each.message for each in preflight(prepare(path), path.parent) if each.code == code]


def write_suite(folder: Path, held: list[dict[str, Any]]) -> str:
    """Write a suite over a data set of its own, with these records for validation; return its name in a recipe."""
    data = write_dataset(folder / "suite_data", [record(20, "other")], held)
    (folder / "suite").mkdir(exist_ok=True)
    spec = yaml.safe_load((SMOKE / "suite.yaml").read_text(encoding="utf-8"))
    spec["dataset"] = {"path": str(data), "split": "train"}
    (folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    return "suite"


def test_preflight_compares_what_the_suite_asks_while_it_trains(recipe, tmp_path: Path):
    """The suite names its train split; while a model trains, its validation split is asked."""
    rows = [record(number) for number in range(12)]
    copies = [{**rows[number], "id": f"copy-{number}"} for number in (3, 7)]
    suite = write_suite(tmp_path, [record(30, "new"), *copies])
    path = recipe(rows, eval_suite=suite, evaluation__metric="tool_name_accuracy")
    (said,) = findings(path, "leakage")
    assert said == (
        "2 of 3 validation records of eval_suite smoke are in the training data, too: copy-3, copy-7 "
        f"(of {tmp_path / 'suite_data' / 'validation.jsonl'})"
    )
    write_suite(tmp_path, [record(30, "new")])
    assert not findings(path, "leakage")


def test_preflight_compares_the_test_split(recipe, tmp_path: Path):
    rows = [record(number) for number in range(12)]
    path = recipe(rows)
    test = tmp_path / "data" / "test.jsonl"
    held = [*({**row, "id": f"copy-of-{row['id']}"} for row in rows), record(40, "new")]
    test.write_text("".join(json.dumps(row) + "\n" for row in held), encoding="utf-8")
    (said,) = findings(path, "leakage")
    assert said.startswith("12 of 13 test records are in the training data, too: copy-of-train-0, ")
    assert said.endswith(f"copy-of-train-9 and 2 more (of {test})")
    test.write_text(json.dumps(record(40, "new")) + "\n" + "{}\n", encoding="utf-8")
    assert not findings(path, "leakage")
    (unknown,) = findings(path, "leakage_unknown")
    assert "test records" in unknown
    assert "test.jsonl:2" in unknown
    rows.append(
        {**record(3), "id": "long", "messages": [{"role": "user", "content": "turn the lamp on " * 9}]}
    )
    twin = {
        **rows[-1],
        "id": "twin",
        "messages": [{"role": "user", "content": "turn the lamp on " * 9 + "!"}],
    }
    test.write_text(json.dumps(twin) + "\n", encoding="utf-8")
    (near,) = findings(recipe(rows), "near_duplicates")
    assert near == f"1 of 1 test records nearly repeat a training record: twin (of {test})"


def test_a_persona_recipe_is_compared_under_its_own_prompt(recipe, tmp_path: Path):
    """The card's prompt stands before the training rows; the test split has none."""
    rows = [record(number) for number in range(12)]
    path = recipe(rows, persona=str(ROOT / "suites" / "persona" / "founder_en" / "persona.yaml"))
    test = tmp_path / "data" / "test.jsonl"
    test.write_text(json.dumps({**rows[3], "id": "copy"}) + "\n", encoding="utf-8")
    (said,) = findings(path, "leakage")
    assert "test records are in the training data, too: copy" in said


def test_preflight_counts_lost_rows(recipe):
    long = {**record(1), "id": "long", "messages": [{"role": "user", "content": "x" * 3000}]}
    rows = [record(n) for n in range(12)]
    found = codes(recipe([*rows, *({**long, "id": f"long-{n}"} for n in range(3))], tokens__max_length=2000))
    assert found["rows_dropped"] == "critical"


def test_preflight_sees_a_model_that_would_never_stop(recipe, tiny_model: Path, tmp_path: Path):
    model = tmp_path / "endless"
    model.mkdir()
    for file in tiny_model.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    template = (model / "chat_template.jinja").read_text().replace("<|im_end|>\n", "\n")
    (model / "chat_template.jinja").write_text(template)
    assert codes(recipe(base=str(model)))["end_of_turn_not_learnt"] == "critical"


def test_preflight_sees_trackers_that_are_not_installed(recipe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert codes(recipe(report_to="wandb"))["tracker_missing"] == "critical"


def test_preflight_sees_a_disk_that_is_too_small(recipe, monkeypatch: pytest.MonkeyPatch):
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 99, 1))
    assert codes(recipe())["disk"] == "critical"


def test_nothing_is_written_where_preflight_refuses(recipe, harness, tmp_path: Path):
    rows = [record(number) for number in range(12)]
    done = harness("train", recipe(rows, [{**rows[3], "id": "held"}]), "--out", "runs")
    assert done.exit_code == 4
    assert "validation records are in the training data" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "runs").exists()


def test_train_show_marks_what_is_learnt(recipe, harness):
    done = harness("train", recipe(), "--show", "2")
    assert done.exit_code == 0
    assert done.out.count("⟦<tool_call>") + done.out.count("⟦No lamp") == 2


def test_command_line_end_to_end(recipe, harness, tmp_path: Path):
    done = harness("train", recipe(), "--out", "runs")
    assert done.exit_code == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "diagnosis.html").is_file()
    assert json.loads((folder / "diagnosis.json").read_text())
    assert "harness sweep" in done.out
    again = harness("train", "--resume", folder)
    assert again.exit_code == 4
    assert "finished" in again.err


def test_the_lock_is_given_back_when_a_run_fails(tmp_path: Path):
    folder = TrainingFolder.create(tmp_path, "x")
    folder.close()
    folder.write_header({})
    TrainingFolder.reopen(folder.path).close()
