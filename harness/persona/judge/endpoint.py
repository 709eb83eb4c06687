"""Which judge is asked, and how: address, model, parameters, time-outs; the key comes from the environment alone."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.secret_names import secret_name_in
from harness.types import Json

JsonMode = Literal["schema", "object", "none"]
KEY_VARIABLE = "HARNESS_JUDGE_KEY"
REDACTED = "[redacted]"

_RESERVED = ("model", "messages", "stream", "n", "response_format")
_SHORTEST_SECRET = 4


class Secret:
    """A key that no representation shows. `redact` takes it out of text that a server sent back."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a key is never written")

    def header(self) -> str:
        """Return the value of the Authorization header."""
        return f"Bearer {self._value}"

    def redact(self, text: str) -> str:
        """Return the text without the key."""
        return text.replace(self._value, REDACTED)

    def stands_in(self, value: Json) -> bool:
        """Return whether the key is a part of a JSON value, in a name, a text or a number."""
        written = json.dumps(value, ensure_ascii=False)
        return self._value in written or json.dumps(self._value)[1:-1] in written


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One judge. `base_url` is what stands before `/chat/completions`.

    `params` go into the request's body and into the key of its stored answer; null takes a parameter out, for servers
    that refuse it. `timeout_s` is for one attempt from first byte to last, `longest_wait_s` the longest pause between
    attempts that a server may ask for.
    """

    base_url: str
    model: str
    json_mode: JsonMode = "object"
    max_tokens: int = 2048
    params: Mapping[str, Json] = field(default_factory=dict)
    timeout_s: float = 120.0
    attempts: int = 5
    longest_wait_s: float = 120.0
    parallel: int = 4

    @property
    def host(self) -> str:
        """Return the host as it may be written into results."""
        return urlsplit(self.base_url).netloc

    @property
    def is_local(self) -> bool:
        """True if the endpoint is on this machine: no proxy stands between, and nothing can listen."""
        name = urlsplit(self.base_url).hostname or ""
        if name == "localhost":
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    @property
    def sends_plainly(self) -> bool:
        """True if a key would travel unencrypted over a network."""
        return urlsplit(self.base_url).scheme == "http" and not self.is_local

    def body_params(self) -> dict[str, Json]:
        """Return the parameters of every request: temperature 0 and the answer's budget, unless `params` say else."""
        given: dict[str, Json] = {"temperature": 0, "max_tokens": self.max_tokens, **self.params}
        return {name: value for name, value in given.items() if value is not None}


def checked_endpoint(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with its address in one form. Raises UsageError for one that cannot or must not be used."""
    address = endpoint.base_url.strip().rstrip("/").removesuffix("/chat/completions")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the judge's address cannot be read: {error}") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            "the judge's address holds a user, a password or a query, which could be a secret",
            where=parts.hostname,
            remedy=f"Give the plain address and put the key into {KEY_VARIABLE}.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(
            f"the judge's address is no http or https address: {address[:200]!r}",
            remedy="For example: --base-url http://127.0.0.1:8000/v1",
        )
    if not endpoint.model.strip():
        raise UsageError("the judge's model has no name", remedy="Name it as the server does: --model NAME")
    for name in endpoint.params:
        if name in _RESERVED:
            raise UsageError(
                f"parameter {name!r} is set by the judge itself", remedy="See docs/persona_judge.md."
            )
    secret = secret_name_in(dict(endpoint.params))
    if secret is not None:
        raise UsageError(
            f"parameter {secret!r} may hold a secret, and would be written into the results",
            remedy=f"Put the key into {KEY_VARIABLE}.",
        )
    return Endpoint(
        base_url=address,
        model=endpoint.model.strip(),
        json_mode=endpoint.json_mode,
        max_tokens=endpoint.max_tokens,
        params=dict(endpoint.params),
        timeout_s=endpoint.timeout_s,
        attempts=endpoint.attempts,
        longest_wait_s=endpoint.longest_wait_s,
        parallel=endpoint.parallel,
    )


def check_without_key(endpoint: Endpoint, key: Secret | None) -> None:
    """Raise UsageError if the key stands in the parameters, which are written into the results."""
    if key is not None and key.stands_in(dict(endpoint.params)):
        raise UsageError(
            "a parameter holds the key, and would be written into the results",
            remedy=f"Leave it out: the key in {KEY_VARIABLE} is sent as a Bearer token.",
        )


def key_from(variable: str | None, environment: Mapping[str, str] | None = None) -> Secret | None:
    """Return the key in an environment variable.

    With None the default variable is looked at and may be missing (a server on this machine needs no key). Raises
    UsageError if a variable that was named is not set, or holds what no header can.
    """
    found = os.environ if environment is None else environment
    name = variable or KEY_VARIABLE
    value = found.get(name, "").strip()
    if not value:
        if variable is None:
            return None
        raise UsageError(
            f"the environment variable {name} is not set or empty", remedy=f"export {name}=... and repeat."
        )
    if len(value) < _SHORTEST_SECRET or not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(
            f"the environment variable {name} holds no key: {_SHORTEST_SECRET} or more visible ASCII characters needed"
        )
    return Secret(value)
