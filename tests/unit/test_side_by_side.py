"""Run folders side by side say what `harness compare` says of them: one family of tests, and the first run alone is the base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.log.reader import RunFolder
from harness.report.compare_model import build_comparison
from harness.report.run_source import keep_baseline, load_side_by_side
from tests.unit.scored_runs import Planted, write_run

SAMPLES = 60


def run(folder: Path, fixed: int, broken: int = 0, status: str = "complete") -> Path:
    """Write a run that is right on 20 samples as the base is, but for `broken` of them, and on `fixed` more."""
    right = {*range(broken, 20), *range(20, 20 + fixed)}
    verdicts = ["correct" if at in right else "malformed" for at in range(SAMPLES)]
    return write_run(
        folder,
        [Planted(f"s{at}", verdict, cluster=f"c{at}") for at, verdict in enumerate(verdicts)],
        status=status,
    )


@pytest.mark.parametrize(
    ("equal", "word", "why"),
    [
        (0, "BETTER", "7 of 7 changes are fixes: p = 0.016, for two scores 0.031"),
        (1, "CANNOT TELL", "with a second run four scores are tested: 0.063"),
        (4, "CANNOT TELL", "ten scores: 0.16"),
    ],
)
def test_a_page_and_a_comparison_agree(tmp_path: Path, equal: int, word: str, why: str) -> None:
    folders = [run(tmp_path / "base", 0), run(tmp_path / "lucky", 7)]
    folders += [run(tmp_path / f"equal{at}", 3, 3) for at in range(equal)]
    page = load_side_by_side(folders)
    comparison = build_comparison([RunFolder(folder) for folder in folders])
    assert page.runs[1].word == word, why
    assert [one.word for one in page.runs[1:]] == [one.verdict.word for one in comparison.outcomes]
    for shown, row in zip(page.headline, comparison.headline, strict=True):
        for metric, change in zip(shown.values[1:], row.changes, strict=True):
            assert metric is not None
            assert metric.change == (change.change if change else None)


def test_a_remembered_baseline_is_not_the_base_of_the_page(tmp_path: Path) -> None:
    older = run(tmp_path / "older", 0)
    base, tuned = run(tmp_path / "base", 20), run(tmp_path / "tuned", 21)
    keep_baseline(base, older)
    page = load_side_by_side([base, tuned])
    assert page.runs[0].card.baseline is None
    assert all(row.values[0] is not None and row.values[0].change is None for row in page.headline)


def test_no_run_is_held_against_another_where_the_base_is_unfinished(tmp_path: Path) -> None:
    older = run(tmp_path / "older", 0)
    base, tuned = run(tmp_path / "base", 0, status="interrupted"), run(tmp_path / "tuned", 20)
    keep_baseline(tuned, older)
    page = load_side_by_side([base, tuned])
    assert page.word == "INCOMPLETE"
    assert [one.card.baseline for one in page.runs] == [None, None]
    assert json.loads((tuned / "baseline.json").read_text(encoding="utf-8"))["run"] == "../older"
