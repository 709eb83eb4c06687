"""Runs of one suite held against the first of them, as a value: everything that a comparison says.

No clock and no environment: equal run folders (and noise files) give an equal `Comparison`, and every renderer shows
the same one. Samples stay on disk, but for the few dozen that are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.log.reader import RunFolder
from harness.report import compare_wording as say
from harness.report.against import Change, adjusted, change_of, judged
from harness.report.compare_outcomes import Outcome, counts_of, outcome_of
from harness.report.compare_samples import SHOWN, ChangedSamples, changed_samples, kinds_of
from harness.report.facts import identity
from harness.report.measures import is_headline
from harness.report.stored import mapping, whole
from harness.report.text import one_line
from harness.report.wording_of_change import run_name, run_title, suite_name
from harness.run.comparable import is_complete
from harness.run.noise_file import NoiseFile, unlike
from harness.run.paired_answers import ALPHA
from harness.run.paired_runs import Coverage, PairedDifference, PairedRuns, measured, pair_runs

POWER = 0.8
_UNREMARKABLE = frozenset({"Run", "Started", "Took"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run. `name` is who answered, told apart from the others; `title` says what was run on what."""

    name: str
    title: str
    run_id: str
    status: str
    complete: bool
    planned: int
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """One metric's difference to the reference.

    `detectable` is the smallest difference that a test at 5 % finds with 80 % power, given what differed here; None
    where nothing can be said.
    """

    change: Change
    clusters: int
    detectable: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric: the reference's value on the common samples and one change a run (None: no value there)."""

    name: str
    label: str
    definition: str
    higher_is_better: bool
    headline: bool
    share: bool
    reference: float
    changes: tuple[MetricChange | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """One fact that is not the same in all runs, with its value in each."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs of one suite, ready to be shown. `sides[0]` is the reference, `outcomes[i]` belongs to `sides[i + 1]`."""

    suite: str
    n: int
    sides: tuple[Side, ...]
    outcomes: tuple[Outcome, ...]
    metrics: tuple[MetricRow, ...]
    samples: ChangedSamples
    differs: tuple[Differs, ...]
    notes: tuple[str, ...]
    verdict_texts: Mapping[str, str]
    tests: int

    @property
    def complete(self) -> bool:
        """Return whether every run is complete."""
        return all(side.complete for side in self.sides)

    @property
    def others(self) -> tuple[tuple[int, Side, Outcome], ...]:
        """Return (place among the changes of a metric, run, outcome) of every run but the reference."""
        return tuple(
            (place, side, outcome)
            for place, (side, outcome) in enumerate(zip(self.sides[1:], self.outcomes, strict=True))
        )

    @property
    def headline(self) -> tuple[MetricRow, ...]:
        """Return the metrics that are tested."""
        return tuple(row for row in self.metrics if row.headline)


def build_comparison(
    folders: Sequence[RunFolder],
    noise: Sequence[NoiseFile | None] = (),
    *,
    shown: int = SHOWN,
    allow_incomplete: bool = False,
    across_prompts: bool = False,
    names: Sequence[str] | None = None,
) -> Comparison:
    """Return the comparison of scored run folders; `noise[i]` was measured for run i, and counts where it fits.

    `names` say what to call the runs where who answered does not tell them apart.

    Raises what `harness.run.paired_runs.pair_runs` raises for runs that cannot be compared.
    """
    paired = pair_runs(
        folders, replies=True, allow_incomplete=allow_incomplete, across_prompts=across_prompts
    )
    sides = _sides(paired, names)
    fitting = [
        one if one is not None and not unlike(one.about, header) else None
        for one, header in zip(noise, paired.headers, strict=False)
    ]
    described = mapping(paired.summaries[-1].get("measures"))
    metrics, tests = _metrics(paired, described, fitting)
    kinds = [kinds_of(paired, other) for other in range(1, len(folders))]
    return Comparison(
        suite=_suite(paired.headers[0]),
        n=paired.n,
        sides=sides,
        outcomes=tuple(_outcome(paired, place, one, sides, metrics) for place, one in enumerate(kinds)),
        metrics=metrics,
        samples=changed_samples(paired, kinds, shown),
        differs=_differs(paired.headers),
        notes=tuple(say.notes(paired, sides, metrics, noise)),
        verdict_texts=_verdict_texts(paired.summaries),
        tests=tests,
    )


def _outcome(
    paired: PairedRuns,
    place: int,
    kinds: NDArray[np.uint8],
    sides: Sequence[Side],
    metrics: Sequence[MetricRow],
) -> Outcome:
    names = sides[0].name, sides[place + 1].name
    verdict = say.verdict(*names, place, metrics, counts_of(kinds), paired.n)
    return outcome_of(paired, place + 1, kinds, verdict)


def _suite(header: Mapping[str, Any]) -> str:
    split = mapping(header.get("dataset")).get("split") or "unknown split"
    return f"{suite_name(header) or 'Unknown suite'} ({split})"


def _sides(paired: PairedRuns, given: Sequence[str] | None) -> tuple[Side, ...]:
    names = [one_line(name, 60) for name in given or [run_name(header) for header in paired.headers]]
    sides = []
    for place, (folder, header) in enumerate(zip(paired.folders, paired.headers, strict=True)):
        twin = names.count(names[place]) > 1
        counts = mapping(paired.summaries[place].get("counts"))
        complete = is_complete(folder, header)
        sides.append(
            Side(
                name=f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[place % 26]}: {names[place]}" if twin else names[place],
                title=run_title(header),
                run_id=str(header["run_id"]),
                status=str(header["status"]) if header["status"] != "complete" or complete else "incomplete",
                complete=complete,
                planned=whole(counts.get("planned")),
                coverage=paired.coverage[place],
            )
        )
    return tuple(sides)


