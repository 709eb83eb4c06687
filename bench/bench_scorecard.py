"""The scorecard of 100,000 samples: time, memory, size of the page, and its first paint in headless Chromium.

The run folder is made up, with the sample kinds of tests/golden/scorecard; making it is not measured. Time and memory
are those of a process of its own that does what `harness report RUN` does, its start included. First paint is what the
browser itself reports for the page opened from disk, the median of five visits in new contexts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.log.schema import json_line

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = 100_000
VISITS = 5


def main() -> None:
    """Print one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before", Path(folder) / "after"
        # In processes of their own: a child starts with its parent's peak memory, and this one must stay small.
        for where, shift in ((before, 3), (after, 0)):
            subprocess.run([sys.executable, "-P", __file__, str(where), str(shift)], check=True)
        alone = report(after)
        results: dict[str, Any] = {"samples": SAMPLES, "one run": alone}
        results["against a baseline"] = report(after, "--baseline", str(before))
        results["first paint"] = first_paint(after / "scorecard.html")
        page = after / "scorecard.html"
        results["page_bytes"] = page.stat().st_size
    print(json.dumps(results))


def make_run(folder: Path, *, shift: int) -> None:
    """Write a run folder; every ninth sample comes out as `shift` says."""
    spec = importlib.util.spec_from_file_location(
        "example_run", ROOT / "tests" / "golden" / "scorecard" / "example_run.py"
    )
    assert spec is not None
    assert spec.loader is not None
    made: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    folder.mkdir()
    kinds = [verdict for verdict in made.PLAN if verdict not in ("engine_error",)]
    pairs = []
    with (folder / "scores.jsonl").open("wb") as scores, (folder / "generations.jsonl").open("wb") as answers:
        for index in range(SAMPLES):
            verdict = kinds[(index * 7 + (shift if index % 9 == 0 else 0)) % len(kinds)]
            score, generation = made.sample(index, verdict)
            names = {"v": 1, "sample_id": score["sample_id"], "repeat": 0, "key": f"{index:032x}"}
            score, generation = {**score, **names, "cluster": f"c{index % 20_000}"}, {**generation, **names}
            scores.write(json_line(score))
            answers.write(json_line(generation))
            pairs.append((score, generation))
    header = made.header()
    header |= {"run_id": folder.name, "plan": {"selection": {"strata": []}}}
    header["suite"]["path"] = "suites/tool_calling"
    (folder / "run.json").write_text(json.dumps(header), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(made.summary(pairs)), encoding="utf-8")


def report(run: Path, *options: str) -> dict[str, float]:
    """Return wall and processor seconds and the peak memory of `harness report`, in a process of its own."""
    command = [sys.executable, "-P", "-m", "harness", "report", str(run), *options]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        said = child.stderr.read().decode() if child.stderr else ""
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}: {said}")
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
        "page_bytes": (run / "scorecard.html").stat().st_size,
    }


def first_paint(page: Path) -> dict[str, Any] | None:
    """Return the first paint and the first contentful paint in milliseconds, None without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("HARNESS_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        return None
    found: dict[str, list[float]] = {"first-paint": [], "first-contentful-paint": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        for _ in range(VISITS):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            tab = context.new_page()
            tab.goto(page.as_uri())
            tab.wait_for_function("performance.getEntriesByType('paint').length >= 2")
            for entry in tab.evaluate(
                "performance.getEntriesByType('paint').map((e) => [e.name, e.startTime])"
            ):
                found[entry[0]].append(float(entry[1]))
            context.close()
        version = browser.version
        browser.close()
    medians = {name: round(statistics.median(values), 1) for name, values in found.items()}
    return {"chromium": version, **medians, "visits": VISITS}


if __name__ == "__main__":
    if len(sys.argv) == 3:
        make_run(Path(sys.argv[1]), shift=int(sys.argv[2]))
    else:
        main()
