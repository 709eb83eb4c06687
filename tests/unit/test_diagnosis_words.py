"""The catalogue: nothing untranslated, the same numbers in both languages, and every text can be filled."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.training.diagnosis import RunFacts, diagnose
from harness.training.diagnosis.export import diagnosis_data
from harness.training.diagnosis.model import Change, Code, Confidence, Setting, Severity, Verdict
from harness.training.diagnosis.texts import Both
from harness.training.diagnosis.wording import change_text, finding_text, number, percent, place, towards
from harness.training.diagnosis.words import (
    ADVICE,
    BEST,
    CONFIDENCES,
    LABELS,
    NOTES,
    SETTINGS,
    SEVERITIES,
    VERDICTS,
)
from harness.training.diagnosis.words_findings import FINDINGS

TEXTS: dict[str, Both] = {
    **{f"{code} title": words.title for code, words in FINDINGS.items()},
    **{f"{code} sentence": words.because for code, words in FINDINGS.items()},
    **{f"verdict {name} {i}": both for name, pair in VERDICTS.items() for i, both in enumerate(pair)},
    **{f"severity {name}": both for name, both in SEVERITIES.items()},
    **{f"confidence {name}": both for name, both in CONFIDENCES.items()},
    **{f"advice {name}": both for name, both in ADVICE.items()},
    **{f"note {name}": both for name, both in NOTES.items()},
    **{f"best {name}": both for name, both in BEST.items()},
    **{f"label {name}": both for name, both in LABELS.items()},
}


def _fields(text: str) -> set[str]:
    return {name.replace("value_ro", "value") for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", TEXTS)
def test_both_languages_say_the_same(name: str):
    both = TEXTS[name]
    assert both.en.strip(), "English is missing"
    assert re.search("[가-힣]", both.ko), "Korean is missing"
    assert not re.search("[가-힣]", both.en)
    assert _fields(both.en) == _fields(both.ko), "a number stands in one language only"


def test_every_code_is_documented():
    page = (Path(__file__).resolve().parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    assert [code for code in get_args(Code) if f"`{code}`" not in page] == []
    assert [verdict for verdict in get_args(Verdict) if f"`{verdict}`" not in page] == []


def test_the_catalogue_is_whole():
    assert set(FINDINGS) == set(get_args(Code))
    assert set(VERDICTS) == set(get_args(Verdict))
    assert set(SEVERITIES) == set(get_args(Severity))
    assert set(CONFIDENCES) == set(get_args(Confidence))
    assert set(SETTINGS) == set(get_args(Setting))
    assert all(all(names) for names in SETTINGS.values())


def test_our_setting_names_are_keys_of_the_recipe():
    """Advice must name what a recipe really has: every name is looked up in the recipe's models."""
    from harness.training.recipe import Recipe

    for ours, *_ in SETTINGS.values():
        model: Any = Recipe
        for part in ours.split("."):
            field = model.model_fields[part]
            kinds = [field.annotation, *get_args(field.annotation)]
            model = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("source", ["harness", "transformers", "llama_factory"])
def test_every_advice_can_be_said(language: Any, source: Any):
    diagnosis = diagnose([{"step": 1, "loss": 1.0}], RunFacts(source=source))
    for advice in ADVICE:
        text = change_text(Change(advice=advice, setting="learning_rate", value=2e-5), diagnosis, language)
        assert "{" not in text
        if "{setting}" in ADVICE[advice].en:
            assert ("training.learning_rate" in text) == (source == "harness")


def test_evaluate_by_epoch_has_another_name_elsewhere():
    change = Change(advice="evaluate", setting="every", value="epoch")
    theirs = diagnose([{"step": 1, "loss": 1.0}], RunFacts(source="transformers"))
    ours = diagnose([{"step": 1, "loss": 1.0}], RunFacts(source="harness"))
    assert "eval_strategy: epoch" in change_text(change, theirs, "en")
    assert "evaluation.every: epoch" in change_text(change, ours, "en")


NUMBERS = [
    (0.0554, "0.0554"),
    (2e-5, "2e-5"),
    (1e-10, "1e-10"),
    (1500.0, "1500"),
    (2.680995, "2.681"),
    (float("nan"), "NaN"),
    (float("-inf"), "-∞"),
    (3, "3"),
    ("2-5", "2-5"),
    (1.5e300, "1.5e300"),
]


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers(value: float | int | str, text: str):
    assert number(value) == text


def test_percentages():
    assert percent(0.35668, signed=True) == "+35.7\u00a0%"
    assert percent(-0.01) == "-1.0\u00a0%"
    assert percent(25.0) == "2,500\u00a0%"


PLACES = [
    (20.0, "step", 8.42, "step 20 (epoch 8.42)", "20스텝(8.42에폭)"),
    (1.94, "epoch", 1.94, "epoch 1.94", "1.94에폭"),
    (12.0, "entry", None, "log entry 12", "12번째 기록"),
]


@pytest.mark.parametrize(("x", "axis", "epoch", "english", "korean"), PLACES)
def test_places(x: float, axis: Any, epoch: float | None, english: str, korean: str):
    assert place(x, axis, "en", epoch) == english
    assert place(x, axis, "ko", epoch) == korean


PARTICLES = [
    ("2e-5", "2e-5로", "오로"),
    ("0.1", "0.1로", "일로, since ㄹ takes 로"),
    ("20", "20으로", "이십으로"),
    ("3", "3으로", "삼으로"),
    ("epoch", "epoch으로", "에폭으로"),
    ("학습률", "학습률로", "a final ㄹ"),
    ("평균", "평균으로", "another final consonant"),
    ("에포", "에포로", "no final consonant"),
]


@pytest.mark.parametrize(("word", "text", "why"), PARTICLES)
def test_korean_particles(word: str, text: str, why: str):
    assert towards(word) == text, why


def test_sentences_give_places_and_percentages():
    values = [2.0, 1.5, 1.2, 1.1, 1.2, 1.35, 1.5, 1.6]
    diagnosis = diagnose([{"step": 50 * (i + 1), "eval_loss": value} for i, value in enumerate(values)])
    overfit = next(finding for finding in diagnosis.findings if finding.code == "overfit")
    english = finding_text(overfit, diagnosis, "en").because
    assert english.startswith(
        "eval_loss was lowest at step 200 (1.1) and ended at 1.6 (+45.5\u00a0%) at step 400;"
    )
    korean = finding_text(overfit, diagnosis, "ko").because
    assert korean.startswith(
        "eval_loss 값이 200스텝에서 1.1까지 내려간 뒤 400스텝에는 1.6까지 올랐습니다(+45.5\u00a0%)."
    )


def test_a_hostile_metric_name_is_text_and_no_template():
    key = "eval_{0.__class__}_loss"
    values = [2.0, 1.5, 1.2, 1.1, 1.2, 1.35, 1.5, 1.6]
    log = [{"step": i + 1, "loss": 2 - 0.1 * i, key: value} for i, value in enumerate(values)]
    diagnosis = diagnose(log)
    overfit = next(finding for finding in diagnosis.findings if finding.code == "overfit")
    for language in ("en", "ko"):
        assert key in finding_text(overfit, diagnosis, language).because
    assert diagnosis_data(diagnosis)["best"]["key"] == key
