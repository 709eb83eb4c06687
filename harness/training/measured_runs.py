"""Which run folders measured this adapter, and which its bare base on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.files import read_json
from harness.log.reader import RunFolder
from harness.run.paired_runs import PairedDifference, paired_differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A complete run of the adapter; `against_base` by metric, empty (and `base_header` None) where the base was not asked
    the same."""

    folder: Path
    header: Mapping[str, Any]
    summary: Mapping[str, Any]
    against_base: Mapping[str, PairedDifference]
    base_header: Mapping[str, Any] | None


def measured_runs(
    named: Sequence[Path], sweep: Path | None, *, adapter_fingerprint: str, base_fingerprint: str | None
) -> tuple[Measured, ...]:
    """Return the adapter's runs among those named and those in a sweep's folder, one a suite and data split.

    A named run of another adapter or base is an error, for its numbers would stand under the wrong name; in a sweep
    such runs are passed over, and the runs of the test split win over those that the checkpoint was chosen by. Raises
    RunFolderError for it, for an incomplete run, and for two named runs of one suite.
    """
    found = [*_read(named, strict=True), *_read(_swept(sweep), strict=False)]
    strict = set(named)
    mine, bases = [], []
    for path, header in found:
        engine = header["engine"]
        base_fits = base_fingerprint is None or engine.get("model_fingerprint") == base_fingerprint
        if base_fits and engine.get("adapter_fingerprint") == adapter_fingerprint:
            mine.append((path, header))
        elif base_fits and engine.get("adapter_fingerprint") is None:
            bases.append((path, header))
        elif path in strict:
            raise RunFolderError(
                _another(header, base_fits), where=path, remedy="Name the runs of this adapter."
            )
    chosen = _one_a_suite(mine, strict)
    return tuple(_measured(path, header, bases) for path, header in chosen)


def _swept(sweep: Path | None) -> list[Path]:
    if sweep is None:
        return []
    folder = sweep / "sweep" if (sweep / "sweep").is_dir() else sweep
    runs = sorted(path.parent for path in folder.glob(f"*/{schema.RUN}"))
    if not runs:
        raise RunFolderError(
            "holds no run folders", where=sweep, remedy="Name a training run that was swept."
        )
    return runs


def _read(paths: Sequence[Path], *, strict: bool) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in paths:
        header = RunFolder(path).header()
        complete = header.get("status") == "complete" and (path / schema.SUMMARY).is_file()
        complete = complete and read_json(path / schema.SUMMARY).get("status") == "complete"
        if complete:
            yield path, header
        elif strict:
            raise RunFolderError(
                "this run is INCOMPLETE, so its numbers are not published",
                where=path,
                remedy=f"Finish it with: harness run ... --resume {path}",
            )


def _another(header: Mapping[str, Any], base_fits: bool) -> str:
    engine = header["engine"]
    if not base_fits:
        return f"this run measured another base: {engine.get('model')}"
    return f"this run measured another adapter: {engine.get('adapter')}"


def _one_a_suite(
    runs: Sequence[tuple[Path, dict[str, Any]]], strict: set[Path]
) -> list[tuple[Path, dict[str, Any]]]:
    """Return the latest run of each suite and split; where a suite was run on its test split, that one alone."""
    kept: dict[tuple[str, str], tuple[Path, dict[str, Any]]] = {}
    for path, header in sorted(runs, key=lambda item: str(item[1].get("started_at"))):
        key = (str(header["suite"].get("name")), str(header["dataset"].get("split")))
        if path in strict and key in kept and kept[key][0] in strict:
            raise RunFolderError(
                f"two runs of {key[0]} ({key[1]}) are named", where=path, remedy="Name one of them."
            )
        if not (key in kept and kept[key][0] in strict):
            kept[key] = (path, header)
    tested = {suite for suite, split in kept if split == "test"}
    return [run for (suite, split), run in kept.items() if split == "test" or suite not in tested]


def _measured(
    path: Path, header: Mapping[str, Any], bases: Sequence[tuple[Path, dict[str, Any]]]
) -> Measured:
    same = [(base, other) for base, other in bases if _asked(other) == _asked(header)]
    differences = paired_differences(same[-1][0], path) if same else ()
    return Measured(
        folder=path,
        header=header,
        summary=RunFolder(path).summary(),
        against_base={one.metric: one for one in differences},
        base_header=same[-1][1] if same else None,
    )


def _asked(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a base's run must share with the adapter's to be its baseline: everything but who answered."""
    engine = header["engine"]
    return {
        "suite": header["suite"].get("sha256"),
        "data": header["dataset"].get("sha256"),
        "selection": header.get("selection"),
        "prompt": header["prompt"],
        "sampling": header.get("sampling"),
        "model": engine.get("model_fingerprint"),
        "numbers": (engine.get("dtype"), engine.get("quantization")),
    }


def chosen_in(sweep: Path, name: str) -> str | None:
    """Return the sentence in which a sweep chose this checkpoint, None where it did not or does not say."""
    folder = sweep / "sweep" if (sweep / "sweep").is_dir() else sweep
    if not (folder / "sweep.json").is_file():
        return None
    record = read_json(folder / "sweep.json")
    sentence = record.get("sentence")
    return sentence if record.get("chosen") == name and isinstance(sentence, str) else None
