"""docs/persona_judge.md names every option, file and threshold, and nothing that is not there."""

from __future__ import annotations

import re

import pytest

from harness.cli.persona_judge import judge
from harness.persona.judge import asking, qualification
from harness.persona.judge.endpoint import KEY_VARIABLE
from harness.run import judge_files
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "persona_judge.md").read_text(encoding="utf-8")


def test_every_option_is_documented_and_every_documented_one_exists() -> None:
    options = {name for parameter in judge.params for name in parameter.opts if name.startswith("--")}
    assert options == set(re.findall(r"--[a-z][a-z-]+", TEXT))


@pytest.mark.parametrize(
    "words",
    [
        KEY_VARIABLE,
        judge_files.JUDGE,
        judge_files.ANSWERS,
        judge_files.VERDICTS,
        f"AUC ≥ {qualification.AUC_NEEDED:g}".replace("0.", "."),
        f"≥ {100 * qualification.PROBES_NEEDED:.0f} % of probes",
        f"κ ≥ {qualification.KAPPA_NEEDED:g}".replace("0.", "."),
        f"{qualification.LABELS_NEEDED} or more labels",
        f"(default {asking.MAX_MISSING:g})".replace("0.", "."),
    ],
)
def test_figures_and_names(words: str) -> None:
    assert words in TEXT
