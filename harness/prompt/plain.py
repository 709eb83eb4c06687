"""A tokenizer for engines without a model (scripted, replay): ChatML text, one token a UTF-8 byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PLAIN_TEMPLATE = "chatml-plain-1"


class PlainTokenizer:
    """Renders messages as ChatML; knows no tools, so that tools go into a system message."""

    chat_template = PLAIN_TEMPLATE

    def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], **options: Any) -> str:
        """Return the conversation as text; `add_generation_prompt` opens the assistant's turn; `tokenize` must be false."""
        if options.get("tokenize", True):
            raise ValueError("PlainTokenizer renders text only")
        turns = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in conversation]
        return "".join(turns) + ("<|im_start|>assistant\n" if options.get("add_generation_prompt") else "")

    def encode(self, text: str, *, add_special_tokens: bool = False) -> bytes:
        """Return the UTF-8 bytes, a lone surrogate as its escape."""
        return text.encode("utf-8", "backslashreplace")
