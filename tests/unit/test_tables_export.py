"""A run as CSV, Parquet and SQLite: every value is read back by another reader, whatever a model wrote."""

from __future__ import annotations

import csv
import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RunFolderError, StorageError, UsageError
from harness.tables.columns import SAMPLES, TABLES
from harness.tables.csv_text import csv_line
from harness.tables.export import SUFFIXES, export_run
from harness.tables.values import json_text, number, text, whole
from tests.unit.scored_runs import Planted, bytes_a_sample, write_run

NASTY = "\x00 \x1b[2J \u202e </script> '; drop table runs; -- \" ,\r\n\n가 =1+1 \\ud800 😀"
SURROGATE = "a\ud800b"
PARTS = {"right": (1, 3), "noise": (0.1 + 0.2, 1e-300), "length": (-(2.0**53), 5e300)}
CALL = {"name": NASTY, "arguments": {NASTY: [1, 2.5, None, True, NASTY]}, "problems": []}
GOLD = {"name": "t", "arguments": {"a": {"accept": [1, "1"], "optional": False}}}
READ_AS_JSON = ("tags", "expected", "predicted", "findings")


def samples() -> list[Planted]:
    return [
        Planted("s0", parts=PARTS, reply=NASTY, question=NASTY, cluster=NASTY, expected=[GOLD], predicted=[CALL], tags={NASTY: NASTY}),
        Planted(NASTY, NASTY, reply="", parts={}, repeat=3),
        Planted("s2", status="error"),
        Planted("s3", status="unscored", parts={"right": (0, 1)}),
        Planted("null", "null", reply="NULL", question="", new_tokens=2**62),
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "a run", samples())


def planted(run: Path) -> list[dict[str, Any]]:
    """Return what the files of the run folder hold, as the columns of a file should."""
    lines = [[json.loads(line) for line in (run / name).read_text("utf-8").split("\n")[:-1]] for name in ("scores.jsonl", "generations.jsonl")]  # fmt: skip
    names = json.loads((run / "summary.json").read_text("utf-8"))["measures"]
    rows = []
    for score, generation in zip(*lines, strict=True):
        row = {name: score.get(name) for name in SAMPLES if name != "run"}
        for name in ("finish_reason", "prompt_tokens", "new_tokens", "latency_s", "error"):
            row[name] = generation[name]
        row |= {"reply": generation["text"], "generation": generation["status"]}
        for name in names:
            row[f"{name}_num"], row[f"{name}_den"] = score["measures"].get(name, (None, None))
        rows.append(row)
    return rows


def decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row that was read, its JSON columns as values."""
    return {name: json.loads(cell) if name in READ_AS_JSON and cell is not None else cell for name, cell in row.items()}  # fmt: skip


def read_csv_by_hand(file: Path) -> list[dict[str, Any]]:
    """Read with Python's own reader, which knows texts alone."""
    csv.field_size_limit(10_000_000)
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def read_parquet(file: Path) -> list[dict[str, Any]]:
    arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with the extra train")
    found: list[dict[str, Any]] = arrow.read_table(file).to_pylist()
    return found


def test_csv_reads_back_as_texts(run: Path, tmp_path: Path) -> None:
    file, many = export_run(run, "csv", tmp_path / "out.csv")
    assert many == 5
    found = read_csv_by_hand(file)
    for row, wanted in zip(found, planted(run), strict=True):
        assert list(row) == list(wanted)
        for name, cell in decoded({name: cell or None for name, cell in row.items()}).items():
            value = wanted[name]
            if isinstance(value, bool):
                assert cell == str(value).lower(), name
            elif isinstance(value, int | float):
                assert cell is not None
                assert float(cell) == value, name
            else:
                assert cell == (value or None if name not in READ_AS_JSON else value), name


def test_csv_tells_an_empty_text_from_nothing(run: Path, tmp_path: Path) -> None:
    from harness.tables.database import load_duckdb

    file, _ = export_run(run, "csv", tmp_path / "out.csv")
    reader = load_duckdb().sql(
        f"select sample_id, reply, right_num, latency_s, error, verdict, question from read_csv('{file}', all_varchar=true, strict_mode=false, allow_quoted_nulls=false)"
    )
    by_id = {row[0]: row[1:] for row in reader.fetchall()}
    assert by_id["null"] == ("NULL", "0.0", None, None, "null", "")
    assert by_id["s2"] == ("", "1.0", None, None, "correct", "Add a load")


