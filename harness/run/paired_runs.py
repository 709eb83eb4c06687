"""Two scored runs of one suite -> the differences of their metrics on the samples that both answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import NothingCollected, RunFolderError
from harness.log.reader import RunFolder
from harness.run.paired_answers import Answers, Difference, Part, compare


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """One metric of two runs on the samples that both answered.

    `n` counts the samples that it applies to in either run, `changed` those whose share in it differs.
    """

    metric: str
    label: str
    headline: bool
    higher_is_better: bool
    before: float
    after: float
    difference: Difference
    n: int
    changed: int


def paired_differences(before: Path, after: Path) -> tuple[PairedDifference, ...]:
    """Return every metric's difference between two run folders, second minus first, in the summary's order.

    Raises RunFolderError if the folders hold runs of different suites or data, or unfinished ones; NothingCollected if
    they share no scored sample.
    """
    first, second = RunFolder(before), RunFolder(after)
    _check_comparable(first, second)
    measures = second.summary().get("measures") or {}
    one, other = answers(first, list(measures)), answers(second, list(measures))
    shared = [name for name in one.samples if name in set(other.samples)]
    if not shared:
        raise NothingCollected("the two runs share no scored sample", where=after)
    one, other = one.only(shared), other.only(shared)
    found = []
    for name, about in measures.items():
        difference, old, new = compare(one, other, name), one.value(name), other.value(name)
        if difference is None or old is None or new is None:
            continue
        pairs = list(zip(one.parts[name], other.parts[name], strict=True))
        found.append(
            PairedDifference(
                metric=name,
                label=str(about.get("label") or name),
                headline=bool(about.get("headline")),
                higher_is_better=bool(about.get("higher_is_better", True)),
                before=old,
                after=new,
                difference=difference,
                n=sum(left[1] > 0 or right[1] > 0 for left, right in pairs),
                changed=sum(left != right for left, right in pairs),
            )
        )
    return tuple(found)


def _check_comparable(first: RunFolder, second: RunFolder) -> None:
    one, other = first.header(), second.header()
    for run, header in ((first, one), (second, other)):
        if header.get("status") != "complete":
            raise RunFolderError(
                f"this run is {header.get('status')}, so it cannot be compared",
                where=run.path,
                remedy=f"Finish it with: harness run ... --resume {run.path}",
            )
    for part, key in (("suite", "name"), ("suite", "sha256"), ("dataset", "sha256")):
        if (one.get(part) or {}).get(key) != (other.get(part) or {}).get(key):
            raise RunFolderError(
                f"the two runs measured different things: another {part} ({key})",
                where=second.path,
                remedy=f"Compare runs of one suite, unlike {first.path}.",
            )


def answers(run: RunFolder, measures: Sequence[str]) -> Answers:
    """Return what a run answered: its scored samples, one entry a sample and repeat. Raises RunFolderError."""
    samples: list[str] = []
    clusters: list[str] = []
    parts: dict[str, list[Part]] = {name: [] for name in measures}
    for score in run.scores():
        if score.get("status") != "scored":
            continue
        samples.append(f"{score['sample_id']}\0{score['repeat']}")
        # A prefix keeps a cluster that is named like some sample apart from that sample's own.
        clusters.append(f"c {score['cluster']}" if score.get("cluster") else f"i {score['sample_id']}")
        for name in measures:
            top, bottom = score["measures"].get(name, (0.0, 0.0))
            parts[name].append((top, bottom))
    return Answers(samples=samples, clusters=clusters, parts=parts)
