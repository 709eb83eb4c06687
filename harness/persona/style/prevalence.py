"""Which share of replies is in character, corrected for a classifier that errs at known rates.

Rogan and Gladen's formula, on mean probabilities instead of shares above a threshold (the scaled probability average of
Bella et al. 2010, "Quantification via probability estimators", ICDM): a reply near the threshold counts for about a half
on either side, so the figure varies less with which replies happen to be asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats import expanded_percentiles
from harness.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
MIN_DIFFERENCE = 0.2
"""A classifier whose scores of the two classes hardly differ corrects nothing."""

Scores = Sequence[tuple[str, float]]
"""(prompt, probability in character)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevalence:
    """The corrected share with a 95 % interval, and the mean scores that it was made of: of the replies in question, and
    of held-out replies that are the persona's and that are neutral.
    """

    value: float
    low: float
    high: float
    raw: float
    of_persona: float
    of_neutral: float

    def as_json(self) -> dict[str, Json]:
        """Return it for summary.json, None for a bound that there is not."""
        return {
            "value": self.value,
            "low": None if math.isnan(self.low) else self.low,
            "high": None if math.isnan(self.high) else self.high,
            "raw": self.raw,
            "of_persona": self.of_persona,
            "of_neutral": self.of_neutral,
        }


def rogan_gladen(raw: float, of_persona: float, of_neutral: float) -> float:
    """Return clip((raw - of_neutral) / (of_persona - of_neutral), 0, 1) (Rogan and Gladen 1978, Am J Epidemiol 107:71).

    Raises ValueError where the two rates differ by less than 0.2.
    """
    difference = of_persona - of_neutral
    if difference < MIN_DIFFERENCE:
        raise ValueError(f"the classifier's rates differ by {difference:.2f} only")
    return min(1.0, max(0.0, (raw - of_neutral) / difference))


def adjusted_prevalence(
    answers: Scores, of_persona: Scores, of_neutral: Scores, seed: int = 0
) -> Prevalence | None:
    """Return the share of `answers` in character, with the mean scores of replies that were held out of fitting.

    The interval draws prompts of the answers and of both calibration sets, so it holds the uncertainty of the rates too.
    None where there is nothing to count or the rates are too close.
    """
    import numpy as np

    if not answers or not of_persona or not of_neutral:
        return None
    raw, own, neutral = (_mean(one) for one in (answers, of_persona, of_neutral))
    if own - neutral < MIN_DIFFERENCE:
        return None
    generator = np.random.Generator(np.random.PCG64(seed))
    p, t, f = (_drawn_means(one, generator) for one in (answers, of_persona, of_neutral))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.clip((p - f) / np.where(t - f >= MIN_DIFFERENCE, t - f, np.nan), 0.0, 1.0)
    prompts = len({prompt for prompt, _ in answers})
    low, high = expanded_percentiles(values, prompts, 0.95) if prompts > 1 else (math.nan, math.nan)
    return Prevalence(
        value=rogan_gladen(raw, own, neutral),
        low=low,
        high=high,
        raw=raw,
        of_persona=own,
        of_neutral=neutral,
    )


def _mean(scores: Scores) -> float:
    return math.fsum(score for _, score in scores) / len(scores)


def _drawn_means(answers: Scores, generator: np.random.Generator) -> NDArray[np.float64]:
    import numpy as np

    prompts = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in answers))}
    yes, count = np.zeros(len(prompts)), np.zeros(len(prompts))
    for prompt, said in answers:
        yes[prompts[prompt]] += said
        count[prompts[prompt]] += 1
    drawn = generator.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), size=RESAMPLES)
    shares: NDArray[np.float64] = (drawn * yes).sum(axis=1) / (drawn * count).sum(axis=1)
    return shares
