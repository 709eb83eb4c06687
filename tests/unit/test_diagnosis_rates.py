"""Simulated runs: how often a healthy one is flagged, and how often a planted trouble is found. Fixed seeds."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness.training.curve_watch import CurveWatch
from harness.training.diagnosis import Diagnosis, RunFacts, diagnose

Log = list[dict[str, Any]]
HEALTHY_RUNS, TROUBLED_RUNS = 400, 60


class Run:
    """One simulated run: its size, its shape and its noise drawn from a seed; `troubles` change what is logged."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        draw = self.random
        self.logs = draw.choice([25, 40, 60, 100, 200, 500])
        self.every = draw.choice([1, 5, 10])
        self.steps = self.logs * self.every
        self.evals = min(self.logs, draw.choice([5, 6, 8, 10, 15, 30]))
        self.epochs = draw.choice([1.0, 2.0, 3.0, 5.0])
        self.start = draw.uniform(0.8, 3.5)
        self.end = self.start * draw.uniform(0.15, 0.75)
        self.shape = draw.choice(["exponential", "power", "two_speeds", "early"])
        self.noise = draw.choice([0.01, 0.03, 0.06, 0.10, 0.20])
        self.tails = draw.choice(["normal", "laplace", "lognormal"])
        self.eval_noise = draw.choice([0.0, 0.001, 0.003, 0.006, 0.01])
        self.gap = draw.uniform(1.0, 1.3)
        self.schedule = draw.choice(["cosine", "linear", "constant"])
        self.lr = 10 ** draw.uniform(-5, -3)
        self.warmup = draw.choice([0.0, 0.03, 0.1])
        self.probe = draw.random() < 0.5
        self.grad = 10 ** draw.uniform(-1, 1.5)

    def course(self, t: float) -> float:
        """Return the expected loss at a share t of the run."""
        fall = {
            "exponential": math.exp(-5 * t),
            "power": (1 + 30 * t) ** -0.9,
            "two_speeds": 0.6 * math.exp(-20 * t) + 0.4 * math.exp(-2.5 * t),
            "early": math.exp(-25 * t),
        }[self.shape]
        return self.end + (self.start - self.end) * fall

    def error(self) -> float:
        """Return relative noise of one log, with a standard deviation of about `noise`."""
        if self.tails == "laplace":
            return self.noise / math.sqrt(2) * self.random.choice([-1, 1]) * self.random.expovariate(1)
        if self.tails == "lognormal":
            return math.exp(self.random.gauss(0, self.noise)) - 1
        return self.random.gauss(0, self.noise)

    def rate(self, t: float) -> float:
        """Return the learning rate at a share t of the run."""
        if t < self.warmup:
            return self.lr * t / self.warmup
        left = (t - self.warmup) / (1 - self.warmup)
        factor = {"cosine": 0.5 * (1 + math.cos(math.pi * left)), "linear": 1 - left, "constant": 1.0}
        return self.lr * factor[self.schedule]

    def log(
        self,
        train: Callable[[float, float], float] = lambda t, loss: loss,
        held_out: Callable[[float, float], float] = lambda t, loss: loss,
        probe: Callable[[float, float], float] = lambda t, loss: loss,
        grad: Callable[[float, float], float] = lambda t, norm: norm,
    ) -> Log:
        """Return the log, each curve changed by what was planted."""
        entries: Log = []
        due = {round((k + 1) * self.logs / self.evals) for k in range(self.evals)}
        for k in range(1, self.logs + 1):
            t = k / self.logs
            place = {"step": k * self.every, "epoch": self.epochs * t}
            loss = train(t, self.course(t) * (1 + self.error()))
            norm = grad(t, self.grad * math.exp(self.random.gauss(0, 0.3)))
            entries.append({"loss": loss, "grad_norm": norm, "learning_rate": self.rate(t), **place})
            if k in due:
                value = self.course(t) * self.gap * (1 + self.random.gauss(0, self.eval_noise))
                entries.append({"eval_loss": held_out(t, value), **place})
                if self.probe:
                    own = self.course(t) * 0.98 * (1 + self.random.gauss(0, self.eval_noise))
                    entries.append({"eval_train_probe_loss": probe(t, own), **place})
        return entries

    def facts(self) -> RunFacts:
        return RunFacts(state="done", max_steps=self.steps)


def _codes(diagnosis: Diagnosis) -> set[str]:
    return {finding.code for finding in diagnosis.findings}


def test_healthy_runs_are_rarely_flagged():
    """Falling curves of many shapes, lengths, noises and schedules: at most 5 % get a warning or another verdict."""
    flags: Counter[str] = Counter()
    flagged = 0
    for seed in range(HEALTHY_RUNS):
        run = Run(seed)
        diagnosis = diagnose(run.log(), run.facts())
        worse = {f.code for f in diagnosis.findings if f.severity != "info"}
        if worse or diagnosis.verdict != "healthy":
            flagged += 1
            flags.update(worse or {diagnosis.verdict})
    assert flagged <= 0.05 * HEALTHY_RUNS, (flagged, flags)


def test_flat_noisy_validation_is_not_called_overfitting():
    """A validation loss that is level from the start and moves by chance only, up to 2 %: at most 2 % called overfit."""
    called = 0
    for seed in range(HEALTHY_RUNS):
        run = Run(seed)
        run.eval_noise = run.random.choice([0.003, 0.01, 0.02])
        level = run.course(1.0) * run.gap

        def flat(t: float, value: float, run: Run = run, level: float = level) -> float:
            return level * (1 + run.random.gauss(0, run.eval_noise))

        called += "overfit" in _codes(diagnose(run.log(held_out=flat), run.facts()))
    assert called <= 0.02 * HEALTHY_RUNS


