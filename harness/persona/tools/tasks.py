"""Tool tasks -> samples: each task under a neutral and a persona prompt, the closing turn after its results, and chat.

`side` says which: `call` (what does the model do with the question), `after` (what does it say once the results of the
expected calls are there), `chat` (the character's prompts of the same split, no tools).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from harness.data.facts import read_facts
from harness.data.records import LocatedSample, iter_samples
from harness.errors import SpecError
from harness.persona.card import PersonaCard
from harness.persona.lines import Record, read_records
from harness.persona.references import Reference, load_references, split_path
from harness.types import Facts, Message, Sample, ToolCall, ToolSpec

KIND = "persona_tools"
AFTER, CONDITIONS_FILE = "after.jsonl", "conditions.jsonl"
NEUTRAL_REPLY = "neutral_formal"

Side = Literal["call", "after", "chat"]
SIDES: tuple[Side, ...] = get_args(Side)
Condition = Literal["neutral", "persona"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the tools return for a task's expected calls, what the closing reply must say, and written closing replies."""

    results: tuple[tuple[str, str], ...]
    facts: Facts
    replies: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsScenario:
    """Tasks, endings and prompts; `prompts` by (persona, condition)."""

    tasks: tuple[LocatedSample, ...]
    endings: Mapping[str, Ending]
    cards: Mapping[str, PersonaCard]
    prompts: Mapping[tuple[str, Condition], str]
    chat: Mapping[str, tuple[Reference, ...]]
    files: tuple[Path, ...]

    @property
    def kind(self) -> str:
        """Return the scenario's kind."""
        return KIND

    @property
    def condition(self) -> str:
        """Return that every task is asked under both prompts."""
        return "both"

    def samples(self) -> Iterator[LocatedSample]:
        """Yield, for each character and prompt, every task, its closing turn, and then chat."""
        for persona in self.cards:
            for condition in CONDITIONS:
                for located in self.tasks:
                    yield from self._of_task(located, persona, condition)
                for reference in self.chat[persona]:
                    yield LocatedSample(self._chat(reference, persona, condition), 0)

    def _of_task(self, located: LocatedSample, persona: str, condition: Condition) -> Iterator[LocatedSample]:
        task = located.sample
        ending = self.endings.get(task.id)
        written = ending.replies.get(persona if condition == "persona" else NEUTRAL_REPLY) if ending else None
        asked = (self._system(persona, condition), *task.messages)
        about = self._about(task, persona, condition)
        yield LocatedSample(
            replace(
                task,
                id=f"{persona}/{condition}/{task.id}",
                messages=asked,
                reply=None if task.gold else written or task.reply,
                tags={**about, "side": "call"},
                persona=persona,
            ),
            located.line,
        )
        if ending is None or not ending.results:
            return
        calls = tuple(
            ToolCall(name=gold.name, arguments={key: a.accept[0] for key, a in gold.arguments.items()})
            for gold in task.gold
        )
        turns = (
            Message(role="assistant", content="", tool_calls=calls),
            *(Message(role="tool", name=name, content=content) for name, content in ending.results),
        )
        yield LocatedSample(
            replace(
                task,
                id=f"{persona}/{condition}/{task.id}/after",
                messages=(*asked, *turns),
                expect="no_call",
                gold=(),
                reply=written,
                tags={**about, "side": "after"},
                facts=ending.facts,
                persona=persona,
            ),
            located.line,
        )

    def _chat(self, reference: Reference, persona: str, condition: Condition) -> Sample:
        kind = "persona" if condition == "persona" else NEUTRAL_REPLY
        return Sample(
            id=f"{persona}/{condition}/chat/{reference.id}",
            messages=(
                self._system(persona, condition),
                Message(role="user", content=reference.question),
            ),
            tools=(),
            expect="no_call",
            reply=next(iter(reference.replies.get(kind, {}).values()), None),
            tags={
                "language": self.cards[persona].language.code,
                "category": reference.category,
                "persona": persona,
                "condition": condition,
                "side": "chat",
            },
            cluster=reference.cluster,
            facts=reference.facts,
            persona=persona,
        )

    def _system(self, persona: str, condition: Condition) -> Message:
        return Message(role="system", content=self.prompts[persona, condition])

    @staticmethod
    def _about(task: Sample, persona: str, condition: Condition) -> dict[str, str]:
        return {**task.tags, "task": task.id, "persona": persona, "condition": condition}

    def results_of(self, sample: Sample) -> tuple[str, ...]:
        """Return the tool results that the sample's conversation holds."""
        return tuple(message.content for message in sample.messages if message.role == "tool")


