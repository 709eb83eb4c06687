"""Which replies of a run are judged, by what text, and whether they are still the ones that judge.json is about."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from harness.errors import RunFolderError, UsageError
from harness.report.html import render_html
from harness.report.json_ import schema, scorecard_data
from harness.report.markdown import render_markdown
from harness.report.run_source import load_scorecard
from harness.report.terminal import render_terminal
from harness.run.judge_files import ANSWERS, JUDGE, read_judge
from harness.run.judged_replies import read_replies
from harness.run.persona_judging import JudgingOutcome, judge
from tests.persona.judge.judged_runs import in_character, small_trial, trial, write_replies
from tests.persona.judge.stub_judge import PlantedJudge, serving
from tests.persona.judge.test_judging import judged, no_wait, plan
from tests.unit.scored_runs import Planted, write_run

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    ("kind", "instead"), [("persona_drift", "persona_drift.md"), ("persona_tools", "harness persona tools")]
)
def test_a_run_of_many_characters_is_refused_by_name(tmp_path: Path, kind: str, instead: str) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    header["scenario"] = {"kind": kind, "characters": {"founder_ko": {}, "librarian_ko": {}}}
    (run / "run.json").write_text(json.dumps(header), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_replies(run, "founder_ko")
    said = raised.value.one_message()
    assert kind in said
    assert instead in said


def test_a_reply_is_judged_as_scoring_reads_it(tmp_path: Path) -> None:
    """Without its tool calls; prose alone stays as it is."""
    call = '<tool_call>\n{"name": "add_load", "arguments": {"kN": 5}}\n</tool_call>'
    samples = [
        Planted(id="call", reply=f"잠깐, 찾아본다.\n{call}"),
        Planted(id="prose", reply="결론부터. 이거 사."),
    ]
    found = {
        one.id: one.reply for one in read_replies(write_run(tmp_path / "r", samples), "founder_ko").replies
    }
    assert found["call"].strip() == "잠깐, 찾아본다."
    assert found["prose"] == "결론부터. 이거 사."


def _judged(tmp_path: Path, **given: Any) -> tuple[Path, JudgingOutcome]:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    return run, judged(PlantedJudge(in_character), tmp_path, run, **given)


def test_a_judging_of_other_answers_is_called_stale(tmp_path: Path) -> None:
    run, outcome = _judged(tmp_path, tried=small_trial())
    found = read_judge(run)
    assert found is not None
    assert not found.stale
    assert found == outcome.summary
    with (run / "generations.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"sample_id": "late"}) + "\n")
    found = read_judge(run)
    assert found is not None
    assert found.stale
    assert replace(found, stale=False) == outcome.summary


def test_a_result_of_an_older_harness_is_refused_by_name(tmp_path: Path) -> None:
    run, _ = _judged(tmp_path, tried=None)
    stored = json.loads((run / JUDGE).read_text(encoding="utf-8"))
    (run / JUDGE).write_text(json.dumps({**stored, "schema": 1}), encoding="utf-8")
    with pytest.raises(RunFolderError, match="schema 1"):
        read_judge(run)


def _pages(run: Path) -> dict[str, str]:
    from io import StringIO

    from rich.console import Console

    card = load_scorecard(run)
    screen = StringIO()
    render_terminal(card, Console(file=screen, width=140))
    return {"terminal": screen.getvalue(), "html": render_html(card), "markdown": render_markdown(card)}


def test_every_scorecard_shows_the_judge(tmp_path: Path) -> None:
    run, outcome = _judged(tmp_path, tried=small_trial())
    assert outcome.summary.believed("checklist")
    value = next(one.value for one in outcome.summary.rows if one.id == "run.accepted")
    assert value is not None
    for name, page in _pages(run).items():
        assert "replies accepted" in page, name
        assert f"{100 * value:.1f}" in page, name
        assert "NOT QUALIFIED" not in page, name
        assert "other answers" not in page, name


def test_an_unqualified_and_a_stale_judge_are_marked_on_every_scorecard(tmp_path: Path) -> None:
    run, _ = _judged(tmp_path, tried=None)
    with (run / "generations.jsonl").open("a", encoding="utf-8") as file:
        file.write((run / "generations.jsonl").read_text(encoding="utf-8").splitlines()[0] + "\n")
    for name, page in _pages(run).items():
        assert "NOT QUALIFIED" in page, name
        assert "other answers" in page, name


def test_a_damaged_judging_is_said_and_hides_no_scorecard(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    (run / JUDGE).write_text("{", encoding="utf-8")
    for name, page in _pages(run).items():
        assert "judge.json cannot be read" in page, name


def test_the_scorecards_numbers_hold_the_judge_by_their_schema(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    run, _ = _judged(tmp_path, tried=small_trial())
    data = scorecard_data(load_scorecard(run))
    jsonschema.validate(data, schema())
    assert any(row["label"] == "run: replies accepted" for row in data["judge"]["rows"])
    other, _ = write_replies(tmp_path / "other", 0.5)
    assert "judge" not in scorecard_data(load_scorecard(other))


def test_kept_answers_of_another_host_or_model_are_noted(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with serving(PlantedJudge(in_character)) as server:
        made = plan(server, tmp_path, run, tried=None)
        first = judge(made, None, sleep=no_wait)
        answers = run / ANSWERS
        lines = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
        assert {line["host"] for line in lines} == {made.endpoint.host}
        assert not any("kept answers" in note for note in first.summary.notes)
        moved = [{**line, "host": "gpu7:8000", "served_model": "another"} for line in lines[:5]]
        answers.write_text("".join(json.dumps(line) + "\n" for line in moved), encoding="utf-8")
        notes = judge(made, None, sleep=no_wait).summary.notes
    assert any("gpu7:8000" in note and "kept answers" in note for note in notes)
    assert any("another, stub-judge-1" in note for note in notes)


def test_answers_kept_without_a_host_are_read(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with serving(PlantedJudge(in_character)) as server:
        made = plan(server, tmp_path, run, tried=None)
        judge(made, None, sleep=no_wait)
        lines = [json.loads(line) for line in (run / ANSWERS).read_text(encoding="utf-8").splitlines()]
        for line in lines:
            del line["host"]
        (run / ANSWERS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        calls = server.calls
        notes = judge(made, None, sleep=no_wait).summary.notes
        assert server.calls == calls
    assert not any("kept answers" in note for note in notes)


def test_a_preference_that_only_the_runs_own_pairs_show_marks_them(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.9)
    base, _ = write_replies(tmp_path / "base", 0.1)
    tried = {pair.question for pair in trial().pairs}
    fair, unfair = PlantedJudge(in_character), PlantedJudge(in_character, prefers_first=0.6)
    outcome = judged(
        lambda asked: (fair if asked.question in tried else unfair)(asked), tmp_path, run, base, tried=trial()
    )
    assert outcome.results.qualification is not None
    assert outcome.results.qualification.shortcomings("pairwise") == ()
    assert any("the first reply in the run's own pairs" in why for why in outcome.summary.why_not["pairwise"])
    assert not any(one.believed for one in outcome.summary.rows if one.of == "pairwise")
    assert outcome.summary.believed("checklist")
