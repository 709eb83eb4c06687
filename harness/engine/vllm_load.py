"""vLLM's own engine, built in this process for a model folder; what it refuses is said in one sentence."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.engine.base import EngineRequest
from harness.engine.hf_load import choose_dtype
from harness.engine.packages import install_command
from harness.engine.vllm_options import VllmOptions, engine_arguments, groups_lora
from harness.errors import EngineError, HarnessError, MissingDependency, ModelError, UsageError, named_line
from harness.models.resolve import declared_quantization
from harness.models.vllm_lora_rules import Rejection, VllmVerdict, check_for_vllm

_INSTALL = f"Install it: {install_command('vllm')}."
_PLUGINS = {"bitsandbytes": "vllm-bnb-plugin", "gguf": "vllm-gguf-plugin"}
"""Quantisations that left vLLM's core in 0.28, and who brings them back."""
_MEMORY = (
    "out of memory",
    "not enough memory",
    "no available memory",
    "free memory",
    "kv cache is needed",
    "kv cache needed",
    "less than desired",
    "can't allocate memory",
    "defaultcpuallocator",
    "larger than the available kv cache",
)
IN_PARITY = (
    "harness parity takes options in the column, and other options are another comparison: "
    "--engines hf,vllm:max_num_seqs=32, without --resume."
)
_LESS_MEMORY = (
    "Give less room to prompts (--engine-option max_model_len=4096) or to prompts at once (max_num_seqs=32), or more to "
    f"the cache (gpu_memory_utilization=0.95 on a GPU, kv_cache_gib=4 on a CPU). {IN_PARITY}"
)


def servable(adapters: tuple[Path, ...]) -> dict[Path, VllmVerdict]:
    """Return what vLLM needs to know of each adapter. Raises ModelError for one that it would reject, and how to go on."""
    verdicts = {path: check_for_vllm(path) for path in adapters}
    for path, verdict in verdicts.items():
        if not verdict.accepted:
            reasons = "; ".join(rejection.what for rejection in verdict.rejections)
            raise ModelError(
                f"vLLM takes no such adapter: {reasons}",
                where=path,
                remedy=_cure(path, verdict.rejections),
            )
    return verdicts


def _cure(adapter: Path, rejections: Sequence[Rejection]) -> str:
    """Return what to do about all of the rejections, with the command that merges only where that mends them all."""
    # A merged adapter is no longer what another cure is for.
    other = [one for one in rejections if not one.merges]
    cures = dict.fromkeys(one.cure for one in other or rejections)
    told = " ".join(one for one in cures if not any(one != more and one in more for more in cures))
    if other:
        return told
    return (
        f"{told} That is: harness merge {adapter} --out MERGED, then --engine vllm --model MERGED --adapter base. "
        "Or measure it as it is with --engine hf."
    )


def load_engine(request: EngineRequest, options: VllmOptions, verdicts: Mapping[Path, VllmVerdict]) -> Any:
    """Return vLLM's LLMEngine, living in this process.

    Raises MissingDependency (vLLM, or the plug-in of a quantisation), UsageError (dtype), ModelError (vLLM cannot run
    the model) and EngineError (no memory, or vLLM fails otherwise).
    """
    _quieten()
    try:
        import torch
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package in ("vllm", "torch"):
            raise MissingDependency(f"{package} is not installed", remedy=_INSTALL) from None
        raise MissingDependency(
            f"vLLM is installed but cannot be imported: {vllm_line(error)}", remedy=_INSTALL
        ) from error
    if request.model_path is None:
        raise UsageError("the vllm engine needs a model", remedy="Give one with --model.")
    on_cpu = bool(current_platform.is_cpu())
    gpu_bf16 = not on_cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    dtype = _dtype(request, on_cpu=on_cpu, gpu_bf16=gpu_bf16)
    _check_plugin(request, options)
    arguments = engine_arguments(request, options, dtype=dtype, on_cpu=on_cpu, verdicts=verdicts)
    grouped = on_cpu and bool(verdicts) and groups_lora(options)
    try:
        with grouped_lora(current_platform) if grouped else contextlib.nullcontext():
            return LLMEngine.from_engine_args(EngineArgs(**arguments))
    except (KeyboardInterrupt, HarnessError):
        raise
    except BaseException as error:  # vLLM raises anything here, SystemExit included
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        with contextlib.suppress(Exception):  # groups that are half made would be in the next engine's way
            cleanup_dist_env_and_memory()
        raise loading_failure(error, request.model_path) from error


