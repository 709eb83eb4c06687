"""Ollama: what its OpenAI interface does not take, and the context that it has loaded a model with."""

from __future__ import annotations

from typing import Any

from harness.engine.openai_server import ServedModel, is_length, look
from harness.http.client import HttpClient


async def loaded_context(client: HttpClient, served: ServedModel) -> int | None:
    """Return the context in tokens that the model is loaded with, None where the server does not say."""
    listed = (await look(client, "/api/ps", served.root)).get("models")
    for one in listed if isinstance(listed, list) else []:
        name = one.get("name") if isinstance(one, dict) else None
        if name in (served.name, f"{served.name}:latest") and is_length(one.get("context_length")):
            return int(one["context_length"])
    return None


def ollama_note(context: int | None, tokenizer: Any) -> str:
    """Return what a user of Ollama should know."""
    known = f"its context has {context} tokens" if context else "its context is not known (context_length=N)"
    seen = (
        "" if tokenizer is not None else ", which is recognised more often where --model names the tokenizer"
    )
    return (
        f"Ollama: {known}, and no request changes that; a longer prompt is cut without a word{seen}. "
        "top_k, min_p and the repeat penalty are those of its Modelfile."
    )
