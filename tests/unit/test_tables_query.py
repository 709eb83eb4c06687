"""SQL over run folders: what was scored is what is read, hostile and unfinished folders break nothing, and runs are only read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, NothingCollected, UsageError
from harness.tables.columns import TABLES
from harness.tables.query import distinct, plain, query
from tests.unit.scored_runs import Planted, bytes_a_sample, write_run

NASTY = "\ud800 \x00 \x1b[2J \u202e </script> '; drop table runs; -- \" , \r\n 가"
KEPT = NASTY.replace("\ud800", "\\ud800")


def ask(root: Path, sql: str, problems: list[str] | None = None) -> list[tuple[Any, ...]]:
    def tell(name: str, error: HarnessError) -> None:
        assert problems is not None, f"{name}: {error}"
        problems.append(f"{name}: {error.where}: {error.what}")

    with query(sql, root, tell) as answer:
        return list(answer.rows)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two runs of three samples, one of them two folders down."""
    root = tmp_path / "reports"
    write_run(root / "base", [Planted("s0"), Planted("s1", "malformed"), Planted("s2", status="error")])
    write_run(
        root / "examples" / "tuned",
        [Planted("s0", reply="hello"), Planted("s1", tags={"language": "ko"}), Planted("s2", repeat=1)],
        sampling__seed=7,
    )
    return root


def test_runs(reports: Path) -> None:
    found = ask(reports, "select run, run_id, status, suite, model, adapter, seed, planned, scored, errors, problem from runs order by run")  # fmt: skip
    assert found == [
        ("base", "20260101T000000Z-lamps-base", "complete", "lamps", "models/tiny", "adapters/base", 0, 3, 2, 1, None),
        ("examples/tuned", "20260101T000000Z-lamps-tuned", "complete", "lamps", "models/tiny", "adapters/tuned", 7, 3, 3, 0, None),
    ]  # fmt: skip
    (dtype,) = ask(reports, "select header->>'$.engine.device' from runs limit 1")
    assert dtype == ("cpu",)


def test_samples(reports: Path) -> None:
    found = ask(reports, "select run, sample_id, repeat, status, verdict, correct, generation, reply from samples order by run, sample_id")  # fmt: skip
    assert found == [
        ("base", "s0", 0, "scored", "correct", True, "ok", ""),
        ("base", "s1", 0, "scored", "malformed", False, "ok", ""),
        ("base", "s2", 0, "error", "correct", None, "error", ""),
        ("examples/tuned", "s0", 0, "scored", "correct", True, "ok", "hello"),
        ("examples/tuned", "s1", 0, "scored", "correct", True, "ok", ""),
        ("examples/tuned", "s2", 1, "scored", "correct", True, "ok", ""),
    ]
    assert ask(reports, "select sample_id from samples where tags->>'language' = 'ko'") == [("s1",)]


def test_scores_add_up_to_the_metric(reports: Path) -> None:
    sql = "select run, sum(numerator) / sum(denominator) from scores where metric = 'right' group by run order by run"
    assert ask(reports, sql) == [("base", pytest.approx(2 / 3)), ("examples/tuned", 1.0)]


def test_metrics_are_those_of_the_summary(reports: Path) -> None:
    path = reports / "base" / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    aggregate = {"metric": "right", "group": "language=ko", "value": 0.25, "ci_low": 0.1, "ci_high": None, "numerator": 1, "denominator": 4, "n": 4, "clusters": 3}  # fmt: skip
    path.write_text(json.dumps({**summary, "aggregates": [aggregate]}), encoding="utf-8")
    found = ask(reports, "select * from metrics")
    assert found == [("base", "right", "Right", "language=ko", 0.25, 0.1, None, 1.0, 4.0, 4, 3, True, True, "share")]  # fmt: skip


def test_one_run_alone(reports: Path) -> None:
    assert ask(reports / "base", "select run, count(*) from samples group by run") == [("base", 3)]


def test_text_of_theirs_is_text(tmp_path: Path) -> None:
    call = {"name": NASTY, "arguments": {NASTY: [NASTY]}}
    write_run(
        tmp_path / "a",
        [Planted(f"id {NASTY}", NASTY, reply=NASTY, question=NASTY, predicted=[call], tags={"t": NASTY})],
        measures={NASTY: {}},
    )
    found = ask(
        tmp_path, "select sample_id, verdict, reply, question, tags->>'t', predicted->0->>'name' from samples"
    )
    assert found == [(f"id {KEPT}", KEPT, KEPT, KEPT, KEPT, KEPT)]


def test_a_megabyte_is_whole(tmp_path: Path) -> None:
    text = "가<&" * 350_000
    write_run(tmp_path / "a", [Planted("s0", reply=text), Planted("s1", reply=text, question=text)])
    assert ask(
        tmp_path, "select length(reply), md5(reply) = md5(question) from samples order by sample_id"
    ) == [
        (1_050_000, False),
        (1_050_000, True),
    ]


