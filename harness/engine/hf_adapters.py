"""LoRA adapters on one loaded base: loaded once, switched, and each proved to change something."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.engine.adapter_probe import LEAST_CHANGE, PROBE_TEXT, not_loaded
from harness.engine.hf_lora import fuse
from harness.errors import EngineError, MissingDependency, ModelError, first_line


class Adapters:
    """The adapters of one base model. The base model object itself stays the one to call: PEFT works inside it."""

    def __init__(self, model: Any, paths: tuple[Path, ...]) -> None:
        """Load every adapter (already checked to fit by `harness.models.adapter`) with the base active.

        Raises MissingDependency or ModelError.
        """
        self._model = model
        self._names = {path: f"adapter_{index}" for index, path in enumerate(paths)}
        self._peft: Any = None
        self.active: Path | None = None
        if paths:
            self._load()
            self.use(None)

    def _load(self) -> None:
        try:
            from peft import PeftModel
        except ImportError:
            raise MissingDependency(
                "adapters need peft", remedy='Install it: pip install "persona-harness[hf]"'
            ) from None
        for path, name in self._names.items():
            settings = {"adapter_name": name, "is_trainable": False, "autocast_adapter_dtype": False}
            try:
                if self._peft is None:
                    self._peft = PeftModel.from_pretrained(self._model, str(path), **settings)
                else:
                    self._peft.load_adapter(str(path), **settings)
            except Exception as error:  # a damaged or foreign folder makes peft raise anything
                raise ModelError(f"the adapter cannot be loaded: {first_line(error)}", where=path) from error
        dtype = self._model.dtype
        for name, parameter in self._model.named_parameters():
            if "lora_" in name and parameter.is_floating_point() and parameter.dtype != dtype:
                # Served adapters run in the model's numbers; casting back and forth in every layer would only be slow.
                parameter.data = parameter.data.to(dtype)
        self._peft.eval()
        fuse(self._model)

    def use(self, path: Path | None) -> None:
        """Activate one adapter, or the bare base. Raises EngineError for an adapter that was not loaded."""
        if path is not None and path not in self._names:
            raise not_loaded(path, self._names)
        if self._peft is not None:
            if path is None:
                self._peft.base_model.disable_adapter_layers()
            else:
                self._peft.base_model.enable_adapter_layers()
                self._peft.set_adapter(self._names[path])
        self.active = path

    def prove(self, tokenizer: Any) -> dict[Path, float]:
        """Return, per adapter, the largest change of a log-probability on a fixed text; leave the base active.

        Raises EngineError for an adapter that changes nothing: its numbers would be the base's under another name.
        """
        import torch

        ids = torch.tensor(
            [tokenizer.encode(PROBE_TEXT, add_special_tokens=False)], device=self._model.device
        )

        @torch.inference_mode()
        def log_probabilities() -> Any:
            return self._model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)

        self.use(None)
        base = log_probabilities()
        changes: dict[Path, float] = {}
        for path in self._names:
            self.use(path)
            change = float((log_probabilities() - base).abs().max())
            if not change > LEAST_CHANGE:
                raise EngineError(
                    f"the adapter changes nothing (largest change of a log-probability: {change:.1e})",
                    where=path,
                    remedy="Its weights are zero or do not reach the model: train it, or take another checkpoint.",
                )
            changes[path] = change
        self.use(None)
        return changes
