"""The connection to a Ray cluster: an existing one, or one that is started on this machine and ended with the command."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from types import TracebackType
from typing import Any

from harness.engine.packages import install_command
from harness.engine.ray_layout import Machine
from harness.errors import EngineError, MissingDependency

_STORE_BYTES = 128 << 20
"""Ray's object store where we start Ray: prompts and answers are small, and without a number it takes 30 % of memory."""

_CONNECT_S = 10.0


def import_ray() -> Any:
    """Return the ray module, with its usage reports off unless the user turned them on. Raises MissingDependency."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without it every worker that asks for no GPU warns of a change to come, which is the one we want.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependency(
            f"the ray engine needs {error.name or 'ray'}, which is not installed",
            remedy=f"Install it: {install_command('ray')}",
        ) from None
    return ray


class Cluster:
    """A connection that is closed only if it was opened here."""

    def __init__(self, address: str) -> None:
        """Connect; `local` starts a cluster on this machine, which ends with the connection.

        A process that is connected already stays so, whatever the address. Raises MissingDependency, and EngineError
        where no cluster answers.
        """
        self.ray = import_ray()
        self.address = address
        self._opened = not self.ray.is_initialized()
        if self._opened:
            with _SigtermKept():
                self._connect(address)

    @property
    def can_grow(self) -> bool:
        """Return True unless the cluster is this machine alone, started here."""
        return not (self._opened and self.address == "local")

    def machines(self) -> list[Machine]:
        """Return what each machine of the cluster has, in use or not."""
        return [
            Machine(cpus=node["Resources"].get("CPU", 0.0), gpus=node["Resources"].get("GPU", 0.0))
            for node in self.ray.nodes()
            if node["Alive"]
        ]

    def close(self) -> None:
        """End the connection if it was opened here. Calling twice is allowed."""
        if self._opened and self.ray.is_initialized():
            self.ray.shutdown()

    def _connect(self, address: str) -> None:
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            settings |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        _knock(address)
        try:
            self.ray.init(address=address, **settings)
        except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = " ".join(lines)[:400] or type(error).__name__
            raise _no_cluster(address, said) from error


def _knock(address: str) -> None:
    """Raise EngineError if nothing listens at HOST:PORT: Ray itself would try for a minute and then end the process."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, said: str) -> EngineError:
    if address == "local":
        return EngineError(
            f"Ray does not start on this machine: {said}",
            remedy="Try again when the machine is less busy; Ray's logs are in /tmp/ray/session_latest/logs.",
        )
    return EngineError(
        f"no Ray cluster can be used at {address!r}: {said}",
        remedy="Give the address of one (--engine-option address=HOST:6379, or RAY_ADDRESS), "
        "or leave it out to use this machine.",
    )


class _SigtermKept:
    """Ray puts its own handler in the place of the one that keeps a run resumable."""

    def __enter__(self) -> None:
        self._main = threading.current_thread() is threading.main_thread()
        self._before = signal.getsignal(signal.SIGTERM)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main and self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
