"""`harness diagnose LOG`: what the curves of a training run say, and what to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.errors import EXIT_DONE, EXIT_GATE_FAILED

if TYPE_CHECKING:
    from harness.training.diagnosis import Diagnosis


@click.command("diagnose")
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--lang", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Language of the words."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the curves, one file.")
@click.option("--svg", type=click.Path(path_type=Path), help="Write the curves as one picture.")
@click.option(
    "--fail-on",
    type=click.Choice(["critical", "warning"]),
    help="Exit with 1 if a finding is this severe. Default: exit with 0 whatever the verdict.",
)
def command(
    log: Path,
    lang: Literal["en", "ko"],
    as_json: bool,
    html: Path | None,
    svg: Path | None,
    fail_on: str | None,
) -> int:
    """Read the training curves of LOG: a training run folder, a trainer_state.json, a folder with checkpoints,
    LLaMA-Factory's trainer_log.jsonl, or a JSON or JSONL list of log entries."""
    from harness.training.diagnosis import diagnose
    from harness.training.diagnosis.export import diagnosis_data
    from harness.training.diagnosis.reader import read_training_log

    read = read_training_log(log)
    diagnosis = diagnose(read.entries, read.facts)
    if html or svg:
        from harness.log.files import write_atomically
        from harness.report.diagnosis_html import render_diagnosis_html
        from harness.report.diagnosis_svg import standalone_svg

        title = log.resolve().name
        if html:
            page = render_diagnosis_html(diagnosis, title=title, language=lang)
            write_atomically(html, page.encode("utf-8", "backslashreplace"))
        if svg:
            write_atomically(
                svg, standalone_svg(diagnosis, language=lang).encode("utf-8", "backslashreplace")
            )
    if as_json:
        click.echo(json.dumps(diagnosis_data(diagnosis, lang), ensure_ascii=True, indent=1, allow_nan=False))
    else:
        _print(diagnosis, lang)
    for written in (html, svg):
        if written:
            click.echo(f"wrote {written}", err=True)
    failing = {"critical"} if fail_on == "critical" else {"critical", "warning"} if fail_on else set()
    return EXIT_GATE_FAILED if diagnosis.worst in failing else EXIT_DONE


def _print(diagnosis: Diagnosis, lang: Literal["en", "ko"]) -> None:
    from rich.console import Console

    from harness.report.diagnosis_terminal import render_diagnosis

    class PipeConsole(Console):
        """Raises BrokenPipeError, where rich would end the process with code 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    render_diagnosis(diagnosis, PipeConsole(highlight=False), language=lang)
