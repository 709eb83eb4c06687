"""LoRA adapter + unquantised base -> a model folder of its own, proved to answer like the two together.

Every product is computed in fp32 and rounded once, to the numbers of the new folder. The folder is written beside its
place and moved there when it is whole and has been compared.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.engine.out_of_memory import is_out_of_memory
from harness.errors import EngineError, MissingDependency, ModelError, first_line
from harness.log.files import read_json, storage_error, write_json_atomically
from harness.log.writer import utc_now
from harness.models.adapter import read_adapter_config
from harness.models.adapter_origin import ORIGIN_FILE
from harness.models.tokenizer import load_tokenizer
from harness.parse.choose import get_dialect
from harness.prompt.golden import golden_prompt
from harness.prompt.render import Renderer
from harness.run.header import environment
from harness.training.machine import free_memory
from harness.training.merge_check import Agreement, HeldText, Reference, compare, held_texts, look_ahead
from harness.training.merge_plan import MERGE_FILE, MergePlan
from harness.types import Sample

SHARD_SIZE = "5GB"

_BESIDE_WEIGHTS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_PLAIN_INITS = ("gaussian", "orthogonal", "eva")

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOutcome:
    """The finished folder, and how far it agrees with base and adapter."""

    folder: Path
    agreement: Agreement


def merge(
    plan: MergePlan,
    samples: Sequence[Sample],
    report: Report,
    *,
    min_agreement: float,
    shard_size: str = SHARD_SIZE,
) -> MergeOutcome:
    """Merge, write, load again what was written, compare, and move the folder to its place.

    `samples` are asked beside the built-in texts. A folder that agrees less than `min_agreement` is moved into place
    too, and says so in harness_merge.json. Raises ModelError (the adapter cannot be merged), EngineError (memory, or
    an adapter that changes nothing), StorageError (disk); none of them leaves anything behind.
    """
    _import_libraries()
    _remove_abandoned(plan.out)
    temporary = plan.out.with_name(f".{plan.out.name}.{os.getpid()}.tmp")
    with _storage_errors(plan.out):
        plan.out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    try:
        numbers = _working_dtype(plan)
        texts = held_texts(plan.renderer, samples)
        report(f"loading {plan.base.name} in {numbers}")
        before = _merged_weights(plan, temporary, numbers, shard_size, texts, report)
        gc.collect()
        report("loading what was written, and comparing")
        agreement = _compare(plan, temporary, numbers, before)
        with _storage_errors(plan.out):
            _write_record(plan, temporary, agreement, min_agreement)
            _move(temporary, plan.out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return MergeOutcome(folder=plan.out, agreement=agreement)


def _working_dtype(plan: MergePlan) -> str:
    """Return the numbers to load and compare in: fp32 where memory allows, else those of the base's files."""
    init = read_adapter_config(plan.adapter.path).get("init_lora_weights")
    changes_base = isinstance(init, str) and init not in _PLAIN_INITS
    if plan.stored_dtype == "float32" or changes_base or plan.parameters * 4 * 1.25 < _available_memory():
        return "float32"
    return plan.stored_dtype


def _available_memory() -> float:
    found = free_memory()
    return math.inf if found is None else found.bytes


def _import_libraries() -> None:
    # PEFT imports bitsandbytes, which speaks of kernels that a merge has no use for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        import peft
        import torch
        import transformers
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed", remedy='Install it: pip install "persona-harness[hf]"'
        ) from None
    del torch, peft
    transformers.utils.logging.disable_progress_bar()


def _merged_weights(
    plan: MergePlan, folder: Path, numbers: str, shard_size: str, texts: Sequence[HeldText], report: Report
) -> Reference:
    """Write the merged model into `folder`; return what base and adapter said before they were merged."""
    import torch
    from transformers import GenerationConfig

    with _memory_errors(plan, numbers):
        wrapped = _load_adapted(plan, numbers)
        report(f"asking base and adapter ({len(texts)} texts)")
        before = look_ahead(wrapped, texts)
        report(f"merging {plan.adapter.rank} ranks into {', '.join(plan.adapter.targets)}")
        model = _fold_in(plan, wrapped, getattr(torch, plan.dtype))
    model.generation_config = GenerationConfig.from_model_config(model.config)
    with _storage_errors(plan.out):
        model.save_pretrained(str(folder), max_shard_size=shard_size)
        _copy_files(plan, folder)
    return before


