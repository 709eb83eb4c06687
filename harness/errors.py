"""What can go wrong, as one tree; the command line turns each class into an exit code.

HarnessError                      one clear message: what, where, what to do
|-- UsageError              (4)   wrong command line, bad YAML, missing file, plan mismatch
|   |-- SpecError           (4)   a YAML file says something it may not
|   |-- RecordError         (4)   a data-set line is wrong
|   |-- ModelError          (4)   a model or adapter cannot be used
|   `-- RunFolderError      (4)   a run folder is damaged, locked, or of another plan
|-- NothingCollected        (5)   zero samples, or zero gates
|-- IncompleteRun           (6)   samples missing, or too many errors
|-- StorageError            (6)   the disk is full or not writable; what was written stays, resume continues
|-- EngineError             (6)   the engine cannot go on at all
|   `-- ServerRefuses       (6)   a server refuses every request alike: asking again, from anywhere, cannot help
|-- MissingDependency       (4)   an optional package is not installed
`-- Interrupted             (2)   Ctrl-C; resumable
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

EXIT_DONE = 0
EXIT_GATE_FAILED = 1
EXIT_INTERRUPTED = 2
EXIT_INTERNAL = 3
EXIT_USAGE = 4
EXIT_NOTHING_COLLECTED = 5
EXIT_INCOMPLETE = 6

_LONGEST_NAME = 200
_LONGEST_LINE = 300


class HarnessError(Exception):
    """Base of everything the harness raises on purpose.

    `where` is a place a person can open ("file:line", a folder, a record id); `remedy` says what to do next.
    """

    exit_code = EXIT_INTERNAL

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = str(where) if where is not None else None
        self.remedy = remedy
        super().__init__(self.one_message())

    def one_message(self) -> str:
        """Return "where: what. remedy" in one paragraph."""
        place = f"{self.where}: " if self.where else ""
        mend = f"\n  {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{mend}"


class UsageError(HarnessError):
    exit_code = EXIT_USAGE


class SpecError(UsageError):
    pass


class RecordError(UsageError):
    pass


class ModelError(UsageError):
    pass


class RunFolderError(UsageError):
    pass


class MissingDependency(UsageError):
    pass


class NothingCollected(HarnessError):
    exit_code = EXIT_NOTHING_COLLECTED


class IncompleteRun(HarnessError):
    exit_code = EXIT_INCOMPLETE


class StorageError(HarnessError):
    exit_code = EXIT_INCOMPLETE


class EngineError(HarnessError):
    exit_code = EXIT_INCOMPLETE


class ServerRefuses(EngineError):
    pass


class Interrupted(HarnessError):
    exit_code = EXIT_INTERRUPTED


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that says something, cut to a readable length; its type if none does."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return line[:_LONGEST_LINE] or type(error).__name__


def named_line(error: BaseException) -> str:
    """Return an error as one line: its type, and the first line of its message."""
    name = type(error).__name__
    return f"{name}: {first_line(error)}" if str(error).strip() else name


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that `name` probably means (a ratio of equal characters above `cutoff`), or None."""
    from difflib import get_close_matches

    if len(name) > _LONGEST_NAME:
        return None
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'? " for a sentence to follow, or ""."""
    close = nearest_name(name, known)
    return "" if close is None else f"Did you mean {close!r}? "


def did_you_mean(name: str, known: Iterable[str], label: str = "Known") -> str:
    """Return "Did you mean 'x'?", or the list of what is known."""
    names = sorted(known)
    listed = f"{label}: {', '.join(names) or 'none'}."
    return nearest_hint(name, names).rstrip() or listed
