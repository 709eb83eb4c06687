"""The suite that an adapter was measured by while it trained, found again from the adapter's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.errors import HarnessError
from harness.log.files import read_json
from harness.models.adapter_origin import AdapterOrigin
from harness.suite.load import Suite
from harness.training.eval_suite import load_eval_suite
from harness.training.recipe import EvalSuiteSpec
from harness.training.run_folder import HEADER


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSuite:
    """A recipe's `eval_suite` and how many of its samples were measured; without a suite, why there is none."""

    suite: Suite | None = None
    limit: int | None = None
    why_not: str = ""


def recipe_suite(adapter: Path, origin: AdapterOrigin | None) -> RecipeSuite:
    """Return the `eval_suite` of the recipe that an adapter was trained by, if it is there and may be run unasked.

    The suite's place is relative to the recipe, which the training run around the adapter names. A suite with a scorer
    of its own is not returned: an adapter may come from anywhere, and must not decide which code runs here.
    """
    named = origin.recipe.get("eval_suite") if origin is not None else None
    if not named:
        return RecipeSuite(why_not="no recipe with an eval_suite is known of this adapter")
    try:
        spec = EvalSuiteSpec.model_validate({"path": named} if isinstance(named, str) else named)
        suite = load_eval_suite(spec.path, _recipe_path(adapter))
    except ValidationError:
        return RecipeSuite(why_not="the eval_suite of its recipe cannot be read")
    except HarnessError as error:
        return RecipeSuite(why_not=f"the eval_suite of its recipe cannot be used: {error.what}")
    if suite.scorer.is_file():
        return RecipeSuite(why_not=f"the eval_suite of its recipe, {suite.folder}, runs a scorer of its own")
    return RecipeSuite(suite=suite, limit=spec.limit)


def _recipe_path(adapter: Path) -> Path:
    """Return where the recipe lies or lay; the adapter's own folder where no run says it. Raises RunFolderError."""
    header = adapter.absolute().parent / HEADER
    recorded = read_json(header).get("recipe_path") if header.is_file() else None
    return Path(recorded) if isinstance(recorded, str) else adapter / HEADER
