"""`harness view`: what it serves, to whom, and that no address leads out of the folder."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageError
from harness.report.model import status_of
from harness.report.view.index import IndexReader
from harness.report.view.page import history_svg, render_index
from harness.report.view.server import ViewServer
from tests.unit.report_runs import HOSTILE, write_run

pytestmark = pytest.mark.network
Answer = tuple[int, dict[str, str], str]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    root = tmp_path / "reports"
    for day in (1, 2, 3):
        write_run(root / f"run-{day}", day=day)
    write_run(root / "examples" / "inner", day=4, status="interrupted")
    write_run(tmp_path / "outside", day=5)
    (root / "damaged").mkdir()
    (root / "damaged" / "run.json").write_text("{", encoding="utf-8")
    (root / "run-1" / "scorecard.html").write_text("<script>stored()</script>", encoding="utf-8")
    return root


@pytest.fixture
def server(reports: Path) -> Iterator[ViewServer]:
    with ViewServer(reports, 0) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join(timeout=10)


def ask(server: ViewServer, target: str, *, host: list[str] | None = None, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest(method, target, skip_host=True)
    for name in [f"127.0.0.1:{server.port}"] if host is None else host:
        connection.putheader("Host", name.replace("PORT", str(server.port)))
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode("utf-8")
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_it_listens_on_this_machine_alone(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_index_lists_every_run_with_its_history(server: ViewServer) -> None:
    status, headers, body = ask(server, "/")
    assert status == 200
    for name in ("run-1", "run-2", "run-3", "examples/inner"):
        assert f'value="{name}"' in body
    assert "outside" not in body
    assert body.count("<svg") >= 2 * 3, "wide and narrow, for each headline metric"
    assert "damaged" in body
    assert "not valid JSON" in body
    assert "interrupted" in body
    assert "default-src 'none'; style-src 'sha256-" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]


def test_a_run_is_made_anew_and_never_the_stored_page(server: ViewServer) -> None:
    status, headers, body = ask(server, "/run/run-1")
    assert status == 200
    assert "stored()" not in body
    assert "Right on 17 of 38" in body
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.removesuffix("; frame-ancestors 'none'") in body.replace("&#39;", "'")
    data = json.loads(ask(server, "/run/run-1.json")[2])
    assert data["run_id"] == "run-1"


def test_pages_change_when_the_run_does(server: ViewServer, reports: Path) -> None:
    assert "INCOMPLETE" not in ask(server, "/run/run-2")[2]
    header = json.loads((reports / "run-2" / "run.json").read_text(encoding="utf-8"))
    (reports / "run-2" / "run.json").write_text(json.dumps({**header, "status": "failed"}), encoding="utf-8")
    assert "INCOMPLETE" in ask(server, "/run/run-2")[2]


def test_pages_change_when_their_baseline_does(server: ViewServer, reports: Path) -> None:
    (reports / "run-2" / "baseline.json").write_text('{"run": "../run-1"}', encoding="utf-8")
    assert "Is it better?" in ask(server, "/run/run-2")[2]
    assert "cannot be used" not in ask(server, "/run/run-2")[2]
    header = json.loads((reports / "run-1" / "run.json").read_text(encoding="utf-8"))
    (reports / "run-1" / "run.json").write_text(json.dumps({**header, "status": "failed"}), encoding="utf-8")
    assert "the baseline cannot be used" in ask(server, "/run/run-2")[2]


def test_side_by_side_takes_the_oldest_as_base(server: ViewServer) -> None:
    status, _, body = ask(server, "/side?run=run-3&run=run-1")
    assert status == 200, body
    assert "2 runs side by side" in body
    assert [
        ask(server, target)[0] for target in ("/side", "/side?run=run-1", "/side?run=run-1&run=../outside")
    ] == [
        400,
        400,
        404,
    ]


LEADING_OUT = [
    "/../outside",
    "/run/../outside",
    "/run/../../outside",
    "/run/%2e%2e/outside",
    "/run/..%2foutside",
    "/run/run-1/../../../outside",
    "/run//etc/passwd",
    "//etc/passwd",
    "/run/run-1/run.json",
    "/run/run-1/generations.jsonl",
    "/run/link",
    "/run/run-1%00",
    "/run/C:%5cWindows",
    "http://127.0.0.1/run/outside",
    "/reports/run-1",
    "/run/",
]


@pytest.mark.parametrize("target", LEADING_OUT)
def test_no_address_leads_out(server: ViewServer, reports: Path, target: str) -> None:
    (reports / "link").symlink_to(reports.parent / "outside")
    status, headers, body = ask(server, target)
    assert status == 404
    assert body == "There is no such page here.\n", "nothing of the address comes back"
    assert headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("host", "status", "why"),
    [
        (["localhost:PORT"], 200, "the other name of this machine"),
        (["LOCALHOST:PORT"], 200, "names have no case"),
        (["evil.example"], 421, "a rebound name"),
        (["evil.example:PORT"], 421, "a rebound name with our port"),
        (["127.0.0.1"], 421, "without our port it is another server's"),
        (["127.0.0.1:PORT.evil.example"], 421, "a name that begins like ours"),
        ([], 421, "no name"),
        (["127.0.0.1:PORT", "evil.example"], 421, "two names"),
    ],
)
def test_only_requests_for_this_machine_are_answered(
    server: ViewServer, host: list[str], status: int, why: str
) -> None:
    found, headers, body = ask(server, "/", host=host)
    assert found == status, why
    if status != 200:
        assert "run-1" not in body
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_written(server: ViewServer, reports: Path, method: str) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in reports.rglob("*"))
    assert ask(server, "/run/run-1", method=method)[0] == 501
    assert ask(server, "/run/run-1")[0] == 200
    assert ask(server, "/")[0] == 200
    assert before == sorted((path, path.stat().st_mtime_ns) for path in reports.rglob("*"))


def test_head_is_get_without_body(server: ViewServer) -> None:
    status, headers, body = ask(server, "/", method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 1000


def test_every_answer_forbids_framing_sniffing_and_keeping(server: ViewServer) -> None:
    for target in ("/", "/run/run-1", "/run/run-1.json", "/nowhere"):
        headers = ask(server, target)[1]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_a_damaged_run_says_so_in_plain_text(server: ViewServer, reports: Path) -> None:
    (reports / "run-3" / "scores.jsonl").write_text("{}\nno json\n{}\n", encoding="utf-8")
    status, headers, body = ask(server, "/run/run-3")
    assert status == 422
    assert headers["Content-Type"].startswith("text/plain")
    assert "scores.jsonl" in body


def test_gates_that_cannot_be_read_pass_nothing(server: ViewServer, reports: Path) -> None:
    (reports / "run-3" / "gates.json").write_text("{", encoding="utf-8")
    body = ask(server, "/")[2]
    assert 'value="run-3"' in body, "the run is still listed"
    assert "0 of 1" in body


def test_a_taken_port_is_one_clear_message(server: ViewServer, reports: Path) -> None:
    with pytest.raises(StorageError, match="--port"):
        ViewServer(reports, server.port)


def test_hostile_names_are_text_in_the_index(tmp_path: Path) -> None:
    write_run(tmp_path / "a&b <i>", day=1, name=HOSTILE.replace("/", "|"), name_=1)
    write_run(tmp_path / "b", day=2, name=HOSTILE.replace("/", "|"))
    page = render_index(IndexReader(tmp_path).read())
    page.encode("utf-8")
    assert "<script" not in page
    assert "<i>" not in page
    assert "\u202e" not in page
    assert "/run/a%26b%20%3Ci%3E" in page


def damage(folder: Path, name: str, **changes: Any) -> None:
    """Change top-level values of a run's run.json or summary.json."""
    stored = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps({**stored, **changes}), encoding="utf-8")


