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
from harness.persona.card import MIN_PAIRS, PersonaCard
from harness.persona.estimate import Part, share
from harness.persona.human_check import checked_by_people
from harness.persona.profile import PersonaProfile, load_profile, style_examples
from harness.persona.references import (
    check_splits_apart,
    count_pairs,
    load_probes,
    load_references,
    splits_of,
)
from harness.persona.repeated_versions import repeated_versions
from harness.persona.reply_text import mask, sentences
from harness.persona.sibling_cards import sibling_cards
from harness.persona.speech_level import SpeechLevelAnalyser, check_speech_level
from harness.persona.style.comparison import compare_paired
from harness.persona.style.confounds import Confound, confound_table
from harness.persona.style.examples import FORMAL, PERSONA, SAME, SHORT
from harness.persona.style.features import surface_view
from harness.persona.style.ranking import auc_with_interval
from harness.persona.validation_report import ValidationCheck, ValidationReport
from harness.persona.validation_subject import MIN_HELD_OUT, Subject

MIN_AUC = 0.85
MIN_AUC_LOW = 0.75
MIN_LEAD = 0.03
MAX_ECE = 0.1
MAX_VIEW_GAP = 0.1
MAX_PERMUTED = 0.1
MIN_PROBES = 0.9
MAX_MIX_ERROR = 0.1
MAX_SHORT = 0.2
ALL_CAUGHT = (
    "catchphrase_stuffing",
    "catchphrase_stuffing_x3",
    "wrong_language",
    "mixed_language",
    "chinese_clause",
    "japanese_clause",
    "korean_clause",
    "off_topic",
)
"""Kinds of probes of which none may slip through, whatever the share of all."""

Progress = Callable[[str], None]


