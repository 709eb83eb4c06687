"""Where an adapter comes from: base, chat template, data, recipe and a golden prompt, carried in its folder.

An adapter answers well only the prompts it was trained on. So its folder says how they were written, and whoever uses
it can compare.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import ModelError

ORIGIN_FILE = "harness_adapter.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPrompt:
    """A fixed conversation as the training run rendered it, and the sha256 of its token ids.

    `date` is the day that the chat template was told (ISO form); None for a template that asks for none, and in files
    of versions that told it the day of training.
    """

    text: str
    tokens_sha256: str
    date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterOrigin:
    """What `harness_adapter.json` says.

    `data` maps split names to file names and hashes; `recipe` is the whole recipe; `step` and `epoch` say which
    checkpoint of its run it is.
    """

    base: str
    base_fingerprint: str
    dialect: str
    template_sha256: str
    tools_by: str
    golden: GoldenPrompt
    data: Mapping[str, Any]
    recipe: Mapping[str, Any]
    recipe_sha256: str
    versions: Mapping[str, str]
    step: int
    epoch: float
    created: str
    notes: Mapping[str, Any] = field(default_factory=dict)


def origin_record(origin: AdapterOrigin) -> dict[str, Any]:
    """Return the origin as the JSON object that is stored."""
    return {"schema": _SCHEMA, **asdict(origin)}


def read_origin(adapter: Path) -> AdapterOrigin | None:
    """Return where an adapter comes from, None for an adapter that was made elsewhere.

    Raises ModelError for a file that cannot be read or is of a later version.
    """
    path = adapter / ORIGIN_FILE
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("schema") != _SCHEMA:
            raise ModelError(
                "written by a later version of harness", where=path, remedy="Update persona-harness."
            )
        origin = AdapterOrigin(**{**record, "golden": GoldenPrompt(**record["golden"])})
        _check_types(origin)
        return origin
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=path) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(
            "not a description of an adapter that can be read",
            where=path,
            remedy="Restore the file from where the adapter was made, or delete it to use the adapter unchecked.",
        ) from None


def _check_types(origin: AdapterOrigin) -> None:
    """Raise TypeError for a field of another type than its own."""
    texts = (
        *(origin.base, origin.base_fingerprint, origin.dialect, origin.template_sha256, origin.tools_by),
        *(origin.recipe_sha256, origin.created, origin.golden.text, origin.golden.tokens_sha256),
    )
    objects = (origin.data, origin.recipe, origin.versions, origin.notes)
    numbers = (origin.step, origin.epoch)
    if not (
        all(isinstance(one, str) for one in texts)
        and all(isinstance(one, Mapping) for one in objects)
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers)
    ):
        raise TypeError("a field of another type")
