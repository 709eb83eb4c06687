"""What a server says about itself: which models it serves, what kind it is, how long a context it has.

vLLM, SGLang, llama.cpp and Ollama each say some of it in places of their own; a server that says nothing is asked all the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from harness.errors import EngineError, UsageError, nearest_hint
from harness.fingerprint import sha256_of
from harness.http.client import HttpClient, Reply
from harness.http.failure import RequestFailed

Kind = Literal["vllm", "sglang", "llama.cpp", "ollama", "other"]

_KINDS: Mapping[str, Kind] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "library": "ollama",
}
_LIST_IS_WHOLE: frozenset[Kind] = frozenset(("vllm", "sglang", "llama.cpp"))
"""Servers that take no model's name but those in their list. Gateways and Ollama take others as well."""
_STATED = ("id", "owned_by", "root", "parent", "max_model_len", "meta")
"""What of a listed model is said again by a server that starts anew; `created` and `permission` are not."""

OTHER = (400, 403, 404, 405, 410, 415, 422, 500, 501)
"""Statuses that, to a question which only some servers know, say that this one does not."""

_HELLO_S = 30.0
_MOST_LISTED = 20
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One model on a server. `names` are all that it serves, `version` is "" where it does not say.

    `declared` is what it says about the model, `template` its chat template if it shows it. `root` is the address
    without the `/v1` at its end, below which servers have what OpenAI's interface does not.
    """

    name: str
    names: tuple[str, ...]
    kind: Kind
    version: str
    context_length: int | None
    declared: Mapping[str, Any]
    root: str
    template: str | None = None
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Folders that the server says it has loaded adapters from, with the names that it serves them under."""

    @property
    def is_listed(self) -> bool:
        """False if the server has a list of models and this name is not in it."""
        return not self.names or self.name in self.names

    @property
    def fingerprint(self) -> str:
        """Stand for the weights, which nobody can see from here: `server:` and a hash of what is declared."""
        return f"server:{sha256_of(dict(self.declared))}"


async def describe(client: HttpClient, served_model: str | None) -> ServedModel:
    """Ask the server what it is. `served_model` is the name to use, None for the only one that there is.

    Raises EngineError for a server that cannot be reached, UsageError for a name that it does not serve (where its list
    is known to be whole), and where none was chosen and it lists several, none, or has no list.
    """
    listed = await _models(client)
    if listed is None and served_model is None:
        raise UsageError(
            "the server has no list of models at this address (HTTP 404 for /models)",
            where=client.server.base_url,
            remedy="Check --base-url: it ends before /models and /completions, at most servers with /v1. Of a server "
            "without such a list name the model: --engine-option served_model=NAME.",
        )
    entries = listed or []
    names = tuple(entry["id"] for entry in entries)
    name = _chosen(names, entries, served_model, client.server.host)
    entry = next((entry for entry in entries if entry["id"] == name), {"id": name})
    root = client.server.base_url.removesuffix("/v1")
    kind = _kind_of(entry)
    props = await look(client, "/props", root) if kind in ("llama.cpp", "other") else {}
    if kind == "other" and isinstance(props.get("build_info"), str):
        kind = "llama.cpp"
    version = {}
    if kind == "vllm":
        version = await look(client, "/version", root)
    elif kind in ("ollama", "other"):
        # Its models that are not of its own library are listed under the names of their owners.
        version = await look(client, "/api/version", root)
        kind = "ollama" if kind == "ollama" or isinstance(version.get("version"), str) else "other"
    said = version.get("version") or props.get("build_info")
    template = props.get("chat_template")
    declared = {key: entry[key] for key in _STATED if entry.get(key) is not None}
    return ServedModel(
        name=name,
        names=names,
        kind=kind,
        version=client.redacted(said)[:_LONGEST_NAME] if isinstance(said, str) else "",
        context_length=_context(entry, props),
        declared=declared,
        root=root,
        template=template if isinstance(template, str) and template else None,
        adapters={
            one["root"]: one["id"]
            for one in entries
            if isinstance(one.get("root"), str) and one.get("parent") is not None
        },
    )


