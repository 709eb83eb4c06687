"""A suite's metrics of the model that is being trained: its own weights, through the ordinary engine and scoring.

The model is left as it was found: nothing of it is loaded again, moved or changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import torch

from harness.engine.hf import HfEngine
from harness.engine.hf_load import as_loaded
from harness.errors import SpecError
from harness.models.fingerprint import model_fingerprint
from harness.parse.base import Dialect
from harness.registry import Registry
from harness.run.metrics import metrics_of
from harness.run.plan import RunPlan, make_plan
from harness.run.score_run import parse_answer
from harness.run.session import sampling_of
from harness.score.base import Metric
from harness.score.score_sample import score_sample
from harness.suite.load import Suite
from harness.suite.select import Selection
from harness.training.eval_suite import SPLIT, load_eval_suite
from harness.training.prepare import Prepared
from harness.training.recipe import check_metric, logged_metric
from harness.types import Sample, SampleScore


def recipe_metrics(
    model: Any, prepared: Prepared, device: object = None
) -> Callable[[Any, int], Mapping[str, float]]:
    """Return what the trainer calls at each evaluation: the metrics of the recipe's `eval_suite`.

    A metric that applies to no sample (strict JSON where nothing was called) is left out, but for the one that the
    recipe chooses by: a trainer needs a number there, and gets the worst one. Raises SpecError for a recipe without a
    suite, with a scenario suite or with a metric that no evaluation writes, and whatever loading the suite raises.
    """
    spec = prepared.recipe.eval_suite
    if spec is None:
        raise SpecError("the recipe names no eval_suite", where=prepared.recipe_path)
    suite = load_eval_suite(spec.path, prepared.recipe_path, split=SPLIT)
    measured = _headline(metrics_of(suite))
    check_metric(prepared.recipe, prepared.recipe_path, measured)
    metric = logged_metric(prepared.recipe).removeprefix("eval_")
    worst = {metric: 0.0 if measured[metric] else 1.0} if metric in measured else {}

    def measure(model: Any, step: int) -> Mapping[str, float]:
        return worst | task_metrics(model, prepared.tokenizer, prepared, suite, spec.limit)

    return measure


def metric_directions(prepared: Prepared) -> dict[str, bool]:
    """Return the headline measures of the recipe's `eval_suite`: name to `higher_is_better`; {} without a suite."""
    spec = prepared.recipe.eval_suite
    if spec is None:
        return {}
    return _headline(metrics_of(load_eval_suite(spec.path, prepared.recipe_path)))


def task_metrics(
    model: Any, tokenizer: Any, prepared: Prepared, suite: Suite, limit: int | None
) -> dict[str, float]:
    """Return the headline measures of `limit` samples of a suite (all for None), as `harness run` would score them.

    `model` is a transformers model or PEFT's wrapper around one, with the adapter to measure active. Each process of a
    distributed run measures for itself; weights that are sharded over processes cannot be measured. Mode, random
    numbers, attention, caching and checkpointing are afterwards what they were before, also when something raises.
    """
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    selection = Selection(limit=limit, tags={}, strata=suite.spec.slices if limit else ())
    loaded = as_loaded(
        bare,
        tokenizer,
        dtype=str(bare.dtype).removeprefix("torch."),
        quantization=getattr(bare, "quantization_method", None) and str(bare.quantization_method),
        device=bare.device.type,
    )
    with _as_found(model, bare):
        engine = HfEngine.around(
            loaded, model=prepared.recipe.base, model_fingerprint=model_fingerprint(prepared.model.path)
        )
        with closing(engine):
            plan = make_plan(
                suite, selection, engine.info(), prepared.renderer, prepared.dialect, sampling_of(suite)
            )
            return _scored(engine, plan)


def _scored(engine: HfEngine, plan: RunPlan) -> dict[str, float]:
    metrics = metrics_of(plan.suite)
    dialect: Dialect = Registry("harness.dialects").get(plan.dialect)()
    samples: dict[str, Sample] = {sample.id: sample for sample in plan.samples()}

    def scores() -> Iterator[SampleScore]:
        for generation in engine.generate(plan.prompts()):
            sample = samples[generation.sample_id]
            yield score_sample(sample, generation, parse_answer(dialect, sample, generation), metrics)

    return _ratios(scores(), _headline(metrics))


def _ratios(scores: Iterable[SampleScore], measures: Iterable[str]) -> dict[str, float]:
    """Return each measure's ratio of sums over what was scored; a measure that applies to nothing is left out."""
    sums = {measure: [0.0, 0.0] for measure in measures}
    for score in scores:
        if score.status != "scored":
            continue
        for measure, total in sums.items():
            part = score.measures.get(measure)
            if part is not None:
                total[0] += part.numerator
                total[1] += part.denominator
    return {measure: top / bottom for measure, (top, bottom) in sums.items() if bottom > 0}


def _headline(metrics: Iterable[Metric]) -> dict[str, bool]:
    """Return the headline measures of all metrics: name to `higher_is_better`."""
    return {name: higher for metric in metrics for name, higher in metric.headline.items()}


@contextmanager
def _as_found(model: Any, bare: Any) -> Iterator[None]:
    """Put the model into eval mode with caching and without checkpointing, then back, module by module."""
    modes = [(module, module.training) for module in model.modules()]
    checkpointing = [
        module for module in model.modules() if getattr(module, "gradient_checkpointing", False) is True
    ]
    attention, cache = bare.config._attn_implementation, getattr(bare.config, "use_cache", None)
    numbers = _random_states()
    model.eval()
    for module in checkpointing:
        module.gradient_checkpointing = False
    if cache is not None:
        bare.config.use_cache = True
    try:
        yield
    finally:
        if bare.config._attn_implementation != attention:
            bare.set_attn_implementation(attention)
        if cache is not None:
            bare.config.use_cache = cache
        for module in checkpointing:
            module.gradient_checkpointing = True
        for module, training in modes:
            module.training = training
        _set_random_states(numbers)


def _random_states() -> tuple[Any, ...]:
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), on_gpu


def _set_random_states(states: tuple[Any, ...]) -> None:
    plain, numpy_state, cpu, on_gpu = states
    random.setstate(plain)
    np.random.set_state(numpy_state)
    torch.set_rng_state(cpu)
    if on_gpu is not None:
        torch.cuda.set_rng_state_all(on_gpu)
