"""Whether a server's text keeps the special tokens that a model's calls are written with.

Servers other than vLLM's and SGLang's leave special tokens out of their text: a call would read as plain JSON, or as nothing.
"""

from __future__ import annotations

from typing import Any

from harness.engine.base import CallWords
from harness.engine.openai_prompt import Probe, PromptForm, sampling_body, to_send
from harness.engine.openai_reply import read_completion, reader
from harness.engine.openai_server import OTHER, ServedModel, payload_of
from harness.http.client import HttpClient, Reply
from harness.http.failure import RequestFailed
from harness.types import Sampling, ToolCall

_CERTAIN = 100
"""The largest `logit_bias` of OpenAI's interface: the token is drawn whatever the model would."""


async def lost_mark(
    client: HttpClient, served: ServedModel, probe: Probe, how: PromptForm, tokenizer: Any, words: CallWords
) -> str | None:
    """Return the first special token of a written call that the server's text leaves out, None if there is none.

    The server is asked for one token that `logit_bias` makes the special one. A server that does not heed that, or
    refuses it, counts as one that leaves it out.
    """
    if how.extras and served.kind in ("vllm", "sglang"):  # they are told to keep them
        return None
    call = words.render_calls([ToolCall(name="f", arguments={})])
    special = frozenset(tokenizer.all_special_ids)
    marks = dict.fromkeys(one for one in tokenizer.encode(call, add_special_tokens=False) if one in special)
    for mark in marks:
        text = str(tokenizer.decode([mark], skip_special_tokens=False))
        if text not in await _answer(client, served, probe, how, mark):
            return text
    return None


async def _answer(client: HttpClient, served: ServedModel, probe: Probe, how: PromptForm, token: int) -> str:
    body = {
        "model": served.name,
        "prompt": to_send(probe.text, probe.ids, how),
        **sampling_body(Sampling(max_new_tokens=1), 0, served.kind, how.extras),
        "logit_bias": {str(token): _CERTAIN},
    }
    answer = reader(client, read_completion)

    def read(reply: Reply) -> str:
        return answer(reply).text if reply.status == 200 else ""

    try:
        return await client.ask("/completions", payload_of(body), read, answers=(200, *OTHER), attempts=3)
    except RequestFailed:
        return ""
