"""LoRA adapters in one vLLM engine: named by content, loaded before the first prompt, each proved to change something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from harness.engine.adapter_probe import LEAST_CHANGE, PROBE_TEXT, not_loaded
from harness.engine.vllm_load import says_no_memory, vllm_line
from harness.errors import EngineError, ModelError

# vLLM knows a worker's adapter by number alone, so that no two engines of a process may give out the same one.
_numbers = count(1)


class VllmAdapters:
    """The adapters of one engine, of which one or none is active."""

    def __init__(self, engine: Any, fingerprints: Mapping[Path, str]) -> None:
        """Load every adapter (already checked to fit). Raises ModelError or EngineError."""
        self._engine = engine
        self._requests: dict[Path, Any] = {}
        self.active: Path | None = None
        if not fingerprints:
            return
        from vllm.lora.request import LoRARequest

        for path, fingerprint in fingerprints.items():
            request = LoRARequest(lora_name=fingerprint, lora_int_id=next(_numbers), lora_path=str(path))
            try:
                taken = engine.add_lora(request)
            except Exception as error:
                if says_no_memory(error):
                    raise EngineError(f"no memory for the adapter: {vllm_line(error)}", where=path) from error
                raise ModelError(f"vLLM cannot load the adapter: {vllm_line(error)}", where=path) from error
            if not taken:
                raise ModelError("vLLM did not take the adapter", where=path)
            self._requests[path] = request

    def request_for(self, path: Path | None) -> Any:
        """Return vLLM's LoRARequest for an adapter, None for the base. Raises EngineError for one that was not loaded."""
        if path is not None and path not in self._requests:
            raise not_loaded(path, self._requests)
        return None if path is None else self._requests[path]

    def use(self, path: Path | None) -> None:
        """Activate one adapter, or the bare base. Raises EngineError for an adapter that was not loaded."""
        self.request_for(path)
        self.active = path

    def prove(self, tokenizer: Any, limit: int) -> dict[Path, float]:
        """Return, per adapter, the largest change of a log-probability on a fixed text of at most `limit` tokens.

        The base is asked twice, so that what its own rounding changes does not count. Leaves the base active. Raises
        EngineError for an adapter that changes nothing: vLLM serves the base then, without a word.
        """
        if not self._requests:
            return {}
        ids = tokenizer.encode(PROBE_TEXT, add_special_tokens=False)[:limit]
        score = self._scorer(ids)
        base = score(None)
        noise = _largest_change(base, score(None))
        changes: dict[Path, float] = {}
        for path, request in self._requests.items():
            changes[path] = _largest_change(base, score(request))
            if not changes[path] > max(LEAST_CHANGE, 2 * noise):
                raise EngineError(
                    f"the adapter changes nothing (largest change of a log-probability: {changes[path]:.1e})",
                    where=path,
                    remedy="Its weights are zero, or their names are not those of vLLM's model: "
                    "`harness export --check vllm` looks; `harness merge` gives a model that needs no adapter.",
                )
        return changes

    def _scorer(self, ids: Sequence[int]) -> Callable[[Any], list[float]]:
        """Return a function from adapter to the log-probabilities of `ids` after the first."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        def score(adapter: Any) -> list[float]:
            params = SamplingParams(
                max_tokens=1,
                temperature=0.0,
                prompt_logprobs=0,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            try:
                rows = self._asked(ids, params, adapter)
            except Exception as error:  # vLLM raises anything here
                raise EngineError(
                    f"vLLM cannot compute the probe that proves adapters active: {vllm_line(error)}",
                    remedy="With more room it may: a larger max_model_len, or kv_cache_gib.",
                ) from error
            return [row[token].logprob for token, row in zip(ids, rows, strict=True) if row]

        return score

    def _asked(self, ids: Sequence[int], params: Any, adapter: Any) -> list[Any]:
        """Return vLLM's log-probabilities for each place of a prompt."""
        self._engine.add_request("probe", {"prompt_token_ids": list(ids)}, params, lora_request=adapter)
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                if output.finished:
                    return list(output.prompt_logprobs or [])
        raise RuntimeError("no answer")


def _largest_change(before: Sequence[float], after: Sequence[float]) -> float:
    return max((abs(one - other) for one, other in zip(before, after, strict=True)), default=0.0)
