"""Why a request got no answer."""

from __future__ import annotations

from typing import Literal

FailureReason = Literal[
    "timeout",
    "connection",
    "rate_limit",
    "server_error",
    "not_an_answer",
    "refused",
    "too_large",
    "prompt_cut",
]


class RequestFailed(Exception):
    """A request without an answer: why, whether another attempt may help, and how long the server asked to wait.

    `status` is the HTTP status where there was one.
    """

    def __init__(
        self,
        reason: FailureReason,
        detail: str,
        *,
        again: bool = True,
        wait_s: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.again = again
        self.wait_s = wait_s
        self.status = status
