"""`harness query` and `harness export` as a user calls them: runs of the real path, every output, exit codes, words."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.scored_runs import Planted, write_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scripted run of the shipped suite that is often silent, and a folder that is no run any more."""
    from harness.cli.main import run_command

    folder = tmp_path_factory.mktemp("query_cli")
    script = folder / "often_silent.yaml"
    script.write_text("name: silent\nseed: 1\nfaults: {silence: 0.4}\n", encoding="utf-8")
    engine = ["--engine", "scripted", "--engine-option", f"script={script}"]
    suite = str(ROOT / "suites" / "tool_calling")
    assert run_command(["run", suite, *engine, "--limit", "40", "--out", str(folder / "reports")]) == 0
    bad = folder / "reports" / "bad\x1b[2J"
    bad.mkdir()
    (bad / "run.json").write_text("{", encoding="utf-8")
    return folder / "reports"


def run_of(reports: Path) -> Path:
    return next(path for path in reports.iterdir() if "silent" in path.name)


AGREE = """
select metrics.metric, metrics.value, sum(scores.numerator) / sum(scores.denominator) as again
from metrics join scores using (run, metric) where slice = 'all' group by all order by 1
"""


def test_scores_add_up_to_what_the_summary_says(reports: Path, in_process) -> None:
    done = in_process("query", AGREE, "--reports", reports, "--format", "json")
    assert done.exit_code == 0, done.err
    rows = json.loads(done.out)
    assert len(rows) > 15
    for row in rows:
        assert row["again"] == pytest.approx(row["value"]), row["metric"]


def test_what_was_planted_is_counted(reports: Path, in_process) -> None:
    sql = "select verdict, count(*) n from samples group by all"
    done = in_process("query", sql, "--reports", reports, "--format", "csv")
    found = {row["verdict"]: int(row["n"]) for row in csv.DictReader(io.StringIO(done.out))}
    stored = [json.loads(line)["verdict"] for line in (run_of(reports) / "scores.jsonl").read_text("utf-8").splitlines()]  # fmt: skip
    assert found == {verdict: stored.count(verdict) for verdict in set(stored)}
    assert found["missing_call"] > 5


def test_a_damaged_folder_is_named_on_standard_error(reports: Path, in_process) -> None:
    done = in_process("query", "select run, scored, problem from runs order by scored", "--reports", reports)
    assert done.exit_code == 0
    assert "left out: bad\\x1b[2J: " in done.err
    assert "run.json: not valid JSON" in done.err
    assert "\x1b" not in done.out + done.err
    assert "bad\\x1b[2J" in done.out


def test_a_table_is_cut_and_says_so(reports: Path, in_process) -> None:
    done = in_process(
        "query", "select i, repeat('x', 500) from range(600) t(i), runs limit 600", "--reports", reports
    )
    assert done.exit_code == 0
    assert len(done.out.splitlines()) == 501
    assert max(map(len, done.out.splitlines())) < 120
    assert "More than 500 rows" in done.err


def test_json_is_an_array_also_of_nothing(reports: Path, in_process) -> None:
    done = in_process("query", "select 1 from runs where false", "--reports", reports, "--format", "json")
    assert json.loads(done.out) == []


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_pipe_that_closes_is_no_error(reports: Path, form: str) -> None:
    sql = "select i, repeat('x', 70) from range(100000) t(i)"
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "query",
        sql,
        "--reports",
        str(reports),
        "--format",
        form,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert b"Traceback" not in said
    assert b"internal error" not in said


def test_without_duckdb_one_message_says_how(reports: Path, tmp_path: Path, harness) -> None:
    missing = tmp_path / "path" / "duckdb"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ImportError('No module named duckdb')", encoding="utf-8")
    path = os.pathsep.join([str(missing.parent), os.environ.get("PYTHONPATH", "")])
    for arguments in (("query", "select 1"), ("export", run_of(reports), "--to", "parquet")):
        done = harness(
            *arguments, *(("--reports", reports) if arguments[0] == "query" else ()), PYTHONPATH=path
        )
        assert done.exit_code == 4
        assert done.err == (
            "error: this needs DuckDB, which is not installed\n  pip install 'persona-harness[query]'\n"
        )


@pytest.mark.parametrize("form", ["csv", "parquet", "sqlite", "inspect"])
def test_export(reports: Path, tmp_path: Path, in_process, form: str) -> None:
    out = tmp_path / "out"
    done = in_process("export", run_of(reports), "--to", form, "--out", out)
    assert (done.exit_code, done.out) == (0, f"40 samples: {out}\n"), done.err
    again = in_process("export", run_of(reports), "--to", form, "--out", out)
    assert again.exit_code == 4
    assert "this file is there already" in again.err
    forced = in_process("export", run_of(reports), "--to", form, "--out", out, "--force", "--json")
    assert json.loads(forced.out) == {"file": str(out), "samples": 40}


BAD = [
    (("query",), "Missing argument 'SQL'"),
    (("query", "select 1", "--reports", "none"), "no such folder"),
    (("query", "select 1", "--format", "xml"), "'xml' is not one of"),
    (("query", "drop table runs", "--reports", "a"), "a query is one SELECT"),
    (("export", "a"), "export needs one of --to and --check"),
    (("export", "a", "--to", "csv", "--check", "vllm"), "export needs one of --to and --check"),
    (("export", "a", "--check", "vllm", "--out", "x"), "--out and --force belong to --to"),
    (("export", "a", "--to", "excel"), "'excel' is not one of"),
    (("export", "empty", "--to", "csv"), "not a run folder"),
    (("export", "a", "--to", "csv", "--out", "none/x.csv"), "no such folder"),
    (("export", "a", "--to", "csv", "--out", "empty"), "this is a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(case[0])[:50] for case in BAD])
def test_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process, arguments: tuple[str, ...], message: str
) -> None:
    write_run(tmp_path / "a", [Planted("s0")])
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = in_process(*arguments)
    assert done.exit_code == 4
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_folder_without_runs(tmp_path: Path, in_process) -> None:
    done = in_process("query", "select 1", "--reports", tmp_path)
    assert done.exit_code == 5
    assert "no run lies here" in done.err


def _commands(page: str) -> list[str]:
    """Return the `harness` commands of a page's console blocks, those in quotes over several lines included."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)
    return [found for block in blocks for found in re.findall(r'^harness (?:[^"\n]|"[^"]*")*', block, re.MULTILINE)]  # fmt: skip


@pytest.mark.parametrize("command", _commands("query.md"))
def test_every_command_of_the_page(
    in_process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "reports").mkdir()
    shutil.copytree(ROOT / "reports" / "examples", tmp_path / "reports" / "examples")
    monkeypatch.chdir(tmp_path)
    done = in_process(*shlex.split(command)[1:])
    assert (done.exit_code, done.err) == (0, "")
    assert done.out.count("\n") > 0
