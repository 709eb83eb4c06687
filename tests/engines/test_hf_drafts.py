"""Drafts change the time that an answer takes, and nothing else of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("torch")

from harness.engine.hf import HfEngine
from harness.engine.hf_drafts import Drafts
from harness.testing.tiny_model import make_tiny_adapter
from harness.types import Prompt
from tests.engines.conftest import make_prompt, mixed_prompts
from tests.engines.test_hf import answers, engine, short


class _Planted(Drafts):
    """Drafts that a test made up, offered however poor they are."""

    def __init__(self, made: dict[int, tuple[int, ...]]) -> None:
        super().__init__()
        self._answers |= made

    def offer(self, rows: Any) -> None:
        for row in rows:
            row.draft = self._answers.get(hash(tuple(row.prompt.token_ids)), ())

    def keep(self, prompt: Any, answer: Any) -> None:
        pass


class _Seen(Drafts):
    """What was answered, in tokens."""

    def __init__(self, seen: dict[int, tuple[int, ...]]) -> None:
        super().__init__()
        self._seen = seen

    def keep(self, prompt: Any, answer: Any) -> None:
        self._seen[hash(tuple(prompt))] = tuple(answer)


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return mixed_prompts()


@pytest.fixture(scope="module")
def built(tiny: Path) -> HfEngine:
    return engine(tiny, max_batch="7")


@pytest.fixture(scope="module")
def tokens(built: HfEngine, prompts: list[Prompt]) -> dict[int, tuple[int, ...]]:
    seen: dict[int, tuple[int, ...]] = {}
    built._drafts = _Seen(seen)
    answers(built, prompts)
    return seen


@pytest.fixture(scope="module")
def expected(built: HfEngine, prompts: list[Prompt]) -> dict[str, Any]:
    built._drafts = None
    return short(answers(built, prompts))


def passes(built: HfEngine, do: Callable[[], Any]) -> tuple[int, Any]:
    """Return how often the model ran, and what `do` returned."""
    count = 0

    def counted(*_: Any, **__: Any) -> None:
        nonlocal count
        count += 1

    hook = built._open().model.register_forward_hook(counted)
    try:
        done = do()
    finally:
        hook.remove()
    return count, done


def with_drafts(built: HfEngine, prompts: list[Prompt], drafts: dict[int, tuple[int, ...]]) -> dict[str, Any]:
    built._drafts = _Planted(drafts)
    failed: list[Any] = []
    built._on_event = lambda kind, detail: failed.append(detail) if kind == "batch_failed" else None
    found = short(answers(built, prompts))
    assert not failed, "a batch that is run again in halves would hide that the cache was too small"
    return found


def test_right_drafts_save_passes(built, prompts, expected, tokens) -> None:
    built._drafts = None
    without, alone = passes(built, lambda: short(answers(built, prompts)))
    drafting, drafted = passes(built, lambda: with_drafts(built, prompts, tokens))
    assert drafted == alone == expected
    assert drafting * 2 < without
    assert built._drafts.accepted > 0.5 * built._drafts.offered


def test_drafts_that_differ_in_one_token_save_passes_as_well(built, prompts, expected, tokens) -> None:
    built._drafts = None
    without, _ = passes(built, lambda: answers(built, prompts))
    planted = {}
    for key, truth in tokens.items():
        at = len(truth) // 4
        planted[key] = (*truth[:at], (truth[at] + 1) % 256, *truth[at + 1 :])
    drafting, drafted = passes(built, lambda: with_drafts(built, prompts, planted))
    assert drafted == expected
    assert drafting < 0.7 * without


@pytest.mark.parametrize("seed", range(25))
def test_any_draft_gives_the_same_texts(built, prompts, expected, tokens, seed: int) -> None:
    """Drafts that are right, cut, wrong from some place on, too long, or have nothing to do with it, all in one batch."""
    random = Random(seed)
    planted = {}
    for key, truth in tokens.items():
        at = random.randrange(len(truth))
        made = (
            (),
            truth,
            truth[:at],
            (*truth[:at], (truth[at] + 1) % 256, *truth[at + 1 :]),
            (*truth, *truth, *truth),
            (*truth[:at], *truth[at + 2 :]),
            (*truth[:at], 9, 9, *truth[at:]),
            (*truth[at:], *truth[:at]),
            tuple(random.randrange(256) for _ in range(random.randrange(60))),
        )
        planted[key] = random.choice(made)
    assert with_drafts(built, prompts, planted) == expected


def test_pieces_are_cut_where_the_logits_would_take_too_much(
    built, prompts, expected, tokens, monkeypatch
) -> None:
    for most in (1, 7 * 256 * 3):
        monkeypatch.setattr("harness.engine.hf_decode._MAX_LOGITS", most)
        assert with_drafts(built, prompts, tokens) == expected


def test_what_one_adapter_answered_is_the_next_ones_draft(tiny: Path, tmp_path: Path) -> None:
    first, second = (make_tiny_adapter(tmp_path / f"a{seed}", tiny, seed=seed) for seed in (1, 2))
    near = shutil.copytree(first, tmp_path / "near")
    prompts = mixed_prompts()
    plain = engine(tiny, adapters=(first, second, near), drafts="off")
    events: list[tuple[str, dict[str, Any]]] = []
    drafting = engine(tiny, adapters=(first, second, near), events=events)
    for adapter in (None, second, first, near):
        plain.use_adapter(adapter)
        drafting.use_adapter(adapter)
        assert short(answers(drafting, prompts)) == short(answers(plain, prompts))
    told = [detail for kind, detail in events if kind == "drafts"]
    assert len(told) == 3, "the first target has nobody before it"
    assert told[-1]["accepted"] > 0.5 * told[-1]["tokens"], (
        "an adapter that is a copy accepts its own answers"
    )


def test_drafts_that_are_left_at_once_are_given_up(tiny: Path) -> None:
    drafts = Drafts()
    prompts = [make_prompt((index, 7, 9), f"p{index}", new=40) for index in range(100)]
    for prompt in prompts:
        drafts.keep(prompt.token_ids, [255] * 40)
    built = engine(tiny)
    built._drafts = drafts
    answers(built, prompts)
    assert 512 <= drafts.offered < 100 * 40
    drafts.turn()
    assert drafts.offered == 0


def test_drafts_that_mislead_are_trusted_less(
    built, prompts, expected, tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness.engine.hf_decode as decode

    trusted: list[float] = []
    length = decode.piece_length

    def recording(known: Any, rows: int, step_tokens: int, trust: float) -> int:
        trusted.append(trust)
        return length(known, rows, step_tokens, trust)

    monkeypatch.setattr(decode, "piece_length", recording)
    misleading = {
        key: tuple(token if place % 3 else (token + 1) % 250 for place, token in enumerate(answer))
        for key, answer in tokens.items()
    }

    assert with_drafts(built, prompts, tokens) == expected
    right = min(trusted)
    trusted.clear()
    assert with_drafts(built, prompts, misleading) == expected
    assert trusted[0] == 1
    assert min(trusted) < 0.7 < right


def test_a_seeded_draw_takes_no_draft(tiny: Path) -> None:
    built = engine(tiny)
    prompts = [make_prompt((1, 2, index), f"p{index}", temperature=0.8, seed=index) for index in range(8)]
    alone = short(answers(built, prompts))
    built._drafts = drafts = Drafts()
    for prompt in prompts:
        drafts.keep(prompt.token_ids, [3] * 12)
    assert short(answers(built, prompts)) == alone
    assert drafts.offered == 0
