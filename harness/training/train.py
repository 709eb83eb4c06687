"""Prepared rows -> a trained adapter: the run from folder to last checkpoint, with its troubles met."""

from __future__ import annotations

import gc
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from harness.allocator import keep_freed_memory, release_unused_memory
from harness.engine.out_of_memory import is_out_of_memory
from harness.errors import EngineError, HarnessError, Interrupted, StorageError, first_line
from harness.log.files import read_json, write_json_atomically
from harness.log.writer import utc_now
from harness.models.adapter_origin import ORIGIN_FILE, AdapterOrigin, origin_record
from harness.spread import spread
from harness.training.adapter_precision import weights_are_finite, widen_adapter
from harness.training.early_stopping import early_stop_reason, higher_is_better, stopping_callbacks
from harness.training.failures import says_torn, training_failure
from harness.training.load_base import load_base
from harness.training.preflight import wandb_can_log_in
from harness.training.prepare import Prepared
from harness.training.recipe import logged_metric
from harness.training.run_folder import (
    STATE,
    TrainingFolder,
    checkpoints,
    flush,
    is_complete,
    not_whole,
)
from harness.training.run_header import run_header, run_origin
from harness.training.settings import Device, choose_device, lora_config, sft_config, shards_parameters
from harness.training.start_adapter import load_start
from harness.training.trainer import EntryCallback, Rows, RowTrainer, TaskMetrics
from harness.training.unquantised_base import losses_by_base

Watch = Callable[[list[dict[str, Any]]], str | None]
"""log history -> why training should stop, or None."""
Report = Callable[[str, Mapping[str, Any]], None]
"""(kind, detail): `entry`, `step`, `checkpoint`, `note`."""

