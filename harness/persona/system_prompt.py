"""The system prompt under which a persona is measured, put before a sample's messages. Nowhere else is it added.

Base and adapter are compared with the same prompt: `persona` is the card's, `neutral` the card's neutral one, `none`
leaves the records as they are (does the adapter keep the manner without being told?).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from harness.errors import SpecError, UsageError, did_you_mean
from harness.persona.card import PersonaCard
from harness.persona.masking import mask_names, neutral_names
from harness.types import Message, Sample

Condition = Literal["persona", "neutral", "none"]
CONDITIONS: tuple[str, ...] = get_args(Condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPrompt:
    """Which prompt stands before every sample. `text` is None for `none`; `names` is empty unless names are masked."""

    condition: str
    text: str | None
    names: Mapping[str, str]

    def identity(self) -> dict[str, str | bool | None]:
        """Return what of it can change an answer, as it stands in plans and headers."""
        digest = None if self.text is None else hashlib.sha256(self.text.encode()).hexdigest()
        return {
            "system_prompt": self.condition,
            "system_prompt_sha256": digest,
            "names_masked": bool(self.names),
        }

    def before(self, sample: Sample) -> Sample:
        """Return the sample as it is asked. A system turn of its own follows the card's words in the same turn."""
        if self.text is None and not self.names:
            return sample
        messages = tuple(
            replace(message, content=mask_names(message.content, self.names)) for message in sample.messages
        )
        if self.text is not None:
            content = self.text
            if messages and messages[0].role == "system":
                content, messages = f"{content}\n\n{messages[0].content}", messages[1:]
            messages = (Message(role="system", content=content), *messages)
        return replace(sample, messages=messages)


def system_prompt_of(card: PersonaCard, condition: str, *, mask_name: bool = False) -> SystemPrompt:
    """Return the prompt of a condition.

    Raises UsageError for an unknown condition, SpecError for `neutral` where the card has no neutral prompt.
    """
    if condition not in CONDITIONS:
        raise UsageError(f"no system prompt {condition!r}", remedy=did_you_mean(condition, CONDITIONS))
    if condition == "neutral" and card.neutral_system_prompt is None:
        raise SpecError(
            f"the card of {card.name!r} has no neutral_system_prompt",
            where=card.path,
            remedy="Add one (You are a helpful assistant. ...), in the character's language.",
        )
    text = {"persona": card.system_prompt, "neutral": card.neutral_system_prompt}.get(condition)
    names = neutral_names(card) if mask_name else {}
    return SystemPrompt(
        condition=condition,
        text=None if text is None else mask_names(text.strip(), names),
        names=names,
    )
