"""reports/noise/<suite>/<model>.json: how far one model's metrics move when nothing that should matter is changed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.log.files import read_json, storage_error, write_atomically
from harness.log.reader import RunFolder
from harness.paths import slug

SCHEMA = 1
FOLDER = "noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFile:
    """One measurement. `floors` is, by metric, the largest difference between any two of the runs on common samples.

    `about` says what was measured (`about(header)`); `varied` (`batch_size` or `seed`) took each of `values` once.
    `replies_changed` and `outcomes_changed` are the largest shares of samples, over pairs of runs, whose text or
    verdict differs.
    """

    about: Mapping[str, Any]
    varied: str
    values: tuple[int, ...]
    runs: tuple[str, ...]
    samples: int
    replies_changed: float
    outcomes_changed: float
    floors: Mapping[str, float]


def about(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run and a noise file must share: suite, data, prompt, and who answered with which numbers."""
    parts: dict[str, tuple[str, ...]] = {
        "suite": ("name", "version", "sha256"),
        "dataset": ("split", "sha256"),
        "engine": (
            "engine",
            "model",
            "model_fingerprint",
            "adapter_fingerprint",
            "dtype",
            "quantization",
        ),
        "prompt": ("tools_by", "template_sha256", "dialect", "template"),
    }
    shared = {part: {key: header[part].get(key) for key in keys} for part, keys in parts.items()}
    of_persona = ("system_prompt", "system_prompt_sha256", "names_masked")
    shared["prompt"] |= {key: header["prompt"][key] for key in of_persona if key in header["prompt"]}
    if (constraint := header.get("sampling", {}).get("constraint")) is not None:
        shared["sampling"] = {"constraint": constraint}
    return shared


def noise_path(reports: Path, header: Mapping[str, Any]) -> Path:
    """Return where the noise of a run's model on its suite is kept under a reports folder."""
    engine = header["engine"]
    name = slug(Path(str(engine.get("model"))).name)
    if engine.get("adapter"):
        name += "-" + slug(Path(str(engine["adapter"])).name)
    return reports / FOLDER / slug(str(header["suite"].get("name"))) / f"{name}.json"


def noise_of(run: RunFolder, reports: Path) -> NoiseFile | None:
    """Return what was measured for a run's model and suite, None where nothing was. Raises RunFolderError."""
    path = noise_path(reports, run.header())
    return read_noise(path) if path.is_file() else None


def unlike(measured: Mapping[str, Any], header: Mapping[str, Any]) -> list[str]:
    """Return where a run differs from what was measured (`NoiseFile.about`), as "suite.sha256".

    A renamed model is the same model.
    """
    here = about(header)
    return [
        f"{part}.{key}"
        for part, values in here.items()
        for key, value in values.items()
        if (part, key) != ("engine", "model") and mapping_of(measured, part).get(key) != value
    ]


def write_noise(path: Path, noise: NoiseFile) -> None:
    """Write the file, keys in a fixed order, so that a change reads well in a diff. Raises StorageError."""
    text = json.dumps({"schema": SCHEMA, **asdict(noise)}, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    write_atomically(path, text.encode("utf-8", "backslashreplace") + b"\n")


def read_noise(path: Path) -> NoiseFile:
    """Return a noise file. Raises RunFolderError saying what is wrong with it."""
    stored = read_json(path)
    if stored.get("schema") != SCHEMA:
        raise RunFolderError(
            f"written by another harness (schema {stored.get('schema')!r}, this one reads {SCHEMA})",
            where=path,
            remedy="Measure again: harness noise SUITE",
        )
    try:
        return NoiseFile(
            about={str(key): value for key, value in stored["about"].items()},
            varied=str(stored["varied"]),
            values=tuple(map(int, stored["values"])),
            runs=tuple(map(str, stored["runs"])),
            samples=int(stored["samples"]),
            replies_changed=_share(stored["replies_changed"]),
            outcomes_changed=_share(stored["outcomes_changed"]),
            floors={str(name): _amount(value) for name, value in stored["floors"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RunFolderError(
            f"not a noise file: {said}", where=path, remedy="Measure again: harness noise SUITE"
        ) from None


def mapping_of(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object inside an object, an empty one where there is none."""
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is no amount")
    return float(value)


def _share(value: Any) -> float:
    if _amount(value) > 1:
        raise ValueError(f"{value!r} is no share")
    return float(value)
