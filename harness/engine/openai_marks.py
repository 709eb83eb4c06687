"""Whether a server's text keeps the special tokens that a model's calls are written with.

Servers other than vLLM's and SGLang's leave special tokens out of their text: a call would read as plain JSON, or as nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.engine.base import CallWords
from harness.engine.openai_prompt import Probe, PromptForm, probed, sampling_body, to_send
from harness.engine.openai_server import ServedModel
from harness.http.client import HttpClient
from harness.types import Sampling, ToolCall

_CERTAIN = 100
"""The largest `logit_bias` of OpenAI's interface: the token is drawn whatever the model would."""


class Mark(NamedTuple):
    """A special token that calls are written with; `known`: whether the server was seen to leave it out."""

    text: str
    known: bool

    @property
    def note(self) -> str:
        """Say what that means for the run."""
        if self.known:
            return f"the server's text leaves out {self.text}, which this model's calls are written with"
        return (
            f"whether the server's text keeps {self.text}, which this model's calls are written with, cannot be seen; "
            "where it does not, calls read as text: try --engine-option mode=chat"
        )


async def lost_mark(
    client: HttpClient, served: ServedModel, probe: Probe, how: PromptForm, tokenizer: Any, words: CallWords
) -> Mark | None:
    """Return the first special token of a written call that the server's text is not seen to keep, None if there is none.

    The server is asked for one token that `logit_bias` makes the special one: no text means that it was left out. A
    server that writes another text, or refuses the parameter, does not tell. Raises EngineError for one that does not answer.
    """
    if how.extras and served.kind in ("vllm", "sglang"):  # they are told to keep them
        return None
    call = words.render_calls([ToolCall(name="f", arguments={})])
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(number for number, token in added if token.special)}
    written = dict.fromkeys(tokenizer.encode(call, add_special_tokens=False))
    for token in (one for one in written if one in special):
        text = str(tokenizer.decode([token], skip_special_tokens=False))
        body = {
            "model": served.name,
            "prompt": to_send(probe.text, probe.ids, how),
            **sampling_body(Sampling(max_new_tokens=1), 0, served.kind, how.extras),
            "logit_bias": {str(token): _CERTAIN},
        }
        found = await probed(client, body)
        if isinstance(found, str):
            return Mark(text=text, known=False)
        if text not in found.text:
            return Mark(text=text, known=not found.text)
    return None
