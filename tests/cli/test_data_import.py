"""`harness data import` on the command line: what it prints, its exit codes, and that its result passes `data lint`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

GOOD = [{"instruction": f"Say number {n} " + chr(97 + n) * 12, "output": f"{n}"} for n in range(20)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "persona.json"
    path.write_text(json.dumps(GOOD, indent=1))
    return path


def test_import_then_lint(source: Path, tmp_path: Path, in_process) -> None:
    out = tmp_path / "datasets" / "persona"

    done = in_process("data", "import", source, "--out", out, "--split", "train=0.8,validation=0.1,test=0.1")

    assert done.exit_code == 0
    assert done.err.splitlines() == [
        "format: alpaca",
        "20 rows read = 20 kept + 0 dropped",
        f"wrote {out}: train 16, validation 2, test 2",
    ]
    assert in_process("data", "lint", out).exit_code == 0


def test_wrong_rows_stop_the_import_and_skip_bad_counts_them(
    source: Path, tmp_path: Path, in_process
) -> None:
    source.write_text(json.dumps([*GOOD, {"instruction": "a"}, {"instruction": "b", "output": 5}], indent=1))
    out = tmp_path / "out"

    stopped = in_process("data", "import", source, "--out", out)

    assert stopped.exit_code == 4
    assert "2 of 22 rows cannot be imported; nothing was written" in stopped.err
    assert f"{source}:82 (element 21): 'output' is missing or empty" in stopped.err
    assert "--skip-bad" in stopped.err
    assert not out.exists()

    skipped = in_process("data", "import", source, "--out", out, "--skip-bad")

    assert skipped.exit_code == 0
    assert "22 rows read = 20 kept + 2 dropped" in skipped.err
    assert "dropped 1: … is missing or empty" in skipped.err


def test_the_line_in_the_message_is_the_line_in_the_file(source: Path, tmp_path: Path, in_process) -> None:
    text = source.read_text().replace('"output": "7"', '"output": ""')
    source.write_text(text)

    done = in_process("data", "import", source, "--out", tmp_path / "out")

    opening = text[: text.index('"output": ""')].splitlines()
    line = max(number for number, content in enumerate(opening, 1) if content.strip() == "{")
    assert f"{source}:{line} (element 8): 'output' is missing or empty" in done.err


COMMANDS = [
    (["--split", "train"], "is not SPLIT=SHARE"),
    (["--split", "train=half"], "is not SPLIT=SHARE"),
    (["--split", "train=0.5,train=0.5"], "given twice"),
    (["--split", "train=0.5,dev=0.5"], "no split 'dev'"),
    (["--split", "train=0.5"], "add up to 0.5"),
    (["--format", "sharegtp"], "'sharegtp' is not one of"),
    (["--format", "sharegpt"], "'conversations' must be a list of messages"),
    (["--format", "dataset_info"], "must be an object of data sets"),
    (["--name", "mine"], "--name is for dataset_info.json"),
    (["--system-as", "assistant"], "'assistant' is not one of"),
]


@pytest.mark.parametrize(("arguments", "said"), COMMANDS, ids=[" ".join(row[0]) for row in COMMANDS])
def test_command_lines_that_are_wrong(
    source: Path, tmp_path: Path, in_process, arguments: list[str], said: str
) -> None:
    done = in_process("data", "import", source, "--out", tmp_path / "out", *arguments)

    assert done.exit_code == 4
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_out_is_required_and_not_overwritten(source: Path, tmp_path: Path, in_process) -> None:
    out = tmp_path / "out"
    assert "--out" in in_process("data", "import", source).err
    assert in_process("data", "import", source, "--out", out).exit_code == 0

    again = in_process("data", "import", source, "--out", out)

    assert again.exit_code == 4
    assert "the folder is not empty" in again.err
    assert in_process("data", "import", source, "--out", out, "--force").exit_code == 0


def test_a_folder_that_cannot_be_written(source: Path, tmp_path: Path, in_process) -> None:
    (tmp_path / "file").write_text("x")

    done = in_process("data", "import", source, "--out", tmp_path / "file" / "out")

    assert done.exit_code in (4, 6)
    assert "internal error" not in done.err


def test_the_formats_on_the_command_line_are_those_that_can_be_imported() -> None:
    from harness.cli.data_import import FORMATS
    from harness.data.importing import request

    assert FORMATS == request.FORMATS


def test_help_loads_no_heavy_library(harness) -> None:
    done = harness("data", "import", "--help")

    assert done.exit_code == 0
    assert "docs/importing.md" in done.out
