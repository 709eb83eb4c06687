"""Read a YAML file into a pydantic model, strictly: unknown keys, duplicate keys and wrong types name file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from harness.errors import SpecError, did_you_mean

Positive = Annotated[int, Field(ge=1, le=10**9)]

_MOST_OTHERS = 6


class Spec(BaseModel):
    """Base of everything that people write in YAML.

    Not strict, since YAML reads `1e-4` as text; but a number is never made of `true`, nor of `yes` and `on`, which YAML
    reads as true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_no_booleans(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        wrong: list[InitErrorDetails] = []
        for key, wanted in _numbers(cls).items():
            value = data.get(key)
            inner = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            )
            if any(isinstance(one, bool) for one in inner):
                message = f"Input should be a valid {wanted}; true, false, yes, no, on and off are none"
                wrong.append(
                    InitErrorDetails(type=PydanticCustomError("boolean", message), loc=(key,), input=value)
                )
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return data


class FiniteSpec(Spec):
    """Keys of which every number is finite, so that they can be hashed and written as JSON."""

    model_config = ConfigDict(allow_inf_nan=False)


@cache
def _numbers(model: type[BaseModel]) -> dict[str, str]:
    """Return the keys that hold numbers and no booleans, each with "integer" or "number"."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        kinds = set(_plain_types(field.annotation))
        if kinds & {int, float} and not kinds & {bool, Any}:
            found[field.alias or name] = "number" if float in kinds else "integer"
    return found


def _plain_types(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is put together of; those of its literals, and a model as itself."""
    if get_origin(annotation) is Literal:
        yield from map(type, get_args(annotation))
    elif get_args(annotation):
        for part in get_args(annotation):
            yield from _plain_types(part)
    else:
        yield annotation


SpecT = TypeVar("SpecT", bound=BaseModel)


def read_yaml_spec(
    path: Path, model: type[SpecT], remedy_for: Callable[[str], str | None] = lambda key: None
) -> SpecT:
    """Return the file as `model`.

    `remedy_for` may know what to write instead of an unknown key. Raises SpecError (file:line, what, what was probably
    meant) for a missing file, YAML that does not parse, duplicate or unknown keys, and values of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        what = "a link to a file that is not there" if path.is_symlink() else "no such file"
        raise SpecError(what, where=path) from None
    except IsADirectoryError:
        raise SpecError("this is a folder, not a YAML file", where=path) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"not UTF-8 text ({error.reason} at byte {error.start})", where=path) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=path) from None
    try:
        root, data = _parsed(text, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise SpecError(
            f"not valid YAML: {error.problem}", where=f"{path}:{mark.line + 1 if mark else 1}"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"not valid YAML: {str(error).splitlines()[0]}", where=path) from None
    if root is None or not isinstance(data, dict):
        raise SpecError("must hold keys and values", where=path)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _spec_error(error, path, root, model, remedy_for) from None


def place_of(path: Path, *keys: str | int) -> str:
    """Return "file:line" of the innermost of nested keys and indices that stands in a YAML file that was read before."""
    root, _ = _parsed(path.read_text(encoding="utf-8"), path)
    return str(path) if root is None else f"{path}:{_line_of(root, keys)}"


def _parsed(text: str, path: Path) -> tuple[yaml.Node | None, Any]:
    # Making the loader reads the text, and refuses characters that YAML does not know.
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        _refuse_duplicate_keys(root, path)
        return root, loader.construct_document(root) if root is not None else None
    finally:
        loader.dispose()


def _refuse_duplicate_keys(
    node: yaml.Node | None, path: Path, depth: int = 0, visited: set[int] | None = None
) -> None:
    visited = set() if visited is None else visited
    # An alias is the same node again: walking it once is enough, and a bomb of aliases stays small.
    if id(node) in visited:
        return
    visited.add(id(node))
    if depth > 100:
        raise SpecError("nested more than 100 levels deep", where=path)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                line = key.start_mark.line + 1
                raise SpecError(
                    f"key {name!r} stands twice (first in line {seen[name]})", where=f"{path}:{line}"
                )
            seen[name] = key.start_mark.line + 1
            _refuse_duplicate_keys(value, path, depth + 1, visited)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_duplicate_keys(value, path, depth + 1, visited)


def _spec_error(
    error: ValidationError,
    path: Path,
    root: yaml.Node,
    model: type[BaseModel],
    remedy_for: Callable[[str], str | None],
) -> SpecError:
    found = error.errors(include_url=False)
    # A misspelt key is reported both as unknown and as missing; the unknown one is what the author can see.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    location = first["loc"]
    dotted = _dotted(root, location)
    others = [
        f"{_dotted(root, one['loc'])[:80]} (line {_line_of(root, one['loc'])})"
        for one in found
        if one is not first
    ]
    shown_others = ", ".join(others[:_MOST_OTHERS]) + (", ..." if len(others) > _MOST_OTHERS else "")
    remedy = f"({len(others)} more after this one: {shown_others})" if others else None
    if first["type"] == "extra_forbidden":
        what = f"unknown key {dotted!r}"
        known = _known_keys(model, location[:-1])
        meant = remedy_for(str(location[-1])) or did_you_mean(str(location[-1]), known, "Known keys")
        remedy = f"{meant} {remedy or ''}".strip()
    elif first["type"] == "missing":
        what = f"key {dotted!r} is missing"
    else:
        what = f"{dotted}: {first['msg'].removeprefix('Value error, ')}"
        shown = repr(first.get("input"))
        if len(shown) <= 60:
            what += f" (it is {shown})"
    return SpecError(what, where=f"{path}:{_line_of(root, location)}", remedy=remedy)


def _known_keys(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model allows at a location; [] where that cannot be told."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if not location:
            return list(fields)
        field = fields.get(str(location[0]))
        return _known_keys(field.annotation, location[1:]) if field else []
    arguments = get_args(model)
    if isinstance(location[0] if location else None, int):
        location = location[1:]
    for argument in arguments:
        keys = _known_keys(argument, location)
        if keys:
            return keys
    if arguments and location:
        return _known_keys(arguments[-1], location[1:])
    return []


def _dotted(root: yaml.Node, location: tuple[int | str, ...]) -> str:
    """Return a location as a person would write it: without the index of a list of one that is written without its list."""
    node = root
    parts = []
    for part in location:
        _, child = _child(node, part)
        if part == 0 and child is None and not isinstance(node, yaml.SequenceNode):
            continue
        parts.append(str(part))
        node = node if child is None else child  # pydantic's names of a union's types stand in no file
    return ".".join(parts)


def _child(node: yaml.Node, part: int | str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return the node where a key or an item begins, and the one it holds; None twice where it is not in the file."""
    if isinstance(node, yaml.MappingNode):
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        return next((pair for pair in pairs if pair[0].value == str(part)), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None, None


def _line_of(node: yaml.Node, location: tuple[int | str, ...]) -> int:
    """Return the 1-based line of the innermost key of `location` that stands in the file."""
    line = node.start_mark.line + 1
    for part in location:
        begin, child = _child(node, part)
        if begin is not None and child is not None:
            line, node = begin.start_mark.line + 1, child
    return line
