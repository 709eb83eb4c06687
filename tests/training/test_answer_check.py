"""Preflight reads every answer that is learnt as evaluation would, and names records that cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SpecError
from harness.training.answer_check import answer_findings, bad_answers
from harness.training.prepare import Prepared, prepare
from tests.training.chat_templates import shipped
from tests.training.records import record

ALTERNATING = shipped()["gemma"].replace("<end_of_turn>", "<|im_end|>")  # the tiny model's end of turn


@pytest.fixture
def prepared(recipe: Callable[..., Path], tiny_model: Path, tmp_path: Path) -> Callable[..., Prepared]:
    """Return a function that prepares records for the tiny model with another chat template."""

    def make(template: str | None, records: list[dict[str, Any]] | None = None, **changes: Any) -> Prepared:
        base = tmp_path / "base"
        base.mkdir()
        for file in tiny_model.iterdir():
            if template is None or file.name != "chat_template.jinja":
                (base / file.name).symlink_to(file)
        if template is not None:
            (base / "chat_template.jinja").write_text(template, encoding="utf-8")
        return prepare(recipe(records, base=str(base), **changes))

    return make


def codes(prepared: Prepared) -> dict[str, str]:
    return {finding.code: finding.severity for finding in answer_findings(prepared)}


@pytest.mark.parametrize("loss_on", ["answer", "assistant", "all"])
@pytest.mark.parametrize("template", [None, ALTERNATING], ids=["chatml", "gemma"])
def test_answers_that_read_as_they_should_are_no_finding(
    prepared: Callable[..., Prepared], template: str | None, loss_on: str
):
    assert codes(prepared(template, tokens__loss_on=loss_on)) == {}


def test_optional_arguments_that_are_written_are_expected_back(prepared: Callable[..., Prepared]):
    assert codes(prepared(None, tokens__optional_arguments="write")) == {}


@pytest.mark.parametrize("loss_on", ["answer", "all"])
def test_a_template_that_changes_calls_is_critical(prepared: Callable[..., Prepared], loss_on: str):
    escapes = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | e }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    made = prepared(escapes, tokens__loss_on=loss_on)
    assert codes(made) == {"answer_not_readable": "critical"}
    found = list(bad_answers(made, made.train))
    assert [answer.sample_id for answer in found] == [f"train-{n}" for n in range(12) if n % 3 != 2]
    assert "&lt;tool_call&gt;" in found[0].text


def test_a_template_that_loses_text_is_critical_for_calls_and_named_for_replies(
    prepared: Callable[..., Prepared],
):
    made = prepared(shipped()["smolvlm"].replace("<end_of_utterance>", "<|im_end|>"))
    assert codes(made) == {"answer_not_readable": "critical", "answer_changed": "warning"}


def test_a_reply_that_reads_as_a_call_is_critical(prepared: Callable[..., Prepared]):
    text = 'Say <tool_call>\n{"name": "turn", "arguments": {"lamp": 1}}\n</tool_call>'
    odd = {**record(2), "id": "odd", "reply": text}
    made = prepared(None, [*(record(number) for number in range(8)), odd])
    assert codes(made) == {"answer_not_readable": "critical"}
    assert [answer.sample_id for answer in bad_answers(made, made.train)] == ["odd"]


def test_values_of_another_type_are_not_the_gold_ones(prepared: Callable[..., Prepared]):
    as_float = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | replace('}}', '.0}}') }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    assert codes(prepared(as_float)) == {"answer_not_readable": "critical"}


def test_rows_cut_at_their_end_are_not_judged(prepared: Callable[..., Prepared]):
    made = prepared(None, tokens__max_length=800, tokens__too_long="truncate")
    assert made.train.cut
    assert codes(made) == {}


@pytest.mark.parametrize(("count", "severity"), [(120, "info"), (40, "warning"), (6, "critical")])
def test_records_that_the_template_refuses_are_left_out_counted_and_named(
    prepared: Callable[..., Prepared], count: int, severity: str
):
    greeting = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "lamp please"}]
    greeted = {**record(1), "id": "greeted", "messages": greeting}
    made = prepared(ALTERNATING, [*(record(number) for number in range(count)), greeted])
    assert [entry.sample_id for entry in made.train.dropped] == ["greeted"]
    assert len(made.train.rows) == count
    (finding,) = answer_findings(made)
    assert (finding.code, finding.severity) == ("rows_refused", severity)
    assert f"1 of {count + 1} records" in finding.message
    assert f"train.jsonl:{count + 1}, greeted" in finding.message
    assert "must alternate" in finding.message


def test_nothing_but_refused_records_is_an_error_that_says_why(prepared: Callable[..., Prepared]):
    refuses = "{{ raise_exception('no talking') }}"
    with pytest.raises(SpecError, match=r"12 .*no talking.*\n.*chat template can write"):
        prepared(refuses)
