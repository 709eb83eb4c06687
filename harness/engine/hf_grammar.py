"""Answers that keep to a grammar: structural tags compiled for one tokenizer, and one row's way through its grammar.

A greedy row asks the grammar only whether it takes the token that the model would write; the mask over the vocabulary
is made where it does not, and where a token is drawn. So a row gets the best token that the grammar allows, whatever
else is in its batch.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from harness.engine.packages import check_grammar_library
from harness.errors import ModelError, first_line
from harness.fingerprint import sha256_in_order
from harness.types import Json, Prompt

if TYPE_CHECKING:
    from harness.engine.hf_load import LoadedModel

_CACHE_BYTES = 512 << 20
_MOST_GRAMMARS = 256
_MOST_THREADS = 8


class Grammars:
    """The grammars of one model's answers."""

    def __init__(self, loaded: LoadedModel, tag_of: Callable[[Prompt], Mapping[str, Json]]) -> None:
        """Raises MissingDependency, and ModelError for a tokenizer that no grammar can be compiled for."""
        check_grammar_library("hf")
        import xgrammar

        stops = sorted(one for one in loaded.stop_ids if one < loaded.vocabulary)
        if not stops:
            raise ModelError(
                "the model names no token that ends an answer, and a grammar must know one",
                remedy="Name it as eos_token_id in the model's generation_config.json, or leave out --constrain.",
            )
        try:
            info = xgrammar.TokenizerInfo.from_huggingface(
                loaded.tokenizer, vocab_size=loaded.vocabulary, stop_token_ids=stops
            )
        except Exception as error:  # a tokenizer of a kind that it does not know makes it raise anything
            raise ModelError(
                f"xgrammar cannot read the model's tokenizer: {reason_of(error)}",
                remedy="Leave out --constrain.",
            ) from error
        self._tag_of = tag_of
        self._vocabulary = loaded.vocabulary
        self._compiler = xgrammar.GrammarCompiler(
            info, max_threads=min(_MOST_THREADS, os.cpu_count() or 1), cache_limit_bytes=_CACHE_BYTES
        )
        self._compiled: dict[str, Any] = {}

    @property
    def version(self) -> str:
        """The version of the grammar library."""
        return metadata.version("xgrammar")

    def problem(self, prompt: Prompt) -> str | None:
        """Return why a prompt's answer cannot be constrained, None if it can."""
        found = self._of(prompt)
        return found if isinstance(found, str) else None

    def way(self, prompt: Prompt) -> Way:
        """Return the beginning of an answer to a prompt that has no `problem`."""
        import xgrammar

        return Way(xgrammar.GrammarMatcher(self._of(prompt)), self._vocabulary)

    def _of(self, prompt: Prompt) -> Any:
        """Return the compiled grammar, or in words why there is none."""
        tag = self._tag_of(prompt)
        try:
            key = sha256_in_order(tag)
        except (RecursionError, TypeError, ValueError) as error:
            return f"the tools of this sample are no JSON that a grammar could be made of: {reason_of(error)}"
        if key not in self._compiled:
            if len(self._compiled) >= _MOST_GRAMMARS:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = self._compile(tag)
        return self._compiled[key]

    def _compile(self, tag: Mapping[str, Json]) -> Any:
        whole = self._attempt(tag)
        if not isinstance(whole, str):
            return whole
        for name, one in _one_by_one(tag):
            alone = self._attempt(one)
            if isinstance(alone, str):
                return f"no grammar can be made of the schema of {name}: {alone}"
        return f"no grammar can be made of this sample's tools: {whole}"

    def _attempt(self, tag: Mapping[str, Json]) -> Any:
        try:
            return self._compiler.compile_structural_tag(json.dumps(tag))
        except Exception as error:  # schemas are data, and the compiler raises what its C++ throws
            return reason_of(error)


class Way:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def best(self, logits: Any, best: int) -> int:
        """Return the best token that the grammar takes, having taken it; `best` is the best of all of `logits`."""
        if self._matcher.accept_token(best):
            return best
        allowed = int(self.allowed(logits).argmax())
        self.take(allowed)
        return allowed

    def allowed(self, logits: Any) -> Any:
        """Return logits [vocabulary] with minus infinity where the grammar takes no token.

        Raises ValueError if it takes none at all.
        """
        import torch
        import xgrammar

        mask = xgrammar.allocate_token_bitmask(1, self._vocabulary)
        if not self._matcher.fill_next_token_bitmask(mask):
            return logits
        bits = (mask[0][:, None] >> torch.arange(32, dtype=torch.int32)) & 1
        taken = bits.flatten()[: self._vocabulary].bool()
        if not bool(taken.any()):
            raise ValueError("the grammar takes no token of the model's vocabulary here")
        return logits.masked_fill(~taken.to(logits.device), float("-inf"))

    def take(self, token: int) -> None:
        """Go on by one token. Raises ValueError for one that the grammar does not take."""
        if not self._matcher.accept_token(token):
            raise ValueError(f"the grammar does not take the token {token} that its mask allows")

    def back(self) -> None:
        """Take the last token back."""
        self._matcher.rollback(1)


def reason_of(error: BaseException) -> str:
    """Return what an error says in one line, without the place in xgrammar's source."""
    line = first_line(error)
    _, place, said = line.partition(".cc:")
    text = said.partition(": ")[2] if place else line
    return text or line


def _one_by_one(tag: Mapping[str, Json]) -> list[tuple[str, Mapping[str, Json]]]:
    """Return every tag within a structural tag as a structural tag of its own, by its beginning."""
    found: list[tuple[str, Mapping[str, Json]]] = []
    todo: list[Any] = [tag.get("format")]
    while todo:
        current = todo.pop(0)
        if isinstance(current, Mapping):
            if current.get("type") == "tag" and isinstance(current.get("begin"), str) and current["begin"]:
                found.append((repr(current["begin"].strip()), {"type": "structural_tag", "format": current}))
            todo += current.values()
        elif isinstance(current, list | tuple):
            todo += current
    return found
