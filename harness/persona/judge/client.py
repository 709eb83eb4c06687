"""One request to the judge over HTTP: its answer, or a name for what failed.

httpx is imported where it is used: it comes with the extra `persona`.
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

from harness.errors import IncompleteRun
from harness.http import client as http
from harness.http.client import HttpClient, Reply, Server
from harness.http.failure import FailureReason, RequestFailed
from harness.http.gate import Sleep
from harness.http.secret import Secret
from harness.persona.judge.answers import JudgeAnswer, JudgeFailure, JudgeRequest, Outcome
from harness.persona.judge.endpoint import KEY_VARIABLE, Endpoint

EXTRA = "persona"
WHOSE = "the judge's"


class CallBudget:
    """Counts attempts, those that fail and are made again included. `limit` is how many there may be, None for any."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.made = 0

    def take(self) -> None:
        """Count one attempt. Raises IncompleteRun if there may be no more."""
        if self.limit is not None and self.made >= self.limit:
            raise IncompleteRun(
                f"{self.made} calls were made, attempts that failed included, and --max-calls allows no more",
                remedy="Answers are kept, and repeating the command goes on from them.",
            )
        self.made += 1

    async def begin(self) -> int:
        """Count an attempt before it is made, as `harness.http.client.Pace` wants it. Raises IncompleteRun."""
        self.take()
        return self.made

    def end(self, begun: int, failed: FailureReason | None, *, its_own: bool = False) -> None:
        """Do nothing: an attempt counts however it ends."""

    def give_back(self, begun: int) -> None:
        """Count an attempt no more that was not made."""
        self.made -= 1


class JudgeClient:
    """Asks one endpoint; an asynchronous context manager. `sleep` is what waits between attempts.

    A server that asks to wait makes all requests wait, not only the one that was told. Every attempt is taken from
    `budget`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: Secret | None,
        *,
        budget: CallBudget | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        pace = budget if budget is not None else CallBudget()
        self._http = HttpClient(_server(endpoint), key, pace=pace, sleep=sleep)

    async def __aenter__(self) -> JudgeClient:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def ask(self, request: JudgeRequest) -> Outcome:
        """Return the judge's answer, or why there is none after all attempts.

        Raises EngineError where no request could succeed: the key or the address is refused, or the quota is used up;
        IncompleteRun where no further attempt is allowed.
        """
        payload = json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode("utf-8")
        try:
            return await self._http.ask(
                "/chat/completions", payload, lambda reply: self._answer(request.key, reply)
            )
        except RequestFailed as failed:
            return JudgeFailure(key=request.key, reason=failed.reason, detail=failed.detail)

    def _answer(self, key: str, reply: Reply) -> JudgeAnswer:
        try:
            value = json.loads(reply.body)
            choice = value["choices"][0]
            text = choice["message"]["content"]
            if not isinstance(text, str):
                refusal = choice["message"].get("refusal")
                if not isinstance(refusal, str) and text is not None:
                    raise TypeError("its content is no text")
                text = refusal or ""
            usage = value.get("usage")
            served = value.get("model")
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            detail = f"{type(error).__name__}: {error} in {self._http.excerpt(reply.body)}"
            raise RequestFailed("not_an_answer", detail) from None
        return JudgeAnswer(
            key=key,
            text=self._http.redacted(text),
            cut=choice.get("finish_reason") == "length",
            prompt_tokens=_count(usage, "prompt_tokens"),
            answer_tokens=_count(usage, "completion_tokens"),
            served_model=self._http.redacted(served)[:200] if isinstance(served, str) else "",
            host=self.endpoint.host,
        )


def _server(endpoint: Endpoint) -> Server:
    return Server(
        base_url=endpoint.base_url,
        whose=WHOSE,
        key_remedy=f"Put a valid key into {KEY_VARIABLE}, or name its variable with --key-env.",
        address_remedy=f"Check --base-url (it ends before /chat/completions) and --model {endpoint.model}.",
        quota_remedy="What was answered is kept; repeat the command when there is quota again.",
        extra=EXTRA,
        timeout_s=endpoint.timeout_s,
        attempts=endpoint.attempts,
        longest_wait_s=endpoint.longest_wait_s,
        connections=endpoint.parallel,
    )


def import_httpx() -> Any:
    """Return httpx. Raises MissingDependency naming the extra that brings it."""
    return http.import_httpx(WHOSE, EXTRA)


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0
