"""Everything that is learnt from a card's references, once: limits, indices, classifiers. The same input, the same bits.

Fitted on the training references alone. The other splits' references serve as answer keys, for the content check, and as
replies that may have been learnt by heart; nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.fingerprint import sha256_of
from harness.persona import (
    caricature,
    content,
    degeneration,
    english_register,
    fluency,
    language,
    length,
    memorisation,
    persona_break,
    refusal,
    speech_level,
    speech_level_rule,
)
from harness.persona.card import PersonaCard
from harness.persona.caricature import MarkerLimits, fit_caricature
from harness.persona.content import ContentModel, Topic, fit_content
from harness.persona.degeneration import RepetitionLimits, repetition_limits
from harness.persona.fluency import FluencyModel, fit_fluency
from harness.persona.format import check_format
from harness.persona.length import LengthBand, fit_length
from harness.persona.memorisation import TrainingReplies, index_replies
from harness.persona.overuse import PhraseCounts
from harness.persona.references import (
    REPLY_KINDS,
    Probe,
    Reference,
    count_pairs,
    load_probes,
    load_references,
    splits_of,
)
from harness.persona.speech_level import SpeechLevelAnalyser, default_analyser
from harness.persona.style import classifier
from harness.persona.style.classifier import FOLDS, StyleModel, fit_style
from harness.persona.style.examples import PERSONA, SAME, StyleExample, joined_groups
from harness.persona.style.features import surface_view
from harness.persona.style.libraries import load_sklearn
from harness.spread import spread

VERSION = "2"
"""Raised whenever the same card and references could give another number."""

_VERSIONED = (
    classifier,
    degeneration,
    english_register,
    language,
    persona_break,
    refusal,
    speech_level,
    speech_level_rule,
)
"""The parts that have a version of their own; the analyser's is in its identity."""
LISTS = 0.05
MAX_FITTED = 600
"""References that classifiers and bands are fitted on, evenly spread: more change little and take long."""
MAX_TAUGHT = 900
"""Replies that the word-order check learns from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaProfile:
    """A card with what its references teach. What cannot be fitted is None; `style_why_not` and the checks say why."""

    card: PersonaCard
    analyser: SpeechLevelAnalyser
    length: LengthBand | None
    caricature: MarkerLimits
    training: TrainingReplies = field(repr=False)
    repetition: RepetitionLimits
    content: ContentModel = field(repr=False)
    fluency: FluencyModel | None = field(repr=False)
    style: StyleModel | None = field(repr=False)
    style_why_not: str | None
    style_lengths: LengthBand | None
    """The usual lengths of the replies that the style score was fitted and validated on."""
    phrases: PhraseCounts = field(repr=False)
    writes_lists: bool
    """Whether more than one in twenty of the persona's own replies has lists or headings, so that none may be faulted."""
    pairs: int
    """Prompts with a persona reply and a neutral one at the same level."""
    warnings: tuple[str, ...]
    identity: str
    """Hash of the card, the references, the code's versions, scikit-learn's and the analyser: equal where numbers are."""


def load_profile(card: PersonaCard, analyser: SpeechLevelAnalyser | None = None) -> PersonaProfile:
    """Return the profile of a card's own references; one without style score and bands where it has none.

    Raises what `load_references` and `fit_profile` raise.
    """
    if card.references is None:
        return fit_profile(card, (), analyser=analyser)
    fitted_on = card.references.dataset.split
    others = [split for split in splits_of(card) if split != fitted_on]
    keys = [one for split in others for one in load_references(card, split)]
    return fit_profile(
        card, load_references(card), answer_keys=keys, probes=load_probes(card), analyser=analyser
    )


def fit_profile(
    card: PersonaCard,
    references: Sequence[Reference],
    *,
    answer_keys: Sequence[Reference] = (),
    probes: Sequence[Probe] = (),
    analyser: SpeechLevelAnalyser | None = None,
) -> PersonaProfile:
    """Return the profile fitted on the references (any number, none too), seconds for a hundred of them.

    `probes` change no number and are part of the identity: a validation by other probes is another validation.
    Raises MissingDependency without scikit-learn.
    """
    sklearn = load_sklearn()
    judge = analyser if analyser is not None else default_analyser()
    examples = style_examples(spread(references, MAX_FITTED))
    own = [example for example in examples if example.kind == PERSONA]
    replies = [example.reply for example in own]
    taught = spread(examples, MAX_TAUGHT)
    pairs = count_pairs(tuple(references))
    paired = style_examples(paired_references(references))
    style, why_not = _style(card, paired, pairs)
    band = card.length and LengthBand(low=card.length.words[0], high=card.length.words[1])
    limits = fit_caricature(card, replies)
    phrases = PhraseCounts(card.overuse.ngram)
    for example in own:
        phrases.add(example.prompt, example.question, example.reply)
    return PersonaProfile(
        card=card,
        analyser=judge,
        length=band or fit_length(replies),
        caricature=limits,
        training=_training((*references, *answer_keys)),
        repetition=repetition_limits(replies),
        content=fit_content([_topic(one) for one in references], [_topic(one) for one in answer_keys]),
        fluency=fit_fluency(
            [example.reply for example in taught],
            [example.group for example in taught],
            [example.label for example in taught],
        ),
        style=style,
        style_why_not=why_not,
        style_lengths=fit_length([one.reply for one in paired if one.kind in (PERSONA, SAME)]),
        phrases=phrases,
        writes_lists=sum(check_format(reply).passed is False for reply in replies) > LISTS * len(replies),
        pairs=pairs,
        warnings=tuple(_warnings(limits)),
        identity=_identity(card, (*references, *answer_keys), probes, judge, sklearn.__version__),
    )


