"""One request to the judge over HTTP: time-outs, capped attempts, Retry-After, and a name for everything that fails.

httpx is imported where it is used: it comes with the extra `persona`.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from harness.errors import EngineError, IncompleteRun, MissingDependency, UsageError
from harness.persona.judge.answers import JudgeAnswer, JudgeFailure, JudgeRequest, Outcome
from harness.persona.judge.endpoint import KEY_VARIABLE, Endpoint, Secret
from harness.persona.judge.reasons import FailureReason

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 1 << 20
_LONGEST_DETAIL = 300
_FIRST_WAIT_S = 1.0
_RETRIED = {408, 409, 425, 429}
_KEY_REFUSED = {401, 403}
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")

Sleep = Callable[[float], Awaitable[object]]


class _Failed(Exception):
    """An attempt that failed: why, whether another attempt may help, and how long the server asked to wait."""

    def __init__(
        self, reason: FailureReason, detail: str, *, again: bool = True, wait_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.again = again
        self.wait_s = wait_s


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
        self._budget = budget if budget is not None else CallBudget()
        self._key = key
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None
        self._pauses = 0
        self._open_again = asyncio.Event()
        self._open_again.set()
        # Spreads the retries of parallel requests; it decides nothing that is measured.
        self._jitter = random.Random(0)

    async def __aenter__(self) -> JudgeClient:
        httpx = import_httpx()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = self._key.header()
        try:
            httpx.URL(self.endpoint.base_url)
            self._client = httpx.AsyncClient(
                headers=headers,
                timeout=httpx.Timeout(self.endpoint.timeout_s),
                limits=httpx.Limits(max_connections=self.endpoint.parallel),
                # A redirect would carry the key elsewhere; a proxy has no part in what stays on this machine.
                follow_redirects=False,
                trust_env=not self.endpoint.is_local,
            )
        except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
            raise UsageError(
                f"the judge's address, or a proxy or certificate setting of the environment, cannot be used: {error}",
                where=self.endpoint.host,
            ) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, request: JudgeRequest) -> Outcome:
        """Return the judge's answer, or why there is none after all attempts.

        Raises EngineError where no request could succeed: the key or the address is refused, or the quota is used up;
        IncompleteRun where no further attempt is allowed.
        """
        payload = json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode("utf-8")
        for attempt in range(1, self.endpoint.attempts + 1):
            await self._open_again.wait()
            self._budget.take()
            try:
                return await self._attempt(request, payload)
            except _Failed as failed:
                last = failed
            if not last.again or attempt == self.endpoint.attempts:
                break
            wait_s = last.wait_s
            if wait_s is not None and wait_s > self.endpoint.longest_wait_s:
                last.detail += f" (asked to wait {wait_s:.0f} s, which is more than {self.endpoint.longest_wait_s:.0f} s)"
                break
            await self._wait(wait_s, attempt)
        return JudgeFailure(key=request.key, reason=last.reason, detail=self._redacted(last.detail))

    async def _wait(self, asked_s: float | None, attempt: int) -> None:
        if asked_s is None:
            backoff = min(self.endpoint.longest_wait_s, _FIRST_WAIT_S * 2 ** (attempt - 1))
            await self._sleep(backoff * (0.75 + 0.5 * self._jitter.random()))
            return
        self._pauses += 1
        self._open_again.clear()
        try:
            await self._sleep(asked_s)
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._open_again.set()

    async def _attempt(self, request: JudgeRequest, payload: bytes) -> JudgeAnswer:
        httpx = import_httpx()
        try:
            # httpx's own time-outs are for one read; a server that sends a byte now and then would hold us for ever.
            async with asyncio.timeout(self.endpoint.timeout_s):
                status, headers, body = await self._post(payload)
        except (TimeoutError, httpx.TimeoutException):
            raise _Failed("timeout", f"no answer within {self.endpoint.timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise _Failed("connection", f"{type(error).__name__}: {error}") from None
        if status != 200:
            raise self._refusal(status, headers, body)
        return self._answer(request.key, body)

    async def _post(self, payload: bytes) -> tuple[int, Mapping[str, str], bytes]:
        assert self._client is not None, "used outside its context"
        url = f"{self.endpoint.base_url}/chat/completions"
        body = bytearray()
        async with self._client.stream("POST", url, content=payload) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise _Failed("too_large", "more than 1 MB", again=False)
            return response.status_code, response.headers, bytes(body)

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> _Failed:
        """Return what a status other than 200 means for this request; raise EngineError where it means all of them."""
        said = f"HTTP {status}: {self._excerpt(body)}"
        if status in _KEY_REFUSED:
            had = "the key was refused" if self._key else "the server wants a key"
            raise EngineError(
                f"{had} ({said})",
                where=self.endpoint.host,
                remedy=f"Put a valid key into {KEY_VARIABLE}, or name its variable with --key-env.",
            )
        if status == 404 or 300 <= status < 400:
            raise EngineError(
                f"no such address or model ({said})",
                where=self.endpoint.host,
                remedy=f"Check --base-url (it ends before /chat/completions) and --model {self.endpoint.model}.",
            )
        if status == 429 and any(word in said for word in _QUOTA):
            raise EngineError(
                f"the quota is used up ({said})",
                where=self.endpoint.host,
                remedy="What was answered is kept; repeat the command when there is quota again.",
            )
        wait_s = retry_after(headers.get("retry-after"))
        if status == 429:
            return _Failed("rate_limit", said, wait_s=wait_s)
        if status >= 500 or status in _RETRIED:
            return _Failed("server_error", said, wait_s=wait_s)
        return _Failed("refused", said, again=False)

    def _answer(self, key: str, body: bytes) -> JudgeAnswer:
        try:
            value = json.loads(body)
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
            detail = f"{type(error).__name__}: {error} in {self._excerpt(body)}"
            raise _Failed("not_an_answer", detail) from None
        return JudgeAnswer(
            key=key,
            text=self._redacted(text),
            cut=choice.get("finish_reason") == "length",
            prompt_tokens=_count(usage, "prompt_tokens"),
            answer_tokens=_count(usage, "completion_tokens"),
            served_model=self._redacted(served)[:200] if isinstance(served, str) else "",
            host=self.endpoint.host,
        )

    def _excerpt(self, body: bytes) -> str:
        """Return the beginning of a body. The key is taken out first: a cut would leave a part that is no longer it."""
        text = self._redacted(body.decode("utf-8", "replace"))
        return " ".join(text[: 4 * _LONGEST_DETAIL].split())[:_LONGEST_DETAIL] or "(empty)"

    def _redacted(self, text: str) -> str:
        return self._key.redact(text) if self._key is not None else text


def import_httpx() -> Any:
    """Return httpx. Raises MissingDependency naming the extra that brings it."""
    try:
        import httpx
    except ImportError:
        raise MissingDependency(
            "the judge needs httpx, which is not installed", remedy='pip install "persona-harness[persona]"'
        ) from None
    return httpx


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110, 10.2.3: seconds or a date), None if unclear."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0
