"""Runs that are there already: which folders under a parent hold a run of an equal plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.log import schema
from harness.log.files import read_json
from harness.run.plan import RunPlan


def runs_of_plan(parent: Path, plan: RunPlan) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield (folder, run.json) of every run of an equal plan, the latest name first; one that cannot be read is none."""
    fields = plan.fields()
    for header in sorted(parent.glob(f"*/{schema.RUN}"), reverse=True):
        try:
            found = read_json(header)
        except RunFolderError:
            continue
        if found.get("plan") == fields:
            yield header.parent, found
