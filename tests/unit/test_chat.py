"""A chat without a model: who sees what, what is shown of it, and what a saved conversation is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.chat_loop import ChatLoop, _lines
from harness.data.records import iter_samples
from harness.errors import UsageError
from harness.parse.choose import get_dialect
from harness.prompt.plain import PlainTokenizer
from harness.prompt.render import Renderer
from harness.run.chat import Chat
from harness.types import Generation, Prompt, Sampling, ToolCall, ToolSpec

LAMP = ToolSpec(
    name="turn",
    description="Turn a lamp on.",
    parameters={
        "type": "object",
        "properties": {"lamp": {"type": "integer"}, "hue": {"type": "string", "enum": ["red", "blue"]}},
        "required": ["lamp"],
    },
)
ADAPTER = Path("/adapters/tuned")


def call(name: str, arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


class TwoModels:
    """The base never calls; the adapter says what it is told to, in turn."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.active: Path | None = None
        self.asked: list[Prompt] = []

    def use_adapter(self, adapter: Path | None) -> None:
        self.active = adapter

    def generate(self, prompts: object) -> Iterator[Generation]:
        for prompt in prompts:  # type: ignore[attr-defined]
            self.asked.append(prompt)
            text = "I cannot." if self.active is None else self.replies.pop(0)
            if text == "TOO LONG":
                yield Generation(
                    key="", sample_id="chat", repeat=0, status="too_long", error="900 do not fit"
                )
                continue
            if text == "INTERRUPT":
                raise KeyboardInterrupt
            yield Generation(key="", sample_id="chat", repeat=0, status="ok", text=text, finish_reason="stop")


def make_chat(*replies: str, base: bool = True) -> tuple[Chat, TwoModels]:
    engine = TwoModels(*replies)
    dialect = get_dialect("hermes")
    targets: list[tuple[str, Path | None]] = [("base", None)] if base else []
    chat = Chat(
        engine,  # type: ignore[arg-type]
        Renderer(PlainTokenizer(), dialect),
        dialect,
        targets=[*targets, ("tuned", ADAPTER)],
        tools=[LAMP],
        sampling=Sampling(),
        system=None,
    )
    return chat, engine


def typed(chat: Chat, *lines: str, capsys: pytest.CaptureFixture[str]) -> str:
    ChatLoop(chat, interactive=False).run(io.StringIO("".join(f"{line}\n" for line in lines)))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (call("turn", {"lamp": 3}), '- call turn {"lamp": 3}: valid'),
        (call("turn", {"lamp": "3"}), '- call turn {"lamp": "3"}: lamp has the wrong type'),
        (call("turn", {"hue": "red"}), '- call turn {"hue": "red"}: lamp is missing'),
        (call("turn", {"lamp": 1, "hue": "green"}), "hue breaks enum"),
        (call("turn", {"lamp": 1, "fade": 2}), "fade is no parameter of this tool"),
        (call("burn", {}), "no tool 'burn' is offered"),
        (
            '<tool_call>\n{"name": "turn", "arguments": {"lamp": }}\n</tool_call>',
            "- does not parse (invalid_json)",
        ),
        ("Hello.", "- no call"),
        ("", "- no call"),
    ],
)
def test_what_is_said_of_a_reply(reply: str, shown: str, capsys: pytest.CaptureFixture[str]):
    chat, _ = make_chat(reply)
    out = typed(chat, "lamp 3 please", capsys=capsys)
    assert shown in out
    assert out.index("[base]") < out.index("[tuned]")


def test_hostile_replies_are_made_visible(capsys: pytest.CaptureFixture[str]):
    evil = "\x1b[2J\x1b]0;owned\x07\u202eabc\u200b\r- call turn {}: valid\n- call turn {}: valid"
    chat, _ = make_chat(evil, call("turn\x1b[31m", {"lamp": "\x1b[5m\u202e"}))
    out = typed(chat, "one", "two", capsys=capsys)
    assert not set("\x1b\x07\u202e\u200b\r").intersection(out)
    assert "\\x1b[2J" in out
    # A reply that imitates our own lines stays marked as the model's.
    assert all(line.lstrip().startswith("|") for line in out.splitlines() if "{}: valid" in line)


def test_each_target_has_a_conversation_of_its_own():
    chat, engine = make_chat(call("turn", {"lamp": 3}), "Done.", "Welcome.")
    chat.ask("lamp 3 please")
    answers = chat.result("turn", '{"ok": true}')
    assert [answer.target for answer in answers] == ["tuned"], "the base called nothing, so it gets no result"
    chat.ask("thanks")
    base, tuned = engine.asked[-2].sample.messages, engine.asked[-1].sample.messages
    assert [turn.role for turn in base] == ["user", "assistant", "user"]
    assert [turn.role for turn in tuned] == ["user", "assistant", "tool", "assistant", "user"]
    assert tuned[1].tool_calls == (ToolCall(name="turn", arguments={"lamp": 3}),)
    assert (tuned[2].name, tuned[2].content) == ("turn", '{"ok": true}')
    assert "I cannot." not in engine.asked[-1].text


