"""docs/training.md names every preflight code with its severity and threshold, and every key of an adapter's origin."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

from harness.cli.main import COMMANDS
from harness.models.adapter_origin import ORIGIN_FILE, AdapterOrigin, GoldenPrompt, origin_record
from harness.training import answer_check, leak_check, memory_plan, preflight, run_folder, turn_check

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def table(header: str) -> dict[str, str]:
    """Return a table's rows by the name in their first cell."""
    rows = PAGE.split(f"\n{header}\n")[1].split("\n\n")[0].splitlines()[1:]
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def codes_in_source() -> dict[str, set[str]]:
    """Return every code that preflight gives out, with the severities that its source names.

    A code that is put together ("rows_{what}") stands as a pattern.
    """
    trees = [
        ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        for module in (preflight, memory_plan, answer_check, leak_check, turn_check)
    ]
    found: dict[str, set[str]] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "PreflightFinding"
        ):
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            severities = {
                part.value
                for part in ast.walk(named["severity"])
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
            found.setdefault(_pattern(named["code"]), set()).update(severities)
    return found


def _pattern(code: ast.expr) -> str:
    if isinstance(code, ast.Constant):
        return re.escape(str(code.value))
    assert isinstance(code, ast.JoinedStr)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "[a-z]+" for part in code.values)


CODES = codes_in_source()
TABLE = table("| code | when | severity | remedy |")


def test_the_source_is_read() -> None:
    assert len(CODES) >= 18
    assert {"leakage", "memory", "wandb_offline", "rows_[a-z]+"} <= CODES.keys()


@pytest.mark.parametrize("pattern", CODES)
def test_every_code_is_in_the_page_with_its_severities(pattern: str) -> None:
    rows = [row for code, row in TABLE.items() if re.fullmatch(pattern, code)]
    assert rows
    for severity in CODES[pattern]:
        assert severity in rows[0].split("|")[3]


def test_the_page_has_no_code_that_is_not_given_out() -> None:
    assert [code for code in TABLE if not any(re.fullmatch(pattern, code) for pattern in CODES)] == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("few_rows", f"fewer than {preflight._FEW_ROWS} "),
        ("few_validation_rows", f"fewer than {preflight._FEW_VALIDATION} "),
        ("rows_dropped", f"above {preflight._DROPPED_WARNING:.0%}"),
        ("rows_dropped", f"critical above {preflight._DROPPED_CRITICAL:.0%}"),
        ("rows_refused", f"above {answer_check._REFUSED_WARNING:.0%}"),
        ("rows_refused", f"critical above {answer_check._REFUSED_CRITICAL:.0%}"),
        ("few_supervised_tokens", f"under {preflight._LEAST_SUPERVISED:.0%}"),
        ("near_duplicates", f"{leak_check._CHECKED_TEXTS:,}"),
        ("memory", f"within {memory_plan.UNCERTAINTY:.0%}"),
    ],
)
def test_thresholds_are_those_of_the_source(code: str, said: str) -> None:
    assert said in TABLE[code].replace(" %", "%")


def test_every_tracker_is_explained() -> None:
    section = PAGE.split("## Trackers")[1].split("\n## ")[0]
    for tracker, package in preflight._TRACKER_PACKAGES.items():
        assert f"`{tracker}`" in section
        assert f"pip install {package}" in section


def test_the_origin_file_is_described_key_by_key() -> None:
    golden = GoldenPrompt(text="", tokens_sha256="")
    blank: dict[str, object] = {field.name: "" for field in dataclasses.fields(AdapterOrigin)}
    record = origin_record(AdapterOrigin(**{**blank, "golden": golden}))  # type: ignore[arg-type]
    told = table("| key | what |")
    assert set(json.loads(json.dumps(record))) == set(told)
    assert all(f"`{field.name}`" in told["golden"] for field in dataclasses.fields(GoldenPrompt))


def test_files_and_commands_exist() -> None:
    files = table("| file | what | rules |")
    assert {run_folder.HEADER, run_folder.LOG} <= files.keys()
    assert ORIGIN_FILE in PAGE
    for place in set(re.findall(r"`((?:train|tests|harness|datasets)/[a-z0-9_/]+(?:\.[a-z]+)?)`", PAGE)):
        assert place == "train/runs" or (ROOT / place).exists(), place
    commands = set(re.findall(r"(?:^|`)harness ([a-z]+)\b", PAGE, flags=re.MULTILINE))
    assert {"train", "sweep", "data"} <= commands
    assert commands <= COMMANDS.keys()
