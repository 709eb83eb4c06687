"""Is the manner there at all? Mean rates of the card's markers over many replies against what true replies reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.persona.card import PersonaCard
from harness.types import Json

MIN_REPLIES = 24
"""The replies whose mean a card's `mean_of_24` is about; the mean of fewer varies more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerMean:
    """One marker over all replies: the mean of its rates per 100 eojeols (words), and the least that true replies reach.

    `least` is the lower end of `mean_of_24`, else that of `band`. `missing` is None for fewer than 24 replies.
    """

    marker: str
    mean: float
    least: float
    replies: int
    missing: bool | None

    def as_json(self) -> dict[str, Json]:
        """Return it for summary.json."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def says(self) -> str:
        """Return what is missing, in words."""
        return (
            f"manner missing: marker {self.marker} stands at {self.mean:.2g} per 100 words on average of {self.replies} "
            f"replies, at {self.least:g} or more in true replies"
        )


def marker_means(card: PersonaCard, rates: Sequence[Sequence[float]]) -> tuple[MarkerMean, ...]:
    """Return every marker's mean, given each reply's rates in the card's order; () for no replies."""
    found = []
    for place, marker in enumerate(card.markers):
        if rates:
            mean = math.fsum(own[place] for own in rates) / len(rates)
            least = (marker.mean_of_24 or marker.band)[0]
            missing = mean < least - 1e-9 if len(rates) >= MIN_REPLIES else None
            found.append(
                MarkerMean(marker=marker.id, mean=mean, least=least, replies=len(rates), missing=missing)
            )
    return tuple(found)