async def look(
    client: HttpClient, path: str, below: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the JSON object at an address that only some servers have, {} where there is none."""
    try:
        async with asyncio.timeout(_HELLO_S):
            return await client.ask(
                path, payload_of(body), _object_or_none, answers=(200, *OTHER), below=below
            )
    except (RequestFailed, EngineError, TimeoutError):
        return {}


def payload_of(body: Mapping[str, Any] | None) -> bytes | None:
    """Return a request's body as bytes. Raises UnicodeEncodeError for a lone surrogate, which no server has to take."""
    return None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")


def decoded(reply: Reply) -> dict[str, Any]:
    """Return a reply's JSON object. Raises ValueError, RecursionError or TypeError for anything else."""
    value = json.loads(reply.body)
    if not isinstance(value, dict):
        raise TypeError(f"a JSON object was expected, not {type(value).__name__}")
    return value


def _object_or_none(reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        return {}
    try:
        return decoded(reply)
    except (ValueError, RecursionError, TypeError):
        return {}


async def _models(client: HttpClient) -> list[dict[str, Any]] | None:
    """Return the listed models, [] from a server that refuses the list, None where nothing is at its address."""

    def read(reply: Reply) -> list[dict[str, Any]] | None:
        if reply.status != 200:
            return None if reply.status == 404 else []
        try:
            listed = decoded(reply)["data"]
            found = [one for one in listed if isinstance(one, dict) and isinstance(one["id"], str)]
            payload_of({"data": found})  # names are sent back and the rest is hashed
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            said = client.excerpt(reply.body)
            raise RequestFailed("not_an_answer", f"{type(error).__name__} in {said}") from None
        return found

    try:
        return await client.ask(
            "/models", None, read, answers=(200, 404, 405, 501), attempts=2, timeout_s=_HELLO_S
        )
    except RequestFailed as failed:
        remedy = "Start it, or check --base-url: it ends before /models and /completions, mostly with /v1."
        raise no_answer(failed, client.server.base_url, remedy) from None


def no_answer(failed: RequestFailed, where: str, remedy: str) -> EngineError:
    """Return what ends a run before it begins; `remedy` is for a server that does not run, or is another one."""
    if failed.reason == "rate_limit":
        return EngineError(
            f"the server has a rate limit and lets nothing in: {failed.detail}",
            where=where,
            remedy="Start again, with --resume where a run was begun, when the limit has passed, or raise it at the server.",
        )
    return EngineError(f"the server does not answer: {failed.detail}", where=where, remedy=remedy)


def _chosen(
    names: tuple[str, ...], entries: list[dict[str, Any]], served_model: str | None, host: str
) -> str:
    listed = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_LISTED])
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    if served_model is not None:
        if entries and served_model not in names and _kind_of(entries[0]) in _LIST_IS_WHOLE:
            raise UsageError(
                f"the server has no model {served_model!r}",
                where=host,
                remedy=f"{nearest_hint(served_model, names)}It serves: {listed}{more}.",
            )
        return served_model
    bases = [entry["id"] for entry in entries if entry.get("parent") is None]
    if len(bases) == 1:
        return str(bases[0])
    what = f"the server serves {len(bases)} models" if bases else "the server lists no model"
    remedy = "Choose one: --engine-option served_model=NAME."
    raise UsageError(what, where=host, remedy=f"{remedy} It serves: {listed}{more}." if names else remedy)


def _context(entry: Mapping[str, Any], props: Mapping[str, Any]) -> int | None:
    settings = props.get("default_generation_settings")
    meta = entry.get("meta")
    for value in (
        entry.get("max_model_len"),
        settings.get("n_ctx") if isinstance(settings, dict) else None,
        meta.get("n_ctx") if isinstance(meta, dict) else None,
    ):
        if is_length(value):
            return value
    return None


def is_length(value: Any) -> TypeGuard[int]:
    """Return whether a value from a server can be a context's length."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40


def unlisted_note(served: ServedModel) -> str:
    """Return what to say of a name that the user gave and the server does not list."""
    hint = nearest_hint(served.name, served.names)
    listed = ", ".join(name[:_LONGEST_NAME] for name in served.names[:_MOST_LISTED])
    return f"the server does not list a model {served.name!r}, which is asked all the same. {hint}It lists: {listed}"


def _kind_of(entry: Mapping[str, Any]) -> Kind:
    return _KINDS.get(str(entry.get("owned_by")), "other")
