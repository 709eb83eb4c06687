"""`harness publish ADAPTER --repo OWNER/NAME`: the adapter and a card of what was measured, to a model hub."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.training.publish_files import PublishFile


@click.command("publish")
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--repo", help="Where to: OWNER/NAME on a model hub.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="Write the same files into this folder, in place of an upload.",
)
@click.option(
    "--dtype", type=click.Choice(["bfloat16", "float16"]), help="Round the weights to 16 bits: half the size."
)
@click.option(
    "--tokenizer/--no-tokenizer", default=True, help="Leave the tokenizer's files out: they are the base's."
)
@click.option("--private", is_flag=True, help="Make the repository private; refuse one that is public.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A run folder of this adapter, or of its base to compare with. May be given again.",
)
@click.option("--sweep", type=click.Path(path_type=Path), help="Take the runs from this swept training run.")
@click.option("--base-model", help="The base's name on the hub, where it is not known.")
@click.option("--dry-run", is_flag=True, help="Show every file and the card; touch no network.")
@click.option(
    "--yes", is_flag=True, help="Do not ask before the upload; with --to, replace another adapter there."
)
def command(
    adapter: Path,
    repo: str | None,
    folder: Path | None,
    dtype: str | None,
    tokenizer: bool,
    private: bool,
    runs: tuple[Path, ...],
    sweep: Path | None,
    base_model: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Upload ADAPTER to a model hub, or write it into a folder, with a model card of what was measured.

    The access token comes from HF_TOKEN or the hub's own login (hf auth login), never from the command line. Only
    named files are sent (no optimizer, no trainer state), and none in which a secret is found.
    """
    from harness.training.publish_files import find_secrets, names_a_secret, publish_files

    if (repo is None) == (folder is None):
        raise UsageError("say where to", remedy="Give either --repo OWNER/NAME or --to FOLDER.")
    if any(names_a_secret(text) for text in (str(adapter), repo or "", base_model or "")):
        raise UsageError(
            "an access token stands on the command line, where other programs and the shell's history can read it",
            remedy="Take it away (and renew it). Set HF_TOKEN, or log in with: hf auth login",
        )
    _check_names(repo, base_model)
    name = repo or str(folder)
    card = _card(adapter, repo or adapter.resolve().name, runs, sweep, base_model)
    files = publish_files(adapter, card, _base_on_hub(adapter, base_model), dtype=dtype, tokenizer=tokenizer)
    token = None if dry_run or repo is None else _token()
    secrets = find_secrets(files, [token] if token else [])
    if secrets:
        listed = "\n  ".join(f"{one.file}:{one.line}: {one.kind}" for one in secrets)
        raise UsageError(
            f"nothing is uploaded: secrets stand in the files\n  {listed}",
            where=adapter,
            remedy="Take them out, and renew them: what was once in a file is known.",
        )
    _show(adapter, name if repo is None else f"{repo} ({'private' if private else 'public'})", files)
    if dry_run:
        from harness.report.text import visible

        click.echo(f"\n--- README.md\n{visible(card)}")
        click.echo("dry run: nothing was uploaded", err=True)
        return
    if repo is None:
        from harness.training.publish_files import write_files

        write_files(files, folder or Path(), replace=yes)
        click.echo(f"written: {folder}")
        return
    _confirm(repo, private, files, yes)
    from harness.training.publish import upload

    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()
    published = upload(files, repo, private=private, token=token, message=f"Publish {adapter.resolve().name}")
    click.echo(f"published: {published.url} (commit {published.commit[:12]})")


def _check_names(repo: str | None, base_model: str | None) -> None:
    from harness.errors import MissingDependency

    try:
        from harness.training.publish import check_repo

        if repo is not None:
            check_repo(repo)
    except ImportError:
        raise MissingDependency(
            "huggingface_hub is not installed", remedy='Install it: pip install "persona-harness[hf]"'
        ) from None
    if base_model is not None:
        from harness.report.model_card import base_on_hub

        if base_on_hub(base_model, None, None) is None:
            raise UsageError(
                f"--base-model {base_model!r} is no name on a hub", remedy="Write it as OWNER/NAME."
            )


def _token() -> str:
    from harness.training.publish import hub_token

    token = hub_token()
    if not token:
        raise UsageError("there is no access token", remedy="Set HF_TOKEN, or log in with: hf auth login")
    return token


def _base_on_hub(adapter: Path, named: str | None) -> str | None:
    from harness.models.adapter import read_adapter_config
    from harness.models.adapter_origin import read_origin
    from harness.report.model_card import base_on_hub

    return base_on_hub(
        named, read_origin(adapter), read_adapter_config(adapter).get("base_model_name_or_path")
    )


def _card(adapter: Path, repo: str, runs: Sequence[Path], sweep: Path | None, base_model: str | None) -> str:
    from harness.models.adapter import read_adapter_config
    from harness.models.adapter_origin import read_origin
    from harness.models.fingerprint import adapter_fingerprint
    from harness.models.vllm_lora_rules import check_for_vllm
    from harness.report.model_card import CardFacts, licence_of, render_card
    from harness.training.measured_runs import chosen_in, measured_runs

    origin = read_origin(adapter)
    recorded = read_adapter_config(adapter).get("base_model_name_or_path")
    folder = Path(recorded) if recorded and Path(recorded).is_dir() else None
    measured = measured_runs(
        runs,
        sweep,
        adapter_fingerprint=adapter_fingerprint(adapter),
        base_fingerprint=origin.base_fingerprint if origin else None,
    )
    if not measured:
        click.echo(
            "note: no run of this adapter is given, so the card has no numbers (--run, --sweep)", err=True
        )
    return render_card(
        CardFacts(
            repo=repo,
            rank=check_for_vllm(adapter).rank,
            base_model=_base_on_hub(adapter, base_model),
            licence=licence_of(origin, folder),
            origin=origin,
            runs=measured,
            chosen=chosen_in(sweep, adapter.resolve().name) if sweep else None,
        )
    )


def _show(adapter: Path, target: str, files: Sequence[PublishFile]) -> None:
    from harness.report.text import visible
    from harness.training.publish_files import left_behind

    whole = sum(file.size for file in files)
    lines = [f"{adapter} -> {target}, {_megabytes(whole)}"]
    lines += [f"  {file.sha256}  {file.size:>12,}  {file.name}" for file in files]
    rest = left_behind(adapter)
    if rest:
        lines.append(f"left behind: {', '.join(rest)}")
    click.echo(visible("\n".join(lines)))


def _confirm(repo: str, private: bool, files: Sequence[Any], yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "an upload is confirmed by a person, or by --yes", remedy="Add --yes, or look first: --dry-run"
        )
    kind = "private" if private else "PUBLIC"
    click.confirm(f"Upload {len(files)} files to {repo} ({kind})?", abort=True)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
