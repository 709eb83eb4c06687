"""`harness publish` over HTTP: a hub on this machine takes every request, and the token is looked for everywhere."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from tests.conftest import harness_command
from tests.unit.publishable import make_adapter

TOKEN = "hf_" + "AnotherPlantedToken" + "9876543210"
REPO = "kim/lamp-adapter"


class Hub(ThreadingHTTPServer):
    """A hub with one repository. `refuse` maps a part of a path to the status that it is answered with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.daemon_threads = True
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.files: dict[str, bytes] = {}
        self.refuse: dict[str, int] = {}
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *arguments: object) -> None: ...

    def _reply(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refused(self) -> bool:
        self.server.requests.append((self.command, self.path))
        self.server.tokens.add(self.headers.get("authorization"))
        for part, status in self.server.refuse.items():
            if part in self.path:
                self._reply({"error": "no"}, status)
                return True
        return False

    def do_GET(self) -> None:
        if not self._refused():
            self._reply(
                {"id": REPO, "modelId": REPO, "private": True, "sha": "c0ffee", "tags": [], "siblings": []}
            )

    def do_POST(self) -> None:
        body = self._read()
        if self._refused():
            return
        if self.path == "/api/repos/create":
            self._reply({"url": f"{self.server.address}/{REPO}", "id": "1"})
        elif self.path == "/api/validate-yaml":  # the hub looks at the model card
            self._reply({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self._reply(
                {
                    "files": [
                        {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked
                    ]
                }
            )
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._reply(
                {
                    "commitUrl": f"{self.server.address}/{REPO}/commit/c0ffee",
                    "commitOid": "c0ffee00",
                    "hookOutput": "",
                }
            )
        elif "/paths-info/" in self.path:
            found = [
                {"type": "file", "path": name, "size": len(data), "oid": "0"}
                for name, data in self.server.files.items()
            ]
            self._reply(found)
        else:
            self._reply({"error": "unknown"}, 404)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def publish(hub: Hub | str, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    address = hub if isinstance(hub, str) else hub.address
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    } | {
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(place / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HARNESS_CACHE": str(place / "cache"),
    }
    return subprocess.run(
        harness_command("publish", "adapter", "--repo", REPO, *arguments),
        cwd=place, env=environment, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_adapter(tmp_path / "adapter")
    return tmp_path


def token_is_nowhere(done: subprocess.CompletedProcess[str], place: Path, hub: Hub) -> None:
    assert TOKEN not in done.stdout + done.stderr
    for file in place.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file
    for name, data in hub.files.items():
        assert TOKEN.encode() not in data, name
    assert not any(TOKEN in path for _, path in hub.requests)


def test_an_upload_over_the_wire(hub: Hub, place: Path):
    done = publish(hub, place, "--yes", "--private")
    assert done.returncode == 0, done.stderr
    assert "commit c0ffee00" in done.stdout
    assert hub.tokens - {None} == {f"Bearer {TOKEN}"}, "the token goes where it belongs"
    assert set(hub.files) == {
        *("README.md", "adapter_model.safetensors", "adapter_config.json", "harness_adapter.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }
    sent = hub.files["adapter_model.safetensors"]
    assert sent == (place / "adapter" / "adapter_model.safetensors").read_bytes()
    assert b"stays at home" not in b"".join(hub.files.values())
    token_is_nowhere(done, place, hub)


def test_a_dry_run_asks_nothing(hub: Hub, place: Path):
    done = publish(hub, place, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert hub.requests == []
    token_is_nowhere(done, place, hub)


@pytest.mark.parametrize(
    ("refuse", "code", "says"),
    [
        ({"/api/": 401}, 4, "does not accept the access token (401)"),
        ({"/api/": 403}, 4, "may not write there (403)"),
        ({"/commit/": 403}, 4, "may not write there (403)"),
        ({"/preupload/": 404}, 4, "(404)"),
        ({"/paths-info/": 400}, 6, "refused (400)"),
    ],
)
def test_refusals_speak(hub: Hub, place: Path, refuse: dict[str, int], code: int, says: str):
    hub.refuse = refuse
    done = publish(hub, place, "--yes")
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    token_is_nowhere(done, place, hub)


def test_nobody_listens(hub: Hub, place: Path):
    done = publish("http://127.0.0.1:9", place, "--yes")
    assert done.returncode == 6, done.stderr
    assert "cannot be reached" in done.stderr
    token_is_nowhere(done, place, hub)


def test_a_public_repository_is_not_taken_for_a_private_one(
    hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        Answer, "do_GET", lambda self: self._reply({"id": REPO, "private": False, "siblings": []})
    )
    done = publish(hub, place, "--yes", "--private")
    assert done.returncode == 4
    assert "is public" in done.stderr
    assert hub.files == {}