def _dtype(request: EngineRequest, *, on_cpu: bool, gpu_bf16: bool) -> str:
    """Return the number type; on a CPU `auto` is bf16 for quantised weights, whose kernels in vLLM have no float32."""
    path = request.model_path
    if on_cpu and request.dtype == "auto" and path is not None and declared_quantization(path) is not None:
        return "bfloat16"
    return choose_dtype(request.dtype, "cpu" if on_cpu else "cuda", gpu_bf16)


@contextlib.contextmanager
def grouped_lora(platform: Any) -> Iterator[None]:
    """Let a vLLM that is built within apply adapters by `vllm_cpu_lora.GroupedLora`."""
    try:
        from harness.engine.vllm_cpu_lora import GroupedLora
    except ImportError:  # a release without what it builds on keeps its own kernels
        yield
        return
    platform.get_punica_wrapper = lambda: f"{GroupedLora.__module__}.{GroupedLora.__qualname__}"
    try:
        yield
    finally:
        del platform.get_punica_wrapper


def _quieten() -> None:
    """Keep the engine in this process, its log to errors, and its usage statistics at home; before vLLM is imported."""
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    # Bound threads would stay bound for whatever this process runs after vLLM.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _check_plugin(request: EngineRequest, options: VllmOptions) -> None:
    """Raise MissingDependency for a quantisation, or a format of the weights, whose plug-in is not there."""
    method = "bitsandbytes" if request.quantization == "nf4" else request.quantization
    if method is None and request.model_path is not None:
        method = declared_quantization(request.model_path)
    needed = [name for name in (method, options.load_format) if name in _PLUGINS]
    if not needed:
        return
    installed = {
        (point.dist.name if point.dist else point.name).lower().replace("_", "-")
        for point in metadata.entry_points(group="vllm.general_plugins")
    }
    for name in needed:
        if _PLUGINS[name] not in installed:
            raise MissingDependency(
                f"vLLM reads {name} weights with a plug-in that is not installed",
                remedy=f"Install it: pip install {_PLUGINS[name]}",
            )


def loading_failure(error: BaseException, model: Path) -> HarnessError:
    """Return what vLLM's refusal to load means: no memory, or a model that it cannot run."""
    reason = vllm_line(error)
    if says_no_memory(error):
        return EngineError(f"vLLM has not enough memory: {reason}", where=model, remedy=_LESS_MEMORY)
    if isinstance(error, ValueError | TypeError | NotImplementedError | KeyError):
        cure = "--dtype auto takes one of these. " if "Supported dtypes" in reason else ""
        return ModelError(
            f"vLLM cannot run this: {reason}",
            where=model,
            remedy=f"{cure}--engine hf runs what transformers can load.",
        )
    return EngineError(
        f"vLLM does not start: {reason}",
        where=model,
        remedy="VLLM_LOGGING_LEVEL=INFO shows its own log; --engine hf needs no vLLM.",
    )


def says_no_memory(error: BaseException) -> bool:
    """Return True if an error, or one that it came from, says that memory ran out."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, MemoryError) or type(link).__name__ == "OutOfMemoryError":
            return True
        text = str(link).lower()
        if any(phrase in text for phrase in _MEMORY):
            return True
        link = link.__cause__ or link.__context__
    return False


def vllm_line(error: BaseException) -> str:
    """Return an error of vLLM as one line: its type, and what is wrong; pydantic's first line only counts errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 2 and "validation error" in lines[0]:
        said = lines[1] if lines[1].startswith("Value error") else lines[2]
        return f"{type(error).__name__}: {said[:300]}"
    return named_line(error)
