"""What a validation found: every measurement with its goal, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harness.persona.style.confounds import Confound
from harness.persona.validation_state import SCHEMA
from harness.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationCheck:
    """One measurement with its goal. `passed` is None where it was not done; `note` then says why."""

    name: str
    says: str
    goal: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    passed: bool | None
    note: str = ""
    required: bool = False
    """Nothing is certified without it."""

    def as_json(self) -> dict[str, Json]:
        """Return it with None for figures that there are not."""
        return {name: _figure(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """Everything found. `certified` only if every check that was done passes; `reasons` name those that do not."""

    persona: str
    identity: str
    analyser: str
    pairs: int
    held_out: str
    checks: tuple[ValidationCheck, ...]
    confounds: tuple[Confound, ...]
    warnings: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return what failed, or is missing and required, in words."""
        return tuple(
            f"{check.name}: {check.says} is {_shown(check.value)}, the goal is {check.goal}"
            + (f" ({check.note})" if check.note else "")
            if check.passed is False
            else f"{check.name}: not made: {check.note}"
            for check in self.checks
            if check.passed is False or (check.required and check.passed is None)
        )

    @property
    def certified(self) -> bool:
        """Return whether the numbers may stand without a mark."""
        return not self.reasons

    @property
    def not_done(self) -> tuple[str, ...]:
        """Return the checks that were not made, each with why."""
        return tuple(
            f"{check.name} ({check.note})" if check.note else check.name
            for check in self.checks
            if check.passed is None
        )

    def __getitem__(self, name: str) -> ValidationCheck:
        """Return the check of that name."""
        return next(check for check in self.checks if check.name == name)

    def as_json(self) -> dict[str, Any]:
        """Return the content of validation.json."""
        return {
            "schema": SCHEMA,
            "persona": self.persona,
            "identity": self.identity,
            "analyser": self.analyser,
            "pairs": self.pairs,
            "held_out": self.held_out,
            "certified": self.certified,
            "reasons": list(self.reasons),
            "not_done": list(self.not_done),
            "warnings": list(self.warnings),
            "checks": [check.as_json() for check in self.checks],
            "confounds": [
                {
                    "name": one.name,
                    "auc": one.auc.value,
                    "low": _figure(one.auc.low),
                    "high": _figure(one.auc.high),
                }
                for one in self.confounds
            ],
        }


def _figure(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:.3f}"
