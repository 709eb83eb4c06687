"""The run folders of reports/examples anew, from scripts with planted faults: `make examples`.

The pages are a function of the folders, and a test holds the committed pages against them; this makes the folders, which is
needed only when what a run records changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "reports" / "examples"
SUITE = "reports/examples/suite"
BASE, OTHERS = "base", ("tuned", "damaged")
LIMIT = "60"
LEFT_OUT = ("events.jsonl", ".lock", ".reserve")
SIDE_BY_SIDE = "side-by-side-scripted.html"


def harness(*arguments: str) -> None:
    """Run the command line; a failed gate is a result."""
    done = subprocess.run([sys.executable, "-P", "-m", "harness", *arguments], cwd=ROOT, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)


def make(name: str) -> Path:
    """Make one run and put it in its place."""
    place = EXAMPLES / f"scripted-{name}"
    with tempfile.TemporaryDirectory() as made:
        script = f"script=reports/examples/scripts/{name}.yaml"
        options = ["--engine", "scripted", "--engine-option", script, "--limit", LIMIT, "--out", made]
        harness("run", SUITE, *options)
        (folder,) = Path(made).iterdir()
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns(*LEFT_OUT))
    relative(place / "run.json", made)
    return place


def relative(header: Path, made: str) -> None:
    """Take out of run.json where this machine keeps the project and the run was made."""
    text = header.read_text(encoding="utf-8")
    for folder, instead in ((made, "reports"), (f"{ROOT}{os.sep}", ""), (str(ROOT), ".")):
        text = text.replace(json.dumps(folder)[1:-1], instead)
    record = json.loads(text)
    record["argv"][0] = "harness"
    header.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Make every run, its gates and its page."""
    base = make(BASE)
    harness("report", str(base.relative_to(ROOT)))
    for name in OTHERS:
        place = make(name).relative_to(ROOT)
        harness("report", str(place), "--baseline", str(base.relative_to(ROOT)))
        harness("gate", str(place), "--against", str(base.relative_to(ROOT)))
    runs = [f"reports/examples/scripted-{name}" for name in (BASE, *OTHERS)]
    harness("report", *runs, "--html", f"reports/examples/{SIDE_BY_SIDE}")


if __name__ == "__main__":
    main()
