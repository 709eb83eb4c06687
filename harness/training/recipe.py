"""What a person writes to train an adapter: one YAML file, every key known, every removed name answered.

`training:` keeps the names of Hugging Face's TrainingArguments, because that is where users know them from.
docs/recipes.md is the specification.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from harness.errors import SpecError, nearest_hint
from harness.fingerprint import sha256_of
from harness.training.data_spec import DataSpecs
from harness.training.removed_names import library_option, refused_extra, removed_name
from harness.yaml_spec import FiniteSpec, Positive, Spec, place_of, read_yaml_spec

ReportTo = Literal["wandb", "tensorboard", "trackio"]

_LARGEST = 100_000
_OF_ROWS = ("loss", "mean_token_accuracy")
"""What an evaluation writes of rows, behind `eval_` or `eval_train_probe_`."""
_PYDANTIC_PART = re.compile(r"\.(\[key\]|constrained-[a-z]+|literal\['[a-z]+'\])(?=:)")
"""What pydantic adds to the name of a table's key, or of one way to write a value."""


def _taken(key: str) -> str:
    why = refused_extra(key)
    if why is not None:
        raise ValueError(f"not taken: {why}")
    return key


ExtraName = Annotated[str, AfterValidator(_taken)]
"""A field of `training.extra`. The name is checked and not the whole table, so that no message shows its values."""


class LoraSpec(FiniteSpec):
    """The adapter. `target_modules` is `all-linear`, a list of module names, or a regular expression of a whole path."""

    r: int = 16
    alpha: float = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | list[str] = "all-linear"
    use_rslora: bool = False

    @field_validator("target_modules")
    @classmethod
    def _names_modules(cls, targets: str | list[str]) -> str | list[str]:
        if not targets or not all(name.strip() for name in targets if isinstance(targets, list)):
            raise ValueError("name at least one module, or write all-linear")
        if isinstance(targets, str):
            try:
                re.compile(targets)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"not a regular expression ({error}); a list of names needs none") from None
        return targets

    @field_validator("r")
    @classmethod
    def _has_rank(cls, rank: int) -> int:
        if rank < 1:
            raise ValueError("rank must be 1 or more: an adapter of rank 0 has no weights; 8 or 16 is usual")
        if rank > _LARGEST:
            raise ValueError(f"rank must be at most {_LARGEST:,}; 8 or 16 is usual")
        return rank

    @field_validator("alpha")
    @classmethod
    def _has_scale(cls, alpha: float) -> float:
        if not 0 < alpha <= _LARGEST:
            raise ValueError(
                f"alpha must be above 0 and at most {_LARGEST:,}: it scales the adapter's whole effect; twice the rank is usual"
            )
        return alpha


class TokensSpec(FiniteSpec):
    """How records become token rows.

    `loss_on`: `answer` (the expected answer alone), `assistant` (earlier assistant turns too) or `all` (the prompt as
    well). `too_long`: what happens to a row above `max_length`. `packing`: TRL's best-fit packing. `share_prefix`:
    the rows of one micro-batch that begin alike (the same tools) are laid out as a tree, so that the common part is
    computed once; loss and gradients are those of separate rows. `optional_arguments`: whether an argument that gold
    marks as optional is written in the answer.
    """

    max_length: Annotated[int, Field(ge=8, le=10**9)] = 2048
    loss_on: Literal["answer", "assistant", "all"] = "answer"
    too_long: Literal["drop", "truncate", "refuse"] = "drop"
    packing: bool = False
    share_prefix: bool = False
    optional_arguments: Literal["leave_out", "write"] = "leave_out"

    @model_validator(mode="after")
    def _one_layout(self) -> TokensSpec:
        if self.packing and self.share_prefix:
            raise ValueError("packing and share_prefix are two layouts of the same rows: choose one")
        return self


