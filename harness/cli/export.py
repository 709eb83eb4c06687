"""`harness export`: a run as a file for other programs, or whether a server would take an adapter as it is."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import EXIT_DONE, EXIT_GATE_FAILED, UsageError

if TYPE_CHECKING:
    from harness.models.adapter_origin import AdapterOrigin
    from harness.models.vllm_lora_rules import VllmVerdict

FORMS = ("csv", "parquet", "sqlite", "inspect")

_PARSERS = {"hermes": "hermes", "bare_json": "llama3_json"}
"""vLLM's name of the tool parser that reads each dialect."""


@click.command("export")
@click.argument("path", type=click.Path(path_type=Path), metavar="RUN|ADAPTER")
@click.option("--to", "form", type=click.Choice(FORMS), help="Write RUN as such a file.")
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: named after RUN, here]")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--check", "server", type=click.Choice(["vllm"]), help="The server to check ADAPTER for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(
    path: Path, form: str | None, out: Path | None, force: bool, server: str | None, as_json: bool
) -> int:
    """Write RUN for other programs (--to), or say whether a server would take ADAPTER as it is (--check).

    --to writes every sample with its reply and measures (docs/query.md). --check reads adapter_config.json and the
    header of the weights file, loads no weights and needs no GPU; it exits with 1 if the server would not take it.
    """
    if (form is None) == (server is None):
        raise UsageError(
            "export needs one of --to and --check",
            remedy=f"A run: --to {'|'.join(FORMS)}. An adapter: --check vllm.",
        )
    if form is not None:
        return _export(path, form, out, force, as_json)
    if out is not None or force:
        raise UsageError("--out and --force belong to --to", remedy="--check writes no file: leave them out.")
    return _check(path, as_json)


def _export(run: Path, form: str, out: Path | None, force: bool, as_json: bool) -> int:
    from harness.report.text import plural, visible
    from harness.tables.export import export_run

    target, many = export_run(run, form, out, force=force)
    if as_json:
        click.echo(json.dumps({"file": str(target), "samples": many}))
    else:
        click.echo(visible(f"{plural(many, 'sample')}: {target}"))
    return EXIT_DONE


def _check(adapter: Path, as_json: bool) -> int:
    from harness.models.adapter_origin import read_origin
    from harness.models.vllm_lora_rules import check_for_vllm, serve_command

    verdict = check_for_vllm(adapter)
    origin = read_origin(adapter)
    base = _base(verdict, origin)
    serve: list[str] = []
    if verdict.accepted:
        serve = serve_command(verdict, base=base, name=adapter.resolve().name, path=adapter.resolve())
    notes = [*verdict.notes, *_prompt_notes(origin)]
    if as_json:
        click.echo(json.dumps(_record(verdict, base, notes, serve), ensure_ascii=True, indent=1))
    else:
        _print(verdict, base, notes, serve)
    return EXIT_DONE if verdict.accepted else EXIT_GATE_FAILED


def _base(verdict: VllmVerdict, origin: AdapterOrigin | None) -> str:
    """Return the base as vLLM can find it: a folder that is here, else the name as recorded."""
    from harness.models.aliases import ALIASES
    from harness.models.cache import models_dir

    recorded = origin.base if origin is not None else verdict.base
    here = models_dir() / recorded if recorded is not None and recorded in ALIASES else None
    for folder in (here, Path(verdict.base) if verdict.base else None):
        if folder is not None and folder.is_dir():
            return str(folder)
    return recorded or "BASE"


def _prompt_notes(origin: AdapterOrigin | None) -> list[str]:
    if origin is None:
        return ["it does not say how its prompts were written: ask as it was trained to be asked"]
    if origin.tools_by == "tool_block":
        return [
            "training offered the tools in the system message and not by the chat template, so the server's `tools` "
            "would ask otherwise: send prompts rendered by harness to /v1/completions"
        ]
    parser = _PARSERS.get(origin.dialect)
    if parser:
        return [f"for tool calls over the server add: --enable-auto-tool-choice --tool-call-parser {parser}"]
    return []


def _record(verdict: VllmVerdict, base: str, notes: list[str], serve: list[str]) -> dict[str, Any]:
    from harness.models.vllm_lora_rules import VLLM_VERSION

    return {
        "check": "vllm",
        "rules": VLLM_VERSION,
        "adapter": str(verdict.adapter),
        "accepted": verdict.accepted,
        "base": base,
        "rank": verdict.rank,
        "max_lora_rank": verdict.max_lora_rank,
        "modules": list(verdict.modules),
        "rejections": [{"code": one.code, "what": one.what, "cure": one.cure} for one in verdict.rejections],
        "notes": notes,
        "serve": serve,
    }


def _print(verdict: VllmVerdict, base: str, notes: list[str], serve: list[str]) -> None:
    from harness.models.vllm_lora_rules import VLLM_VERSION
    from harness.report.text import visible

    word = "takes" if verdict.accepted else "REJECTS"
    lines = [f"vLLM {word} this adapter (rules of vLLM {VLLM_VERSION}): {verdict.adapter}"]
    lines += [f"  rejected: {one.what}\n    {one.cure}" for one in verdict.rejections]
    if verdict.max_lora_rank is not None:
        lines.append(f"  rank {verdict.rank}: --max-lora-rank {verdict.max_lora_rank}")
    lines.append(f"  base: {base}")
    lines.append(f"  modules: {', '.join(verdict.modules) or 'none'}")
    lines += [f"  note: {note}" for note in notes]
    if serve:
        lines.append(f"serve it:\n  {shlex.join(serve)}")
    click.echo(visible("\n".join(lines)))
