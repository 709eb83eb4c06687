"""How much a model's answers to one and the same prompt agree, where each sample was asked several times.

pass^k is the chance that k tries are all right, and pass@k that at least one of k is. Of n tries with c right ones
they are estimated without bias by C(c, k) / C(n, k) (Yao et al. 2024, tau-bench, arXiv:2406.12045) and by
1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374), averaged over samples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.report.measures import Estimate
from harness.report.sample_body import Record, label
from harness.stats import bootstrap_ratio_intervals

MAX_K = 8
MAX_FLIPPING = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipping:
    """A sample that is right in some tries and wrong in others; `anchor` is None where it is not on the page."""

    sample_id: str
    right: int
    tries: int
    anchor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """Samples that were asked `tries` times each. `all_right[k - 1]` is pass^k, `any_right[k - 1]` pass@k.

    `same_reply` is the share of samples whose replies are the same text in every try.
    """

    tries: int
    samples: int
    incomplete: int
    all_right: tuple[Estimate, ...]
    any_right: tuple[Estimate, ...]
    same_reply: Estimate
    flipping_n: int
    flipping: tuple[Flipping, ...]


@dataclass(slots=True)
class _Tries:
    cluster: str
    right: int = 0
    judged: int = 0
    replies: int = 0
    first: bytes = b""
    same: bool = True


class ConsistencyCounter:
    """Feed it every (score, generation) of a run with repeats, then take `finish()`."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._samples: dict[str, _Tries] = {}

    def add(self, score: Record, generation: Record) -> None:
        """Count one try; what has no score is no try."""
        correct = score.get("correct")
        if score.get("status", "scored") != "scored" or not isinstance(correct, bool):
            return
        name = label(score.get("sample_id"))
        one = self._samples.setdefault(name, _Tries(str(score.get("cluster") or name)))
        one.judged += 1
        one.right += correct
        text = str(generation.get("text") or "").encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=8).digest()
        one.same = one.same and (not one.replies or digest == one.first)
        one.first, one.replies = one.first or digest, one.replies + 1

    def finish(self, anchors: Mapping[str, str]) -> Consistency | None:
        """Return the tally over the samples with every try, None where there is none."""
        whole = {name: one for name, one in self._samples.items() if one.judged == self._tries}
        if not whole:
            return None
        n, most = self._tries, min(self._tries, MAX_K)
        columns = {f"pass^{k}": [_all(one.right, n, k) for one in whole.values()] for k in range(1, most + 1)}
        columns |= {
            f"pass@{k}": [_any(one.right, n, k) for one in whole.values()] for k in range(1, most + 1)
        }
        columns["same_reply"] = [float(one.same) for one in whole.values()]
        estimates = _estimates(columns, [one.cluster for one in whole.values()])
        mixed = [(name, one.right) for name, one in whole.items() if 0 < one.right < n]
        mixed.sort(key=lambda item: (abs(2 * item[1] - n), item[0]))
        return Consistency(
            tries=n,
            samples=len(whole),
            incomplete=len(self._samples) - len(whole),
            all_right=tuple(estimates[f"pass^{k}"] for k in range(1, most + 1)),
            any_right=tuple(estimates[f"pass@{k}"] for k in range(1, most + 1)),
            same_reply=estimates["same_reply"],
            flipping_n=len(mixed),
            flipping=tuple(
                Flipping(sample_id=name, right=right, tries=n, anchor=anchors.get(name))
                for name, right in mixed[:MAX_FLIPPING]
            ),
        )


def _all(right: int, n: int, k: int) -> float:
    return math.comb(right, k) / math.comb(n, k)


def _any(right: int, n: int, k: int) -> float:
    return 1 - math.comb(n - right, k) / math.comb(n, k)


def _estimates(columns: dict[str, list[float]], clusters: list[str]) -> dict[str, Estimate]:
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    ones = [[1.0] * len(columns)] * len(rows)
    low, high, _ = bootstrap_ratio_intervals(rows, ones, clusters)
    found = {}
    for place, (name, values) in enumerate(columns.items()):
        bounds = [None if math.isnan(end[place]) else float(end[place]) for end in (low, high)]
        found[name] = Estimate(
            metric=name,
            group="all",
            value=math.fsum(values) / len(values),
            low=bounds[0],
            high=bounds[1],
            numerator=math.fsum(values),
            denominator=float(len(values)),
            n=len(values),
            clusters=len(set(clusters)),
            share=True,
        )
    return found