class TrainingSpec(FiniteSpec):
    """How long and how fast, under the names of Hugging Face's TrainingArguments.

    `max_steps` wins over `num_train_epochs`. `warmup_steps` below 1 is a share of all steps. `dtype` auto is bf16
    where the device has it, else fp16 on a GPU and fp32 on a CPU. `gradient_checkpointing` saves memory for time;
    auto is on for a GPU and off for a CPU. `max_grad_norm` none clips nothing. `extra` passes any other field of TRL's
    SFTConfig that is not refused (removed_names.refused_extra).
    """

    num_train_epochs: Annotated[float, Field(gt=0, le=_LARGEST)] = 3.0
    max_steps: Positive | None = None
    per_device_train_batch_size: Positive = 8
    gradient_accumulation_steps: Positive = 1
    per_device_eval_batch_size: Positive | None = None
    learning_rate: float = 2e-4
    lr_scheduler_type: str = "cosine"
    warmup_steps: Annotated[float, Field(ge=0, le=10**9)] = 0.03
    optim: str = "paged_adamw_8bit"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, le=10**9)] | Literal["none"] = 1.0
    neftune_noise_alpha: Annotated[float, Field(gt=0, le=_LARGEST)] | None = None
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    logging_steps: Positive = 10
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    extra: dict[ExtraName, Any] = Field(default_factory=dict)

    @field_validator("learning_rate")
    @classmethod
    def _learns(cls, rate: float) -> float:
        if not 0 < rate < 1:
            raise ValueError("must be above 0 and below 1: at 0 nothing is learnt; 2e-4 is usual for LoRA")
        return rate

    @field_validator("extra")
    @classmethod
    def _can_be_written(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for key, value in extra.items():
            if not _is_plain(value):
                raise ValueError(
                    f"{key} must hold text, finite numbers, yes or no, or lists and tables of these"
                )
        if not isinstance(extra.get("use_cpu", False), bool):
            raise ValueError("use_cpu must be true or false, without quotes")
        return extra


def _is_plain(value: object) -> bool:
    """Return True for what JSON can hold."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


class EarlyStoppingSpec(FiniteSpec):
    """Stop after `patience` evaluations in a row without an improvement of more than `min_delta`."""

    patience: Positive = 3
    min_delta: Annotated[float, Field(ge=0, le=10**9)] = 0.0


class EvaluationSpec(FiniteSpec):
    """When to evaluate and save, what to look at, and how many checkpoints to keep.

    `every` is a number of steps, or `epoch`. `metric` is what early stopping and the best checkpoint go by:
    `eval_loss`, or a metric of the `eval_suite`. `train_probe` rows of the training data are evaluated by the same
    loop, so that train and validation loss can be compared.
    """

    every: Positive | Literal["epoch"] = "epoch"
    keep: Positive | None = None
    metric: str = "eval_loss"
    train_probe: Annotated[int, Field(ge=0, le=10**9)] = 50
    early_stopping: EarlyStoppingSpec | None = None
    at_start: bool = True


class EvalSuiteSpec(FiniteSpec):
    """A suite (relative to the recipe) scored at each evaluation, on `limit` samples of its validation split."""

    path: str
    limit: Positive = 50


class Recipe(FiniteSpec):
    """Base, data, method and budget of one adapter."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")]
    base: str
    dialect: str = "auto"
    train: DataSpecs
    validation: DataSpecs | None = None
    persona: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """A persona.yaml, relative to the recipe: its system prompt stands before every conversation, as a suite puts it."""
    system_prompt: Literal["persona", "neutral", "none"] = "persona"
    """Which of the card's prompts; means nothing without `persona`, so it is refused then."""
    quantization: Literal["nf4", "none"] = "nf4"
    double_quantization: bool = True
    lora: LoraSpec = Field(default_factory=LoraSpec)
    start_from: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """An adapter folder, relative to the recipe, whose weights training begins with; None for a new adapter."""
    tokens: TokensSpec = Field(default_factory=TokensSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    eval_suite: EvalSuiteSpec | None = None
    report_to: list[ReportTo] | ReportTo | Literal["none"] = "none"

    @field_validator("eval_suite", mode="before")
    @classmethod
    def _suite_by_name(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_serializer("train", "validation", mode="wrap")
    def _one_alone(self, data: Any, dump: SerializerFunctionWrapHandler) -> Any:
        """Write one data entry without a list, as recipes of one do: their hashes stay."""
        dumped = dump(data)
        return dumped[0] if dumped is not None and len(dumped) == 1 else dumped

    @model_validator(mode="after")
    def _prompt_has_a_card(self) -> Recipe:
        if (
            self.persona is None
            and "system_prompt" in self.model_fields_set
            and self.system_prompt != "persona"
        ):
            raise ValueError(
                "system_prompt names a prompt of the persona card, and there is no key 'persona'"
            )
        return self

    @model_validator(mode="after")
    def _stopping_has_something_to_go_by(self) -> Recipe:
        if self.evaluation.early_stopping and self.validation is None and self.eval_suite is None:
            raise ValueError(
                "evaluation.early_stopping needs something to evaluate: give `validation:` or `eval_suite:`"
            )
        return self

    @property
    def row_metrics(self) -> tuple[str, ...]:
        """Return what an evaluation writes of validation rows and train probe; () for a recipe that evaluates nothing.

        What it writes beside them are the headline metrics of `eval_suite`.
        """
        if self.validation is None and self.eval_suite is None:
            return ()
        read = ["eval"] if self.validation else []
        read += ["eval_train_probe"] if self.evaluation.train_probe else []
        return tuple(f"{prefix}_{name}" for prefix in read for name in _OF_ROWS)

    @property
    def reports(self) -> tuple[str, ...]:
        """Return the trackers to report to, () for none."""
        if self.report_to == "none":
            return ()
        return (self.report_to,) if isinstance(self.report_to, str) else tuple(self.report_to)

    def sha256(self) -> str:
        """Return the hash of everything the recipe says, defaults included."""
        return sha256_of(self.model_dump(mode="json", by_alias=True))


def load_recipe(path: Path) -> Recipe:
    """Return the recipe of a YAML file.

    Raises SpecError with file and line for an unknown key or a value that cannot be; a name that a library removed or
    that another trainer uses is answered with the name to write instead.
    """
    try:
        recipe = read_yaml_spec(path, Recipe, remedy_for=_remedy)
    except SpecError as error:
        raise SpecError(_PYDANTIC_PART.sub("", error.what), where=error.where, remedy=error.remedy) from None
    if recipe.eval_suite is None or _is_of_rows(recipe):
        check_metric(recipe, path, ())
    return recipe


def logged_metric(recipe: Recipe) -> str:
    """Return `evaluation.metric` as the log names it: a recipe may leave out `eval_`."""
    return f"eval_{recipe.evaluation.metric.removeprefix('eval_')}"


def check_metric(recipe: Recipe, path: Path, measured: Collection[str]) -> None:
    """Raise SpecError (file and line, the names there are) if no evaluation writes `evaluation.metric`.

    `measured` are the headline metrics of the recipe's `eval_suite`.
    """
    metric, named = logged_metric(recipe), recipe.evaluation.metric
    there = (*recipe.row_metrics, *measured)
    if metric in recipe.row_metrics or metric.removeprefix("eval_") in measured:
        return
    if metric == "eval_loss" and recipe.eval_suite is None:
        return  # the default of a recipe that evaluates nothing
    if recipe.eval_suite is not None and _is_of_rows(recipe):
        remedy = "Give `validation:`, or name a metric of the eval_suite."
    else:
        suite = "" if recipe.eval_suite else " A suite measures more: name one with `eval_suite:`."
        remedy = f"{nearest_hint(named, there)}One of: {', '.join(there) or 'none'}.{suite}"
    raise SpecError(
        f"evaluation.metric: no evaluation of this recipe writes {named!r}",
        where=place_of(path, "evaluation", "metric"),
        remedy=remedy,
    )


def _is_of_rows(recipe: Recipe) -> bool:
    """Return True if the metric is one of the validation rows, which no suite measures."""
    return logged_metric(recipe).removeprefix("eval_") in _OF_ROWS


_SECTIONS: dict[str, type[Spec]] = {
    "lora": LoraSpec,
    "tokens": TokensSpec,
    "training": TrainingSpec,
    "evaluation": EvaluationSpec,
    "evaluation.early_stopping": EarlyStoppingSpec,
}


def _remedy(key: str) -> str | None:
    """Return what to write instead of an unknown key: ours of another name, this one where it belongs, or a library's
    where it is passed on."""
    renamed = removed_name(key)
    if renamed is not None:
        return renamed
    places = [section for section, spec in _SECTIONS.items() if key in spec.model_fields]
    if key in Recipe.model_fields:
        return f"{key} stands at the top level of a recipe."
    return f"It belongs under `{places[0]}:`." if len(places) == 1 else library_option(key)
