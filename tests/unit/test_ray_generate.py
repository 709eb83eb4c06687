"""How many workers may be lost in a row, with a stand-in for the pool: without Ray."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import pytest

from harness.engine.ray import RayEngine
from harness.engine.ray_pool import News, Slot
from harness.engine.ray_worker import Reply
from harness.errors import EngineError
from harness.testing.engine_contract import contract_prompts
from harness.types import Generation, Prompt

ANSWER = 0


class _Pool:
    """Stands for `harness.engine.ray_pool.Pool`: first the story, where worker n is lost at each n and `ANSWER` is one
    answer of any; from then on whoever is there answers."""

    def __init__(self, workers: int, story: Sequence[int], *, replaced: bool) -> None:
        self._slots = [Slot(number=number, ready=True) for number in range(1, workers + 1)]
        self._inboxes: dict[int, deque[Prompt]] = {slot.number: deque() for slot in self._slots}
        self._story = deque(story)
        self._replaced = replaced

    @property
    def workers(self) -> int:
        return len(self._slots)

    def revive(self) -> None: ...

    def settle(self) -> None: ...

    def abandon(self) -> None: ...

    def free(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.ready and not slot.busy]

    def exchange(self, slot: Slot, prompts: Sequence[Prompt]) -> None:
        self._inboxes[slot.number].extend(prompts)
        slot.busy = True

    def news(self) -> News:
        number = self._story.popleft() if self._story else ANSWER
        if number != ANSWER:
            slot = self._slots[number - 1]
            self._inboxes[number].clear()
            slot.busy, slot.ready = False, self._replaced
            return News(slot=slot, lost=EngineError(f"worker {number} died"))
        slot = next(slot for slot in self._slots if slot.busy and self._inboxes[slot.number])
        inbox = self._inboxes[slot.number]
        prompt = inbox.popleft()
        slot.busy = False
        answer = Generation(key=prompt.key, sample_id=prompt.sample.id, repeat=0, status="ok", text=".")
        return News(slot=slot, reply=Reply(generations=(answer,), idle=not inbox))


def _engine(workers: int, story: Sequence[int], *, replaced: bool = True) -> RayEngine:
    engine = RayEngine.__new__(RayEngine)
    engine._closed = False
    engine._ahead = 1024
    engine._pool = _Pool(workers, story, replaced=replaced)
    return engine


def _answered_once(engine: RayEngine) -> None:
    prompts = contract_prompts(400)
    answers = list(engine.generate(iter(prompts)))
    assert Counter(answer.key for answer in answers) == Counter(prompt.key for prompt in prompts)
    assert {answer.status for answer in answers} == {"ok"}


def test_a_machine_that_takes_eight_of_nine_workers_with_it_leaves_the_run_to_the_ninth() -> None:
    _answered_once(_engine(9, range(1, 9), replaced=False))


SURVIVED = [
    (1, [1] * 7, "seven losses of the only worker"),
    (9, [*range(1, 9), *range(1, 8)], "a machine with eight of nine workers, and almost once more"),
    (1, [*[1] * 7, ANSWER, *[1] * 7], "an answer between losses: something works"),
]


@pytest.mark.parametrize(("workers", "story", "why"), SURVIVED, ids=[case[2] for case in SURVIVED])
def test_losses_that_are_survived(workers: int, story: list[int], why: str) -> None:
    _answered_once(_engine(workers, story))


HOPELESS = [
    (1, [1] * 8, "8 workers were lost one after another; the last: worker 1 died"),
    (9, [*range(1, 9)] * 2, "16 workers were lost one after another; the last: worker 8 died"),
]


@pytest.mark.parametrize(("workers", "story", "said"), HOPELESS, ids=["one worker", "nine workers"])
def test_one_loss_more_and_nothing_works(workers: int, story: list[int], said: str) -> None:
    with pytest.raises(EngineError, match=said):
        _answered_once(_engine(workers, story))