def _append(name: str, line: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        with (run / name).open("a", encoding="utf-8") as file:
            file.write(line)

    return damage


def _replace(name: str, text: str | bytes) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(text if isinstance(text, bytes) else text.encode()) and None


def _edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        lines = (run / name).read_text("utf-8").splitlines()
        first = {**json.loads(lines[0]), **changes}
        (run / name).write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n", encoding="utf-8")

    return damage


DAMAGE = {
    "header_no_json": (_replace("run.json", "{"), "run.json: not valid JSON"),
    "header_a_list": (_replace("run.json", "[]"), "run.json: not a JSON object"),
    "header_no_utf8": (_replace("run.json", b"\xff\xfe"), "run.json: not valid JSON"),
    "header_newer": (_replace("run.json", '{"schema_version": 99}'), "newer harness"),
    "header_deep": (_replace("run.json", "[" * 100_000), "run.json: not valid JSON"),
    "seed_a_text": (_edit("run.json", sampling={"seed": "x"}), "its sampling.seed is no whole number"),
    "summary_damaged": (_replace("summary.json", "nonsense"), "summary.json: not valid JSON"),
    "summary_of_nan": (_edit("summary.json", counts={"planned": float("nan")}), "its counts.planned is no whole"),
    "aggregates_a_text": (_edit("summary.json", aggregates="x"), "its measures or aggregates are damaged"),
    "aggregate_a_text": (_edit("summary.json", aggregates=["x"]), "aggregate 0 is damaged"),
    "score_in_the_middle": (_replace("scores.jsonl", "nonsense\n{}\n"), "scores.jsonl:1: not a JSON object"),
    "score_no_id": (_edit("scores.jsonl", sample_id=3), "scores.jsonl:1: its sample_id or repeat is damaged"),
    "repeat_too_large": (_edit("scores.jsonl", repeat=2**70), "scores.jsonl:1: its sample_id or repeat is damaged"),
    "scored_twice": (_edit("scores.jsonl", sample_id="s1"), "scores.jsonl:2: sample 's1' is scored twice"),
    "measures_a_text": (_edit("scores.jsonl", measures="x"), "scores.jsonl:1: its measures are damaged"),
    "measure_one_number": (_edit("scores.jsonl", measures={"right": [1]}), "scores.jsonl:1: its measures are damaged"),
    "measure_infinite": (_edit("scores.jsonl", measures={"right": [1, float("inf")]}), "its measures are damaged"),
    "correct_a_number": (_edit("scores.jsonl", correct=1), "its correct is neither true nor false"),
    "predicted_nan": (_edit("scores.jsonl", predicted=[float("nan")]), "scores.jsonl:1:"),
    "generation_no_key": (_edit("generations.jsonl", key=None), "generations.jsonl:1: not a generation record"),
    "tokens_a_text": (_edit("generations.jsonl", prompt_tokens="9"), "its prompt_tokens is no whole number"),
    "latency_huge": (_edit("generations.jsonl", latency_s=10**400), "its latency_s is no finite number"),
    "newer_line": (_edit("scores.jsonl", v=99), "scores.jsonl:1: written by a newer harness"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(DAMAGE))
def test_a_damaged_run_is_named_and_the_others_answer(reports: Path, case: str) -> None:
    damage, message = DAMAGE[case]
    bad = write_run(reports / "bad", [Planted("s0"), Planted("s1")])
    damage(bad)
    problems: list[str] = []
    sql = "select (select count(*) from runs), (select count(*) from metrics), (select count(*) from scores), run, count(*) from samples group by run order by run"
    found = ask(reports, sql, problems)
    assert [row[3:] for row in found] == [("base", 3), ("examples/tuned", 3)], "nothing of a damaged run"
    assert {row[0] for row in found} == {3}
    (problem,) = problems
    assert problem.startswith("bad: ")
    assert message in problem
    assert "Traceback" not in problem
    ((said, run_id),) = ask(reports, "select problem, run_id from runs where run = 'bad' -- metrics samples scores", [])  # fmt: skip
    assert run_id is None
    assert said in problem


UNFINISHED = {
    "torn_tail": _append("generations.jsonl", '{"v":1,"sample_id":"s9"'),
    "torn_scores": _append("scores.jsonl", '{"v":1,'),
    "never_scored": lambda run: [(run / name).unlink() for name in ("scores.jsonl", "summary.json")],
    "nothing_yet": lambda run: [(run / name).unlink() for name in ("scores.jsonl", "summary.json", "generations.jsonl")],
}  # fmt: skip


@pytest.mark.parametrize(("case", "answers"), [("torn_tail", 2), ("torn_scores", 2), ("never_scored", 2), ("nothing_yet", 0)])  # fmt: skip
def test_an_unfinished_run_gives_what_it_has(tmp_path: Path, case: str, answers: int) -> None:
    run = write_run(
        tmp_path / "a", [Planted("s0", reply="x"), Planted("s1", reply="y")], status="interrupted"
    )
    UNFINISHED[case](run)
    assert ask(tmp_path, "select status, problem from runs") == [("interrupted", None)]
    found = ask(tmp_path, "select sample_id, reply, verdict from samples order by 1")
    verdict = None if case == "never_scored" else "correct"
    assert found == [("s0", "x", verdict), ("s1", "y", verdict)][:answers]


def test_an_answer_that_is_not_scored_yet_is_there(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [Planted("s0", reply="x")])
    late = write_run(tmp_path / "late", [Planted("s1", reply="first"), Planted("s1", reply="latest")])
    (run / "generations.jsonl").open("ab").write((late / "generations.jsonl").read_bytes())
    found = ask(run, "select sample_id, reply, status from samples order by 1")
    assert found == [("s0", "x", "scored"), ("s1", "latest", None)]


def test_links_out_of_the_folder_are_not_followed(reports: Path, tmp_path: Path) -> None:
    outside = write_run(tmp_path / "outside", [Planted("s0")])
    (reports / "link").symlink_to(outside)
    assert ask(reports, "select count(*) from runs") == [(2,)]


REFUSED = {
    "wrong": ("selec", "syntax error"),
    "nothing": ("", "one SELECT"),
    "two": ("select 1; select 2", "one SELECT"),
    "insert": ("insert into runs (run) values ('x')", "one SELECT"),
    "create": ("create table t as select 1", "one SELECT"),
    "copy": ("copy (select 1) to 'stolen.csv'", "one SELECT"),
    "attach": ("attach 'other.db'", "one SELECT"),
    "install": ("install httpfs", "one SELECT"),
    "set": ("set enable_external_access = true", "one SELECT"),
    "unknown_table": ("select * from sample", "Did you mean"),
    "unknown_column": ("select verdikt from samples", "verdict"),
    "a_file": ("select * from read_text('{file}')", "disabled"),
    "a_file_by_name": ("select * from '{file}'", "does not exist"),
    "a_folder": ("select * from glob('{file}*')", "disabled"),
    "a_page": ("select * from read_csv('https://example.org/x.csv')", "the query failed"),
    "while_it_runs": ("select error('stop: ' || run) from runs", "stop: "),
    "a_time_zone": ("select now()", "a time with a time zone"),
    "surrogate": ("select '\ud800'", "no valid text"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    sql, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as caught:
        ask(reports, sql.replace("{file}", str(secret)))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value).replace(str(secret), "")
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_left_behind(reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "tmp"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = {path: path.read_bytes() for path in sorted(reports.rglob("*")) if path.is_file()}
    ask(reports, "select * from samples, scores")
    assert {path: path.read_bytes() for path in sorted(reports.rglob("*")) if path.is_file()} == before
    assert list(room.iterdir()) == []


def test_where_no_run_lies(tmp_path: Path) -> None:
    with pytest.raises(NothingCollected, match="no run lies here"):
        ask(tmp_path, "select 1")
    with pytest.raises(UsageError, match="no such folder"):
        ask(tmp_path / "none", "select 1")


def test_each_table_is_there_with_its_columns(reports: Path) -> None:
    for table, columns in TABLES.items():
        assert [row[0] for row in ask(reports, f"describe {table}")] == list(columns)


def test_only_named_tables_are_read(reports: Path) -> None:
    (reports / "base" / "scores.jsonl").write_text("nonsense\n{}\n", encoding="utf-8")
    assert ask(reports, "select count(*) from runs where problem is null") == [(2,)]


def test_values_as_json(reports: Path) -> None:
    sql = "select 1.5::decimal(5,2), date '2026-01-02', 'nan'::double, [1, 2], {'a': 'b'}, '\\xAB'::blob, 2::hugeint ** 100"
    ((row),) = ask(reports, sql)
    assert [plain(value) for value in row[:6]] == ["1.50", "2026-01-02", None, [1, 2], {"a": "b"}, "ab"]
    json.dumps([plain(value) for value in row], allow_nan=False)


def test_two_columns_of_one_name() -> None:
    assert distinct(["run", "n", "run", "run"]) == ("run", "n", "run_2", "run_3")


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Rows pass in blocks: ten times the samples take no more of Python's memory."""
    used = bytes_a_sample(tmp_path, lambda run: ask(run, "select count(*) from samples"))
    assert used < 600, "a reply alone has 4,000 bytes"
