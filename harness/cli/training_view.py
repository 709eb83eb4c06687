"""What training shows on the terminal: preflight, rows with their spans, progress, and the diagnosis at the end."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.text import Text

from harness.report.text import visible
from harness.spread import spread

if TYPE_CHECKING:
    from harness.training.diagnosis import Diagnosis
    from harness.training.preflight import PreflightFinding
    from harness.training.prepare import Prepared
    from harness.training.train import TrainOutcome

_LINE_INTERVAL_S = 15.0
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}
_LONGEST_PROMPT = 1200


def print_findings(prepared: Prepared, found: Sequence[PreflightFinding]) -> None:
    """Print what preflight saw, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    data, held = prepared.train, prepared.validation
    console.print(
        f"preflight: {len(data.rows):,} rows ({data.tokens:,} tokens, longest {max(len(row.ids) for row in data.rows):,})"
        + (f", {len(held.rows):,} for validation" if held else ""),
        markup=False,
    )
    for finding in found:
        line = Text(f"  {finding.severity}: ", style=_STYLES[finding.severity])
        line.append(visible(finding.message), style="")
        console.print(line)
        if finding.remedy:
            console.print(f"    {visible(finding.remedy)}", markup=False)


def print_rows(prepared: Prepared, count: int) -> None:
    """Print rows spread over the data, the spans that bear loss marked."""
    from harness.training.preflight import shown_spans

    console = Console(highlight=False, soft_wrap=True)
    for row in spread(prepared.train.rows, count):
        share = row.supervised / len(row.ids)
        console.print(
            f"--- {visible(row.sample_id)}: {len(row.ids)} tokens, {row.supervised} bear loss ({share:.0%}), "
            + ("ends its turn" if row.ends else "DOES NOT END ITS TURN"),
            markup=False,
        )
        for text, learnt in shown_spans(row, lambda ids: prepared.tokenizer.decode(ids)):
            if not learnt and len(text) > _LONGEST_PROMPT:
                half = _LONGEST_PROMPT // 2
                cut = len(text) - 2 * half
                text = f"{text[:half]}\n[... {cut} characters ...]\n{text[-half:]}"
            shown = visible(text)
            if learnt:
                shown = f"⟦{shown}⟧"
            console.print(Text(shown, style="bold green" if learnt else "dim"), end="")
        console.print()
    console.print("⟦ ⟧ marks what bears loss; everything else is context.", markup=False)


class TrainingProgress:
    """Prints steps, losses, evaluations, checkpoints and what the curves say on standard error as they come."""

    def __init__(self, *, quiet: bool, language: Literal["en", "ko"] = "en") -> None:
        from harness.training.curve_watch import CurveWatch

        self._language = language
        self._curves = CurveWatch(self._verdict)
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._printed = 0.0
        self._first: tuple[int, float] | None = None
        self._loss = ""
        self._steps: int | None = None

    def watch(self, history: Sequence[Mapping[str, Any]]) -> str | None:
        """Return why training should stop: the curve has diverged or broken beyond repair."""
        return self._curves.look(history, self._steps)

    def report(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Show one event of training."""
        if self._quiet:
            return
        if kind == "step":
            self._step(int(detail["step"]), int(detail["steps"]), float(detail["seconds"]))
        elif kind == "entry":
            self._entry(detail)
        elif kind == "checkpoint":
            self._line(f"saved {Path(str(detail['path'])).name}")
        elif kind == "note":
            self._line(str(detail["text"]))

    def stop(self) -> None:
        """Nothing is left open; here for symmetry with other progress displays."""

    def _step(self, step: int, steps: int, seconds: float) -> None:
        self._steps = steps
        now = time.monotonic()
        if self._first is None:
            self._first = (step, seconds)
        if now - self._printed < _LINE_INTERVAL_S and step != steps:
            return
        self._printed = now
        done, spent = step - self._first[0], seconds - self._first[1]
        left = f", about {_duration((steps - step) * spent / done)} left" if done and step < steps else ""
        self._line(f"step {step}/{steps}{self._loss}{left}")

    def _entry(self, entry: Mapping[str, Any]) -> None:
        if "loss" in entry:
            self._loss = f", loss {float(entry['loss']):.4f}"
        numbers = [
            f"{key.removeprefix('eval_')} {float(value):.4f}"
            for key, value in entry.items()
            if key.startswith("eval_") and isinstance(value, int | float) and not key.endswith(_TIMINGS)
        ]
        if numbers:
            self._line(f"evaluation at step {entry.get('step')}: " + ", ".join(numbers))

    def _verdict(self, diagnosis: Diagnosis) -> None:
        from harness.training.diagnosis.wording import number, verdict_text

        if self._quiet:
            return
        word, sentence = verdict_text(diagnosis, self._language)
        self._line(f"diagnosis at step {number(diagnosis.curves.end)}: {word}. {sentence}")

    def _line(self, text: str) -> None:
        self._console.print(visible(text), markup=False)


_TIMINGS = ("_runtime", "_per_second", "_time")


def finish_training(outcome: TrainOutcome, prepared: Prepared, lang: Literal["en", "ko"]) -> None:
    """Write the diagnosis beside the log, print it, and say what to do next."""
    from harness.log.files import write_atomically
    from harness.report.diagnosis_html import render_diagnosis_html
    from harness.report.diagnosis_terminal import render_diagnosis
    from harness.training.diagnosis import diagnose
    from harness.training.diagnosis.export import diagnosis_data
    from harness.training.diagnosis.reader import read_training_log
    from harness.training.run_folder import checkpoints
    from harness.training.train import SLOW_DATA_SHARE

    read = read_training_log(outcome.folder)
    diagnosis = diagnose(read.entries, read.facts)
    page = render_diagnosis_html(diagnosis, title=outcome.folder.name, language=lang)
    write_atomically(outcome.folder / "diagnosis.html", page.encode("utf-8", "backslashreplace"))
    text = json.dumps(diagnosis_data(diagnosis, lang), ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(outcome.folder / "diagnosis.json", text.encode("utf-8", "backslashreplace") + b"\n")
    render_diagnosis(diagnosis, Console(highlight=False), language=lang)
    if outcome.seconds and outcome.data_wait_s > SLOW_DATA_SHARE * outcome.seconds:
        click.echo(
            f"training waited {outcome.data_wait_s / outcome.seconds:.0%} of its time for data: set "
            "training.extra: {dataloader_num_workers: 2} in the recipe",
            err=True,
        )
    if outcome.stopped_because:
        click.echo(f"stopped at step {outcome.steps}: {outcome.stopped_because}", err=True)
    click.echo(f"curves: {outcome.folder / 'diagnosis.html'}")
    if not checkpoints(outcome.folder):
        click.echo("no checkpoint was kept, so there is nothing to sweep")
        return
    click.echo(f"next: {shlex.join(['harness', 'sweep', str(outcome.folder)])} --suite {_suite(prepared)}")
    if prepared.recipe.quantization != "none":
        click.echo(
            "      The base is then loaded unquantised; "
            f"--quantization {prepared.recipe.quantization} measures on the base that was trained on."
        )


def _suite(prepared: Prepared) -> str:
    """Return the recipe's eval_suite as the command line takes it here; SUITE where it names none."""
    spec = prepared.recipe.eval_suite
    if spec is None:
        return "SUITE"
    beside = (prepared.recipe_path.parent / spec.path).resolve()
    if not beside.exists():
        return shlex.quote(spec.path)
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
