"""What a pytest session gates: which run belongs to which gate file, made or found once, and the results of each file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.gate.load import GateFile
    from harness.gate.result import GateReport
    from harness.gate.schema import Target
    from harness.run.session import SessionRequest

T = TypeVar("T")

_PATH_OPTIONS = {"scripted": "script", "replay": "from"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line says about runs; `out` is where runs are looked for and made, `argv` goes on record."""

    runs: tuple[Path, ...] = ()
    model: str | None = None
    adapter: str | None = None
    out: Path = Path("reports")
    argv: tuple[str, ...] = ("pytest",)


@dataclass(slots=True)
class GatedRuns:
    """One session's runs and results. What was made or failed once is not tried again.

    `shared` is a folder that the processes of one session have in common, so that one of them makes a run for all.
    """

    options: RunOptions
    shared: Path | None = None
    _runs: dict[str, Path | HarnessError] = field(default_factory=dict)
    _reports: dict[Path, GateReport | HarnessError] = field(default_factory=dict)
    _run_of_file: dict[Path, Path] = field(default_factory=dict)

    def report(self, path: Path) -> GateReport:
        """Return the results of a gate file, all of its gates decided together. Raises HarnessError.

        The suite's other gate files that are of the same run are evaluated too; gates.json and the scorecard in the run
        folder show them all, also those that cannot be evaluated.
        """
        if path not in self._reports:
            from harness.gate.load import gate_paths_of

            mine = self._key(path)
            for file in sorted({path, *gate_paths_of(path.parent)}):
                if file not in self._reports and (file == path or self._key(file) in (mine, None)):
                    self._reports[file] = _outcome(partial(self._evaluated, file))
            if (run := self._run_of_file.get(path)) is not None:
                self._show(run, self._reports_on(run, path.parent))
        return _value(self._reports[path])

    def _reports_on(self, run: Path, suite: Path) -> list[GateReport]:
        """Return the reports of a suite's gate files on a run; a file that cannot be read might have been of any run."""
        from harness.gate.result import not_evaluated

        return [
            not_evaluated(run, file, found) if isinstance(found, HarnessError) else found
            for file, found in sorted(self._reports.items())
            if file.parent == suite and self._run_of_file.get(file, run) == run
        ]

    def _show(self, run: Path, reports: list[GateReport]) -> None:
        """Leave results in the run folder, in one process of the session; warn of a folder that cannot be written."""
        from harness.report.scorecard_file import show_gates

        if self.shared is None:
            refused = show_gates(run, reports)
        else:
            from filelock import FileLock

            shown = self.shared / f"{_digest([str(run), [report.file for report in reports]])}.shown"
            with FileLock(shown.with_suffix(".lock")):
                refused = None if shown.exists() else show_gates(run, reports)
                shown.touch()
        if refused:
            warnings.warn(refused, stacklevel=2)

    def run_of(self, suite: Path, target: Target, base: Path) -> Path:
        """Return the run folder of a suite folder: one that the command line names, else one found or made.

        `target` says what is measured where the command line does not; its paths are relative to `base`. Raises
        HarnessError.
        """
        if self.options.runs:
            return self._named(suite)
        request = self._request(target, base)
        key = _key_of(suite, request)
        if key not in self._runs:
            self._runs[key] = _outcome(lambda: self._obtained(key, suite, request))
        return _value(self._runs[key])

    def _key(self, path: Path) -> str | None:
        """Return what tells the run of a gate file from others of its suite, None for a file that cannot be read."""
        from harness.gate.load import load_gate_file

        try:
            target = load_gate_file(path).spec.target
        except HarnessError:
            return None
        return "" if self.options.runs else _key_of(path.parent, self._request(target, path.parent))

    def run_of_suite(self, suite: Path) -> Path:
        """Return the run folder of a suite by the target that its gate files share. Raises HarnessError."""
        from harness.gate.load import SUFFIX, load_gate_file
        from harness.gate.schema import Target

        files = [load_gate_file(path) for path in sorted(suite.glob(f"*{SUFFIX}"))]
        targets = [file.spec.target for file in files]
        if not self.options.runs and len({_key_of(suite, self._request(one, suite)) for one in targets}) > 1:
            raise UsageError(
                f"these gate files have different targets: {', '.join(file.path.name for file in files)}",
                where=suite,
                remedy="Name the run with --harness-run, or what is measured with --harness-model or --harness-adapter.",
            )
        return self.run_of(suite, targets[0] if targets else Target(), suite)

    def _evaluated(self, path: Path) -> GateReport:
        from harness.gate.evaluate import evaluate
        from harness.gate.load import load_gate_file

        file: GateFile = load_gate_file(path)
        run = self._run_of_file[path] = self.run_of(path.parent, file.spec.target, path.parent)
        return evaluate(run, file)

    def _named(self, suite: Path) -> Path:
        from harness.log.reader import RunFolder
        from harness.suite.schema import SuiteSpec
        from harness.yaml_spec import read_yaml_spec

        name = read_yaml_spec(suite / "suite.yaml", SuiteSpec).name
        found = [run for run in self.options.runs if RunFolder(run).header()["suite"].get("name") == name]
        if len(found) != 1:
            listed = ", ".join(map(str, found or self.options.runs))
            raise UsageError(
                f"--harness-run names {len(found) or 'no'} run{'s' if len(found) > 1 else ''} of the suite {name} "
                f"({listed})",
                where=suite,
                remedy="Name one run of each suite that is tested, or leave out --harness-run.",
            )
        return found[0]

    def _request(self, target: Target, base: Path) -> SessionRequest:
        from harness.run.session import BASE, WITHOUT_MODEL, SessionRequest, answering_engine

        def local(name: str) -> str:
            return str((base / name).resolve())

        named = self.options.model is not None or self.options.adapter is not None
        answering = answering_engine(target.engine, target.options)
        engine = "hf" if named and answering in WITHOUT_MODEL else target.engine
        options = dict(target.options) if engine == target.engine else {}
        if (option := _PATH_OPTIONS.get(answering, "")) in options:
            options[option] = local(options[option])
        model, adapter = target.model, target.adapter
        if model is not None and (base / model).is_dir():
            model = local(model)
        if adapter is not None and adapter != BASE:
            adapter = local(adapter)
        if self.options.model is not None:
            # An adapter belongs to its base: another model is measured without it.
            model, adapter = self.options.model, None
        adapter = self.options.adapter or adapter
        return SessionRequest(
            engine=engine, model=model, adapters=() if adapter is None else (adapter,), options=options
        )

    def _obtained(self, key: str, suite: Path, request: SessionRequest) -> Path:
        """Make or find the run, in one process of the session; the others wait for it and read what came of it."""
        if self.shared is None:
            return self._obtain(suite, request)
        from filelock import FileLock

        answer = self.shared / f"{key}.json"
        with FileLock(self.shared / f"{key}.lock"):
            if answer.is_file():
                known = json.loads(answer.read_text(encoding="utf-8"))
                if known["run"] is not None:
                    return Path(known["run"])
                raise HarnessError(known["what"], where=known["where"], remedy=known["remedy"])
            found = _outcome(lambda: self._obtain(suite, request))
            content = (
                {"run": None, "what": found.what, "where": found.where, "remedy": found.remedy}
                if isinstance(found, HarnessError)
                else {"run": str(found)}
            )
            answer.write_text(json.dumps(content), encoding="utf-8")
        return _value(found)

    def _obtain(self, suite: Path, request: SessionRequest) -> Path:
        from harness.errors import Interrupted
        from harness.run.obtain import obtain_run
        from harness.suite.load import load_suite
        from harness.threads import set_waiting

        # A test session loads torch without the command line, which sets the same.
        set_waiting()
        try:
            return obtain_run(load_suite(str(suite)), request, self.options.out, list(self.options.argv))
        except Interrupted:
            raise KeyboardInterrupt from None


def _outcome(make: Callable[[], T]) -> T | HarnessError:
    try:
        return make()
    except HarnessError as error:
        return error


def _value(found: T | HarnessError) -> T:
    if isinstance(found, HarnessError):
        # Without what an earlier test left in it.
        raise found.with_traceback(None)
    return found


def _key_of(suite: Path, request: SessionRequest) -> str:
    return _digest([str(suite.resolve()), {**asdict(request), "options": dict(request.options)}])


def _digest(parts: list[Any]) -> str:
    from harness.fingerprint import sha256_of

    return sha256_of(parts)[:32]
