"""JSON files of model and adapter folders: an object, or one clear message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import ModelError


def read_json_object(path: Path, *, finite: bool = False) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ModelError for a file that cannot be read or holds anything else.

    With `finite` NaN and Infinity are refused: they are no JSON, and some models' config.json has them all the same.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused if finite else None)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=path) from None
    except (ValueError, RecursionError):
        raise ModelError("not valid JSON", where=path, remedy="Copy or fetch the folder again.") from None
    if not isinstance(value, dict):
        raise ModelError("must be a JSON object", where=path)
    return value


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
