"""A specification that cannot be built from says so, with its place, before anything is drawn or written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.data.synth import synthesise
from harness.data.synth_spec import SlotSpec, UnitSpec
from harness.errors import SpecError

DATASET = Path(__file__).resolve().parents[2] / "datasets" / "structural"
UNIT = {"unit": "kN", "ko": ["kN"], "en": ["kN"], "word": {"ko": "킬로뉴턴", "en": "kilonewtons"}}


@pytest.mark.parametrize(
    ("slot", "words"),
    [
        ({"kind": "choice"}, "needs options"),
        ({"kind": "quantity"}, "needs units"),
        ({"kind": "label"}, "needs prefixes"),
        ({"kind": "list"}, "needs of"),
        ({"kind": "dimensions"}, "needs parts"),
        ({"kind": "integer", "min": 5, "max": 4}, "max is below min"),
        ({"kind": "integer", "max": float("inf")}, "finite"),
        ({"kind": "integer", "min": float("nan")}, "finite"),
        ({"kind": "number", "step": 0}, "greater than 0"),
        ({"kind": "number", "max": 1_000_000}, "cannot be read aloud"),
        ({"kind": "quantity", "max": 2000, "units": [{**UNIT, "scale": 1000}]}, "cannot be read aloud"),
        ({"kind": "quantity", "units": [{**UNIT, "factor": float("inf")}]}, "finite"),
        ({"kind": "quantity", "units": [{**UNIT, "word": {"ko": "킬로뉴턴"}}]}, "ko and en"),
        ({"kind": "list", "of": "node", "min": 0, "max": 2}, "between 1 and 1,000"),
        ({"kind": "dimensions", "parts": {"h": {"min": 9, "max": 1}}}, "max is below min"),
        ({"kind": "label", "prefixes": ["M"], "max": 1e12}, "too many steps"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_slots_that_nothing_can_be_drawn_from(slot: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SlotSpec.model_validate(slot)


def test_a_sound_unit() -> None:
    assert UnitSpec.model_validate(UNIT).factor == 1


def _without(*keys: str) -> Any:
    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        del value[keys[-1]]

    return change


def _first_of_nothing(value: Any) -> None:
    value["arguments"]["add_member"]["start_node"] = "$node.end"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("spec.yaml", lambda spec: spec.update(languages=[]), "languages"),
        ("spec.yaml", lambda spec: spec.update(languages={"ko": 0.7, "en": 0.4}), "add up to 1"),
        ("spec.yaml", lambda spec: spec.update(languages={"ko": 1, "en": 0}), "languages"),
        ("spec.yaml", lambda spec: spec["splits"].update(test=-1), "splits"),
        ("spec.yaml", _first_of_nothing, "no part 'end'"),
        ("spec/tools.yaml", _without("titles", "ko", "add_node"), "titles lacks 'add_node' in 'ko'"),
        ("spec/tools.yaml", _without("not_offered_replies", "en"), "not_offered_replies lacks 'en'"),
        ("spec/calls_ko.yaml", _without("calls", "ko", "add_node"), "no call template calls"),
        ("spec/slots.yaml", _without("slots", "weekday", "options"), "needs options"),
    ],
)
def test_specifications_that_cannot_be_built(tmp_path: Path, file: str, change: Any, words: str) -> None:
    (tmp_path / "spec").mkdir()
    for path in (DATASET / "spec.yaml", *(DATASET / "spec").iterdir()):
        shutil.copy(path, tmp_path / path.relative_to(DATASET))
    spec = yaml.safe_load((tmp_path / "spec.yaml").read_text(encoding="utf-8"))
    spec["splits"] = {"train": 60, "validation": 24, "test": 24}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")
    value = yaml.safe_load((tmp_path / file).read_text(encoding="utf-8"))
    change(value)
    (tmp_path / file).write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    with pytest.raises(SpecError, match=words) as caught:
        synthesise(tmp_path / "spec.yaml", tmp_path / "out")
    assert caught.value.where
    assert not (tmp_path / "out").exists()