def validate_persona(
    card: PersonaCard,
    *,
    others: Sequence[PersonaCard] = (),
    ratings: Path | None = None,
    analyser: SpeechLevelAnalyser | None = None,
    progress: Progress = lambda said: None,
) -> ValidationReport:
    """Return the report, after a minute or so.

    `others` are characters to be told apart from beside `sibling_cards`, `ratings` a file of people's judgements. Raises UsageError naming the number needed for fewer than 40 pairs, and what loading raises.
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
    subject = Subject(profile)
    checks = [_pairs(profile, needed), _versions(card), *_authenticity(subject), _short_neutral(subject)]
    progress("other characters")
    known = {other.name: other for other in (*sibling_cards(card), *others)}
    checks.append(_other_persona(subject, list(known.values())))
    progress("permuted labels")
    checks.append(_permutation(subject))
    progress("confounds")
    confounds = confound_table(
        subject.fitted_on, SAME, lambda reply: check_speech_level(reply, card, profile.analyser)
    )
    checks += [_confounds(subject, confounds), _masked(subject), _calibration(subject)]
    progress("probes and mixtures")
    checks += [*_probes(profile), _mixing(subject), checked_by_people(profile, ratings)]
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
        warnings=(*profile.warnings, *subject.warnings),
    )


def _pairs(profile: PersonaProfile, needed: int) -> ValidationCheck:
    return ValidationCheck(
        name="pairs",
        says="prompts with a persona reply and a neutral one at the same level",
        goal=f"at least {needed}",
        value=float(profile.pairs),
        n=profile.pairs,
        passed=profile.pairs >= needed,
    )


def _versions(card: PersonaCard) -> ValidationCheck:
    """A second reply that only repeats the first makes every other check look surer than it is."""
    references = [one for split in splits_of(card) for one in load_references(card, split)]
    repeated = repeated_versions(references)
    written = sum(max(0, len(versions) - 1) for one in references for versions in one.replies.values())
    named = ", ".join(repeated[:3]) + (" and more" if len(repeated) > 3 else "")
    return ValidationCheck(
        name="versions",
        says="second replies to a question that repeat the first",
        goal="none",
        value=float(len(repeated)),
        n=written,
        passed=not repeated,
        note=f"{named}: write others, or take them out" if repeated else "",
    )


def _authenticity(subject: Subject) -> list[ValidationCheck]:
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


def _short_neutral(subject: Subject) -> ValidationCheck:
    """Shortness must not pass for character: the worse of one and of two sentences."""
    threshold = subject.profile.card.style.threshold
    found = {}
    for size in SHORT:
        used = [
            one
            for one in subject.cut
            if one.example.kind == SAME and len(sentences(mask(one.example.reply))) == size
        ]
        found[size] = share(
            [Part(one.example.group, float(one.probability >= threshold), 1.0) for one in used]
        )
    made = {size: one for size, one in found.items() if one.value is not None}
    says, goal = (
        "neutral replies cut to one or two sentences that reach the threshold",
        f"at most {MAX_SHORT}",
    )
    if not made:
        note = "no neutral reply has two sentences"
        return ValidationCheck(name="short_neutral", says=says, goal=goal, value=None, passed=None, note=note)
    worst = max(made.values(), key=lambda one: one.value or 0.0)
    assert worst.value is not None
    return ValidationCheck(
        name="short_neutral",
        says=says,
        goal=goal,
        value=worst.value,
        low=worst.low,
        high=worst.high,
        n=worst.n,
        passed=worst.value <= MAX_SHORT,
        note="; ".join(f"{size}: {one.value:.2f} of {one.n}" for size, one in made.items()),
    )


def _other_persona(subject: Subject, others: Sequence[PersonaCard]) -> ValidationCheck:
    """Every one of the other characters has to be told apart: the worst decides."""
    says = "AUC of held-out true replies against another character's"
    goal = f"at least {MIN_AUC}"
    own = [(one.example.group, one.decision) for one in subject.scored if one.example.kind == PERSONA]
    found = {}
    for card in others:
        replies = [one for one in style_examples(load_references(card)) if one.kind == PERSONA]
        if replies:
            scored = measured.scored_by(subject.profile, replies)
            found[card.name] = auc_with_interval(own, [(one.example.group, one.decision) for one in scored])
    if not found:
        note = f"there is no other card in {subject.profile.card.language.code!r} beside this one or among the shipped ones"
        return ValidationCheck(name="other_persona", says=says, goal=goal, value=None, passed=None, note=note)
    name, worst = min(found.items(), key=lambda item: item[1].value)
    apart = ", ".join(f"{other} {auc.value:.3f}" for other, auc in found.items() if other != name)
    return ValidationCheck(
        name="other_persona",
        says=says,
        goal=goal,
        value=worst.value,
        low=worst.low,
        high=worst.high,
        n=worst.positives + worst.negatives,
        passed=worst.value >= MIN_AUC,
        note=f"{name}; the others: {apart}" if apart else name,
    )


def _permutation(subject: Subject) -> ValidationCheck:
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


def _confounds(subject: Subject, confounds: Sequence[Confound]) -> ValidationCheck:
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


def _masked(subject: Subject) -> ValidationCheck:
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


def _calibration(subject: Subject) -> ValidationCheck:
    error = measured.calibration_error(subject.scored)
    return ValidationCheck(
        name="calibration",
        says="expected calibration error",
        goal=f"at most {MAX_ECE}",
        value=error,
        n=sum(one.example.kind in (PERSONA, SAME) for one in subject.scored),
        # The calibration was fitted on these very scores where nothing is held out.
        passed=None if subject.own_fit else error <= MAX_ECE,
        note=f"fitted on the same scores: a measure takes {MIN_HELD_OUT} held-out pairs"
        if subject.own_fit
        else "",
    )


def _probes(profile: PersonaProfile) -> list[ValidationCheck]:
    probes = load_probes(profile.card)
    says = "adversarial probes judged as expected"
    goal = f"at least {MIN_PROBES}, and all of stuffing, other languages and other topics"
    if not probes:
        note = "the card names no probes"
        return [
            ValidationCheck(
                name="probes", says=says, goal=goal, value=None, passed=None, note=note, required=True
            )
        ]
    verdicts = measured.judged_probes(profile, probes)
    right = sum(one.as_expected for one in verdicts)
    slipped = any(not one.as_expected and one.probe.kind in ALL_CAUGHT for one in verdicts)
    wrong = [f"{one.probe.id} ({one.probe.kind})" for one in verdicts if not one.as_expected]
    return [
        ValidationCheck(
            name="probes",
            says=says,
            goal=goal,
            value=right / len(verdicts),
            n=len(verdicts),
            passed=right / len(verdicts) >= MIN_PROBES and not slipped,
            required=True,
            note=f"not as expected: {', '.join(wrong)}" if wrong else "",
        )
    ]


def _mixing(subject: Subject) -> ValidationCheck:
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


def _retest(subject: Subject) -> ValidationCheck:
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
