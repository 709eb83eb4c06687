"""A whole judging on the shipped founder, against a server on this machine: planted errors are found, bad judges named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from harness.errors import IncompleteRun, RunFolderError, UsageError
from harness.http.secret import Secret
from harness.persona.judge.endpoint import Endpoint, checked_endpoint
from harness.persona.judge.labels import Label
from harness.persona.judge.result import JudgeRow
from harness.persona.judge.trial import Trial
from harness.run.judge_answers import JsonlAnswers
from harness.run.judge_files import ANSWERS, JUDGE, VERDICTS, read_judge
from harness.run.judged_replies import read_replies
from harness.run.judging_plan import JudgingPlan, cost_of, plan_judging
from harness.run.persona_judging import JudgingOutcome, judge
from tests.persona.judge.judged_runs import founder, in_character, persona, small_trial, trial, write_replies
from tests.persona.judge.stub_judge import Asked, PlantedJudge, StubServer, serving, verdicts
from tests.planted_server import Reaction

pytestmark = pytest.mark.network

KEY = "sk-planted-" + "abcdef0123456789"


async def no_wait(seconds: float) -> None:
    """Wait for nothing."""


def plan(
    server: StubServer,
    tmp_path: Path,
    run: Path | None = None,
    base: Path | None = None,
    *,
    tried: Trial | None = None,
    **changes: Any,
) -> JudgingPlan:
    given = {"base_url": server.url, "model": "stub", "timeout_s": 20.0, "attempts": 2, **changes}
    return plan_judging(
        founder(),
        persona(),
        checked_endpoint(Endpoint(**given)),
        reports=tmp_path,
        trial=tried,
        run=read_replies(run, "founder_ko") if run is not None else None,
        base=read_replies(base, "founder_ko") if base is not None else None,
    )


def judged(
    react: Callable[[Asked], Reaction], tmp_path: Path, *runs: Path | None, **given: Any
) -> JudgingOutcome:
    asking = {name: given.pop(name) for name in ("max_missing", "labels", "tell") if name in given}
    with serving(react) as server:
        return judge(plan(server, tmp_path, *runs, **given), None, sleep=no_wait, **asking)


def row(outcome: JudgingOutcome, name: str) -> JudgeRow:
    return next(one for one in outcome.summary.rows if one.id == name)


def covers(found: JudgeRow, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def test_a_good_judge_is_qualified_and_its_numbers_are_right(tmp_path: Path) -> None:
    run, share = write_replies(tmp_path / "tuned", 0.7)
    base, base_share = write_replies(tmp_path / "base", 0.2)
    outcome = judged(PlantedJudge(in_character), tmp_path, run, base, tried=trial())
    assert outcome.summary.why_not == {"checklist": (), "pairwise": ()}
    assert (row(outcome, "auc").value or 0) > 0.98
    assert row(outcome, "run.accepted").value == pytest.approx(share, abs=0.03)
    assert row(outcome, "base.accepted").value == pytest.approx(base_share, abs=0.03)
    assert covers(row(outcome, "difference.accepted"), share - base_share)
    assert row(outcome, "pairs.consistency").value == 1.0
    assert all(one.believed for one in outcome.summary.rows)
    assert outcome.summary.missing == {}
    assert read_judge(run) == outcome.summary


@pytest.mark.parametrize(("misses", "false_alarms"), [(0.1, 0.05), (0.05, 0.2), (0.25, 0.1)])
def test_planted_error_rates_are_found_and_corrected(
    tmp_path: Path, misses: float, false_alarms: float
) -> None:
    """The raw rate is off by the judge's errors; the corrected one covers the truth, its interval is wider."""
    run, share = write_replies(tmp_path / "tuned", 0.6)
    outcome = judged(
        PlantedJudge(in_character, misses=misses, false_alarms=false_alarms), tmp_path, run, tried=trial()
    )
    assert covers(row(outcome, "sensitivity"), 1 - misses)
    assert covers(row(outcome, "specificity"), 1 - false_alarms)
    corrected, raw = row(outcome, "run.corrected"), row(outcome, "run.accepted")
    assert covers(corrected, share)
    assert corrected.high - corrected.low > raw.high - raw.low  # type: ignore[operator]


