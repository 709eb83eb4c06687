"""What people say of replies, against each other and against the style score.

A ratings file is JSONL: {"reply": text, "rater": name, "in_character": true or false}, the same replies from two raters
or more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError, SpecError
from harness.persona.estimate import Estimate
from harness.persona.kappa import kappa
from harness.persona.style.libraries import load_sklearn

MIN_REPLIES = 50
MIN_KAPPA = 0.6

Ratings = Mapping[str, Mapping[str, bool]]
"""Reply to rater to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanAnchor:
    """Agreement of the two raters who share most replies, and the rank correlation of score and mean rating.

    `kappa` has no value where both gave one and the same answer throughout.
    """

    replies: int
    raters: tuple[str, str]
    kappa: Estimate
    spearman: float
    spearman_low: float
    spearman_high: float


def read_ratings(path: Path) -> Ratings:
    """Return the ratings. Raises RecordError with file:line for a line that is none, SpecError for a missing file."""
    if not path.is_file():
        raise SpecError("no such file", where=path)
    found: dict[str, dict[str, bool]] = {}
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        record = decode_bytes(line.raw, where)
        if not isinstance(record, dict) or set(record) != {"reply", "rater", "in_character"}:
            raise RecordError('a rating is {"reply", "rater", "in_character"}', where=where)
        reply, rater, answer = record["reply"], record["rater"], record["in_character"]
        if not isinstance(reply, str) or not isinstance(rater, str) or not isinstance(answer, bool):
            raise RecordError("reply and rater are texts, in_character is true or false", where=where)
        if rater in found.setdefault(reply, {}):
            raise RecordError(f"{rater!r} rated this reply twice", where=where)
        found[reply][rater] = answer
    return found


def human_anchor(ratings: Ratings, score: Callable[[str], float]) -> HumanAnchor | str:
    """Return the anchor, or why there is none: fewer than 50 replies that the same two people rated."""
    pairs = Counter(
        (first, second)
        for answers in ratings.values()
        for first in answers
        for second in answers
        if first < second
    )
    if not pairs:
        return "no reply has two raters"
    raters, shared = min(pairs.items(), key=lambda item: (-item[1], item[0]))
    if shared < MIN_REPLIES:
        return f"{raters[0]} and {raters[1]} share {shared} replies; it takes {MIN_REPLIES}"
    both = [
        (reply, answers[raters[0]], answers[raters[1]])
        for reply, answers in ratings.items()
        if set(raters) <= set(answers)
    ]
    replies = list(ratings)
    means = [sum(ratings[reply].values()) / len(ratings[reply]) for reply in replies]
    rank, low, high = _spearman([score(reply) for reply in replies], means)
    return HumanAnchor(
        replies=shared,
        raters=raters,
        kappa=kappa([(first, second) for _, first, second in both], [reply for reply, _, _ in both]),
        spearman=rank,
        spearman_low=low,
        spearman_high=high,
    )


def _spearman(scores: Sequence[float], ratings: Sequence[float]) -> tuple[float, float, float]:
    """Return the rank correlation with Fisher's interval (standard error 1.06 / sqrt(n - 3), Fieller et al. 1957)."""
    load_sklearn()  # SciPy comes with it
    from scipy.stats import spearmanr

    if len(set(scores)) < 2 or len(set(ratings)) < 2:
        return math.nan, math.nan, math.nan
    rank = float(spearmanr(scores, ratings).statistic)
    middle, reach = math.atanh(max(-0.999999, min(0.999999, rank))), 1.96 * 1.06 / math.sqrt(len(scores) - 3)
    return rank, math.tanh(middle - reach), math.tanh(middle + reach)
