"""Which judge is asked, and how: address, model, parameters, time-outs; the key comes from the environment alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.errors import UsageError
from harness.http.address import checked_address, host_of, is_local, sends_plainly
from harness.http.secret import Secret
from harness.secret_names import secret_name_in
from harness.types import Json

JsonMode = Literal["schema", "object", "none"]
KEY_VARIABLE = "HARNESS_JUDGE_KEY"

_RESERVED = ("model", "messages", "stream", "n", "response_format")


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
        return host_of(self.base_url)

    @property
    def is_local(self) -> bool:
        """True if the endpoint is on this machine: no proxy stands between, and nothing can listen."""
        return is_local(self.base_url)

    @property
    def sends_plainly(self) -> bool:
        """True if a key would travel unencrypted over a network."""
        return sends_plainly(self.base_url)

    def body_params(self) -> dict[str, Json]:
        """Return the parameters of every request: temperature 0 and the answer's budget, unless `params` say else."""
        given: dict[str, Json] = {"temperature": 0, "max_tokens": self.max_tokens, **self.params}
        return {name: value for name, value in given.items() if value is not None}


def checked_endpoint(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with its address in one form. Raises UsageError for one that cannot or must not be used."""
    address = checked_address(
        endpoint.base_url, whose="the judge's", key_variable=KEY_VARIABLE, endpoint="/chat/completions"
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
