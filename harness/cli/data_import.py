"""`harness data import SOURCE`: other people's fine-tuning data as a data set of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.data.importing.request import ImportResult

FORMATS = ("auto", "alpaca", "sharegpt", "openai", "dataset_info", "bfcl", "xlam", "hermes")


def _shares(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, float]:
    """Return "train=0.8,test=0.2" as a dict; a click callback. Raises click.BadParameter."""
    found: dict[str, float] = {}
    for part in (value or "").split(",") if value is not None else ():
        name, equals, share = part.strip().partition("=")
        try:
            number = float(share)
        except ValueError:
            raise click.BadParameter(f"{part!r} is not SPLIT=SHARE, such as train=0.8") from None
        if not equals or name in found:
            raise click.BadParameter(f"{name!r} is given twice")
        found[name] = number
    return found


@click.command("import")
@click.argument("source")
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="How SOURCE is written.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--split", callback=_shares, metavar="SPLIT=SHARE,...", help="Default: one train.jsonl.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the split.")
@click.option("--name", help="Which entry of dataset_info.json.")
@click.option(
    "--id-prefix", help="Number the records PREFIX-1, PREFIX-2, ... instead of keeping SOURCE's ids."
)
@click.option("--skip-bad", is_flag=True, help="Leave wrong rows out; each is listed in DATASHEET.md.")
@click.option(
    "--system-as",
    type=click.Choice(["system", "user", "drop"]),
    default="system",
    show_default=True,
    help="Keep system turns, put them before the first user turn, or leave them out.",
)
@click.option("--every-turn", is_flag=True, help="A record for each assistant turn, not the last alone.")
@click.option("--drop-nulls", is_flag=True, help="Remove nulls from tools and arguments. Parquet: always.")
@click.option("--subset", help="Subset of a data set on the hub.")
@click.option("--source-split", help="Split of a data set on the hub. Default: train.")
@click.option("--force", is_flag=True, help="Overwrite a data set in the folder.")
def command(
    source: str,
    kind: str,
    out: Path,
    split: dict[str, float],
    seed: int,
    name: str | None,
    id_prefix: str | None,
    skip_bad: bool,
    system_as: str,
    every_turn: bool,
    drop_nulls: bool,
    subset: str | None,
    source_split: str | None,
    force: bool,
) -> None:
    """Turn SOURCE into a data set: a JSON, JSON Lines or Parquet file, a dataset_info.json, or a hub id (OWNER/NAME).

    docs/importing.md shows every format.
    """
    from harness.data.importing.importer import import_dataset
    from harness.data.importing.request import ImportRequest

    request = ImportRequest(
        source=source,
        out=out,
        format=kind,  # type: ignore[arg-type]
        split=split,
        seed=seed,
        name=name,
        id_prefix=id_prefix,
        skip_bad=skip_bad,
        system_as=system_as,  # type: ignore[arg-type]
        every_turn=every_turn,
        drop_nulls=drop_nulls,
        subset=subset,
        source_split=source_split,
        force=force,
    )
    _tell(import_dataset(request))


def _tell(result: ImportResult) -> None:
    from harness.data.importing.datasheet import reasons

    click.echo(f"format: {result.format}", err=True)
    click.echo(f"{result.read:,} rows read = {result.kept:,} kept + {result.dropped:,} dropped", err=True)
    for reason, times in reasons(result.problems).most_common():
        click.echo(f"  dropped {times:,}: {reason}", err=True)
    for remark in result.remarks:
        click.echo(f"  note: {remark}", err=True)
    for note, times in sorted(result.notes.items()):
        click.echo(f"  note: {note}: {times:,}", err=True)
    sizes = ", ".join(f"{split} {size:,}" for split, size in result.records.items())
    click.echo(f"wrote {result.out}: {sizes}", err=True)
    empty = [split for split, size in result.records.items() if not size]
    if empty:
        click.echo(
            f"warning: nothing left for {', '.join(empty)}: too few groups of independent records", err=True
        )
