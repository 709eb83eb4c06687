"""An adapter is used only with the base and the prompts that it was trained on, and the difference is named."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ModelError
from harness.models.adapter_origin import ORIGIN_FILE, AdapterOrigin, GoldenPrompt, origin_record, read_origin
from harness.models.fingerprint import model_fingerprint
from harness.models.resolve import resolve_model
from harness.models.tokenizer import load_tokenizer
from harness.parse.bare_json import BareJson
from harness.parse.hermes import Hermes
from harness.prompt.golden import golden_prompt
from harness.prompt.render import Renderer
from harness.run.origin_check import check_origin
from harness.testing.tiny_model import make_tiny_model
from tests.training.chat_templates import shipped


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a base and an adapter that was trained on it."""
    from harness.training.launch import open_folder
    from harness.training.prepare import prepare
    from harness.training.run_folder import checkpoints
    from harness.training.train import train
    from tests.training.records import record, write_dataset

    place = tmp_path_factory.mktemp("trained")
    base = make_tiny_model(place / "base", context=4096)
    write_dataset(place / "data", [record(number) for number in range(6)], [record(9, "held")])
    recipe = {
        "schema": 1,
        "name": "tiny",
        "base": str(base),
        "train": {"path": "data", "split": "train"},
        "quantization": "none",
        "lora": {"r": 2, "alpha": 4},
        "training": {"max_steps": 1, "optim": "adamw_torch"},
    }
    (place / "recipe.yaml").write_text(json.dumps(recipe))
    prepared = prepare(place / "recipe.yaml")
    folder = open_folder(prepared, place / "runs", None)
    train(prepared, folder, resume=False, watch=lambda history: None, report=lambda kind, detail: None)
    folder.close()
    return base, checkpoints(folder.path)[-1]


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        if file.is_file():
            (to / file.name).write_bytes(file.read_bytes())
    return to


def check(adapter: Path, base: Path, dialect: str = "hermes") -> bool:
    return check_origin(adapter, resolve_model(str(base)), Renderer(load_tokenizer(base), Hermes()), dialect)


def test_the_base_it_was_trained_on_is_accepted(trained):
    base, adapter = trained
    assert check(adapter, base)


def test_an_adapter_from_elsewhere_is_unchecked(trained, tmp_path: Path):
    base, adapter = trained
    other = copied(adapter, tmp_path / "elsewhere")
    (other / ORIGIN_FILE).unlink()
    assert not check(other, base)


def test_another_base_is_named(trained, tmp_path: Path):
    _, adapter = trained
    other = make_tiny_model(tmp_path / "other", seed=5, context=4096)
    with pytest.raises(ModelError, match="another base"):
        check(adapter, other)


def test_another_template_is_named_with_the_line_that_differs(trained, tmp_path: Path):
    base, adapter = trained
    changed = copied(base, tmp_path / "changed")
    template = (changed / "chat_template.jinja").read_text().replace("\n{{ message", ":\n{{ message")
    (changed / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match=r"line \d+ of the golden prompt was '<\|im_start\|>system'"):
        check(adapter, changed)


def test_without_the_bases_weights_the_prompts_are_compared_all_the_same(trained, tmp_path: Path):
    base, adapter = trained
    elsewhere = copied(base, tmp_path / "elsewhere")
    for weights in elsewhere.glob("*.safetensors"):
        weights.unlink()
    model = replace(resolve_model(str(base)), path=elsewhere)
    renderer = Renderer(load_tokenizer(elsewhere), Hermes())
    assert check_origin(adapter, model, renderer, "hermes")
    with pytest.raises(ModelError, match="bare_json"):
        check_origin(adapter, model, renderer, "bare_json")
    template = (elsewhere / "chat_template.jinja").read_text().replace("\n{{ message", ":\n{{ message")
    (elsewhere / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match="another chat template"):
        check_origin(adapter, model, Renderer(load_tokenizer(elsewhere), Hermes()), "hermes")


def test_another_dialect_is_named(trained):
    base, adapter = trained
    with pytest.raises(ModelError, match="bare_json"):
        check(adapter, base, "bare_json")


def test_harness_run_refuses_before_the_model_is_loaded(trained, tmp_path: Path, harness):
    base, adapter = trained
    changed = copied(base, tmp_path / "changed")
    (changed / "chat_template.jinja").write_text(
        (changed / "chat_template.jinja").read_text().replace("<|im_start|>", "<|im_start|> ")
    )
    suite = Path(__file__).resolve().parents[2] / "suites" / "_smoke"
    done = harness("run", suite, "--model", changed, "--adapter", adapter)
    assert done.exit_code == 4
    assert "another chat template" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": 2}',
        b'{"schema": 1, "base": 5}',
        b"\xff\xfe",
        b'{"schema": 1, "golden": []}',
    ],
)
def test_a_damaged_origin_is_an_error_and_not_a_pass(trained, tmp_path: Path, damage: bytes):
    base, adapter = trained
    other = copied(adapter, tmp_path / "damaged")
    (other / ORIGIN_FILE).write_bytes(damage)
    with pytest.raises(ModelError, match="harness_adapter"):
        check(other, base)


