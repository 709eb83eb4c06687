"""Every command in docs/importing.md works on the rows that stand before it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs" / "importing.md"
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"```json\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ harness (.+)$", re.MULTILINE)
MAPPED = [{"question": "Who are you?", "answer": "Mina.", "role": "You are Mina."}]

EXAMPLES = [
    (match.group(1), BLOCK.findall(match.group(2)), shlex.split(command.group(1)))
    for match in SECTION.finditer(DOCS.read_text(encoding="utf-8"))
    if (command := COMMAND.search(match.group(2)))
]


def test_there_is_an_example_for_every_format() -> None:
    from harness.data.importing.request import FORMATS

    assert len(EXAMPLES) == len(FORMATS) - 1


@pytest.mark.parametrize(("title", "blocks", "command"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_the_command_works(
    title: str,
    blocks: list[str],
    command: list[str],
    tmp_path: Path,
    in_process,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(command[2])
    source.write_text(blocks[0], encoding="utf-8")
    if len(blocks) > 1:
        Path("possible_answer").mkdir()
        (Path("possible_answer") / source).write_text(blocks[1], encoding="utf-8")
    if source.name == "dataset_info.json":
        Path("persona.json").write_text(json.dumps(MAPPED), encoding="utf-8")

    done = in_process(*command)

    assert done.exit_code == 0, done.err
    assert "+ 0 dropped" in done.err
    out = command[command.index("--out") + 1]
    assert in_process("data", "lint", out).exit_code == 0
