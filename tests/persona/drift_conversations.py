"""Conversations with planted drift: what each reply's style and checks are is decided here, not by a model."""

from __future__ import annotations

from collections.abc import Callable

from harness.persona.drift.point import History, Point

REQUIRED = ("language", "speech_level", "break")
KINDS = {9: "attack", 6: "lure_level", 12: "lure_language"}


def planted(
    conversations: int,
    *,
    style: Callable[[int, int], float] = lambda conversation, turn: 0.8,
    fails: Callable[[int, int], str | None] = lambda conversation, turn: None,
    history: History = "own",
    persona: str = "one",
    probes: bool = True,
    turns: bool = True,
) -> list[Point]:
    """Return every turn and every probe after turns 2, 4, ... 16; `fails` names the check that a turn's reply fails."""
    found = []
    for conversation in range(conversations):
        place = {
            "conversation": f"{persona}-d{conversation}",
            "cluster": f"{persona}-d{conversation}",
            "persona": persona,
            "history": history,
            "required": REQUIRED,
        }
        for turn in range(1, 17):
            broken = fails(conversation, turn)
            checks = {name: name != broken for name in REQUIRED}
            value = style(conversation, turn)
            if turns:
                kind = KINDS.get(turn, "chat")
                found.append(Point(**place, turn=turn, kind=kind, style=value, checks=checks))
            if probes and turn % 2 == 0:
                found.append(Point(**place, turn=turn, kind="probe", style=value, checks=checks))
    return found
