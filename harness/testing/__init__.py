"""What tests of models and of plug-ins import: gates as assertions here, fakes and contract tests in the modules."""

from __future__ import annotations

from harness.testing.no_regression import CannotTell, assert_no_regression

__all__ = ["CannotTell", "assert_no_regression"]
