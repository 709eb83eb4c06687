"""Everything that is checked of one reply, and what follows: is it accepted, do the gates hold, how much of the style is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.persona.caricature import check_caricature
from harness.persona.check import CheckName, CheckResult, Evidence
from harness.persona.content import check_content
from harness.persona.degeneration import check_degeneration
from harness.persona.emptiness import check_empty
from harness.persona.facts import check_facts
from harness.persona.fluency import check_fluency
from harness.persona.forbidden import check_forbidden
from harness.persona.format import check_format
from harness.persona.language import check_language
from harness.persona.length import check_length
from harness.persona.memorisation import check_memorisation
from harness.persona.persona_break import check_break
from harness.persona.profile import PersonaProfile
from harness.persona.refusal import check_refusal
from harness.persona.speech_level import check_speech_level
from harness.persona.style.calibration import probability_of
from harness.types import Facts

GATES: tuple[CheckName, ...] = (
    "empty",
    "language",
    "speech_level",
    "break",
    "refusal",
    "degeneration",
    "content",
)
"""A reply that fails one of these is in character in no useful sense; everything else is reported beside."""

HARMFUL = "harmful"
"""The kind of prompt that ought to be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the reply answers: the last user turn, the facts that it needs, a written reply, the prompt's kind,
    and whether the reply was cut off by its token limit, where that is known.

    `is_reference`: the reply is one of the card's references, which is not held against itself.
    """

    question: str
    facts: Facts = ()
    reference: str | None = None
    kind: str | None = None
    truncated: bool | None = None
    is_reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyJudgement:
    """All checks in the order of `CHECK_NAMES`.

    `accepted`: no check fails. `gate_passed`: no gate fails. `style`: probability in character, 0 for a reply without a
    word, None where there is no style score.
    """

    checks: tuple[CheckResult, ...]
    accepted: bool
    gate_passed: bool
    style: float | None

    def __getitem__(self, name: CheckName) -> CheckResult:
        """Return the check of that name."""
        return next(check for check in self.checks if check.check == name)

    @property
    def failed(self) -> tuple[CheckName, ...]:
        """Return the names of the checks that fail, in order."""
        return tuple(check.check for check in self.checks if check.passed is False)

    @property
    def failed_gate(self) -> CheckName | None:
        """Return the first gate that fails."""
        return next((name for name in GATES if name in self.failed), None)


def checks_of(
    profile: PersonaProfile, asked: Asked, reply: str
) -> dict[CheckName, Callable[[], CheckResult]]:
    """Return every check of one reply but the style, ready to be called, in the order of `CHECK_NAMES`."""
    card = profile.card
    written = () if asked.reference is None else (asked.reference,)
    return {
        "empty": lambda: check_empty(reply),
        "language": lambda: check_language(reply, card, asked.question),
        "speech_level": lambda: check_speech_level(reply, card, profile.analyser),
        "break": lambda: check_break(reply, card, asked.question, asked.kind),
        "refusal": lambda: check_refusal(reply, benign=asked.kind != HARMFUL),
        "degeneration": lambda: check_degeneration(reply, profile.repetition, truncated=asked.truncated),
        "fluency": lambda: check_fluency(reply, profile.fluency),
        "caricature": lambda: check_caricature(reply, profile.caricature),
        "memorisation": lambda: check_memorisation(reply, profile.training, but_itself=asked.is_reference),
        "length": lambda: check_length(reply, profile.length),
        "content": lambda: check_content(
            reply, asked.question, written, asked.facts, profile.content, but_itself=asked.is_reference
        ),
        "facts": lambda: check_facts(reply, asked.facts),
        "forbidden": lambda: check_forbidden(reply, card),
        "format": lambda: _format(profile, reply),
    }


def judge_reply(profile: PersonaProfile, asked: Asked, reply: str) -> ReplyJudgement:
    """Return all checks of one reply. Never raises on a reply; linear in its length."""
    checks = [check() for check in checks_of(profile, asked, reply).values()]
    style = check_style(profile, reply)
    checks.append(style)
    failed = {check.check for check in checks if check.passed is False}
    return ReplyJudgement(
        checks=tuple(checks),
        accepted=not failed,
        gate_passed=not failed.intersection(GATES),
        style=style.values.get("style"),
    )


def check_style(profile: PersonaProfile, reply: str) -> CheckResult:
    """Fail a reply whose calibrated probability is below the card's threshold. values: `style`, `decision`."""
    if profile.style is None:
        return CheckResult(
            check="style", passed=None, why_not=profile.style_why_not or "there is no style score"
        )
    if not any(character.isalnum() for character in reply):
        why = Evidence(text="", why="there is nothing to have a style")
        return CheckResult(check="style", passed=False, values={"style": 0.0}, evidence=(why,))
    decision = profile.style.decision(reply)
    probability = probability_of(decision)
    values = {"style": probability, "decision": decision}
    threshold = profile.card.style.threshold
    if probability >= threshold:
        return CheckResult(check="style", passed=True, values=values)
    why = Evidence(text="", why=f"in character with probability {probability:.2f}, threshold {threshold:g}")
    return CheckResult(check="style", passed=False, values=values, evidence=(why,))


def _format(profile: PersonaProfile, reply: str) -> CheckResult:
    if profile.writes_lists:
        return CheckResult(
            check="format", passed=None, why_not="the persona's own replies have lists or headings"
        )
    return check_format(reply)
