"""The workers: Ray places them, this asks for them, hears them out and replaces those that die."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness import __version__
from harness.engine.base import EngineRequest
from harness.engine.determinism import Promise
from harness.engine.ray_layout import Layout
from harness.engine.ray_work import Share
from harness.engine.ray_worker import Place, Reply, Worker
from harness.errors import EngineError, HarnessError, ServerRefuses
from harness.types import EngineInfo, Prompt

_STARTS = 3
"""So often in a row a worker may fail to come up before it is given up."""

_LOOK_S = 1.0
_GOODBYE_S = 5.0

Message = Literal["place", "adapter", "exchange", "settle"]


@dataclass(slots=True, eq=False)
class Slot:
    """One worker, or the place of one: dead workers are replaced under the same number."""

    number: int
    handle: Any = None
    place: Place | None = None
    adapter: Path | None = None
    ready: bool = False
    busy: bool = False
    failed_starts: int = 0
    given_up: bool = False
    share: Share = field(default_factory=Share)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened to a worker that had prompts: it answered, or it is gone and `lost` says why."""

    slot: Slot
    reply: Reply | None = None
    lost: HarnessError | None = None


class Pool:
    """The workers of one engine. The driver's one thread calls everything here."""

    def __init__(
        self,
        ray: Any,
        engine: str,
        request: EngineRequest,
        layout: Layout,
        *,
        wait_s: float,
        on_event: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._ray = ray
        self._make = ray.remote(
            num_cpus=layout.cpus, num_gpus=layout.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )(Worker)
        self._asked = (engine, request)
        self._need = layout.need()
        self._wait_s = wait_s
        self._on_event = on_event
        self._slots = [Slot(number=number) for number in range(1, layout.workers + 1)]
        self._calls: dict[Any, tuple[Slot, Message]] = {}
        self._adapter: Path | None = None
        self.promise: Promise | None = None
        """What all workers promise of a deterministic run, once they are up; None for any other run."""
        self._infos: dict[Path | None, tuple[EngineInfo, str]] = {}
        self._opening = True
        self._progress_at = time.monotonic()

    def open(self) -> None:
        """Start every worker and wait until those for which there is room can answer.

        Raises what building the engine raised, and EngineError where workers disagree about who generates, die while
        they load, or find no room.
        """
        self.revive()
        while not self._all_up():
            self.news()
        self._opening = False
        ready = [slot for slot in self._slots if slot.ready]
        places = {
            slot.number: f"{slot.place.host}:{slot.place.pid}" for slot in ready if slot.place is not None
        }
        detail = {"asked": len(self._slots), "ready": len(ready), "each": self._need, "processes": places}
        self._on_event("workers", detail)

    @property
    def info(self) -> EngineInfo:
        """Return who generates, as all workers say."""
        return self._infos[self._adapter][0]

    @property
    def workers(self) -> int:
        """Return how many workers there are, those that still start included."""
        return sum(not slot.given_up for slot in self._slots)

    def hosts(self) -> int:
        """Return on how many machines workers are."""
        return len({slot.place.host for slot in self._slots if slot.place is not None})

    def use_adapter(self, adapter: Path | None) -> None:
        """Activate an adapter in every worker. Raises what the inner engine raises; nothing may be under way."""
        if adapter == self._adapter and adapter in self._infos and any(slot.ready for slot in self._slots):
            return
        before, self._adapter = self._adapter, adapter
        self._opening = True
        try:
            self.revive()
            for slot in self._slots:
                if slot.ready:
                    self._activate(slot)
            while any(slot.place and not slot.ready for slot in self._slots) or not self.free():
                self.news()
        except HarnessError:
            self._adapter = before
            for slot in self._slots:
                if not slot.ready or slot.adapter != before:
                    self._end(slot)
            raise
        finally:
            self._opening = False

    def free(self) -> list[Slot]:
        """Return the workers that could be asked now."""
        return [slot for slot in self._slots if slot.ready and not slot.busy]

    def exchange(self, slot: Slot, prompts: Sequence[Prompt]) -> None:
        """Hand over prompts; what comes back is in `news`."""
        self._call(slot, "exchange", prompts)
        slot.busy = True

    def settle(self) -> None:
        """Wait for the events that engines tell when a batch has ended."""
        for slot in self.free():
            self._call(slot, "settle")
        while any(message == "settle" for _, message in self._calls.values()):
            self.news()

    def news(self) -> News | None:
        """Wait for the next message, for a second at most; return it if it is about prompts.

        Raises EngineError when there has been no worker for too long, or no cluster any more.
        """
        if self._calls:
            try:
                done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_LOOK_S)
            except self._ray.exceptions.RayError as error:
                raise EngineError(f"the Ray cluster failed: {_reason(error)}") from error
            if done:
                self._progress_at = time.monotonic()
                return self._heard(done[0], *self._calls.pop(done[0]))
        self._check_room()
        return None

    def abandon(self) -> None:
        """End the workers that have prompts: an engine cannot be called back from them."""
        for slot in self._slots:
            if slot.busy or slot.share.count:
                self._end(slot)
            slot.share = Share()

    def close(self) -> None:
        """End all workers; those that do nothing close their engine before."""
        goodbyes = [slot.handle.close.remote() for slot in self.free()]
        if goodbyes:
            self._ray.wait(goodbyes, num_returns=len(goodbyes), timeout=_GOODBYE_S)
        for slot in self._slots:
            self._end(slot)

    def revive(self) -> None:
        """Start a worker in every place that has none."""
        for slot in self._slots:
            if slot.handle is None and not slot.given_up:
                self._progress_at = time.monotonic()
                slot.handle = self._make.remote(*self._asked)
                self._call(slot, "place")
                self._activate(slot)

    def _activate(self, slot: Slot) -> None:
        slot.ready = False
        slot.adapter = self._adapter
        self._call(slot, "adapter", self._adapter)

    def _call(self, slot: Slot, message: Message, *arguments: Any) -> None:
        method = getattr(slot.handle, "use_adapter" if message == "adapter" else message)
        self._calls[method.remote(*arguments)] = (slot, message)

    def _heard(self, call: Any, slot: Slot, message: Message) -> News | None:
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            return self._lost(slot, EngineError(f"the worker died: {_reason(error)}"), reported=False)
        if isinstance(answer, Place):
            slot.place = answer
            if answer.version != __version__:
                wrong = EngineError(
                    f"{answer.host} has persona-harness {answer.version}, this command is {__version__}",
                    remedy="Install the same version on every machine of the cluster.",
                )
                return self._lost(slot, wrong, reported=True)
            return None
        for kind, detail in answer.events:
            self._on_event(kind, {**detail, "worker": slot.number})
        if message == "exchange":
            slot.busy = False
            if not isinstance(answer.error, EngineError) or isinstance(answer.error, ServerRefuses):
                return News(slot=slot, reply=answer)
            news = News(slot=slot, reply=answer, lost=answer.error)
            self._replace(slot, answer.error)
            return news
        if answer.error is not None:
            return self._lost(slot, answer.error, reported=True)
        if message == "adapter":
            return self._joined(slot, answer.info, answer.promise)
        return None

    def _joined(self, slot: Slot, info: EngineInfo, promise: Promise | None) -> News | None:
        if slot.adapter != self._adapter:
            self._activate(slot)
            return None
        host = slot.place.host if slot.place is not None else "?"
        expected, first = self._infos.setdefault(self._adapter, (info, host))
        if len(self._infos) == 1:
            self.promise = self.promise or promise
        differences = _differences(expected, info)
        if not differences and promise != self.promise:
            differences = "what --deterministic does there, and so what it promises"
        if differences:
            wrong = EngineError(
                f"workers do not generate the same: on {first} and {host}, {differences}",
                remedy="Give every machine the same software, model files and --dtype.",
            )
            return self._lost(slot, wrong, reported=True)
        slot.ready = True
        slot.failed_starts = 0
        return None

    def _lost(self, slot: Slot, error: HarnessError, *, reported: bool) -> News | None:
        """Replace a worker; raise the error instead where nothing else can be done."""
        if slot.busy:
            self._replace(slot, error)
            return News(slot=slot, lost=error)
        if not slot.ready:
            slot.failed_starts += 1
            last = slot.failed_starts >= _STARTS
            if isinstance(error, ServerRefuses) or (self._opening and (reported or last)):
                raise self._located(slot, error)
            slot.given_up = last
            if slot.given_up and not self.workers:
                raise self._located(slot, error)
        self._replace(slot, error)
        return None

    def _replace(self, slot: Slot, error: HarnessError) -> None:
        detail: dict[str, Any] = {"worker": slot.number, "reason": error.what, "prompts": slot.share.count}
        detail["host"] = slot.place.host if slot.place is not None else None
        self._on_event("worker_given_up" if slot.given_up else "worker_lost", detail)
        self._end(slot)
        self.revive()

    def _end(self, slot: Slot) -> None:
        """Kill the worker of a place and forget what it was asked."""
        if slot.handle is not None:
            self._ray.kill(slot.handle)
        self._calls = {call: about for call, about in self._calls.items() if about[0] is not slot}
        slot.handle, slot.place, slot.ready, slot.busy = None, None, False, False

    def _located(self, slot: Slot, error: HarnessError) -> HarnessError:
        """Return the error, with the machine's name where there are several."""
        if slot.place is None or self.hosts() < 2:
            return error
        return type(error)(f"{error.what} (on {slot.place.host})", where=error.where, remedy=error.remedy)

    def _all_up(self) -> bool:
        waiting = [slot for slot in self._slots if not slot.ready]
        if not waiting:
            return True
        patient = time.monotonic() - self._progress_at < self._wait_s
        return not patient and len(waiting) < len(self._slots) and all(slot.place is None for slot in waiting)

    def _check_room(self) -> None:
        if any(slot.place is not None for slot in self._slots):
            return
        if time.monotonic() - self._progress_at >= self._wait_s:
            raise EngineError(
                f"no worker found room in the cluster for {self._wait_s:g} s: each needs {self._need}",
                remedy="See `ray status` for what is in use, ask for smaller workers, "
                "or wait longer: --engine-option wait_s=SECONDS.",
            )


def _differences(first: EngineInfo, second: EngineInfo) -> str:
    """Return what differs in who generates, devices aside, or ""."""
    one, other = replace(first, device=""), replace(second, device="")
    if one == other:
        return ""
    names = [name for name in EngineInfo.__slots__ if getattr(one, name) != getattr(other, name)]
    return ", ".join(f"{name}: {getattr(one, name)!r} and {getattr(other, name)!r}" for name in names)


def _reason(error: BaseException) -> str:
    """Return the line of Ray's message that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1].partition(" Some common causes")[0] if lines else type(error).__name__
    return last.removeprefix("The actor is dead because ")[:300]