def _metrics(
    paired: PairedRuns, described: Mapping[str, Any], noise: Sequence[NoiseFile | None]
) -> tuple[tuple[MetricRow, ...], int]:
    """Return every metric's row, headline first, and how many differences Holm's family holds."""
    headline = [name for name in described if is_headline(name, described)]
    found = [
        {one.metric: one for one in measured(paired, other, tested=headline)}
        for other in range(1, len(paired.folders))
    ]
    family = adjusted(
        {
            (place, name): rows[name].difference.p
            for place, rows in enumerate(found)
            for name in headline
            if name in rows
        }
    )
    rows = []
    for name in sorted(described, key=lambda name: name not in headline):
        here = [one.get(name) for one in found]
        first = next((one for one in here if one is not None), None)
        if first is None:
            continue
        about = mapping(described.get(name))
        share = about.get("unit", "share") == "share"
        rows.append(
            MetricRow(
                name=name,
                label=first.label,
                definition=str(about.get("definition") or ""),
                higher_is_better=first.higher_is_better,
                headline=name in headline,
                share=share,
                reference=first.before,
                changes=tuple(
                    _change(
                        one, share, name in headline, family.get((place, name)), _floor(noise, place, name)
                    )
                    for place, one in enumerate(here)
                ),
            )
        )
    return tuple(rows), len(family)


def _floor(noise: Sequence[NoiseFile | None], place: int, name: str) -> float | None:
    """Return the larger of what was measured for the reference and for the run at `place` among the others."""
    measured_for = [one for run, one in enumerate(noise) if one is not None and run in (0, place + 1)]
    return max((one.floors[name] for one in measured_for if name in one.floors), default=None)


def _change(
    one: PairedDifference | None, share: bool, headline: bool, p: float | None, noise: float | None
) -> MetricChange | None:
    if one is None:
        return None
    change = change_of(one, noise, share)
    return MetricChange(
        change=judged(change, p, one.higher_is_better) if headline else change,
        clusters=one.clusters,
        detectable=_detectable(one, share),
    )


def _detectable(one: PairedDifference, share: bool) -> float | None:
    """Return (z(1 - alpha/2) + z(power)) standard errors, and for shares no less than that squared over n.

    The second is what McNemar's test needs where all samples that differ do so in one way (Connor 1987 with as many
    discordant pairs as the difference itself): however little differed here, less would not be found.
    """
    z = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(POWER)
    if one.difference.error is None or not one.n:
        return None
    found = z * one.difference.error
    if share:
        found = max(found, z * z / one.n)
        return found if found < 1 else None
    return found or None


def _differs(headers: Sequence[Mapping[str, Any]]) -> tuple[Differs, ...]:
    facts = [{fact.label: fact.full for fact in identity(header)} for header in headers]
    found = []
    for label in dict.fromkeys(label for one in facts for label in one):
        values = tuple(one.get(label, "none") for one in facts)
        if label not in _UNREMARKABLE and len(set(values)) > 1:
            found.append(Differs(label=label, values=values))
    return tuple(found)


def _verdict_texts(summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for summary in summaries:
        for code, text in mapping(summary.get("verdict_texts")).items():
            if isinstance(text, str):
                found.setdefault(str(code), text)
    return found
