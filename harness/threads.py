"""How the threads of numpy and torch wait. Read by their libraries when they are loaded, so it is set before that."""

from __future__ import annotations

import os


def set_waiting() -> None:
    """Keep threads from spinning for long, unless the environment says otherwise."""
    # Small matrix products gain nothing from a second thread, and wait milliseconds for one on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Threads that wait spinning made a model thirty times slower as soon as another program wanted a core; threads that
    # never spin, a third slower on a quiet machine. This is about 50 microseconds.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
