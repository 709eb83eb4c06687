"""Wall time of `harness diagnose` on a log of 100,000 lines, as a whole process, and whether torch came along."""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LINES = 100_000
ROUNDS = 5
EVAL_EVERY = 500


def write_log(path: Path, lines: int) -> None:
    """Write a log of a long run: training lines, and an evaluation of validation and train probe now and then."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, lines + 1):
            t = number / lines
            entry: dict[str, float] = {"epoch": round(3 * t, 5), "step": number}
            if number % EVAL_EVERY:
                entry["loss"] = round(0.6 + 1.6 * math.exp(-6 * t) + draw.gauss(0, 0.05), 4)
                entry["grad_norm"] = round(0.8 * math.exp(draw.gauss(0, 0.3)), 4)
                entry["learning_rate"] = 1e-4 * (1 + math.cos(math.pi * t))
            else:
                entry["eval_loss"] = 0.7 + 1.5 * math.exp(-6 * t) + draw.gauss(0, 0.002)
                entry["eval_train_probe_loss"] = 0.6 + 1.6 * math.exp(-6 * t) + draw.gauss(0, 0.002)
            file.write(json.dumps(entry) + "\n")


def measure() -> dict[str, Any]:
    """Return the median seconds, the lines, and whether torch or transformers was imported."""
    with tempfile.TemporaryDirectory() as name:
        log, page = Path(name) / "log.jsonl", Path(name) / "page.html"
        write_log(log, LINES)
        plain = [_wall("-m", "harness", "diagnose", str(log)) for _ in range(ROUNDS)]
        with_page = [_wall("-m", "harness", "diagnose", str(log), "--html", str(page)) for _ in range(ROUNDS)]
        heavy = _heavy_imports(log)
    return {
        "n": LINES,
        "seconds": round(statistics.median(plain), 3),
        "seconds_with_page": round(statistics.median(with_page), 3),
        "torch_imported": "torch" in heavy,
        "heavy_imports": heavy,
    }


def _wall(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def _heavy_imports(log: Path) -> list[str]:
    """Return which heavy packages one call of the command imports."""
    code = (
        "import sys\n"
        "from harness.cli.main import run_command\n"
        f"run_command(['diagnose', {str(log)!r}, '--json'])\n"
        "names = ('torch', 'transformers', 'datasets', 'numpy', 'trl', 'peft')\n"
        "print('\\n' + ' '.join(name for name in names if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1].split()


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
