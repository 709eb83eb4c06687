"""A baseline: what one accepted run answered, sample by sample, in a file that a person reviews and commits.

One line a sample, sorted by id, so that a diff shows which samples changed:

    "structural-test-0002": ["en-point_load-03", "1 0 - 1 0"]

is the sample's cluster and its outcome in each of `measures`: 1 right (1/1), 0 wrong (0/1), - does not apply (0/0), else
numerator/denominator; one such text a repeat, "unscored" where there was nothing to score. `sha256` covers the rest, and
`values` are what the outcomes add up to: both are checked on reading.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.data.strict_json import StrictJsonError, decode
from harness.errors import SpecError, UsageError
from harness.fingerprint import sha256_of
from harness.gate.identity import Identity, first_difference, identity_of
from harness.gate.outcomes import NOTHING, Key, Outcome, Outcomes, Part, checked_part
from harness.log.files import write_atomically

NAME_ONE = "Add baseline: ../../reports/baselines/SUITE/NAME.json, or give --baseline"
PROPOSE = "Make it anew from a run that you accept: harness gate RUN --propose-baseline"
_WORDS: dict[Part, str] = {(1.0, 1.0): "1", (0.0, 1.0): "0", NOTHING: "-"}
_PARTS = {word: part for part, word in _WORDS.items()}
_UNSCORED = "unscored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """An accepted run: `name` says where it came from (a file or a run folder), `measured` who answered."""

    name: str
    identity: Identity
    measured: Mapping[str, str | None]
    outcomes: Outcomes

    def value(self, measure: str) -> float | None:
        """Return a measure's value over all samples, None where it applies to none. Raises KeyError."""
        column = self.outcomes.measures.index(measure)
        scored = [one.parts[column] for one in self.outcomes.samples.values() if one.parts]
        bottom = math.fsum(part[1] for part in scored)
        return math.fsum(part[0] for part in scored) / bottom if bottom > 0 else None


def baseline_of_run(name: str, header: Mapping[str, Any], outcomes: Outcomes) -> Baseline:
    """Return a run as a baseline."""
    engine = header["engine"]

    def text(key: str) -> str | None:
        value = engine.get(key)
        return None if value is None else str(value)

    model, adapter = text("model"), text("adapter")
    return Baseline(
        name=name,
        identity=identity_of(header),
        measured={
            "run": str(header["run_id"]),
            "engine": text("engine"),
            # Names, not paths: the file is read on other machines.
            "model": model if model is None else Path(model).name,
            "model_fingerprint": text("model_fingerprint"),
            "adapter": adapter if adapter is None else Path(adapter).name,
            "adapter_fingerprint": text("adapter_fingerprint"),
            "dtype": text("dtype"),
            "quantization": text("quantization"),
        },
        outcomes=outcomes,
    )


def check_same_samples(baseline: Baseline, identity: Identity, outcomes: Outcomes) -> None:
    """Raise UsageError unless run and baseline measured the same samples in the same way, naming what differs."""
    difference = first_difference(baseline.identity, identity)
    if difference:
        raise UsageError(
            f"this baseline is for {difference}",
            where=baseline.name,
            remedy=f"Samples are compared only like with like. {PROPOSE}",
        )
    theirs, ours = baseline.outcomes.samples.keys(), outcomes.samples.keys()
    for missing, said in (
        (theirs - ours, "of the baseline's {} samples are not in this run, so they would go unused"),
        (ours - theirs, "of the run's {} samples are not in the baseline"),
    ):
        if missing:
            total = len(theirs if "baseline's" in said else ours)
            raise UsageError(
                f"{len(missing)} {said.format(total)} (the first: {_first(missing)})",
                where=baseline.name,
                remedy=f"Gate a run of the whole suite (no --limit, no --tag). {PROPOSE}",
            )
    for key, outcome in baseline.outcomes.samples.items():
        if outcome.cluster != outcomes.samples[key].cluster:
            raise UsageError(
                f"sample {key[0]!r} is in another cluster than in this run",
                where=baseline.name,
                remedy=PROPOSE,
            )