def load_tasks(
    path: Path, cards: Mapping[str, PersonaCard], tools: Mapping[str, ToolSpec], *, chat: bool
) -> ToolsScenario:
    """Return the tasks of a split with after.jsonl and conditions.jsonl beside it.

    The chat prompts are of the split that the tasks' file is named after: nothing is to be chosen by the test prompts. A
    character without a line in conditions.jsonl is asked under the prompts of its card. Raises SpecError for a missing
    file, split or prompt, RecordError with file:line for a bad line or results that do not fit the expected calls.
    """
    tasks = tuple(iter_samples(path, tools))
    after, conditions = path.parent / AFTER, path.parent / CONDITIONS_FILE
    files = [path, after, conditions]
    asked: dict[str, tuple[Reference, ...]] = dict.fromkeys(cards, ())
    for name, card in cards.items():
        if chat:
            asked[name] = load_references(card, path.stem)
            files.append(split_path(card, path.stem))
    return ToolsScenario(
        tasks=tasks,
        endings=_endings(after, {located.sample.id: located.sample for located in tasks}),
        cards=cards,
        prompts=_prompts(conditions, cards),
        chat=asked,
        files=tuple(files),
    )


def _endings(path: Path, tasks: Mapping[str, Sample]) -> dict[str, Ending]:
    found: dict[str, Ending] = {}
    for record in read_records(path):
        record.keys(("id", "record", "results", "facts", "replies"))
        task = tasks.get(record.text("record"))
        if task is None:
            raise record.fail(f"record: there is no task {record.text('record')!r}")
        if task.id in found:
            raise record.fail(f"the task {task.id!r} has two endings")
        results = tuple(_result(part) for part in record.parts("results"))
        if [name for name, _ in results] != [call.name for call in task.gold]:
            raise record.fail(
                "results must be those of the expected calls, in their order",
                f"Expected: {', '.join(call.name for call in task.gold) or 'none'}.",
            )
        replies = record.fields["replies"]
        if not isinstance(replies, dict) or not all(isinstance(one, str) for one in replies.values()):
            raise record.fail("replies must be an object of texts")
        facts = read_facts(record.fields["facts"], record.where)
        found[task.id] = Ending(results=results, facts=facts, replies=replies)
    return found


def _result(part: Record) -> tuple[str, str]:
    part.keys(("name", "content"))
    return part.text("name"), part.text("content")


def _prompts(path: Path, cards: Mapping[str, PersonaCard]) -> dict[tuple[str, Condition], str]:
    written: dict[str | None, str] = {}
    for record in read_records(path):
        record.keys(("id", "persona", "system"))
        whose = record.fields["persona"]
        if whose is not None and not isinstance(whose, str):
            raise record.fail("persona must be a name, or null for the neutral prompt")
        written[whose] = record.text("system")
    found: dict[tuple[str, Condition], str] = {}
    for name, card in cards.items():
        own = written.get(name)
        neutral = written.get(None) if own is not None else card.neutral_system_prompt
        if neutral is None:
            raise SpecError(
                f"there is no neutral system prompt for {name!r}",
                where=path,
                remedy="Add a line with persona: null, or neutral_system_prompt to the card.",
            )
        found[name, "persona"] = own if own is not None else card.system_prompt
        found[name, "neutral"] = neutral
    return found
