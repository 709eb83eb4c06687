"""Build hook: a wheel carries the workspace (suites, datasets, train, baselines) as templates for `harness init`.

Only standard wheels: in an editable install the repository itself is the workspace.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WorkspaceTemplates(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        root = Path(self.root)
        for folder in ("suites", "datasets", "train", "reports/baselines"):
            for path in sorted((root / folder).rglob("*")):
                relative = path.relative_to(root)
                hidden = any(part.startswith((".", "__pycache__")) for part in relative.parts)
                if path.is_file() and not hidden and relative.parts[:2] != ("train", "runs"):
                    build_data["force_include"][str(path)] = f"harness/_templates/{relative.as_posix()}"
