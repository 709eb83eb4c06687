"""How much memory a recipe will take, term by term, before anything is loaded; docs/memory.md is the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.errors import ModelError
from harness.training import memory_terms as terms
from harness.training.architecture import Architecture, read_architecture
from harness.training.machine import Available
from harness.training.memory_terms import BatchShape, Target
from harness.training.recipe import Recipe

if TYPE_CHECKING:
    from harness.training.preflight import PreflightFinding
    from harness.training.prepare import Prepared

Verdict = Literal["fits", "tight", "does not fit"]

UNCERTAINTY = 0.15
"""The plan's stated error; a need within it of what is there is called tight."""

_CPU_PROCESS = 664 << 20
"""Resident after the first step: Python, torch, transformers, PEFT, TRL, bitsandbytes, and their libraries."""
_ROW_TOKEN_BYTES = 20
"""A token of a row: 4 bytes in the row, 16 in the trainer's table of ids and labels."""
_CPU_SLACK = 0.5
"""Of what is allocated within a step: glibc's heap is cut up by micro-batches of changing sizes, within a few steps."""
_CPU_FP32_BUFFERS = 96 << 20
"""What MKL keeps for its fp32 matrix products: the peak with and without MKL_DISABLE_FAST_MM differs by it."""
_CUDA_CONTEXT = 0.6 * 2**30
_CUDA_SLACK = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One named part of the memory in bytes. A `reclaimable` one is file cache that the system can take back."""

    name: str
    bytes: int
    note: str = ""
    reclaimable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """The terms of one recipe on one device; `assumed` says what was not known."""

    target: Target
    shape: BatchShape
    terms: tuple[Term, ...]
    assumed: tuple[str, ...]
    adapter_bytes: int
    optimiser_bytes: int

    @property
    def total(self) -> int:
        """Return the expected peak: what a process monitor shows."""
        return sum(term.bytes for term in self.terms)

    @property
    def needed(self) -> int:
        """Return the part of the total that must be there: without what the system can take back."""
        return sum(term.bytes for term in self.terms if not term.reclaimable)

    @property
    def largest(self) -> Term:
        """Return the largest term."""
        return max(self.terms, key=lambda term: term.bytes)

    def verdict(self, available: int) -> Verdict:
        """Return whether `available` bytes are enough."""
        if self.needed > available:
            return "does not fit"
        return "tight" if self.needed * (1 + UNCERTAINTY) > available else "fits"


class DeviceLike(Protocol):
    """What the plan asks of a device; `settings.Device` is one."""

    @property
    def kind(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def checkpointing(self) -> bool: ...


def decide_target(recipe: Recipe, kind: str) -> Target:
    """Return the recipe's `auto` values decided for `cpu` or `cuda`, as choose_device decides them; a GPU is taken to
    have bfloat16."""
    spec = recipe.training
    dtype = spec.dtype if spec.dtype != "auto" else "float32" if kind == "cpu" else "bfloat16"
    automatic = spec.gradient_checkpointing == "auto"
    return Target(
        kind=kind,
        dtype=dtype,
        checkpointing=kind != "cpu" if automatic else bool(spec.gradient_checkpointing),
    )


def plan_memory(
    config: Mapping[str, Any],
    recipe: Recipe,
    shape: BatchShape,
    target: Target,
    *,
    where: str | Path = "config.json",
    full_logits: bool = False,
) -> MemoryPlan:
    """Return the memory that training takes, from a config.json, a recipe and the largest micro-batch alone.

    `full_logits` plans a trainer whose loss holds all logits, as others do; ours does not. Raises ModelError for a
    config without a decoder's sizes.
    """
    model = read_architecture(config, where)
    quantised, others, mapped = terms.weight_bytes(model, recipe, target)
    count = terms.adapter_weights(model, recipe)
    each = terms.ADAPTER_WEIGHT_BYTES
    state, assumed_state = terms.optimiser_bytes(model, recipe)
    saved = terms.saved_activations(model, recipe, target, shape)
    fixed = [
        ("quantised weights", quantised),
        ("weights not quantised", others),
        ("LoRA weights", float(count * each)),
        ("gradients", float(count * each)),
        ("optimiser state", state),
        ("saved activations", saved),
    ]
    moving = _moving(model, recipe, target, shape, full_logits)
    extra = _extra(model, recipe, target, shape, fixed, moving, saved)
    named = [*fixed, *((name, size) for name, size, _ in moving), *extra]
    notes = {name: note for name, _, note in moving}
    found = [Term(name=name, bytes=round(size), note=notes.get(name, "")) for name, size in named]
    if mapped:
        note = "the stored weights, mapped from the file; the system can take them back"
        found.append(Term(name="weight file in the cache", bytes=round(mapped), note=note, reclaimable=True))
    assumed = [*model.assumed, *([assumed_state] if assumed_state else [])]
    if terms.names_no_known_module(model, recipe):
        assumed.append("lora.target_modules names no module the plan knows: all linear ones are planned")
    return MemoryPlan(
        target=target,
        shape=shape,
        terms=tuple(found),
        assumed=tuple(assumed),
        adapter_bytes=count * each,
        optimiser_bytes=round(state),
    )


def _moving(
    model: Architecture, recipe: Recipe, target: Target, shape: BatchShape, full_logits: bool
) -> list[tuple[str, float, str]]:
    """Return the terms that come and go within a step, with a note.

    On a CPU they are taken at the moment of the larger need: the loss is over before a layer's backward begins. On a
    GPU all are added, as the published back-tests were computed.
    """
    loss = terms.full_logits_bytes(model, shape) if full_logits else terms.loss_bytes(model, target, shape)
    layer = terms.one_layer(model, recipe, target, shape)
    unpacked = terms.dequantised(model, recipe, target)
    name = "one layer, computed again" if target.checkpointing else "one layer's backward"
    if target.kind != "cpu":
        return [("loss", loss, ""), (name, layer, ""), ("unpacked 4-bit weights", unpacked, "")]
    if loss >= layer + unpacked:
        note = f"{_mib(layer + unpacked)} at another moment than the loss"
        return [("loss", loss, "a tile of logits, for the tokens that bear loss"), (name, 0.0, note)]
    return [
        ("loss", 0.0, f"{_mib(loss)} at another moment than a layer's backward"),
        (name, layer, ""),
        ("unpacked 4-bit weights", unpacked, ""),
    ]


def _extra(
    model: Architecture,
    recipe: Recipe,
    target: Target,
    shape: BatchShape,
    fixed: list[tuple[str, float]],
    moving: list[tuple[str, float, str]],
    saved: float,
) -> list[tuple[str, float]]:
    """Return evaluation beyond a training step, the allocator's slack, and the process or context itself."""
    step = sum(size for _, size, _ in moving)
    evaluation = max(0.0, terms.evaluation_bytes(model, recipe, target, shape) - step - saved)
    if target.kind == "cpu":
        return [
            ("evaluation, beyond a step", evaluation),
            ("allocator slack", _CPU_SLACK * (saved + step + evaluation)),
            ("matrix product buffers", float(_CPU_FP32_BUFFERS if target.dtype == "float32" else 0)),
            ("data rows", float(_ROW_TOKEN_BYTES * shape.data_tokens)),
            ("Python process", float(_CPU_PROCESS)),
        ]
    total = sum(size for _, size in fixed) + step + evaluation
    return [
        ("evaluation, beyond a step", evaluation),
        ("allocator slack", _CUDA_SLACK * total),
        ("CUDA context", _CUDA_CONTEXT),
    ]


