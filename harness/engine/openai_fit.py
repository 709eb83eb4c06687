"""Does a chat fit into the server's context, and did the server read the whole of it?

How many tokens a server makes of a chat is its own affair. But no template leaves the user's words out, and some servers
cut what does not fit and answer the rest without a word: Ollama does, to its context or to half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.engine.openai_reply import Answer
from harness.engine.openai_server import Kind
from harness.types import GenerationStatus, Prompt

_HEARD = ("user", "tool")
"""Whose words no template leaves out: some drop the system's, or earlier thoughts of the assistant's."""

_SAME_WORDS = 0.8
"""A count below this share of ours is of fewer words: other tokenizers and stripped blanks do not explain it."""

_SAME_PROMPT = 0.9
_LEAST_CUT = 32
_MEND = "; serve the model with a longer context"


class Misfit(NamedTuple):
    """What becomes of a prompt that the server could not answer as a whole."""

    status: GenerationStatus
    why: str


def says_cut(read: int, length: int) -> str | None:
    """Return what to say of a prompt of so many tokens of which the server read so many, None if that is no cut."""
    if read >= _SAME_PROMPT * length or length - read < _LEAST_CUT:
        return None
    return (
        f"the server read {read} tokens of a prompt of {length}, and answered what it had left of it{_MEND}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFit:
    """Checks chats. `tokenizer` is the local one, None where there is none; `context` is in tokens, None if unknown."""

    tokenizer: Any | None
    context: int | None
    kind: Kind

    def before(self, prompt: Prompt) -> Misfit | None:
        """Return what is wrong with a prompt that cannot fit, however it is rendered."""
        if self.context is None:
            return None
        least, budget = self._words(prompt), prompt.sampling.max_new_tokens
        if least + budget <= self.context:
            return None
        return Misfit(
            "too_long", f"the words alone, {least} + {budget} tokens, do not fit into {self.context}"
        )

    def after(self, prompt: Prompt, answer: Answer) -> Misfit | None:
        """Return what is wrong with an answered prompt that did not fit, or of which the server read a part."""
        read, budget = answer.prompt_tokens, prompt.sampling.max_new_tokens
        if not read:
            return None
        if self.context is not None and read + budget > self.context:
            return Misfit("too_long", f"{read} + {budget} tokens do not fit into {self.context}")
        words, ours = self._words(prompt), len(prompt.token_ids)
        if read < _SAME_WORDS * words and words - read >= _LEAST_CUT:
            what = f"the server read {read} tokens of a chat whose words alone have {words}{_MEND}"
            return Misfit("error", f"prompt_cut: {what}")
        may_be_cut = self.context is None or 2 * ours > self.context
        if self.kind == "ollama" and self.tokenizer is not None and may_be_cut and 2 * read < ours:
            what = f"Ollama read {read} tokens of a prompt that has {ours} as we render it{_MEND}"
            return Misfit("error", f"prompt_cut: {what}")
        return None

    def _words(self, prompt: Prompt) -> int:
        if self.tokenizer is None:
            return 0
        said = [one.content for one in prompt.sample.messages if one.role in _HEARD]
        return sum(len(self.tokenizer.encode(text, add_special_tokens=False)) for text in said)
