"""Wall time of `import harness` and `harness --help` as whole processes, beside an empty interpreter."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 9


def _wall(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-P", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure() -> dict[str, float]:
    """Return medians in seconds."""
    cases = {
        "python": ("-c", "pass"),
        "import_harness": ("-c", "import harness"),
        "help": ("-m", "harness", "--help"),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, arguments in cases.items():
            times[name].append(_wall(*arguments))
    return {f"{name}_s": round(statistics.median(values), 3) for name, values in times.items()}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
