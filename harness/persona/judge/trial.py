"""The replies of known truth on which a judge is tried before its numbers are believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.persona.card import PersonaCard
from harness.persona.judge.master_keys import master_keys
from harness.persona.judge.pairwise import Pair
from harness.persona.judge.subject import JudgedReply
from harness.persona.references import Probe, Reference, load_probes, load_references, splits_of

TRUE, NEUTRAL = "persona", "neutral_same"
JUDGED_CHECKS = frozenset({"style", "empty"})
"""Probes that a check-list must reject name one of these checks; the others are for the deterministic checks to find."""

MIN_QUESTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProbe:
    """A probe as the judge gets it. `accept` is what must come out, `counts` whether the judge must get it right."""

    judged: JudgedReply
    kind: str
    accept: bool
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """True and neutral replies to tune the threshold on and held-out ones to measure on, probes, keys, and pairs.

    In a pair `base` is the neutral reply and `other` the true one.
    """

    tuning: tuple[tuple[JudgedReply, bool], ...]
    held_out: tuple[tuple[JudgedReply, bool], ...]
    probes: tuple[TrialProbe, ...]
    keys: tuple[JudgedReply, ...]
    pairs: tuple[Pair, ...]

    def replies(self) -> tuple[JudgedReply, ...]:
        """Return all replies that the check-list is asked about."""
        labelled = (one for one, _ in (*self.tuning, *self.held_out))
        return (*labelled, *(probe.judged for probe in self.probes), *self.keys)


def make_trial(card: PersonaCard, *, tuning: str = "validation", held_out: str = "test") -> Trial:
    """Return the trial of a card's references and probes.

    Raises SpecError for a split that is not there, UsageError if it holds too few questions with both kinds of reply.
    """
    there = splits_of(card)
    if tuning == held_out:
        raise UsageError(
            f"the judge's threshold would be chosen on the replies that it is measured on ({tuning})",
            where=card.path,
            remedy="Name two splits: --tuning-split and --held-out-split.",
        )
    for split in (tuning, held_out):
        if split not in there:
            raise UsageError(
                f"the references have no split {split!r} to try a judge on",
                where=card.path,
                remedy=f"They have {', '.join(there)}: name two with --tuning-split and --held-out-split.",
            )
    references = {split: _with_both(load_references(card, split)) for split in (tuning, held_out)}
    for split, found in references.items():
        if len(found) < MIN_QUESTIONS:
            raise UsageError(
                f"{len(found)} questions of {split} have both a persona reply and a neutral one of the same speech "
                f"level; a judge is tried on {MIN_QUESTIONS} or more",
                where=card.path,
                remedy='Add "neutral_same" replies, or name another split.',
            )
    tested = references[held_out]
    return Trial(
        tuning=_labelled(references[tuning]),
        held_out=_labelled(tested),
        probes=tuple(_probe(probe) for probe in load_probes(card)),
        keys=master_keys(card.language.code, [(one.cluster, one.question) for one in tested]),
        pairs=tuple(_pair(one) for one in tested),
    )


def _with_both(references: Sequence[Reference]) -> list[Reference]:
    return [one for one in references if one.replies.get(TRUE) and one.replies.get(NEUTRAL)]


def _labelled(references: Sequence[Reference]) -> tuple[tuple[JudgedReply, bool], ...]:
    return tuple(
        (
            JudgedReply(
                id=f"{one.id}/{kind}/{version}", question=one.question, reply=reply, cluster=one.cluster
            ),
            kind == TRUE,
        )
        for one in references
        for kind in (TRUE, NEUTRAL)
        for version, reply in sorted(one.replies[kind].items())
    )


def _probe(probe: Probe) -> TrialProbe:
    accept = probe.verdict == "accept"
    return TrialProbe(
        judged=JudgedReply(id=probe.id, question=probe.question, reply=probe.reply, cluster=probe.id),
        kind=probe.kind,
        accept=accept,
        counts=accept or bool(JUDGED_CHECKS & set(probe.by)),
    )


def _pair(one: Reference) -> Pair:
    """Return the first version of the neutral reply against the first of the true one."""
    neutral, true = (min(one.replies[kind].items())[1] for kind in (NEUTRAL, TRUE))
    return Pair(id=one.id, question=one.question, base=neutral, other=true, cluster=one.cluster)
