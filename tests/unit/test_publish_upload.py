"""The upload to a hub: one commit of the allowed files, and every refusal in words that hold no token."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")
hub_errors = pytest.importorskip("huggingface_hub.errors")

from harness.errors import Interrupted, UsageError  # noqa: E402
from harness.training.publish import PublishError, upload  # noqa: E402
from harness.training.publish_files import (  # noqa: E402
    ALLOWED,
    CARD,
    publish_files,
)
from tests.unit.publishable import REPO, TOKEN, make_adapter  # noqa: E402


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return make_adapter(tmp_path / "adapter")


class FakeHub:
    """What HfApi offers and this uses; `there` is what the repository holds after the commit."""

    endpoint = "https://hub.example"

    def __init__(
        self, *, private: bool = False, fails: dict[str, BaseException] | None = None, loses: str = ""
    ) -> None:
        self.private = private
        self.fails = fails or {}
        self.loses = loses
        self.calls: list[str] = []
        self.there: dict[str, int] = {}

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def create_repo(self, repo: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        self._call("create_repo")

    def model_info(self, repo: str) -> Any:
        self._call("model_info")
        return SimpleNamespace(private=self.private)

    def create_commit(self, repo: str, *, operations: list[Any], commit_message: str) -> Any:
        self._call("create_commit")
        for operation in operations:
            with operation.as_file() as file:
                self.there[operation.path_in_repo] = len(file.read())
        return SimpleNamespace(oid="c0ffee" * 6)

    def get_paths_info(self, repo: str, paths: list[str], *, revision: str) -> list[Any]:
        self._call("get_paths_info")
        return [
            SimpleNamespace(path=path, size=size, lfs=None)
            for path, size in self.there.items()
            if path != self.loses
        ]


def send(adapter: Path, fake: FakeHub, *, private: bool = False, token: str | None = TOKEN) -> Any:
    files = publish_files(adapter, "# card", None)
    return upload(files, REPO, private=private, token=token, message="m", make_api=lambda token: fake)


def test_one_commit_with_the_allowed_files(adapter: Path):
    fake = FakeHub()
    published = send(adapter, fake)
    assert fake.calls == ["create_repo", "create_commit", "get_paths_info"]
    assert set(fake.there) <= {CARD, *ALLOWED}
    assert fake.there["adapter_model.safetensors"] == (adapter / "adapter_model.safetensors").stat().st_size
    assert published.url == f"https://hub.example/{REPO}"


def test_a_public_repository_where_a_private_one_was_asked_for(adapter: Path):
    fake = FakeHub(private=False)
    with pytest.raises(UsageError, match="is public"):
        send(adapter, fake, private=True)
    assert "create_commit" not in fake.calls
    assert send(adapter, FakeHub(private=True), private=True)


def http_error(status: int, text: str = "") -> BaseException:
    import httpx2

    request = httpx2.Request("POST", "https://hub.example/api", headers={"authorization": f"Bearer {TOKEN}"})
    return hub_errors.HfHubHTTPError(
        text or f"{status} error", response=httpx2.Response(status, request=request)
    )


@pytest.mark.parametrize("call", ["create_repo", "create_commit", "get_paths_info"])
@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (http_error(401), UsageError, "does not accept the access token"),
        (http_error(403), UsageError, "may not write there"),
        (http_error(404), UsageError, "no such owner or repository"),
        (http_error(429), PublishError, "refused (429)"),
        (http_error(503, f"down\nBearer {TOKEN}"), PublishError, "refused (503): down"),
        (ConnectionError("no route to host"), PublishError, "cannot be reached"),
        (TimeoutError(), PublishError, "cannot be reached"),
        (hub_errors.OfflineModeIsEnabled("offline"), PublishError, "HF_HUB_OFFLINE"),
        (ValueError(f"Illegal header value b'Bearer {TOKEN}'"), UsageError, "[redacted]"),
        (KeyboardInterrupt(), Interrupted, "interrupted"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
)
def test_what_can_go_wrong_speaks(adapter: Path, call: str, error: BaseException, kind: type, says: str):
    with pytest.raises(kind) as caught:
        send(adapter, FakeHub(fails={call: error}))
    message = caught.value.one_message()
    assert says in message
    assert TOKEN not in message
    assert caught.value.remedy


def test_a_file_that_did_not_arrive(adapter: Path):
    with pytest.raises(PublishError, match="did not arrive"):
        send(adapter, FakeHub(loses="adapter_config.json"))


def test_no_token_no_call(adapter: Path):
    fake = FakeHub()
    with pytest.raises(UsageError, match="no access token"):
        send(adapter, fake, token=None)
    assert fake.calls == []