def _stopped_at(log: Log, steps: int) -> int | None:
    """Return the entry at which a run is stopped that is watched while it trains, None for one that is not."""
    watch = CurveWatch(lambda diagnosis: None)
    ends = range(1, len(log) + 1)
    return next((end for end in ends if watch.look(log[:end], steps) is not None), None)


@pytest.mark.parametrize("evaluated", [True, False], ids=["with-evaluations", "without"])
def test_healthy_runs_are_not_stopped_on_the_way(evaluated: bool):
    """Watched as a callback does: a critical verdict on a healthy run would end it."""
    stopped = []
    for seed in range(150):
        run = Run(seed)
        log = [entry for entry in run.log() if evaluated or "loss" in entry]
        if _stopped_at(log, run.steps) is not None:
            stopped.append(seed)
    assert stopped == []


def test_a_few_spikes_stop_no_run_without_evaluations():
    """Five single jumps look like divergence for a few logs."""
    spiky = [[entry for entry in _spiky(run) if "loss" in entry] for run in map(Run, range(1000, 1060))]
    assert [log for log in spiky if _stopped_at(log, len(log)) is not None] == []


def _nan(run: Run) -> Log:
    at = run.random.uniform(0.05, 0.9)
    return run.log(train=lambda t, loss: math.nan if t >= at else loss)


def _masked(run: Run) -> Log:
    return run.log(train=lambda t, loss: 0.0, held_out=lambda t, value: 0.0, probe=lambda t, value: 0.0)


def _diverging(run: Run) -> Log:
    at, speed = run.random.uniform(0.2, 0.7), run.random.uniform(2, 6)
    return run.log(train=lambda t, loss: loss + run.start * speed * max(0.0, t - at))


def _spiky(run: Run) -> Log:
    run.noise = min(run.noise, 0.1)
    places = set(run.random.sample(range(int(0.2 * run.logs), run.logs), 5))
    height = run.random.uniform(3, 6)
    return run.log(train=lambda t, loss: loss * height if round(t * run.logs) in places else loss)


def _overfit(run: Run) -> Log:
    at, rise = run.random.uniform(0.2, 0.5), run.random.uniform(0.15, 0.8)
    return run.log(held_out=lambda t, value: value + run.course(at) * rise * max(0.0, t - at) / (1 - at))


def _leaked(run: Run) -> Log:
    run.probe, run.gap = True, 1.0
    share = run.random.uniform(0.4, 0.72)
    return run.log(held_out=lambda t, value: value * share)


def _plateau(run: Run) -> Log:
    """The held-out loss has reached its level by a third of the run."""
    run.evals = min(run.logs, max(8, run.evals))
    run.eval_noise = min(run.eval_noise, 0.003)
    run.shape = "early"
    return run.log()


def _rate_too_high(run: Run) -> Log:
    """The loss falls, climbs while the rate is high to well above where it was, and comes back as the rate decays."""
    run.noise = min(run.noise, 0.1)
    rise = run.random.uniform(0.8, 2.0)

    def hump(t: float, loss: float) -> float:
        inside = 0.15 < t < 0.55
        return loss + run.course(0.15) * rise * math.sin(math.pi * (t - 0.15) / 0.4) if inside else loss

    return run.log(train=hump)


def _frozen(run: Run) -> Log:
    """Nothing is trained: zero gradients and a level loss."""
    level = run.start
    return run.log(
        train=lambda t, loss: level * (1 + run.error() / 4),
        held_out=lambda t, value: level,
        probe=lambda t, value: level,
        grad=lambda t, norm: 0.0,
    )


def _rate_too_low(run: Run) -> Log:
    level = run.start
    return run.log(
        train=lambda t, loss: level * (1 - 0.015 * t) * (1 + run.error() / 4),
        held_out=lambda t, value: level * 1.02 * (1 - 0.01 * t),
        probe=lambda t, value: level * (1 - 0.01 * t),
    )


TROUBLES = [
    (_nan, {"nonfinite_loss"}, {"broken"}, "a loss that becomes NaN"),
    (_masked, {"masked_labels"}, {"broken"}, "labels all masked"),
    (_diverging, {"diverged", "lost_progress"}, {"diverged"}, "a loss that turns and climbs past its start"),
    (_spiky, {"spikes"}, None, "five jumps to 3-6 times the level"),
    (_overfit, {"overfit"}, {"overfit", "memorising"}, "a validation loss that turns and gains 15-80 %"),
    (_leaked, {"val_below_train"}, None, "validation rows far easier than the probe's"),
    (_plateau, {"plateau"}, {"healthy"}, "the result was there by a third of the run"),
    (_rate_too_high, {"lr_too_high", "diverged", "lost_progress"}, None, "a hump while the rate is high"),
    (_frozen, {"zero_gradients"}, {"broken"}, "zero gradients"),
    (_rate_too_low, {"not_learning", "underfit"}, {"underfit"}, "a fall of 1.5 % in the whole run"),
]


@pytest.mark.parametrize(
    ("plant", "codes", "verdicts", "why"), TROUBLES, ids=[row[0].__name__ for row in TROUBLES]
)
def test_planted_troubles_are_found(
    plant: Callable[[Run], Log], codes: set[str], verdicts: set[str] | None, why: str
):
    """At least nine of ten runs with a planted trouble show its code, and its verdict where it decides one."""
    missed = []
    for seed in range(1000, 1000 + TROUBLED_RUNS):
        run = Run(seed)
        diagnosis = diagnose(plant(run), run.facts())
        if not codes & _codes(diagnosis) or (verdicts and diagnosis.verdict not in verdicts):
            missed.append((seed, diagnosis.verdict, sorted(_codes(diagnosis))))
    assert len(missed) <= 0.1 * TROUBLED_RUNS, (why, len(missed), missed[:5])