def test_parquet_reads_back_as_values(run: Path, tmp_path: Path) -> None:
    file, many = export_run(run, "parquet", tmp_path / "it's.parquet")
    assert many == 5
    found = [decoded(row) for row in read_parquet(file)]
    assert found == planted(run)
    types = {name: type(value) for row in found for name, value in row.items() if value is not None}
    assert (types["correct"], types["repeat"], types["right_num"]) == (bool, int, float)


def test_sqlite_reads_back_as_tables(run: Path, tmp_path: Path) -> None:
    file, many = export_run(run, "sqlite", tmp_path / "out.sqlite")
    assert many == 5
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        for table, columns in TABLES.items():
            assert [row["name"] for row in connection.execute(f"pragma table_info({table})")] == list(columns)
        rows = [decoded(dict(row)) for row in connection.execute("select * from samples order by rowid")]
        wanted = planted(run)
        for row, want in zip(rows, wanted, strict=True):
            assert row.pop("run") == "a run"
            assert row == {name: want[name] for name in row}
        scores = connection.execute("select sample_id, repeat, metric, numerator, denominator from scores").fetchall()  # fmt: skip
        assert [tuple(row) for row in scores] == [
            (want["sample_id"], want["repeat"], name.removesuffix("_num"), want[name], want[name.replace("_num", "_den")])
            for want in wanted
            for name in want
            if name.endswith("_num") and want[name] is not None
        ]  # fmt: skip
        assert [
            tuple(row) for row in connection.execute("select run_id, model, scored, errors from runs")
        ] == [("20260101T000000Z-lamps-a run", "models/tiny", 3, 1)]


FORMS = ("csv", "parquet", "sqlite")


def reply_of(form: str, file: Path) -> str:
    if form == "csv":
        return str(read_csv_by_hand(file)[0]["reply"])
    if form == "parquet":
        return str(read_parquet(file)[0]["reply"])
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("select reply from samples").fetchone()[0])


@pytest.mark.parametrize("form", FORMS)
def test_a_lone_surrogate_is_its_escape(tmp_path: Path, form: str) -> None:
    run = write_run(tmp_path / "a", [Planted("s0", reply=SURROGATE, tags={SURROGATE: SURROGATE})])
    file, _ = export_run(run, form, tmp_path / "out")
    assert reply_of(form, file) == "a\\ud800b"


@pytest.mark.parametrize("form", FORMS)
def test_a_megabyte_is_whole(tmp_path: Path, form: str) -> None:
    text_ = '가<&"\n' * 300_000
    run = write_run(tmp_path / "a", [Planted("s0", reply=text_), Planted("s1")])
    file, _ = export_run(run, form, tmp_path / "out")
    assert reply_of(form, file) == text_


