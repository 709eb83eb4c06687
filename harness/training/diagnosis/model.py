"""What goes into a diagnosis and what comes out, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal[
    "healthy",
    "overfit",
    "memorising",
    "underfit",
    "diverged",
    "broken",
    "flawed",
    "no_eval",
    "too_few_evals",
    "inconclusive",
]
Severity = Literal["info", "warning", "critical"]
Confidence = Literal["high", "moderate", "low"]
Source = Literal["harness", "transformers", "llama_factory"]
State = Literal["running", "done", "stopped", "failed", "unknown"]
Axis = Literal["step", "epoch", "entry"]
Language = Literal["en", "ko"]

Code = Literal[
    "no_data",
    "few_logs",
    # D0 data
    "rows_lost",
    "no_supervised_tokens",
    "few_supervised_tokens",
    "no_end_of_turn",
    "leaked_rows",
    "few_rows",
    "small_validation",
    # D1 broken
    "nonfinite_loss",
    "nonfinite_eval",
    "nonfinite_grad",
    "skipped_steps",
    "masked_labels",
    "zero_collapse",
    "near_uniform",
    "zero_gradients",
    "lr_zero",
    # D2, D3, D5 stability
    "diverged",
    "lost_progress",
    "ends_high",
    "spikes",
    "periodic_spikes",
    "grad_spikes",
    "lr_too_high",
    "eval_above_start",
    # D4, D7, D8 learning
    "not_learning",
    "underfit",
    "still_improving",
    "plateau",
    # D6, D9 held-out rows
    "no_eval",
    "too_few_evals",
    "noisy_eval",
    "overfit",
    "memorising",
    "no_transfer",
    "no_gain",
    "gain_unseen",
    "metric_at_floor",
    "calibration_drift",
    "task_decline",
    "side_eval_rises",
    "final_not_best",
    "best_not_saved",
    "val_below_train",
    "worse_unquantised",
    # what training loss alone can show
    "epoch_staircase",
    "near_zero_train",
    "many_epochs",
    # D10 schedule
    "lr_zero_tail",
    "long_warmup",
    "run_incomplete",
    # D11 generation health
    "never_stops",
    "repetition",
    "empty_replies",
    "prompt_echo",
    "broken_json",
    "invented_calls",
]

Setting = Literal[
    "learning_rate",
    "warmup_steps",
    "max_grad_norm",
    "num_train_epochs",
    "max_steps",
    "dtype",
    "weight_decay",
    "max_length",
    "loss_on",
    "rank",
    "dropout",
    "validation",
    "every",
    "at_start",
    "early_stopping",
    "train_probe",
    "metric",
    "keep",
    "logging_steps",
    "batch_size",
    "quantization",
    "train",
]
"""A thing to change, whatever a trainer calls it; `words.SETTINGS` has the names."""

Value = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do: `advice` names the sentence, `setting` and `value` what to write where."""

    advice: str
    setting: Setting | None = None
    value: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the log shows. `at` is its place on the curves' axis, None where it has none.

    `evidence` holds the numbers that the sentence needs; names that end in share, rise or drop are ratios.
    """

    code: Code
    severity: Severity
    evidence: Mapping[str, Value] = field(default_factory=dict)
    at: float | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about the log file itself that the reader must know, such as a torn last line."""

    code: str
    evidence: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is known of a run beside its log; everything may be unknown.

    Counts of rows are after splitting; `batch_rows` is rows in an optimizer step over all devices. `checkpoints` holds
    the steps of the checkpoints that exist, None where nobody looked. `metric` is the evaluation key that the run
    selects by; `lower_is_better` and `higher_is_better` are keys whose direction the run recorded. `task_samples` is
    the number of samples that each task metric is a share of. `supervised_share` is supervised tokens over all tokens.
    `quantised_loss` and `unquantised_loss` are those of the same `compared_rows` held-out rows over the 4-bit base that
    was trained on, and over the base's own weights, at step `compared_at`.
    """

    source: Source = "transformers"
    state: State = "unknown"
    max_steps: int | None = None
    planned_epochs: float | None = None
    learning_rate: float | None = None
    adapter: bool | None = None
    batch_rows: int | None = None
    vocab_size: int | None = None
    train_rows: int | None = None
    validation_rows: int | None = None
    read_rows: int | None = None
    dropped_rows: int | None = None
    truncated_rows: int | None = None
    supervised_share: float | None = None
    end_of_turn_supervised: bool | None = None
    leaked_rows: int | None = None
    quantised_loss: float | None = None
    unquantised_loss: float | None = None
    compared_rows: int | None = None
    compared_at: int | None = None
    checkpoints: tuple[int, ...] | None = None
    metric: str = "eval_loss"
    lower_is_better: tuple[str, ...] = ()
    higher_is_better: tuple[str, ...] = ()
    task_samples: int | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve: places on the axis in rising order and finite or non-finite values, of equal length."""

    key: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def last(self) -> float:
        """Return the last value."""
        return self.y[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Every curve of a log. `validation` is the key of the loss that verdicts go by, `probe` of the train probe."""

    axis: Axis
    train: Series
    learning_rate: Series
    grad_norm: Series
    entropy: Series
    epochs: Series
    losses: Mapping[str, Series]
    metrics: Mapping[str, Series]
    validation: str | None
    probe: str | None
    end: float
    finished: bool
    eval_rows: int | None
    train_rows: int | None
    notes: tuple[Note, ...]

    def epoch_at(self, x: float) -> float | None:
        """Return the epoch last logged at or before a place, None where none was."""
        from bisect import bisect_right

        index = bisect_right(self.epochs.x, x) - 1
        return self.epochs.y[index] if index >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestCheckpoint:
    """The evaluation to ship, and why.

    `why`: `only` evaluation, `lowest` or `highest` value, `within_noise` (earliest of those equal to the best within
    `band`), `one_se` (the same for a task metric), `nearest_saved` (the best one was not kept). `x` is the place on the
    axis, `saved` whether a checkpoint lies there (None: nobody looked), `equals` how many evaluations lie in the band.
    """

    x: float
    epoch: float | None
    key: str
    value: float
    why: Literal["only", "lowest", "highest", "within_noise", "one_se", "nearest_saved"]
    saved: bool | None
    extreme_x: float
    extreme_value: float
    band: float
    equals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The verdict on a log, its findings (worst first) and the curves that they were read from."""

    verdict: Verdict
    confidence: Confidence
    findings: tuple[Finding, ...]
    best: BestCheckpoint | None
    curves: Curves
    facts: RunFacts
    notes: tuple[Note, ...]

    @property
    def worst(self) -> Severity | None:
        """Return the severity of the worst finding, None without findings."""
        return self.findings[0].severity if self.findings else None