def _load_adapted(plan: MergePlan, numbers: str) -> Any:
    """Return base and adapter as one PEFT model on the CPU. Raises ModelError."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    try:
        base = AutoModelForCausalLM.from_pretrained(
            str(plan.base.path), dtype=getattr(torch, numbers), local_files_only=True, use_safetensors=True
        )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            wrapped = PeftModel.from_pretrained(
                base,
                str(plan.adapter.path),
                is_trainable=False,
                autocast_adapter_dtype=False,
                torch_device="cpu",
            )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # a damaged or foreign folder makes both libraries raise anything
        raise ModelError(
            f"cannot be loaded on {plan.base.name}: {first_line(error)}", where=plan.adapter.path
        ) from error
    absent = next(
        (str(entry.message) for entry in said if "missing adapter keys" in str(entry.message)), None
    )
    if absent is not None:
        raise ModelError(
            f"some of the weights that its config names are not in its file: {absent[:200]}",
            where=plan.adapter.path,
        )
    return wrapped.eval()


def _fold_in(plan: MergePlan, wrapped: Any, dtype: Any) -> Any:
    """Return the plain model with every adapter product added in fp32 and rounded once to `dtype`."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    changed = False
    names = [name for name, module in wrapped.named_modules() if isinstance(module, BaseTunerLayer)]
    for name in names:
        layer = wrapped.get_submodule(name)
        _own_weight(wrapped, layer)
        layer.to(torch.float32)
        weight = getattr(layer.get_base_layer(), "weight", None)
        before = None if weight is None else weight.detach().clone()
        try:
            layer.merge(safe_merge=True)
        except (ValueError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"cannot be merged at {name}: {error}", where=plan.adapter.path) from error
        changed = changed or before is None or not torch.equal(before, layer.get_base_layer().weight)
        layer.get_base_layer().to(dtype)
    saves_modules = bool(read_adapter_config(plan.adapter.path).get("modules_to_save"))
    if not changed and not saves_modules:
        raise EngineError(
            "the adapter changes no weight",
            where=plan.adapter.path,
            remedy="Train it, or take another checkpoint.",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All adapters are already merged")
        model = wrapped.merge_and_unload().to(dtype)
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise ModelError(
                f"{name} is not finite in {plan.dtype}",
                where=plan.adapter.path,
                remedy="Try --dtype float32.",
            )
    return model


def _own_weight(wrapped: Any, layer: Any) -> None:
    """Part a weight that two modules share (tied embeddings): what one adapter adds must not reach the other."""
    import torch

    base = layer.get_base_layer()
    weight = getattr(base, "weight", None)
    if weight is None:
        return
    shared = [module for module in wrapped.modules() if getattr(module, "weight", None) is weight]
    if len({id(module) for module in shared} - {id(layer)}) > 1:
        base.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)


def _copy_files(plan: MergePlan, folder: Path) -> None:
    """Copy what belongs to the model beside its weights, byte for byte."""
    for name in _BESIDE_WEIGHTS:
        file = plan.tokenizer_from / name
        if file.is_file():
            shutil.copyfile(file, folder / name)
    generation = plan.base.path / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, folder / generation.name)
    origin = plan.adapter.path / ORIGIN_FILE
    if origin.is_file():
        shutil.copyfile(origin, folder / ORIGIN_FILE)


def _compare(plan: MergePlan, folder: Path, numbers: str, before: Reference) -> Agreement:
    import torch
    from transformers import AutoModelForCausalLM

    written = Renderer(load_tokenizer(folder), get_dialect(plan.dialect))
    if golden_prompt(written) != golden_prompt(plan.renderer):
        raise ModelError("the merged folder writes the golden prompt otherwise than its base", where=plan.out)
    with _memory_errors(plan, numbers):
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=getattr(torch, numbers), local_files_only=True, use_safetensors=True
        )
        return compare(before, look_ahead(model.eval(), before.texts, before.best), numbers)


def _write_record(plan: MergePlan, folder: Path, agreement: Agreement, least: float) -> None:
    record: dict[str, Any] = {
        "schema": 1,
        "base": {
            "name": plan.base.name,
            "fingerprint": plan.base_fingerprint,
            "verified": plan.origin is not None,
        },
        "adapter": {"name": plan.adapter.path.name, "fingerprint": plan.adapter.fingerprint},
        "dtype": plan.dtype,
        "agreement": {
            **asdict(agreement),
            "share": agreement.share,
            "least": least,
            "passed": agreement.share >= least,
        },
        "suite": None,
        "versions": environment()["packages"],
        "created": utc_now(),
    }
    write_json_atomically(folder / MERGE_FILE, record)


def add_to_record(folder: Path, entries: Mapping[str, Any]) -> None:
    """Add to a merged folder's harness_merge.json. Raises StorageError."""
    write_json_atomically(folder / MERGE_FILE, {**read_json(folder / MERGE_FILE), **entries})


def _move(temporary: Path, out: Path) -> None:
    for file in temporary.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.rename(old)
    try:
        temporary.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(out: Path) -> None:
    """Delete what killed merges into this folder left behind."""
    for kind in ("old", "tmp"):
        for folder in out.parent.glob(f".{out.name}.*.{kind}"):
            owner = folder.name.removesuffix(f".{kind}").rpartition(".")[2]
            if not owner.isdigit() or _is_alive(int(owner)):
                continue
            if kind == "old" and not out.exists():
                folder.rename(
                    out
                )  # killed between its two renames: the earlier merge is still the one that counts
            else:
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def _memory_errors(plan: MergePlan, numbers: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        width = 4 if numbers == "float32" else 2
        raise EngineError(
            "the model does not fit into memory",
            where=plan.base.path,
            remedy=f"About {plan.parameters * width / 2**30:.1f} GiB are needed in {numbers}; free memory and try again.",
        ) from error


@contextmanager
def _storage_errors(out: Path) -> Iterator[None]:
    """Turn a refused write into StorageError; safetensors reports one as an error of its own kind."""
    try:
        yield
    except OSError as error:
        raise storage_error(out, error) from error
    except Exception as error:
        text = str(error).lower()
        for number, phrase in ((28, "no space left"), (27, "file too large")):
            if phrase in text or f"os error {number}" in text:
                raise storage_error(out, OSError(number, os.strerror(number))) from error
        raise
