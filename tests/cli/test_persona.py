"""`harness persona` and persona suites on the command line, from a file of one's own to marked numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.persona.persona_files import alpaca, fill_in

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites" / "persona" / "founder_ko"
TODO = "neutral.todo.jsonl"

pytest.importorskip("sklearn")


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary


def value(summary: dict[str, Any], measure: str) -> float:
    return next(
        one["value"] for one in summary["aggregates"] if one["metric"] == measure and one["group"] == "all"
    )


def planted(folder: Path, neutral: bool) -> Path:
    """Write a script that answers every test question with the founder's own replies, or with neutral ones."""
    path = ROOT / "datasets" / "persona" / "founder_ko" / "test.jsonl"
    kind = "neutral_formal" if neutral else "persona"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    replies = {f"{row['id']}-A": row["replies"][kind]["B"] for row in rows}
    script = folder / f"{kind}.yaml"
    script.write_text(json.dumps({"name": kind, "replies": replies}), encoding="utf-8")
    return script


def run(harness: Callable[..., Any], folder: Path, script: Path, *options: str | Path) -> Any:
    return harness(
        "run", SUITE, "--engine", "scripted", "--engine-option", f"script={script}", "--out", folder, *options
    )


def test_the_character_scores_above_a_polite_stranger(harness: Callable[..., Any], tmp_path: Path) -> None:
    summaries = []
    for neutral in (False, True):
        done = run(harness, tmp_path / "reports", planted(tmp_path, neutral))
        assert done.exit_code == 0, done.err
        summaries.append(summary_of(done.run_dir))
    true, polite = summaries
    assert value(true, "persona_style") > value(polite, "persona_style") + 0.5
    assert value(true, "persona_speech_level") > 0.9
    assert value(polite, "persona_speech_level") < 0.1
    assert true["verdicts"].get("in_character", 0) >= 20
    header = json.loads((done.run_dir / "run.json").read_text(encoding="utf-8"))
    assert header["persona"]["name"] == "founder_ko"
    assert len(header["persona"]["card_sha256"]) == len(header["persona"]["references_sha256"]) == 64
    assert header["prompt"]["system_prompt"] == "persona"


def test_another_prompt_is_another_run(harness: Callable[..., Any], tmp_path: Path) -> None:
    script = planted(tmp_path, False)
    with_prompt = run(harness, tmp_path / "reports", script)
    without = run(harness, tmp_path / "reports", script, "--system-prompt", "none")
    refused = harness("compare", with_prompt.run_dir, without.run_dir)
    assert refused.exit_code == 4
    assert "the system prompt differs (persona and none)" in refused.err
    assert "--across-prompts" in refused.err
    asked_for = harness("compare", "--across-prompts", with_prompt.run_dir, without.run_dir)
    assert asked_for.exit_code == 0, asked_for.err
    assert "the system prompt" in asked_for.out
    resumed = run(harness, tmp_path / "reports", script, "--resume", with_prompt.run_dir, "--mask-name")
    assert resumed.exit_code == 4
    assert "names_masked: False -> True" in resumed.err
    # Scored again, it is still the run without a prompt.
    assert harness("score", without.run_dir).exit_code == 0
    assert summary_of(without.run_dir)["persona"]["system_prompt"] == "none"


def test_from_a_file_to_marked_numbers(harness: Callable[..., Any], tmp_path: Path) -> None:
    file = alpaca(tmp_path / "steel.json")
    made = harness("persona", "new", "steel", "--from", file, "--display-name", "강철")
    assert made.exit_code == 0, made.err
    for said in ("80 questions, 80 replies in character", "hae 8", "CHECK", "harness persona fill"):
        assert said in made.out
    suite = tmp_path / "suites" / "persona" / "steel"
    done = harness("run", suite, "--engine", "scripted")
    assert done.exit_code == 0, done.err
    assert "unvalidated" in done.out
    # The page, the Markdown and the JSON say it too, with the reason.
    folder = tmp_path / done.run_dir
    page = (folder / "scorecard.html").read_text(encoding="utf-8")
    assert "(unvalidated)" in page
    assert "never validated" in page
    report = harness("report", folder, "--json", tmp_path / "card.json", "--markdown", tmp_path / "card.md")
    assert report.exit_code == 0, report.err
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert card["persona"]["validated"] is False
    assert any("never validated" in reason for reason in card["persona"]["reasons"])
    assert {one["name"] for one in card["measures"] if one.get("validated") is False} >= {"persona_gates"}
    assert "never validated" in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_filling_in_by_and_by(harness: Callable[..., Any], tmp_path: Path) -> None:
    made = harness("persona", "new", "steel", "--from", alpaca(tmp_path / "steel.json"))
    assert made.exit_code == 0, made.err
    suite = tmp_path / "suites" / "persona" / "steel"
    todo = tmp_path / "datasets" / "persona-steel" / TODO
    fill_in(todo, 10)
    some = harness("persona", "fill", suite)
    assert some.exit_code == 0, some.err
    assert "38 more pairs in split train are needed" in some.out or "more pairs in split train" in some.out
    early = harness("persona", "validate", suite)
    assert early.exit_code == 4
    assert "takes 40" in early.err
    fill_in(todo)
    rest = harness("persona", "fill", suite)
    assert "persona_style was added" in rest.out
    again = harness("persona", "fill", suite)
    assert again.exit_code == 0, again.err
    assert "nothing is left to fill in" in again.out
    sound = harness("data", "lint", tmp_path / "datasets" / "persona-steel")
    assert sound.exit_code == 0, sound.out
    assert "a persona's references" in sound.err
    shown = harness("persona", "show", suite)
    assert "48 pairs" in shown.out
    assert "can be fitted" in shown.out
    assert "true replies" in shown.out


def test_the_shipped_founder_passes_its_validation(harness: Callable[..., Any], tmp_path: Path) -> None:
    done = harness("persona", "validate", SUITE, "--no-write")
    assert done.exit_code == 0, done.out
    for said in ("probes", "mixing", "confounds", "length", "not made:", "The metric passed"):
        assert said in done.out


REFUSED = [
    ("ten replies", ("persona", "new", "ten", "--from", "ten.json"), "it needs 67"),
    ("a bad name", ("persona", "new", "../x", "--from", "ten.json"), "cannot name a persona"),
    ("no such file", ("persona", "new", "x", "--from", "none.json"), "no such file"),
    ("no such card", ("persona", "show", "nowhere"), "no such file"),
    ("nothing to fill in", ("persona", "fill", SUITE), "there is no neutral.todo.jsonl"),
    (
        "a suite without persona",
        ("run", ROOT / "suites/_smoke", "--engine", "scripted", "--mask-name"),
        "needs a persona",
    ),
]


@pytest.mark.parametrize(("words", "what"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_bad_input_is_named(
    harness: Callable[..., Any], tmp_path: Path, words: tuple[str | Path, ...], what: str
) -> None:
    alpaca(tmp_path / "ten.json", 10)
    done = harness(*words)
    assert done.exit_code == 4
    assert what in done.err
    assert "Traceback" not in done.err
