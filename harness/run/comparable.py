"""May these runs be compared? Same suite, version, samples and prompts; finished; and not one run twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import IncompleteRun, RunFolderError, UsageError
from harness.log import schema
from harness.log.reader import RunFolder
from harness.log.score_counts import damaged_scores, score_difference
from harness.run.scored_with import header_as_scored, versions_by_metric

PROMPT_PARTS = {
    "template": "who renders the prompt",
    "template_sha256": "the chat template",
    "tools_by": "how the tools are shown",
    "dialect": "the tool-call dialect",
    "system_prompt": "the system prompt",
    "system_prompt_sha256": "the text of the system prompt",
    "names_masked": "whether the persona's names are masked",
}
_OF_THE_MODEL = ("template_sha256", "tools_by", "dialect")
"""What may differ between two models, each of which has a template of its own."""

_SET_BY = dict.fromkeys(_OF_THE_MODEL, "template and dialect") | {"template": "engine and mode"}


def check_comparable(
    runs: Sequence[RunFolder], *, allow_incomplete: bool = False, across_prompts: bool = False
) -> list[dict[str, Any]]:
    """Return the headers of runs that measured the same thing; the first is the reference.

    Models, adapters, numbers (dtype, quantisation) and sampling may differ: they are what is compared. With another
    model its own chat template may differ as well, but not the persona's system prompt; with `across_prompts` all may.
    Raises UsageError for fewer than two runs or one named twice, RunFolderError for another suite, version, data set,
    metric version or prompt and for scores that are not those that the summary counts, IncompleteRun for a run that is
    not finished.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs or more", remedy="Name the reference first.")
    headers = [run.header() for run in runs]
    _check_distinct(runs, headers)
    if not allow_incomplete:
        for run, header in zip(runs, headers, strict=True):
            _check_complete(run, header)
    scored = [_as_scored(run, header) for run, header in zip(runs, headers, strict=True)]
    for run, header in zip(runs[1:], scored[1:], strict=True):
        _check_same_suite(runs[0].path, scored[0], run.path, header)
        _check_same_metrics(runs[0].path, scored[0], run.path, header)
        if not across_prompts:
            _check_same_prompt(runs[0].path, scored[0], run.path, header)
    return headers


def same_model(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two headers name the same weights (adapters aside), whose prompts must then be the same."""
    left, right = (header["engine"].get("model_fingerprint") for header in (one, other))
    return left is not None and left == right


def is_complete(run: RunFolder, header: Mapping[str, Any]) -> bool:
    """Return whether every planned sample has a score, and its answer no error. Raises RunFolderError for an unscored run."""
    if header.get("status") != "complete":
        return False
    summary = summary_of(run)
    return summary.get("status") == "complete" and score_difference(run.path, summary) is None


def summary_of(run: RunFolder) -> dict[str, Any]:
    """Return a run's summary. Raises RunFolderError if it was never scored or the file is damaged."""
    if not (run.path / schema.SUMMARY).is_file():
        raise RunFolderError(
            "this run was never scored", where=run.path, remedy=f"Score it: harness score {run.path}"
        )
    return run.summary()


def _as_scored(run: RunFolder, header: dict[str, Any]) -> dict[str, Any]:
    if not (run.path / schema.SUMMARY).is_file():
        return header
    return header_as_scored(header, run.summary())


def _check_distinct(runs: Sequence[RunFolder], headers: Sequence[Mapping[str, Any]]) -> None:
    seen: dict[Path, int] = {}
    for place, run in enumerate(runs):
        path = run.path.resolve()
        if path in seen:
            raise UsageError("this run is named twice", where=run.path, remedy="Name each run once.")
        seen[path] = place
    ids: dict[str, Path] = {}
    for run, header in zip(runs, headers, strict=True):
        if header["run_id"] in ids:
            raise UsageError(
                f"this is a copy of the run in {ids[header['run_id']]}",
                where=run.path,
                remedy="Name another run.",
            )
        ids[header["run_id"]] = run.path


def _check_complete(run: RunFolder, header: Mapping[str, Any]) -> None:
    if is_complete(run, header):
        return
    scored = (run.path / schema.SUMMARY).is_file()
    summary = run.summary() if scored else {}
    if header.get("status") == summary.get("status") == "complete":
        raise damaged_scores(run.path, score_difference(run.path, summary) or "")
    counts = summary.get("counts")
    errors = counts.get("errors") if isinstance(counts, dict) else 0
    why = f" ({errors} generations failed)" if isinstance(errors, int) and errors else ""
    status = header.get("status") if header.get("status") != "complete" else "incomplete"
    raise IncompleteRun(
        f"this run is {status}{why}, so it is not compared",
        where=run.path,
        remedy=f"Finish it with: harness run ... --resume {run.path}",
    )


def _check_same_suite(reference: Path, one: Mapping[str, Any], path: Path, other: Mapping[str, Any]) -> None:
    suites = [header["suite"] for header in (one, other)]
    names, versions = ([suite.get(key) for suite in suites] for key in ("name", "version"))
    splits = [header["dataset"].get("split") for header in (one, other)]
    if names[0] != names[1]:
        what = f"another suite: {names[0]} and {names[1]}"
    elif versions[0] != versions[1]:
        what = f"another version of the suite {names[0]}: {versions[0]} and {versions[1]}"
    elif suites[0].get("sha256") != suites[1].get("sha256"):
        what = f"suite.yaml, scorer.py or the persona of {names[0]} changed between the runs, without a new version"
    elif splits[0] != splits[1]:
        what = f"another split of the data set: {splits[0]} and {splits[1]}"
    elif one["dataset"].get("sha256") != other["dataset"].get("sha256"):
        what = f"another state of the data set {one['dataset'].get('path')} ({splits[0]})"
    else:
        return
    raise RunFolderError(
        f"the two runs measured different things: {what}",
        where=path,
        remedy=f"Run both on the same suite and data, then compare; the reference is {reference}.",
    )


def _check_same_metrics(
    reference: Path, one: Mapping[str, Any], path: Path, other: Mapping[str, Any]
) -> None:
    versions = [versions_by_metric(header) for header in (one, other)]
    for name in versions[0].keys() & versions[1].keys():
        before, after = (known[name] for known in versions)
        if before != after:
            same = before.partition(" ")[0] == after.partition(" ")[0]
            raise RunFolderError(
                f"the two runs were scored with different versions of the metric {name}: {before} and {after}"
                + ("; what stands in brackets is the hash of what it was made of" if same else "")
                + (", for a persona its card, references and analyser" if same and "persona" in name else ""),
                where=path,
                remedy=f"Score both again: harness score {reference}, harness score {path}",
            )


def _check_same_prompt(reference: Path, one: Mapping[str, Any], path: Path, other: Mapping[str, Any]) -> None:
    templates = same_model(one, other)
    for key, name in PROMPT_PARTS.items():
        if key in _OF_THE_MODEL and not templates:
            continue
        values = [header["prompt"].get(key) for header in (one, other)]
        if values[0] != values[1]:
            shown = " and ".join(str(value)[:12] for value in values)
            whom = "one model" if templates else "the two models"
            parts = _SET_BY.get(key, "--system-prompt and --mask-name")
            raise RunFolderError(
                f"the two runs asked {whom} with different prompts: {name} differs ({shown})",
                where=path,
                remedy=f"Run both with the same {parts}, or compare prompts: harness compare --across-prompts. "
                f"The reference is {reference}.",
            )
