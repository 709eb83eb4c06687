"""The figures of a qualification against planted truth: AUC, kappa, threshold, corrected rate, families, cost."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.persona.judge.answers import JudgeAnswer, MemoryStore, make_request
from harness.persona.judge.checklist import ReplyVerdict, read_checklist
from harness.persona.judge.corrected_rate import corrected_rate
from harness.persona.judge.cost import Prices, estimate, tokens_of
from harness.persona.judge.endpoint import Endpoint
from harness.persona.judge.family import families_of, family_note
from harness.persona.judge.labels import Label, agreement, blind_name, form, read_labels
from harness.persona.judge.qualification import best_threshold, qualify
from harness.persona.judge.result import checklist_result
from harness.persona.judge.subject import Item, JudgedPersona, JudgedReply
from harness.persona.judge.trial import Trial
from harness.persona.kappa import kappa
from harness.persona.style.ranking import auc_with_interval as auc
from tests.persona.judge.stub_judge import verdicts


def answered(name: str, yes: int, of: int = 3) -> ReplyVerdict:
    return judged(name, [place < yes for place in range(of)])


def blank(name: str) -> ReplyVerdict:
    return read_checklist(PERSONA, JudgedReply(id=name, question="?", reply="", cluster=name), None)


def test_blank_replies_are_certain_and_need_no_correction() -> None:
    """Truth: 40 blank, 30 in character, 30 not. A judge with sensitivity .9 and specificity .8 accepts 27 + 6."""
    one = JudgedReply(id="", question="?", reply="some words", cluster="")
    tuning = tuple((replace(one, id=f"t{n}", cluster=f"t{n}"), n % 2 == 0) for n in range(20))
    held = tuple((replace(one, id=f"h{n}", cluster=f"h{n}"), n < 50) for n in range(100))
    said = {f"t{n}": answered(f"t{n}", 3 if n % 2 == 0 else 0) for n in range(20)}
    said |= {f"h{n}": answered(f"h{n}", 3 if (n < 45 if n < 50 else n >= 90) else 0) for n in range(100)}
    trial = Trial(tuning=tuning, held_out=held, probes=(), keys=(), pairs=())
    qualification = qualify(trial, said, missing_share=0.0)
    assert (qualification.sensitivity.value, qualification.specificity.value) == (0.9, 0.8)
    asked = [answered(f"r{n}", 3 if n < 33 else 0) for n in range(60)]
    found = checklist_result([*asked, *(blank(f"b{n}") for n in range(40))], qualification)
    alone = checklist_result(asked, qualification)
    assert found.corrected is not None
    assert alone.corrected is not None
    assert alone.corrected.value == pytest.approx(0.5)
    assert found.corrected.value == pytest.approx(0.3)
    assert found.corrected.low == pytest.approx(0.6 * alone.corrected.low)
    assert found.corrected.high == pytest.approx(0.6 * alone.corrected.high)
    assert found.corrected.raw == pytest.approx(0.33)


NAMES = [str(number) for number in range(400)]


def test_auc_by_hand() -> None:
    found = auc([("a", 0.9), ("b", 0.5), ("c", 0.5)], [("a", 0.5), ("b", 0.1)])
    # wins: .9 over both (2), each .5 over .1 (1) and even with .5 (.5): 5 of 6
    assert found.value == pytest.approx(5 / 6)


def test_auc_interval_covers_planted_truth() -> None:
    """Normal scores one standard deviation apart: AUC = Phi(1 / sqrt 2) = .760."""
    inside = 0
    for seed in range(40):
        draw = random.Random(seed)
        true = [(name, draw.gauss(1, 1)) for name in NAMES[:60]]
        found = auc(true, [(name, draw.gauss(0, 1)) for name in NAMES[:60]])
        inside += found.low <= 0.7602 <= found.high
    assert inside >= 35


def test_a_perfect_auc_on_few_clusters_has_a_wide_interval() -> None:
    found = auc([(name, 1.0) for name in NAMES[:8]], [(name, 0.0) for name in NAMES[:8]])
    assert found.value == found.high == 1.0
    assert found.low < 0.75


def test_auc_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        auc([("a", 1.0)], [])


@pytest.mark.parametrize(
    ("both_yes", "first_only", "second_only", "both_no", "expected"),
    [
        (20, 5, 10, 15, 0.4),  # the example of many textbooks: agreement .7, by chance .5
        (25, 0, 0, 25, 1.0),
        (0, 25, 25, 0, -1.0),
        (45, 15, 25, 15, 0.1304),
    ],
)
def test_kappa_by_hand(
    both_yes: int, first_only: int, second_only: int, both_no: int, expected: float
) -> None:
    pairs = (
        [(True, True)] * both_yes
        + [(True, False)] * first_only
        + [(False, True)] * second_only
        + [(False, False)] * both_no
    )
    assert kappa(pairs, NAMES[: len(pairs)]).value == pytest.approx(expected, abs=1e-4)


def test_kappa_of_raters_who_never_differ_is_not_defined() -> None:
    assert kappa([(True, True)] * 50, NAMES[:50]).value is None
    assert kappa([], []).value is None


@pytest.mark.parametrize("truth", [0.05, 0.3, 0.7, 0.95])
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.9, 0.8), (0.98, 0.97)])
def test_the_corrected_rate_covers_planted_truth(
    truth: float, sensitivity: float, specificity: float
) -> None:
    """The raw rate does not: it is off by the judge's errors."""
    draw = random.Random(11)

    def hits(n: int, p: float) -> float:
        return sum(draw.random() < p for _ in range(n)) / n

    inside = 0
    reported = truth * sensitivity + (1 - truth) * (1 - specificity)
    for _ in range(200):
        found = corrected_rate(hits(80, reported), 80, hits(48, sensitivity), 48, hits(48, specificity), 48)
        assert found is not None
        inside += found.low <= truth <= found.high
    assert inside >= 182


