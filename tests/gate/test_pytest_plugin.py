"""`pytest suites/`: gates as test items, with the verdicts of `harness gate`, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.gate.conftest import ARGUMENTS, CALM, NAMES, RATIO, World, script_of

PLUGIN = "harness.testing.pytest_plugin"


class Session:
    """pytest in the workspace, in a process of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        installed = [one for one in entry_points(group="pytest11") if one.value == PLUGIN]
        self._plugin = () if installed else ("-p", PLUGIN)

    def __call__(self, *arguments: str | Path) -> pytest.RunResult:
        # Not pytester: it takes every module that a test imported out of sys.modules, and torch cannot be loaded twice.
        command = [sys.executable, "-P", "-m", "pytest", *self._plugin, *map(str, arguments)]
        # An editable install makes pytest warn of its own import hook, which has nothing to do with gates.
        ignored = "-W ignore::pytest.PytestAssertRewriteWarning"
        environment = {**os.environ, "PY_COLORS": "0", "PYTEST_ADDOPTS": ignored}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        return pytest.RunResult(done.returncode, done.stdout.splitlines(), done.stderr.splitlines(), 0.0)

    def scripted(self, name: str) -> dict[str, Any]:
        """The `target` of a gate file that measures a script."""
        script = f"../../{script_of(self.world.root, name).relative_to(self.world.root)}"
        return {"engine": "scripted", "options": {"script": script}}

    def run_folders(self) -> set[Path]:
        return {path.parent for path in (self.world.root / "reports").glob("*/run.json")}


@pytest.fixture
def session(world: World, in_process: Any, monkeypatch: pytest.MonkeyPatch) -> Session:
    """pytest in a world whose good run is the baseline."""
    world.gates(NAMES, ARGUMENTS, RATIO, CALM)
    in_process("gate", world.runs["good"], "--propose-baseline")
    monkeypatch.chdir(world.root)
    return Session(world)


FILE = "suites/tool_calling/tool_calling.gate.yaml"


def test_each_gate_is_an_item_and_collecting_imports_no_engine(session: Session) -> None:
    (session.world.root / "conftest.py").write_text(
        "import sys\n"
        "def pytest_collection_finish(session):\n"
        "    heavy = ('torch', 'transformers', 'datasets', 'numpy')\n"
        "    print('imported:', [name for name in heavy if name in sys.modules])\n"
    )
    done = session("suites", "--collect-only", "-q", "-s")
    assert done.ret == 0
    items = [line for line in done.outlines if "::" in line]
    assert items == [
        f"{FILE}::{name}"
        for name in ("names", "arguments_no_worse", "arguments_f1_no_worse", "few_inventions")
    ]
    assert "imported: []" in done.outlines


def test_a_good_run_passes(session: Session) -> None:
    done = session("suites", "--harness-run", session.world.runs["good"])
    done.assert_outcomes(passed=4)
    assert done.ret == 0
    run = session.world.runs["good"]
    assert f"gated run: {run}" in done.outlines
    assert f"scorecard: {run / 'scorecard.html'}" in done.outlines
    assert "<title>PASS" in (run / "scorecard.html").read_text()


def test_a_damaged_run_gets_the_verdicts_of_harness_gate(session: Session, in_process: Any) -> None:
    run = session.world.runs["damaged"]
    done = session("suites", "--harness-run", run, "--junitxml", "gates.xml")
    assert done.ret == 1
    done.assert_outcomes(passed=2, failed=2)
    by_command = json.loads(in_process("gate", run, "--json").out)[0]["gates"]
    cases = ElementTree.parse("gates.xml").getroot().iter("testcase")
    by_pytest = {
        case.get("name"): (
            {one.get("name"): one.get("value") for one in case.iter("property")},
            case.find("failure"),
        )
        for case in cases
    }
    assert list(by_pytest) == [gate["name"] for gate in by_command]
    for gate in by_command:
        properties, failure = by_pytest[gate["name"]]
        assert properties["verdict"] == gate["verdict"]
        assert properties["sentence"] == gate["sentence"]
        assert float(properties["observed"] or 0) == gate["observed"]
        assert properties["harness_run"] == str(run)
        assert (failure is not None) == (gate["outcome"] == "fail")
        if failure is not None:
            assert gate["sentence"] in (failure.text or "")
            assert f"got worse: {gate['broken_samples'][0]}, " in (failure.text or "")
            assert f"{FILE}:" in (failure.text or "")
    assert "Traceback" not in done.stdout.str()


