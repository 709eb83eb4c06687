"""The persona metric measured on itself: may its numbers be believed for this card?

Held-out authenticity, another character, permuted labels, what length and punctuation alone reach, adversarial probes,
planted mixtures, people's ratings, and the same numbers twice. Thresholds are fixed here, not in a card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from harness.errors import UsageError
from harness.persona import validation_checks as measured
from harness.persona.card import CARD, MIN_PAIRS, PersonaCard, load_card
from harness.persona.human_ratings import MIN_KAPPA, human_anchor, read_ratings
from harness.persona.profile import PersonaProfile, load_profile, paired_references, style_examples
from harness.persona.references import (
    check_splits_apart,
    count_pairs,
    load_probes,
    load_references,
    splits_of,
)
from harness.persona.speech_level import SpeechLevelAnalyser, check_speech_level
from harness.persona.style.comparison import compare_paired
from harness.persona.style.confounds import Confound, confound_table
from harness.persona.style.examples import FORMAL, PERSONA, SAME, StyleExample
from harness.persona.style.features import surface_view
from harness.persona.style.ranking import auc_with_interval
from harness.persona.validation_checks import Scored
from harness.persona.validation_report import ValidationCheck, ValidationReport

MIN_AUC = 0.85
MIN_AUC_LOW = 0.75
MIN_LEAD = 0.03
MAX_ECE = 0.1
MAX_VIEW_GAP = 0.1
MAX_PERMUTED = 0.1
MIN_PROBES = 0.9
MAX_MIX_ERROR = 0.1
MIN_HELD_OUT = 10
"""With fewer held-out pairs the references themselves are scored, each without its prompt."""

Progress = Callable[[str], None]


def validate_persona(
    card: PersonaCard,
    *,
    others: Sequence[PersonaCard] | None = None,
    ratings: Path | None = None,
    analyser: SpeechLevelAnalyser | None = None,
    progress: Progress = lambda said: None,
) -> ValidationReport:
    """Return the report, after a minute or so.

    `others` are characters to be told apart from (default: the cards in folders beside this one's), `ratings` a file of
    people's judgements. Raises UsageError naming the number needed for fewer than 40 pairs, and what loading raises.
    """
    check_splits_apart(card)
    pairs = count_pairs(load_references(card))
    needed = max(MIN_PAIRS, card.style.min_pairs)
    if pairs < needed:
        raise UsageError(
            f"{pairs} prompts have both a persona reply and a neutral one at the same speech level; "
            f"a validation takes {needed}",
            where=card.path,
            remedy=f"Write {needed - pairs} more pairs into the references (replies.persona and replies.neutral_same).",
        )
    progress("fitting")
    profile = load_profile(card, analyser)
    if profile.style is None:
        raise UsageError(str(profile.style_why_not), where=card.path)
    subject = _Subject(profile)
    checks = [_pairs(profile, needed), *_authenticity(subject)]
    progress("other characters")
    checks.append(_other_persona(subject, sibling_cards(card) if others is None else others))
    progress("permuted labels")
    checks.append(_permutation(subject))
    progress("confounds")
    confounds = confound_table(
        subject.fitted_on, SAME, lambda reply: check_speech_level(reply, card, profile.analyser)
    )
    checks += [_confounds(subject, confounds), _masked(subject), _calibration(subject)]
    progress("probes and mixtures")
    checks += [*_probes(profile), _mixing(subject), _human(profile, ratings)]
    progress("the same again")
    checks.append(_retest(subject))
    return ValidationReport(
        persona=card.name,
        identity=profile.identity,
        analyser=profile.analyser.identity,
        pairs=pairs,
        held_out=subject.held_out,
        checks=tuple(checks),
        confounds=confounds,
        warnings=profile.warnings,
    )


def sibling_cards(card: PersonaCard) -> list[PersonaCard]:
    """Return the other cards of the same language in the folders beside this card's."""
    found = []
    for path in sorted(card.folder.parent.glob(f"*/{CARD}")):
        if path.resolve() != card.path:
            other = load_card(path)
            if other.language.code == card.language.code and other.references is not None:
                found.append(other)
    return found


class _Subject:
    """The profile with its references, and scores of replies that it was not fitted on."""

    def __init__(self, profile: PersonaProfile) -> None:
        card = profile.card
        assert card.references is not None
        self.profile = profile
        self.fitted_on = style_examples(paired_references(load_references(card)))
        fitted_split = card.references.dataset.split
        splits = [split for split in splits_of(card) if split != fitted_split]
        held: tuple[StyleExample, ...] = style_examples(
            [one for split in splits for one in load_references(card, split)]
        )
        both = {one.prompt for one in held if one.kind == PERSONA} & {
            one.prompt for one in held if one.kind == SAME
        }
        self.out_of_fold = measured.scored_out_of_fold(profile)
        if len(both) >= MIN_HELD_OUT:
            self.held_out = f"{len(both)} prompts of {' and '.join(splits)}"
            self.scored: Sequence[Scored] = measured.scored_by(profile, held)
        else:
            self.held_out = "cross-validated: every reference scored by a fit without its prompt"
            self.scored = self.out_of_fold


def _pairs(profile: PersonaProfile, needed: int) -> ValidationCheck:
    return ValidationCheck(
        name="pairs",
        says="prompts with a persona reply and a neutral one at the same level",
        goal=f"at least {needed}",
        value=float(profile.pairs),
        n=profile.pairs,
        passed=profile.pairs >= needed,
    )


def _authenticity(subject: _Subject) -> list[ValidationCheck]:
    same = measured.auc_of(subject.scored, SAME)
    assert same is not None
    checks = [
        ValidationCheck(
            name="authenticity",
            says="AUC of held-out true replies against neutral ones at the same level",
            goal=f"at least {MIN_AUC}, low end {MIN_AUC_LOW}",
            value=same.value,
            low=same.low,
            high=same.high,
            n=same.positives + same.negatives,
            passed=same.value >= MIN_AUC and same.low >= MIN_AUC_LOW,
            note=subject.held_out,
        )
    ]
    formal = measured.auc_of(subject.scored, FORMAL)
    if formal is not None:
        checks.append(
            ValidationCheck(
                name="authenticity_formal",
                says="AUC against formal neutral replies, where the level itself shows",
                goal="nothing may be certified on it",
                value=formal.value,
                low=formal.low,
                high=formal.high,
                n=formal.positives + formal.negatives,
                passed=None,
                note="reported only",
            )
        )
    pairs = [
        [(one.example.prompt, one.probability) for one in subject.scored if one.example.kind == kind]
        for kind in (SAME, PERSONA)
    ]
    wins = compare_paired(pairs[0], pairs[1])
    checks.append(
        ValidationCheck(
            name="win_rate",
            says="prompts whose true replies score above the neutral ones",
            goal=f"at least {MIN_AUC}",
            value=wins.win_rate,
            low=wins.win_rate_low,
            high=wins.win_rate_high,
            n=wins.prompts,
            passed=wins.win_rate >= MIN_AUC,
        )
    )
    return checks


def _other_persona(subject: _Subject, others: Sequence[PersonaCard]) -> ValidationCheck:
    says = "AUC of held-out true replies against another character's"
    goal = f"at least {MIN_AUC}"
    replies = [
        (example.group, example)
        for card in others
        for example in style_examples(load_references(card))
        if example.kind == PERSONA
    ]
    if not replies:
        note = f"there is no other card in {subject.profile.card.language.code!r} beside this one"
        return ValidationCheck(name="other_persona", says=says, goal=goal, value=None, passed=None, note=note)
    scored = measured.scored_by(subject.profile, [example for _, example in replies])
    own = [(one.example.group, one.decision) for one in subject.scored if one.example.kind == PERSONA]
    auc = auc_with_interval(own, [(one.example.group, one.decision) for one in scored])
    return ValidationCheck(
        name="other_persona",
        says=says,
        goal=goal,
        value=auc.value,
        low=auc.low,
        high=auc.high,
        n=auc.positives + auc.negatives,
        passed=auc.value >= MIN_AUC,
        note=", ".join(card.name for card in others),
    )


def _permutation(subject: _Subject) -> ValidationCheck:
    mean, low, high = measured.permuted_auc(subject.fitted_on, surface_view(subject.profile.card))
    return ValidationCheck(
        name="permutation",
        says="AUC after labels are swapped within prompts at random",
        goal=f"within {MAX_PERMUTED} of 0.5",
        value=mean,
        low=low,
        high=high,
        n=measured.PERMUTATIONS,
        passed=abs(mean - 0.5) <= MAX_PERMUTED,
        note="mean, lowest and highest of the rounds",
    )


def _confounds(subject: _Subject, confounds: Sequence[Confound]) -> ValidationCheck:
    own = measured.auc_of(subject.out_of_fold, SAME)
    assert own is not None
    best = max(confounds, key=lambda one: one.auc.value)
    return ValidationCheck(
        name="confounds",
        says=f"lead of the style score's AUC ({own.value:.3f}) over the best simple baseline",
        goal=f"more than {MIN_LEAD}",
        value=own.value - best.auc.value,
        n=own.positives + own.negatives,
        passed=own.value - best.auc.value > MIN_LEAD,
        note=f"{best.name} alone reaches {best.auc.value:.3f}",
    )


def _masked(subject: _Subject) -> ValidationCheck:
    own = measured.auc_of(subject.out_of_fold, SAME)
    assert own is not None
    masked = measured.masked_auc(subject.profile, subject.fitted_on)
    return ValidationCheck(
        name="masked_view",
        says="AUC without content words",
        goal=f"within {MAX_VIEW_GAP} of the style score's {own.value:.3f}",
        value=masked.value,
        low=masked.low,
        high=masked.high,
        n=masked.positives + masked.negatives,
        passed=own.value - masked.value <= MAX_VIEW_GAP,
    )


def _calibration(subject: _Subject) -> ValidationCheck:
    error = measured.calibration_error(subject.scored)
    return ValidationCheck(
        name="calibration",
        says="expected calibration error",
        goal=f"at most {MAX_ECE}",
        value=error,
        n=sum(one.example.kind in (PERSONA, SAME) for one in subject.scored),
        passed=error <= MAX_ECE,
    )


def _probes(profile: PersonaProfile) -> list[ValidationCheck]:
    probes = load_probes(profile.card)
    says, goal = "adversarial probes judged as expected", f"at least {MIN_PROBES}"
    if not probes:
        note = "the card names no probes"
        return [ValidationCheck(name="probes", says=says, goal=goal, value=None, passed=None, note=note)]
    verdicts = measured.judged_probes(profile, probes)
    right = sum(one.as_expected for one in verdicts)
    wrong = [f"{one.probe.id} ({one.probe.kind})" for one in verdicts if not one.as_expected]
    return [
        ValidationCheck(
            name="probes",
            says=says,
            goal=goal,
            value=right / len(verdicts),
            n=len(verdicts),
            passed=right / len(verdicts) >= MIN_PROBES,
            note=f"not as expected: {', '.join(wrong)}" if wrong else "",
        )
    ]


def _mixing(subject: _Subject) -> ValidationCheck:
    found = measured.measured_mixtures(subject.scored, subject.out_of_fold)
    worst = max(
        abs(one.measured - one.planted) if not math.isnan(one.measured) else math.inf for one in found
    )
    values = [one.measured for one in found]
    rising = all(first < second for first, second in pairwise(values))
    return ValidationCheck(
        name="mixing",
        says="largest error of the adjusted share of replies in character over planted mixtures",
        goal=f"at most {MAX_MIX_ERROR}, in order",
        value=worst,
        n=len(found),
        passed=worst <= MAX_MIX_ERROR and rising,
        note="; ".join(f"{one.planted:.2f} measured {one.measured:.2f}" for one in found),
    )


def _human(profile: PersonaProfile, ratings: Path | None) -> ValidationCheck:
    says, goal = "agreement of two people about the same replies (Cohen's kappa)", f"at least {MIN_KAPPA}"
    if ratings is None:
        note = "no ratings were given"
        return ValidationCheck(name="human", says=says, goal=goal, value=None, passed=None, note=note)
    assert profile.style is not None
    anchor = human_anchor(read_ratings(ratings), profile.style.probability)
    if isinstance(anchor, str):
        return ValidationCheck(name="human", says=says, goal=goal, value=None, passed=None, note=anchor)
    rank = f"{anchor.spearman:.2f} ({anchor.spearman_low:.2f} to {anchor.spearman_high:.2f})"
    return ValidationCheck(
        name="human",
        says=says,
        goal=f"{goal}; rank correlation with the score above 0",
        value=anchor.kappa,
        n=anchor.replies,
        passed=anchor.kappa >= MIN_KAPPA and anchor.spearman_low > 0,
        note=f"rank correlation of score and ratings {rank}",
    )


def _retest(subject: _Subject) -> ValidationCheck:
    again = load_profile(subject.profile.card, subject.profile.analyser)
    assert again.style is not None
    differ = sum(
        again.style.decision(one.example.reply) != subject.profile.style.decision(one.example.reply)  # type: ignore[union-attr]
        for one in subject.scored
    )
    return ValidationCheck(
        name="retest",
        says="replies whose score differs after fitting once more",
        goal="none, to the last bit",
        value=float(differ),
        n=len(subject.scored),
        passed=differ == 0 and again.identity == subject.profile.identity,
    )
