"""Tiny models and prompts for the engine tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.testing.tiny_model import make_tiny_model
from harness.types import Prompt, Sample, Sampling


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("model") is None:
        monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrices are slower on several threads than on one, and on busy cores threads wait for each other."""
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    """The tokenizer of `tiny`."""
    pytest.importorskip("transformers")
    from harness.models.tokenizer import load_tokenizer

    return load_tokenizer(tiny)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait hundredths of a second where a user's run waits seconds for a server."""
    monkeypatch.setattr("harness.http.gate._FIRST_WAIT_S", 0.01)


def make_prompt(
    ids: tuple[int, ...],
    name: str = "s",
    *,
    new: int = 12,
    temperature: float = 0.0,
    seed: int = 0,
    **sampling: Any,
) -> Prompt:
    return Prompt(
        key=name,
        sample=Sample(id=name, messages=(), tools=(), expect="no_call"),
        repeat=0,
        text="",
        token_ids=ids,
        sampling=Sampling(max_new_tokens=new, temperature=temperature, **sampling),
        seed=seed,
    )


def mixed_prompts(count: int = 40, seed: int = 3) -> list[Prompt]:
    """Prompts over three long prefixes, one nested in another; bare prefixes, duplicates and strangers among them."""
    chance = random.Random(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(chance.randrange(256) for _ in range(length))

    first, second = ids(60), ids(90)
    nested = first + ids(70)
    prompts = [first, nested, second, first, (*second, 7), (5,), (*second, 7)]
    while len(prompts) < count:
        prompts.append(chance.choice((first, nested, nested, second, ())) + ids(chance.randrange(1, 25)))
    chance.shuffle(prompts)
    return [make_prompt(tokens, f"p{i}", new=chance.randrange(1, 20)) for i, tokens in enumerate(prompts)]