@pytest.mark.parametrize("form", list(SUFFIXES))
def test_equal_runs_give_equal_bytes(run: Path, tmp_path: Path, form: str) -> None:
    files = [export_run(run, form, tmp_path / name)[0] for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("form", list(SUFFIXES))
def test_an_unscored_run_gives_its_answers(run: Path, tmp_path: Path, form: str) -> None:
    for name in ("scores.jsonl", "summary.json"):
        (run / name).unlink()
    _, many = export_run(run, form, tmp_path / "out")
    assert many == 5


def test_measures_are_found_without_a_summary(run: Path, tmp_path: Path) -> None:
    (run / "summary.json").unlink()
    file, _ = export_run(run, "csv", tmp_path / "out.csv")
    assert [name for name in read_csv_by_hand(file)[0] if name.endswith("_den")] == ["right_den", "noise_den", "length_den"]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_measures_whose_names_collide(tmp_path: Path, form: str) -> None:
    parts = {"x": (1, 1), "X": (2, 2), 'q"': (3, 3), SURROGATE: (4, 4)}
    run = write_run(tmp_path / "a", [Planted("s0", parts=parts)], measures={name: {} for name in parts})
    file, _ = export_run(run, form, tmp_path / "out")
    row = (read_csv_by_hand if form == "csv" else read_parquet)(file)[0]
    tops = {name: float(cell) for name, cell in row.items() if "_num" in name}
    assert tops == {"x_num": 1, "X_num_2": 2, 'q"_num': 3, "a\\ud800b_num": 4}


def _append(name: str, line: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(line + (run / name).read_text("utf-8"), encoding="utf-8")


DAMAGED = {
    "header": (lambda run: (run / "run.json").write_text("{"), "run.json: not valid JSON"),
    "score": (_append("scores.jsonl", "nonsense\n"), "scores.jsonl:1: not a JSON object"),
    "generation": (_append("generations.jsonl", "{}\n"), "generations.jsonl:1: not a generation record"),
    "measure": (_append("scores.jsonl", '{"sample_id":"x","repeat":0,"measures":{"other":[1,1]}}\n'), "scores.jsonl:1"),
    "nan": (_append("scores.jsonl", '{"sample_id":"x","repeat":0,"measures":{"right":[NaN,1]}}\n'), "its measures are damaged"),
    "twice": (_append("scores.jsonl", '{"sample_id":"s0","repeat":0,"measures":{}}\n'), "scores.jsonl:2: sample 's0' is scored twice"),
}  # fmt: skip


@pytest.mark.parametrize("form", list(SUFFIXES))
@pytest.mark.parametrize("case", list(DAMAGED))
def test_a_damaged_run_is_named_and_leaves_no_file(run: Path, tmp_path: Path, form: str, case: str) -> None:
    damage, message = DAMAGED[case]
    if case == "measure" and form in ("sqlite", "inspect"):
        pytest.skip("one row a measure: none has to be known before")
    damage(run)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(RunFolderError) as caught:
        export_run(run, form, out / "file")
    assert message in str(caught.value)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("form", list(SUFFIXES))
def test_a_file_that_is_there_is_kept(run: Path, tmp_path: Path, form: str) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="there already"):
        export_run(run, form, kept)
    assert kept.read_text("utf-8") == "mine"
    export_run(run, form, kept, force=True)
    assert kept.read_bytes() != b"mine"
    with pytest.raises(UsageError, match="a folder"):
        export_run(run, form, tmp_path, force=True)
    with pytest.raises(UsageError, match="no such folder"):
        export_run(run, form, tmp_path / "none" / "file")


@pytest.mark.parametrize("form", list(SUFFIXES))
def test_a_disk_that_refuses(run: Path, form: str) -> None:
    with pytest.raises(StorageError):
        export_run(run, form, Path("/proc/nothing"))


def test_it_is_named_after_the_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    file, _ = export_run(Path(), "csv")
    assert file == Path("a run.csv")
    assert (run / "a run.csv").is_file()


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_samples(tmp_path: Path, form: str) -> None:
    used = bytes_a_sample(tmp_path, lambda run: export_run(run, form, tmp_path / f"{run.name}.out"))
    assert used < 600, "a reply alone has 4,000 bytes"


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ((None, "", "a"), ',"","a"\r\n'),
        (("a,b", 'say "x"', "\r\n"), '"a,b","say ""x""","\r\n"\r\n'),
        ((True, 1, 0.1, -1e300), "true,1,0.1,-1e+300\r\n"),
    ],
    ids=["nothing and empty", "what must be quoted", "numbers"],
)
def test_a_line_of_csv(cells: tuple[Any, ...], line: str) -> None:
    assert csv_line(cells) == line


def test_values() -> None:
    assert text({"a": [SURROGATE]}) == '{"a": ["a\\\\ud800b"]}'
    assert json.loads(json_text({SURROGATE: 1})) == {"a\\ud800b": 1}
    assert whole(-(2**63), "x") == -(2**63)
    for wrong in (2**63, True, 1.0, "1", [1]):
        with pytest.raises(ValueError, match="its x is no whole number"):
            whole(wrong, "x")
    for wrong in (math.nan, math.inf, 10**400, True, "1"):
        with pytest.raises(ValueError, match="its x is no"):
            number(wrong, "x")
