"""Which prompts are left and who gets them: read ahead in bounds, shared out evenly, taken back from the dead.

A prompt that was with two workers when they died is suspected. Suspects are asked last, in groups, each alone with a
worker; the groups of one that dies are divided until the prompt that kills stands alone and is given up.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil

from harness.engine.base import without_answer
from harness.types import Generation, Prompt

LOT = 64
"""Near the end nobody gets less than this in small change, because engines are slow with small batches."""

_READ = 128
"""Prompts that are read at once: reading renders them, and meanwhile nobody hears the workers."""

_PARTS = 8
"""Into so many groups suspects are divided: a death costs loading a model, a group only a smaller batch."""


@dataclass(slots=True)
class _Job:
    prompt: Prompt
    deaths: int = 0


@dataclass(slots=True)
class Share:
    """The prompts that one worker has and has not answered."""

    jobs: dict[str, list[_Job]] = field(default_factory=dict)
    count: int = 0
    alone: bool = False
    """True while it holds nothing but one group of suspects."""


class Work:
    """The prompts of one `generate`, among `workers` workers of which each holds `ahead` at most.

    No more than 2 * workers * ahead prompts are read and not yet answered.
    """

    def __init__(self, prompts: Iterable[Prompt], workers: int, ahead: int) -> None:
        self._source: Iterator[Prompt] = iter(prompts)
        self._workers = workers
        self._ahead = ahead
        self._waiting: deque[_Job] = deque()
        self._suspects: deque[list[_Job]] = deque()
        self._held = 0
        self._ended = False

    def next_for(self, share: Share) -> list[Prompt]:
        """Return what a worker should get beside what it has, maybe nothing."""
        if share.alone and share.count:
            return []
        share.alone = False
        wanted = max(0, self._target() - share.count)
        jobs = [self._waiting.popleft() for _ in range(min(wanted, len(self._waiting)))]
        if not jobs and not share.count and self._suspects:
            jobs = self._suspects.popleft()
            share.alone = True
        for job in jobs:
            share.jobs.setdefault(job.prompt.key, []).append(job)
        share.count += len(jobs)
        self._held += len(jobs)
        return [job.prompt for job in jobs]

    def answered(self, share: Share, key: str) -> bool:
        """Take an answer in; return False for one that this worker was not asked for."""
        same = share.jobs.get(key)
        if not same:
            return False
        same.pop()
        if not same:
            del share.jobs[key]
        share.count -= 1
        self._held -= 1
        return True

    def take_back(self, share: Share, why: str) -> list[Generation]:
        """Take back what a dead worker had; return the outcome of a prompt that is given up: an error, saying why."""
        jobs = [job for same in share.jobs.values() for job in same]
        alone = share.alone
        self._held -= len(jobs)
        share.jobs.clear()
        share.count, share.alone = 0, False
        for job in jobs:
            job.deaths += 1
        if alone and len(jobs) == 1:
            reason = (
                f"every worker that was given this prompt died ({jobs[0].deaths} of them); the last: {why}"
            )
            return [without_answer(jobs[0].prompt, "error", reason)]
        suspects = [job for job in jobs if job.deaths > 1]
        self._waiting.extendleft(job for job in reversed(jobs) if job.deaths == 1)
        size = max(1, ceil(len(suspects) / _PARTS))
        self._suspects.extend(suspects[start : start + size] for start in range(0, len(suspects), size))
        return []

    def finished(self) -> bool:
        """Return True when every prompt has its answer. Reads one more prompt where none is waiting."""
        if self._held or self._waiting or self._suspects:
            return False
        self._read_until(1)
        return not self._waiting

    def _target(self) -> int:
        """Return how many unanswered prompts a worker should have now."""
        known = self._held + len(self._waiting)
        self._read_until(min(known + _READ, 2 * self._workers * self._ahead))
        evenly = ceil((self._held + len(self._waiting)) / self._workers)
        # Half of an even share leaves the rest for whoever is quicker.
        return min(self._ahead, max(min(LOT, evenly), ceil(evenly / 2)))

    def _read_until(self, known: int) -> None:
        set_aside = sum(map(len, self._suspects))
        while not self._ended and self._held + len(self._waiting) + set_aside < known:
            try:
                self._waiting.append(_Job(_packed(next(self._source))))
            except StopIteration:
                self._ended = True


def _packed(prompt: Prompt) -> Prompt:
    """Return the prompt with its token ids in 4 bytes each instead of about 36."""
    if isinstance(prompt.token_ids, bytes):
        return prompt
    try:
        return replace(prompt, token_ids=array("i", prompt.token_ids))
    except (OverflowError, TypeError):
        return prompt


def unpacked(prompt: Prompt) -> Prompt:
    """Return the prompt as an engine expects it."""
    if isinstance(prompt.token_ids, array):
        return replace(prompt, token_ids=tuple(prompt.token_ids))
    return prompt