def preflight_memory(
    prepared: Prepared, device: DeviceLike, *, forced: bool = False, available: Available | None
) -> list[PreflightFinding]:
    """Return one finding: whether a prepared recipe fits into the memory that is `available` on `device`.

    Not fitting is critical, unless `forced` says to try anyway. What cannot be known (None; a config.json without a
    decoder's sizes) is a warning.
    """
    from harness.models.resolve import read_config
    from harness.training.batch_shape import shape_of_rows
    from harness.training.preflight import PreflightFinding

    path = prepared.model.path
    validation = prepared.validation.rows if prepared.validation else ()
    shape = shape_of_rows(prepared.recipe, prepared.train.rows, validation)
    target = Target(kind=device.kind, dtype=device.dtype, checkpointing=device.checkpointing)
    unknown = ""
    try:
        plan = plan_memory(read_config(path), prepared.recipe, shape, target, where=path / "config.json")
        needed = f"about {gib(plan.needed)} needed"
        if available is None:
            unknown = f"{needed}, and this device does not say what is free"
    except ModelError as error:
        unknown = f"the need is not known: {error.what}"
    if unknown or available is None:
        return [
            PreflightFinding(
                code="memory_unknown",
                severity="warning",
                message=f"memory: {unknown}",
                remedy="Watch the first steps; `harness plan` takes sizes with --config, --gpu and --memory.",
            )
        ]
    verdict = plan.verdict(available.bytes)
    message = (
        f"memory: {needed}, {gib(available.bytes)} there ({available.what}): {verdict}; "
        f"largest term: {plan.largest.name}, {gib(plan.largest.bytes)}"
    )
    if verdict == "fits":
        return [PreflightFinding(code="memory", severity="info", message=message)]
    severe = verdict == "does not fit" and not forced
    return [
        PreflightFinding(
            code="memory",
            severity="critical" if severe else "warning",
            message=message,
            remedy=f"`harness plan {prepared.recipe_path}` names the cheapest changes that make it fit.",
        )
    ]


def gib(size: float) -> str:
    """Return bytes as a person reads them: GiB above one, else MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else _mib(size)


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"
