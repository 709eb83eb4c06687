"""What the vllm engine does under `--deterministic`, by device and numbers, and what it promises then."""

from __future__ import annotations

from dataclasses import replace

from harness.engine.base import EngineRequest
from harness.engine.determinism import Promise, Settled, with_options
from harness.engine.hf_load import choose_dtype
from harness.engine.vllm_options import read_options
from harness.models.resolve import declared_quantization

_ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""Which prompts are computed together depends on no other process's timing."""
_INVARIANT = {**_ONE_PROCESS, "VLLM_BATCH_INVARIANT": "1"}
_INVARIANT_FROM = (8, 0)
"""The least compute capability of an NVIDIA GPU that vLLM's batch-invariant kernels know."""
_ALONE = {"max_num_seqs": "1", "prefix_cache": "off"}

_SAME_MACHINE = "The same texts on other hardware, with another number of threads or GPUs, or with another version of vLLM or torch."
_BY_MEASUREMENT = (
    "Repeated on this processor, with these versions and as many threads, the run gives the same texts. They were also "
    "those of the hf engine, which was measured (docs/parity.md) and is not proved: two tokens that are likely to within "
    "rounding may still change places when other prompts are computed beside."
)
_BY_KERNELS = (
    "A prompt's answer depends on no other prompt: vLLM's batch-invariant kernels (VLLM_BATCH_INVARIANT=1, which vLLM "
    "calls beta). Repeated on this hardware with these versions, the run gives the same texts."
)
_BY_CONSTRUCTION = (
    "A prompt's answer depends on no other prompt: each is computed alone, with nothing shared. Repeated on this "
    "hardware with these versions, the run gives the same texts."
)


def deterministic(request: EngineRequest) -> Settled:
    """Return float32 on a CPU, vLLM's batch-invariant kernels where the GPU has them, else one prompt at a time.

    Raises UsageError for options that say the opposite or are not known.
    """
    read_options(request.options)
    capability = _capability()
    declared = None if request.model_path is None else declared_quantization(request.model_path)
    quantised = (request.quantization or declared) is not None
    if capability is not None and capability >= _INVARIANT_FROM and not quantised:
        promise = Promise(promised=(_BY_KERNELS,), not_promised=(_SAME_MACHINE,))
        return Settled(request=request, promise=promise, environment=_INVARIANT)
    if capability is None and not quantised and choose_dtype(request.dtype, "cpu", False) == "float32":
        promise = Promise(promised=(_BY_MEASUREMENT,), not_promised=(_SAME_MACHINE,))
        settled = replace(request, dtype="float32")
        return Settled(request=settled, promise=promise, environment=_ONE_PROCESS)
    where = (
        "on a GPU without batch-invariant kernels for this" if capability is not None else "in these numbers"
    )
    return Settled(
        request=with_options(request, _ALONE, where),
        promise=Promise(
            promised=(_BY_CONSTRUCTION,),
            not_promised=(_SAME_MACHINE, "The texts of a run with prompts side by side or shared prefixes."),
        ),
        environment=_ONE_PROCESS,
    )


def _capability() -> tuple[int, int] | None:
    """Return the compute capability of the first NVIDIA GPU, None on a CPU; (0, 0) for a GPU of another maker."""
    try:
        import torch
    except ImportError:  # building the engine says so, with what to install
        return None
    if not torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return (0, 0)
    major, minor = torch.cuda.get_device_capability()
    return (major, minor)
