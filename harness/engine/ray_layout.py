"""How many workers of what size a cluster has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from harness.engine.ray_options import RayOptions
from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one machine of the cluster offers."""

    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How many workers to ask Ray for, and what each needs."""

    workers: int
    cpus: float
    gpus: float

    def need(self) -> str:
        """Return what one worker needs, in words."""
        gpus = f"{self.gpus:g} GPU and " if self.gpus else ""
        return f"{gpus}{self.cpus:g} CPU"


def choose_layout(options: RayOptions, machines: Sequence[Machine], *, gpus: int, can_grow: bool) -> Layout:
    """Return the workers to start: what was asked, else one for each GPU, else one for each machine.

    A worker has the engine's `gpus` and one core where there are GPUs; else it has none, and the cores of a machine are
    shared out among its workers. Raises UsageError for workers that cannot fit into a cluster that does not
    grow.
    """
    each = options.gpus_per_worker
    if each is None:
        each = float(gpus) if any(machine.gpus for machine in machines) else 0.0
    if each:
        room = sum(floor(machine.gpus / each) for machine in machines)
        workers = options.workers or max(1, room)
        cpus = 1.0
    else:
        hosts = [machine.cpus for machine in machines if machine.cpus] or [0.0]
        workers = options.workers or len(hosts)
        cpus = float(floor(min(hosts) / ceil(workers / len(hosts))))
    if options.cpus_per_worker is not None:
        cpus = options.cpus_per_worker
    layout = Layout(workers=workers, cpus=cpus, gpus=each)
    fitting = sum(_fitting(machine, layout) for machine in machines)
    if fitting < workers and not can_grow:
        raise UsageError(
            f"{workers} worker{'s' if workers > 1 else ''} of {layout.need()} each do not fit: {describe(machines)}",
            remedy="Name fewer or smaller workers: --engine-option workers=N, cpus_per_worker=N, gpus_per_worker=N.",
        )
    return layout


def describe(machines: Sequence[Machine]) -> str:
    """Return what a cluster has, in words."""
    cpus, gpus = sum(machine.cpus for machine in machines), sum(machine.gpus for machine in machines)
    count = f"{len(machines)} machines have" if len(machines) != 1 else "the machine has"
    return f"{count} {gpus:g} GPU and {cpus:g} CPU"


def _fitting(machine: Machine, layout: Layout) -> int:
    by_gpu = floor(machine.gpus / layout.gpus) if layout.gpus else layout.workers
    by_cpu = floor(machine.cpus / layout.cpus) if layout.cpus else layout.workers
    return min(by_gpu, by_cpu)
