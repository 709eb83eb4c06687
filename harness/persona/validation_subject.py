"""What a validation is of: the profile, and scores of replies that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence

from harness.persona import validation_checks as measured
from harness.persona.profile import PersonaProfile, paired_references, style_examples
from harness.persona.references import load_references, splits_of
from harness.persona.split_overlap import near_copies
from harness.persona.style.examples import PERSONA, SAME, StyleExample, shortened
from harness.persona.validation_checks import Scored

MIN_HELD_OUT = 10
"""With fewer held-out pairs the references themselves are scored, each without its prompt."""


class Subject:
    """The profile with its references, and scores of replies that it was not fitted on."""

    def __init__(self, profile: PersonaProfile) -> None:
        card = profile.card
        assert card.references is not None
        self.profile = profile
        self.fitted_on = style_examples(paired_references(load_references(card)))
        fitted_split = card.references.dataset.split
        splits = [split for split in splits_of(card) if split != fitted_split]
        kept = [one for split in splits for one in load_references(card, split)]
        near = near_copies(load_references(card), kept)
        self.warnings = tuple(
            f"{one} is a near copy of {other}, which was fitted on, and was left out"
            for one, other in near.items()
        )
        held: tuple[StyleExample, ...] = style_examples([one for one in kept if one.id not in near])
        both = {one.prompt for one in held if one.kind == PERSONA} & {
            one.prompt for one in held if one.kind == SAME
        }
        self.out_of_fold = measured.scored_out_of_fold(profile)
        if len(both) >= MIN_HELD_OUT:
            self.held_out = f"{len(both)} prompts of {' and '.join(splits)}"
            self.scored: Sequence[Scored] = measured.scored_by(profile, held)
            self.cut: Sequence[Scored] = measured.scored_by(profile, shortened(held, from_start=True))
            self.own_fit = False
        else:
            self.held_out = "cross-validated: every reference scored by a fit without its prompt"
            self.scored = self.out_of_fold
            self.cut = measured.cut_out_of_fold(profile)
            self.own_fit = True
