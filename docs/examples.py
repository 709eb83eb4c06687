"""The run folders of reports/examples anew, from scripts with planted faults: `make examples`.

The pages are a function of the folders, and a test holds the committed pages against them; this makes the folders, which is
needed only when what a run records changes. Two runs are of the bundled model: a persona's suite, asked of base and adapter.
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
DATA = EXAMPLES / "suite" / "structural-60"
BASE, OTHERS = "base", ("tuned", "damaged")
SAMPLES = 60
LEFT_OUT = ("events.jsonl", ".lock", ".reserve")
SIDE_BY_SIDE = "side-by-side-scripted.html"
PERSONA_SUITE = "suites/persona/founder_en"
PERSONA_RUNS = ("persona-base", "persona-adapter")
PERSONA_PAGE = "persona-before-after.html"


def harness(*arguments: str) -> None:
    """Run the command line; a failed gate is a result."""
    done = subprocess.run([sys.executable, "-P", "-m", "harness", *arguments], cwd=ROOT, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)


def write_data() -> None:
    """Write the suite's data set: some samples of the shipped one, spread over its slices. Gates speak of whole suites."""
    from harness.suite.load import load_suite
    from harness.suite.select import Selection, select

    shipped = load_suite(str(ROOT / "suites" / "tool_calling"))
    selection = Selection(limit=SAMPLES, tags={}, strata=shipped.spec.slices)
    taken = select((located.sample for located in shipped.samples()), selection)
    DATA.mkdir(exist_ok=True)
    shutil.copy(shipped.records.parent / "tools.json", DATA)
    lines = shipped.records.read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = [
        line
        for line, located in zip(lines, shipped.samples(), strict=True)
        if taken.takes(located.sample, selection)
    ]
    (DATA / "test.jsonl").write_text("".join(chosen), encoding="utf-8")


def make(name: str) -> Path:
    """Make one scripted run and put it in its place."""
    script = f"script=reports/examples/scripts/{name}.yaml"
    (place,) = run(SUITE, (f"scripted-{name}",), "--engine", "scripted", "--engine-option", script)
    return place


def run(suite: str, names: tuple[str, ...], *options: str) -> list[Path]:
    """Run a suite and put its runs, in the order in which they were made, in the places of these names."""
    with tempfile.TemporaryDirectory() as made:
        harness("run", suite, *options, "--out", made)
        folders = sorted(Path(made).iterdir())
        places = [EXAMPLES / name for name in names]
        for folder, place in zip(folders, places, strict=True):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns(*LEFT_OUT))
            relative(place / "run.json", made)
    return places


def relative(header: Path, made: str) -> None:
    """Take out of run.json where this machine keeps the project and the run was made."""
    text = header.read_text(encoding="utf-8")
    for folder, instead in ((made, "reports"), (f"{ROOT}{os.sep}", ""), (str(ROOT), ".")):
        text = text.replace(json.dumps(folder)[1:-1], instead)
    record = json.loads(text)
    record["argv"][0] = "harness"
    header.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Make the data set, every run, its gates and its page."""
    write_data()
    base = make(BASE)
    harness("report", str(base.relative_to(ROOT)))
    for name in OTHERS:
        place = make(name).relative_to(ROOT)
        harness("report", str(place), "--baseline", str(base.relative_to(ROOT)))
        harness("gate", str(place), "--against", str(base.relative_to(ROOT)))
    runs = [f"reports/examples/scripted-{name}" for name in (BASE, *OTHERS)]
    harness("report", *runs, "--html", f"reports/examples/{SIDE_BY_SIDE}")
    before, after = (str(place.relative_to(ROOT)) for place in run(PERSONA_SUITE, PERSONA_RUNS))
    harness("report", before)
    harness("report", after, "--baseline", before)
    harness("report", before, after, "--html", f"reports/examples/{PERSONA_PAGE}")


if __name__ == "__main__":
    main()