SLOW_DATA_SHARE = 0.2
_RELEASE_EVERY = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOutcome:
    """How a run ended. `steps` is the last optimiser step; `seconds` the wall time of training in this process."""

    folder: Path
    steps: int
    stopped_because: str | None
    seconds: float
    data_wait_s: float


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """Micro-batch and accumulation, whose product stays what the recipe says, and the rows of an evaluation's batch."""

    micro_batch: int
    accumulation: int
    evaluation_batch: int

    def halve(self) -> bool:
        """Halve the micro-batch and double the accumulation; return False if nothing can be made smaller.

        It may be the evaluation that had no room, so its batch becomes no larger than the micro-batch.
        """
        if self.micro_batch == 1:
            could, self.evaluation_batch = self.evaluation_batch > 1, 1
            return could
        product = self.micro_batch * self.accumulation
        self.micro_batch = next(size for size in range(self.micro_batch // 2, 0, -1) if product % size == 0)
        self.accumulation = product // self.micro_batch
        self.evaluation_batch = min(self.evaluation_batch, self.micro_batch)
        return True


def train(
    prepared: Prepared,
    folder: TrainingFolder,
    *,
    resume: bool,
    watch: Watch,
    report: Report,
    task_metrics: Callable[[Any, Any, Device], TaskMetrics] | None = None,
) -> TrainOutcome:
    """Train the adapter of a recipe into an open folder and return how it went.

    Out of memory halves the micro-batch, doubles the accumulation and goes on from the last checkpoint: the effective
    batch does not change. Raises StorageError (disk), EngineError (memory, at a micro-batch of 1), Interrupted.
    """
    recipe = prepared.recipe
    device = choose_device(recipe)
    if device.kind == "cpu":
        keep_freed_memory()
    _quieten()
    if "wandb" in recipe.reports and not wandb_can_log_in():
        os.environ["WANDB_MODE"] = "offline"
    attempt = _Attempt(
        micro_batch=recipe.training.per_device_train_batch_size,
        accumulation=recipe.training.gradient_accumulation_steps,
        evaluation_batch=recipe.training.per_device_eval_batch_size
        or recipe.training.per_device_train_batch_size,
    )
    origin = run_origin(prepared)
    last = checkpoints(folder.path)[-1:] if resume else []
    if not resume:
        folder.write_header(run_header(prepared, device, origin))
    else:
        start = f"going on from {last[0].name}" if last else "no checkpoint is there yet: beginning again"
        report("note", {"text": start})
    while True:
        if last:
            folder.rewind(last[0])
        else:
            folder.restart()
        folder.set_status("running")
        _wait_for_all()
        run = _Run(prepared, folder, device, origin, watch, report, task_metrics)
        try:
            outcome = _unless_out_of_memory(run, attempt, last[0] if last else None)
        except KeyboardInterrupt:
            with suppress(StorageError):
                folder.set_status("stopped", "interrupted")
            raise Interrupted(
                "interrupted", where=folder.path, remedy=f"Go on with: harness train --resume {folder.path}"
            ) from None
        except Exception as error:
            what = error.what if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
            with suppress(StorageError):
                folder.set_status("failed", what[:300])
            raise
        if outcome is not None:
            return outcome
        _let_go()
        _smaller(attempt, folder, report)
        last = checkpoints(folder.path)[-1:]


def _unless_out_of_memory(run: _Run, attempt: _Attempt, checkpoint: Path | None) -> TrainOutcome | None:
    """Return the outcome of an attempt, None if memory ran out.

    What else goes wrong is raised as the error it is. An exception holds the frames it came through, and with them the
    model: so it is over before anyone tries again.
    """
    try:
        return run.go(attempt, checkpoint)
    except Exception as error:
        if is_out_of_memory(error):
            return None
        known = training_failure(run.folder.path, error)
        if known is None and checkpoint is not None and not run.stepped and says_torn(error):
            known = not_whole(checkpoint, first_line(error))
        run.folder.clear_incomplete()
        if known is None or known is error:
            raise
        raise known from error


def _let_go() -> None:
    """Free the model of an attempt that is over; model and trainer hold each other, so only a collection finds them."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    release_unused_memory()


def _smaller(attempt: _Attempt, folder: TrainingFolder, report: Report) -> None:
    """Make an attempt's micro-batch smaller after memory ran out. Raises EngineError if it is one row already."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or not attempt.halve():
        with suppress(StorageError):
            folder.set_status("failed", "out of memory")
        raise EngineError(
            f"out of memory with micro-batches of {attempt.micro_batch}",
            where=folder.path,
            remedy="`harness plan RECIPE` names the largest term and the cheapest changes that would fit.",
        )
    report(
        "note",
        {
            "text": f"out of memory: going on with micro-batches of {attempt.micro_batch} and "
            f"{attempt.accumulation} accumulation steps (same effective batch), and evaluation in batches of "
            f"{attempt.evaluation_batch}"
        },
    )


class _Run:
    """One attempt: model and trainer built, trained, and let go."""

    def __init__(
        self,
        prepared: Prepared,
        folder: TrainingFolder,
        device: Device,
        origin: AdapterOrigin,
        watch: Watch,
        report: Report,
        task_metrics: Callable[[Any, Any, Device], TaskMetrics] | None,
    ) -> None:
        self._prepared = prepared
        self.folder = folder
        self._device = device
        self._origin = origin
        self._watch = watch
        self._report = report
        self._task_metrics = task_metrics
        self._history: list[dict[str, Any]] = []
        self.stepped = False

    def go(self, attempt: _Attempt, checkpoint: Path | None) -> TrainOutcome:
        """Train to the end, or until something stops it."""
        from transformers import PrinterCallback

        prepared, recipe = self._prepared, self._prepared.recipe
        model = load_base(prepared, self._device)
        arguments = sft_config(
            recipe,
            self._device,
            self.folder.path,
            micro_batch=attempt.micro_batch,
            accumulation=attempt.accumulation,
            evaluation_batch=attempt.evaluation_batch,
        )
        # The trainer deletes older checkpoints before the new one is whole, and at the end one that is not the best.
        arguments.save_total_limit = None
        # Otherwise early stopping would count from zero again.
        arguments.restore_callback_states_from_checkpoint = True
        if checkpoint is not None:
            arguments.eval_on_start = False
        if prepared.validation is not None or recipe.eval_suite is not None:
            arguments.metric_for_best_model = logged_metric(recipe)
            arguments.greater_is_better = higher_is_better(prepared)
        entries = EntryCallback(self._entry, self._checkpoint, self._step)
        made = self._task_metrics(model, prepared, self._device) if self._task_metrics else None
        trainer = RowTrainer(
            rows=_rows(prepared),
            share_prefix=recipe.tokens.share_prefix,
            task_metrics=made,
            model=model,
            args=arguments,
            processing_class=prepared.tokenizer,
            peft_config=lora_config(recipe),
            callbacks=[entries, *stopping_callbacks(prepared)],
        )
        trainer.remove_callback(PrinterCallback)
        if self._device.dtype == "float16" or not shards_parameters():
            widen_adapter(trainer.model, autocast=self._device.dtype != "float32")
        if prepared.start is not None and checkpoint is None:
            # Into the widened weights: those that TRL makes of a 4-bit base's adapter would round it to 16 bits.
            load_start(trainer.model, prepared.start)
        self._history = [dict(entry) for entry in _logged(checkpoint)]
        start = time.monotonic()
        self._started = start
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        outcome = TrainOutcome(
            folder=self.folder.path,
            steps=trainer.state.global_step,
            stopped_because=entries.stopped_because or early_stop_reason(trainer),
            seconds=time.monotonic() - start,
            data_wait_s=trainer.data_wait_s,
        )
        (self.folder.path / "README.md").unlink(missing_ok=True)
        self.folder.set_status("stopped" if outcome.stopped_because else "done", outcome.stopped_because)
        if entries.stopped_because is None:
            self._compare_bases(trainer)
        return outcome

    def _compare_bases(self, trainer: RowTrainer) -> None:
        """Measure the held-out loss over the unquantised base, too. The run is done: what prevents it is said, no more."""
        validation = self._prepared.validation
        if self._prepared.recipe.quantization == "none" or validation is None or not validation.rows:
            return
        if trainer.accelerator.num_processes > 1:
            return
        self._report("note", {"text": "reading held-out rows over the unquantised base, too"})
        try:
            found = losses_by_base(trainer, validation.rows, self._prepared.model.path)
            bases = {"step": trainer.state.global_step, **asdict(found)}
            self.folder.write_header({**self.folder.header(), "bases": bases})
        except KeyboardInterrupt:
            self._report("note", {"text": "not measured over the unquantised base: interrupted"})
        except Exception as error:  # the libraries that load the base raise anything
            self._report("note", {"text": f"not measured over the unquantised base: {first_line(error)}"})
        else:
            self._report("note", {"text": str(found)})

    def _entry(self, entry: dict[str, Any]) -> str | None:
        self.folder.append(entry)
        self._history.append(entry)
        self._report("entry", entry)
        for key in ("loss", "eval_loss"):
            value = entry.get(key)
            if isinstance(value, float) and not math.isfinite(value):
                return f"{key} is {value} at step {entry.get('step')}"
        return self._watch(self._history)

    def _step(self, step: int, steps: int) -> None:
        self.stepped = True
        if self._device.kind == "cpu" and step % _RELEASE_EVERY == 0:
            release_unused_memory()
        self._report("step", {"step": step, "steps": steps, "seconds": time.monotonic() - self._started})

    def _checkpoint(self, step: int, epoch: float, best: int | None) -> str | None:
        """Mark a checkpoint that was saved as complete, and delete older ones; return why training should stop.

        One whose weights are no numbers could not be gone on with: it is deleted, and every older one stays.
        """
        folder = self.folder.path / f"checkpoint-{step}"
        try:
            finite = weights_are_finite(folder)
        except SafetensorError:
            raise StorageError("the checkpoint was not written whole", where=folder) from None
        if not finite:
            shutil.rmtree(folder, ignore_errors=True)
            last = checkpoints(self.folder.path)[-1:]
            left = f"the last good one is {last[0].name}" if last else "there is no earlier one"
            self._report(
                "note", {"text": f"{folder.name} is not kept: its weights are not finite numbers; {left}"}
            )
            return f"the adapter's weights are not finite at step {step}"
        # A model card of placeholders; `harness publish` writes one.
        (folder / "README.md").unlink(missing_ok=True)
        # PEFT records where the base lies on this machine; what it is called means something elsewhere too.
        config = read_json(folder / "adapter_config.json")
        config["base_model_name_or_path"] = self._prepared.base_name
        write_json_atomically(folder / "adapter_config.json", config)
        flush(folder)
        record = origin_record(self._origin) | {"step": step, "epoch": epoch, "created": utc_now()}
        write_json_atomically(folder / ORIGIN_FILE, record)
        if not is_complete(folder):
            raise StorageError("the checkpoint was not written whole", where=folder)
        keep = self._prepared.recipe.evaluation.keep
        if keep is not None:
            self.folder.rotate(keep, best)
        self._report("checkpoint", {"path": str(folder), "step": step})
        return None


def _rows(prepared: Prepared) -> Rows:
    train = prepared.train.rows
    return Rows(
        train=train,
        validation=prepared.validation.rows if prepared.validation else (),
        probe=spread(train, prepared.recipe.evaluation.train_probe),
    )


def _logged(checkpoint: Path | None) -> list[dict[str, Any]]:
    if checkpoint is None:
        return []
    return [entry for entry in read_json(checkpoint / STATE).get("log_history", []) if entry]


def _wait_for_all() -> None:
    """Let the processes of a run meet here: the first one has put the folder in order."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def _quieten() -> None:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|trl|peft")
    for name in ("transformers", "trl", "accelerate", "bitsandbytes", "peft"):
        logging.getLogger(name).setLevel(logging.ERROR)
