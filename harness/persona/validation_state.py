"""validation.json beside a card: what the metric's own validation found, and whether it still speaks of this metric."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.strict_json import decode_bytes
from harness.errors import HarnessError, SpecError
from harness.persona.card import PersonaCard
from harness.persona.profile import PersonaProfile
from harness.types import Json

VALIDATION = "validation.json"
SCHEMA = 1
RUN_IT = "run harness persona validate"


class ValidationState(NamedTuple):
    """Whether a card's numbers are certified, and why not; `report` is the file's content where there is one."""

    validated: bool
    why_not: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.validated


def validation_path(card: PersonaCard) -> Path:
    """Return where a card's validation stands."""
    return card.folder / VALIDATION


def write_validation(report: Mapping[str, Json], path: Path) -> None:
    """Write a report's JSON in one piece. Raises SpecError where it cannot be written."""
    text = json.dumps(report, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SpecError(f"cannot be written: {error.strerror}", where=path) from error


def read_validation(path: Path) -> dict[str, Any] | None:
    """Return the report of a validation.json, None where there is none. Raises SpecError for a file that is no report."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=path) from error
    try:
        report = decode_bytes(raw, str(path))
    except HarnessError as error:
        raise SpecError(
            f"is no validation report: {error.what}", where=path, remedy=RUN_IT.capitalize() + "."
        ) from error
    wanted = {
        "schema": int,
        "identity": str,
        "certified": bool,
        "reasons": list,
        "checks": list,
        "confounds": list,
    }
    if not isinstance(report, dict) or any(
        not isinstance(report.get(key), kind) for key, kind in wanted.items()
    ):
        raise SpecError("is no validation report", where=path, remedy=RUN_IT.capitalize() + ".")
    return report


def validation_state(card: PersonaCard, profile: PersonaProfile) -> ValidationState:
    """Return whether the card's metric, as it is now, was validated and certified.

    A report on another card, other references, another analyser or other code says nothing about this one.
    """
    path = validation_path(card)
    report = read_validation(path)
    if report is None:
        return ValidationState(False, (f"the metric was never validated: {RUN_IT}",))
    if report["schema"] != SCHEMA or report["identity"] != profile.identity:
        return ValidationState(
            False,
            (
                f"{path.name} is of another card, other references, another version of the metric or another "
                f"analyser: {RUN_IT}",
            ),
        )
    if not report["certified"]:
        return ValidationState(False, tuple(str(reason) for reason in report["reasons"]))
    return ValidationState(True, ())
