"""Rows are what evaluation asks plus what should have been said, and the loss lies on the latter alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.models.stop_tokens import stop_token_ids
from harness.models.tokenizer import load_tokenizer
from harness.parse.hermes import Hermes
from harness.prompt.render import Renderer
from harness.training.rows import TokenRow, token_rows, truncated
from harness.types import GoldArgument, GoldCall, Message, Sample, ToolCall, ToolSpec

TURN = ToolSpec(
    name="turn",
    description="Turn.",
    parameters={"type": "object", "properties": {"lamp": {"type": "integer"}, "hue": {"type": "string"}}},
)
CALL = Sample(
    id="call",
    messages=(Message(role="user", content="5번 램프 켜줘"),),
    tools=(TURN,),
    expect="call",
    gold=(
        GoldCall(
            name="turn",
            arguments={
                "lamp": GoldArgument(accept=(5, "5")),
                "hue": GoldArgument(accept=("red",), optional=True),
            },
        ),
    ),
)
CHAT = Sample(
    id="chat",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="hi"),
        Message(role="assistant", content="", tool_calls=(ToolCall(name="turn", arguments={"lamp": 1}),)),
        Message(role="tool", content="ok", name="turn"),
        Message(role="assistant", content="Done."),
        Message(role="user", content="thanks"),
    ),
    tools=(TURN,),
    expect="no_call",
    reply="Welcome.",
)
REWRITES_HISTORY = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' and not loop.last %}(hidden){% else %}{{ message['content'] }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Bench:
    """Tokenizer, renderer and stop tokens of the tiny model, with another template where asked for."""

    def __init__(self, model: Path, template: str | None = None) -> None:
        self.tokenizer = load_tokenizer(model)
        if template is not None:
            self.tokenizer.chat_template = template
        self.renderer = Renderer(self.tokenizer, Hermes())
        self.stop = stop_token_ids(model, self.tokenizer)

    def rows(self, sample: Sample, loss_on: str = "answer", *, optional: bool = False) -> list[TokenRow]:
        return list(token_rows(sample, self.renderer, self.stop, loss_on, optional=optional))  # type: ignore[arg-type]

    def learnt(self, row: TokenRow) -> list[str]:
        return [self.tokenizer.decode(list(row.ids[start:end])) for start, end in row.spans]


@pytest.fixture
def bench(tiny_model: Path) -> Bench:
    return Bench(tiny_model)


def test_row_is_the_prompt_that_evaluation_sends_and_then_the_answer(bench: Bench):
    (row,) = bench.rows(CALL)
    asked = bench.renderer.render(CALL).token_ids
    assert tuple(row.ids[: len(asked)]) == tuple(asked)
    assert row.spans == ((len(asked), len(row.ids)),)
    assert bench.learnt(row) == [
        '<tool_call>\n{"name": "turn", "arguments": {"lamp": 5}}\n</tool_call><|im_end|>'
    ]
    assert row.ends
    assert row.ids[-1] in bench.stop


def test_optional_arguments_are_written_only_when_asked_for(bench: Bench):
    (row,) = bench.rows(CALL, optional=True)
    assert '"hue": "red"' in bench.learnt(row)[0]


def test_labels_are_ids_on_spans_and_ignored_elsewhere(bench: Bench):
    (row,) = bench.rows(CALL)
    (start, end) = row.spans[0]
    labels = row.labels()
    assert labels[:start] == [-100] * start
    assert labels[start:end] == list(row.ids[start:end])
    assert row.supervised == end - start


@pytest.mark.parametrize(
    ("loss_on", "learnt"),
    [
        ("answer", ["Welcome.<|im_end|>"]),
        (
            "assistant",
            [
                '<tool_call>\n{"name": "turn", "arguments": {"lamp": 1}}\n</tool_call><|im_end|>',
                "Done.<|im_end|>",
                "Welcome.<|im_end|>",
            ],
        ),
    ],
)
def test_which_turns_are_learnt(bench: Bench, loss_on: str, learnt: list[str]):
    (row,) = bench.rows(CHAT, loss_on)
    assert bench.learnt(row) == learnt


@pytest.mark.parametrize(
    ("unlearnt", "learnt"),
    [
        ({4}, ["<tool_call>", "Welcome."]),
        ({2, 4}, ["Welcome."]),
    ],
)
def test_turns_that_are_not_to_be_learnt_bear_no_loss(bench: Bench, unlearnt: set[int], learnt: list[str]):
    messages = [replace(turn, learn=index not in unlearnt) for index, turn in enumerate(CHAT.messages)]
    (row,) = bench.rows(replace(CHAT, messages=tuple(messages)), "assistant")
    assert [text[: len(start)] for text, start in zip(bench.learnt(row), learnt, strict=True)] == learnt
    assert row.ids == bench.rows(CHAT, "assistant")[0].ids


def test_loss_on_all_is_one_span_over_everything(bench: Bench):
    (row,) = bench.rows(CHAT, "all")
    assert row.spans == ((0, len(row.ids)),)


def test_a_template_that_rewrites_history_gives_a_row_a_turn(tiny_model: Path):
    bench = Bench(tiny_model, REWRITES_HISTORY)
    rows = bench.rows(CHAT, "assistant")
    assert len(rows) == 3
    assert [len(row.spans) for row in rows] == [1, 1, 1]
    last = rows[-1]
    asked = bench.renderer.render(CHAT).token_ids
    assert tuple(last.ids[: len(asked)]) == tuple(asked)
    assert "(hidden)" in bench.tokenizer.decode(list(asked))


def test_a_template_that_changes_the_prompt_once_answered_is_refused(tiny_model: Path):
    template = "{% if messages[-1]['role'] == 'assistant' %}ANSWERED {% endif %}" + REWRITES_HISTORY
    with pytest.raises(RecordError, match="otherwise once it is answered"):
        Bench(tiny_model, template).rows(CALL)


def test_a_template_without_an_end_token_is_seen(tiny_model: Path):
    template = (
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
        + ("{% if add_generation_prompt %}assistant: {% endif %}")
    )
    (row,) = Bench(tiny_model, template).rows(CALL)
    assert not row.ends


def test_a_sample_without_an_answer_is_refused(bench: Bench):
    with pytest.raises(RecordError, match="nothing to imitate"):
        bench.rows(replace(CHAT, reply=None))


def test_truncation_keeps_what_is_left_of_the_span_and_says_that_the_end_is_missing(bench: Bench):
    (row,) = bench.rows(CALL)
    start = row.spans[0][0]
    cut = truncated(row, start + 5)
    assert cut is not None
    assert cut.spans == ((start, start + 5),)
    assert not cut.ends
    assert truncated(row, start) is None


def test_groups_tell_tool_sets_and_system_messages_apart(bench: Bench):
    groups = {
        bench.rows(sample)[0].group
        for sample in (CALL, CHAT, replace(CALL, tools=()), replace(CALL, id="other"))
    }
    assert len(groups) == 3


def test_stop_tokens_come_from_all_three_files(tiny_model: Path, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 4]}), encoding="utf-8")
    tokenizer = load_tokenizer(tiny_model)
    assert {3, 4, tokenizer.eos_token_id} <= stop_token_ids(folder, tokenizer)


def test_end_tokens_that_are_none_are_left_out(tiny_model: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"eos_token_id": [-1, true, "2", 5]}', encoding="utf-8")
    assert stop_token_ids(tmp_path, None) == {5}
