"""`make bench`: every figure in docs/performance.md, measured in one run, each comparison side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from harness.run.header import environment

ROOT = Path(__file__).resolve().parents[1]
BENCHES = ("bench_import", "bench_scripted", "bench_hf", "bench_overhead")


def main() -> None:
    """Run each bench in a process of its own and write the page."""
    results = {}
    for name in BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-P", str(ROOT / "bench" / f"{name}.py")],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        results[name] = json.loads(
            done.stdout[done.stdout.index("\n{") + 1 if not done.stdout.startswith("{") else 0 :]
        )
        print(json.dumps(results[name], indent=1), file=sys.stderr, flush=True)
    (ROOT / "bench" / "results.json").write_text(json.dumps({"env": _env(), **results}, indent=1) + "\n")
    print("wrote bench/results.json; bring docs/performance.md up to date from it", file=sys.stderr)


def _env() -> dict[str, object]:
    return {**environment(), "date": datetime.now(UTC).strftime("%Y-%m-%d")}


if __name__ == "__main__":
    main()
