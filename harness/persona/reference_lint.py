"""Everything that is wrong with a folder of persona references, all of it at once, as `harness data lint` tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.leakage import NEAR, near_duplicates, normalise
from harness.data.lint import LintFinding, check_checksums, finding_of, lint
from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError
from harness.persona.references import SPLITS, Probe, Reference, read_probe, read_reference
from harness.types import Json

PROBES = "probes.jsonl"
RECORDS = "records"


@dataclass(frozen=True, slots=True)
class _Placed:
    reference: Reference
    said: str
    """Every user turn, one a line."""
    persona: str
    split: str
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def holds_references(folder: Path) -> bool:
    """Return whether a folder's splits hold references (lines with `replies`) and not records. Raises nothing."""
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        try:
            for line in iter_lines(path):
                record = decode_bytes(line.raw, path.name)
                if isinstance(record, dict):
                    return "replies" in record
        except RecordError:
            continue
    return False


def lint_references(folder: Path) -> list[LintFinding]:
    """Return all findings about references, their probes, their records and SHA256SUMS, sorted by file and line.

    Findings are wrong lines, ids that stand twice, lines of several personas, and questions or clusters that stand in two
    splits: the held-out score would be of what was fitted.
    """
    findings: list[LintFinding] = []
    placed: list[_Placed] = []
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        for record, where, number in _records(path, findings) if path.is_file() else ():
            try:
                one = read_reference(_persona(record), record, where)
            except RecordError as error:
                findings.append(finding_of(error, "reference", path))
                continue
            placed.append(_Placed(one, _said(record), _persona(record), split, str(path), number))
    for check in (_ids, _personas, _clusters, _questions):
        findings += check(placed)
    findings += _probes(folder / PROBES)
    findings += check_checksums(folder)
    if any((folder / RECORDS / f"{split}.jsonl").is_file() for split in SPLITS):
        findings += lint(folder / RECORDS)
    return sorted(findings)


def _records(path: Path, findings: list[LintFinding]) -> Iterator[tuple[dict[str, Json], str, int]]:
    try:
        for line in iter_lines(path):
            where = f"{path}:{line.number}"
            try:
                if not line.raw.strip():
                    raise RecordError("empty line", where=where, remedy="Delete it; one JSON object a line.")
                record = decode_bytes(line.raw, where)
                if not isinstance(record, dict):
                    raise RecordError("a line must hold a JSON object", where=where)
            except RecordError as error:
                findings.append(finding_of(error, "reference", path))
                continue
            yield record, where, line.number
    except RecordError as error:
        findings.append(finding_of(error, "reference", path))


def _persona(record: Mapping[str, Json]) -> str:
    value = record.get("persona")
    return value if isinstance(value, str) else ""


def _said(record: Mapping[str, Json]) -> str:
    return "\n".join(
        turn["content"]
        for turn in record["messages"]
        if isinstance(turn, dict) and turn.get("role") == "user" and isinstance(turn.get("content"), str)
    )


def _at(item: _Placed, code: str, message: str, remedy: str) -> LintFinding:
    return LintFinding(item.file, item.line, "error", code, f"{item.reference.id}: {message}", remedy)


def _repeated(
    placed: list[_Placed], key: Callable[[_Placed], str], *, across: bool
) -> Iterator[tuple[_Placed, _Placed]]:
    """Yield (item, the first with the same key); `across` only where the two stand in different splits."""
    first: dict[str, _Placed] = {}
    for item in placed:
        other = first.setdefault(key(item), item)
        if other is not item and (not across or other.split != item.split):
            yield item, other


def _ids(placed: list[_Placed]) -> Iterator[LintFinding]:
    for item, other in _repeated(placed, lambda one: one.reference.id, across=False):
        yield _at(item, "duplicate-id", f"the id stands in {other.place} too", "Give it its own id.")


def _personas(placed: list[_Placed]) -> Iterator[LintFinding]:
    named = [item for item in placed if item.persona]
    for item in named:
        if item.persona != named[0].persona:
            message = f"of persona {item.persona!r}, and {named[0].place} of {named[0].persona!r}"
            yield _at(item, "persona", message, "Keep each character's references in a folder of their own.")


def _clusters(placed: list[_Placed]) -> Iterator[LintFinding]:
    for item, other in _repeated(placed, lambda one: one.reference.cluster, across=True):
        message = f"cluster {item.reference.cluster!r} stands in {other.split} too ({other.place})"
        yield _at(item, "leak-cluster", message, "Keep all versions of one question in one split.")


def _questions(placed: list[_Placed]) -> Iterator[LintFinding]:
    texts = [normalise(item.said) for item in placed]
    for left, right, similarity in near_duplicates(texts):
        one, two = placed[left], placed[right]
        if one.split != two.split:
            message = f"{similarity:.0%} the same words as {one.reference.id} ({one.place})"
            yield _at(two, "leak-near", message, f"Keep questions of similarity >= {NEAR:g} in one split.")


def _probes(path: Path) -> Iterator[LintFinding]:
    if not path.is_file():
        return
    findings: list[LintFinding] = []
    seen: dict[str, int] = {}
    for record, where, number in _records(path, findings):
        try:
            probe: Probe = read_probe(_persona(record), record, where)
        except RecordError as error:
            findings.append(finding_of(error, "probe", path))
            continue
        first = seen.setdefault(probe.id, number)
        if first != number:
            message = f"{probe.id}: the id stands in line {first} too"
            findings.append(
                LintFinding(str(path), number, "error", "duplicate-id", message, "Give it its own id.")
            )
    yield from findings
