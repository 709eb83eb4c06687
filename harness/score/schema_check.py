"""One tool's schema, compiled once: is a call valid, what is wrong with it, which of its keys are invented.

The reference is `jsonschema.Draft202012Validator` over the closed schema (see `schema_close`), format checks off. A
compiled yes-or-no function answers first; the reference explains a "no" and judges what the compiled one cannot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.score.hostile import is_hostile
from harness.score.schema_close import closed_schema
from harness.score.schema_fast import Check, compile_fast
from harness.score.shape import Shape
from harness.types import Json, ToolSpec

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

ViolationCode = Literal["V1", "V2", "V3", "H2", "unusable"]

_TOOL_CACHE = 4096
_VERDICT_CACHE = 20_000
_VERDICT_TEXT = 4096
_MAX_VIOLATIONS = 20

_CODE_OF_KEYWORD: dict[str, ViolationCode] = {
    "required": "V1",
    "dependentRequired": "V1",
    "type": "V2",
    "anyOf": "V2",
    "oneOf": "V2",
    "additionalProperties": "H2",
    "unevaluatedProperties": "H2",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which arguments miss the schema; `path` is the place, keys joined by dots."""

    code: ViolationCode
    path: str
    keyword: str


UNUSABLE = (Violation("unusable", "", ""),)
HOSTILE = (Violation("V2", "", "limits"),)


class CompiledTool:
    """A tool with everything that scoring derives from its schema."""

    __slots__ = ("_fast", "_schema", "_validator", "_verdicts", "shape", "spec")

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec
        self.shape = Shape([spec.parameters], spec.parameters)
        try:
            self._schema = closed_schema(spec.parameters)
        except RecursionError:
            self._schema = dict(spec.parameters)
        self._fast: Check | None = compile_fast(self._schema)
        self._validator: Validator | None = None
        self._verdicts: dict[str, tuple[Violation, ...]] = {}

    def violations(
        self, arguments: Mapping[str, Json], *, hostile: bool | None = None
    ) -> tuple[Violation, ...]:
        """Return what is wrong with a call's arguments; empty means valid, `UNUSABLE` that the schema is broken."""
        if is_hostile(arguments) if hostile is None else hostile:
            return HOSTILE
        if self._fast is not None and self._fast(arguments):
            return ()
        try:
            key = json.dumps(arguments, sort_keys=True)
        except (ValueError, TypeError):
            return self._explain(arguments)
        if len(key) > _VERDICT_TEXT:
            return self._explain(arguments)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._explain(arguments)
            if len(self._verdicts) >= _VERDICT_CACHE:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        return verdict

    def _explain(self, arguments: Mapping[str, Json]) -> tuple[Violation, ...]:
        found: list[Violation] = []
        try:
            for error in self._reference().iter_errors(dict(arguments)):
                keyword = str(error.validator)
                code = _CODE_OF_KEYWORD.get(keyword, "V3")
                place = ".".join(str(part) for part in error.absolute_path)
                found += [Violation(code, path, keyword) for path in _paths(keyword, place, error)]
                if len(found) >= _MAX_VIOLATIONS:
                    break
        except Exception:  # a schema that makes the validator fail can judge nothing; lint reports it
            return UNUSABLE
        return tuple(dict.fromkeys(found))

    def _reference(self) -> Validator:
        if self._validator is None:
            from jsonschema import Draft202012Validator
            from referencing import Registry

            registry: Registry[Any] = Registry()  # the default registry would fetch remote references
            self._validator = Draft202012Validator(self._schema, registry=registry)
        return self._validator


def _paths(keyword: str, place: str, error: Any) -> list[str]:
    if keyword not in ("required", "additionalProperties") or not isinstance(error.instance, Mapping):
        return [place]
    prefix = f"{place}." if place else ""
    if keyword == "required":
        # One error names one missing key, in its message only; all missing keys of the object are equally right.
        return [f"{prefix}{key}" for key in error.validator_value if key not in error.instance]
    known = error.schema.get("properties", {})
    return [f"{prefix}{key}" for key in error.instance if key not in known]


# The spec is kept beside its tool: an id means nothing once its object is gone.
_by_identity: dict[int, tuple[ToolSpec, CompiledTool]] = {}
_by_content: dict[str, CompiledTool] = {}


def compiled(spec: ToolSpec) -> CompiledTool:
    """Return the compiled form of a tool, made once per content."""
    entry = _by_identity.get(id(spec))
    if entry is not None and entry[0] is spec:
        return entry[1]
    if len(_by_identity) >= _TOOL_CACHE:
        _by_identity.clear()
        _by_content.clear()
    try:
        content = json.dumps([spec.name, spec.description, spec.parameters])
    except (ValueError, TypeError, RecursionError):
        tool = CompiledTool(spec)
    else:
        tool = _by_content.get(content) or CompiledTool(spec)
        _by_content[content] = tool
    _by_identity[id(spec)] = (spec, tool)
    return tool
