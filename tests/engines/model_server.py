"""A real model server in a process of its own, on this machine, for as long as a block lasts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """`url` is where its interface begins."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End all its processes, as a machine does that has no memory left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, patience_s: float = 200
) -> Iterator[Server]:
    """Start `command` with `--host` and `--port` behind it; yield the server once it lists its models."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
            cwd=Path(tempfile.gettempdir()),
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}/v1"
        try:
            end = time.monotonic() + patience_s
            while not _answers(f"{url}/models"):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    said = log.read()[-3000:].decode(errors="replace")
                    raise RuntimeError(f"the server did not start (exit {process.poll()}):\n{said}")
                time.sleep(0.2)
            yield Server(url, process)
        finally:
            # The whole group: a server starts processes that outlive it otherwise.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
