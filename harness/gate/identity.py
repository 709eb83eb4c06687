"""What two runs must share before their samples may be paired: suite version, data set, prompt, sampling, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.run.scored_with import versions_by_metric

_PROMPT = {
    "template_sha256": "another prompt (chat template)",
    "tools_by": "another prompt (how the tools are shown)",
    "dialect": "another prompt (tool-call dialect)",
    "system_prompt": "another system prompt",
    "system_prompt_sha256": "another text of the system prompt",
    "names_masked": "another prompt (names masked)",
}
_ALWAYS = ("template_sha256", "tools_by", "dialect")
_CONSTRAINT = "constraint"
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was asked, and by which definitions the answers were scored; not who answered."""

    suite: str
    version: str
    split: str
    dataset_sha256: str
    prompt: Mapping[str, str]
    sampling: Mapping[str, Any]
    repeats: int
    metrics: Mapping[str, str]
    """Metric name to the version of its definitions (and the source hash of a plug-in's)."""


def identity_of(header: Mapping[str, Any]) -> Identity:
    """Return the identity of a run from its header as scored (`header_as_scored`). What a damaged header lacks is "" and equals nothing sensible."""
    suite, dataset, prompt = header["suite"], header["dataset"], header["prompt"]
    sampling = header.get("sampling")
    return Identity(
        suite=str(suite.get("name", "")),
        version=str(suite.get("version", "")),
        split=str(dataset.get("split", "")),
        dataset_sha256=str(dataset.get("sha256", "")),
        # A suite without persona has no system prompt of its own, and its older baselines do not mention one.
        prompt={name: str(prompt.get(name, "")) for name in _PROMPT if name in prompt or name in _ALWAYS},
        sampling=dict(sampling) if isinstance(sampling, dict) else {},
        repeats=int(header["repeats"]),
        metrics=versions_by_metric(header),
    )


def first_difference(before: Identity, after: Identity) -> str | None:
    """Return what differs first, named with both values ("another suite version: 1.0.0, the run has 1.1.0"), or None.

    A metric that only one side has makes no difference.
    """
    pairs: list[tuple[str, Any, Any]] = [
        ("another suite", before.suite, after.suite),
        ("another suite version", before.version, after.version),
        ("another split", before.split, after.split),
        ("another data-set version", before.dataset_sha256, after.dataset_sha256),
        *((what, before.prompt.get(name), after.prompt.get(name)) for name, what in _PROMPT.items()),
        *(
            (f"another sampling ({name})", before.sampling.get(name), after.sampling.get(name))
            for name in sorted((before.sampling.keys() | after.sampling.keys()) - {_CONSTRAINT})
        ),
        ("another decoding", _decoding(before), _decoding(after)),
        ("another number of repeats", before.repeats, after.repeats),
        *(
            (f"another version of the metric {name}", before.metrics[name], after.metrics[name])
            for name in sorted(before.metrics.keys() & after.metrics.keys())
        ),
    ]
    for what, old, new in pairs:
        if old != new:
            return f"{what}: {_short(old)}, the run has {_short(new)}"
    return None


def _decoding(identity: Identity) -> str:
    word = identity.sampling.get(_CONSTRAINT)
    return "free" if word is None else f"constrained to {word}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[:12]
