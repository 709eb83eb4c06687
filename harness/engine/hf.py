"""The engine that runs a model with transformers, in this process.

Prompts are read in windows, sorted so that common prefixes stand together, and run in batches by a budget of cache
slots. A prefix that several prompts share is computed once and kept once. What one adapter answered is the draft of what the
next one may. Running out of memory halves the budget and runs the rows again; it changes no result.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.engine.base import EngineRequest, refuse_unfit, without_answer
from harness.engine.determinism import Settled
from harness.engine.hf_determinism import deterministic as settle_hf
from harness.engine.hf_determinism import take_deterministic_algorithms
from harness.engine.hf_drafts import Drafts
from harness.engine.hf_grammar import Grammars
from harness.engine.hf_load import (
    HfOptions,
    LoadedModel,
    carried_cost,
    default_budget,
    load_model,
    read_options,
)
from harness.engine.hf_plan import (
    Budget,
    PrefixNode,
    Row,
    batch_tokens,
    detach_long,
    plan_rows,
    segment_slots_on,
    step_tokens_on,
    take_batch,
)
from harness.engine.out_of_memory import is_out_of_memory
from harness.errors import EngineError, named_line
from harness.models.adapter import AdapterInfo, check_adapter
from harness.models.fingerprint import model_fingerprint
from harness.types import EngineInfo, Generation, Prompt

OnEvent = Callable[[str, Mapping[str, Any]], None]

WINDOW = 512
"""Prompts that are held, sorted and planned together."""

_HOPELESS = 8
"""So many prompts failing alone, one after another and not for memory, mean that nothing works any more."""


class HfEngine:
    """One transformers model with its adapters. See `harness.engine.base.Engine`."""

    CONSTRAINS = True
    """It keeps to `EngineRequest.structural_tag`."""

    BATCH_OPTION = "max_batch"
    read_options = staticmethod(read_options)

    _drafts: Drafts | None
    _set_back: Callable[[], None] | None = None

    @staticmethod
    def deterministic(request: EngineRequest) -> Settled:
        """Return the request for a run that repeats itself, and what is promised. Raises UsageError."""
        return settle_hf(request)

    def __init__(self, request: EngineRequest) -> None:
        """Load model and adapters, prove every adapter active.

        Raises UsageError (options), MissingDependency, ModelError (model or adapter does not load or fit), and
        EngineError (no memory, or an adapter that changes nothing).
        """
        options = read_options(request.options)
        infos: dict[Path, AdapterInfo] = {}
        if request.model_path is not None:
            infos = {path: check_adapter(path, request.model_path) for path in request.adapters}
        loaded = load_model(request, options)
        if options.deterministic:
            self._set_back = take_deterministic_algorithms()
        try:
            self._prepare(request, options, loaded, infos)
        except BaseException:
            self._allow_all_algorithms()
            raise

    def _prepare(
        self,
        request: EngineRequest,
        options: HfOptions,
        loaded: LoadedModel,
        infos: Mapping[Path, AdapterInfo],
    ) -> None:
        from harness.engine.hf_adapters import Adapters

        fingerprint = model_fingerprint(request.model_path) if request.model_path else ""
        grammars = None if request.structural_tag is None else Grammars(loaded, request.structural_tag)
        info = _info(request.model, fingerprint, loaded)
        if grammars is not None:
            info = replace(info, versions={**info.versions, "xgrammar": grammars.version})
        self._attach(loaded, options, info, request.on_event, grammars)
        self._where: str | Path = request.model_path or request.model
        self._fingerprints = {path: info.fingerprint for path, info in infos.items()}
        self._adapters = Adapters(loaded.model, request.adapters)
        if options.drafts and self._fast and request.adapters:
            self._drafts = Drafts()
        for path, change in self._adapters.prove(loaded.tokenizer).items():
            request.on_event("adapter_active", {"adapter": str(path), "largest_logprob_change": change})

    @classmethod
    def around(
        cls,
        loaded: LoadedModel,
        *,
        model: str,
        model_fingerprint: str,
        options: Mapping[str, str] = MappingProxyType({}),
        on_event: OnEvent = lambda kind, detail: None,
    ) -> HfEngine:
        """Return an engine around a model that is loaded already, with whatever adapter is active in it.

        The model must be in eval mode. Its attention implementation is another one until the engine is closed, which
        sets back the one it came with; nothing else of it changes. Raises UsageError for an unknown option.
        """
        from harness.engine.hf_adapters import Adapters

        engine = cls.__new__(cls)
        engine._attach(loaded, read_options(options), _info(model, model_fingerprint, loaded), on_event)
        engine._where = model
        engine._fingerprints = {}
        engine._adapters = Adapters(loaded.model, ())
        return engine

    def _attach(
        self,
        loaded: LoadedModel,
        options: HfOptions,
        info: EngineInfo,
        on_event: OnEvent,
        grammars: Grammars | None = None,
    ) -> None:
        from harness.engine.hf_decode import Writer

        self._loaded: LoadedModel | None = loaded
        self._attention = loaded.model.config._attn_implementation
        self._info = info
        self._on_event = on_event
        self._grammars = grammars
        self._writer = Writer(loaded.tokenizer, loaded.stop_ids, grammars)
        self._share = options.share_prefix
        self._choose_path(loaded)
        self._drafts = None
        self._budget = Budget(*default_budget(loaded, options))
        self._step_tokens = step_tokens_on(loaded.device)
        self._segment_slots = segment_slots_on(loaded.device)
        self._padding_cost = carried_cost(loaded, self._step_tokens) if self._fast else 1.0

    def _choose_path(self, loaded: LoadedModel) -> None:
        from harness.engine.hf_batch import padding_is_safe
        from harness.engine.hf_check import sharing_problem

        problem = sharing_problem(loaded.model, loaded.vocabulary, loaded.dtype)
        self._fast = problem is None
        self._padded = self._fast or padding_is_safe(loaded.model)
        if problem is not None:
            self._on_event("prefix_sharing_off", {"reason": problem})

    def info(self) -> EngineInfo:
        """Return who generates now."""
        self._open()
        active = self._adapters.active
        if active is None:
            return self._info
        return replace(self._info, adapter=str(active), adapter_fingerprint=self._fingerprints[active])

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, the one to render prompts with."""
        return self._open().tokenizer

    def use_adapter(self, adapter: Path | None) -> None:
        """Activate one of the requested adapters, or the bare base. Raises EngineError for one not requested."""
        self._open()
        self._adapters.use(adapter)
        if self._drafts is not None:
            self._drafts.turn()

    def close(self) -> None:
        """Free model and caches."""
        self._allow_all_algorithms()
        if self._loaded is None:
            return
        on_gpu = self._loaded.device == "cuda"
        if self._loaded.model.config._attn_implementation != self._attention:
            self._loaded.model.set_attn_implementation(self._attention)
        self._loaded = None
        del self._adapters, self._writer, self._grammars
        _free(on_gpu)

    def _allow_all_algorithms(self) -> None:
        if self._set_back is not None:
            self._set_back()
            self._set_back = None

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        """Yield one generation per prompt, windows in order, within a window as they finish.

        `latency_s` is None: members of a batch share their time. Raises EngineError when nothing works any more.
        """
        source = iter(prompts)
        while window := list(islice(source, WINDOW)):
            fine: list[Prompt] = []
            for prompt in window:
                refused = self._refuse(prompt)
                if refused is None:
                    fine.append(prompt)
                else:
                    yield refused
            yield from self._run(plan_rows(fine, share=self._share and self._fast))
        if self._drafts is not None and self._drafts.offered:
            self._on_event("drafts", {"tokens": self._drafts.offered, "accepted": self._drafts.accepted})

    def _open(self) -> LoadedModel:
        if self._loaded is None:
            raise EngineError("the engine is closed")
        return self._loaded

    def _refuse(self, prompt: Prompt) -> Generation | None:
        """Return the outcome of a prompt that must not reach the model, None for one that may."""
        loaded = self._open()
        refused = refuse_unfit(prompt, loaded.context_length, loaded.vocabulary)
        if refused is not None:
            return refused
        problem = self._grammars.problem(prompt) if self._grammars is not None else None
        return None if problem is None else without_answer(prompt, "error", problem)

    def _run(self, rows: list[Row]) -> Iterator[Generation]:
        from harness.engine.hf_decode import run_batch

        hopeless = 0
        while rows:
            if self._drafts is not None:
                self._drafts.offer(rows)
            taken = take_batch(
                rows,
                self._budget,
                padded=self._padded,
                step_tokens=self._step_tokens,
                padding_cost=self._padding_cost,
            )
            detached = detach_long(taken, self._segment_slots) if self._fast and self._share else []
            waiting = {id(row): row for row in taken}
            failure: Exception | None = None
            steps = run_batch(self._batch(taken), taken, self._writer)
            while waiting and failure is None:
                try:
                    done = next(steps)
                except Exception as error:
                    # Without its traceback, whose frames would keep the batch's tensors alive.
                    failure = error.with_traceback(None)
                else:
                    del waiting[id(done.row)]
                    if self._drafts is not None:
                        self._drafts.learn(done)
                    yield done.generation
                    del done  # it keeps its row's prefix alive
            steps.close()
            done_rows = {id(row) for row in taken} - waiting.keys()
            rows = [row for row in rows if id(row) not in done_rows]
            if failure is None:
                hopeless = 0
                if self._budget.clean():
                    self._tell("batch_budget_raised", taken, None)
                continue
            crowded = is_out_of_memory(failure) and bool(_prefixes(rows) - _prefixes(taken))
            self._shrink(failure, taken, rows)
            # What failed is planned anew, in other batches.
            for row, node, shared in detached:
                row.node, row.shared = node, shared
            if len(taken) == 1 and not crowded:
                hopeless += not is_out_of_memory(failure)
                self._stop_if(hopeless, failure)
                rows.remove(taken[0])
                yield without_answer(taken[0].prompt, "error", named_line(failure))

    def _batch(self, rows: Sequence[Row]) -> Any:
        from harness.engine.hf_batch import PlainBatch, SharedBatch

        model = self._open().model
        return SharedBatch(model, rows) if self._fast else PlainBatch(model, rows)

    def _shrink(self, failure: Exception, batch: Sequence[Row], rows: Sequence[Row]) -> None:
        """Free what the failed batch and the prefixes of all rows left held, and make the next batch smaller."""
        for node in _prefixes((*batch, *rows)):
            node.state = None
        _free(self._open().device == "cuda")
        self._budget.halve(batch)
        if is_out_of_memory(failure):
            self._tell("out_of_memory", batch, named_line(failure))
        else:
            if len(batch) == 1:
                self._budget.reset()
            self._tell("batch_failed", batch, named_line(failure))

    def _tell(self, kind: str, batch: Sequence[Row], reason: str | None) -> None:
        detail: dict[str, Any] = {"rows": len(batch), "tokens": batch_tokens(batch)}
        detail |= {"next_rows": self._budget.rows, "next_tokens": self._budget.tokens}
        if reason is not None:
            detail["reason"] = reason
        self._on_event(kind, detail)

    def _stop_if(self, hopeless: int, failure: Exception) -> None:
        if hopeless >= _HOPELESS or ("CUDA error" in str(failure) and not is_out_of_memory(failure)):
            raise EngineError(
                f"the model fails on one prompt after another: {named_line(failure)}",
                where=self._where,
                remedy="What was finished is kept. See whether the model runs outside, then resume.",
            ) from failure


def _prefixes(rows: Sequence[Row]) -> set[PrefixNode]:
    """Return the prefixes that are computed for some of the rows, those that they stand on included."""
    found: set[PrefixNode] = set()
    for row in rows:
        node = row.node
        while node is not None and node not in found:
            if node.state is not None:
                found.add(node)
            node = node.parent
    return found


def _info(model: str, fingerprint: str, loaded: LoadedModel) -> EngineInfo:
    return EngineInfo(
        engine="hf",
        model=model,
        model_fingerprint=fingerprint,
        adapter=None,
        adapter_fingerprint=None,
        dtype=loaded.dtype,
        quantization=loaded.quantization,
        device=_device_name(loaded.device),
        context_length=loaded.context_length,
        versions=_versions(),
    )


def _free(on_gpu: bool) -> None:
    gc.collect()
    if on_gpu:
        import torch

        # A broken device refuses this too; the error that counts is already on its way.
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


def _device_name(device: str) -> str:
    if device == "cuda":
        import torch

        return f"cuda ({torch.cuda.get_device_name()})"
    return device


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("torch", "transformers", "peft", "tokenizers", "bitsandbytes"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
