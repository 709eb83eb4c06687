"""What `harness noise` measured, beside every difference to a baseline: how far the engine alone moves a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.gate.result import GateResult
from harness.gate.run_summary import RunSummary
from harness.gate.wording import Scale
from harness.log.reader import RunFolder
from harness.run.noise_file import NoiseFile, noise_of, unlike


def with_noise(results: Sequence[GateResult], summary: RunSummary) -> tuple[GateResult, ...]:
    """Return the results with the noise floor of the run's model, where one was measured for it beside the run.

    A floor belongs to all samples, so gates on a slice have none; it changes no verdict. Raises RunFolderError for a
    noise file that is damaged.
    """
    noise = noise_of(RunFolder(summary.path), summary.path.absolute().parent)
    if noise is None or unlike(noise.about, summary.header):
        return tuple(results)
    return tuple(_with_floor(result, noise) for result in results)


def _with_floor(result: GateResult, noise: NoiseFile) -> GateResult:
    floor = noise.floors.get(result.metric)
    if floor is None or result.difference is None or result.slice is not None:
        return result
    scale = Scale(result.unit, result.higher_is_better)
    what = "batch size" if noise.varied == "batch_size" else noise.varied
    sentence = f"{result.sentence} Another {what} alone moves it by up to {scale.points(floor)}."
    reason = sentence if result.reason else ""
    return replace(result, noise=floor, sentence=sentence, reason=reason)