def paired_references(references: Sequence[Reference]) -> Sequence[Reference]:
    """Return what the style score is fitted on: questions with persona and neutral_same replies, at most MAX_FITTED.

    A question that only the character answers would teach its topic as if it were manner.
    """
    paired = [one for one in references if one.replies.get(PERSONA) and one.replies.get(SAME)]
    return spread(paired, MAX_FITTED)


def style_examples(references: Sequence[Reference]) -> tuple[StyleExample, ...]:
    """Return every reply of the references with its kind and the group that it is fitted or held out with."""
    found = [
        (reference, kind, version, reply)
        for reference in references
        for kind in REPLY_KINDS
        for version, reply in reference.replies.get(kind, {}).items()
    ]
    examples = [
        StyleExample(
            reply=reply,
            kind=kind,
            group=reference.cluster,
            prompt=reference.id,
            version=version,
            question=reference.question,
            facts=reference.facts,
        )
        for reference, kind, version, reply in found
    ]
    groups = joined_groups(examples, [example.group for example in examples])
    return tuple(
        StyleExample(
            reply=example.reply,
            kind=example.kind,
            group=group,
            prompt=example.prompt,
            version=example.version,
            question=example.question,
            facts=example.facts,
        )
        for example, group in zip(examples, groups, strict=True)
    )


def _style(
    card: PersonaCard, examples: Sequence[StyleExample], pairs: int
) -> tuple[StyleModel | None, str | None]:
    needed = card.style.min_pairs
    if pairs < needed:
        return None, (
            f"{pairs} prompts have both a persona reply and a neutral one at the same speech level; "
            f"a style score takes {needed}"
        )
    groups = len({example.group for example in examples})
    if groups < max(FOLDS, needed // 2):
        return None, (
            f"the {pairs} pairs are near copies of each other: {groups} groups of prompts that share no reply, "
            f"a style score takes {max(FOLDS, needed // 2)}"
        )
    return fit_style(examples, surface_view(card)), None


def _training(references: Sequence[Reference]) -> TrainingReplies:
    """Return the index of every persona reply: what an adapter may have learnt by heart."""
    own = [
        (f"{one.id}/{version}", reply)
        for one in references
        for version, reply in one.replies.get(PERSONA, {}).items()
    ]
    return index_replies([name for name, _ in own], [reply for _, reply in own])


def _topic(reference: Reference) -> Topic:
    ordered = [pair for kind in REPLY_KINDS for pair in reference.replies.get(kind, {}).items()]
    return Topic(
        question=reference.question,
        replies=tuple(reply for _, reply in ordered),
        versions=tuple(version for version, _ in ordered),
    )


def _warnings(limits: MarkerLimits) -> list[str]:
    return [
        f"marker {one.marker.id}: {one.beyond_band:.0%} of the persona's own replies lie above its band"
        for one in limits.markers
        if one.beyond_band > 0.2
    ]


def _identity(
    card: PersonaCard,
    references: Sequence[Reference],
    probes: Sequence[Probe],
    analyser: SpeechLevelAnalyser,
    library: str,
) -> str:
    told = [[one.id, one.question, one.facts, one.replies, one.cluster] for one in references]
    constants = [
        (caricature.SLACK, caricature.MIN_HITS),
        (content.FALSE_ALARMS, content.COMMON, content.ECHO_SLACK, content.MIN_SEQUENCES),
        (fluency.FALSE_ALARMS, fluency.MARGIN),
        length.STRETCH,
        memorisation.COPIED,
        (classifier.MIN_SIZED, classifier.SHORT_ODDS),
    ]
    tried = [
        [one.id, one.kind, one.prompt_id, one.question, one.facts, one.reply, one.verdict, one.by]
        for one in probes
    ]
    # Without the file's path and its comments: what is not in the model cannot change a number.
    said = card.model_dump(mode="json", by_alias=True, exclude={"references"})
    versions = [VERSION, *(module.VERSION for module in _VERSIONED)]
    return sha256_of([versions, said, told, tried, constants, analyser.identity, library])
