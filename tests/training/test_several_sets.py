"""A recipe that learns several data sets as one: their rows, their records' names, and what is wrong in one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness.errors import HarnessError, RecordError, RunFolderError, SpecError
from harness.models.adapter_origin import read_origin
from harness.training.launch import open_folder
from harness.training.leak_check import held_sets, leak_findings
from harness.training.merge_samples import held_samples
from harness.training.plan_recipe import plan_recipe
from harness.training.preflight import preflight
from harness.training.preflight_numbers import leaked_records
from harness.training.prepare import prepare, set_names
from harness.training.recipe import Recipe, load_recipe
from harness.training.run_folder import checkpoints
from tests.training.records import record, write_dataset
from tests.training.test_train import header, run
from tests.training.test_train_resume import interrupted

FIRST = {"path": "data", "split": "train"}
SECOND = {"path": "more", "split": "train"}
HELD = {"path": "more", "split": "validation"}


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """Write a second data set, whose records have the ids of the first's and other words."""
    train, held = ([record(number, split) for number in range(8)] for split in ("train", "held"))
    for one in (*train, *held):
        one["messages"][0]["content"] = f"more: {one['messages'][0]['content']}"
    return write_dataset(tmp_path / "more", train, held[:4])


def with_both_held(path: Path) -> Path:
    """Let a recipe hold out the validation splits of both data sets."""
    spec = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump({**spec, "validation": [spec["validation"], HELD]}), "utf-8")
    return path


def test_the_rows_of_all_sets_are_learnt(recipe: Callable[..., Path], more: Path) -> None:
    prepared = prepare(recipe(train=[FIRST, {**SECOND, "limit": 4}]))
    alone = [prepare(recipe(train=one)).train for one in (FIRST, {**SECOND, "limit": 4})]
    assert [row.ids for row in prepared.train.rows] == [row.ids for one in alone for row in one.rows]
    assert prepared.train.read == len(prepared.train.samples) == 12 + 4
    assert [part.whole for part in prepared.train.sets] == [True, False]


def test_records_of_several_sets_may_share_their_ids(recipe: Callable[..., Path], more: Path) -> None:
    prepared = prepare(recipe(train=[FIRST, SECOND, SECOND]))
    ids = [row.sample_id for row in prepared.train.rows]
    assert len(set(ids)) == len(ids) == 12 + 8 + 8
    assert {name.rpartition("/")[0] for name in ids} == {"data/train", "more/train", "more/train-2"}
    assert prepare(recipe(train=[SECOND])).train.rows[0].sample_id == "train-0"


def test_names_of_sets_differ() -> None:
    paths = [
        Path("/a/x/train.jsonl"),
        Path("/b/x/train.jsonl"),
        Path("/a/x/train.jsonl"),
        Path("/a/y/train.jsonl"),
    ]
    assert set_names(paths) == ["x/train", "x/train-2", "x/train-3", "y/train"]
    for taken in ([Path("/c/x/train-2.jsonl"), *paths], [*paths, Path("/c/x/train-2.jsonl")]):
        assert len(set(set_names(taken))) == 5
        assert set_names(taken)[taken.index(Path("/c/x/train-2.jsonl"))] == "x/train-2"


def test_one_set_in_a_list_is_that_set(recipe: Callable[..., Path]) -> None:
    alone, listed = (load_recipe(recipe(train=train)) for train in (FIRST, [FIRST]))
    assert alone == listed
    assert alone.sha256() == listed.sha256()
    assert alone.model_dump(mode="json", by_alias=True)["train"]["path"] == "data"


def test_a_recipe_reads_back_from_what_an_adapter_carries(recipe: Callable[..., Path], more: Path) -> None:
    several = load_recipe(with_both_held(recipe(train=[FIRST, {**SECOND, "limit": 3}])))
    written = json.loads(json.dumps(several.model_dump(mode="json", by_alias=True)))
    assert [one["path"] for one in written["train"]] == ["data", "more"]
    assert Recipe.model_validate(written) == several
    turned = load_recipe(with_both_held(recipe(train=[{**SECOND, "limit": 3}, FIRST])))
    assert several.sha256() != turned.sha256()


