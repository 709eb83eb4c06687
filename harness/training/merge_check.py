"""Do two models say the same? Next-token choices on fixed texts, teacher-forced, and how far the probabilities moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import EngineError, RecordError
from harness.prompt.answer import expected_turn
from harness.prompt.golden import GOLDEN_SAMPLE
from harness.prompt.render import Renderer
from harness.spread import spread
from harness.types import Message, Sample

MOST_SAMPLES = 16
_PROMPT_END = 8
_BUILT_IN = (
    "The beam rests on two supports. Its self-weight is 2.5 kN/m, and a load of 20 kN stands at mid-span.",
    "절점 3번과 4번을 잇는 보를 만들고, 양 끝을 고정한 다음 해석을 실행해 주세요. 결과는 표로 보여 줘.",
    '{"name": "add_support", "arguments": {"node_id": 3, "type": "pinned", "fixed": [true, true, false]}}',
    "def area(width: float, height: float) -> float:\n    return width * height\n\n\nprint(area(3, 4.5))\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldText:
    """Token ids to read; positions from `start` on are compared. `answer`: these positions are an expected answer."""

    ids: tuple[int, ...]
    start: int
    answer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a model says at each compared position: its first choice, and the log-probability of `asked` there.

    `asked` is the model's own first choice, or the one handed in; tuples in the order of the texts.
    """

    texts: tuple[HeldText, ...]
    best: tuple[int, ...]
    logprob: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often two models choose the same next token.

    `positions` were compared and `agreeing` had the same first choice; `answer_positions` of them lie in expected
    answers. `largest_logprob_change` is that of the first model's choices, in nats.
    """

    texts: int
    positions: int
    agreeing: int
    answer_positions: int
    answers_agreeing: int
    largest_logprob_change: float
    mean_logprob_change: float
    computed_in: str

    @property
    def share(self) -> float:
        """Return the share of positions with the same first choice."""
        return self.agreeing / self.positions


def held_texts(renderer: Renderer, samples: Sequence[Sample]) -> tuple[HeldText, ...]:
    """Return what both models will read: built-in texts, the golden prompt, and samples with their expected answers.

    At most MOST_SAMPLES samples, spread evenly. Of a sample only the answer is compared: its prompt is mostly the same
    block of tools again and again.
    """
    asked = [_question(index, text) for index, text in enumerate(_BUILT_IN)]
    texts = [_rendered(renderer, sample, compared=None) for sample in (*asked, GOLDEN_SAMPLE)]
    for sample in spread(samples, MOST_SAMPLES):
        try:
            prompt, answer = renderer.render_answered(sample, expected_turn(sample))
        except RecordError:  # nothing to imitate, or a turn that the template cannot append
            texts.append(_rendered(renderer, sample, compared=_PROMPT_END))
            continue
        ids = (*prompt.token_ids, *answer.token_ids)
        texts.append(HeldText(ids=ids, start=len(prompt.token_ids), answer=True))
    return tuple(text for text in texts if len(text.ids) > text.start >= 1)


def _question(index: int, text: str) -> Sample:
    return Sample(
        id=f"text-{index}", messages=(Message(role="user", content=text),), tools=(), expect="no_call"
    )


def _rendered(renderer: Renderer, sample: Sample, *, compared: int | None) -> HeldText:
    """Return a prompt of which the last `compared` positions count, all but the first for None."""
    ids = tuple(renderer.render(sample).token_ids)
    return HeldText(ids=ids, start=1 if compared is None else max(1, len(ids) - compared), answer=False)


def look_ahead(model: Any, texts: Sequence[HeldText], asked: Sequence[int] | None = None) -> Reference:
    """Return the model's choice for every compared position, given the tokens before it.

    Texts longer than the model's context are left out. Raises EngineError for logits that are no numbers,
    or if no text is left.
    """
    import torch

    context = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None) or 1 << 20
    kept = tuple(text for text in texts if len(text.ids) <= context)
    if not kept:
        raise EngineError(f"no text to compare fits into the model's context of {context} tokens")
    best: list[int] = []
    logprob: list[float] = []
    for text in kept:
        compared = len(text.ids) - text.start
        with torch.inference_mode():
            # The logits of the position before the first compared one predict it; the last token predicts nothing.
            logits = model(
                input_ids=torch.tensor([text.ids], device=model.device),
                use_cache=False,
                logits_to_keep=compared + 1,
            ).logits[0, -compared - 1 : -1]
            chances = logits.float().log_softmax(-1)
            first = chances.argmax(-1)
            if not bool(chances.gather(-1, first[:, None]).isfinite().all()):
                raise EngineError("the model's logits are not numbers", remedy="Try --dtype float32.")
            wanted = first if asked is None else torch.tensor(asked[len(best) : len(best) + compared])
            logprob += chances.gather(-1, wanted[:, None].to(chances.device))[:, 0].tolist()
            best += first.tolist()
    return Reference(texts=kept, best=tuple(best), logprob=tuple(logprob))


def compare(before: Reference, after: Reference, computed_in: str) -> Agreement:
    """Return how far two models agree on the same texts; `after` was asked for the log-probabilities of `before`'s choices."""
    same = [one == other for one, other in zip(before.best, after.best, strict=True)]
    moved = [abs(one - other) for one, other in zip(before.logprob, after.logprob, strict=True)]
    answers = [text.answer for text in before.texts for _ in range(len(text.ids) - text.start)]
    return Agreement(
        texts=len(before.texts),
        positions=len(same),
        agreeing=sum(same),
        answer_positions=sum(answers),
        answers_agreeing=sum(one for one, is_answer in zip(same, answers, strict=True) if is_answer),
        largest_logprob_change=max(moved),
        mean_logprob_change=sum(moved) / len(moved),
        computed_in=computed_in,
    )