def test_a_planted_preference_for_the_first_place_is_found_and_marked(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.9)
    base, _ = write_replies(tmp_path / "base", 0.1)
    outcome = judged(PlantedJudge(in_character, prefers_first=0.5), tmp_path, run, base, tried=trial())
    assert covers(row(outcome, "pairs.first_preference"), 0.5)
    assert covers(row(outcome, "trial_first_preference"), 0.5)
    assert outcome.summary.believed("checklist")
    assert not outcome.summary.believed("pairwise")
    assert not row(outcome, "pairs.win_rate").believed
    assert row(outcome, "run.accepted").believed, "check-lists have no order"
    assert any("POSITION BIAS" in note for note in outcome.summary.notes)


def test_a_judge_that_always_prefers_the_first_moves_no_win_rate(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 1.0)
    base, _ = write_replies(tmp_path / "base", 0.0)
    outcome = judged(PlantedJudge(in_character, prefers_first=1.0), tmp_path, run, base, tried=small_trial())
    assert row(outcome, "pairs.win_rate").value == 0.5
    assert (row(outcome, "pairs.consistency").value, row(outcome, "pairs.first_preference").value) == (0, 1)
    assert any("no place preferred" in lack for lack in outcome.summary.why_not["pairwise"])


def yes_to_all(asked: Asked) -> Reaction:
    if len(asked.replies) == 1:
        return Reaction(verdicts(asked.replies[0], [True] * len(asked.items)))
    return Reaction(json.dumps({"why": "", "better": "A"}))


