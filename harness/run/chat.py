"""Questions by hand: one loaded base with its adapters, each with a conversation of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.records import record_from_sample, sample_from_record
from harness.engine.base import Engine
from harness.errors import RecordError, UsageError
from harness.log.files import LineAppender
from harness.parse.base import Dialect
from harness.prompt.render import Renderer
from harness.score.schema_check import Violation, compiled
from harness.types import (
    Expect,
    Generation,
    GoldArgument,
    GoldCall,
    Json,
    Message,
    ParsedCall,
    ParsedReply,
    Prompt,
    Sample,
    Sampling,
    ToolCall,
    ToolSpec,
)

_WHY = {
    "V1": "is missing",
    "V2": "has the wrong type",
    "V3": "breaks the schema",
    "H2": "is no parameter of this tool",
    "unusable": "the tool's schema cannot be applied",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One target's reply: as written, taken apart, and what is wrong with each call (empty: valid)."""

    target: str
    generation: Generation
    reply: ParsedReply | None
    problems: tuple[tuple[str, ...], ...]


@dataclass(slots=True, kw_only=True)
class Branch:
    """One target's side of the conversation; `waiting` are the calls that have no result yet."""

    name: str
    adapter: Path | None
    messages: list[Message] = field(default_factory=list)
    answer: Answer | None = None
    waiting: list[str] = field(default_factory=list)


