"""The fitted profile and the judgement of single replies, on the shipped characters and on cards that lack something."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.fingerprint import sha256_of
from harness.persona import degeneration, language, persona_break, refusal, speech_level
from harness.persona.check import CHECK_NAMES
from harness.persona.content import check_content
from harness.persona.fluency import check_fluency
from harness.persona.judgement import Asked, judge_reply
from harness.persona.memorisation import check_memorisation
from harness.persona.profile import fit_profile, style_examples
from harness.persona.references import Reference, load_probes, load_references
from harness.persona.style import classifier
from harness.persona.style.examples import shortened
from harness.persona.style.ranking import auc_with_interval
from harness.persona.validation_checks import judged_probes
from tests.persona.shipped import CARDS, ROOT, card, held_out, profile

VERSIONED = (classifier, degeneration, language, persona_break, refusal, speech_level)
ALL_CAUGHT = (
    "catchphrase_stuffing",
    "catchphrase_stuffing_x3",
    "wrong_language",
    "chinese_clause",
    "mixed_language",
    "japanese_clause",
    "korean_clause",
    "off_topic",
)


@pytest.mark.parametrize("name", CARDS)
def test_held_out_replies_rank_above_neutral_ones_at_the_same_level(name: str) -> None:
    style = profile(name).style
    assert style is not None
    examples = style_examples(held_out(name))
    scores = {
        kind: [(one.group, style.decision(one.reply)) for one in examples if one.kind == kind]
        for kind in ("persona", "neutral_same")
    }
    found = auc_with_interval(scores["persona"], scores["neutral_same"])
    assert found.value >= 0.95
    assert found.low >= 0.9


@pytest.mark.parametrize("name", CARDS)
def test_probes_are_judged_as_expected(name: str) -> None:
    verdicts = judged_probes(profile(name), load_probes(card(name)))
    assert len(verdicts) == 40
    assert sum(one.as_expected for one in verdicts) >= 37
    assert all(one.failed for one in verdicts if one.probe.kind in ALL_CAUGHT)
    assert [one.probe.id for one in verdicts if one.probe.verdict == "accept" and one.failed] == []


@pytest.mark.parametrize("name", CARDS)
def test_most_held_out_replies_are_accepted(name: str) -> None:
    accepted = [
        judge_reply(
            profile(name), Asked(question=one.question, facts=one.facts, is_reference=True), reply
        ).accepted
        for one in held_out(name)
        for reply in one.replies["persona"].values()
    ]
    assert len(accepted) == 64
    assert sum(accepted) >= 54


@pytest.mark.parametrize("name", CARDS)
def test_a_verbatim_reply_of_any_split_is_a_copy(name: str) -> None:
    """An adapter may have been trained on the whole file."""
    training = profile(name).training
    assert all(
        check_memorisation(reply, training).passed is False
        for one in held_out(name)
        for reply in one.replies["persona"].values()
    )


TERSE = (
    "Yes.",
    "It costs about ten dollars.",
    "Take the second bus.",
    "Water boils at 100 degrees.",
    "Turn it off first.",
    "The store opens at nine.",
    "Use a lid. It boils sooner.",
    "Try the other cable.",
    "Call them on Monday.",
    "There are seven of them.",
)


def test_shortness_is_no_character() -> None:
    """The founder is terse: neutral replies of a sentence or two must not pass for his."""
    style = profile("founder_en").style
    assert style is not None
    examples = style_examples(held_out("founder_en"))
    cut = [one for one in shortened(examples, from_start=True) if one.kind == "neutral_same"]
    assert len(cut) > 100
    assert sum(style.probability(one.reply) >= 0.5 for one in cut) <= 0.2 * len(cut)
    # Lines on other subjects, far shorter than what was validated: a run of them is marked, too.
    assert sum(style.probability(reply) >= 0.5 for reply in TERSE) <= 0.4 * len(TERSE)


@pytest.mark.parametrize("name", CARDS)
def test_short_replies_to_the_point_are_not_called_off_topic(name: str) -> None:
    found = profile(name).content
    for one in held_out(name)[:10]:
        for reply in ("응.", "Yes.", "음, 그래.", "Sure, why not."):
            assert check_content(reply, one.question, (), (), found).passed is not False


def test_a_reference_is_no_key_to_itself() -> None:
    one = held_out("founder_en")[0]
    reply = one.replies["persona"]["A"]
    model = profile("founder_en").content
    other = check_content(reply, one.question, (), (), model, but_itself=True)
    assert other.values["overlap"] < check_content(reply, one.question, (), (), model).values["overlap"]
    assert other.passed is True


@pytest.mark.parametrize("name", CARDS)
def test_replies_to_other_questions_are_off_topic(name: str) -> None:
    references = held_out(name)
    caught = [
        check_content(reply, other.question, (), (), profile(name).content).passed is False
        for place, one in enumerate(references)
        for other in [references[(place + 5) % len(references)]]
        for reply in one.replies["persona"].values()
    ]
    assert sum(caught) / len(caught) >= 0.95


def test_shuffled_replies_are_flagged() -> None:
    draw = random.Random(4)
    fluency = profile("founder_ko").fluency
    flagged = []
    for one in held_out("founder_ko"):
        for reply in one.replies["persona"].values():
            words = reply.split()
            draw.shuffle(words)
            flagged.append(check_fluency(" ".join(words), fluency).passed is False)
    assert sum(flagged) / len(flagged) >= 0.75


def test_the_same_references_give_the_same_bits() -> None:
    first = profile("founder_en")
    keys = held_out("founder_en")
    again = fit_profile(card("founder_en"), load_references(card("founder_en")), answer_keys=keys)
    assert again.identity != ""
    assert first.style is not None
    assert again.style is not None
    assert again.style.calibrations == first.style.calibrations
    for one in keys:
        for reply in one.replies["persona"].values():
            asked = Asked(question=one.question, facts=one.facts)
            assert judge_reply(again, asked, reply) == judge_reply(first, asked, reply)


def test_identity_follows_what_could_change_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    references = load_references(card("founder_en"))
    first = fit_profile(card("founder_en"), references[:10])
    assert fit_profile(card("founder_en"), references[:10]).identity == first.identity
    assert fit_profile(card("founder_en"), references[:9]).identity != first.identity
    probes = load_probes(card("founder_en"))
    tried = fit_profile(card("founder_en"), references[:10], probes=probes)
    assert tried.identity != first.identity
    fewer = fit_profile(card("founder_en"), references[:10], probes=probes[1:])
    assert fewer.identity not in (tried.identity, first.identity)
    for module in VERSIONED:
        monkeypatch.setattr(module, "VERSION", "another")
        assert fit_profile(card("founder_en"), references[:10]).identity != first.identity, module.__name__
        monkeypatch.undo()


def test_every_check_is_there_and_says_why_it_cannot_be_told() -> None:
    found = judge_reply(profile("founder_ko"), Asked(question="새로운 질문이야?"), "그래, 전원부터 넣자.")
    assert {one.check for one in found.checks} == set(CHECK_NAMES)
    assert found["content"].passed is None
    assert "reference" in (found["content"].why_not or "")
    assert found["facts"].passed is None


def test_an_empty_reply_has_no_style() -> None:
    found = judge_reply(profile("founder_ko"), Asked(question="뭐 해?"), " … ")
    assert (found.style, found.accepted, found.gate_passed, found.failed_gate) == (0.0, False, False, "empty")


def test_no_references_leaves_layer_a() -> None:
    found = fit_profile(card("founder_ko"), ())
    judged = judge_reply(found, Asked(question="뭐 해?", reference="납땜한다."), "그건 machine learning이지.")
    assert judged.style is None
    assert "0 prompts" in (judged["style"].why_not or "")
    assert [
        name for name in ("fluency", "memorisation", "content", "style") if judged[name].passed is not None
    ] == []
    assert judged["language"].passed is True
    assert judge_reply(found, Asked(question="뭐 해?"), "그 문제는 非常简单 합니다").failed_gate == "language"


def test_39_pairs_are_too_few_and_40_enough() -> None:
    references = load_references(card("founder_ko"))
    few = fit_profile(card("founder_ko"), references[:39])
    assert few.style is None
    assert few.style_why_not is not None
    assert "39 prompts" in few.style_why_not
    assert "takes 40" in few.style_why_not
    assert fit_profile(card("founder_ko"), references[:40]).style is not None


def test_replies_without_neutral_ones_give_no_style_but_the_rest() -> None:
    bare = [
        replace(one, replies={"persona": one.replies["persona"]})
        for one in load_references(card("founder_en"))
    ]
    found = fit_profile(card("founder_en"), bare)
    assert found.style is None
    assert found.length is not None
    assert found.fluency is not None
    reply = bare[3].replies["persona"]["A"]
    assert judge_reply(found, Asked(question=bare[3].question), reply)["memorisation"].passed is False


def test_a_few_pairs_among_many_bare_replies_are_all_used() -> None:
    references = load_references(card("founder_en"))
    bare = [
        replace(
            one,
            id=f"bare-{n}-{one.id}",
            cluster=f"bare-{n}-{one.id}",
            question=f"{one.question} {n}?",
            replies={"persona": {"A": f"{one.replies['persona']['A']} Take {n}."}},
        )
        for n in range(14)
        for one in references
    ]
    found = fit_profile(card("founder_en"), [*bare, *references])
    assert found.pairs == 48
    assert found.style is not None
    assert profile("founder_en").style is not None
    assert found.style.calibrations == profile("founder_en").style.calibrations  # type: ignore[union-attr]


def test_copies_of_one_pair_are_one_pair() -> None:
    one = load_references(card("founder_en"))[0]
    copies = [replace(one, id=f"copy-{n}", cluster=f"copy-{n}") for n in range(45)]
    found = fit_profile(card("founder_en"), copies)
    assert found.style is None
    assert "near copies" in (found.style_why_not or "")


def test_a_card_of_another_kind_with_60_pairs_works() -> None:
    """A polite registrar and her plain double: other words, other level, one version each, nothing else given."""
    subjects = [f"{thing} {n}호" for n in range(12) for thing in ("장부", "도장", "창구", "서류", "번호표")]
    ends = (
        "정확히 적어 두었습니다",
        "두 번 확인했습니다",
        "순서대로 처리하겠습니다",
        "도장까지 찍어 두었습니다",
    )
    references = [
        Reference(
            id=f"r{n}",
            question=f"{subject} 어디에 있나요?",
            category="",
            kind="",
            facts=(),
            replies={
                "persona": {
                    "A": f"{subject}, 기록상 {n}번 서랍입니다. {ends[n % 4]}, 이의는 서면으로 받습니다."
                },
                "neutral_same": {
                    "A": f"{subject}는 {n}번 서랍에 있습니다. 필요하시면 꺼내 드릴 수 있습니다."
                },
            },
            cluster=f"r{n}",
        )
        for n, subject in enumerate(subjects)
    ]
    plain = card("founder_ko").model_dump(by_alias=True)
    plain |= {"name": "registrar", "markers": [], "length": None, "names_to_mask": []}
    plain["speech_levels"] = {"allowed": ["hapsyo"]}
    mine = type(card("founder_ko")).model_validate(plain)
    found = fit_profile(mine, references)
    if found.style is None:
        assert "near copies" in (found.style_why_not or "")
    else:
        assert found.style.probability("기록상 없습니다. 두 번 확인했습니다, 이의는 서면으로 받습니다.") > 0.5
    judged = judge_reply(
        found,
        Asked(question="장부 3호 어디에 있나요?"),
        "장부 3호, 기록상 여기입니다. 이의는 서면으로 받습니다.",
    )
    assert judged["caricature"].passed is None
    assert judged["speech_level"].passed is True


HOSTILE = [
    "표도건",
    "회로 ",
    "울보",
    "\ud800",
    "\x00",
    "\u200b",
    "가" * 50,
    "1" * 50,
    "만 ",
    ". ",
    "!",
    "```",
    "{",
    "<tool_call>",
    "\n",
    "a ",
    " ",
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), max_size=30).map("".join))
def test_no_reply_makes_the_judgement_fail_or_change(reply: str) -> None:
    asked = Asked(question="리튬이온 배터리를 몇 퍼센트로 보관해?", facts=(("50",),))
    found = judge_reply(profile("founder_ko"), asked, reply)
    assert found == judge_reply(profile("founder_ko"), asked, reply)
    assert found.style is not None
    assert 0 <= found.style <= 1


def test_a_megabyte_is_read_in_bounded_time() -> None:
    asked = Asked(question="뭐 해?", facts=(("50",),))
    for piece in ("회로", "가", "a", "회로 전원 ", "만 ", "나는 ", "1", "- "):
        judge_reply(profile("founder_ko"), asked, piece * (1_000_000 // len(piece)))


DIGEST = """
import sys
from tests.persona.test_persona_profile import digest
sys.stdout.write(digest("founder_en"))
"""


def digest(name: str) -> str:
    """Return a hash of every figure of every judgement of the held-out replies."""
    fitted = profile(name)
    told = [
        [[check.check, check.passed, dict(check.values)] for check in judged.checks]
        for one in held_out(name)
        for reply in one.replies["neutral_same"].values()
        for judged in [judge_reply(fitted, Asked(question=one.question, facts=one.facts), reply)]
    ]
    return sha256_of([fitted.identity, repr(told)])


def test_another_process_with_other_hashes_and_threads_gives_the_same_bits() -> None:
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", DIGEST],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == digest("founder_en")