def test_a_judge_that_says_yes_to_everything_is_not_qualified(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    told: list[str] = []
    outcome = judged(yes_to_all, tmp_path, run, tell=told.append, tried=small_trial())
    lacks = " ".join(outcome.summary.why_not["checklist"])
    assert "AUC" in lacks
    assert "no reply without content accepted: accepted: " in lacks
    assert "colon" in lacks
    assert "empty" in lacks, "also where no true quotation can be given"
    assert not row(outcome, "run.accepted").believed
    assert "NOT QUALIFIED" in told[0]


def follows_orders(asked: Asked) -> Reaction:
    """Tell well, unless the reply says what to answer."""
    if len(asked.replies) == 1 and "심사자에게" in asked.replies[0]:
        return Reaction(verdicts(asked.replies[0], [True] * len(asked.items)))
    return PlantedJudge(in_character)(asked)


def test_a_judge_that_obeys_the_reply_is_not_qualified(tmp_path: Path) -> None:
    outcome = judged(follows_orders, tmp_path, tried=small_trial())
    assert outcome.summary.why_not["checklist"] == ("no reply without content accepted: accepted: order",)


def prose(asked: Asked) -> Reaction:
    return Reaction("이 답변은 인물답습니다. 모든 항목에 yes입니다.")


def test_a_judge_that_answers_prose_is_given_up_and_its_answers_are_kept(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with pytest.raises(IncompleteRun, match="prose instead of JSON"):
        judged(prose, tmp_path, run, tried=small_trial())
    assert not (run / JUDGE).exists(), "no number of a judging that was given up"
    (folder,) = (tmp_path / "judge").iterdir()
    assert len((folder / ANSWERS).read_text(encoding="utf-8").splitlines()) > 2


def test_prose_that_is_allowed_is_missing_and_never_a_verdict(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    outcome = judged(prose, tmp_path, run, max_missing=1.0, tried=small_trial())
    items = len(persona().items)
    assert outcome.summary.missing["no_json"] >= items * 48
    assert row(outcome, "run.score").value is None
    assert row(outcome, "run.score").n == 0
    assert not outcome.summary.believed("checklist")
    assert any("half of their items missing: 48" in note for note in outcome.summary.notes)


def invents_quotes(asked: Asked) -> Reaction:
    if len(asked.replies) == 1:
        return Reaction(verdicts(asked.replies[0], [True] * len(asked.items), quote="그런 말은 없다"))
    return PlantedJudge(in_character)(asked)


def test_quotations_that_are_not_there_are_missing(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with pytest.raises(IncompleteRun, match="the quotation is not in the reply"):
        judged(invents_quotes, tmp_path, run, tried=small_trial())
    outcome = judged(invents_quotes, tmp_path, run, max_missing=1.0, tried=small_trial())
    assert row(outcome, "run.score").value is None
    assert set(outcome.summary.missing) == {"false_quote"}
    stored = [json.loads(line) for line in (run / VERDICTS).read_text(encoding="utf-8").splitlines()]
    assert {item["yes"] for one in stored for item in one["items"]} == {None}
    assert {item["said"] for one in stored for item in one["items"]} == {True}


class Breaks:
    """Answers well after `good` answers have come: until then every third request fails in another way."""

    WAYS = (
        Reaction(status=500, raw=b"boom"),
        Reaction(reset=True),
        Reaction(raw=b"no json"),
        Reaction(status=429, headers={"Retry-After": "1"}, raw=b"{}"),
        Reaction("{}" * 500, cut=True),
    )

    def __init__(self) -> None:
        self.judge = PlantedJudge(in_character)
        self.calls = 0

    def __call__(self, asked: Asked) -> Reaction:
        self.calls += 1
        if self.calls % 3 == 0:
            return self.WAYS[self.calls // 3 % len(self.WAYS)]
        return self.judge(asked)


def test_a_server_that_stumbles_changes_no_number(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    smooth = judged(PlantedJudge(in_character), tmp_path / "a", run, tried=small_trial())
    (run / ANSWERS).unlink()
    stumbling = judged(Breaks(), tmp_path / "b", run, attempts=15, tried=small_trial())
    assert stumbling.summary.rows == smooth.summary.rows
    assert stumbling.summary.missing == {}


def test_an_interrupted_judging_goes_on_from_its_answers(tmp_path: Path) -> None:
    """Torn last line included; the second judging asks only for the rest and comes to the same numbers."""
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with serving(PlantedJudge(in_character)) as server:
        whole = plan(server, tmp_path, run, tried=small_trial())
        planned = cost_of(whole).calls
        first = judge(whole, None, sleep=no_wait)
        assert server.calls == planned == first.tally.asked
        answers = run / ANSWERS
        lines = answers.read_bytes().splitlines(keepends=True)
        answers.write_bytes(b"".join(lines[:20]) + lines[20][:30])
        assert cost_of(whole).calls == len(lines) - 20
        second = judge(whole, None, sleep=no_wait)
        assert server.calls == planned + len(lines) - 20
        assert second.summary == first.summary
        judge(whole, None, sleep=no_wait)
        assert server.calls == planned + len(lines) - 20, "nothing is left to ask"


def test_a_damaged_answer_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / ANSWERS
    good = {
        "v": 1,
        "key": "a",
        "text": "",
        "cut": False,
        "prompt_tokens": 0,
        "answer_tokens": 0,
        "served_model": "",
    }
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, "text": 5}) + "\n", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"judge-answers.jsonl:2"):
        JsonlAnswers(path)


def test_the_estimate_writes_and_asks_nothing(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    before = sorted(path.name for path in run.iterdir())
    with serving(PlantedJudge(in_character)) as server:
        made = plan(server, tmp_path, run, tried=trial())
        cost = cost_of(made)
        assert server.calls == 0
    # 8 tuning and 24 held-out questions with 4 replies each, 40 probes, 8 keys, 48 replies of the run.
    assert cost.calls == 32 * 4 + 40 + 8 + 48 - doubles(made)
    assert sorted(path.name for path in run.iterdir()) == before
    assert not (tmp_path / "judge").exists()


def doubles(made: JudgingPlan) -> int:
    keys = [request.key for request in (*made.trial_requests(), *made.run_requests())]
    return len(keys) - len(set(keys))


def test_without_a_trial_every_number_is_marked(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    outcome = judged(PlantedJudge(in_character), tmp_path, run, tried=None)
    assert "not tried" in outcome.summary.why_not["checklist"][0]
    assert not any(one.believed for one in outcome.summary.rows)
    assert not any(one.id.endswith(("accepted", "corrected")) for one in outcome.summary.rows), "no threshold"


def test_nothing_to_judge_is_refused(tmp_path: Path) -> None:
    with serving(prose) as server, pytest.raises(UsageError, match="nothing to judge"):
        plan(server, tmp_path, tried=None)


def test_people_decide_too(tmp_path: Path) -> None:
    """Labels as the judge says them, and turned round: kappa 1 and far below what is needed."""
    react = PlantedJudge(in_character)
    outcome = judged(react, tmp_path, tried=small_trial())
    stored = outcome.results.qualification
    assert stored is not None
    said = [
        Label(reply=one.id, item=item.id, yes=answer, rater="kim")
        for one, _ in small_trial().held_out[:8]
        for item, answer in zip(persona().items, answers_of(react, one.reply), strict=True)
    ]
    agreed = judged(react, tmp_path, labels=tuple(said), tried=small_trial())
    assert row(agreed, "kappa").value == 1.0
    assert agreed.summary.believed("checklist")
    turned = tuple(Label(reply=one.reply, item=one.item, yes=not one.yes, rater="lee") for one in said)
    opposed = judged(react, tmp_path, labels=turned, tried=small_trial())
    assert "Cohen's kappa" in " ".join(opposed.summary.why_not["checklist"])
    few = judged(react, tmp_path, labels=turned[:10], tried=small_trial())
    assert few.summary.believed("checklist"), "ten labels decide nothing"
    found = few.results.qualification
    assert found is not None
    assert [one.found for one in found.requirements if one.id == "people"] == ["10 usable labels, 50 needed"]


def answers_of(react: PlantedJudge, reply: str) -> list[bool]:
    answers = json.loads(react.check(reply, len(persona().items)))["answers"]
    return [one["answer"] == "yes" for one in answers]


def test_a_judge_of_the_tested_family_is_noted(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5, engine__model="Qwen/Qwen2-7B-Instruct")
    outcome = judged(
        PlantedJudge(in_character), tmp_path, run, model="qwen2.5-72b-instruct", tried=small_trial()
    )
    assert any("of one family (Qwen)" in note for note in outcome.summary.notes)


def test_blank_replies_score_0_and_an_incomplete_run_is_called_so(tmp_path: Path) -> None:
    from tests.unit.scored_runs import Planted, write_run

    samples = [
        Planted(id=f"s{n}", reply="" if n < 4 else "결론부터. 이거 사.", question="뭐 사?") for n in range(12)
    ]
    failed = Planted(id="lost", status="error", verdict="error")
    run = write_run(tmp_path / "tuned", [*samples, failed])
    outcome = judged(PlantedJudge(lambda reply: True), tmp_path, run, tried=None)
    notes = " ".join(outcome.summary.notes)
    assert "score 0 without a call: 4" in notes
    assert "run is INCOMPLETE" in notes
    assert "samples without an answer, in no number: 1" in notes
    assert row(outcome, "run.score").n == 12


def test_the_key_is_in_no_file(tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    echo = PlantedJudge(in_character)

    def react(asked: Asked) -> Reaction:
        reaction = echo(asked)
        return Reaction(reaction.text.replace('"why": "', f'"why": "{KEY} '))

    with serving(react) as server:
        judge(
            plan(server, tmp_path, run, run_copy(run, tmp_path), tried=small_trial()),
            Secret(KEY),
            sleep=no_wait,
        )
        assert set(server.authorizations) == {f"Bearer {KEY}"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 8
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path


def run_copy(run: Path, tmp_path: Path) -> Path:
    return write_replies(tmp_path / "base", 0.1)[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored.update(schema=99),
        lambda stored: stored.pop("summary"),
        lambda stored: stored["summary"].update(rows=[1]),
        lambda stored: stored["summary"]["rows"][0].update(value="high"),
        lambda stored: stored["summary"]["rows"][0].update(believed="yes"),
        lambda stored: stored["summary"].update(why_not={}),
        lambda stored: stored["summary"].update(notes=5),
    ],
)
def test_a_damaged_result_is_refused(tmp_path: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    assert read_judge(run) is None
    judged(PlantedJudge(in_character), tmp_path, run, tried=None)
    stored = json.loads((run / JUDGE).read_text(encoding="utf-8"))
    damage(stored)
    (run / JUDGE).write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(RunFolderError):
        read_judge(run)
