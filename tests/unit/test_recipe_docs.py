"""docs/recipes.md is the specification: every key with its default, every foreign name, examples that load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from harness.cli.main import COMMANDS
from harness.training import data_spec
from harness.training import recipe as recipes
from harness.training.foreign_names import BY_TRAINER, REPLACEMENTS
from harness.training.recipe import Recipe
from harness.training.removed_names import removed_name
from harness.yaml_spec import FiniteSpec, Spec

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
PLACES = {
    "Recipe": "Top level",
    "DataSpec": "`train` and `validation`",
    "ImportSpec": "`import`:",
    "LoraSpec": "`lora`",
    "TokensSpec": "`tokens`",
    "TrainingSpec": "`training`",
    "EvaluationSpec": "`evaluation`",
    "EarlyStoppingSpec": "`evaluation.early_stopping`:",
    "EvalSuiteSpec": "`eval_suite`",
}
SPECS = {
    name: spec
    for name, spec in (vars(data_spec) | vars(recipes)).items()
    if isinstance(spec, type) and issubclass(spec, Spec) and spec not in (Spec, FiniteSpec)
}
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def table_under(heading: str) -> dict[str, tuple[str, str]]:
    """Return the first table after a line: key to (default, whole row), marks of code removed from the default."""
    rest = re.split(rf"^(?:## )?{re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1]
    rows = rest[rest.index("|---") :].split("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {cell[0].strip("`"): (cell[2].strip("`"), row) for cell, row in zip(cells, rows, strict=True)}


def keys_of(spec: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in spec.model_fields.items()}


def field_at(path: str) -> Any:
    """Return the annotation of a dotted key of a recipe. Raises KeyError if there is none."""
    spec: Any = Recipe
    for part in path.split("."):
        inner = [spec, *get_args(spec)]
        model = next((one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if model is None:
            raise KeyError(path)
        spec = keys_of(model)[part].annotation
    return spec


def names_in_table() -> dict[str, str]:
    """Return the last table: foreign name to what to write, marks of code removed."""
    rows = PAGE.split("| their name | ours |")[1].split("\n\n")[0].splitlines()[2:]
    found: dict[str, str] = {}
    for row in rows:
        theirs, ours = (cell.strip() for cell in row.strip("|").split("|"))
        for name in re.findall(r"`([^`]+)`", theirs):
            assert name not in found, f"{name} stands twice"
            found[name] = ours.replace("`", "")
    return found


def test_every_spec_has_its_table() -> None:
    assert SPECS.keys() == PLACES.keys()


@pytest.mark.parametrize("name", PLACES)
def test_the_table_has_every_key_with_its_default(name: str) -> None:
    told = table_under(PLACES[name])
    fields = keys_of(SPECS[name])
    assert told.keys() == fields.keys()
    for key, field in fields.items():
        said = told[key][0]
        if field.is_required():
            assert said == "required", key
        elif isinstance(field.default, bool):
            assert said == str(field.default).lower(), key
        elif isinstance(field.default, int | float):
            assert float(said) == field.default, key
        elif isinstance(field.default, str):
            assert said == field.default, key
        elif key in ("extra", "split") and field.default_factory is not None:
            assert (said, field.get_default(call_default_factory=True)) == ("{}", {})
        elif field.default_factory is not None:
            assert said == "", f"{key} holds keys with defaults of their own"
        else:
            assert field.default is None
            assert said in ("none", "all", "as for training"), key


@pytest.mark.parametrize("name", PLACES)
def test_the_table_has_every_choice(name: str) -> None:
    told = table_under(PLACES[name])
    for key, field in keys_of(SPECS[name]).items():
        choices = (
            re.findall(r"'([a-z0-9_]+)'", str(field.annotation)) if "Literal" in str(field.annotation) else []
        )
        for choice in choices:
            assert f"`{choice}`" in told[key][1], (key, choice)


def test_the_names_of_other_trainers_are_the_ones_that_are_answered() -> None:
    answers = {name: answer.replace("`", "") for name, answer in REPLACEMENTS.items()}
    assert names_in_table() == answers
    assert re.findall(r"^\| \*\*(.+)\*\* \| \|$", PAGE, flags=re.MULTILINE) == list(BY_TRAINER)


def test_each_foreign_name_has_one_answer() -> None:
    names = [name for table in BY_TRAINER.values() for line in table.values() for name in line.split()]
    assert sorted(names) == sorted(REPLACEMENTS)


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_what_a_foreign_name_is_answered_with_exists(name: str) -> None:
    answer = REPLACEMENTS[name]
    for path in re.findall(
        r"\b(?:train|validation|lora|tokens|training|evaluation|eval_suite)(?:\.[a-z_]+)+", answer
    ):
        field_at(path)
    for command in re.findall(r"`harness ([a-z]+)", answer):
        assert command in COMMANDS
    if not answer.startswith(("nothing: ", "the ")):
        leading = re.match(r"[a-z_]+(?:\.[a-z_]+)*", answer)
        assert leading is not None
        field_at(leading.group())
    said = removed_name(name)
    assert said is not None
    assert said.endswith(".")
    assert name not in keys_of(Recipe), "a key of ours would never be answered so"


def test_a_key_that_does_not_exist_is_not_found() -> None:
    for path in ("training.warmup_ratio", "lora.r.x", "nothing", "evaluation.early_stopping.wait"):
        with pytest.raises(KeyError):
            field_at(path)


def test_there_are_examples_for_laptop_gpu_and_cpu() -> None:
    loaded = [Recipe.model_validate(yaml.safe_load(text)) for text in EXAMPLES]

    assert {recipe.name: recipe.training.dtype for recipe in loaded if recipe.name != "my-adapter"} == {
        "persona-laptop": "float16",
        "tools-7b": "bfloat16",
        "tools-cpu": "bfloat16",
    }


def test_the_recipes_that_the_page_names_exist() -> None:
    for place in re.findall(r"`(train/[a-z0-9_/]+\.yaml)`", PAGE):
        recipes.load_recipe(Path(__file__).parents[2] / place)
