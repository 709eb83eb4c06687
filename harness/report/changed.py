"""Which samples came out otherwise than in a baseline: right and now wrong, wrong and now right, wrong in another way."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.report.sample_body import ChangeKind, Record, change_of, label
from harness.report.stored import whole
from harness.stats import swap_test

MAX_NAMED = 200
MAX_TRANSITIONS = 12
_SWAPS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSample:
    """One sample that changed; `anchor` is None where it is not on the page."""

    sample_id: str
    repeat: int
    before: str
    after: str
    anchor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """How often one verdict became another."""

    before: str
    after: str
    kind: ChangeKind
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSamples:
    """The samples that both runs scored, by what became of them.

    `p` is the p-value of swapping the sides of whole clusters, for the share of samples that are right; None where
    nothing can be told. `broken` and `fixed` name at most 200 each.
    """

    compared: int
    right_before: int
    right_after: int
    broken_n: int
    fixed_n: int
    moved_n: int
    p: float | None
    broken: tuple[ChangedSample, ...]
    fixed: tuple[ChangedSample, ...]
    transitions: tuple[Transition, ...]
    more_transitions: int


class ChangeCounter:
    """Feed it every score with the baseline's, then take `finish()`."""

    def __init__(self) -> None:
        self._kinds: Counter[ChangeKind] = Counter()
        self._transitions: Counter[tuple[str, str, ChangeKind]] = Counter()
        self._named: dict[ChangeKind, list[ChangedSample]] = {"broken": [], "fixed": []}
        self._now, self._then = array("b"), array("b")
        self._clusters: dict[str, int] = {}
        self._cluster_of = array("l")

    def add(self, score: Record, before: Record | None) -> ChangeKind | None:
        """Count one sample and return what became of it."""
        kind = change_of(score, before)
        if kind is None or before is None:
            return None
        self._kinds[kind] += 1
        self._now.append(score.get("correct") is not False)
        self._then.append(before.get("correct") is not False)
        # A prefix keeps a cluster that is named like some sample apart from that sample's own.
        cluster = f"c {score['cluster']}" if score.get("cluster") else f"i {score.get('sample_id')}"
        self._cluster_of.append(self._clusters.setdefault(cluster, len(self._clusters)))
        if kind == "same":
            return kind
        was, now = label(before.get("verdict"), 80), label(score.get("verdict"), 80)
        self._transitions[was, now, kind] += 1
        named = self._named.get(kind)
        if named is not None and len(named) < MAX_NAMED:
            named.append(
                ChangedSample(
                    sample_id=label(score.get("sample_id")),
                    repeat=whole(score.get("repeat")),
                    before=was,
                    after=now,
                    anchor=None,
                )
            )
        return kind

    def finish(self, anchors: Mapping[tuple[str, int], str]) -> ChangedSamples | None:
        """Return the tally, None where no sample was scored by both; `anchors` says where samples stand on the page."""
        compared = len(self._now)
        if not compared:
            return None
        order = {"broken": 0, "fixed": 1, "moved": 2}
        ranked = sorted(
            self._transitions.items(), key=lambda item: (order.get(item[0][2], 3), -item[1], item[0])
        )
        shown = [
            Transition(before=was, after=now, kind=kind, samples=many) for (was, now, kind), many in ranked
        ]
        return ChangedSamples(
            compared=compared,
            right_before=sum(self._then),
            right_after=sum(self._now),
            broken_n=self._kinds["broken"],
            fixed_n=self._kinds["fixed"],
            moved_n=self._kinds["moved"],
            p=self._p(),
            broken=_placed(self._named["broken"], anchors),
            fixed=_placed(self._named["fixed"], anchors),
            transitions=tuple(shown[:MAX_TRANSITIONS]),
            more_transitions=max(0, len(shown) - MAX_TRANSITIONS),
        )

    def _p(self) -> float | None:
        ones = [1] * len(self._now)
        p = swap_test((self._then, self._now), (ones, ones), self._cluster_of, resamples=_SWAPS)
        return p if p == p else None


def _placed(
    samples: list[ChangedSample], anchors: Mapping[tuple[str, int], str]
) -> tuple[ChangedSample, ...]:
    return tuple(replace(one, anchor=anchors.get((one.sample_id, one.repeat))) for one in samples)
