"""Sharing out prompts among workers, taking them back, and finding the one that kills: without Ray."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pytest

from harness.engine.ray_layout import Layout, Machine, choose_layout
from harness.engine.ray_options import read_options
from harness.engine.ray_work import LOT, Share, Work, unpacked
from harness.errors import UsageError
from harness.types import Prompt, Sample, Sampling


def _prompt(number: int) -> Prompt:
    return Prompt(
        key=f"{number:032x}",
        sample=Sample(id=f"s{number}", messages=(), tools=(), expect="no_call"),
        repeat=0,
        text="",
        token_ids=(number, 1 << 20),
        sampling=Sampling(),
        seed=0,
    )


class _Counted:
    """Prompts that say how many were read."""

    def __init__(self, count: int) -> None:
        self.read = 0
        self._count = count

    def __iter__(self) -> Iterator[Prompt]:
        for number in range(self._count):
            self.read += 1
            yield _prompt(number)


def _play(
    count: int, workers: int, deadly: set[str], ahead: int = 64
) -> tuple[list[str], dict[str, str], int, int]:
    """Let workers answer one prompt a round; one dies with what it has when it meets a deadly prompt.

    Return the keys answered, the errors by sample, the deaths, and the most prompts that were out at once.
    """
    source = _Counted(count)
    work = Work(source, workers, ahead)
    shares = [Share() for _ in range(workers)]
    mailboxes: list[list[Prompt]] = [[] for _ in range(workers)]
    answered: list[str] = []
    errors: dict[str, str] = {}
    deaths = most = 0
    for _ in range(100 * count + 100):
        if work.finished():
            return answered, errors, deaths, most
        for share, mailbox in zip(shares, mailboxes, strict=True):
            mailbox += work.next_for(share)
            if not mailbox:
                continue
            prompt = mailbox.pop(0)
            if prompt.sample.id in deadly:
                deaths += 1
                mailbox.clear()
                for given_up in work.take_back(share, "killed"):
                    errors[given_up.sample_id] = given_up.error or ""
                continue
            assert work.answered(share, prompt.key)
            answered.append(prompt.key)
        most = max(most, source.read - len(answered) - len(errors))
    raise AssertionError("never finished")


@pytest.mark.parametrize(
    ("count", "workers", "deadly", "why"),
    [
        (0, 2, set(), "nothing to do"),
        (1, 2, set(), "more workers than prompts"),
        (500, 3, set(), "several windows"),
        (1, 1, {"s0"}, "the only prompt kills"),
        (200, 1, {"s7"}, "one worker, so that only groups tell the prompts apart"),
        (200, 2, {"s0", "s199"}, "the first and the last"),
        (90, 2, {f"s{n}" for n in range(0, 90, 30)}, "several in one window"),
    ],
)
def test_every_prompt_is_answered_once_and_those_that_kill_are_errors(
    count: int, workers: int, deadly: set[str], why: str
) -> None:
    answered, errors, deaths, _ = _play(count, workers, deadly)

    harmless = {_prompt(number).key for number in range(count) if f"s{number}" not in deadly}
    assert sorted(answered) == sorted(harmless), why
    assert set(errors) == deadly
    assert all("every worker that was given this prompt died" in text for text in errors.values())
    # Each costs two ordinary deaths, a few groups, and the one that convicts it.
    assert deaths <= 6 * len(deadly)


def test_a_worker_that_is_lost_once_costs_no_error() -> None:
    work = Work(map(_prompt, range(40)), 2, 64)
    first, second = Share(), Share()
    lost = work.next_for(first)
    work.next_for(second)

    assert work.take_back(first, "machine gone") == []
    again = {prompt.key for prompt in work.next_for(first)}
    for _ in range(40):
        for key in list(second.jobs):
            work.answered(second, key)
        again |= {prompt.key for prompt in work.next_for(second)}
    assert again >= {prompt.key for prompt in lost}


def test_suspects_are_asked_alone() -> None:
    """Else a harmless prompt beside them would be suspected too, without end."""
    work = Work(map(_prompt, range(60)), 1, 32)
    share = Share()
    for _ in range(2):
        work.next_for(share)
        assert work.take_back(share, "killed") == [], "twice may be chance"
    while not share.alone:
        for key in list(share.jobs):
            work.answered(share, key)
        group = work.next_for(share)

    assert len(group) == 4, "an eighth of those that were there both times"
    work.answered(share, group[0].key)
    assert work.next_for(share) == []
    assert share.count == 3


def test_one_prompt_lost_with_its_worker_is_asked_again() -> None:
    work = Work([_prompt(1)], 1, 64)
    share = Share()
    for _ in range(2):
        assert len(work.next_for(share)) == 1
        assert work.take_back(share, "machine gone") == [], "twice may be chance"
    assert len(work.next_for(share)) == 1
    (given_up,) = work.take_back(share, "machine gone")
    assert given_up.status == "error"
    assert work.finished()


def test_a_small_run_is_shared_out_evenly() -> None:
    work = Work(map(_prompt, range(50)), 2, 1024)

    assert [len(work.next_for(Share())) for _ in range(2)] == [25, 25]


def test_a_quick_worker_takes_over_most_of_what_a_slow_one_would_have_had() -> None:
    work = Work(map(_prompt, range(1000)), 2, 1024)
    slow, quick = Share(), Share()
    work.next_for(slow)
    work.next_for(quick)
    done = 0
    while quick.jobs:
        work.answered(quick, next(iter(quick.jobs)))
        done += 1
        work.next_for(quick)

    assert slow.count == LOT
    assert done == 1000 - LOT


@pytest.mark.parametrize(("workers", "ahead"), [(1, 16), (2, 64), (5, 100)])
def test_reading_is_bounded(workers: int, ahead: int) -> None:
    *_, most = _play(5000, workers, {"s100", "s2000"}, ahead)

    assert most <= 2 * workers * ahead + 1


def test_two_prompts_with_one_key_are_two_prompts() -> None:
    work = Work([_prompt(1), _prompt(1)], 1, 64)
    share = Share()
    work.next_for(share)

    assert work.answered(share, _prompt(1).key)
    assert not work.finished()
    assert work.answered(share, _prompt(1).key)
    assert work.finished()
    assert not work.answered(share, _prompt(1).key)


@pytest.mark.parametrize("ids", [(), (1, 2, 3), (-1, 5), (1 << 40,), b"bytes"])
def test_token_ids_arrive_as_they_left(ids: tuple[int, ...] | bytes) -> None:
    prompt = Prompt(
        key="k", sample=_prompt(1).sample, repeat=0, text="", token_ids=ids, sampling=Sampling(), seed=0
    )
    (handed,) = Work([prompt], 1, 4).next_for(Share())

    assert not isinstance(unpacked(handed).token_ids, array)
    assert unpacked(handed).token_ids == ids


LAPTOP = [Machine(cpus=8, gpus=0)]
NODES = [Machine(cpus=64, gpus=8), Machine(cpus=64, gpus=4), Machine(cpus=4, gpus=0)]


@pytest.mark.parametrize(
    ("options", "machines", "gpus", "expected", "why"),
    [
        ({}, LAPTOP, 1, (1, 8, 0), "one for the machine, which gets all cores"),
        ({"workers": "2"}, LAPTOP, 1, (2, 4, 0), "cores are shared out"),
        ({"workers": "16"}, LAPTOP, 1, (16, 0, 0), "engines that wait may be more than there are cores"),
        ({}, NODES, 1, (12, 1, 1), "one for each GPU"),
        ({"gpus_per_worker": "4"}, NODES, 1, (3, 1, 4), "models over four GPUs of one machine"),
        ({}, NODES, 2, (6, 1, 2), "an engine that says it takes two"),
        ({"gpus_per_worker": "0.5"}, NODES, 1, (24, 1, 0.5), "two on a GPU"),
        ({}, NODES, 0, (3, 4, 0), "an engine that computes elsewhere takes no GPU"),
        ({"cpus_per_worker": "8"}, NODES, 1, (12, 8, 1), "cores as asked"),
    ],
)
def test_layout(
    options: dict[str, str],
    machines: list[Machine],
    gpus: int,
    expected: tuple[int, float, float],
    why: str,
) -> None:
    layout = choose_layout(read_options(options), machines, gpus=gpus, can_grow=False)

    workers, cpus, each = expected
    assert layout == Layout(workers=workers, cpus=cpus, gpus=each), why


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": "3", "cpus_per_worker": "4"}, "3 workers of 4 CPU each do not fit"),
        (
            {"gpus_per_worker": "1"},
            "1 worker of 1 GPU and 1 CPU each do not fit: the machine has 0 GPU and 8 CPU",
        ),
    ],
)
def test_workers_that_never_fit_are_refused_only_where_the_cluster_cannot_grow(
    options: dict[str, str], said: str
) -> None:
    read = read_options(options)
    with pytest.raises(UsageError, match=said):
        choose_layout(read, LAPTOP, gpus=1, can_grow=False)

    assert choose_layout(read, LAPTOP, gpus=1, can_grow=True).workers >= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", "0"),
        ("workers", "two"),
        ("gpus_per_worker", "-1"),
        ("cpus_per_worker", "nan"),
        ("wait_s", "x"),
    ],
)
def test_bad_values_name_their_option(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"option {name} must be"):
        read_options({name: value})


def test_the_address_comes_from_the_option_then_the_environment_then_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert read_options({"address": "10.0.0.2:6379"}).address == "10.0.0.2:6379"
    assert read_options({}).address == "10.0.0.1:6379"
    monkeypatch.delenv("RAY_ADDRESS")
    assert read_options({}).address == "local"
