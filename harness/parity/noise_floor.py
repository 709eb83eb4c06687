"""How far the reference's own metrics move for nothing: what `harness noise` measured, else what these columns show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.errors import NothingCollected
from harness.log.reader import RunFolder
from harness.run.noise_file import about, noise_of, noise_path, unlike
from harness.run.paired_runs import pair_runs, ratios

ROUNDING = 1e-12
"""What equals the floor but for rounding lies within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """By metric, the largest difference between runs that should not differ.

    `measured`: by `harness noise`. `own_settings`: between the columns named in `columns`, which are the reference's model
    in the same engine and numbers with other settings. `none`: nobody knows.
    """

    kind: Literal["measured", "own_settings", "none"]
    sentence: str
    floors: Mapping[str, float] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def within(self, metric: str, difference: float, column: str) -> bool | None:
        """Return whether a column's difference is inside the floor; None where nobody knows, or it makes the floor."""
        floor = self.floors.get(metric)
        if floor is None or column in self.columns:
            return None
        return abs(difference) <= floor + ROUNDING


def floor_of(runs: Mapping[str, RunFolder], reports: Path) -> Floor:
    """Return the floor of the first of the compared runs, by column's name; `reports` holds noise/.

    Raises RunFolderError for a noise file that is damaged.
    """
    name, reference = next(iter(runs.items()))
    header = reference.header()
    noise = noise_of(reference, reports)
    if noise is not None and not unlike(noise.about, header):
        values = ", ".join(map(str, noise.values))
        return Floor(
            kind="measured",
            sentence=f"Noise floor: measured by harness noise, {noise.varied.replace('_', ' ')} {values}, "
            f"{noise.samples} samples ({noise_path(reports, header)}).",
            floors=noise.floors,
        )
    shared = about(header)
    alike = {other: run for other, run in runs.items() if not unlike(shared, run.header())}
    if len(alike) < 2:
        return Floor(
            kind="none",
            sentence=f"Noise floor: not known. Measure it with harness noise, or compare {header['engine'].get('engine')} "
            "in another batch size as well.",
        )
    return Floor(
        kind="own_settings",
        sentence=f"Noise floor: the largest difference between {_listed(list(alike))}; {name} has none that was measured "
        "by harness noise.",
        floors=_spread(list(alike.values())),
        columns=tuple(alike),
    )


def _spread(runs: Sequence[RunFolder]) -> dict[str, float]:
    try:
        paired = pair_runs(runs, allow_incomplete=True)
    except NothingCollected:
        return {}
    found = {}
    for metric, values in ratios(paired).items():
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found[metric] = max(known) - min(known)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"