def test_the_run_folder_gets_the_gates_that_the_command_leaves(session: Session, in_process: Any) -> None:
    run = session.world.runs["damaged"]
    session("suites", "--harness-run", run, "-k", "names")
    by_pytest = json.loads((run / "gates.json").read_text())
    assert by_pytest["file"] == FILE
    assert by_pytest["baseline"] == "reports/baselines/tool_calling/good.json"
    assert by_pytest["gates"][0]["where"].startswith(f"{FILE}:")
    in_process("gate", run)
    by_command = json.loads((run / "gates.json").read_text())
    assert [gate["name"] for gate in by_pytest["gates"]] == [gate["name"] for gate in by_command["gates"]]
    assert [gate["sentence"] for gate in by_pytest["gates"]] == [
        gate["sentence"] for gate in by_command["gates"]
    ]


def test_a_run_folder_that_takes_no_results_is_a_warning(session: Session) -> None:
    run = session.world.runs["good"]
    (run / "scorecard.html").unlink(missing_ok=True)
    (run / "scorecard.html").mkdir()
    done = session("suites", "--harness-run", run)
    done.assert_outcomes(passed=4, warnings=1)
    done.stdout.fnmatch_lines(["*the scorecard does not show these gates: *"])


def test_selecting_gates_changes_no_verdict(session: Session) -> None:
    run = session.world.runs["damaged"]

    def p_values(*options: str) -> dict[str | None, str | None]:
        session("suites", "--harness-run", run, "--junitxml", "gates.xml", *options)
        cases = ElementTree.parse("gates.xml").getroot().iter("testcase")
        return {
            case.get("name"): one.get("value")
            for case in cases
            for one in case.iter("property")
            if one.get("name") == "p"
        }

    every, one = p_values(), p_values("-k", "arguments_f1_no_worse")
    assert len(every) == 2
    assert one == {"arguments_f1_no_worse": every["arguments_f1_no_worse"]}


SELECTIONS = [
    (["suites", "-k", "names"], {"passed": 1, "deselected": 3}),
    (["suites", "-k", "no_worse", "-x"], {"failed": 1, "deselected": 2}),
    ([f"{FILE}::few_inventions"], {"passed": 1}),
    ([f"{FILE}::arguments_no_worse"], {"failed": 1}),
    ([FILE], {"passed": 2, "failed": 2}),
]


@pytest.mark.parametrize(("arguments", "outcomes"), SELECTIONS)
def test_gates_are_selected_as_tests_are(
    session: Session, arguments: list[str], outcomes: dict[str, int]
) -> None:
    session(*arguments, "--harness-run", session.world.runs["damaged"]).assert_outcomes(**outcomes)


def test_without_a_run_one_is_made_and_the_next_session_takes_it(session: Session) -> None:
    session.world.gates(NAMES, CALM, target=session.scripted("tuned"), name="tool_calling")
    out = "--harness-out=elsewhere"
    session("suites", out).assert_outcomes(passed=2)
    (made,) = (session.world.root / "elsewhere").glob("*/run.json")
    session("suites", out).assert_outcomes(passed=2)
    assert list((session.world.root / "elsewhere").glob("*/run.json")) == [made]
    header = json.loads(made.read_text())
    assert header["argv"][0] == "pytest"
    assert header["status"] == "complete"


