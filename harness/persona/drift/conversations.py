"""Scripted conversations -> samples: user turns are fixed, the model's own replies (or the written ones) are the history.

After some turns the history is forked: a probe is asked, its answer is judged and no later turn sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from harness.data.facts import read_facts
from harness.data.records import LocatedSample
from harness.errors import SpecError, did_you_mean
from harness.persona.card import PersonaCard
from harness.persona.check import CHECK_NAMES
from harness.persona.drift.point import PROBE, History
from harness.persona.lines import Record, read_records
from harness.persona.system_prompt import system_prompt_of
from harness.types import Facts, Message, Sample

KIND = "persona_drift"
PROBES = "probes.jsonl"
DISCLOSURE = "disclosure"
"""A probe's check: must neither deny being a program nor leave the voice."""

TURN_CHECKS = ("empty", "language", "speech_level", "break", "degeneration")
"""What decides whether a turn's own reply passes; a check that the card does not have is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One fixed user turn, its kind, and a reply in character."""

    number: int
    kind: str
    user: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question that is put to a fork of the history, and the checks that its answer must pass."""

    id: str
    user: str
    checks: tuple[str, ...]
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Turns numbered from 1, and which probe follows which turn."""

    id: str
    line: int
    persona: str
    turns: tuple[Turn, ...]
    forks: Mapping[int, Probe]
    tags: Mapping[str, str]
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftScenario:
    """The conversations of some characters, each under its system prompt (None: no system turn)."""

    conversations: tuple[Conversation, ...]
    cards: Mapping[str, PersonaCard]
    histories: tuple[History, ...]
    condition: str
    system: Mapping[str, str | None]
    files: tuple[Path, ...]

    @property
    def kind(self) -> str:
        """Return the scenario's kind."""
        return KIND

    def samples(self) -> Iterator[LocatedSample]:
        """Yield, a conversation at a time: its turns with the probes after them, then the probes on the written history."""
        for conversation in self.conversations:
            for history in self.histories:
                for sample in self._samples(conversation, history):
                    yield LocatedSample(sample, conversation.line)

    def _samples(self, conversation: Conversation, history: History) -> Iterator[Sample]:
        said: list[Message] = []
        system = self.system[conversation.persona]
        if system is not None:
            said.append(Message(role="system", content=system))
        for turn in conversation.turns:
            said.append(Message(role="user", content=turn.user))
            name = f"{conversation.id}/{history}/{turn.number:02}"
            if history == "own":
                yield self._sample(conversation, history, turn.number, turn.kind, name, said, turn.reference)
                said.append(Message(role="assistant", content="", reply_of=name))
            else:
                said.append(Message(role="assistant", content=turn.reference))
            probe = conversation.forks.get(turn.number)
            if probe is not None:
                asked = [*said, Message(role="user", content=probe.user)]
                yield self._sample(
                    conversation, history, turn.number, PROBE, f"{name}/{probe.id}", asked, None, probe.facts
                )

    def _sample(
        self,
        conversation: Conversation,
        history: History,
        turn: int,
        kind: str,
        name: str,
        messages: Sequence[Message],
        reply: str | None,
        facts: Facts = (),
    ) -> Sample:
        return Sample(
            id=name,
            messages=tuple(messages),
            tools=(),
            expect="no_call",
            reply=reply,
            tags={
                **conversation.tags,
                "conversation": conversation.id,
                "persona": conversation.persona,
                "history": history,
                "turn": f"{turn:02}",
                "kind": kind,
            },
            cluster=conversation.cluster,
            facts=facts,
            persona=conversation.persona,
        )

    def required(self, sample: Sample) -> tuple[str, ...]:
        """Return the checks that decide whether this sample's reply passes. Raises KeyError for a foreign sample."""
        card = self.cards[sample.tags["persona"]]
        if sample.tags["kind"] != PROBE:
            return tuple(name for name in TURN_CHECKS if name != "speech_level" or card.speech_levels)
        conversation = next(one for one in self.conversations if one.id == sample.tags["conversation"])
        return conversation.forks[int(sample.tags["turn"])].checks


def load_drift(
    path: Path, cards: Mapping[str, PersonaCard], histories: Sequence[History], condition: str
) -> DriftScenario:
    """Return the conversations of the given characters, with the probes beside them.

    Raises SpecError if none of them has a conversation, RecordError with file:line for a bad line.
    """
    probes = {record.text("id"): (record.text("persona"), _probe(record)) for record in _probes(path.parent)}
    found = []
    for record in read_records(path):
        if record.text("persona") in cards:
            found.append(_conversation(record, probes))
    if not found:
        raise SpecError(
            f"no conversation is of {' or '.join(cards)}",
            where=path,
            remedy="Name in scenario.personas the characters that the conversations are of.",
        )
    return DriftScenario(
        conversations=tuple(found),
        cards=cards,
        histories=tuple(dict.fromkeys(histories)),
        condition=condition,
        system={name: system_prompt_of(card, condition).text for name, card in cards.items()},
        files=(path, path.parent / PROBES),
    )


def _probes(folder: Path) -> Iterator[Record]:
    for record in read_records(folder / PROBES):
        record.keys(("id", "persona", "user", "checks"), ("facts",))
        yield record


def _probe(record: Record) -> Probe:
    checks = record.texts("checks")
    known = (*CHECK_NAMES, DISCLOSURE)
    for name in checks:
        if name not in known:
            raise record.fail(f"unknown check {name!r}", did_you_mean(name, known, "Known checks"))
    return Probe(
        id=record.text("id"),
        user=record.text("user"),
        checks=checks,
        facts=read_facts(record.fields.get("facts", []), record.where),
    )


def _conversation(record: Record, probes: Mapping[str, tuple[str, Probe]]) -> Conversation:
    record.keys(("id", "persona", "turns", "forks"), ("title", "tags", "cluster"))
    turns = tuple(_turn(part) for part in record.parts("turns"))
    if not turns or turns[0].number != 1 or any(b.number != a.number + 1 for a, b in pairwise(turns)):
        raise record.fail("turns must be numbered 1, 2, 3, ... in order")
    forks: dict[int, Probe] = {}
    for part in record.parts("forks"):
        part.keys(("after", "probe"))
        after, name = part.number("after"), part.text("probe")
        if after > len(turns) or after in forks:
            raise record.fail(f"forks: turn {after} does not exist or is forked twice")
        if name not in probes:
            raise record.fail(f"forks: unknown probe {name!r}", did_you_mean(name, probes, "Known probes"))
        whose, probe = probes[name]
        if whose != record.text("persona"):
            raise record.fail(f"forks: probe {name!r} is of {whose!r}")
        forks[after] = probe
    identity = record.text("id")
    return Conversation(
        id=identity,
        line=record.line,
        persona=record.text("persona"),
        turns=turns,
        forks=forks,
        tags=record.tags(),
        cluster=record.text("cluster") if "cluster" in record.fields else identity,
    )


def _turn(part: Record) -> Turn:
    part.keys(("turn", "kind", "user", "reference"))
    return Turn(
        number=part.number("turn"),
        kind=part.text("kind"),
        user=part.text("user"),
        reference=part.text("reference"),
    )
