"""A `*.gate.yaml` file -> GateFile, and which gate files lie beside a suite. Reads nothing but the file itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import NothingCollected, SpecError
from harness.gate.schema import Action, GateFileSpec, GateSpec
from harness.yaml_spec import read_yaml_spec

SUFFIX = ".gate.yaml"

_SLIPS = {
    "threshold": "Write at_least or at_most.",
    "min": "Write at_least.",
    "max": "Write at_most.",
    "margin": "Write no_worse_by.",
    "tags": "Write slice.",
    "n": "Write min_n.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFile:
    """A gate file: where it lies, what it says, and the 1-based line of each gate's name."""

    path: Path
    spec: GateFileSpec
    lines: tuple[int, ...]

    @property
    def relative(self) -> tuple[GateSpec, ...]:
        """The gates that compare with the baseline."""
        return tuple(gate for gate in self.spec.gates if gate.relative)

    @property
    def baseline(self) -> Path | None:
        """The baseline file that it names, which may not exist."""
        named = self.spec.baseline
        return None if named is None else (self.path.parent / named).resolve()

    def where(self, gate: GateSpec) -> str:
        """Return "file:line" of a gate."""
        return f"{self.path}:{self.lines[self.spec.gates.index(gate)]}"

    def action(self, gate: GateSpec) -> Action:
        """Return what a gate makes of *cannot tell*: its own choice, or the file's."""
        return gate.cannot_tell or self.spec.cannot_tell


def load_gate_file(path: Path) -> GateFile:
    """Return a gate file.

    Raises SpecError (file:line) for what a gate file may not say, two gates of one name, and a baseline that no gate
    compares with; NothingCollected for a file without gates.
    """
    if not path.name.endswith(SUFFIX):
        raise SpecError(f"a gate file's name ends in {SUFFIX}", where=path)
    spec = read_yaml_spec(path, GateFileSpec, _SLIPS.get)
    if not spec.gates:
        raise NothingCollected("no gates in this file, so it would let everything pass", where=path)
    file = GateFile(path=path, spec=spec, lines=_lines(path, [gate.name for gate in spec.gates]))
    first: dict[str, int] = {}
    for gate, line in zip(spec.gates, file.lines, strict=True):
        if gate.name in first:
            raise SpecError(
                f"two gates are called {gate.name!r} (the first in line {first[gate.name]})",
                where=f"{path}:{line}",
                remedy="A gate's name says which one failed; give each its own.",
            )
        first[gate.name] = line
    if spec.baseline is not None and not file.relative:
        raise SpecError(
            f"baseline {spec.baseline!r} is not used: no gate has no_worse_by",
            where=path,
            remedy="Leave out baseline, or add a gate that compares with it.",
        )
    return file


def gate_paths_of(folder: Path) -> list[Path]:
    """Return every gate file in a suite's folder, by name, also what cannot be read: it must not vanish.

    Raises NothingCollected if there is none.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise NothingCollected(
            f"no *{SUFFIX} beside this suite, so nothing is decided",
            where=folder,
            remedy="Write one (docs/gates.md), or name one with --gate-file.",
        )
    return paths


def gate_files_of(folder: Path) -> list[GateFile]:
    """Return every gate file in a suite's folder, by name. Raises as `gate_paths_of` and `load_gate_file`."""
    return [load_gate_file(path) for path in gate_paths_of(folder)]


def _lines(path: Path, names: list[str]) -> tuple[int, ...]:
    """Return where each gate's name stands; the YAML is sound by now, so its text can be searched."""
    text = path.read_text(encoding="utf-8")
    seen: dict[str, int] = {}
    lines = []
    for name in names:
        pattern = re.compile(rf"\bname\s*[\"']?\s*:\s*[\"']?{re.escape(name)}(?![\w.-])")
        found = pattern.search(text, seen.get(name, 0))
        seen[name] = found.end() if found else 0
        lines.append(text.count("\n", 0, found.start()) + 1 if found else 1)
    return tuple(lines)