def test_the_corrected_rate_by_hand() -> None:
    found = corrected_rate(0.5, 100, 0.9, 50, 0.8, 50)
    assert found is not None
    assert found.value == pytest.approx((0.5 - 0.2) / 0.7)
    assert found.raw == 0.5


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.5, 0.5), (0.6, 0.6), (0.2, 0.3)])
def test_a_judge_that_knows_nothing_corrects_nothing(sensitivity: float, specificity: float) -> None:
    assert corrected_rate(0.5, 100, sensitivity, 50, specificity, 50) is None


@pytest.mark.parametrize(
    ("scored", "threshold"),
    [
        ([(0.9, True), (0.8, True), (0.3, False), (0.2, False)], 0.55),
        ([(0.9, True), (0.5, True), (0.6, False), (0.2, False)], 0.75),
        ([(0.9, True), (None, True), (0.1, False), (None, False)], 0.5),
        ([(0.5, True), (0.5, False)], 0.5),
        ([(0.9, True)], None),
        ([(None, True), (None, False)], None),
    ],
)
def test_the_threshold_that_tells_best(
    scored: list[tuple[float | None, bool]], threshold: float | None
) -> None:
    found = best_threshold(scored)
    assert found is None if threshold is None else found == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("Qwen/Qwen2.5-72B-Instruct", {"Qwen"}),
        ("beomi/Llama-3-Open-Ko-8B", {"Llama"}),
        ("gpt-4o-mini", {"GPT"}),
        ("o3-mini", {"GPT"}),
        ("proto3", set()),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {"DeepSeek", "Qwen"}),
        ("LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct", {"EXAONE"}),
        ("google/gemma-3-27b-it", {"Gemini and Gemma"}),
        ("upstage/SOLAR-10.7B", {"SOLAR"}),
        ("smollm2-135m", {"SmolLM"}),
        ("microsoft/phi-4", {"Phi"}),
        ("my-sapphire-model", set()),
        ("/models/judge", set()),
    ],
)
def test_families(name: str, families: set[str]) -> None:
    assert families_of(name) == families


def test_a_judge_of_the_tested_family_is_warned_of() -> None:
    assert "one family (Qwen)" in (family_note("qwen2.5-72b", "Qwen/Qwen2-7B") or "")
    assert family_note("gpt-4o", "Qwen/Qwen2-7B") is None
    assert "cannot be told" in (family_note("judge", "Qwen/Qwen2-7B") or "")


def test_tokens_are_estimated_by_characters() -> None:
    assert tokens_of("a" * 400) == 100
    assert tokens_of("가" * 120) == 100
    assert tokens_of("") == 0


def test_cost_counts_what_is_left_to_ask() -> None:
    place = Endpoint(base_url="http://127.0.0.1:1/v1", model="m", json_mode="none")
    made = [
        make_request(place, f"r{n}", (("user", "a" * 4000 + str(n % 3)),), {}, units=1, answer_tokens=100)
        for n in range(4)
    ]
    store = MemoryStore()
    store.put(
        JudgeAnswer(key=made[1].key, text="", cut=False, prompt_tokens=0, answer_tokens=0, served_model="")
    )
    found = estimate([(request, store) for request in made], Prices(prompt=2.0, answer=10.0))
    # r0 and r3 are one request, r1 is answered: r0 and r2 are left, 1,001 + 4 tokens each.
    assert (found.calls, found.kept, found.prompt_tokens, found.answer_tokens) == (2, 1, 2010, 200)
    assert found.money == pytest.approx((2010 * 2 + 200 * 10) / 1e6)
    assert estimate([(made[0], store)]).money is None


PERSONA = JudgedPersona(
    name="p",
    language="en",
    summary="s",
    traits={"wit": "w"},
    items=tuple(Item(id=f"wit.{n}", trait="wit", asks=f"Item {n}?") for n in (1, 2, 3)),
)


