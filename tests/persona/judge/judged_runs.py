"""Run folders of the shipped founder whose replies are of known truth, and judges that know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from harness.persona.card import PersonaCard, load_card
from harness.persona.judge.subject import JudgedPersona, judged_persona
from harness.persona.judge.trial import Trial, make_trial
from harness.persona.references import load_probes, load_references
from tests.conftest import ROOT
from tests.persona.judge.stub_judge import uniform
from tests.unit.scored_runs import Planted, write_run

CARD = ROOT / "suites" / "persona" / "founder_ko"


@cache
def founder() -> PersonaCard:
    return load_card(CARD)


@cache
def persona() -> JudgedPersona:
    return judged_persona(founder())


@cache
def trial() -> Trial:
    return make_trial(founder())


@cache
def small_trial() -> Trial:
    """Return a trial of a few questions, for tests that are not about its figures."""
    whole = trial()
    return replace(
        whole,
        tuning=whole.tuning[:16],
        held_out=whole.held_out[:32],
        probes=whole.probes[-8:],
        pairs=whole.pairs[:8],
    )


@cache
def true_replies() -> frozenset[str]:
    """Every reply in character, and the probes that a check-list is not asked to reject."""
    found = {
        reply
        for split in ("train", "validation", "test")
        for one in load_references(founder(), split)
        for reply in one.replies["persona"].values()
    }
    rejected = {probe.judged.reply for probe in trial().probes if probe.counts and not probe.accept}
    accepted = {probe.reply for probe in load_probes(founder())} - rejected
    return frozenset((found | accepted) - rejected)


def in_character(reply: str) -> bool:
    """Return the planted truth about a reply as the judge reads it."""
    return reply in true_replies()


def write_replies(
    folder: Path, rate: float, *, choose: Callable[[str, float], bool] | None = None, **changes: object
) -> tuple[Path, float]:
    """Write a run over the training questions, a share `rate` of them answered in character; return it and the share."""
    samples = []
    for one in load_references(founder(), "train"):
        true = uniform("answers", folder.name, one.id) < rate if choose is None else choose(one.id, rate)
        kind = "persona" if true else "neutral_same"
        samples.append(
            Planted(id=one.id, reply=one.replies[kind]["A"], question=one.question, cluster=one.cluster)
        )
    share = sum(in_character(sample.reply) for sample in samples) / len(samples)
    return write_run(folder, samples, **changes), share
