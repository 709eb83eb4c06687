"""Where things that can be fetched or computed again are kept: one folder a user, per platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.errors import UsageError

CACHE_VARIABLE = "HARNESS_CACHE"
_FOLDER = "persona-harness"


def cache_dir() -> Path:
    """Return the user's cache folder (it may not exist yet).

    `HARNESS_CACHE` if set, else %LOCALAPPDATA% on Windows, ~/Library/Caches on macOS, $XDG_CACHE_HOME or ~/.cache
    elsewhere, each with `persona-harness` below it. Raises UsageError for a user without a home folder.
    """
    try:
        return _cache_dir()
    except RuntimeError as error:
        raise UsageError(
            f"no place for a cache: {error}",
            remedy=f"Set {CACHE_VARIABLE} to a folder that you may write to.",
        ) from None


def _cache_dir() -> Path:
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return Path(override).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / _FOLDER
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _FOLDER
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification says that a relative path there is to be ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / _FOLDER


def models_dir() -> Path:
    """Return the folder that holds pulled models, one sub-folder an alias."""
    return cache_dir() / "models"
