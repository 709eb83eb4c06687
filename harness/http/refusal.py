"""What a server means by a status: a refusal of this request, or of every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import ServerRefuses
from harness.http.failure import RequestFailed
from harness.http.retry_after import retry_after

if TYPE_CHECKING:
    from harness.http.client import Reply, Server

_RETRIED = {408, 409, 425}
_QUOTA = (b"insufficient_quota", b"billing_hard_limit_reached")
_LARGER_THAN_THE_RATE = b"request too large"
"""What OpenAI and Groq say of one request with more tokens than may be sent in a minute: no waiting helps it."""
_MOST_FORBIDDEN = 8
_LONGEST_PLACE = 200


class Refusals:
    """Tells refusals apart. `excerpt` returns the beginning of a body as it may be shown.

    A server that has answered forbids single requests for what they say (moderation), and all of them only when it
    forbids one after another.
    """

    def __init__(self, server: Server, has_key: bool, excerpt: Callable[[bytes], str]) -> None:
        self._server = server
        self._has_key = has_key
        self._excerpt = excerpt
        self._has_answered = False
        self._forbidden = 0

    def answered(self) -> None:
        """Take in that the server answers who asks it."""
        self._has_answered = True
        self._forbidden = 0

    def of(self, reply: Reply) -> RequestFailed:
        """Return what a status means for this request. Raises ServerRefuses where it means all of them."""
        server, status = self._server, reply.status
        said = f"HTTP {status}: {self._excerpt(reply.body)}"
        if status == 403 and self._has_answered:
            self._forbidden += 1
            if self._forbidden < _MOST_FORBIDDEN:
                return RequestFailed("refused", said, again=False, status=status)
            what = f"the server forbids one request after another ({said})"
            raise ServerRefuses(what, where=server.host, remedy=server.key_remedy)
        if status in (401, 403):
            had = "the key was refused" if self._has_key else "the server wants a key"
            raise ServerRefuses(f"{had} ({said})", where=server.host, remedy=server.key_remedy)
        if 300 <= status < 400:
            what = f"the server sends requests elsewhere, which is not followed (HTTP {status}{_to(reply)})"
            raise ServerRefuses(what, where=server.host, remedy=server.address_remedy)
        if status == 404:
            what = f"no such address or model ({said})"
            raise ServerRefuses(what, where=server.host, remedy=server.address_remedy)
        if status == 402 or (status == 429 and any(word in reply.body for word in _QUOTA)):
            what = f"the quota is used up ({said})"
            raise ServerRefuses(what, where=server.host, remedy=server.quota_remedy)
        wait_s = retry_after(reply.headers.get("retry-after"))
        if status == 429 and _LARGER_THAN_THE_RATE not in reply.body.lower():
            return RequestFailed("rate_limit", said, wait_s=wait_s, status=status)
        if status >= 500 or status in _RETRIED:
            return RequestFailed("server_error", said, wait_s=wait_s, status=status)
        return RequestFailed("refused", said, again=False, status=status)


def _to(reply: Reply) -> str:
    """Return where a redirect points, without what could be a secret: " to https://host/path", or ""."""
    try:
        parts = urlsplit(reply.headers.get("location", ""))
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    place = f"{parts.scheme}://{host}{port}{parts.path}" if host else parts.path
    return f" to {place[:_LONGEST_PLACE]}" if place.isprintable() and place else ""
