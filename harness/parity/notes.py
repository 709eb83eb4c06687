"""What a reader of a parity must know beside the numbers: in what else the columns differ from the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SERVER = "server:"


def notes_of(headers: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a sentence for everything in which a column differs but its settings; the reference comes first."""
    names = list(headers)
    reference = headers[names[0]]
    found: list[str] = []
    for name in names[1:]:
        found += _of_one(name, names[0], headers[name], reference)
    return tuple(found)


def _of_one(name: str, first: str, header: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    here, there = header["engine"], reference["engine"]
    numbers = [" ".join(filter(None, (one.get("dtype"), one.get("quantization")))) for one in (here, there)]
    if numbers[0] != numbers[1] and "server" not in numbers and "none" not in numbers:
        yield f"{name} computes in {numbers[0]}, {first} in {numbers[1]}."
    if here.get("device") != there.get("device"):
        yield f"{name} runs on {here.get('device')}, {first} on {there.get('device')}."
    if header["prompt"].get("template") != reference["prompt"].get("template"):
        yield (f"{name} renders the prompts itself: its differences are those of prompt and engine together.")
    weights = [str(one.get("model_fingerprint")) for one in (here, there)]
    if any(one.startswith(_SERVER) for one in weights):
        if weights[0] != weights[1]:
            yield f"Nobody can see from here whether {name} and {first} have the same weights."
    elif weights[0] != weights[1] and here.get("engine") not in ("scripted", "replay"):
        merged = there.get("adapter") is not None and here.get("adapter") is None
        yield (
            f"{name} runs the adapter merged into the base: weights of its own."
            if merged
            else f"{name} and {first} ran different weights."
        )