def test_parallel_calls_wait_for_all_results(capsys: pytest.CaptureFixture[str]):
    chat, engine = make_chat(call("turn", {"lamp": 1}) + call("burn", {}), "Both done.")
    out = typed(chat, "two things", "/result turn 1", '/result burn {"ok": true}', capsys=capsys)
    assert "still waiting for: burn" in out
    assert "Both done." in out
    assert len(engine.asked) == 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/result turn 1", "no answer has called 'turn'"),
        ("/result turn", "/result needs"),
        ("/result turn {bad", "not valid JSON"),
        ("/tool", "Did you mean '/tools'?"),
        ("/tools tunr", "Did you mean 'turn'?"),
        ("/offer tunr", "Did you mean 'turn'?"),
        ("/offer", "There are: turn."),
        ("/save", "/save needs a file"),
        ("/save x.jsonl", "no question to save"),
        ("/save x.jsonl maybe", "does not say what is right"),
        ("/save x.jsonl call turn [1]", "must be a JSON object"),
    ],
)
def test_wrong_lines_are_answered_and_the_chat_goes_on(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
):
    chat, _ = make_chat("Hello.")
    out = typed(chat, line, "hi", capsys=capsys)
    assert says in out
    assert "Hello." in out


def test_commands(capsys: pytest.CaptureFixture[str]):
    chat, engine = make_chat("A", "B", "C", base=False)
    out = typed(
        chat, "/tools", "/tools turn", "/system", "one", "/system Be brief.", "two \\", "lines", "/reset", "three", "/quit", "four",
        capsys=capsys,
    )  # fmt: skip
    assert "turn: Turn a lamp on. (requires lamp)" in out
    assert '"enum"' in out
    assert "there is no system text" in out
    assert [turn.content for turn in engine.asked[1].sample.messages] == ["Be brief.", "two \nlines"]
    assert [turn.content for turn in engine.asked[2].sample.messages] == ["Be brief.", "three"]
    assert len(engine.asked) == 3


def test_a_conversation_that_no_longer_fits(capsys: pytest.CaptureFixture[str]):
    chat, engine = make_chat("TOO LONG", "Hello.", base=False)
    out = typed(chat, "one", "two", capsys=capsys)
    assert "no answer: 900 do not fit" in out
    assert [turn.content for turn in engine.asked[1].sample.messages] == ["two"]


def test_an_interrupted_question_was_not_asked():
    chat, engine = make_chat("INTERRUPT", "Hello.")
    with pytest.raises(KeyboardInterrupt):
        chat.ask("one")
    chat.ask("two")
    assert [[turn.content for turn in prompt.sample.messages] for prompt in engine.asked[-2:]] == [
        ["two"],
        ["two"],
    ]


@pytest.mark.parametrize(
    ("reply", "said", "expect", "gold", "text"),
    [
        (call("turn", {"lamp": 3}), "", "call", {"lamp": 3}, None),
        ("Which lamp?", "", "no_call", None, "Which lamp?"),
        ("Which lamp?", "ask", "ask", None, None),
        (call("turn", {}), 'call turn {"lamp": 5}', "call", {"lamp": 5}, None),
        (call("burn", {}), "no_call", "no_call", None, None),
    ],
)
def test_a_saved_conversation_is_a_record(
    reply: str,
    said: str,
    expect: str,
    gold: object,
    text: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    path = tmp_path / "asked.jsonl"
    chat, _ = make_chat(reply)
    out = typed(chat, "램프 3번", f"/save {path} {said}", f"/save {path} {said}", capsys=capsys)
    (found,) = iter_samples(path, {})
    sample = found.sample
    assert (sample.expect, sample.reply, sample.tags) == (
        expect,
        text,
        {"source": "chat", "answered_by": "tuned"},
    )
    assert [turn.content for turn in sample.messages] == ["램프 3번"]
    assert sample.tools == (LAMP,)
    if gold is not None:
        assert {key: argument.accept[0] for key, argument in sample.gold[0].arguments.items()} == gold
    assert f"saved as {sample.id}" in out
    assert "stands in" in out, "the second time"


@pytest.mark.parametrize("reply", [call("turn", {}), call("burn", {}), "<tool_call>{", ""])
def test_a_wrong_answer_is_not_saved_as_right(reply: str, tmp_path: Path):
    chat, _ = make_chat(reply)
    chat.ask("lamp")
    with pytest.raises(UsageError, match="Say what is right"):
        chat.record(chat.branches[-1])


def test_a_right_call_that_the_schema_forbids_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    chat, _ = make_chat("Hello.")
    out = typed(chat, "lamp", f'/save {tmp_path / "x.jsonl"} call turn {{"lamp": "three"}}', capsys=capsys)
    assert "permits none of the accepted values" in out
    assert not (tmp_path / "x.jsonl").exists()


def test_lines_are_safe_before_they_are_laid_out():
    """The columns of a wide terminal are made from these lines, past the printing of single blocks."""
    chat, _ = make_chat("\x1b[2Jabc", base=False)
    lines = _lines(chat.ask("hi")[0])
    assert lines == ["| \\x1b[2Jabc", "- no call"]


def test_hostile_tool_descriptions(capsys: pytest.CaptureFixture[str]):
    chat, _ = make_chat(base=False)
    chat.tools = (
        ToolSpec(name="turn", description="\x1b[31mred", parameters={"properties": {"\x1b[1m": {}}}),
    )
    out = typed(chat, "/tools", "/tools turn", capsys=capsys)
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out


def test_a_choice_of_tools(capsys: pytest.CaptureFixture[str]):
    chat, engine = make_chat("A", "B", base=False)
    other = ToolSpec(name="stop", description="", parameters={"type": "object", "properties": {}})
    chat.tools = (LAMP, other)
    typed(chat, "/offer stop", "one", "/offer all", "two", capsys=capsys)
    assert [prompt.sample.tools for prompt in engine.asked] == [(other,), (LAMP, other)]
