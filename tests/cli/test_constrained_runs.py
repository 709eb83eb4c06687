"""`harness run --constrain`: declared wherever a run is shown, and never taken for free decoding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("xgrammar")

from harness.testing.tiny_model import make_tiny_model

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites/_smoke"
ASKED = ("--limit", "2", "--adapter", "base")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"), context=4096)


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model's runs, free and constrained."""
    from harness.cli.main import run_command

    found = {}
    for name in ("free", "json", "tools"):
        out = tmp_path_factory.mktemp(name)
        words = ["run", SUITE, "--model", model, *ASKED, "--out", out]
        words += [] if name == "free" else ["--constrain", name]
        assert run_command([str(word) for word in words]) == 0
        (found[name],) = out.iterdir()
    return found


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def keys(folder: Path) -> set[str]:
    lines = (folder / "generations.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["key"] for line in lines}


def test_header_plan_keys_and_summary_say_it(runs: dict[str, Path]) -> None:
    free, tools = (read(runs[name], "run.json") for name in ("free", "tools"))
    assert "constrain" not in json.dumps(free["plan"]) + json.dumps(free["sampling"]), "as it ever was"
    assert "structural_tag_sha256" not in free["plan"]
    assert tools["sampling"]["constraint"] == tools["plan"]["sampling"]["constraint"] == "tools"
    assert (
        tools["plan"]["structural_tag_sha256"]
        != read(runs["json"], "run.json")["plan"]["structural_tag_sha256"]
    )
    assert "xgrammar" in tools["engine"]["versions"]
    assert read(runs["tools"], "summary.json")["constraint"] == "tools"
    assert "constraint" not in read(runs["free"], "summary.json")
    found = [keys(runs[name]) for name in ("free", "json", "tools")]
    assert len(set.union(*found)) == sum(map(len, found)) == 6


def test_another_constraint_cannot_be_resumed_nor_reused(
    runs: dict[str, Path], model: Path, in_process: Any, tmp_path: Path
) -> None:
    words = ("run", SUITE, "--model", model, *ASKED)
    for began, goes_on in (
        ("free", ("--constrain", "tools")),
        ("tools", ()),
        ("tools", ("--constrain", "json")),
    ):
        done = in_process(*words, *goes_on, "--resume", runs[began])
        assert done.exit_code == 4
        assert "sampling.constraint" in done.err
    again = in_process(*words, "--constrain", "tools", "--resume", runs["tools"])
    assert again.exit_code == 0, again.err

    for source, taken in (("free", 0), ("tools", 2)):
        done = in_process(*words, "--constrain", "tools", "--reuse", runs[source], "--out", tmp_path / source)
        assert done.exit_code == 0, done.err
        (made,) = (tmp_path / source).iterdir()
        assert len(keys(made) & keys(runs[source])) == taken


def test_reports_show_it_where_the_run_is_named(
    runs: dict[str, Path], in_process: Any, tmp_path: Path
) -> None:
    page = (runs["tools"] / "scorecard.html").read_text(encoding="utf-8")
    assert "constrained: tools</h1>" in page.replace("\n", "")
    assert "constrained: " not in (runs["free"] / "scorecard.html").read_text(encoding="utf-8")
    for form in ("--markdown", "--json"):
        written = tmp_path / form
        done = in_process("report", runs["tools"], form, written)
        assert done.exit_code == 0, done.err
        assert "constrained: tools" in written.read_text(encoding="utf-8")
        assert "constrained: tools" in " ".join(done.out.split())
    both = tmp_path / "both.html"
    assert in_process("report", runs["free"], runs["tools"], "--html", both).exit_code == 0
    assert "constrained: tools" in both.read_text(encoding="utf-8")


def test_free_and_constrained_are_compared_as_what_they_are(runs: dict[str, Path], in_process: Any) -> None:
    done = in_process("compare", runs["free"], runs["tools"])
    assert done.exit_code == 0, done.err
    said = " ".join(done.out.split())
    assert "were not decoded alike: constrained: tools and free. The difference holds the grammar." in said
    differs = json.loads(in_process("compare", runs["free"], runs["tools"], "--json").out)["differs"]
    assert any(one["label"] == "Sampling" and "constrained: tools" in str(one["values"]) for one in differs)
    assert "decoded alike" in in_process("compare", runs["json"], runs["tools"]).out


def test_a_baseline_of_one_kind_is_none_of_the_other(runs: dict[str, Path]) -> None:
    from harness.gate.identity import first_difference, identity_of

    free, tools = (identity_of(read(runs[name], "run.json")) for name in ("free", "tools"))

    assert first_difference(free, tools) == "another decoding: free, the run has constrained to tools"
    assert first_difference(tools, free) == "another decoding: constrained to tools, the run has free"
    assert first_difference(tools, tools) is None


def test_given_again_it_stays_constrained(runs: dict[str, Path], in_process: Any, tmp_path: Path) -> None:
    words = ("run", SUITE, "--engine", "replay", "--limit", "2", "--out", tmp_path)
    done = in_process(*words, "--engine-option", f"from={runs['tools']}")
    assert done.exit_code == 0, done.err
    (made,) = tmp_path.iterdir()
    assert read(made, "run.json")["sampling"]["constraint"] == "tools"
    assert "constrained: tools" in " ".join(done.out.split())


def test_the_index_and_the_tables_tell_them_apart(
    runs: dict[str, Path], in_process: Any, tmp_path: Path
) -> None:
    from harness.report.view.index import IndexReader

    reports = tmp_path / "reports"
    reports.mkdir()
    for name, run in runs.items():
        run_copy = reports / name
        run_copy.mkdir()
        for file in run.iterdir():
            (run_copy / file.name).write_bytes(file.read_bytes())
    groups = [group.data for group in IndexReader(reports).read().groups]
    assert len(groups) == 3
    assert sum("constrained: tools" in data for data in groups) == 1
    asked = 'select "constraint" from runs order by 1 nulls first'
    done = in_process("query", asked, "--reports", reports, "--format", "json")
    assert done.exit_code == 0, done.err
    assert [row["constraint"] for row in json.loads(done.out)] == [None, "json", "tools"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--engine", "scripted", "--constrain", "tools"), "one of: hf, openai"),
        (("--engine", "replay", "--constrain", "json"), "cannot constrain its answers"),
        (("--constrain", "yaml"), "'yaml' is not one of 'json', 'tools'"),
    ],
    ids=str,
)
def test_what_cannot_constrain_is_refused(words: tuple[str, ...], said: str, in_process: Any) -> None:
    done = in_process("run", SUITE, *words)
    assert done.exit_code == 4
    assert said in " ".join(done.err.split())


def test_a_header_without_sampling_is_refused() -> None:
    from harness.errors import RunFolderError
    from harness.run.constrained import recorded_constraint

    for header in ({"run_id": "r"}, {"run_id": "r", "sampling": None}, {"run_id": "r", "sampling": []}):
        with pytest.raises(RunFolderError, match="sampling"):
            recorded_constraint(header)
