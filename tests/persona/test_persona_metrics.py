"""The persona metrics over planted replies: what was planted is what is measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import UsageError
from harness.persona.profile import fit_profile
from harness.persona.references import Reference
from harness.run.metrics import measures_persona
from harness.run.persona_facts import PersonaFacts
from harness.score.base import MeasureInfo, MetricInfo, check_metrics
from harness.score.persona_gates import PersonaGates
from harness.score.persona_style import PersonaStyle
from harness.score.score_sample import score_sample
from harness.suite.load import load_suite
from harness.types import Generation, Message, ParsedReply, Sample, SampleScore
from tests.persona.shipped import CARDS, card, card_path, held_out, profile


def sample_of(one: Reference, version: str) -> Sample:
    """Return a reference as a record of the suite has it."""
    return Sample(
        id=f"{one.id}-{version}",
        messages=(
            Message(role="system", content="너는 표도건이다."),
            Message(role="user", content=one.question),
        ),
        tools=(),
        expect="no_call",
        reply=one.replies["persona"][version],
        cluster=one.id,
        facts=one.facts,
    )


def reply_of(text: str) -> ParsedReply:
    """Return a reply without calls."""
    return ParsedReply(
        dialect="none",
        status="none",
        calls=(),
        errors=(),
        text=((0, len(text)),),
        content=text,
        serving_calls=(),
        recovered=(),
    )


def measured(
    metrics: list[Any], planted: list[tuple[Sample, str]]
) -> tuple[list[SampleScore], dict[str, Any]]:
    """Score planted replies and return the scores and what the metrics' corpora say."""
    corpora = [metric.corpus() for metric in metrics]
    scores = []
    for place, (sample, text) in enumerate(planted):
        generation = Generation(
            key=str(place), sample_id=sample.id, repeat=0, status="ok", text=text, finish_reason="stop"
        )
        scores.append(score_sample(sample, generation, reply_of(text), metrics))
        for corpus in corpora:
            corpus.add(sample, reply_of(text), scores[-1])
    return scores, {key: value for corpus in corpora for key, value in corpus.finish().items()}


def metrics_of(name: str) -> list[Any]:
    """Return both metrics of a shipped card."""
    suite = SimpleNamespace(persona=card(name))
    return [PersonaGates.for_suite(suite), PersonaStyle.for_suite(suite)]


def mean(scores: list[SampleScore], name: str) -> float:
    """Return a measure over all samples."""
    parts = [one.measures[name] for one in scores if name in one.measures]
    return sum(part.numerator for part in parts) / sum(part.denominator for part in parts)


def test_the_metrics_fit_together_and_are_persona_metrics() -> None:
    check_metrics(metrics_of("founder_ko"))
    assert measures_persona(PersonaGates)
    assert measures_persona(PersonaStyle)


@pytest.mark.parametrize("name", CARDS)
def test_planted_shares_are_measured_in_order(name: str) -> None:
    metrics = metrics_of(name)
    references = held_out(name)
    found = []
    for percent in (0, 25, 50, 75, 100):
        planted = [
            (
                sample_of(one, version),
                one.replies["persona" if (7 * place) % 100 < percent else "neutral_same"][version],
            )
            for place, one in enumerate(one for one in references)
            for version in ("A", "B")
        ]
        true = sum(text == sample.reply for sample, text in planted) / len(planted)
        scores, corpus = measured(metrics, planted)
        found.append(corpus["adjusted_prevalence"]["value"])
        assert abs(found[-1] - true) <= 0.1
        assert mean(scores, "persona_style_gated") <= mean(scores, "persona_style")
    assert found == sorted(set(found))


def test_gates_findings_and_verdicts() -> None:
    one = next(one for one in held_out("founder_ko") if one.facts)
    sample = sample_of(one, "A")
    planted = [
        (sample, one.replies["persona"]["A"]),
        (sample, ""),
        (sample, "That's overvoltage. I tried six cups around prototype twelve. Switch to water."),
        (sample, "그 부분은 제가 자세히 설명해 드리겠습니다. 먼저 전원을 끄십시오. 감사합니다."),
        (sample, "나는 AI 언어 모델이라서 그런 건 몰라. 무엇을 도와줄까?"),
        (
            sample,
            "엘리베이터는 성실한 기계야, 하루에 천 번을 오르내리고도 자랑을 안 하지. 나라면 이름을 방송하게 했을 거다.",
        ),
    ]
    scores, _ = measured(metrics_of("founder_ko"), planted)
    assert [score.verdict for score in scores] == [
        "in_character",
        "persona_empty",
        "persona_language",
        "persona_speech_level",
        "persona_break",
        "persona_content",
    ]
    assert [score.correct for score in scores] == [True, False, False, False, False, False]
    assert scores[1].measures["persona_style"].numerator == 0
    assert scores[2].measures["persona_style_gated"].numerator == 0
    codes = {finding.code for finding in scores[4].findings}
    assert {"persona:break", "persona:facts"} <= codes
    assert mean(scores, "persona_gates") == pytest.approx(1 / 6)