class Chat:
    """A conversation with one base and its adapters. Everything that is asked of one is asked of all."""

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        dialect: Dialect,
        *,
        targets: Sequence[tuple[str, Path | None]],
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        system: str | None,
    ) -> None:
        self._engine = engine
        self._renderer = renderer
        self._dialect = dialect
        self._sampling = sampling
        self.tools = tuple(tools)
        self.system = system
        self.branches = [Branch(name=name, adapter=adapter) for name, adapter in targets]

    def reset(self) -> None:
        """Forget the conversation; tools and system text stay."""
        for branch in self.branches:
            branch.messages.clear()
            branch.waiting.clear()
            branch.answer = None

    def ask(self, text: str) -> list[Answer]:
        """Ask every target and return their answers, in order. Raises RecordError if the chat template refuses."""
        with self._all_or_nothing():
            for branch in self.branches:
                branch.messages.append(Message(role="user", content=text))
                branch.waiting.clear()
            return [self._answer(branch) for branch in self.branches]

    def result(self, name: str, content: str) -> list[Answer]:
        """Hand the result of a tool to every target that waits for it; return the answers of those that wait no more.

        Raises UsageError if none has called that tool.
        """
        called = [branch for branch in self.branches if name in branch.waiting]
        if not called:
            waiting = sorted({call for branch in self.branches for call in branch.waiting})
            remedy = f"Waiting for: {', '.join(waiting)}." if waiting else "Ask a question first."
            raise UsageError(f"no answer has called {name!r} and waits for its result", remedy=remedy)
        with self._all_or_nothing():
            for branch in called:
                branch.waiting.remove(name)
                branch.messages.append(Message(role="tool", content=content, name=name))
            return [self._answer(branch) for branch in called if not branch.waiting]

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Take back what was said if not everyone could be asked (a refusal of the template, Ctrl-C)."""
        before = [(list(branch.messages), list(branch.waiting)) for branch in self.branches]
        try:
            yield
        except BaseException:
            for branch, (messages, waiting) in zip(self.branches, before, strict=True):
                branch.messages, branch.waiting = messages, waiting
            raise

    def _sample(self, branch: Branch) -> Sample:
        system = [Message(role="system", content=self.system)] if self.system else []
        return Sample(id="chat", messages=(*system, *branch.messages), tools=self.tools, expect="no_call")

    def _answer(self, branch: Branch) -> Answer:
        sample = self._sample(branch)
        rendered = self._renderer.render(sample)
        prompt = Prompt(
            key="chat",
            sample=sample,
            repeat=0,
            text=rendered.text,
            token_ids=rendered.token_ids,
            sampling=self._sampling,
            seed=self._sampling.seed,
        )
        self._engine.use_adapter(branch.adapter)
        generation = next(iter(self._engine.generate([prompt])))
        reply = None
        if generation.status == "ok":
            reply = self._dialect.parse(
                generation.text,
                truncated=generation.finish_reason == "length",
                tool_names=[tool.name for tool in self.tools],
            )
            branch.messages.append(_turn(generation.text, reply))
        elif branch.messages[-1].role == "user":
            branch.messages.pop()  # a question without an answer would stand before the next one
        problems = tuple(self._problems(call) for call in reply.calls) if reply is not None else ()
        branch.waiting = [call.name for call in branch.messages[-1].tool_calls] if reply is not None else []
        branch.answer = Answer(target=branch.name, generation=generation, reply=reply, problems=problems)
        return branch.answer

    def _problems(self, call: ParsedCall) -> tuple[str, ...]:
        if call.name is None or call.arguments is None:
            return tuple(call.problems) or ("not a call",)
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        if tool is None:
            return (f"no tool {call.name!r} is offered",)
        return tuple(map(_violation, compiled(tool).violations(call.arguments)))

    def record(
        self, branch: Branch, expect: Expect | None = None, calls: Sequence[ToolCall] | None = None
    ) -> dict[str, Json]:
        """Return the conversation up to the last question as a record, with what is right for it.

        What is right is `expect` (and `calls`) as the user says, else the target's own answer if it is usable: plain
        text, or calls that are valid. Raises UsageError where nothing can be taken.
        """
        messages = list(branch.messages)
        while messages and messages[-1].role == "assistant":
            messages.pop()
        if not messages:
            raise UsageError("there is no question to save yet", remedy="Ask one first.")
        reply: str | None = None
        if expect is None:
            expect, calls, reply = self._own_answer(branch)
        system = [Message(role="system", content=self.system)] if self.system else []
        sample = Sample(
            id="chat",
            messages=(*system, *messages),
            tools=self.tools,
            expect=expect,
            gold=tuple(_gold(call) for call in calls or ()),
            reply=reply,
            tags={"source": "chat", "answered_by": branch.name},
        )
        record = record_from_sample(sample)
        digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode("utf-8", "backslashreplace"))
        record |= {"id": f"chat-{digest.hexdigest()[:12]}", "cluster": f"chat-{digest.hexdigest()[:12]}"}
        sample_from_record(record, {}, where="this conversation")
        return record

    def _own_answer(self, branch: Branch) -> tuple[Expect, Sequence[ToolCall], str | None]:
        answer = branch.answer
        if answer is None or answer.reply is None:
            raise UsageError(f"{branch.name} has not answered, so it is not known what is right", remedy=_SAY)
        if not answer.reply.attempted and answer.reply.content.strip():
            return "no_call", (), answer.reply.content
        if answer.reply.status != "ok" or any(answer.problems):
            raise UsageError(
                f"the answer of {branch.name} is neither text nor a valid call, so it is not taken as right",
                remedy=_SAY,
            )
        return "call", branch.messages[-1].tool_calls, None


_SAY = "Say what is right: /save FILE no_call, /save FILE ask, or /save FILE call NAME {ARGUMENTS}"


def save_record(path: Path, record: dict[str, Json]) -> bool:
    """Append a record to a JSONL file; return False if its id stands there already. Raises StorageError."""
    wanted = json.dumps(record["id"])
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            if any(wanted in line for line in file):
                return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror or error}", where=path) from None
    lines = LineAppender(path)
    lines.append(record)
    lines.close()
    return True


def _turn(text: str, reply: ParsedReply) -> Message:
    """Return the assistant's turn as the next prompt shows it: calls as calls where they could be read."""
    if reply.status != "ok":
        return Message(role="assistant", content=text)
    calls = tuple(
        ToolCall(name=call.name, arguments=call.arguments)
        for call in reply.calls
        if call.name is not None and call.arguments is not None
    )
    return Message(role="assistant", content=reply.content.strip(), tool_calls=calls)


def _gold(call: ToolCall) -> GoldCall:
    return GoldCall(
        name=call.name,
        arguments={key: GoldArgument(accept=(value,)) for key, value in call.arguments.items()},
    )


def _violation(found: Violation) -> str:
    if found.code == "V2" and found.keyword == "limits":
        return "the arguments are too large or too deep to check"
    why = _WHY.get(found.code, "breaks the schema")
    if found.code in ("V3", "V2") and found.keyword not in ("type", ""):
        why = f"breaks {found.keyword}"
    return f"{found.path} {why}" if found.path else why