def judged(name: str, answers: list[bool]) -> ReplyVerdict:
    answer = JudgeAnswer(
        key="",
        text=verdicts("some words", answers),
        cut=False,
        prompt_tokens=0,
        answer_tokens=0,
        served_model="",
    )
    one = JudgedReply(id=name, question="?", reply="some words", cluster=name)
    return read_checklist(PERSONA, one, answer)


def test_planted_errors_against_people_are_measured() -> None:
    """A judge that misses a fifth of people's yes and invents a tenth of their no."""
    draw = random.Random(4)
    found, labels = {}, []
    for number in range(150):
        truth = [draw.random() < 0.5 for _ in range(3)]
        answers = [draw.random() < (0.8 if yes else 0.1) for yes in truth]
        found[f"r{number}"] = judged(f"r{number}", answers)
        labels += [
            Label(reply=f"r{number}", item=f"wit.{place}", yes=yes, rater="kim")
            for place, yes in enumerate(truth, start=1)
        ]
    measured = agreement(labels, found)
    for rate, planted in ((measured.sensitivity, 0.8), (measured.specificity, 0.9), (measured.kappa, 0.7)):
        assert rate.low is not None
        assert rate.high is not None
        assert rate.low <= planted <= rate.high
    assert (measured.kappa.n, measured.raters, measured.unused) == (450, 1, 0)


def test_labels_of_replies_that_were_not_judged_are_counted_and_unused() -> None:
    labels = [Label(reply=name, item="wit.1", yes=True, rater="") for name in ("here", "elsewhere")]
    measured = agreement(labels, {"here": judged("here", [True, True, True])})
    assert (measured.unused, measured.kappa.n) == (1, 0)


def test_two_raters_are_held_against_each_other() -> None:
    labels = [
        Label(reply=f"r{n}", item="wit.1", yes=yes, rater=rater)
        for n in range(40)
        for rater, yes in (("kim", n % 2 == 0), ("lee", n % 2 == 0 and n < 36))
    ]
    assert agreement(labels, {}).between_raters == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"reply": "a", "item": "wit.9", "label": "yes"}', "no item 'wit.9'"),
        ('{"reply": "a", "item": "wit.1", "label": "maybe"}', "label is 'maybe'"),
        ('{"reply": "a", "item": "wit.1", "label": true}', "label is True"),
        ('{"reply": "a", "item": "wit.1", "label": []}', "label is []"),
        ('{"reply": 1, "item": "wit.1", "label": "yes"}', "must be texts"),
        ('{"reply": "a", "item": "wit.1", "label": "yes", "raters": "x"}', "unknown key 'raters'"),
        ("[]", "must be a JSON object"),
        ("yes", "not valid JSON"),
        ('{"reply": "b", "item": "wit.1", "label": "no"}', "answered this item twice"),
    ],
)
def test_bad_labels_name_their_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"reply": "b", "item": "wit.1", "label": "yes"}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RecordError) as raised:
        read_labels(path, PERSONA, [])
    assert said in raised.value.one_message()
    assert "labels.jsonl:3" in raised.value.one_message()


def test_a_form_is_read_back_and_its_open_lines_count_for_nothing(tmp_path: Path) -> None:
    replies = [JudgedReply(id=f"r{n}", question="?", reply="x", cluster="c") for n in range(10)]
    lines = form(PERSONA, replies, 25)
    assert lines == form(PERSONA, list(reversed(replies)), 25), "the order of the run does not matter"
    named = [(line["reply"], line["item"]) for line in lines]
    assert len(set(named)) == 25
    assert {reply for reply, _ in named[:10]} == {blind_name(one.id) for one in replies}, (
        "each reply before any twice"
    )
    assert len(form(PERSONA, replies, 999)) == 30, "no more than there is to ask"
    assert form(PERSONA, [], 5) == []
    lines[0]["label"] = "yes"
    path = tmp_path / "form.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = read_labels(path, PERSONA, [one.id for one in replies])
    assert (len(found.answered), found.open) == (1, 24)
    assert blind_name(found.answered[0].reply) == lines[0]["reply"]
    assert found.answered[0].reply in {one.id for one in replies}


def test_a_form_does_not_say_which_replies_are_true() -> None:
    replies = [
        JudgedReply(id=f"q{n}/{kind}/A", question="?", reply="x", cluster="c")
        for n in range(10)
        for kind in ("persona", "neutral_same")
    ]
    written = json.dumps(form(PERSONA, replies, 60))
    assert "persona" not in written
    assert "neutral" not in written
    assert "q1" not in written


def test_a_reply_may_be_named_by_its_id_or_its_hash_but_not_twice(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    one = {"item": "wit.1", "label": "yes", "rater": "kim"}
    rows = [{**one, "reply": "q1/persona/A"}, {**one, "reply": blind_name("q1/persona/A")}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(RecordError, match="answered this item twice"):
        read_labels(path, PERSONA, ["q1/persona/A"])