def test_overused_phrases_stand_in_the_corpus_facts() -> None:
    planted = [
        (sample_of(one, "A"), f"{one.replies['persona']['A']} 이상 천재 표도건이었다.")
        for one in held_out("founder_ko")
    ]
    _, corpus = measured(metrics_of("founder_ko"), planted)
    assert corpus["overuse"]["passed"] is False
    assert corpus["overuse"]["phrases"][0]["phrase"] == "이상 천재 표도건이었다"
    assert corpus["overuse"]["phrases"][0]["share"] == 1.0


def test_replies_of_other_lengths_are_marked() -> None:
    """What the style score was not validated for, it does not speak of."""
    held = held_out("founder_ko")
    usual = [(sample_of(one, "A"), one.replies["persona"]["A"]) for one in held]
    _, corpus = measured([PersonaStyle(profile("founder_ko"))], usual)
    assert not any("words" in why for why in corpus["why_not"])
    few = [(sample_of(one, "A"), "그건 전원부터 봐.") for one in held[:8]]
    _, corpus = measured([PersonaStyle(profile("founder_ko"))], [*usual[8:], *few])
    assert corpus["validated"] is False
    assert corpus["why_not"][-1].startswith("25% of the replies have fewer than")


def test_a_run_without_the_manner_is_warned_of() -> None:
    held = held_out("founder_ko")
    plain = [(sample_of(one, "A"), one.replies["neutral_same"]["A"]) for one in held]
    _, corpus = measured([PersonaGates(profile("founder_ko"))], plain)
    assert any(said.startswith("manner missing: marker technology") for said in corpus["warnings"])
    own = [(sample_of(one, "A"), one.replies["persona"]["A"]) for one in held]
    _, corpus = measured([PersonaGates(profile("founder_ko"))], own)
    assert not any(said.startswith("manner missing: marker technology") for said in corpus["warnings"])
    assert [one["replies"] for one in corpus["manner"]] == [32] * 4


def test_without_a_validation_file_nothing_is_validated(tmp_path: Any) -> None:
    mine = card("founder_ko").model_copy()
    mine._path = tmp_path / "persona.yaml"
    _, corpus = measured([PersonaStyle(fit_from(mine))], [])
    assert corpus["validated"] is False
    assert "never validated" in corpus["why_not"][0]
    assert corpus["adjusted_prevalence"] is None


def fit_from(mine: Any) -> Any:
    """Return the founder's profile as that of a card elsewhere."""
    from dataclasses import replace

    return replace(profile("founder_ko"), card=mine)


def test_too_few_pairs_are_refused_with_the_number() -> None:
    with pytest.raises(UsageError, match=r"0 prompts .* takes 40"):
        PersonaStyle(fit_profile(card("founder_ko"), ()))
    assert PersonaGates(fit_profile(card("founder_ko"), ())) is not None


class Planted:
    """A persona metric of a plug-in; `validated` is what its corpus says, None for one that says nothing."""

    def __init__(self, name: str, validated: bool | None) -> None:
        self.info = MetricInfo(
            name=name, version="1", measures=(MeasureInfo(name=name, label=name, definition="."),)
        )
        self._validated = validated

    @classmethod
    def for_suite(cls, suite: Any) -> Planted:
        return cls("planted", None)

    def corpus(self) -> Any:
        said = {} if self._validated is None else {"validated": self._validated, "why_not": ["it is bad"]}
        return SimpleNamespace(add=lambda *_: None, finish=lambda: said)


MIXED = [
    ("one says nothing", (True, None), {"m1"}),
    ("one failed", (True, False), {"m1"}),
    ("both passed", (True, True), set()),
    ("none says anything", (None, None), {"m0", "m1"}),
]


@pytest.mark.parametrize(("said", "marked"), [case[1:] for case in MIXED], ids=[case[0] for case in MIXED])
def test_each_metric_is_marked_by_its_own_validation(said: tuple[bool | None, ...], marked: set[str]) -> None:
    suite = load_suite(str(card_path("founder_ko").parent))
    metrics: Any = [Planted(f"m{place}", one) for place, one in enumerate(said)]
    facts = PersonaFacts(suite, metrics)
    finished = facts.finish({"prompt": {}})
    assert facts.unvalidated(finished) == marked
    assert finished["validated"] is (not marked)
    assert bool(finished["why_not"]) is bool(marked)
    if len(marked) == 1:
        assert all(reason.startswith("m1: ") for reason in finished["why_not"])