def test_origin_survives_a_round_trip_and_its_golden_prompt_is_the_renderers(trained):
    base, adapter = trained
    origin: Any = read_origin(adapter)
    assert origin.golden == golden_prompt(Renderer(load_tokenizer(base), Hermes()))
    assert "절점 5번" in origin.golden.text


@pytest.fixture(scope="module")
def dated(trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Renderer]:
    """Return a base whose template writes the day into every prompt, and its renderer."""
    base = copied(trained[0], tmp_path_factory.mktemp("dated") / "base")
    (base / "chat_template.jinja").write_text(shipped()["llama3_2"], encoding="utf-8")
    return base, Renderer(load_tokenizer(base), BareJson())


def adapter_of(folder: Path, base: Path, renderer: Renderer, golden: GoldenPrompt, created: str) -> Path:
    """Write a folder with an origin alone."""
    folder.mkdir()
    origin = AdapterOrigin(
        base=str(base),
        base_fingerprint=model_fingerprint(base),
        dialect="bare_json",
        template_sha256=renderer.template_sha256,
        tools_by=renderer.tools_by,
        golden=golden,
        data={},
        recipe={},
        recipe_sha256="",
        versions={},
        step=1,
        epoch=1.0,
        created=created,
    )
    (folder / ORIGIN_FILE).write_text(json.dumps(origin_record(origin)), encoding="utf-8")
    return folder


def checked(adapter: Path, base: Path, renderer: Renderer) -> bool:
    return check_origin(adapter, resolve_model(str(base)), renderer, "bare_json")


def test_an_adapter_of_a_template_with_a_date_does_not_expire(dated, tmp_path: Path):
    base, renderer = dated
    golden = golden_prompt(renderer)
    assert golden.date == "2024-07-26"
    adapter = adapter_of(tmp_path / "adapter", base, renderer, golden, "2020-01-01T00:00:00Z")
    origin = read_origin(adapter)
    assert origin is not None
    assert origin.golden == golden
    assert checked(adapter, base, renderer)


@pytest.mark.parametrize(
    ("told", "created", "accepted"),
    [
        ("2026-05-04", "2026-05-04T11:00:00Z", True),
        ("2026-05-05", "2026-05-04T23:30:00Z", True),  # east of Greenwich
        ("2026-05-03", "2026-05-04T00:30:00Z", True),  # west of it
        ("2026-05-04", "2026-06-04T11:00:00Z", False),
        ("2026-05-04", "not a time", False),
        ("2026-05-04", "0001-01-01T00:00:00Z", False),
    ],
)
def test_an_origin_without_a_date_was_told_the_day_of_its_making(
    dated, tmp_path: Path, told: str, created: str, accepted: bool
):
    base, renderer = dated
    golden = golden_prompt(renderer.on(datetime.date.fromisoformat(told)))
    older = GoldenPrompt(text=golden.text, tokens_sha256=golden.tokens_sha256)
    adapter = adapter_of(tmp_path / "adapter", base, renderer, older, created)
    record = json.loads((adapter / ORIGIN_FILE).read_text())
    del record["golden"]["date"]
    (adapter / ORIGIN_FILE).write_text(json.dumps(record))
    if accepted:
        assert checked(adapter, base, renderer)
    else:
        with pytest.raises(ModelError, match=r"was '.*04 May 2026.*' and is '.*26 Jul 2024"):
            checked(adapter, base, renderer)


def test_tools_offered_in_another_way_are_named(dated, tmp_path: Path):
    base, renderer = dated
    adapter = adapter_of(tmp_path / "a", base, renderer, golden_prompt(renderer), "2026-01-01T00:00:00Z")
    record = json.loads((adapter / ORIGIN_FILE).read_text()) | {
        "tools_by": "tool_block",
        "template_sha256": "",
    }
    (adapter / ORIGIN_FILE).write_text(json.dumps(record))
    with pytest.raises(ModelError, match="tools offered by tool_block, and they are offered by template"):
        checked(adapter, base, renderer)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": None},
        {"recipe": []},
        {"base": []},
        {"base": None},
        {"golden": {"text": 5, "tokens_sha256": "0"}},
        {"data": "text"},
        {"step": "7"},
        {"versions": ["torch"]},
    ],
    ids=str,
)
def test_fields_of_another_type_are_refused(
    trained: tuple[Path, Path], tmp_path: Path, changes: dict[str, Any]
):
    folder = copied(trained[1], tmp_path / "adapter")
    record = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    (folder / ORIGIN_FILE).write_text(json.dumps(record | changes), encoding="utf-8")
    with pytest.raises(ModelError, match="not a description of an adapter"):
        read_origin(folder)
