"""From what the user named (model, adapters, suite or tools) to a chat with everything loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.records import load_tools
from harness.engine.base import Engine, EngineRequest
from harness.engine.ready import check_packages
from harness.errors import UsageError
from harness.models.adapter_origin import AdapterOrigin, read_origin
from harness.models.resolve import resolve_model
from harness.models.tokenizer import load_tokenizer
from harness.parse.choose import dialect_for_template, get_dialect
from harness.prompt.render import Renderer
from harness.registry import Registry
from harness.run.chat import Chat
from harness.run.origin_check import check_origin
from harness.suite.load import Suite
from harness.types import Sampling, ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What to chat with. `base_too`: the bare base answers beside its adapters. `tools`: a tools.json."""

    model: str | None = None
    adapters: tuple[Path, ...] = ()
    base_too: bool = False
    suite: Suite | None = None
    tools: Path | None = None
    system: str | None = None
    dialect: str = "auto"
    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=256))
    dtype: str = "auto"
    quantization: str | None = None


def open_chat(request: ChatRequest) -> tuple[Chat, Engine]:
    """Return a chat, and the engine to close after it.

    Raises UsageError (nothing says which model), ModelError (a model or adapter that cannot be used, or an adapter
    that was trained with another base, template or dialect), RecordError (tools), MissingDependency.
    """
    check_packages("hf", {}, quantization=request.quantization)
    origins = {adapter: read_origin(adapter) for adapter in request.adapters}
    if len(origins) != len(request.adapters):
        raise UsageError("an adapter is named twice", remedy="Name each --adapter once.")
    model = resolve_model(request.model or _default_model(request, origins))
    tokenizer = load_tokenizer(model.path)
    template = tokenizer.chat_template
    if not template:
        raise UsageError(
            "this model has no chat template, so there is no way to chat with it", where=model.path
        )
    name = request.dialect
    if name == "auto" and request.suite is not None:
        name = request.suite.spec.dialect
    if name == "auto":
        said = {origin.dialect for origin in origins.values() if origin is not None}
        name = (
            said.pop()
            if len(said) == 1
            else dialect_for_template(template if isinstance(template, str) else None)
        )
    dialect = get_dialect(name)
    renderer = Renderer(tokenizer, dialect)
    for adapter in request.adapters:
        check_origin(adapter, model, renderer, name)
    tools = _tools(request)
    engine: Engine = Registry("harness.engines").get("hf")(
        EngineRequest(
            model=model.name,
            model_path=model.path,
            adapters=request.adapters,
            dtype=request.dtype,
            quantization=request.quantization,
        )
    )
    chat = Chat(
        engine,
        renderer,
        dialect,
        targets=_targets(request),
        tools=tools,
        sampling=request.sampling,
        system=_system(request),
    )
    return chat, engine


def _default_model(request: ChatRequest, origins: Mapping[Path, AdapterOrigin | None]) -> str:
    bases = {origin.base for origin in origins.values() if origin is not None}
    if len(bases) == 1:
        return bases.pop()
    if request.suite is not None:
        return request.suite.spec.models.default
    raise UsageError("nothing says which model to chat with", remedy="Give one with --model.")


def _targets(request: ChatRequest) -> Sequence[tuple[str, Path | None]]:
    """Return (name, adapter) of everyone who answers; adapters of one name are told apart by their folder."""
    names = [adapter.absolute().name for adapter in request.adapters]
    if len(set(names)) < len(names):
        names = [str(adapter) for adapter in request.adapters]
    targets: list[tuple[str, Path | None]] = list(zip(names, request.adapters, strict=True))
    return [("base", None), *targets] if request.base_too or not targets else targets


def _system(request: ChatRequest) -> str | None:
    """Return the system text: the one that was given, else that of the suite's character."""
    if request.system is not None or request.suite is None or request.suite.system_prompt is None:
        return request.system
    return request.suite.system_prompt.text


def _tools(request: ChatRequest) -> Sequence[ToolSpec]:
    if request.tools is not None:
        return tuple(load_tools(request.tools).values())
    return tuple(request.suite.tools.values()) if request.suite is not None else ()
