"""Progress of a run: a bar on a terminal, a line every few seconds elsewhere. Samples, tokens/s, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from harness.report.text import visible
from harness.types import Generation

LINE_INTERVAL_S = 10.0


@contextmanager
def run_progress(label: str) -> Iterator[RunProgress]:
    """Yield the progress of one run; it is taken off the terminal when the block ends."""
    progress = RunProgress(label)
    try:
        yield progress
    finally:
        progress.stop()


class RunProgress:
    """Implements `harness.run.execute.Progress` on standard error."""

    def __init__(self, label: str) -> None:
        self._label = visible(label)
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._planned = self._done = self._done_before = self._tokens = self._errors = 0
        self._started = self._printed = time.monotonic()

    def started(self, planned: int, done: int) -> None:
        """Begin to show."""
        self._planned, self._done, self._done_before = planned, done, done
        self._started = self._printed = time.monotonic()
        if done:
            self._console.print(
                f"{self._label}: {done} of {planned} kept from before", highlight=False, markup=False
            )
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(self._label, total=planned, completed=done, speed="")
            self._bar.start()

    def finished_one(self, generation: Generation) -> None:
        """Count one generation and show it now and then."""
        self._done += 1
        self._tokens += generation.new_tokens
        self._errors += generation.status == "error"
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, speed=self._speed(now))
        elif now - self._printed >= LINE_INTERVAL_S:
            self._printed = now
            self._line(now)

    def stop(self) -> None:
        """End the bar, or print the last line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._planned and self._done > self._done_before:
            self._line(time.monotonic())

    def _line(self, now: float) -> None:
        left = self._planned - self._done
        rate = (self._done - self._done_before) / max(now - self._started, 1e-9)
        errors = f", {self._errors} errors" if self._errors else ""
        eta = f", about {left / rate:.0f} s left" if left and rate else ""
        text = f"{self._label}: {self._done}/{self._planned} samples, {self._speed(now)}{errors}{eta}"
        print(text, file=sys.stderr, flush=True)

    def _speed(self, now: float) -> str:
        return f"{self._tokens / max(now - self._started, 1e-9):.0f} tokens/s"
