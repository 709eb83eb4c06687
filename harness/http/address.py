"""The address of a server: checked, in one form, and without anything that could be a secret."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from harness.errors import UsageError


def checked_address(text: str, *, whose: str, key_variable: str, endpoint: str = "") -> str:
    """Return an http or https address without its last slash, and without the name of the `endpoint` below it.

    `whose` begins what is said ("the judge's"). Raises UsageError for one that cannot be used, or that holds a user, a
    password, a query or a fragment.
    """
    address = text.strip().rstrip("/")
    if endpoint:
        address = address.removesuffix(endpoint)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{whose} address cannot be read: {error}") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            f"{whose} address holds a user, a password or a query, which could be a secret",
            where=parts.hostname,
            remedy=f"Give the plain address and put the key into {key_variable}.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(
            f"{whose} address is no http or https address: {address[:200]!r}",
            remedy="An address looks like http://127.0.0.1:8000/v1.",
        )
    return address


def host_of(address: str) -> str:
    """Return host and port as they may be written into results."""
    return urlsplit(address).netloc


def is_local(address: str) -> bool:
    """True if the server is on this machine: no proxy stands between, and nothing can listen."""
    name = urlsplit(address).hostname or ""
    if name == "localhost":
        return True
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        return False
    plain = getattr(number, "ipv4_mapped", None) or number
    # Asked as a client, the address of all interfaces is this machine.
    return bool(plain.is_loopback or plain.is_unspecified)


def sends_plainly(address: str) -> bool:
    """True if a key would travel unencrypted over a network."""
    return urlsplit(address).scheme == "http" and not is_local(address)
