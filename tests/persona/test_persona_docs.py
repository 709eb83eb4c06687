"""docs/persona.md and the README: the figures are those of validation.json, and every command there can be given."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli.main import cli
from harness.persona.card import MIN_PAIRS, PersonaCard
from harness.persona.importing.build import NEEDED
from harness.persona.validation import MIN_PROBES
from tests.persona.shipped import CARDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "persona.md").read_text(encoding="utf-8")
REPORTS = {
    name: json.loads((ROOT / "suites/persona" / name / "validation.json").read_text(encoding="utf-8"))
    for name in CARDS
}
PAGES = [
    *(ROOT / name for name in ("docs/persona.md", "README.md", "README.ko.md")),
    *(ROOT / "suites" / "persona" / name / "README.md" for name in CARDS),
]


def check(name: str, of: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in REPORTS[of]["checks"] if one["name"] == name)
    return found


def auc(name: str, of: str) -> str:
    """Return the cell of an AUC; one that fails its goal stands out."""
    one = check(name, of)
    if one["value"] is None:
        return "not made"
    value = f"{one['value']:.3f}" if one["passed"] else f"**{one['value']:.3f}**"
    return f"{value} ({one['low']:.3f}–{one['high']:.3f})"


def short(of: str) -> str:
    """Return the shares by length, "0.05, 0.12" of the note "1: 0.05 of 64; 2: 0.12 of 64"."""
    return ", ".join(re.findall(r"\d: ([\d.]+) of", check("short_neutral", of)["note"]))


def rows() -> list[str]:
    """The table of the shipped characters, as it must stand."""
    cells = {
        "AUC against neutral replies at the same level": [auc("authenticity", name) for name in CARDS],
        "AUC against the other Korean character": [auc("other_persona", name) for name in CARDS],
        "neutral replies cut to one sentence, to two, that reach the threshold": list(map(short, CARDS)),
        "best that length, punctuation, level or topic alone reach": [
            f"{max(one['auc'] for one in REPORTS[name]['confounds']):.3f}" for name in CARDS
        ],
        "probes judged as expected, of 40": [
            str(round(check("probes", name)["value"] * check("probes", name)["n"])) for name in CARDS
        ],
        "largest error of a planted share": [f"{check('mixing', name)['value']:.3f}" for name in CARDS],
    }
    return [f"| {says} | {' | '.join(values)} |" for says, values in cells.items()]


def test_the_figures_are_those_of_the_validations() -> None:
    at = PAGE.index("| | `founder_ko` | `librarian_ko` | `founder_en` |")
    assert PAGE[at:].split("\n\n")[0].splitlines()[2:] == rows(), "write these rows:\n" + "\n".join(rows())
    for name, report in REPORTS.items():
        said = f"`{name}` is not certified" in PAGE
        assert said is not report["certified"], name
        assert report["held_out"].startswith("32 prompts"), name
        assert check("authenticity", name)["n"] == 128, "64 true and 64 neutral replies"
        assert check("probes", name)["n"] == 40
        assert report["analyser"].startswith("kiwi 0.24."), name


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    assert f"With fewer than {NEEDED} questions ({MIN_PAIRS} to fit on" in PAGE
    assert f"{MIN_PAIRS} in split `train` are needed" in PAGE
    assert f"{MIN_PROBES:.0%} of the probes" in PAGE.replace(" %", "%")


def test_every_key_of_a_card_has_its_row() -> None:
    table = PAGE.split("\n## The card\n")[1].split("\n## ")[0]
    keys = {field.alias or name for name, field in PersonaCard.model_fields.items()}
    told = {key for row in re.findall(r"^\| (`.*?) \|", table, re.M) for key in re.findall(r"`(\w+)`", row)}
    assert told == keys


def commands(page: Path) -> list[str]:
    """Return the lines of a page's blocks that give a command to the harness."""
    parts = re.split(r"^```.*$", page.read_text(encoding="utf-8"), flags=re.M)
    lines = [line.strip().removeprefix("$ ") for block in parts[1::2] for line in block.splitlines()]
    return [line for line in lines if line.startswith("harness ")]


GIVEN = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(("page", "line"), GIVEN)
def test_every_command_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="harness")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: no command {words[0]!r}: {line}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    assert given <= known | {"-h", "--help"}, f"{page}: {line}"


def test_there_are_commands_to_check() -> None:
    told = " ".join(line for _, line in GIVEN)
    for name in ("persona new", "persona fill", "persona validate", "compare", "gate", "noise"):
        assert f"harness {name} " in told


def test_the_checks_stand_under_the_names_and_goals_that_are_printed() -> None:
    table = PAGE.split("| check | goal | |\n")[1].split("\n\n")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.M))
    checks = {one["name"]: one["goal"] for report in REPORTS.values() for one in report["checks"]}
    assert told.keys() == checks.keys()
    for name, goal in checks.items():
        for number in re.findall(r"\d\.\d+(?= of|$|,)", goal):
            assert number in told[name] or name == "masked_view", f"{name}: {goal}"


@pytest.mark.parametrize("page", ["docs/persona.md", "docs/persona_judge.md", "README.md", "README.ko.md"])
def test_the_extra_is_installed_from_a_clone_too(page: str) -> None:
    assert ".venv/bin/pip install -c constraints.txt -e '.[persona]'" in (ROOT / page).read_text(
        encoding="utf-8"
    )
