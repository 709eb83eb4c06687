"""Does the server read text as the local tokenizer does, and would it render as the local chat template does?

Other tokens than ours would be measured under our name, so a difference ends the run; what a server does not tell is
recorded as not verified.
"""

from __future__ import annotations

from typing import Any, Literal

from harness.engine.openai_prompt import Probe
from harness.engine.openai_server import ServedModel, look
from harness.errors import ModelError
from harness.http.client import HttpClient

Found = Literal["equal", "other", "unknown"]

PROBE_TURN = {
    "role": "user",
    "content": 'Add 20 kN to node 5, then run.\n\n{"name": "add_load", "arguments": {"x": [1, -2.5]}} 5번 절점에 하중을 🙂',
}


def make_probe(tokenizer: Any) -> Probe:
    """Return a short conversation as the tokenizer's template renders it, or its text alone where that refuses it."""
    try:
        text = tokenizer.apply_chat_template([PROBE_TURN], tokenize=False, add_generation_prompt=True)
    except Exception:  # a template is the model author's program: it may raise anything
        text = PROBE_TURN["content"]
    ids = tuple(int(one) for one in tokenizer.encode(text, add_special_tokens=False))
    bos = getattr(tokenizer, "bos_token", None)
    first = bos if isinstance(bos, str) and text.startswith(bos) else ""
    return Probe(text=text, ids=ids, first=first)


async def same_tokens(client: HttpClient, served: ServedModel, probe: Probe) -> Found:
    """Say whether the server's tokenizer reads the probe as ours does, where it can be asked (vLLM, SGLang, llama.cpp)."""
    body = {
        **{"model": served.name, "prompt": probe.text, "add_special_tokens": False},
        **{"content": probe.text, "add_special": False, "parse_special": True},
    }
    ids = list(probe.ids)
    said = _ids(await look(client, "/tokenize", served.root, body))
    if said is not None:
        return "equal" if said == ids else "other"
    # llama-cpp-python has its own place for it, and puts the token that begins every text before it.
    said = _ids(await look(client, "/extras/tokenize", served.root, {"input": probe.text}))
    if said is None:
        return "unknown"
    return "equal" if ids in (said, said[1:]) else "other"


async def same_template(client: HttpClient, served: ServedModel, probe: Probe, tokenizer: Any) -> Found:
    """Say whether the server would render a conversation as our template does, where it can be asked.

    A template that asks for the day writes another text every day, and is compared by its source alone.
    """
    ours = tokenizer.chat_template
    if served.template is not None and isinstance(ours, str):
        return "equal" if served.template.strip() == ours.strip() else "other"
    if served.kind != "vllm" or not isinstance(ours, str) or "strftime_now" in ours:
        return "unknown"
    body = {"model": served.name, "messages": [PROBE_TURN], "add_generation_prompt": True}
    said = _ids(await look(client, "/tokenize", served.root, {**body, "add_special_tokens": False}))
    if said is None:
        return "unknown"
    return "equal" if said == list(probe.ids) else "other"


def check(tokens: Found, template: Found, served: ServedModel, model: str, host: str) -> None:
    """Raise ModelError if the served model is another one than the local tokenizer belongs to."""
    if tokens == "other":
        raise ModelError(
            f"the model {served.name!r} on the server has another tokenizer than {model}",
            where=host,
            remedy="Name the model that is served with --model (its tokenizer is enough), or let the server render: "
            "--engine-option mode=chat.",
        )
    if template == "other":
        raise ModelError(
            f"the model {served.name!r} on the server has another chat template than {model}",
            where=host,
            remedy="Serve it with the same template, or let the server render: --engine-option mode=chat. If only the "
            "local one is to count: --engine-option verify=off.",
        )


def _ids(said: dict[str, Any]) -> list[int] | None:
    tokens = said.get("tokens")
    if not isinstance(tokens, list) or not tokens:
        return None
    found = [one for one in tokens if isinstance(one, int)]
    return found if len(found) == len(tokens) else None
