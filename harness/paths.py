"""Where things lie: the workspace templates, and names that are safe as file names."""

from __future__ import annotations

import re
from pathlib import Path


def templates_root() -> Path:
    """Return the folder that holds suites/, datasets/ and train/ as shipped.

    In a wheel that is `harness/_templates`; in a source checkout it is the repository itself.
    """
    package = Path(__file__).resolve().parent
    packed = package / "_templates"
    return packed if packed.is_dir() else package.parent


def slug(text: str, limit: int = 40) -> str:
    """Return text as lower-case letters, digits, dots and dashes, safe in a file name on every system."""
    cleaned = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return cleaned[:limit].rstrip("-.") or "x"
