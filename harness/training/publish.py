"""Upload an adapter to a model hub in one commit, with a token that is read where it lies and told to no one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.errors import EXIT_INCOMPLETE, HarnessError, Interrupted, MissingDependency, UsageError
from harness.training.publish_files import PublishFile

_LOGIN = "Set HF_TOKEN, or log in with: hf auth login"


class PublishError(HarnessError):
    """The hub could not be reached, or did not do as asked."""

    exit_code = EXIT_INCOMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where the adapter is now: its address and the commit."""

    url: str
    commit: str


def check_repo(repo: str) -> None:
    """Raise UsageError unless `repo` is OWNER/NAME as a hub takes it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"--repo: {str(error).splitlines()[0]}") from None
    if repo.count("/") != 1:
        raise UsageError(f"--repo {repo!r} names no owner", remedy="Write it as OWNER/NAME.")


def hub_token() -> str | None:
    """Return the access token of the environment or of the hub's own login, None without one. Raises PublishError."""
    try:
        from huggingface_hub import get_token
    except ImportError:
        raise MissingDependency(
            "huggingface_hub is not installed", remedy='Install it: pip install "persona-harness[hf]"'
        ) from None
    try:
        return get_token()
    except Exception as error:  # a login that has to be renewed over the network raises anything
        raise PublishError(f"the hub login cannot be used: {type(error).__name__}", remedy=_LOGIN) from None


def upload(
    files: Sequence[PublishFile],
    repo: str,
    *,
    private: bool,
    token: str | None,
    message: str,
    make_api: Callable[[str], Any] | None = None,
) -> Published:
    """Upload the files in one commit, and read back that they arrived; return where.

    A commit is all or nothing: whatever fails, nothing is half published. Raises UsageError (no token, no right, no
    such owner, a public repository where a private one was asked for), PublishError (network, the hub), Interrupted.
    """
    if not token:
        raise UsageError("there is no access token", remedy=_LOGIN)
    try:
        api = (make_api or _api)(token)
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise UsageError(
                f"{repo} exists and is public, and --private was asked for",
                remedy="Make it private in its settings, or choose another name.",
            )
        commit = api.create_commit(repo, operations=_operations(files), commit_message=message)
        _check_arrived(api, repo, str(commit.oid), files)
    except HarnessError:
        raise
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; unless the last moment was the commit itself, nothing changed in {repo}",
            remedy="Start it again: what was sent already is not sent twice.",
        ) from None
    except Exception as error:  # HTTP, connection, validation and file errors of many classes
        raise _spoken(error, repo, token) from None
    return Published(url=f"{api.endpoint}/{repo}", commit=str(commit.oid))


def _api(token: str) -> Any:
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="persona-harness", library_version=__version__)


def _operations(files: Sequence[PublishFile]) -> list[Any]:
    from huggingface_hub import CommitOperationAdd

    return [
        CommitOperationAdd(
            path_in_repo=file.name, path_or_fileobj=file.data if file.data is not None else str(file.path)
        )
        for file in files
    ]


def _check_arrived(api: Any, repo: str, commit: str, files: Sequence[PublishFile]) -> None:
    there = {
        info.path: info for info in api.get_paths_info(repo, [file.name for file in files], revision=commit)
    }
    for file in files:
        info = there.get(file.name)
        wrong = info is None or info.size != file.size
        stored = getattr(getattr(info, "lfs", None), "sha256", None)
        if wrong or (stored is not None and stored != file.sha256):
            raise PublishError(
                f"{file.name} did not arrive as it was sent (commit {commit[:12]})",
                where=repo,
                remedy="Publish again.",
            )


def _spoken(error: Exception, repo: str, token: str) -> HarnessError:
    """Return what went wrong, without the token, which some messages of the network quote."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    lines = [line.strip() for line in str(error).replace(token, "[redacted]").splitlines() if line.strip()]
    reason = lines[0][:300] if lines else type(error).__name__
    if status == 401:
        return UsageError("the hub does not accept the access token (401)", where=repo, remedy=f"{_LOGIN}.")
    if status == 403:
        return UsageError(
            "this access token may not write there (403)",
            where=repo,
            remedy="Use a token with the right to write, or a name of your own.",
        )
    if status == 404:
        return UsageError(
            "the hub knows no such owner or repository, or hides it from this token (404)",
            where=repo,
            remedy="Check the name after --repo.",
        )
    if status is not None:
        return PublishError(f"the hub refused ({status}): {reason}", where=repo, remedy="Try again later.")
    if type(error).__name__ == "OfflineModeIsEnabled":
        return PublishError(
            "the hub is switched off here (HF_HUB_OFFLINE)", where=repo, remedy="Unset HF_HUB_OFFLINE."
        )
    if isinstance(error, ValueError):
        # A token with a line break in it, say: the client refuses to build the request.
        return UsageError(
            f"the request cannot be made: {reason}", where=repo, remedy="Check HF_TOKEN and HF_ENDPOINT."
        )
    return PublishError(
        f"the hub cannot be reached: {type(error).__name__}: {reason}",
        where=repo,
        remedy="Check the network (HTTPS_PROXY, HF_ENDPOINT). Nothing is half published; try again.",
    )
