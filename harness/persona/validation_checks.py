"""The single measurements of a persona metric on itself (see `validation`)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from harness.data.leakage import share_of
from harness.persona.judgement import Asked, judge_reply
from harness.persona.profile import PersonaProfile
from harness.persona.references import Probe
from harness.persona.style.calibration import expected_calibration_error, probability_of
from harness.persona.style.classifier import cross_validated
from harness.persona.style.examples import PERSONA, SAME, StyleExample
from harness.persona.style.features import View, masked_view
from harness.persona.style.prevalence import Scores, adjusted_prevalence
from harness.persona.style.ranking import Auc, auc_with_interval

MIX = (0.0, 0.25, 0.5, 0.75, 1.0)
PERMUTATIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A reference and what the style score says of it, not having been fitted on it."""

    example: StyleExample
    decision: float
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """One planted corpus: the share of replies that are the persona's, and the share measured."""

    planted: float
    measured: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeVerdict:
    """A probe, whether it was judged as expected, and which checks failed it."""

    probe: Probe
    as_expected: bool
    failed: tuple[str, ...]


def scored_by(profile: PersonaProfile, examples: Sequence[StyleExample]) -> list[Scored]:
    """Return the scores of replies that the profile was not fitted on."""
    assert profile.style is not None
    found = []
    for example in examples:
        decision = profile.style.decision(example.reply)
        found.append(
            Scored(
                example=example,
                decision=decision,
                probability=probability_of(decision),
            )
        )
    return found


def scored_out_of_fold(profile: PersonaProfile) -> list[Scored]:
    """Return the scores of the profile's own references, each fitted without its prompt."""
    assert profile.style is not None
    return [
        Scored(
            example=one.example,
            decision=one.decision,
            probability=probability_of(one.decision),
        )
        for one in profile.style.out_of_fold
    ]


def cut_out_of_fold(profile: PersonaProfile) -> list[Scored]:
    """Return the scores of how the profile's own references begin, each fitted without its prompt."""
    assert profile.style is not None
    return [
        Scored(example=one.example, decision=one.decision, probability=probability_of(one.decision))
        for one in profile.style.cut_out_of_fold
    ]


def auc_of(scored: Sequence[Scored], negatives: str) -> Auc | None:
    """Return the AUC of persona against one kind of neutral replies; None where one of them is missing."""
    own = [(one.example.group, one.decision) for one in scored if one.example.kind == PERSONA]
    other = [(one.example.group, one.decision) for one in scored if one.example.kind == negatives]
    return auc_with_interval(own, other) if own and other else None


def permuted_auc(examples: Sequence[StyleExample], view: View) -> tuple[float, float, float]:
    """Return mean, lowest and highest AUC of classifiers taught with labels swapped within prompts by a coin.

    There is nothing to learn then but which prompt is which: an AUC far from .5 means that held-out prompts leak.
    """
    paired = [example for example in examples if example.kind in (PERSONA, SAME)]
    values = []
    for round_ in range(PERMUTATIONS):
        coins: dict[str, bool] = {}
        labels = []
        for example in paired:
            key = f"{example.prompt}/{example.version}"
            coin = coins.setdefault(key, random.Random(f"{round_} {key}").random() < 0.5)
            labels.append(example.label != coin)
        found = cross_validated(paired, view, labels)
        own = [(one.example.group, one.decision) for one, label in zip(found, labels, strict=True) if label]
        other = [
            (one.example.group, one.decision) for one, label in zip(found, labels, strict=True) if not label
        ]
        values.append(auc_with_interval(own, other).value)
    return math.fsum(values) / len(values), min(values), max(values)


def masked_auc(profile: PersonaProfile, examples: Sequence[StyleExample]) -> Auc:
    """Return the cross-validated AUC against neutral_same of the view without content words."""
    view = masked_view(
        profile.card, [example.reply for example in examples], [example.prompt for example in examples]
    )
    found = cross_validated(examples, view)
    return auc_with_interval(
        [(one.example.group, one.decision) for one in found if one.example.kind == PERSONA],
        [(one.example.group, one.decision) for one in found if one.example.kind == SAME],
    )


def calibration_error(scored: Sequence[Scored]) -> float:
    """Return the expected calibration error over persona and neutral_same replies."""
    used = [one for one in scored if one.example.kind in (PERSONA, SAME)]
    return expected_calibration_error([one.probability for one in used], [one.example.label for one in used])


def judged_probes(profile: PersonaProfile, probes: Sequence[Probe]) -> list[ProbeVerdict]:
    """Return the verdict on every probe: `accept` if no check fails, `reject` if one of those it names does."""
    found = []
    for probe in probes:
        # A genuine reply may be a held-out reference, which is indexed too.
        asked = Asked(question=probe.question, facts=probe.facts, is_reference=probe.verdict == "accept")
        judged = judge_reply(profile, asked, probe.reply)
        expected = judged.accepted if probe.verdict == "accept" else bool(set(judged.failed) & set(probe.by))
        found.append(ProbeVerdict(probe=probe, as_expected=expected, failed=judged.failed))
    return found


def measured_mixtures(scored: Sequence[Scored], calibration: Sequence[Scored]) -> list[Mixture]:
    """Return planted against measured shares of corpora mixed from persona and neutral_same replies, prompt by prompt.

    `calibration` gives the classifier's rates. Where it is the same as `scored`, each half of the prompts is corrected by
    the rates of the other, so that nothing is corrected by itself.
    """
    prompts = sorted({one.example.prompt for one in scored}, key=lambda prompt: (share_of(prompt), prompt))
    if scored is not calibration:
        return [_mixture(scored, prompts, calibration, share) for share in MIX]
    halves = (set(prompts[::2]), set(prompts[1::2]))
    found = []
    for share in MIX:
        both = [
            _mixture(
                [one for one in scored if one.example.prompt in half],
                [prompt for prompt in prompts if prompt in half],
                [one for one in scored if one.example.prompt not in half],
                share,
            )
            for half in halves
        ]
        found.append(
            Mixture(
                planted=sum(one.planted for one in both) / 2, measured=sum(one.measured for one in both) / 2
            )
        )
    return found


def _mixture(
    scored: Sequence[Scored],
    prompts: Sequence[str],
    calibration: Sequence[Scored],
    share: float,
) -> Mixture:
    in_character = set(prompts[: round(share * len(prompts))])
    used = [
        one for one in scored if one.example.kind == (PERSONA if one.example.prompt in in_character else SAME)
    ]
    found = adjusted_prevalence(
        _scores(used),
        _scores([one for one in calibration if one.example.kind == PERSONA]),
        _scores([one for one in calibration if one.example.kind == SAME]),
    )
    planted = sum(one.example.label for one in used) / len(used) if used else share
    return Mixture(planted=planted, measured=found.value if found is not None else math.nan)


def _scores(scored: Sequence[Scored]) -> Scores:
    return [(one.example.group, one.probability) for one in scored]
