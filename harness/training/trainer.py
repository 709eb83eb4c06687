"""TRL's trainer with our rows: our order of rows, our evaluation, TRL's loop, loss and checkpoints."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from transformers import TrainerCallback
from transformers.trainer_utils import EvalLoopOutput
from trl import SFTTrainer

from harness.log.files import read_json
from harness.training.adapter_precision import widened_inputs
from harness.training.batch_shape import largest_micro_batch
from harness.training.batches import GroupedSampler, SharedPrefixCollator
from harness.training.rows import TokenRow
from harness.training.supervised_head import score_supervised_positions

TaskMetrics = Callable[[Any, int], Mapping[str, float]]
"""(model, step) -> task metrics; called at every evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is trained and what is evaluated: `validation` and `probe` may be empty."""

    train: Sequence[TokenRow]
    validation: Sequence[TokenRow]
    probe: Sequence[TokenRow]


class RowTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer over prepared rows.

    Evaluation is token-weighted (the sum of all negative log-likelihoods over the number of tokens that bear loss), so
    that its exponential is a perplexity and does not depend on the batch size. `eval_train_probe_loss` is the same for
    a fixed slice of the training rows, without dropout and noise.
    """

    # Sums that the base classes keep from one log entry to the next.
    _tr_loss: torch.Tensor
    _total_loss_scalar: float
    _globalstep_last_logged: int
    _metrics: dict[str, Any]
    _total_train_tokens: int

    def __init__(
        self, *, rows: Rows, share_prefix: bool, task_metrics: TaskMetrics | None, **options: Any
    ) -> None:
        self._row_sets = rows
        self._share_prefix = share_prefix
        self._task_metrics = task_metrics
        self.data_wait_s = 0.0
        self._rehearsed = False
        super().__init__(
            train_dataset=_dataset(rows.train, indexed=not options["args"].packing),
            eval_dataset=_dataset(rows.validation[:1] or rows.train[:1], indexed=False),
            data_collator=SharedPrefixCollator(rows.train) if share_prefix else None,
            **options,
        )
        inner = self.accelerator.unwrap_model(self.model)
        score_supervised_positions(inner.get_base_model() if hasattr(inner, "get_base_model") else inner)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if not self._share_prefix:
            return super()._get_train_sampler(train_dataset)
        return GroupedSampler(
            [row.group for row in self._row_sets.train],
            self.args.per_device_train_batch_size,
            self.args.seed,
            lambda: int(self.state.epoch or 0),
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load what the base class loads, in the numbers in which it was trained: PEFT widens a 16-bit adapter."""
        trained = self.model if model is None else model
        types = {name: each.dtype for name, each in trained.named_parameters() if each.requires_grad}
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for name, each in trained.named_parameters():
            if name in types and each.dtype != types[name]:
                each.data = each.data.to(types[name])

    def get_batch_samples(self, *arguments: Any, **options: Any) -> Any:
        """Return what the base class does, and count the time that training waits for data."""
        start = time.perf_counter()
        found = super().get_batch_samples(*arguments, **options)
        self.data_wait_s += time.perf_counter() - start
        return found

    def training_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """Return TRL's loss. Before the first step, the largest micro-batch is computed once and thrown away."""
        if not self._rehearsed:
            self._rehearsed = True
            self._take_up_unlogged()
            self._rehearse(model)
        return super().training_step(model, inputs, *arguments, **options)

    def _rehearse(self, model: Any) -> None:
        """Compute the largest micro-batch forwards and backwards, and leave nothing of it behind.

        What does not fit shows now and not hours later, and an allocator that has met the largest sizes first has
        room for all others: sizes that grow over a run leave holes that it cannot use. Not in distributed runs, whose
        processes would have to do it together, nor with packing, which makes rows of one size.
        """
        if self.accelerator.num_processes > 1 or self.args.packing:
            return
        rows = self._row_sets.train
        largest = largest_micro_batch(
            rows,
            self.args.per_device_train_batch_size,
            share_prefix=self._share_prefix,
            seed=self.args.seed,
            epochs=math.ceil(self.state.num_train_epochs),
        )
        collate: Any = SharedPrefixCollator(largest) if self._share_prefix else self._padded(largest)
        metrics, tokens = copy.deepcopy(self._metrics), self._total_train_tokens
        with torch.random.fork_rng(enabled=True):
            super().training_step(model, collate([{"row": index} for index in range(len(largest))]))
        model.zero_grad(set_to_none=True)
        self._metrics, self._total_train_tokens = metrics, tokens

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save what the base class does, and what was summed since the last log entry; return when all have saved."""
        super()._save_checkpoint(model, trial)
        unlogged = {
            "since_step": self._globalstep_last_logged,
            "loss_sum": float(self._tr_loss),
            "metrics": dict(self._metrics["train"]),
            "tokens": int(self._total_train_tokens),
        }
        self._unlogged_file().write_text(json.dumps(unlogged), encoding="utf-8")
        self.accelerator.wait_for_everyone()

    def _take_up_unlogged(self) -> None:
        """Go on with the sums of the checkpoint that training resumes from: the next entry is a mean over all its steps."""
        if not self._unlogged_file().is_file():
            return
        unlogged = read_json(self._unlogged_file())
        self._globalstep_last_logged = unlogged["since_step"]
        self._tr_loss = torch.tensor(unlogged["loss_sum"], device=self.args.device)
        # The summary at the end is over the steps from here.
        self._total_loss_scalar = -unlogged["loss_sum"]
        self._metrics["train"].update(unlogged["metrics"])
        self._total_train_tokens = unlogged["tokens"]

    def _unlogged_file(self) -> Path:
        """Return where this process keeps its sums in the checkpoint of the present step."""
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        return checkpoint / f"unlogged-{self.accelerator.process_index}.json"

    def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """Return TRL's loss. Its token count reads a mask that a tree does not have, so tokens are counted here."""
        before = self._total_train_tokens
        loss = super().compute_loss(model, inputs, *arguments, **options)
        if "tree" in inputs and self.model.training:
            here = torch.tensor(inputs["input_ids"].numel(), device=inputs["input_ids"].device)
            self._total_train_tokens = before + int(self.accelerator.gather_for_metrics(here).sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        *arguments: Any,
        metric_key_prefix: str = "eval",
        **options: Any,
    ) -> EvalLoopOutput:
        """Return losses of validation and train probe, and the task metrics; the data loader is not used."""
        metrics: dict[str, float] = {}
        with self._evaluated() as model:
            for prefix, rows in (("", self._row_sets.validation), ("train_probe_", self._row_sets.probe)):
                if rows:
                    metrics |= {
                        f"{metric_key_prefix}_{prefix}{name}": value
                        for name, value in self._losses(model, rows).items()
                    }
            if self._task_metrics is not None:
                with widened_inputs(model):
                    # Each process asks for itself; all have to decide by one answer.
                    (found,) = broadcast_object_list(
                        [dict(self._task_metrics(model, self.state.global_step))]
                    )
                metrics |= {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        return EvalLoopOutput(
            predictions=None, label_ids=None, metrics=metrics, num_samples=len(self._row_sets.validation)
        )

    def loss_of(self, rows: Sequence[TokenRow]) -> float:
        """Return the loss of rows with the adapter as it is now, in nats a token, as an evaluation computes it."""
        with self._evaluated() as model:
            return self._losses(model, rows)["loss"]

    @contextmanager
    def _evaluated(self) -> Iterator[Any]:
        """Give the bare model in eval mode, and put it back as it was."""
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        was_training = model.training
        model.eval()
        try:
            yield model
        finally:
            model.train(was_training)

    def _losses(self, model: Any, rows: Sequence[TokenRow]) -> dict[str, float]:
        """Return the token-weighted loss and the share of tokens that are the model's first choice."""
        sums = torch.zeros(3, dtype=torch.float64)
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        for batch in self._eval_batches(rows[rank::world]):
            with torch.no_grad(), self.compute_loss_context_manager():
                out = model(**self._prepare_inputs(batch), fused_lm_head=True, use_cache=False)
            sums += torch.tensor(
                [-out.log_probs.double().sum(), out.is_top1.double().sum(), out.label_mask.double().sum()],
                dtype=torch.float64,
            )
        total = self.accelerator.reduce(sums.to(self.accelerator.device, torch.float32), reduction="sum")
        loss, right, count = (float(value) for value in total)
        return {"loss": loss / count, "mean_token_accuracy": right / count} if count else {}

    def _eval_batches(self, rows: Sequence[TokenRow]) -> Iterator[dict[str, Any]]:
        """Yield batches of rows sorted so that prefixes are shared, or padding is little."""
        size = self.args.per_device_eval_batch_size
        if self._share_prefix:
            ordered = sorted(rows, key=lambda row: row.group)
            collate: Any = SharedPrefixCollator(ordered)
        else:
            ordered = sorted(rows, key=lambda row: len(row.ids))
            collate = self._padded(ordered)
        for start in range(0, len(ordered), size):
            yield collate([{"row": index} for index in range(start, min(start + size, len(ordered)))])

    def _padded(self, rows: Sequence[TokenRow]) -> Callable[[Sequence[Mapping[str, int]]], dict[str, Any]]:
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

        collator = DataCollatorForLanguageModeling(pad_token_id=self._tokenizer.pad_token_id)

        def collate(items: Sequence[Mapping[str, int]]) -> dict[str, Any]:
            picked = [rows[item["row"]] for item in items]
            made: dict[str, Any] = collator(
                [{"input_ids": list(row.ids), "labels": row.labels()} for row in picked]
            )
            return made

        return collate


class EntryCallback(TrainerCallback):  # type: ignore[misc]
    """Hands each log entry and each saved checkpoint on, and stops training when one of them is answered by a reason."""

    def __init__(
        self,
        on_entry: Callable[[dict[str, Any]], str | None],
        on_checkpoint: Callable[[int, float, int | None], str | None],
        on_step: Callable[[int, int], None],
    ) -> None:
        self._on_entry = on_entry
        self._on_checkpoint = on_checkpoint
        self._on_step = on_step
        self.stopped_because: str | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        reason = None
        if state.is_world_process_zero:
            reason = self._on_entry(dict(state.log_history[-1]) if state.log_history else dict(logs or {}))
        self._stop_for(reason, args, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self._on_step(state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        reason = None
        if state.is_world_process_zero:
            reason = self._on_checkpoint(state.global_step, float(state.epoch or 0), state.best_global_step)
        self._stop_for(reason, args, control)

    def _stop_for(self, reason: str | None, args: Any, control: Any) -> None:
        """Stop training in every process if the first one has a reason; the first reason of a run counts."""
        if args.world_size > 1:
            # Every process logs and saves at the same steps; one that went on alone would wait for the others for ever.
            (reason,) = broadcast_object_list([reason])
        if reason is not None:
            self.stopped_because = self.stopped_because or reason
            control.should_training_stop = True


def _dataset(rows: Sequence[TokenRow], *, indexed: bool) -> Dataset:
    columns: dict[str, Any] = {
        "input_ids": [list(row.ids) for row in rows],
        "labels": [row.labels() for row in rows],
    }
    if indexed:
        columns["row"] = list(range(len(rows)))
    return Dataset.from_dict(columns)
