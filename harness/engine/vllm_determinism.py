"""What the vllm engine does under `--deterministic`, by device, and what it promises then."""

from __future__ import annotations

from harness.engine.base import EngineRequest
from harness.engine.determinism import Promise, Settled
from harness.engine.vllm_options import read_options

_IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""The engine steps in this process, so that the same prompts are scheduled in the same order."""
_INVARIANT = {"VLLM_BATCH_INVARIANT": "1"}
"""Kernels whose sums do not depend on the batch: NVIDIA GPUs of compute capability 8.0 and above."""
_LEAST_CAPABILITY = (8, 0)

_SAME_MACHINE = "The same texts on another processor or GPU, or with other versions of vLLM and torch."


def deterministic(request: EngineRequest) -> Settled:
    """Return the request as it is with the variables that vLLM reads. Raises UsageError for an option that is not known."""
    read_options(request.options)
    if _is_batch_invariant():
        return Settled(
            request=request,
            promise=Promise(
                promised=(
                    "Repeated on this hardware with these versions, the run gives the same texts, whatever else is in "
                    "a batch: vLLM's batch-invariant kernels, which it calls a beta.",
                ),
                not_promised=(_SAME_MACHINE,),
            ),
            environment={**_IN_PROCESS, **_INVARIANT},
        )
    return Settled(
        request=request,
        promise=Promise(
            promised=(
                "Repeated as it was on this hardware with these versions, the run is scheduled in the same order.",
            ),
            not_promised=(
                "The same texts where other prompts are in a batch (another --limit, a resumed run): vLLM has "
                "batch-invariant kernels for NVIDIA GPUs of compute capability 8.0 and above alone.",
                _SAME_MACHINE,
            ),
        ),
        environment=_IN_PROCESS,
    )


def _is_batch_invariant() -> bool:
    try:
        import torch
    except ImportError:  # building the engine says so, with what to install
        return False
    return bool(torch.cuda.is_available() and torch.cuda.get_device_capability() >= _LEAST_CAPABILITY)
