"""Conversations are asked turn by turn: own history, forks that leave no trace, resume after a kill, scoring again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted, UsageError
from harness.log.reader import iter_lines
from harness.parse.hermes import Hermes
from harness.prompt.plain import PlainTokenizer
from harness.prompt.render import Renderer, TemplateRefusal
from harness.run.plan import RunPlan
from harness.run.score_run import score_run
from harness.suite.load import Suite, load_suite
from harness.types import Generation, Prompt
from tests.persona.scripted_runs import (
    ROOT,
    Recorder,
    answered,
    copy_of_suite,
    failed,
    generations,
    plan_by,
    plan_of,
    planted_judge,
    run,
)

__all__ = ["planted_judge"]

PERSONA = "founder_en"
"""Two conversations: 16 turns, 8 probes on the own history, 8 on the written one each."""

ALL = 2 * (16 + 8 + 8)

pytestmark = pytest.mark.usefixtures("planted_judge")


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite(str(ROOT / "suites" / "persona_drift"))


def said(prompt: Prompt) -> str:
    return f"reply to {prompt.sample.id}"


def test_replies_become_the_history_and_probes_do_not(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(said)
    folder, counts = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    assert (counts.generated, counts.planned) == (ALL, ALL)
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    for prompt in engine.asked:
        tags = prompt.sample.tags
        history = [m.content for m in prompt.sample.messages if m.role == "assistant"]
        turns = range(1, int(tags["turn"]) + (tags["kind"] == "probe"))
        if tags["history"] == "own":
            assert history == [f"reply to {tags['conversation']}/own/{turn:02}" for turn in turns]
        else:
            written = next(c for c in suite.scenario.conversations if c.id == tags["conversation"])
            assert history == [written.turns[turn - 1].reference for turn in turns]
        users = [m.content for m in prompt.sample.messages if m.role == "user"]
        assert len(users) == len(history) + 1
        assert prompt.sample.messages[0].content == suite.scenario.cards[PERSONA].system_prompt.strip()
        assert prompt.text.count("reply to") == (len(history) if tags["history"] == "own" else 0)


def test_each_round_is_one_batch(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(said)
    run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    # Round 0: first turns, and every probe on the written history. Then turn t + 1 with the probes after turn t.
    sizes = [2 + 16] + [2 + (2 if turn % 2 == 0 else 0) for turn in range(1, 16)] + [2]
    assert [len(batch) for batch in engine.batches] == sizes


@pytest.mark.parametrize("after", [0, 1, 19, 40, ALL - 1])
def test_a_killed_run_goes_on_where_it_was(suite: Suite, tmp_path: Path, after: int) -> None:
    whole = Recorder(said)
    expected = generations(run(plan_of(suite, whole, persona=PERSONA), whole, tmp_path / "whole")[0])
    asked = 0

    def until_killed(prompt: Prompt) -> str:
        nonlocal asked
        asked += 1
        if asked > after:
            raise KeyboardInterrupt
        return said(prompt)

    engine = Recorder(until_killed)
    plan = plan_of(suite, engine, persona=PERSONA)
    with pytest.raises(Interrupted):
        run(plan, engine, tmp_path / "killed")
    folder = next((tmp_path / "killed").iterdir())
    torn = b'{"v":1,"key":"00'
    with (folder / "generations.jsonl").open("ab") as file:
        file.write(torn)
    again = Recorder(said)
    _, counts = run(plan_of(suite, again, persona=PERSONA), again, tmp_path, resume=folder)
    assert (counts.kept, counts.generated) == (after, ALL - after)
    assert len(again.asked) == ALL - after
    by_key = {one["key"]: one["text"] for one in generations(folder)}
    assert by_key == {one["key"]: one["text"] for one in expected}
    assert len(generations(folder)) == ALL


def test_a_failed_turn_holds_up_its_conversation_only(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(
        lambda prompt: failed(prompt) if prompt.sample.id.endswith("d1/own/05") else said(prompt)
    )
    folder, counts = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    # Of the other conversation all, of this one turns 1 to 5, two probes, and all on the written history.
    assert counts.generated == 32 + 5 + 2 + 8
    assert counts.errors == 1
    assert json.loads((folder / "run.json").read_text())["status"] == "incomplete"
    again = Recorder(said)
    _, counts = run(plan_of(suite, again, persona=PERSONA), again, tmp_path, resume=folder)
    assert counts.errors == 0
    assert counts.kept + counts.generated == ALL
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"


def test_what_continues_a_conversation_that_does_not_fit_is_not_tried(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(
        lambda prompt: failed(prompt, "too_long") if prompt.sample.id.endswith("d1/own/05") else said(prompt)
    )
    folder, counts = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    assert counts.generated == ALL
    status = Counter(one["status"] for one in generations(folder))
    # Turns 5 to 16 and the six probes after turns 6 to 16.
    assert status == {"too_long": 12 + 6, "ok": ALL - 18}
    assert len(engine.asked) == ALL - 17
    summary = score_run(folder)
    assert summary["status"] == "complete"
    assert summary["counts"]["too_long"] == 18


def test_another_first_reply_is_another_conversation(suite: Suite, tmp_path: Path) -> None:
    keys = []
    for first in ("one", "two"):
        engine = Recorder(
            lambda prompt, first=first: first if prompt.sample.id.endswith("/own/01") else said(prompt)
        )
        found = generations(run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path / first)[0])
        keys.append({one["sample_id"]: one["key"] for one in found})
    differ = {name for name in keys[0] if keys[0][name] != keys[1][name]}
    assert differ == {name for name in keys[0] if "/own/" in name and not name.endswith("/own/01")}


@pytest.mark.parametrize("tags", [{"turn": "05"}, {"kind": "probe"}, {"kind": "attack", "history": "own"}])
def test_half_a_conversation_is_refused(suite: Suite, tags: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="continues a conversation"):
        plan_of(suite, Recorder(said), **tags)


def test_written_histories_alone_are_one_round(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(said)
    plan = plan_of(suite, engine, persona=PERSONA, history="reference")
    assert (plan.rounds.count, plan.planned) == (1, 16)
    run(plan, engine, tmp_path)
    assert len(engine.batches) == 1


def test_turns_cannot_be_rendered_without_the_answers_before_them(suite: Suite) -> None:
    with pytest.raises(UsageError, match="later turns"):
        next(plan_of(suite, Recorder(said), persona=PERSONA).prompts())


def test_repeats_have_histories_of_their_own(tmp_path: Path) -> None:
    folder = copy_of_suite(
        "persona_drift", tmp_path, **{"max_new_tokens: 160": "max_new_tokens: 160, repeats: 2"}
    )
    engine = Recorder(lambda prompt: f"{prompt.repeat} {prompt.sample.id}")
    run(plan_of(load_suite(str(folder)), engine, persona=PERSONA, history="own"), engine, tmp_path)
    for prompt in engine.asked:
        history = [m.content for m in prompt.sample.messages if m.role == "assistant"]
        assert all(text.startswith(f"{prompt.repeat} ") for text in history)
    assert len(engine.asked) == 2 * 48


def test_planted_drift_is_measured_and_scored_again_to_the_byte(suite: Suite, tmp_path: Path) -> None:
    """Style falls by 0.02 a turn under the own history and stays under the written one; d1 breaks at turn 7."""

    def drifting(prompt: Prompt) -> str:
        tags = prompt.sample.tags
        turn = int(tags["turn"])
        style = 0.9 - (0.02 * turn if tags["history"] == "own" else 0)
        broken = tags["conversation"] == f"{PERSONA}-d1" and turn == 7 and tags["kind"] != "probe"
        return f"style_{style:.2f}" + (" fails:break" if broken else "")

    engine = Recorder(drifting)
    folder, _ = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    summary = score_run(folder)
    found = summary["persona"]["drift"]["personas"][PERSONA]
    assert found["probes"]["own"]["slope"]["value"] == pytest.approx(-0.02)
    assert found["probes"]["reference"]["slope"]["value"] == pytest.approx(0)
    assert found["own_against_reference"]["slope"]["value"] == pytest.approx(-0.02)
    assert found["turns"]["slope"]["value"] == pytest.approx(-0.02)
    assert found["probes"]["own"]["drop"]["value"] == pytest.approx(0.24)
    assert [(step["turn"], step["events"]) for step in found["breaks"]["steps"]] == [(7, 1)]
    assert summary["persona"]["drift"]["all"] == found
    by_name = {one["metric"]: one for one in summary["aggregates"] if one["group"] == "all"}
    assert by_name["drift_break"]["value"] == pytest.approx(1 / 32)
    assert by_name["drift_probe_style_reference"]["value"] == pytest.approx(0.9)
    at = {one["group"]: one["value"] for one in summary["aggregates"] if one["metric"] == "drift_probe_style"}
    assert at["turn=08"] == pytest.approx(0.74)
    assert summary["persona"]["validated"] is False
    files = [folder / "summary.json", folder / "scores.jsonl"]
    before = [path.read_bytes() for path in files]
    score_run(folder)
    assert [path.read_bytes() for path in files] == before
    verdicts = Counter(line.record["verdict"] for line in iter_lines(folder / "scores.jsonl"))
    assert verdicts == {"in_character": ALL - 1, "persona_break": 1}


def test_the_scorecard_tells_and_draws_the_drift(suite: Suite, tmp_path: Path) -> None:
    from harness.report.scorecard_file import write_scorecard

    engine = Recorder(lambda prompt: f"style_{0.9 - 0.02 * int(prompt.sample.tags['turn']):.2f}")
    folder, _ = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    score_run(folder)
    card = write_scorecard(folder)
    assert card.scenario is not None
    # Two conversations that agree show no spread, so there is no interval and no verdict.
    assert (
        "too few conversations to tell a drift of the style, -2.0 points a turn" in card.scenario.sentences[0]
    )
    assert "0 of 2 conversations with a break" in card.scenario.sentences[0]
    assert [curve.points[0].value for curve in card.scenario.curves] == [pytest.approx(0.86)] * 2
    page = (folder / "scorecard.html").read_text(encoding="utf-8")
    assert 'id="drift-wide-t"' in page
    assert card.persona is not None
    assert card.persona.name == "Griff Tolliver", "not the characters that were not asked"
    assert "Griff Tolliver" in page
    assert "First events (Kaplan-Meier)" in page


def test_runs_whose_replies_differ_are_compared_although_their_prompts_do(
    suite: Suite, tmp_path: Path, in_process
) -> None:
    folders = []
    for name, text in (("short", "style_0.3"), ("long", "style_0.9 and many more words")):
        engine = Recorder(lambda prompt, text=text: answered(prompt, text, len(prompt.token_ids)))
        folder, _ = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path / name)
        score_run(folder)
        folders.append(folder)
    done = in_process("compare", *folders, "--json")
    assert done.exit_code == 0, done.err
    assert "drift_probe_style" in done.out


def test_each_repeat_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    """Of three repeats of each conversation the second one of d1 breaks at turn 7 and in its speech level from 9 on."""
    folder = copy_of_suite(
        "persona_drift", tmp_path, **{"max_new_tokens: 160": "max_new_tokens: 160, repeats: 3"}
    )

    def one_breaks(prompt: Prompt) -> str:
        tags = prompt.sample.tags
        turn = int(tags["turn"])
        planted = prompt.repeat == 1 and tags["conversation"] == f"{PERSONA}-d1" and tags["kind"] != "probe"
        style = 0.9 - (0.02 * turn if prompt.repeat == 1 else 0)
        broken = " fails:break" if planted and turn == 7 else ""
        return f"style_{style:.2f}{broken}" + (" fails:speech_level" if planted and turn >= 9 else "")

    engine = Recorder(one_breaks)
    plan = plan_of(load_suite(str(folder)), engine, persona=PERSONA, history="own")
    found = score_run(run(plan, engine, tmp_path)[0])["persona"]["drift"]["personas"][PERSONA]
    assert found["conversations"] == 6
    assert (found["breaks"]["n"], found["breaks"]["events"]) == (6, 1)
    assert [(step["turn"], step["at_risk"]) for step in found["breaks"]["steps"]] == [(7, 6)]
    assert (found["switch"]["switched"], found["switch"]["lasting"]) == (1, 1)
    slope = found["probes"]["own"]["slope"]
    assert slope["value"] == pytest.approx(-0.02 / 3)
    assert (slope["n"], slope["clusters"]) == (6, 2)
    held = {one["kind"]: one["turns"] for one in found["recovery"]}
    assert all(turns % 3 == 0 for turns in held.values())
    assert sum(held.values()) > 0


def test_a_reply_cut_at_the_budget_does_not_pass(suite: Suite, tmp_path: Path) -> None:
    def cut(prompt: Prompt) -> Generation:
        given = answered(prompt, "style_0.8")
        return replace(given, finish_reason="length") if prompt.sample.tags["turn"] == "03" else given

    engine = Recorder(cut)
    folder, _ = run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    found = score_run(folder)["persona"]["drift"]["personas"][PERSONA]["turns_passed"]["by_turn"]
    assert {turn for turn, one in found.items() if one["value"] < 1} == {"3"}


class RefusesSilence(PlainTokenizer):
    """A chat template that raises on an assistant turn without a word, as some templates do."""

    def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], **options: Any) -> str:
        if any(turn["role"] == "assistant" and not turn["content"] for turn in conversation):
            raise ValueError("assistant turns must have content")
        return super().apply_chat_template(conversation, **options)


def test_a_template_that_refuses_an_empty_reply_fails_that_conversation_only(
    suite: Suite, tmp_path: Path
) -> None:
    silent = f"{PERSONA}-d1/own/05"

    def reply(prompt: Prompt) -> str:
        return "" if prompt.sample.id == silent else said(prompt)

    def plan_for(engine: Recorder) -> RunPlan:
        return plan_by(Renderer(RefusesSilence(), Hermes()), suite, engine, persona=PERSONA)

    engine = Recorder(reply)
    folder, counts = run(plan_for(engine), engine, tmp_path)
    # Turn 6 is refused, and nothing after it is asked; the rest of the run is there.
    assert counts.errors == 1
    assert counts.generated == 32 + 8 + 6 + 2
    failures = [one for one in generations(folder) if one["status"] == "error"]
    assert [one["sample_id"] for one in failures] == [f"{PERSONA}-d1/own/06"]
    assert "assistant turns must have content" in failures[0]["error"]
    again = Recorder(reply)
    _, counts = run(plan_for(again), again, tmp_path, resume=folder)
    assert (counts.kept, counts.generated, counts.errors) == (32 + 8 + 5 + 2, 1, 1)
    assert again.asked == []
    assert score_run(folder)["counts"]["errors"] == 1


def test_a_turn_that_did_not_fit_is_not_taken_for_an_empty_reply(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(
        lambda prompt: failed(prompt, "too_long") if prompt.sample.id.endswith("d1/own/05") else said(prompt)
    )
    plan = plan_by(Renderer(RefusesSilence(), Hermes()), suite, engine, persona=PERSONA)
    folder, counts = run(plan, engine, tmp_path)
    assert (counts.generated, counts.errors) == (ALL, 0)
    status = Counter(one["status"] for one in generations(folder))
    assert status == {"too_long": 12 + 6, "ok": ALL - 18}


def test_a_template_that_takes_no_conversation_at_all_is_refused_at_once(
    suite: Suite, tmp_path: Path
) -> None:
    class RefusesAll(PlainTokenizer):
        def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], **options: Any) -> str:
            raise ValueError("no system turn")

    engine = Recorder(said)
    plan = plan_by(Renderer(RefusesAll(), Hermes()), suite, engine, persona=PERSONA)
    with pytest.raises(TemplateRefusal, match="no system turn"):
        run(plan, engine, tmp_path)
