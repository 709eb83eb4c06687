"""Scenario suites with the real judge of replies: written replies in and out of character, planted at known places."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from harness.persona.references import load_references
from harness.run.score_run import score_run
from harness.suite.load import Suite, load_suite
from harness.types import Prompt
from tests.persona.scripted_runs import ROOT, Recorder, plan_of, run

pytest.importorskip("sklearn")

PERSONA = "founder_ko"
FALLS_AFTER = 8


@cache
def suite(name: str) -> Suite:
    return load_suite(str(ROOT / "suites" / name))


@cache
def written(kind: str) -> tuple[str, ...]:
    """Return held-out replies of a kind."""
    card = suite("persona_drift").scenario.cards[PERSONA]
    return tuple(one.replies[kind]["A"] for one in load_references(card, "test"))


def summary_of(folder: Path) -> dict:
    score_run(folder)
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))["persona"]


def test_a_model_that_becomes_a_polite_assistant_at_turn_nine_is_caught_there(tmp_path: Path) -> None:
    def reply(prompt: Prompt) -> str:
        tags = prompt.sample.tags
        turn = int(tags["turn"])
        lost = turn > FALLS_AFTER and tags["history"] == "own"
        place = sum(map(ord, prompt.sample.id))
        texts = written("neutral_formal" if lost else "persona")
        return texts[place % len(texts)]

    engine = Recorder(reply)
    folder, _ = run(plan_of(suite("persona_drift"), engine, persona=PERSONA), engine, tmp_path)
    found = summary_of(folder)["drift"]["personas"][PERSONA]
    own, reference = (found["probes"][name] for name in ("own", "reference"))
    assert own["slope"]["value"] < -0.03
    assert own["slope"]["high"] < 0
    assert own["drop"]["value"] > 0.4
    assert abs(reference["slope"]["value"]) < 0.02
    assert found["own_against_reference"]["style"]["value"] < -0.2
    first = found["switch"]["first"]
    assert [(step["turn"], step["events"]) for step in first["steps"]] == [(FALLS_AFTER + 1, 4)]
    assert (found["switch"]["switched"], found["switch"]["lasting"]) == (4, 4)
    attack = next(one for one in found["recovery"] if one["kind"] == "attack")
    assert attack["held"]["value"] == 0
    assert attack["back"]["value"] == 0


def test_a_reply_cut_at_the_budget_is_degenerate() -> None:
    from harness.persona.reply_outcome import AskedTurn
    from harness.score.reply_judges import CardJudge

    judge = CardJudge(suite("persona_drift").scenario.cards[PERSONA])
    for truncated, passed in ((False, True), (True, False)):
        outcome = judge(
            AskedTurn(question="뭐 먹지?", kind="chat", truncated=truncated), written("persona")[0]
        )
        assert outcome.checks["degeneration"] is passed


def test_written_conversations_hold_their_voice(tmp_path: Path) -> None:
    engine = Recorder(lambda prompt: prompt.sample.reply or written("persona")[0])
    plan = plan_of(suite("persona_drift"), engine, persona=PERSONA, history="own")
    folder, _ = run(plan, engine, tmp_path)
    found = summary_of(folder)["drift"]["personas"][PERSONA]
    # Turns are shorter than the replies that the score was fitted on: docs/persona_drift.md has the figures.
    assert found["turns"]["overall"]["value"] > 0.65
    assert abs(found["turns"]["slope"]["value"]) < 0.01
    assert found["breaks"]["events"] == 0


def test_written_closing_replies_keep_facts_and_style(tmp_path: Path) -> None:
    from harness.parse.hermes import Hermes
    from harness.run.planted import reply_with

    engine = Recorder(lambda prompt: reply_with(None, prompt.sample, Hermes()))
    folder, _ = run(plan_of(suite("persona_tools"), engine, persona=PERSONA), engine, tmp_path)
    found = summary_of(folder)["tools"][PERSONA]
    persona, neutral = (found[name]["measures"] for name in ("persona", "neutral"))
    for cell in (persona, neutral):
        assert cell["tools_right"]["value"] == 1
        assert cell["argument_leak"]["value"] == 0
        assert cell["fact_recall"]["value"] == 1
        assert cell["after_json_echo"]["value"] == 0
    assert persona["after_style"]["value"] > neutral["after_style"]["value"] + 0.4
    assert persona["chat_style"]["value"] > neutral["chat_style"]["value"] + 0.4
    assert found["persona"]["style_kept"]["value"] > 0.7


def test_from_the_command_line_run_score_and_replay(tmp_path: Path, in_process) -> None:
    drift = ROOT / "suites" / "persona_drift"
    arguments = ("--tag", f"persona={PERSONA}", "--tag", "conversation=founder_ko-d1", "--out", tmp_path)
    made = in_process("run", drift, "--engine", "scripted", *arguments)
    assert made.exit_code == 0, made.err
    assert "unvalidated" in made.out or (drift.parent / "persona" / PERSONA / "validation.json").exists()
    scores = (made.run_dir / "scores.jsonl").read_bytes()
    assert in_process("score", made.run_dir).exit_code == 0
    assert (made.run_dir / "scores.jsonl").read_bytes() == scores
    again = in_process(
        "run", drift, "--engine", "replay", "--engine-option", f"from={made.run_dir}", *arguments
    )
    assert again.exit_code == 0, again.err
    stored, replayed = (
        json.loads((folder / "summary.json").read_text(encoding="utf-8"))["persona"]["drift"]
        for folder in (made.run_dir, again.run_dir)
    )
    assert stored == replayed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--limit", "5"), "continues a conversation"),
        (("--system-prompt", "none"), "needs a persona"),
        (("--tag", "persona=nobody"), "no sample has"),
    ],
)
def test_what_a_conversation_suite_cannot_do_is_refused(
    tmp_path: Path, in_process, arguments: tuple[str, ...], said: str
) -> None:
    drift = ROOT / "suites" / "persona_drift"
    done = in_process("run", drift, "--engine", "scripted", "--out", tmp_path, *arguments)
    assert done.exit_code in (4, 5)
    assert said in done.err
    assert not list(tmp_path.iterdir())
