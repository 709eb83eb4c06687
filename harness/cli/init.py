"""`harness init DIR`: a workspace of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from harness.errors import UsageError
from harness.log.files import storage_error
from harness.paths import templates_root

FOLDERS = ("suites", "datasets", "train", "reports/baselines")
IGNORE = "reports/*\n!reports/baselines/\n!reports/examples/\ntrain/runs/\n"


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Make a workspace in FOLDER: the shipped suites and data sets, and room for reports and adapters."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("exists and is not an empty folder", where=folder, remedy="Name a new folder.")
    root = templates_root()
    try:
        for name in FOLDERS:
            if (root / name).is_dir():
                skip = shutil.ignore_patterns("__pycache__", ".*", "runs")
                shutil.copytree(root / name, folder / name, ignore=skip)
            else:
                (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "reports" / "examples").mkdir(parents=True)
        (folder / ".gitignore").write_text(IGNORE, encoding="utf-8")
    except OSError as error:
        raise storage_error(folder, error) from error
    click.echo(f"made {folder}\nTry it:\n  cd {folder}\n  harness run suites/_smoke --engine scripted")