def _first(keys: set[Key]) -> str:
    sample, repeat = min(keys)
    return repr(sample) + (f", repeat {repeat}" if repeat else "")


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline file, making its folder. Raises StorageError, or UsageError for outcomes that are errors."""
    try:
        data = baseline_text(baseline).encode()
    except UnicodeEncodeError:
        raise UsageError("an id or a cluster holds half of a surrogate pair", where=baseline.name) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"this folder cannot be made: {error.strerror}", where=path.parent) from None
    write_atomically(path, data)


def baseline_text(baseline: Baseline) -> str:
    """Return the file's text: the same for the same outcomes. Raises UsageError for outcomes that are errors."""
    samples: dict[str, list[str]] = {}
    for (sample, repeat), outcome in sorted(baseline.outcomes.samples.items()):
        entry = samples.setdefault(sample, [outcome.cluster])
        if outcome.status == "error" or repeat != len(entry) - 1:
            raise UsageError(
                f"sample {sample!r} has no answer, so this run is no baseline", where=baseline.name
            )
        entry.append(_word(outcome))
    content = {
        "schema": 1,
        **asdict(baseline.identity),
        "measured": dict(baseline.measured),
        "measures": list(baseline.outcomes.measures),
        "values": {
            name: None if (value := baseline.value(name)) is None else round(value, 6)
            for name in baseline.outcomes.measures
        },
        "samples": samples,
    }
    content["sha256"] = _digest(content)
    lines = [
        f"{json.dumps(key)}: {json.dumps(content[key], ensure_ascii=False)}"
        for key in content
        if key != "samples"
    ]
    rows = ",\n".join(
        f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(entry, ensure_ascii=False)}"
        for name, entry in samples.items()
    )
    return "{\n" + ",\n".join(lines) + ',\n"samples": {\n' + rows + "\n}}\n"


def _digest(content: Mapping[str, Any]) -> str:
    return sha256_of({key: value for key, value in content.items() if key != "sha256"})


def _word(outcome: Outcome) -> str:
    if outcome.status != "scored":
        return _UNSCORED
    return " ".join(_WORDS.get(part) or f"{_number(part[0])}/{_number(part[1])}" for part in outcome.parts)


def _number(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


class _Stored(BaseModel):
    """The file's shape."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_: Literal[1] = Field(alias="schema")
    suite: str
    version: str
    split: str
    dataset_sha256: str
    prompt: dict[str, str]
    sampling: dict[str, Any]
    repeats: int = Field(ge=1)
    metrics: dict[str, str]
    measured: dict[str, str | None]
    measures: list[str]
    values: dict[str, float | None]
    sha256: str
    samples: dict[str, list[str]]


def read_baseline(path: Path) -> Baseline:
    """Return a baseline file.

    Raises UsageError if there is none, SpecError naming what is wrong with a damaged one: not JSON (with the line), a
    key missing, unknown or of the wrong type, an outcome that cannot be read, or contents changed by hand.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise UsageError("there is no baseline yet", where=path, remedy=PROPOSE) from None
    except UnicodeDecodeError:
        raise _corrupt(path, "not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from None
    try:
        content = decode(text)
        stored = _Stored.model_validate(content)
    except StrictJsonError as error:
        raise _corrupt(path, error.what) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise _corrupt(path, f"{place}: {first['msg']}") from None
    if _digest(content) != stored.sha256:
        raise _corrupt(path, "its contents are not those of its sha256: changed by hand, or in a merge")
    baseline = _baseline(path, stored)
    for name in stored.measures:
        value, said = baseline.value(name), stored.values.get(name)
        if (value is None) != (said is None) or (value is not None and abs(value - (said or 0.0)) > 1e-6):
            raise _corrupt(path, f"its outcomes in {name} add up to {value}, and it says {said}")
    return baseline


def _baseline(path: Path, stored: _Stored) -> Baseline:
    samples: dict[Key, Outcome] = {}
    for name, entry in stored.samples.items():
        if len(entry) != stored.repeats + 1:
            raise _corrupt(path, f"samples.{name}: has {len(entry) - 1} outcomes, not {stored.repeats}")
        for repeat, word in enumerate(entry[1:]):
            try:
                samples[name, repeat] = _read_outcome(entry[0], word, stored.measures)
            except ValueError as error:
                raise _corrupt(path, f"samples.{name}: {error}") from None
    return Baseline(
        name=str(path),
        identity=Identity(
            **{key: getattr(stored, key) for key in Identity.__dataclass_fields__},
        ),
        measured=stored.measured,
        outcomes=Outcomes(measures=tuple(stored.measures), samples=samples),
    )


def _read_outcome(cluster: str, text: str, measures: list[str]) -> Outcome:
    if text == _UNSCORED:
        return Outcome(status="unscored", cluster=cluster, parts=(), tags={})
    words = text.split(" ")
    if len(words) != len(measures):
        raise ValueError(f"{len(words)} outcomes for {len(measures)} measures")
    parts = tuple(_part(name, word) for name, word in zip(measures, words, strict=True))
    return Outcome(status="scored", cluster=cluster, parts=parts, tags={})


def _part(name: str, word: str) -> Part:
    known = _PARTS.get(word)
    if known is not None:
        return known
    top, _, bottom = word.partition("/")
    try:
        return checked_part(name, float(top), float(bottom))
    except ValueError:
        raise ValueError(f"{word[:40]!r} is no outcome of {name}") from None


def _corrupt(path: Path, what: str) -> SpecError:
    return SpecError(f"corrupted baseline: {what}", where=path, remedy=PROPOSE)
