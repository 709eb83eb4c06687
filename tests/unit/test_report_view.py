"""`harness view`: what it serves, to whom, and that no address leads out of the folder."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import StorageError
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
