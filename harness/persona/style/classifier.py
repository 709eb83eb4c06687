"""The style score: fitted on a card's references, cross-validated by prompt, calibrated on what was held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.persona.reply_text import mask, sentences
from harness.persona.style.calibration import Calibration, fit_calibration, probability_of
from harness.persona.style.examples import PERSONA, SAME, SHORT, StyleExample, borrowed_tags, shortened
from harness.persona.style.features import LONGEST, View
from harness.persona.style.linear_model import LinearModel, fit_linear_model, grouped_folds

FOLDS = 5
VERSION = "2"
MIN_SIZED = 20
"""Replies of each class that a calibration for one number of sentences takes."""
SHORT_ODDS = 3.0
"""A reply shorter than the character's are is in doubt: so many times likelier neutral beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """What the score says of one reference when fitted without its prompt."""

    example: StyleExample
    decision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleModel:
    """P(persona rather than a neutral reply at the same level | reply), both equally likely beforehand.

    `calibrations` are for replies of one sentence, of two and of more: a short reply shows less of either, and where the
    character is terse, shortness alone would pass for it. Replies shorter than the character's are held to be neutral
    beforehand, at odds of SHORT_ODDS.
    """

    view: View
    model: LinearModel = field(repr=False)
    calibrations: tuple[Calibration, ...]
    out_of_fold: tuple[OutOfFold, ...] = field(repr=False)
    """Calibrated scores of the references, each by a fit without its prompt."""
    cut_out_of_fold: tuple[OutOfFold, ...] = field(repr=False)
    """The same of how they begin: their first one and two sentences."""

    def decision(self, reply: str) -> float:
        """Return the calibrated log odds."""
        return self.calibrated(self.model.decision(self.view(reply)), reply)

    def probability(self, reply: str) -> float:
        """Return the calibrated probability."""
        return probability_of(self.decision(reply))

    def calibrated(self, decision: float, reply: str) -> float:
        """Return the log odds of a reply, given those of the classifier."""
        own = self.calibrations[_size(reply)]
        return own.slope * decision + own.offset


def fit_style(examples: Sequence[StyleExample], view: View) -> StyleModel:
    """Return the model. Raises ValueError without persona and neutral replies to at least FOLDS prompts."""
    if not {PERSONA, SAME} <= {example.kind for example in examples}:
        raise ValueError("a style score needs persona replies and neutral ones at the same level")
    found = cross_validated(examples, view, also=shortened(examples, from_start=True))
    whole, cut = found[: len(examples)], found[len(examples) :]
    model = StyleModel(
        view=view,
        model=fitted(examples, view),
        calibrations=_calibrations(whole, cut),
        out_of_fold=(),
        cut_out_of_fold=(),
    )

    def calibrated(scores: Sequence[OutOfFold]) -> tuple[OutOfFold, ...]:
        return tuple(
            replace(one, decision=model.calibrated(one.decision, one.example.reply)) for one in scores
        )

    return replace(model, out_of_fold=calibrated(whole), cut_out_of_fold=calibrated(cut))


def _calibrations(whole: Sequence[OutOfFold], short: Sequence[OutOfFold]) -> tuple[Calibration, ...]:
    """Return a calibration for each number of sentences.

    For a size that hardly any of the persona's whole replies has, it is that of cut ones, and a neutral reply is held
    SHORT_ODDS times as likely as one in character. That of all whole replies where there are too few to fit one.
    """
    whole = [one for one in whole if one.example.kind in (PERSONA, SAME)]
    made = []
    for size in range(len(SHORT) + 1):
        own = [one for one in whole if _size(one.example.reply) == size]
        doubt = 0.0
        if not _enough(own) and size < len(SHORT):
            own = [one for one in (*whole, *short) if _size(one.example.reply) == size]
            doubt = math.log(SHORT_ODDS)
        if not _enough(own):
            own = whole
        found = fit_calibration([one.decision for one in own], [one.example.label for one in own])
        made.append(replace(found, offset=found.offset - doubt))
    return tuple(made)


def _enough(scored: Sequence[OutOfFold]) -> bool:
    positive = sum(one.example.label for one in scored)
    return min(positive, len(scored) - positive) >= MIN_SIZED


def _size(reply: str) -> int:
    """Return 0 for one sentence or none, 1 for two, 2 for more."""
    return min(max(len(sentences(mask(reply[:LONGEST]))), 1), len(SHORT) + 1) - 1


def cross_validated(
    examples: Sequence[StyleExample],
    view: View,
    labels: Sequence[bool] | None = None,
    also: Sequence[StyleExample] = (),
) -> tuple[OutOfFold, ...]:
    """Return every example's score from a model fitted without its group, in the order given, then those of `also`.

    `also` are scored and not fitted on; their groups are among the examples'. `labels` stand in for the true ones (to
    permute them); cut replies and borrowed tags are made only with the true ones. Raises ValueError for fewer than FOLDS
    groups.
    """
    groups = [example.group for example in examples]
    folds = grouped_folds(groups, FOLDS)
    if len(set(folds)) < FOLDS:
        raise ValueError(f"cross-validation by prompt needs {FOLDS} prompts at least")
    fold_of = dict(zip(groups, folds, strict=True))
    scored = [*examples, *also]
    blocks = {example.reply: view(example.reply) for example in scored}
    decisions = [0.0] * len(scored)
    for fold in range(FOLDS):
        inside = [at for at, own in enumerate(folds) if own != fold]
        model = fitted(
            [examples[at] for at in inside],
            lambda reply: blocks.get(reply) or view(reply),
            labels and [labels[at] for at in inside],
        )
        for at, example in enumerate(scored):
            if fold_of[example.group] == fold:
                decisions[at] = model.decision(blocks[example.reply])
    return tuple(
        OutOfFold(example=example, decision=decision)
        for example, decision in zip(scored, decisions, strict=True)
    )


def fitted(
    examples: Sequence[StyleExample],
    view: View,
    labels: Sequence[bool] | None = None,
) -> LinearModel:
    """Return the classifier of the examples and, with their true labels, of what is made of them: replies cut short, and
    neutral replies with borrowed tags.
    """
    used = [*examples, *shortened(examples)] if labels is None else examples
    tags = borrowed_tags(examples) if labels is None else []
    texts = [view(text) for text in (*(example.reply for example in used), *tags)]
    known = [example.label for example in used] if labels is None else list(labels)
    return fit_linear_model(texts, [*known, *(False for _ in tags)])
