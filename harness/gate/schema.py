"""`<name>.gate.yaml` as people write it. Every key is documented in docs/gates.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.yaml_spec import Spec

Action = Literal["pass", "warn", "fail"]
"""What a gate makes of *cannot tell*."""

LEAST_DROP = 1e-6
"""The least drop, other than none, that a gate may allow or rule out: no number of samples tells smaller ones."""

# Strict, for YAML reads `yes` as true, which would be 1.
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]


class Target(Spec):
    """The run that `pytest` makes or reuses for these gates when its options name none; paths relative to the file."""

    engine: str = "hf"
    model: str | None = None
    adapter: str | None = None
    options: Mapping[str, str] = {}


class GateSpec(Spec):
    """One gate: a bound on a measured value, or no worse than the baseline by more than a margin.

    `by` says what has to lie beyond the bound or the margin before the gate fails: the measured value or difference (a
    difference must also be more than chance), or its whole interval.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)
    metric: str
    at_least: Number | None = None
    at_most: Number | None = None
    no_worse_by: Annotated[Number, Field(ge=0)] | None = None
    detectable: Annotated[Number, Field(ge=LEAST_DROP)] | None = None
    by: Literal["value", "interval"] = "value"
    slice: Mapping[str, str] = Field(default={}, max_length=1)
    min_n: Count = 20
    cannot_tell: Action | None = None

    @property
    def relative(self) -> bool:
        """True if the gate compares with a baseline."""
        return self.no_worse_by is not None

    @property
    def margin(self) -> float:
        """The drop that is allowed; 0 for a gate that compares with no baseline."""
        return self.no_worse_by or 0.0

    @property
    def ruled_out(self) -> float:
        """The drop that must be ruled out before a relative gate passes."""
        return self.margin if self.detectable is None else self.detectable

    @model_validator(mode="after")
    def _consistent(self) -> GateSpec:
        bounds = [name for name in ("at_least", "at_most", "no_worse_by") if getattr(self, name) is not None]
        if len(bounds) != 1:
            found = " and ".join(bounds) if bounds else "none of them"
            raise ValueError(
                f"gate {self.name!r} needs exactly one of at_least, at_most and no_worse_by, and has {found}"
            )
        if not self.relative and self.detectable is not None:
            raise ValueError(f"gate {self.name!r}: detectable belongs to no_worse_by, and this gate has none")
        if self.no_worse_by == 0 and self.detectable is None:
            raise ValueError(
                f"gate {self.name!r}: no_worse_by: 0 needs detectable, the drop that must be ruled out before it "
                "passes (no data can show a difference of exactly 0)"
            )
        if 0 < self.margin < LEAST_DROP:
            raise ValueError(f"gate {self.name!r}: no_worse_by is 0 or at least {LEAST_DROP}")
        if self.relative and self.ruled_out < self.margin:
            raise ValueError(
                f"gate {self.name!r}: detectable ({self.ruled_out}) is less than no_worse_by ({self.margin})"
            )
        return self


class GateFileSpec(Spec):
    """The gates of one suite; the file lies beside its suite.yaml."""

    schema_: Literal[1] = Field(alias="schema")
    baseline: str | None = Field(default=None, pattern=r"^[^\x00]+\.json$", max_length=1000)
    max_error_rate: float = Field(default=0.0, ge=0, le=1, strict=True)
    cannot_tell: Action = "warn"
    target: Target = Target()
    gates: tuple[GateSpec, ...]