def test_threads_wait_as_in_a_run_of_the_command_line(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spinning threads make a model many times slower on a busy machine; a session that runs none is left alone."""
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    (session.world.root / "conftest.py").write_text(
        "import os\ndef pytest_sessionfinish(): print('\\nwaiting:', os.environ.get('GOMP_SPINCOUNT'))\n"
    )
    session.world.gates(NAMES, target=session.scripted("good"))
    assert "waiting: 30000" in session("suites", "-s").outlines
    assert "waiting: None" in session("suites", "-s", "--harness-run", session.world.runs["good"]).outlines
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert "waiting: 7" in session("suites", "-s").outlines


def test_a_changed_data_set_makes_a_new_run(session: Session) -> None:
    session.world.gates(NAMES, target=session.scripted("good"))
    before = session.run_folders()
    session("suites").assert_outcomes(passed=1)
    assert session.run_folders() == before
    records = session.world.root / "datasets" / "structural" / "test.jsonl"
    records.write_text("".join(records.read_text().splitlines(keepends=True)[1:]))
    session("suites").assert_outcomes(passed=1)
    assert len(session.run_folders() - before) == 1


def test_an_interrupted_run_is_not_taken_but_its_answers_are(session: Session) -> None:
    session.world.gates(NAMES, target=session.scripted("good"))
    run = session.world.runs["good"]
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, "status": "interrupted"}))
    lines = (run / "generations.jsonl").read_text().splitlines(keepends=True)
    marked = [line.replace('"new_tokens":', '"new_tokens":7777', 1) for line in lines[:100]]
    (run / "generations.jsonl").write_text("".join(marked))
    before = session.run_folders()
    session("suites").assert_outcomes(passed=1)
    (new,) = session.run_folders() - before
    answers = (new / "generations.jsonl").read_text()
    assert answers.count('"new_tokens":7777') == 100
    assert answers.count("\n") == 250


@pytest.mark.parametrize("processes", [2, 3])
def test_xdist_makes_one_run_for_all_processes(session: Session, processes: int) -> None:
    session.world.gates(NAMES, ARGUMENTS, RATIO, CALM, target=session.scripted("damaged"))
    done = session("suites", "-n", processes, "--harness-out=elsewhere")
    done.assert_outcomes(passed=2, failed=2)
    assert len(list((session.world.root / "elsewhere").glob("*/run.json"))) == 1
    (run,) = {line for line in done.outlines if line.startswith("gated run: ")}
    assert "elsewhere" in run
    (page,) = {line.removeprefix("scorecard: ") for line in done.outlines if line.startswith("scorecard: ")}
    assert "<title>FAIL" in Path(page).read_text()


def test_xdist_says_an_error_once_a_gate_and_tries_once(session: Session) -> None:
    session.world.gates(NAMES, CALM, target={"engine": "scripted", "options": {"script": "nowhere.yaml"}})
    done = session("suites", "-n", 2)
    done.assert_outcomes(failed=2)
    assert done.stdout.str().count("nowhere.yaml: no such file") >= 2
    assert "Traceback" not in done.stdout.str()


def test_nothing_collected_is_exit_5(session: Session) -> None:
    path = session.world.suite / "tool_calling.gate.yaml"
    path.write_text("schema: 1\ngates: []\n")
    done = session("suites")
    assert done.ret == 5
    assert "no gates in this file" in done.stdout.str()
    assert session("suites", "-n", 2).ret == 5
    path.unlink()
    assert session("suites").ret == 5


def test_an_empty_gate_file_beside_a_sound_one_stops_the_session(session: Session) -> None:
    (session.world.suite / "empty.gate.yaml").write_text("schema: 1\ngates: []\n")
    done = session("suites", "--harness-run", session.world.runs["good"])
    assert done.ret == 2
    done.assert_outcomes(errors=1)


def test_a_link_to_nothing_beside_a_sound_gate_file_stops_the_session(session: Session) -> None:
    (session.world.suite / "gone.gate.yaml").symlink_to("nowhere")
    done = session("suites", "--harness-run", session.world.runs["good"])
    assert done.ret == 2
    assert "gone.gate.yaml: a link to a file that is not there" in done.stdout.str()


def test_a_bad_gate_file_is_a_collection_error_with_its_line(session: Session) -> None:
    (session.world.suite / "bad.gate.yaml").write_text(
        "schema: 1\ngates:\n  - {name: a, metric: m, margin: 1}\n"
    )
    done = session("suites", "--harness-run", session.world.runs["good"])
    assert done.ret == 2
    text = done.stdout.str()
    assert "bad.gate.yaml:3: unknown key 'gates.0.margin'" in text
    assert "Write no_worse_by." in text
    assert "Traceback" not in text
    assert "pydantic" not in text


def test_an_incomplete_run_passes_nothing(session: Session) -> None:
    run = session.world.runs["good"]
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, "status": "interrupted"}))
    done = session("suites", "--harness-run", run)
    done.assert_outcomes(failed=4)
    assert done.stdout.str().count("an incomplete run passes no gate: it is interrupted") >= 4
    assert "Traceback" not in done.stdout.str()


def test_what_cannot_be_told_is_a_warning_or_a_failure_as_the_gate_says(session: Session) -> None:
    fine = {**ARGUMENTS, "no_worse_by": 0.001}
    session.world.gates(
        {**fine, "name": "lets_pass", "cannot_tell": "pass"},
        {**fine, "name": "warns", "cannot_tell": "warn"},
        {**fine, "name": "stops", "cannot_tell": "fail"},
    )
    done = session("suites", "--harness-run", session.world.runs["good"])
    done.assert_outcomes(passed=2, failed=1, warnings=1)
    done.stdout.fnmatch_lines(["*CannotTell: warns: *cannot tell*", "FAILED *::stops*"])


def test_options_that_contradict_each_other_are_a_usage_error(session: Session) -> None:
    done = session("suites", "--harness-run", session.world.runs["good"], "--harness-model", "x")
    assert done.ret == 4
    assert "leave out --harness-model" in done.stderr.str()


def test_a_run_of_another_suite_is_refused(session: Session) -> None:
    run = session.world.runs["good"]
    header = json.loads((run / "run.json").read_text())
    header["suite"]["name"] = "other"
    (run / "run.json").write_text(json.dumps(header))
    done = session("suites", "--harness-run", run)
    done.assert_outcomes(failed=4)
    assert "--harness-run names no run of the suite tool_calling" in done.stdout.str()


USER_TEST = """
import pytest
from harness.testing import assert_no_regression

@pytest.fixture(scope="session")
def harness_suite():
    return "suites/tool_calling"

def test_names(harness_run):
    result = assert_no_regression(harness_run, "tool_name_accuracy", no_worse_by=0.2)
    assert result.verdict == "pass"

def test_arguments(harness_run):
    assert_no_regression(harness_run, "parameter_accuracy", no_worse_by=0.05)
"""


def test_a_users_own_test_file_has_the_fixture_and_the_assertion(session: Session) -> None:
    Path("test_mine.py").write_text(USER_TEST)
    good = session("test_mine.py", "--harness-run", session.world.runs["good"])
    good.assert_outcomes(passed=2)
    damaged = session("test_mine.py", "--harness-run", session.world.runs["damaged"])
    damaged.assert_outcomes(passed=1, failed=1)
    damaged.stdout.fnmatch_lines(["E *AssertionError: parameter_accuracy no worse than the baseline by more than 5 points: fails*"])  # fmt: skip
    assert not re.search(r"no_regression\.py:\d+: AssertionError", damaged.stdout.str())


def test_the_fixture_makes_the_run_that_the_gate_files_name(session: Session) -> None:
    session.world.gates(NAMES, ARGUMENTS, target=session.scripted("damaged"))
    Path("test_mine.py").write_text(USER_TEST)
    done = session("test_mine.py", "suites", "--harness-out=elsewhere")
    done.assert_outcomes(passed=2, failed=2)
    assert len(list((session.world.root / "elsewhere").glob("*/run.json"))) == 1


def test_the_fixture_asks_which_suite(session: Session) -> None:
    Path("test_mine.py").write_text("def test_it(harness_run): assert harness_run.is_dir()\n")
    done = session("test_mine.py")
    done.assert_outcomes(errors=1)
    assert "which suite?" in done.stdout.str()
    session("test_mine.py", "--harness-run", session.world.runs["good"]).assert_outcomes(passed=1)


def test_a_model_that_is_named_is_loaded_measured_and_its_run_taken_next_time(session: Session) -> None:
    pytest.importorskip("torch")
    from harness.testing.tiny_model import make_tiny_model

    records = session.world.root / "datasets" / "structural" / "test.jsonl"
    records.write_text("".join(records.read_text().splitlines(keepends=True)[:4]))
    spec = session.world.suite / "suite.yaml"
    spec.write_text(spec.read_text().replace("max_new_tokens: 128", "max_new_tokens: 4"))
    model = make_tiny_model(session.world.root / "tiny", context=16_384)
    session.world.gates({**NAMES, "at_least": 0.0, "min_n": 1}, target=session.scripted("good"))
    options = ("suites", "--harness-model", model, "--harness-out=elsewhere")
    session(*options).assert_outcomes(passed=1)
    (made,) = (session.world.root / "elsewhere").glob("*/run.json")
    header = json.loads(made.read_text())
    assert (header["engine"]["engine"], header["engine"]["adapter"]) == ("hf", None)
    session(*options).assert_outcomes(passed=1)
    assert list((session.world.root / "elsewhere").glob("*/run.json")) == [made]
