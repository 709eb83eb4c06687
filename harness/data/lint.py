"""Everything that is wrong with a data set, all of it at once, with file and line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.data.facts import says_fact
from harness.data.leakage import NEAR, near_duplicates, normalise, pair_key, user_text
from harness.data.records import sample_from_record
from harness.data.strict_json import decode_bytes, iter_lines
from harness.data.tools import ToolCatalog, load_tools
from harness.data.turn_problems import turn_problems
from harness.errors import RecordError
from harness.types import Sample

SPLITS = ("train", "validation", "test")
CHECKSUMS = "SHA256SUMS"
Severity = Literal["error", "warning"]
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


@dataclass(frozen=True, slots=True, order=True)
class LintFinding:
    """One thing that is wrong. `line` is 0 where the file as a whole is meant."""

    file: str
    line: int
    severity: Severity
    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Placed:
    sample: Sample
    split: str
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def lint(dataset_dir: Path) -> list[LintFinding]:
    """Return all findings about a data set folder, sorted by file and line; [] if it is clean.

    The folder holds some of train, validation and test.jsonl, and tools.json where records name tools. Raises
    RecordError only if the folder does not exist or holds none of the three.
    """
    paths = {split: dataset_dir / f"{split}.jsonl" for split in SPLITS}
    present = {split: path for split, path in paths.items() if path.is_file()}
    if not dataset_dir.is_dir():
        raise RecordError("no such folder", where=dataset_dir)
    if not present:
        names = ", ".join(path.name for path in paths.values())
        raise RecordError("no data set here", where=dataset_dir, remedy=f"It needs at least one of {names}.")
    catalog, findings = _tools(dataset_dir / "tools.json")
    placed: list[_Placed] = []
    for split, path in present.items():
        _read_split(split, path, catalog, placed, findings)
    findings += _tool_findings(catalog, dataset_dir / "tools.json")
    for check in (_ids, _gold, _history, _facts, _duplicates, _templates, _pairs, _near):
        findings += check(placed, catalog)
    findings += check_checksums(dataset_dir)
    return sorted(findings)


def _tools(path: Path) -> tuple[ToolCatalog, list[LintFinding]]:
    if not path.exists():
        return ToolCatalog(), []
    try:
        return load_tools(path), []
    except RecordError as error:
        return ToolCatalog(), [finding_of(error, "tools", path)]


def finding_of(error: RecordError, code: str, path: Path) -> LintFinding:
    match = re.match(re.escape(str(path)) + r":(\d+)", error.where or "")
    return LintFinding(
        str(path),
        int(match.group(1)) if match else 0,
        "error",
        code,
        error.what,
        error.remedy or "Correct it.",
    )


def _read_split(
    split: str, path: Path, catalog: ToolCatalog, placed: list[_Placed], findings: list[LintFinding]
) -> None:
    try:
        for line in iter_lines(path):
            where = f"{path}:{line.number}"
            try:
                if not line.raw.strip():
                    raise RecordError("empty line", where=where, remedy="Delete it; one JSON object a line.")
                sample = sample_from_record(decode_bytes(line.raw, where), catalog, where=where)
            except RecordError as error:
                findings.append(finding_of(error, "record", path))
                continue
            placed.append(_Placed(sample, split, str(path), line.number))
    except RecordError as error:
        findings.append(finding_of(error, "record", path))
    if path.stat().st_size == 0:
        findings.append(LintFinding(str(path), 0, "warning", "empty-split", "no records", "Delete the file."))


def _tool_findings(catalog: ToolCatalog, path: Path) -> Iterator[LintFinding]:
    for tool in catalog.values():
        line = catalog.sources.get(tool.name, 0)
        for name, schema in tool.parameters["properties"].items():
            if not isinstance(schema, dict) or "default" not in schema:
                continue
            try:
                problem = catalog.checks.problem(tool, name, schema["default"])
            except ValueError as error:
                problem = str(error)
            if problem is not None:
                message = f"{tool.name}.{name}: the default is not permitted: {problem}"
                yield LintFinding(
                    str(path), line, "error", "tool-default", message, "Correct default or schema."
                )


def _at(item: _Placed, severity: Severity, code: str, message: str, remedy: str) -> LintFinding:
    return LintFinding(item.file, item.line, severity, code, f"{item.sample.id}: {message}", remedy)


def _facts(placed: list[_Placed], _: ToolCatalog) -> Iterator[LintFinding]:
    for item in placed:
        reply = item.sample.reply
        for alternatives in item.sample.facts if reply is not None else ():
            if not says_fact(reply or "", alternatives):
                message = (
                    f"the reply says none of {', '.join(map(repr, alternatives))}, which its facts require"
                )
                yield _at(
                    item, "error", "fact-missing", message, "Correct the reply, or add its wording to `any`."
                )


def _ids(placed: list[_Placed], _: ToolCatalog) -> Iterator[LintFinding]:
    first: dict[str, _Placed] = {}
    for item in placed:
        other = first.setdefault(item.sample.id, item)
        if other is not item:
            yield _at(
                item, "error", "duplicate-id", f"the id stands in {other.place} too", "Give it its own id."
            )


def _gold(placed: list[_Placed], catalog: ToolCatalog) -> Iterator[LintFinding]:
    for item in placed:
        for call in item.sample.gold:
            tool = item.sample.tool(call.name)
            if tool is None:
                continue
            for name, argument in call.arguments.items():
                where = f"gold {call.name}.{name}"
                for number, value in enumerate(argument.accept):
                    problem = catalog.checks.problem(tool, name, value)
                    if problem:
                        message = f"{where}: accepted value {value!r} is forbidden by the schema: {problem}"
                        yield _at(
                            item,
                            "warning" if number else "error",  # the first is the one that training writes
                            "gold-forbidden",
                            message,
                            "Remove the value, or widen the schema.",
                        )
                if argument.optional and name in tool.parameters.get("required", ()):
                    message = f"{where} is optional, but the schema requires it"
                    yield _at(
                        item, "warning", "gold-optional", message, "Remove optional, or change the schema."
                    )


def _history(placed: list[_Placed], catalog: ToolCatalog) -> Iterator[LintFinding]:
    """Find earlier turns that are wrong: an error where training may learn them, which a `weight` of 0 rules out."""
    for item in placed:
        for turn in item.sample.messages:
            learnt = turn.learn and item.split != "test"
            for problem in turn_problems(turn, item.sample.tools, catalog.checks):
                yield _at(
                    item,
                    "error" if learnt else "warning",
                    f"history-{problem.fault}",
                    f"an earlier turn {problem.message}",
                    f"{problem.remedy} `weight: 0` keeps a turn from being learnt."
                    if learnt
                    else problem.remedy,
                )


def _duplicates(placed: list[_Placed], _: ToolCatalog) -> Iterator[LintFinding]:
    """Find samples with the same words: an error across splits; within one, where history and tools agree too."""
    texts: dict[str, _Placed] = {}
    whole: dict[tuple[str, object], _Placed] = {}
    for item in placed:
        text = normalise(user_text(item.sample))
        other = texts.setdefault(text, item)
        if other.split != item.split:
            message = f"the same words as {other.sample.id} ({other.place})"
            yield _at(item, "error", "leak-text", message, "Keep it in one split.")
            continue
        names = tuple(tool.name for tool in item.sample.tools)
        same = whole.setdefault((text, (names, repr(item.sample.messages))), item)
        if same is not item:
            message = f"the same messages and tools as {same.sample.id} ({same.place})"
            yield _at(item, "warning", "duplicate", message, "Delete one of the two.")


def _across(
    placed: list[_Placed], keys: Callable[[_Placed], Iterable[str]], held_out: tuple[str, ...] = SPLITS
) -> Iterator[tuple[_Placed, _Placed, str]]:
    """Yield (item, earlier item, key) for each key that stands in two splits, once for each item."""
    owners: dict[str, dict[str, _Placed]] = {}
    for item in placed:
        for key in keys(item):
            splits = owners.setdefault(key, {})
            splits.setdefault(item.split, item)
            other = next(
                (splits[split] for split in held_out if split in splits and split != item.split), None
            )
            if other is not None:
                yield item, other, key
                break


def _templates(placed: list[_Placed], _: ToolCatalog) -> Iterator[LintFinding]:
    for item, other, key in _across(placed, lambda item: (item.sample.cluster,)):
        message = f"cluster {key!r} stands in {other.split} too ({other.place})"
        yield _at(item, "error", "leak-cluster", message, "Keep a template's samples in one split.")


def _pairs(placed: list[_Placed], _: ToolCatalog) -> Iterator[LintFinding]:
    for item, other, key in _across(placed, lambda item: [pair_key(call) for call in item.sample.gold]):
        message = (
            f"a call of {key.split(chr(0))[0]} with the same values stands in {other.split} ({other.place})"
        )
        yield _at(item, "error", "leak-pair", message, "Draw other values for one of them.")


def _near(placed: list[_Placed], _: ToolCatalog) -> Iterator[LintFinding]:
    """Find near-equal words. Equal words are `leak-text` or `duplicate` already."""
    texts = [user_text(item.sample) for item in placed]
    for left, right, similarity in near_duplicates(texts):
        one, two = placed[left], placed[right]
        if one.split == two.split or normalise(texts[left]) == normalise(texts[right]):
            continue
        message = f"{similarity:.0%} the same words as {one.sample.id} ({one.place})"
        yield _at(two, "error", "leak-near", message, f"Keep texts of similarity >= {NEAR:g} in one split.")


def check_checksums(folder: Path) -> Iterator[LintFinding]:
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    listed: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = _CHECKSUM_LINE.fullmatch(line)
        if match is None:
            message = "not a line of sha256 and file name"
            yield LintFinding(str(path), number, "error", "checksum", message, "Write it anew.")
            continue
        listed[match.group(2)] = (number, match.group(1))
    for name, (number, digest) in listed.items():
        target = folder / name
        if not target.is_file():
            message = f"{name} is listed but not there"
            yield LintFinding(
                str(path), number, "error", "checksum", message, "Restore it, or write the list anew."
            )
        elif hashlib.sha256(target.read_bytes()).hexdigest() != digest:
            message = f"{name} is not the file that was listed"
            yield LintFinding(
                str(path), number, "error", "checksum", message, "Restore it, or write the list anew."
            )
