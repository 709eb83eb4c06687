"""How long a reply is against the persona's own replies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.persona.check import CheckResult, Evidence
from harness.persona.quantile import MIN_FITTED, quantile
from harness.persona.reply_text import eojeols, mask

STRETCH = 2.0
"""A reply fails beyond the band's ends by this factor; between, it is counted as outside and nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBand:
    """The eojeols (words) of a usual reply: the 5th and the 95th percentile."""

    low: float
    high: float

    @property
    def limits(self) -> tuple[float, float]:
        """Return the shortest and the longest reply that passes."""
        return self.low / STRETCH, self.high * STRETCH


def fit_length(replies: Sequence[str]) -> LengthBand | None:
    """Return the band of the persona's replies; None for fewer than 20, which have no percentiles to speak of."""
    if len(replies) < MIN_FITTED:
        return None
    counts = [float(count_words(reply)) for reply in replies]
    return LengthBand(low=quantile(counts, 0.05), high=quantile(counts, 0.95))


def count_words(reply: str) -> int:
    """Return how many eojeols (words) of prose the reply has; what is all punctuation is none."""
    text = mask(reply)
    return sum(any(character.isalnum() for character in text[start:end]) for start, end in eojeols(text))


def check_length(reply: str, band: LengthBand | None) -> CheckResult:
    """Fail a reply of less than half the usual shortest length or more than twice the usual longest.

    values: `words`; `in_band` 1 if within the band itself, which one true reply in ten is not.
    """
    if band is None:
        return CheckResult(
            check="length",
            passed=None,
            why_not=f"the card gives no length and has fewer than {MIN_FITTED} persona replies to learn it from",
        )
    words = count_words(reply)
    shortest, longest = band.limits
    values = {"words": float(words), "in_band": float(band.low <= words <= band.high)}
    if shortest <= words <= longest:
        return CheckResult(check="length", passed=True, values=values)
    why = f"{words} words; the persona's replies have {band.low:g} to {band.high:g}"
    return CheckResult(check="length", passed=False, values=values, evidence=(Evidence(text="", why=why),))
