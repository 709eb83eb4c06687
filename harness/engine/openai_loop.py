"""An event loop in a thread of its own, so that a synchronous iterator can have many requests under way.

It works wherever it is called from, a thread that runs a loop already (a notebook's) included.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_SETTLE_S = 5.0


class LoopThread:
    """Runs coroutines in its own thread until it is closed."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin a coroutine and return its future; cancelling that cancels the coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what a coroutine returns, or raise what it raises."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def settle(self) -> None:
        """Wait until everything that was cancelled has ended."""
        self.run(_others_end())

    def close(self) -> None:
        """Cancel what is under way and end the thread. Calling twice is allowed."""
        if self._loop.is_closed():
            return
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _others_end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_SETTLE_S)


async def _cancel_others() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await _others_end()


def as_they_finish(
    loop: LoopThread, items: Iterable[Item], work: Callable[[Item], Coroutine[Any, Any, Result]], ahead: int
) -> Generator[Result, None, None]:
    """Yield the result of `work` for every item, as they finish; at most `ahead` items are read and not yet yielded.

    Items are read in the caller's thread. What `work` raises ends it, after the results that were there by then. Closing
    the iterator cancels what is under way.
    """
    source = iter(items)
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    waiting: set[Future[Result]] = set()
    left = True
    failure: BaseException | None = None
    try:
        while left or waiting:
            begun = 0
            # Where answers wait already, two are begun for each that is given out: reading must hold up neither side.
            while left and len(waiting) < ahead and (begun < 2 or done.empty()):
                begun += 1
                try:
                    item = next(source)
                except StopIteration:
                    left = False
                    break
                future = loop.start(work(item))
                waiting.add(future)
                future.add_done_callback(done.put)
            if not waiting:
                break
            future = done.get()
            waiting.discard(future)
            failure = future.exception()
            if failure is not None:
                break
            yield future.result()
        if failure is not None:
            for future in [future for future in waiting if future.done()]:
                if not future.cancelled() and future.exception() is None:
                    waiting.discard(future)
                    yield future.result()
            raise failure
    finally:
        for future in waiting:
            future.cancel()
        if waiting:
            loop.settle()
