"""Published chat templates: every conversation is written, shows what it must, and its answer is read back."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest

from harness.parse.choose import dialect_for_template, get_dialect
from harness.prompt.answer import expected_turn
from harness.prompt.golden import golden_prompt
from harness.prompt.render import Renderer, TemplateRefusal
from harness.types import GoldArgument, GoldCall, Message, Sample, ToolCall, ToolSpec
from tests.training.chat_templates import (
    CHATML,
    MISTRAL,
    OF_PICTURES,
    ZEPHYR,
    byte_tokenizer,
    shipped,
    word_tokenizer,
)

TURN = ToolSpec(
    name="turn",
    description="Turn.",
    parameters={"type": "object", "properties": {"lamp": {"type": "integer"}, "hue": {"type": "string"}}},
)


def gold(lamp: int) -> GoldCall:
    return GoldCall(
        name="turn",
        arguments={"lamp": GoldArgument(accept=(lamp,)), "hue": GoldArgument(accept=('진한 "red"\n',))},
    )


def called(*lamps: int) -> Message:
    calls = tuple(ToolCall(name="turn", arguments={"lamp": lamp}) for lamp in lamps)
    return Message(role="assistant", content="", tool_calls=calls)


SYSTEM = Message(role="system", content="You know lamps.")
USER = Message(role="user", content="Lamp five please")
RESULT = Message(role="tool", content='{"lit": 1}', name="turn")
DONE = Message(role="assistant", content="It is lit.")
THANKS = Message(role="user", content="And then?")


def ask(name: str, *messages: Message, **answer: Any) -> Sample:
    answer = {"expect": "call", "gold": (gold(5),)} | answer
    return Sample(**{"id": name, "messages": messages, "tools": (TURN,), **answer})


SAMPLES = [
    ask("one call", USER),
    ask("two calls under a system text", SYSTEM, USER, gold=(gold(5), gold(6))),
    ask("talk without tools", SYSTEM, USER, tools=(), expect="no_call", gold=(), reply="It is lit now."),
    ask("reply to a result", SYSTEM, USER, called(1), RESULT, expect="no_call", gold=(), reply="Lit."),
    ask("history of two calls", SYSTEM, USER, called(1, 2), RESULT, RESULT, DONE, THANKS),
    ask("user right after a result", USER, called(1), RESULT, THANKS),
]
TEMPLATES = shipped() | {"mistral": MISTRAL, "zephyr": ZEPHYR, "chatml": CHATML}


def renderer_of(template: str) -> tuple[Renderer, Any]:
    dialect = get_dialect(dialect_for_template(template))
    return Renderer(byte_tokenizer(template), dialect), dialect


@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() - OF_PICTURES))
def test_every_answer_is_read_back_and_nothing_said_is_lost(name: str):
    renderer, dialect = renderer_of(TEMPLATES[name])
    for sample in SAMPLES:
        answer = expected_turn(sample)
        prompt, rest = renderer.render_answered(sample, answer)
        assert prompt == renderer.render(sample), sample.id
        reply = dialect.parse(rest.text, tool_names=["turn"])
        read = [(call.name, dict(call.arguments or {})) for call in reply.calls]
        assert read == [(call.name, dict(call.arguments)) for call in answer.tool_calls], sample.id
        assert answer.content in rest.text, sample.id
        said = [message.content for message in sample.messages if message.role in ("system", "user")]
        said += [tool.name for tool in sample.tools]
        assert [text for text in said if text not in prompt.text] == [], sample.id
        results = sum(message.role == "tool" for message in sample.messages)
        assert len(re.findall(r'\blit\\*"', prompt.text)) == results, sample.id


@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() - OF_PICTURES))
def test_every_template_has_a_golden_prompt_with_its_system_text(name: str):
    renderer, _ = renderer_of(TEMPLATES[name])
    assert "You help engineers." in golden_prompt(renderer).text


@pytest.mark.parametrize(
    ("name", "tools_by"),
    [
        ("qwen2_5", "template"),
        ("qwen3", "template"),
        ("llama3_1", "template"),
        ("llama3_2", "template"),
        ("qwen3_5_think", "tool_block"),  # writes calls as XML
        ("gemma4", "tool_block"),  # a notation of its own
        ("glm4moe", "tool_block"),
        ("gptoss", "tool_block"),  # channels; drops the second of two calls
        ("chatml", "tool_block"),
    ],
)
def test_the_template_writes_calls_only_where_the_dialect_reads_them(name: str, tools_by: str):
    assert renderer_of(TEMPLATES[name])[0].tools_by == tools_by


def test_another_dialect_than_the_templates_gets_the_block_in_its_words():
    renderer = Renderer(byte_tokenizer(TEMPLATES["qwen2_5"]), get_dialect("bare_json"))
    assert renderer.tools_by == "tool_block"
    _, rest = renderer.render_answered(SAMPLES[0], expected_turn(SAMPLES[0]))
    assert json.loads(rest.text.removesuffix("<|im_end|>\n"))["name"] == "turn"


def test_plain_chatml_is_written_turn_by_turn():
    sample = ask("plain", SYSTEM, USER, called(1), RESULT, THANKS, tools=())
    said = '<tool_response>\n{"name": "turn", "content": "{\\"lit\\": 1}"}\n</tool_response>'
    call = '<tool_call>\n{"name": "turn", "arguments": {"lamp": 1}}\n</tool_call>'
    turns = [
        ("system", "You know lamps."),
        ("user", "Lamp five please"),
        ("assistant", call),
        ("user", said),
        ("user", "And then?"),
    ]
    assert renderer_of(CHATML)[0].render(sample).text == (
        "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"
    )


def test_a_refused_system_text_stands_before_the_users():
    renderer, _ = renderer_of(TEMPLATES["gemma"])
    sample = ask("system", SYSTEM, USER, tools=())
    assert renderer.render(sample).text == (
        "<s><start_of_turn>user\nYou know lamps.\n\nLamp five please<end_of_turn>\n<start_of_turn>model\n"
    )


def test_user_turns_are_joined_where_roles_must_alternate():
    renderer, _ = renderer_of(TEMPLATES["gemma3"])
    text = renderer.render(ask("joined", USER, called(1), RESULT, THANKS, tools=())).text
    assert text.count("<start_of_turn>user") == 2
    assert text.endswith("</tool_response>\n\nAnd then?<end_of_turn>\n<start_of_turn>model\n")


def test_calls_that_the_template_refuses_together_are_written_as_the_dialect_does():
    renderer, _ = renderer_of(TEMPLATES["llama3_2"])
    one, two = (
        renderer.render_answered(SAMPLES[place], expected_turn(SAMPLES[place]))[1] for place in (0, 1)
    )
    assert one.text.startswith('{"name": "turn", "parameters": ')
    listed = json.loads(two.text.removesuffix("<|eot_id|>"))
    assert [call["arguments"]["lamp"] for call in listed] == [5, 6]


def test_a_thought_that_the_prompt_opens_is_closed_in_the_answer():
    sample = ask("thought", USER, tools=(), expect="no_call", gold=(), reply="Lit.")
    expected = {"deepseek_r1_distill": "\n</think>\n\nLit.", "nemotron_3_nano": "</think>Lit."}
    for name, begins in expected.items():
        prompt, rest = renderer_of(TEMPLATES[name])[0].render_answered(sample, expected_turn(sample))
        assert prompt.text.endswith("<think>\n")
        assert rest.text.startswith(begins), name


def test_what_a_template_refuses_even_so_is_a_refusal_that_names_the_sample():
    renderer, _ = renderer_of(TEMPLATES["gemma"])
    with pytest.raises(TemplateRefusal, match=r"greeting: .*must alternate"):
        renderer.render(ask("greeting", DONE, USER))


def test_the_day_is_the_same_every_day():
    renderer, _ = renderer_of(TEMPLATES["llama3_2"])
    assert renderer.date == "2024-07-26"
    assert "Today Date: 26 Jul 2024\n" in renderer.render(SAMPLES[0]).text
    assert golden_prompt(renderer).date == "2024-07-26"
    other = renderer.on(datetime.date(2025, 1, 2))
    assert "Today Date: 02 Jan 2025\n" in other.render(SAMPLES[0]).text
    assert golden_prompt(other) != golden_prompt(renderer)
    assert other.template_sha256 == renderer.template_sha256


def test_a_template_that_asks_for_no_day_is_told_none():
    assert renderer_of(CHATML)[0].date is None


@pytest.mark.parametrize(
    ("template", "first_only"),
    [(MISTRAL, False), (MISTRAL, True), (ZEPHYR, False), (ZEPHYR, True)],
    ids=["mistral", "mistral, first", "zephyr", "zephyr, first"],
)
@pytest.mark.parametrize("reply", ["world", " world", "wow"])
def test_sentencepiece_answers_have_the_ids_that_follow_the_prompt(
    template: str, first_only: bool, reply: str
):
    tokenizer = word_tokenizer(template, first_only=first_only)
    renderer = Renderer(tokenizer, get_dialect("hermes"))
    sample = ask("words", USER, tools=(), expect="no_call", gold=(), reply=reply)
    prompt, rest = renderer.render_answered(sample, expected_turn(sample))
    whole = tokenizer.encode(prompt.text + rest.text, add_special_tokens=False)
    assert [*prompt.token_ids, *rest.token_ids] == whole
    if not reply.startswith(" "):
        apart = tokenizer.encode(rest.text, add_special_tokens=False)
        assert apart != list(rest.token_ids), "this tokenizer marks no first word, so the test shows nothing"


def test_a_mark_that_stands_after_a_special_token_stays():
    tokenizer = word_tokenizer("{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}")
    renderer = Renderer(tokenizer, get_dialect("hermes"))
    sample = ask("marked", USER, tools=(), expect="no_call", gold=(), reply="world")
    _, rest = renderer.render_answered(sample, expected_turn(sample))
    assert tokenizer.convert_ids_to_tokens(list(rest.token_ids)) == ["▁world", "</s>"]


def test_an_answer_that_grows_into_the_prompts_last_token_is_encoded_as_what_follows_a_line():
    tokenizer = word_tokenizer("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    renderer = Renderer(tokenizer, get_dialect("hermes"))
    sample = ask(
        "grown", Message(role="user", content="see w"), tools=(), expect="no_call", gold=(), reply="ow"
    )
    _, rest = renderer.render_answered(sample, expected_turn(sample))
    assert tokenizer.convert_ids_to_tokens(list(rest.token_ids)) == ["o", "w"]


def test_ids_of_a_tokenizer_without_such_marks_are_those_of_the_text():
    tokenizer = byte_tokenizer(CHATML)
    _, rest = Renderer(tokenizer, get_dialect("hermes")).render_answered(
        SAMPLES[0], expected_turn(SAMPLES[0])
    )
    assert list(rest.token_ids) == tokenizer.encode(rest.text, add_special_tokens=False)
