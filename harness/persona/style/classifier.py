"""The style score: fitted on a card's references, cross-validated by prompt, calibrated on what was held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.persona.style.calibration import Calibration, fit_calibration
from harness.persona.style.examples import PERSONA, SAME, StyleExample, borrowed_tags
from harness.persona.style.features import View
from harness.persona.style.linear_model import LinearModel, fit_linear_model, grouped_folds

FOLDS = 5
VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """What the score says of one reference when fitted without its prompt."""

    example: StyleExample
    decision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleModel:
    """P(persona rather than a neutral reply at the same level | reply), both equally likely beforehand."""

    view: View
    model: LinearModel = field(repr=False)
    calibration: Calibration
    out_of_fold: tuple[OutOfFold, ...] = field(repr=False)

    def decision(self, reply: str) -> float:
        """Return the log odds before calibration."""
        return self.model.decision(self.view(reply))

    def probability(self, reply: str) -> float:
        """Return the calibrated probability."""
        return self.calibration.probability(self.decision(reply))

    def held_out_probability(self, one: OutOfFold) -> float:
        """Return the calibrated probability of a reference that was held out."""
        return self.calibration.probability(one.decision)


def fit_style(examples: Sequence[StyleExample], view: View) -> StyleModel:
    """Return the model. Raises ValueError without persona and neutral replies to at least FOLDS prompts."""
    if not {PERSONA, SAME} <= {example.kind for example in examples}:
        raise ValueError("a style score needs persona replies and neutral ones at the same level")
    out_of_fold = cross_validated(examples, view)
    judged = [one for one in out_of_fold if one.example.kind in (PERSONA, SAME)]
    return StyleModel(
        view=view,
        model=fitted(examples, view),
        calibration=fit_calibration([one.decision for one in judged], [one.example.label for one in judged]),
        out_of_fold=out_of_fold,
    )


def cross_validated(
    examples: Sequence[StyleExample], view: View, labels: Sequence[bool] | None = None
) -> tuple[OutOfFold, ...]:
    """Return every example's score from a model fitted without its group, in the order given.

    `labels` stand in for the true ones (to permute them); borrowed tags are made only with the true ones. Raises
    ValueError for fewer than FOLDS groups.
    """
    folds = grouped_folds([example.group for example in examples], FOLDS)
    if len(set(folds)) < FOLDS:
        raise ValueError(f"cross-validation by prompt needs {FOLDS} prompts at least")
    blocks = {example.reply: view(example.reply) for example in examples}
    decisions = [0.0] * len(examples)
    for fold in range(FOLDS):
        inside = [at for at, own in enumerate(folds) if own != fold]
        model = fitted(
            [examples[at] for at in inside],
            lambda reply: blocks.get(reply) or view(reply),
            labels and [labels[at] for at in inside],
        )
        for at, own in enumerate(folds):
            if own == fold:
                decisions[at] = model.decision(blocks[examples[at].reply])
    return tuple(
        OutOfFold(example=example, decision=decision)
        for example, decision in zip(examples, decisions, strict=True)
    )


def fitted(
    examples: Sequence[StyleExample],
    view: View,
    labels: Sequence[bool] | None = None,
) -> LinearModel:
    """Return the classifier of the examples and, with their true labels, of neutral replies with borrowed tags."""
    tags = borrowed_tags(examples) if labels is None else []
    texts = [view(text) for text in (*(example.reply for example in examples), *tags)]
    known = [example.label for example in examples] if labels is None else list(labels)
    return fit_linear_model(texts, [*known, *(False for _ in tags)])
