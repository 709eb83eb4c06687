"""What runs in a worker's process: one engine, in a thread of its own, and a mailbox before it.

The driver hands over prompts ahead of the answers, so that the engine finds work whenever it looks and its batches never
run dry between two messages. Nothing here imports ray.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from harness import __version__, errors
from harness.engine.base import Engine, EngineRequest
from harness.engine.determinism import Promise, settle
from harness.engine.ray_work import unpacked
from harness.errors import EngineError, HarnessError, named_line
from harness.registry import Registry
from harness.types import EngineInfo, Generation, Prompt

Events = tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker runs, and with which harness."""

    host: str
    pid: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a worker answers to any message. An error is a value here: Ray would wrap it into another one."""

    info: EngineInfo | None = None
    promise: Promise | None = None
    generations: tuple[Generation, ...] = ()
    events: Events = ()
    error: HarnessError | None = None
    idle: bool = False
    """True when the engine has nothing left to do."""


def unheard(kind: str, detail: Mapping[str, Any]) -> None:
    """Stand for `on_event` while a request travels: functions of the driver stay there."""


class Worker:
    """Holds one engine. Methods are called one at a time; all of the engine's work happens in one thread."""

    def __init__(self, engine: str, request: EngineRequest) -> None:
        # Settings of vLLM's own data parallelism leak into workers and would make each wait for the others.
        for name in [name for name in os.environ if name.startswith("VLLM_DP_")]:
            del os.environ[name]
        self._name = engine
        self._events: deque[tuple[str, dict[str, Any]]] = deque()
        self._request = replace(
            request, on_event=lambda kind, detail: self._events.append((kind, {**detail}))
        )
        self._engine: Engine | None = None
        self._promise: Promise | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._inbox: deque[Prompt] = deque()
        self._outbox: SimpleQueue[Generation | HarnessError | None] = SimpleQueue()
        self._lock = Lock()
        self._running = False

    def place(self) -> Place:
        """Return where this is: the first sign that Ray found room."""
        return Place(host=socket.gethostname(), pid=os.getpid(), version=__version__)

    def use_adapter(self, adapter: Path | None) -> Reply:
        """Build the engine where there is none yet, activate an adapter, and say who generates now."""

        def ready() -> Reply:
            if self._engine is None:
                self._engine = self._built()
            self._engine.use_adapter(adapter)
            return Reply(info=self._engine.info(), promise=self._promise)

        return self._in_thread(ready)

    def _built(self) -> Engine:
        engine_class, request = Registry("harness.engines").get(self._name), self._request
        if request.deterministic:
            request, self._promise = settle(engine_class, self._name, request)
        engine: Engine = engine_class(request)
        return engine

    def exchange(self, prompts: Sequence[Prompt]) -> Reply:
        """Take prompts in, wait for an answer if none is there, and return all that are."""
        with self._lock:
            self._inbox.extend(map(unpacked, prompts))
            if self._inbox and not self._running:
                self._running = True
                self._thread.submit(self._run)
        generations: list[Generation] = []
        error: HarnessError | None = None
        while True:
            try:
                item = self._outbox.get(block=not generations and error is None and not self._idle())
            except Empty:
                break
            if isinstance(item, Generation):
                generations.append(item)
            elif item is not None:
                error = item
        return Reply(generations=tuple(generations), events=self._told(), error=error, idle=self._idle())

    def settle(self) -> Reply:
        """Wait until the engine has ended its last batch, and return the events of that."""
        return self._in_thread(Reply)

    def close(self) -> Reply:
        """Close the engine."""

        def closed() -> Reply:
            if self._engine is not None:
                self._engine.close()
            return Reply()

        return self._in_thread(closed)

    def _in_thread(self, work: Callable[[], Reply]) -> Reply:
        try:
            reply = self._thread.submit(work).result()
        except Exception as error:
            return Reply(events=self._told(), error=portable(error, self._name))
        return replace(reply, events=self._told())

    def _run(self) -> None:
        try:
            if self._engine is None:
                raise EngineError("prompts came before the engine was built")
            while self._more():
                failed: list[Generation] = []
                for generation in self._engine.generate(self._arriving()):
                    failed.append(generation)
                    # An engine that is about to end may fail everything it holds; another worker is then asked.
                    if generation.status != "error":
                        self._put(failed)
                self._put(failed)
        except BaseException as error:
            # Before the engine counts as idle: whoever sees that must see why.
            self._outbox.put(portable(error, self._name))
            with self._lock:
                self._inbox.clear()
                self._running = False
        else:
            self._outbox.put(None)

    def _put(self, generations: list[Generation]) -> None:
        for generation in generations:
            self._outbox.put(generation)
        generations.clear()

    def _more(self) -> bool:
        with self._lock:
            self._running = bool(self._inbox)
            return self._running

    def _arriving(self) -> Iterator[Prompt]:
        """Yield what is in the mailbox and end when it is empty: waiting here could wait for our own answers."""
        while self._inbox:
            yield self._inbox.popleft()

    def _idle(self) -> bool:
        with self._lock:
            return not self._running and self._outbox.empty()

    def _told(self) -> Events:
        told = []
        while self._events:
            told.append(self._events.popleft())
        return tuple(told)


def portable(error: BaseException, engine: str) -> HarnessError:
    """Return the error as one of `harness.errors`, which every process can read."""
    if isinstance(error, HarnessError):
        known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        rebuilt: HarnessError = known(error.what, where=error.where, remedy=error.remedy)
        return rebuilt
    return EngineError(f"the {engine} engine failed: {named_line(error)}")
