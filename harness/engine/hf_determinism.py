"""What the hf engine does under `--deterministic`, by device and numbers, and what it promises then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.engine.base import EngineRequest
from harness.engine.determinism import Promise, Settled, with_options
from harness.engine.hf_load import choose_dtype, read_options
from harness.models.resolve import declared_quantization

OPTION = "deterministic"
"""Our own option: torch takes deterministic algorithms only, for as long as the engine is open."""

WORKSPACE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""Read by cuBLAS when it is first used; without it torch refuses matrix products under deterministic algorithms."""

_ALONE = {"max_batch": "1", "share_prefix": "off", "drafts": "off", OPTION: "on"}

_SAME_MACHINE = (
    "The same texts on another processor or GPU, with another number of threads, or with other versions of torch and "
    "transformers."
)
_BY_CONSTRUCTION = (
    "A prompt's answer depends on no other prompt: each is computed alone, with nothing shared, by torch's "
    "deterministic algorithms. Repeated on this hardware with these versions, the run gives the same texts."
)
_BY_MEASUREMENT = (
    "Repeated on this processor, with these versions and as many threads, the run gives the same texts, whatever the "
    "batch size and with or without prefix sharing. This was measured (docs/parity.md), it is not proved: two tokens "
    "that are likely to within rounding may still change places."
)


def deterministic(request: EngineRequest) -> Settled:
    """Return float32 and every batch size on a CPU; anywhere else, and in 16 or 4 bit, one prompt at a time.

    Raises UsageError for options that say the opposite or are not known.
    """
    read_options(request.options)
    device = _device()
    declared = None if request.model_path is None else declared_quantization(request.model_path)
    if (
        device == "cpu"
        and (request.quantization or declared) is None
        and choose_dtype(request.dtype, device, False) == "float32"
    ):
        promise = Promise(promised=(_BY_MEASUREMENT,), not_promised=(_SAME_MACHINE,))
        return Settled(request=replace(request, dtype="float32"), promise=promise)
    where = "on a GPU" if device == "cuda" else "in these numbers"
    return Settled(
        request=with_options(request, _ALONE, where),
        promise=Promise(
            promised=(_BY_CONSTRUCTION,),
            not_promised=(_SAME_MACHINE, "The texts of a run with batches or shared prefixes."),
        ),
        environment=WORKSPACE if device == "cuda" else {},
    )


def _device() -> str:
    try:
        import torch
    except ImportError:  # building the engine says so, with what to install
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def take_deterministic_algorithms() -> Any:
    """Make torch refuse algorithms that may differ from run to run; return a function that sets back what was."""
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)

    def set_back() -> None:
        torch.use_deterministic_algorithms(before, warn_only=warns)

    return set_back
