"""What every engine must do; authors of engines subclass `EngineContract` in their own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from harness.engine.base import Engine
from harness.types import Generation, Message, Prompt, Sample, Sampling


def _bytes(text: str) -> Sequence[int]:
    return tuple(text.encode())


def contract_prompts(
    count: int = 9, max_new_tokens: int = 6, encode: Callable[[str], Sequence[int]] = _bytes
) -> list[Prompt]:
    """Return small prompts with distinct keys, some sharing a token prefix, one of them twice under two keys."""
    prompts = []
    for index in range(count):
        text = "shared prefix " * (index % 3) + f"question {index // 2 * 2}"
        message = Message(role="user", content=text)
        prompts.append(
            Prompt(
                key=f"{index:032x}",
                sample=Sample(
                    id=f"contract-{index}", messages=(message,), tools=(), expect="no_call", reply="."
                ),
                repeat=0,
                text=text,
                token_ids=encode(text),
                sampling=Sampling(max_new_tokens=max_new_tokens),
                seed=index,
            )
        )
    return prompts


class EngineContract:
    """Subclass it, say how to make the engine, and pytest runs every check."""

    def make_engine(self) -> Engine:
        """Return a fresh engine whose tokens are bytes (or see `encode`), or that needs no tokens."""
        raise NotImplementedError

    def encode(self, text: str) -> Sequence[int]:
        """Return a text's token ids; override it for a model whose tokens are not bytes."""
        return _bytes(text)

    def prompts(self, max_new_tokens: int = 6) -> list[Prompt]:
        """Return the prompts that every check uses."""
        return contract_prompts(max_new_tokens=max_new_tokens, encode=self.encode)

    def _answers(self, prompts: list[Prompt]) -> dict[str, Generation]:
        with closing(self.make_engine()) as engine:
            generations = list(engine.generate(iter(prompts)))
        assert len(generations) == len(prompts), "exactly one generation a prompt"
        return {generation.key: generation for generation in generations}

    def test_every_prompt_is_answered_once_under_its_own_key(self) -> None:
        prompts = self.prompts()
        answers = self._answers(prompts)

        assert set(answers) == {prompt.key for prompt in prompts}
        for prompt in prompts:
            assert answers[prompt.key].sample_id == prompt.sample.id
            assert answers[prompt.key].repeat == prompt.repeat

    def test_greedy_answers_do_not_depend_on_order_or_company(self) -> None:
        prompts = self.prompts()
        together = self._answers(prompts)
        backwards = self._answers(prompts[::-1])
        alone = self._answers(prompts[4:5])

        assert {key: one.text for key, one in together.items()} == {
            key: one.text for key, one in backwards.items()
        }
        assert alone[prompts[4].key].text == together[prompts[4].key].text

    def test_budget_is_kept(self) -> None:
        for answer in self._answers(self.prompts(3)).values():
            assert answer.status == "ok"
            assert answer.finish_reason in ("stop", "length")
            if answer.finish_reason == "length":
                assert answer.new_tokens == 3

    def test_prompts_are_read_lazily(self) -> None:
        """An engine that reads all prompts first would hold a large suite in memory."""
        read = 0

        def endless() -> Iterator[Prompt]:
            nonlocal read
            while True:
                for prompt in self.prompts():
                    read += 1
                    yield prompt

        with closing(self.make_engine()) as engine:
            stream = engine.generate(endless())
            next(iter(stream))
            getattr(stream, "close", lambda: None)()

        assert read <= 4096

    def test_info_names_the_engine_and_the_weights(self) -> None:
        with closing(self.make_engine()) as engine:
            info = engine.info()

        assert info.engine
        assert info.model
        assert info.model_fingerprint
        assert info.context_length > 0

    def test_close_twice(self) -> None:
        engine = self.make_engine()
        engine.close()
        engine.close()