@pytest.mark.parametrize(
    ("train", "line", "said"),
    [
        ("[]", 5, "train: name at least one data set"),
        ("", 5, "train: a data set is written as {path: FOLDER, split: train}"),
        ("data", 5, "train: a data set is written as {path: FOLDER, split: train}"),
        ("5", 5, "train: a data set is written as {path: FOLDER, split: train}"),
        ("{pth: data}", 5, "unknown key 'train.pth'"),
        ("[{path: data, split: train},\n  {path: more, splt: train}]", 6, "unknown key 'train.1.splt'"),
        ("\n  - path: data\n    split: train\n  - split: train\n", 8, "key 'train.1.path' is missing"),
        ("\n  - path: data\n    split: train\n  - path: more\n    limit: 0\n", 9, "train.1.limit: "),
        ("[{path: data, split: train}, more]", 5, "train.1: a data set is written as"),
        ("\n  - {path: data, split: train}\n  -\n", 7, "train.1: a data set is written as"),
        ("[[{path: data, split: train}]]", 5, "train.0: a data set is written as"),
        ("[{path: data, split: train, import: {seed: x}}]", 5, "train.0.import.seed: "),
    ],
)
def test_what_is_wrong_in_an_entry_is_named(tmp_path: Path, train: str, line: int, said: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"schema: 1\n# a comment\nname: tiny\nbase: none\ntrain: {train}\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_recipe(path)
    assert caught.value.what.startswith(said)
    assert str(caught.value.where) == f"{path}:{line}"


def test_a_data_set_that_is_not_there(recipe: Callable[..., Path]) -> None:
    path = recipe(train=[FIRST, SECOND])
    with pytest.raises(SpecError, match=r"no data file .*more/train.jsonl") as caught:
        prepare(path)
    (line,) = (
        number for number, text in enumerate(path.read_text("utf-8").splitlines(), 1) if "path: more" in text
    )
    assert caught.value.where == f"{path}:{line}"


def test_a_name_that_the_system_refuses(recipe: Callable[..., Path]) -> None:
    with pytest.raises(SpecError, match=r"train.path cannot be read: File name too long"):
        prepare(recipe(train=[FIRST, {"path": "x" * 400, "split": "train"}]))
    with pytest.raises(HarnessError, match="no adapter folder"):
        prepare(recipe(start_from="x" * 400))


def test_a_bad_record_of_the_second_set(recipe: Callable[..., Path], more: Path) -> None:
    path = recipe(train=[FIRST, SECOND])
    lines = (more / "train.jsonl").read_text("utf-8").splitlines()
    (more / "train.jsonl").write_text("\n".join([*lines[:5], "{}", *lines[5:]]), "utf-8")
    with pytest.raises(RecordError) as caught:
        prepare(path)
    assert str(caught.value.where).startswith(f"{more / 'train.jsonl'}:6")


def test_a_set_of_which_no_row_is_left(recipe: Callable[..., Path], more: Path) -> None:
    for one in ("train", "validation"):
        (more / f"{one}.jsonl").write_text("", "utf-8")
    with pytest.raises(HarnessError) as caught:
        prepare(recipe(train=[FIRST, SECOND]))
    assert str(caught.value.where) == str(more / "train.jsonl")
    assert "no row of this data set is left" in caught.value.what
    assert caught.value.remedy == "Give a data set that holds records."


def test_preflight_says_how_many_rows_each_set_gives(
    recipe: Callable[..., Path], more: Path, tmp_path: Path
) -> None:
    path = with_both_held(recipe(train=[FIRST, {**SECOND, "limit": 3}]))
    said = [one.message for one in preflight(prepare(path), tmp_path) if one.code == "several_sets"]
    assert said == [
        "train: 12 rows of data/train, 3 rows of more/train",
        "validation: 4 rows of data/validation, 4 rows of more/validation",
    ]


def test_a_held_file_that_is_learnt_itself_is_said_to_be(recipe: Callable[..., Path], more: Path) -> None:
    prepared = prepare(recipe(train=[FIRST, {"path": "data", "split": "validation"}]))
    (found,) = (one for one in leak_findings(prepared) if one.code == "leakage")
    assert found.remedy.startswith("This very file is learnt")


def test_a_fault_of_the_second_set_is_told_with_its_place(
    recipe: Callable[..., Path], more: Path, tmp_path: Path
) -> None:
    wrong = record(7) | {"id": "wrong"}
    wrong["messages"] = [*wrong["messages"], {"role": "assistant", "content": ""}, *wrong["messages"]]
    with (more / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(wrong) + "\n")
    findings = preflight(prepare(recipe(train=[FIRST, SECOND])), tmp_path)
    (found,) = (one for one in findings if one.code == "turn_empty")
    assert f"{more / 'train.jsonl'}:9 (more/train/wrong)" in found.message


def test_leaks_are_looked_for_in_every_pair_of_sets(
    recipe: Callable[..., Path], more: Path, tmp_path: Path
) -> None:
    path = with_both_held(recipe(train=[FIRST, SECOND]))
    assert leaked_records(prepare(path)) == ()
    (tmp_path / "data" / "train.jsonl").write_bytes((more / "validation.jsonl").read_bytes())
    prepared = prepare(path)
    assert leaked_records(prepared) == tuple(f"more/validation/held-{number}" for number in range(4))
    (found,) = (one for one in leak_findings(prepared) if one.code == "leakage")
    assert "4 of 4 validation records" in found.message
    assert f"learnt from {(tmp_path / 'data' / 'train.jsonl').resolve()})" in found.message
    assert "harness data lint" not in found.remedy, "it looks into one data set alone"


def test_the_test_split_beside_each_set_is_held(recipe: Callable[..., Path], more: Path) -> None:
    (more / "test.jsonl").write_bytes((more / "train.jsonl").read_bytes())
    prepared = prepare(recipe(train=[FIRST, SECOND]))
    assert (more / "test.jsonl").resolve() in {held.path for held in held_sets(prepared)}
    (found,) = (one for one in leak_findings(prepared) if one.code == "leakage")
    assert "8 of 8 test records" in found.message
    learnt = prepare(recipe(train=[FIRST, SECOND, {"path": "more", "split": "test"}]))
    assert (more / "test.jsonl").resolve() not in {held.path for held in held_sets(learnt)}


def test_all_sets_are_searched_for_near_duplicates(
    recipe: Callable[..., Path], more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search has a limit: it takes some records of each set, not the first set alone."""
    monkeypatch.setattr("harness.training.leak_check._CHECKED_TEXTS", 12)
    text = "please turn on the lamp beside the window of the small room upstairs at once, number"
    for split in ("train", "validation"):
        lines = [record(number, split) for number in range(12)]
        for number, line in enumerate(lines):
            line["messages"][0]["content"] = f"{text} {number if split == 'train' else 100 + number}"
        (more / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    for train in ([FIRST, SECOND], [SECOND, FIRST]):
        path = recipe(train=train)
        spec = yaml.safe_load(path.read_text("utf-8"))
        path.write_text(yaml.safe_dump({**spec, "validation": HELD}), "utf-8")
        (found,) = (one for one in leak_findings(prepare(path)) if one.code == "near_duplicates")
        assert "12 of 12 validation records" in found.message
        assert found.message.endswith(
            f"learnt from {(more / 'train.jsonl').resolve()}); 12 of 24 were compared"
        )


def test_a_moved_validation_set_leaves_the_others(
    recipe: Callable[..., Path], more: Path, tmp_path: Path
) -> None:
    folder = interrupted(with_both_held(recipe(train=[FIRST, SECOND])), tmp_path / "runs", 3)
    (more / "validation.jsonl").unlink()
    assert [one.id for one in held_samples(checkpoints(folder)[-1], None)] == [f"held-{n}" for n in range(4)]


def test_a_plan_counts_the_rows_of_all_sets(recipe: Callable[..., Path], more: Path) -> None:
    alone, both = (plan_recipe(recipe(train=train)) for train in (FIRST, [FIRST, SECOND]))
    assert (alone.work.rows, both.work.rows) == (12, 20)
    gone = plan_recipe(recipe(train=[FIRST, {**SECOND, "path": "elsewhere"}]))
    assert gone.work.rows is None
    assert "no data at elsewhere" in gone.notes[0]


def test_an_adapter_says_what_all_its_sets_were(
    recipe: Callable[..., Path], more: Path, tmp_path: Path
) -> None:
    path = with_both_held(recipe(train=[FIRST, SECOND]))
    outcome = run(path, tmp_path / "runs")
    last = checkpoints(outcome.folder)[-1]
    origin = read_origin(last)
    assert origin is not None
    learnt = origin.data["train"]
    assert (learnt["file"], learnt["rows"]) == ("data/train.jsonl, more/train.jsonl", 20)
    assert [(one["file"], one["records"]) for one in learnt["sets"]] == [
        ("data/train.jsonl", 12),
        ("more/train.jsonl", 8),
    ]
    assert header(outcome.folder)["data"]["validation"]["path"] == [
        str((tmp_path / name / "validation.jsonl").resolve()) for name in ("data", "more")
    ]
    assert len(held_samples(last, None)) == 4 + 4
    assert Recipe.model_validate(dict(origin.recipe)) == load_recipe(path)


@pytest.mark.parametrize("change", ["order", "content", "one_less"])
def test_a_run_is_not_gone_on_with_on_other_sets(
    recipe: Callable[..., Path], more: Path, tmp_path: Path, change: str
) -> None:
    path = recipe(train=[FIRST, SECOND])
    folder = interrupted(path, tmp_path / "runs", 3)
    if change == "content":
        lines = (more / "train.jsonl").read_text("utf-8").splitlines()
        (more / "train.jsonl").write_text("\n".join(lines[:-1]) + "\n", "utf-8")
    else:
        spec = yaml.safe_load(path.read_text("utf-8"))
        spec["train"] = [SECOND, FIRST] if change == "order" else FIRST
        path.write_text(yaml.safe_dump(spec), "utf-8")
    said = {
        "order": r"train\.0\.path: 'data' -> 'more'",
        "content": "the training data has changed",
        "one_less": r"train: \[.*\] -> {",
    }
    with pytest.raises(RunFolderError, match=rf"started otherwise: .*{said[change]}"):
        open_folder(prepare(path), tmp_path / "runs", folder)
