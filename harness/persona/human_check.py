"""The check of the persona metric against people's ratings."""

from __future__ import annotations

from pathlib import Path

from harness.persona.human_ratings import MIN_KAPPA, HumanAnchor, human_anchor, read_ratings
from harness.persona.profile import PersonaProfile
from harness.persona.validation_report import ValidationCheck


def checked_by_people(profile: PersonaProfile, ratings: Path | None) -> ValidationCheck:
    """Return the check against a file of ratings. Raises what reading it raises."""
    if ratings is None:
        return human_check("no ratings were given")
    assert profile.style is not None
    return human_check(human_anchor(read_ratings(ratings), profile.style.probability))


def human_check(anchor: HumanAnchor | str) -> ValidationCheck:
    """Return the check against people's ratings, or why it was not made. An agreement that is not defined fails."""
    says, goal = "agreement of two people about the same replies (Cohen's kappa)", f"at least {MIN_KAPPA}"
    if isinstance(anchor, str):
        return ValidationCheck(name="human", says=says, goal=goal, value=None, passed=None, note=anchor)
    agreed = anchor.kappa.value
    note = f"rank correlation of score and ratings {anchor.spearman:.2f} ({anchor.spearman_low:.2f} to {anchor.spearman_high:.2f})"
    if agreed is None:
        note = f"not defined: both gave one and the same answer throughout; {note}"
    return ValidationCheck(
        name="human",
        says=says,
        goal=f"{goal}; rank correlation with the score above 0",
        value=agreed,
        low=anchor.kappa.low,
        high=anchor.kappa.high,
        n=anchor.replies,
        passed=agreed is not None and agreed >= MIN_KAPPA and anchor.spearman_low > 0,
        note=note,
    )
