"""The pytest plugin: each gate of a `*.gate.yaml` is a test item, and `harness_run` a fixture (docs/gates.md).

Collecting reads the gate files and imports no engine; the first item that runs makes or finds the run it needs.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import EXIT_NOTHING_COLLECTED, HarnessError, NothingCollected
from harness.testing.no_regression import CannotTell

if TYPE_CHECKING:
    from harness.gate.load import GateFile
    from harness.gate.result import GateReport, GateResult
    from harness.testing.gated_runs import GatedRuns

_SUFFIX = ".gate.yaml"
"""As `harness.gate.load.SUFFIX`, whose module is loaded only where there is a gate file."""
_SHARED = "harness_shared"
_EMPTY = "harness_empty"
_RUN_PROPERTY = "harness_run"

_runs_key = pytest.StashKey["GatedRuns"]()
_shared_key = pytest.StashKey[Path]()
_empty_key = pytest.StashKey[set[str]]()


class GateFailed(Exception):
    """A gate whose verdict stops a release."""

    def __init__(self, result: GateResult, report: GateReport) -> None:
        super().__init__(result.sentence)
        self.result = result
        self.report = report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which run is gated."""
    group = parser.getgroup("harness", "persona-harness gates")
    group.addoption(
        "--harness-run",
        action="append",
        default=[],
        metavar="RUN",
        help="Gate this run folder; may be repeated, one a suite.",
    )
    group.addoption("--harness-model", metavar="MODEL", help="Measure this model: alias, folder or hub id.")
    group.addoption("--harness-adapter", metavar="ADAPTER", help="Measure this adapter folder, or 'base'.")
    group.addoption(
        "--harness-out",
        default="reports",
        metavar="FOLDER",
        help="Where runs are looked for and made. Default: reports",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that contradict each other."""
    named = config.getoption("harness_model") or config.getoption("harness_adapter")
    if config.getoption("harness_run") and named:
        raise pytest.UsageError(
            "--harness-run gates a run that is there: leave out --harness-model and --harness-adapter"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every process of pytest-xdist one folder in common, so that one of them makes a run for all."""
    if _shared_key not in node.config.stash:
        node.config.stash[_shared_key] = Path(tempfile.mkdtemp(prefix="harness-gates-"))
    node.workerinput[_SHARED] = str(node.config.stash[_shared_key])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over which gate files a process of pytest-xdist found empty."""
    found = getattr(node, "workeroutput", {}).get(_EMPTY, [])
    node.config.stash.setdefault(_empty_key, set()).update(found)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder in common."""
    shared = config.stash.get(_shared_key, None)
    if shared is not None:
        shutil.rmtree(shared, ignore_errors=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect gate files."""
    if not file_path.name.endswith(_SUFFIX):
        return None
    return GateFileCollector.from_parent(parent, path=file_path)


class GateFileCollector(pytest.File):
    """A gate file; its items are its gates."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield one item a gate. Raises CollectError with file and line for a file that says what it may not."""
        from harness.gate.load import load_gate_file

        try:
            self._check_siblings()
            file = load_gate_file(self.path)
        except NothingCollected as error:
            self.config.stash.setdefault(_empty_key, set()).add(str(self.path))
            raise self.CollectError(error.one_message()) from None
        except HarnessError as error:
            raise self.CollectError(error.one_message()) from None
        for name, line in zip((gate.name for gate in file.spec.gates), file.lines, strict=True):
            yield GateItem.from_parent(self, name=name, file=file, line=line)

    def _check_siblings(self) -> None:
        """Raise SpecError for a gate file in the folder that pytest passes over: a link to nothing."""
        from harness.gate.load import gate_paths_of, load_gate_file

        for path in gate_paths_of(self.path.parent):
            if path.is_symlink() and not path.exists():
                load_gate_file(path)


class GateItem(pytest.Item):
    """One gate."""

    def __init__(self, *, file: GateFile, line: int, **about: Any) -> None:
        super().__init__(**about)
        self._line = line
        if self.config.pluginmanager.hasplugin("timeout"):
            # The first gate waits for the whole run; a limit meant for unit tests would cut it off.
            self.add_marker(pytest.mark.timeout(0))

    def runtest(self) -> None:
        """Decide the gate, together with the others of its file. Raises GateFailed, or HarnessError."""
        report = runs_of(self.config).report(self.path)
        result = next(one for one in report.results if one.name == self.name)
        self.user_properties += [
            (_RUN_PROPERTY, report.run),
            *((key, value) for key, value in _properties(result, report) if value is not None),
        ]
        if result.outcome == "fail":
            raise GateFailed(result, report)
        if result.outcome == "warn":
            self.warn(CannotTell(f"{self.name}: {_visible(result.sentence)}"))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the gate's sentence, or what is wrong with the run or the file; a traceback only for a defect."""
        from harness.gate.wording import broken_text

        error = excinfo.value
        if isinstance(error, GateFailed):
            result, report = error.result, error.report
            lines = [
                result.sentence,
                broken_text(result.broken_samples, result.broken_samples_more),
                result.where,
            ]
            lines += [f"run {report.run}", f"baseline {report.baseline}" if result.kind == "relative" else ""]
            return _visible("\n".join(line for line in lines if line))
        if isinstance(error, HarnessError):
            return _visible(error.one_message())
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the gate stands."""
        return self.path, self._line - 1, self.name


def _properties(result: GateResult, report: GateReport) -> Iterator[tuple[str, object]]:
    """Yield what stands beside a gate in a JUnit file."""
    yield "verdict", result.verdict
    yield "observed", result.observed
    yield "n", result.n
    if result.kind == "relative":
        yield "harness_baseline", report.baseline
        yield "difference", result.difference
        yield "p", result.p
    yield "sentence", _visible(result.sentence)


def _visible(text: str) -> str:
    from harness.report.text import visible

    return "\n".join(visible(line) for line in text.split("\n"))


def runs_of(config: pytest.Config) -> GatedRuns:
    """Return the session's runs, by the options of its command line."""
    if _runs_key not in config.stash:
        from harness.testing.gated_runs import GatedRuns, RunOptions

        here = config.invocation_params.dir
        workerinput = getattr(config, "workerinput", None)
        shared = workerinput.get(_SHARED) if workerinput else None
        config.stash[_runs_key] = GatedRuns(
            RunOptions(
                runs=tuple(here / run for run in config.getoption("harness_run")),
                model=config.getoption("harness_model"),
                adapter=config.getoption("harness_adapter"),
                out=here / config.getoption("harness_out"),
                argv=("pytest", *map(str, config.invocation_params.args)),
            ),
            Path(shared) if shared else None,
        )
    return config.stash[_runs_key]


@pytest.fixture(scope="session")
def harness_suite() -> str | Path | None:
    """Return the suite folder that `harness_run` is a run of. Define a fixture of this name to say which."""
    return None


@pytest.fixture(scope="session")
def harness_run(harness_suite: str | Path | None, pytestconfig: pytest.Config) -> Path:
    """Return the run folder of `harness_suite`: the one that --harness-run names, else one found or made."""
    runs = runs_of(pytestconfig)
    try:
        if harness_suite is not None:
            return runs.run_of_suite(pytestconfig.invocation_params.dir / harness_suite)
    except HarnessError as error:
        pytest.fail(_visible(error.one_message()), pytrace=False)
    if len(runs.options.runs) == 1:
        return runs.options.runs[0]
    pytest.fail(
        "harness_run: which suite? Define a session fixture harness_suite that returns its folder, or name one run with "
        "--harness-run.",
        pytrace=False,
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit with 5 where the only gate files are empty ones: nothing was collected, and that is no pass."""
    empty = session.config.stash.get(_empty_key, set())
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_EMPTY] = sorted(empty)
    if empty and session.testscollected == 0 and session.testsfailed == len(empty):
        session.exitstatus = EXIT_NOTHING_COLLECTED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which runs were gated, and where their scorecards lie."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    runs = {
        str(value)
        for report in reports
        for key, value in getattr(report, "user_properties", [])
        if key == _RUN_PROPERTY
    }
    if not runs:
        return
    from harness.log import schema

    for run in sorted(runs):
        terminalreporter.write_line(f"gated run: {_visible(run)}")
        page = Path(run) / schema.SCORECARD
        if page.is_file():
            terminalreporter.write_line(f"scorecard: {_visible(str(page))}")
