"""Comparing runs: what was planted is what is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.errors import IncompleteRun
from harness.log.reader import RunFolder
from harness.report.align import Budget, align
from harness.report.compare_html import render_comparison_html
from harness.report.compare_json import comparison_data, render_comparison_json
from harness.report.compare_markdown import render_comparison_markdown
from harness.report.compare_model import Comparison, build_comparison
from harness.report.compare_samples import MAX_LISTED, merge_calls
from harness.run.noise_file import NoiseFile, about
from harness.stats import exact_mcnemar, holm
from tests.unit.scored_runs import Planted, header, write_run


def compared(*folders: Path, noise: list[NoiseFile | None] | None = None, **options: Any) -> Comparison:
    return build_comparison([RunFolder(folder) for folder in folders], noise or [], **options)


def samples(*verdicts: str, reply: str = "same") -> list[Planted]:
    return [
        Planted(f"s{place}", verdict, reply=reply + verdict, cluster=f"c{place}")
        for place, verdict in enumerate(verdicts)
    ]


BEFORE = ["correct"] * 6 + ["wrong_tool"] * 5 + ["malformed"] * 4
AFTER = ["correct"] * 4 + ["wrong_tool", "malformed"] + ["correct"] * 5 + ["malformed", "malformed", "wrong_tool", "wrong_tool"]  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """15 samples: 4 right in both, 2 broken, 5 fixed, 2 the same wrong, 2 wrong in another way."""
    return write_run(tmp_path / "a", samples(*BEFORE)), write_run(tmp_path / "b", samples(*AFTER))


def test_what_became_of_samples(pair: tuple[Path, Path]) -> None:
    (outcome,) = compared(*pair).outcomes
    assert outcome.counts == {"broken": 2, "fixed": 5, "changed": 2, "same": 6}
    assert (outcome.same_right, outcome.same_wrong, outcome.same_replies) == (4, 2, 6)
    assert outcome.p == pytest.approx(exact_mcnemar(2, 5))
    moves = [(one.before, one.after, one.kind, one.samples) for one in outcome.transitions]
    assert moves == [
        ("correct", "malformed", "broken", 1),
        ("correct", "wrong_tool", "broken", 1),
        ("wrong_tool", "correct", "fixed", 5),
        ("malformed", "wrong_tool", "changed", 2),
    ]
    matrix = outcome.matrix
    cells = {
        (before, after): many
        for before, line in zip(matrix.before, matrix.cells, strict=True)
        for after, many in zip(matrix.after, line, strict=True)
        if many
    }
    assert cells == {
        ("correct", "correct"): 4, ("correct", "wrong_tool"): 1, ("correct", "malformed"): 1,
        ("wrong_tool", "correct"): 5, ("malformed", "malformed"): 2, ("malformed", "wrong_tool"): 2,
    }  # fmt: skip


def test_differences_are_those_planted(pair: tuple[Path, Path]) -> None:
    comparison = compared(*pair)
    right, noise = comparison.headline
    change = right.changes[0]
    assert change is not None
    assert right.reference == pytest.approx(6 / 15)
    assert change.change.value == pytest.approx(3 / 15)
    assert change.change.p == pytest.approx(exact_mcnemar(2, 5))
    assert (change.change.n, change.change.changed, change.clusters) == (15, 7, 15)
    silent = noise.changes[0]
    assert silent is not None
    assert (silent.change.value, silent.change.changed) == (0, 0)
    assert [change.change.adjusted, silent.change.adjusted] == pytest.approx(holm([exact_mcnemar(2, 5), 1.0]))
    assert comparison.tests == 2
    assert comparison.outcomes[0].verdict.word == "CANNOT TELL"


def test_broken_samples_come_first_and_each_kind_of_change_is_shown(pair: tuple[Path, Path]) -> None:
    found = compared(*pair, shown=3).samples
    assert [one.name.kinds for one in found.shown] == [("broken",), ("broken",), ("fixed",)] or [
        one.name.kinds for one in found.shown
    ] == [("broken",), ("broken",), ("changed",)]
    assert {one.name.verdicts[1] for one in found.shown[:2]} == {"wrong_tool", "malformed"}
    assert [one.kinds[0] for one in found.listed] == sorted(
        (one.kinds[0] for one in found.listed), key=["broken", "fixed", "changed"].index
    )
    assert (found.total, len(found.shown) + len(found.listed), found.unlisted) == (9, 9, 0)


def test_a_rare_kind_is_shown_beside_a_frequent_one(tmp_path: Path) -> None:
    before = samples(*["correct"] * 400)
    after = samples(*(["malformed"] * 399 + ["truncated"]))
    found = compared(write_run(tmp_path / "a", before), write_run(tmp_path / "b", after), shown=4).samples
    assert sorted(one.name.verdicts[1] for one in found.shown) == ["malformed"] * 3 + ["truncated"]


def test_what_is_not_shown_is_listed_and_then_counted(tmp_path: Path) -> None:
    many = MAX_LISTED + 50
    before, after = samples(*["correct"] * many), samples(*["malformed"] * many)
    found = compared(write_run(tmp_path / "a", before), write_run(tmp_path / "b", after), shown=10).samples
    assert (len(found.shown), len(found.listed), found.unlisted) == (10, MAX_LISTED, 40)


def test_a_clear_difference(tmp_path: Path) -> None:
    before = write_run(tmp_path / "a", samples(*["correct"] * 40 + ["malformed"] * 10))
    after = write_run(tmp_path / "b", samples(*["malformed"] * 12 + ["correct"] * 28 + ["malformed"] * 10))
    comparison = compared(before, after)
    assert comparison.outcomes[0].verdict.word == "WORSE"
    assert "Right -24.0\u00a0points" in comparison.outcomes[0].verdict.sentence
    back = compared(after, before)
    assert back.outcomes[0].verdict.word == "BETTER"


def _noise(run: Path, floor: float) -> NoiseFile:
    return NoiseFile(
        about=about(RunFolder(run).header()),
        varied="batch_size",
        values=(1, 8),
        runs=("x", "y"),
        samples=50,
        replies_changed=0.1,
        outcomes_changed=0.05,
        floors={"right": floor, "noise": 0.0},
    )


@pytest.mark.parametrize(
    ("floors", "word", "shown"),
    [
        ((None, None), "WORSE", None),
        ((0.05, None), "WORSE", 0.05),
        ((0.05, 0.25), "CANNOT TELL", 0.25),
        ((0.24, 0.01), "CANNOT TELL", 0.24),
    ],
    ids=["none measured", "smaller", "the larger of the two counts", "equal to it is not told from it"],
)
def test_the_noise_floor(
    tmp_path: Path, floors: tuple[float | None, float | None], word: str, shown: float | None
) -> None:
    before = write_run(tmp_path / "a", samples(*["correct"] * 40 + ["malformed"] * 10))
    after = write_run(tmp_path / "b", samples(*["malformed"] * 12 + ["correct"] * 28 + ["malformed"] * 10))
    noise = [
        None if one is None else _noise(run, one) for run, one in zip((before, after), floors, strict=True)
    ]
    comparison = compared(before, after, noise=noise)
    change = comparison.headline[0].changes[0]
    assert change is not None
    assert change.change.noise == shown
    assert comparison.outcomes[0].verdict.word == word
    assert ("not measured" in render_comparison_markdown(comparison)) == (shown is None)


def test_noise_of_something_else_counts_for_nothing_and_is_named(tmp_path: Path) -> None:
    before = write_run(tmp_path / "a", samples(*["correct"] * 40))
    after = write_run(tmp_path / "b", samples(*["malformed"] * 40))
    other = write_run(tmp_path / "c", samples("correct"), dataset__sha256="00" * 32)
    comparison = compared(before, after, noise=[_noise(other, 1.0), None])
    assert comparison.outcomes[0].verdict.word == "WORSE"
    assert any("dataset.sha256" in note and "measure it again" in note for note in comparison.notes)


def test_several_runs_stand_on_the_samples_that_all_scored(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", samples(*["correct"] * 20))
    b = write_run(tmp_path / "b", samples(*["malformed"] * 10 + ["correct"] * 10))
    c = write_run(tmp_path / "c", samples(*["malformed"] * 15))
    comparison = compared(a, b, c)
    assert comparison.n == 15
    assert [outcome.counts["broken"] for outcome in comparison.outcomes] == [10, 15]
    assert [side.coverage.missing for side in comparison.sides] == [0, 0, 5]
    assert comparison.tests == 4, "one family: two metrics, two runs"
    first, second = comparison.headline[0].changes
    assert first is not None
    assert second is not None
    p, q = first.change.p, second.change.p
    assert p is not None
    assert q is not None
    assert [first.change.adjusted, second.change.adjusted] == pytest.approx(holm([p, q, 1.0, 1.0])[:2])
    assert {one.name.kinds for one in comparison.samples.shown} == {
        ("broken", "broken"),
        ("same", "broken"),
    }


def test_errors_and_unscored_are_kept_apart(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", samples(*["correct"] * 6))
    rest = [
        Planted("s4", "too_long", status="unscored"),
        Planted("s5", "error", status="error"),
        Planted("s9"),
    ]
    b = write_run(tmp_path / "b", [*samples(*["correct"] * 3), *rest], status="incomplete")
    with pytest.raises(IncompleteRun, match=r"incomplete \(1 generations failed\)"):
        compared(a, b)
    comparison = compared(a, b, allow_incomplete=True)
    assert comparison.n == 3
    found = comparison.sides[1].coverage
    assert (found.scored, found.unscored, found.errors, found.missing) == (4, 1, 1, 1)
    assert comparison.sides[0].coverage.missing == 1
    assert not comparison.complete
    for text in (
        render_comparison_html(comparison),
        render_comparison_markdown(comparison),
    ):
        assert "INCOMPLETE" in text
    assert json.loads(render_comparison_json(comparison))["complete"] is False


def test_repeats_are_paired_one_by_one(tmp_path: Path) -> None:
    def run(name: str, verdicts: tuple[str, ...]) -> Path:
        return write_run(
            tmp_path / name,
            [Planted("s", verdict, repeat=place) for place, verdict in enumerate(verdicts)],
        )

    comparison = compared(
        run("a", ("correct", "malformed", "correct")), run("b", ("malformed", "correct", "correct"))
    )
    assert comparison.outcomes[0].counts == {"broken": 1, "fixed": 1, "changed": 0, "same": 1}
    change = comparison.headline[0].changes[0]
    assert change is not None
    assert change.clusters == 1, "tries of one sample are not independent"
    assert any("independent groups" in note for note in comparison.notes)


def test_a_measure_that_is_no_share(tmp_path: Path) -> None:
    def run(name: str, length: float) -> Path:
        parts = {"right": (1.0, 1.0), "length": (length, 1.0)}
        return write_run(tmp_path / name, [Planted(f"s{at}", parts=parts) for at in range(8)])

    row = compared(run("a", 10), run("b", 12.5)).metrics[-1]
    change = row.changes[0]
    assert change is not None
    assert (row.name, row.share, row.headline) == ("length", False, False)
    assert (change.change.value, change.change.p, change.detectable) == (2.5, None, None)


def test_numbers_of_any_size_stay_exact(tmp_path: Path) -> None:
    def run(name: str, values: tuple[float, ...]) -> Path:
        planted = [Planted(f"s{at}", parts={"length": (value, 1)}) for at, value in enumerate(values)]
        return write_run(tmp_path / name, planted)

    row = compared(run("a", (1, 127, 128, -129, 0.1)), run("b", (1, 127, 1e9, -129, 0.1))).metrics[-1]
    change = row.changes[0]
    assert change is not None
    assert change.change.before == pytest.approx(127.1 / 5, abs=0)
    assert change.change.after == pytest.approx((1e9 - 0.9) / 5, abs=0)
    assert change.change.changed == 1


def test_more_verdicts_than_a_matrix_holds(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", samples(*[f"v{at}" for at in range(400)]))
    b = write_run(tmp_path / "b", samples(*[f"v{(at + 7) % 400}" for at in range(400)]))
    (outcome,) = compared(a, b).outcomes
    assert outcome.counts["changed"] >= 249
    assert len(outcome.matrix.before) == len(outcome.matrix.after) == 16
    assert sum(map(sum, outcome.matrix.cells)) == 400
    assert outcome.matrix.before.count("(other)") == 1


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def test_replies_stand_beside_gold_and_beside_each_other() -> None:
    gold = [
        {"name": "load", "arguments": {"node": {"accept": [5]}, "unit": {"accept": ["kN"], "optional": True}}}
    ]
    first = [_call("load", node=5, colour="red")]
    second = [_call("run"), _call("load", node=6)]
    calls = merge_calls([align(gold, calls, Budget())[0] for calls in (first, second)])
    assert [call.expected for call in calls] == ["load", None]
    table = {
        (row.name, row.expected is not None): [
            (cell.text.text if cell.text else None, cell.mark) for cell in row.cells
        ]
        for row in calls[0].rows
    }
    assert table == {
        ("node", True): [("5", "ok"), ("6", "wrong")],
        ("unit", True): [(None, "optional"), (None, "optional")],
        ("colour", False): [('"red"', "extra"), (None, None)],
    }
    assert [(cell.text.text if cell.text else None, cell.mark) for cell in calls[1].cells] == [
        (None, None),
        ("run", "extra"),
    ]


def test_unexpected_calls_of_the_same_tool_stand_side_by_side() -> None:
    lists = ([_call("a"), _call("b")], [_call("b"), _call("c")], [_call("c"), _call("a")])
    calls = merge_calls([align([], calls, Budget())[0] for calls in lists])
    names = [[cell.text.text if cell.text else None for cell in call.cells] for call in calls]
    assert names == [["a", None, "a"], ["b", "b", None], [None, "c", "c"]]


def test_equal_folders_give_equal_bytes(pair: tuple[Path, Path]) -> None:
    for render in (render_comparison_html, render_comparison_markdown, render_comparison_json):
        assert render(compared(*pair)) == render(compared(*pair))


def test_json_holds_what_the_page_says(pair: tuple[Path, Path]) -> None:
    comparison = compared(*pair, shown=2)
    data = json.loads(render_comparison_json(comparison))
    assert data == json.loads(json.dumps(comparison_data(comparison)))
    (other,) = data["against"]
    assert other["verdict"] == "CANNOT TELL"
    assert other["samples"] == {
        "broken": 2, "fixed": 5, "changed": 2, "same": 6, "same_right": 4, "same_wrong": 2,
    }  # fmt: skip
    assert [one["metric"] for one in other["metrics"]] == ["right", "noise"]
    assert [len(data["changed"]), data["changed_total"], data["changed_unlisted"]] == [9, 9, 0]
    assert "replies" in data["changed"][0]
    assert "replies" not in data["changed"][-1]
    assert data["differs"][0]["label"] == "Adapter"


def test_the_page_on_comparing_says_which_test_it_is(tmp_path: Path) -> None:
    """Up to the number of clusters that the page names, p is McNemar's exactly; beyond it is drawn."""
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
    (most,) = re.findall(r"at most (\d+) clusters differ", page)
    (drawn,) = re.findall(r"([\d,]+) random swaps", page)

    def p_of(changed: int) -> float | None:
        before, after = (
            samples(*["correct"] * 40),
            samples(*["malformed"] * changed, *["correct"] * (40 - changed)),
        )
        folders = [
            write_run(tmp_path / f"{side}{changed}", one) for side, one in (("a", before), ("b", after))
        ]
        change = compared(*folders).headline[0].changes[0]
        return None if change is None else change.change.p

    assert p_of(int(most)) == exact_mcnemar(int(most), 0)
    beyond = p_of(int(most) + 1)
    assert beyond is not None
    assert beyond != exact_mcnemar(int(most) + 1, 0)
    assert p_of(40) == pytest.approx(1 / (1 + int(drawn.replace(",", ""))), abs=0)


def test_header_helper_reaches_what_it_names() -> None:
    assert header("x", suite__version="9.9.9")["suite"]["version"] == "9.9.9"
