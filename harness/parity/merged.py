"""The adapter merged into its base, for the column that runs it so; the weights go when that column is done."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from harness.errors import UsageError
from harness.parity.folder import MERGED, Parity
from harness.run.session import BASE
from harness.training.merge import merge
from harness.training.merge_plan import DTYPES, MERGE_FILE, plan_merge

_MOST_READ = 500


def merged_model(parent: Path, parity: Parity, dtype: str, say: Callable[[str], None]) -> Path:
    """Return the merged model's folder below `parent`, in the numbers of the reference so that merging rounds nothing.

    One that is there and whole is taken as it is. Raises what a merge raises (ModelError, EngineError, StorageError),
    and UsageError for a reference whose numbers no folder can hold.
    """
    folder = parent / MERGED
    if (folder / MERGE_FILE).is_file():
        return folder
    if dtype not in DTYPES:
        raise UsageError(
            f"the reference computes in {dtype!r}, so there is nothing to merge for it",
            remedy="Take an engine that loads weights as the reference: --engines hf,...",
        )
    if parity.adapter == BASE:
        raise UsageError(
            "--merged merges an adapter into its base", remedy="Give the adapter with --adapter."
        )
    base = parity.model or parity.suite.spec.models.default
    plan = plan_merge(Path(parity.adapter), folder, base=base, dtype=dtype, replace=True)
    samples = tuple(located.sample for located in islice(parity.suite.samples(), _MOST_READ))
    outcome = merge(plan, samples, say, min_agreement=0.0)
    say(
        f"merged; the same next token at {outcome.agreement.share:.2%} of {outcome.agreement.positions} positions"
    )
    return folder