def test_a_run_that_is_under_way_stands_in_the_index(server: ViewServer, reports: Path) -> None:
    (reports / "run-2" / "summary.json").unlink()
    damage(reports / "run-2", "run.json", status="running")
    status, _, body = ask(server, "/")
    assert status == 200
    for name in ("run-1", "run-2", "run-3"):
        assert f'value="{name}"' in body
    assert "running" in body


def test_runs_of_one_suite_with_other_headline_scores_stand_in_one_table(
    server: ViewServer, reports: Path
) -> None:
    summary = json.loads((reports / "run-2" / "summary.json").read_text(encoding="utf-8"))
    name = next(name for name, about in summary["measures"].items() if about["headline"])
    summary["measures"][name]["headline"] = False
    damage(reports / "run-2", "summary.json", measures=summary["measures"])
    status, _, body = ask(server, "/")
    assert status == 200
    (without,) = (line for line in body.splitlines() if 'value="run-2"' in line)
    (whole,) = (line for line in body.splitlines() if 'value="run-1"' in line)
    assert without.count("data-name") == whole.count("data-name")
    assert without.count(">–</td>") == whole.count(">–</td>") + 1


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/run/run-2", ["run-2"]),
        ("/run/run-2.json", ["run-2"]),
        ("/side?run=run-1&run=run-2", ["run-1", "run-2"]),
    ],
)
@pytest.mark.parametrize("error", [KeyError("gone"), ValueError("\x1b[2J"), RecursionError()], ids=repr)
def test_a_page_that_cannot_be_made_names_its_runs(
    server: ViewServer, monkeypatch: pytest.MonkeyPatch, target: str, named: list[str], error: Exception
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    for name in ("load_scorecard", "load_side_by_side"):
        monkeypatch.setattr(f"harness.report.view.server.{name}", broken)
    status, headers, body = ask(server, target)
    assert status == 500
    assert headers["Content-Type"].startswith("text/plain")
    assert all(name in body for name in named)
    assert type(error).__name__ in body
    assert "\x1b" not in body
    assert ask(server, "/")[0] == 200, "the server goes on"
    monkeypatch.undo()
    assert ask(server, target)[0] == 200


def test_an_index_that_cannot_be_made_names_the_folder(
    server: ViewServer, monkeypatch: pytest.MonkeyPatch, reports: Path
) -> None:
    def broken(*_: object) -> str:
        raise ValueError("no page")

    with monkeypatch.context() as patched:
        patched.setattr("harness.report.view.server.render_index", broken)
        status, _, body = ask(server, "/")
        assert status == 500
        assert str(reports) in body
        assert ask(server, "/run/run-1")[0] == 200
    monkeypatch.setattr("harness.report.view.index._run_folders", broken)
    for target in ("/", "/run/run-1", "/side?run=run-1&run=run-2"):
        status, _, body = ask(server, target)
        assert (status, str(reports) in body) == (500, True)


def test_one_run_that_breaks_the_index_is_named_among_the_damaged(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sometimes(header: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        if header["run_id"] == "run-2":
            raise TypeError("unheard of")
        return status_of(header, summary)

    monkeypatch.setattr("harness.report.view.index.status_of", sometimes)
    index = IndexReader(reports).read()
    assert {row.key for row in index.damaged} == {"damaged", "run-2"}
    assert "TypeError" in render_index(index)


@pytest.mark.parametrize("target", ["/run/%ff", "/run/b%ff", "/side?run=%ff&run=run-1", "/%ff"])
def test_what_is_no_text_is_no_address(server: ViewServer, target: str) -> None:
    assert ask(server, target)[0] in (400, 404)


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
@pytest.mark.parametrize("name", [b"b\xff", b"b\xff/inner"])
def test_a_folder_whose_name_is_no_text_does_not_hide_the_others(
    server: ViewServer, reports: Path, name: bytes
) -> None:
    write_run(Path(os.fsdecode(os.fsencode(reports) + b"/" + name)), day=6)
    status, _, body = ask(server, "/")
    assert status == 200
    assert 'value="run-1"' in body
    assert "Cannot be read" in body
    assert "b\\udcff" in body
    assert "not UTF-8" in body


@pytest.mark.parametrize(
    ("selection", "together", "why"),
    [
        ({"limit": 60, "tags": {}, "n": 60}, False, "a part of the samples"),
        ({"limit": None, "tags": {"category": "simple"}, "n": 60}, False, "another part of them"),
        ({"limit": 5000, "tags": {}, "n": 100}, True, "a limit that leaves nothing out"),
        ({"limit": None, "tags": {}, "n": 100}, True, "the same samples"),
        ({"limit": "<b>", "tags": ["x"], "n": True}, False, "nobody knows which"),
        (None, True, "nothing is said of a selection"),
    ],
)
def test_a_part_of_the_samples_is_no_point_on_the_line_of_all(
    tmp_path: Path, selection: Any, together: bool, why: str
) -> None:
    for day in (1, 2, 3):
        write_run(tmp_path / f"run-{day}", day=day)
        damage(tmp_path / f"run-{day}", "run.json", selection={"limit": None, "tags": {}, "n": 100})
    damage(tmp_path / "run-3", "run.json", selection=selection)
    index = IndexReader(tmp_path).read()
    lengths = [len(group.histories[0].points) if group.histories else 0 for group in index.groups]
    assert sorted(lengths) == ([3] if together else [0, 2]), why
    page = render_index(index)
    assert "<b>" not in page
    if isinstance(selection, dict) and selection["limit"] == 60:
        assert "limit 60" in page
    if isinstance(selection, dict) and selection["tags"] == {"category": "simple"}:
        assert "category=simple" in page


def test_history_has_a_line_for_each_model(tmp_path: Path) -> None:
    for day in range(1, 7):
        write_run(tmp_path / f"run-{day}", day=day, name="one" if day % 2 else "two")
    (group,) = IndexReader(tmp_path).read().groups
    history = group.histories[0]
    assert [point.row.who for point in history.points] == ["one", "two"] * 3, "oldest first"
    drawn = history_svg(history, 720, "x")
    assert drawn.count("<polyline") == 2
    assert "2026-01-01" in drawn
    assert 'role="img"' in drawn


def test_a_value_without_validation_is_marked_in_its_row_and_on_its_line(tmp_path: Path) -> None:
    for day in (1, 2):
        write_run(tmp_path / f"run-{day}", day=day)
    summary = json.loads((tmp_path / "run-1" / "summary.json").read_text(encoding="utf-8"))
    name = next(name for name, about in summary["measures"].items() if about["headline"])
    label = summary["measures"][name]["label"]
    for days, line in (
        (("run-1",), f"{label} (unvalidated in 1 of 2 runs)"),
        (("run-2",), f"{label} (unvalidated)"),
    ):
        for day in days:
            changed = json.loads((tmp_path / day / "summary.json").read_text(encoding="utf-8"))["measures"]
            changed[name] |= {"label": f"{label} (unvalidated)", "validated": False}
            damage(tmp_path / day, "summary.json", measures=changed)
        index = IndexReader(tmp_path).read()
        assert index.groups[0].histories[0].label == line
        page = render_index(index)
        rows = [row for row in page.splitlines() if 'name="run"' in row]
        assert sum("unvalidated" in row for row in rows) == (1 if days == ("run-1",) else 2)
        assert f'class="n">{label}</th>' in page, "the column stands over validated values too"


def test_the_same_questions_under_another_system_prompt_are_another_history(tmp_path: Path) -> None:
    for day, condition in ((1, "persona"), (2, "none"), (3, "persona")):
        write_run(tmp_path / f"run-{day}", day=day)
        damage(tmp_path / f"run-{day}", "run.json", prompt={"system_prompt": condition})
    groups = IndexReader(tmp_path).read().groups
    assert (
        sorted((len(group.rows), group.data.rpartition(", ")[2]) for group in groups)[0][1]
        == "system prompt none"
    )
    assert sorted(len(group.rows) for group in groups) == [1, 2]


def test_another_version_or_data_is_another_history(tmp_path: Path) -> None:
    write_run(tmp_path / "a", day=1)
    write_run(tmp_path / "b", day=2, version="2.0.0")
    index = IndexReader(tmp_path).read()
    assert len(index.groups) == 2
    assert not any(group.histories for group in index.groups)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_not_followed(tmp_path: Path) -> None:
    write_run(tmp_path / "outside" / "run", day=1)
    root = tmp_path / "reports"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside" / "run")
    assert not IndexReader(root).read().rows
