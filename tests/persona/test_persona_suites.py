"""Which prompt a persona is asked under: one place, part of the plan, and never mixed in a comparison."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import SpecError, UsageError
from harness.persona.card import load_card
from harness.persona.masking import mask_names, neutral_names
from harness.persona.style.features import names_pattern, plain_text
from harness.persona.system_prompt import system_prompt_of
from harness.run.metrics import metrics_of
from harness.suite.load import Suite, load_suite
from harness.types import Message, Sample

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "suites" / "persona"
NAMES = ("founder_ko", "librarian_ko", "founder_en")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of the Korean founder's suite whose metrics need no persona."""
    shutil.copytree(SHIPPED / "founder_ko", tmp_path / "suites" / "persona" / "founder_ko")
    shutil.copytree(
        ROOT / "datasets" / "persona" / "founder_ko", tmp_path / "datasets" / "persona" / "founder_ko"
    )
    suite = tmp_path / "suites" / "persona" / "founder_ko" / "suite.yaml"
    lines = suite.read_text(encoding="utf-8").splitlines()
    lines = ["metrics: [hallucination_rate]" if line.startswith("metrics:") else line for line in lines]
    suite.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return suite.parent


def first(suite: Suite) -> Sample:
    return next(iter(suite.samples())).sample


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_suites_ask_under_the_cards_prompt(name: str) -> None:
    suite = load_suite(str(SHIPPED / name))
    card = load_card(SHIPPED / name)
    samples = [located.sample for located in suite.samples()]
    assert len(samples) == 24
    for sample in samples:
        assert [message.role for message in sample.messages] == ["system", "user"]
        assert sample.messages[0].content == card.system_prompt.strip()
        assert sample.persona == name


@pytest.mark.parametrize(
    ("condition", "roles"),
    [("persona", ["system", "user"]), ("neutral", ["system", "user"]), ("none", ["user"])],
)
def test_the_condition_decides_the_prompt(workspace: Path, condition: str, roles: list[str]) -> None:
    suite = load_suite(str(workspace), system_prompt=condition)
    assert [message.role for message in first(suite).messages] == roles
    assert suite.system_prompt is not None
    assert suite.system_prompt.identity()["system_prompt"] == condition


def test_the_suite_names_its_own_condition(workspace: Path) -> None:
    path = workspace / "suite.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("system_prompt: persona", "system_prompt: none ")
    )
    assert [message.role for message in first(load_suite(str(workspace))).messages] == ["user"]
    # The command line is asked last, so it wins.
    assert len(first(load_suite(str(workspace), system_prompt="neutral")).messages) == 2


def test_a_system_turn_of_the_record_follows_in_the_same_turn() -> None:
    card = load_card(SHIPPED / "founder_en")
    own = (Message(role="system", content="It is Monday."), Message(role="user", content="Hi."))
    asked = system_prompt_of(card, "persona").before(Sample(id="x", messages=own, tools=(), expect="no_call"))
    assert [message.role for message in asked.messages] == ["system", "user"]
    assert asked.messages[0].content == f"{card.system_prompt.strip()}\n\nIt is Monday."


def test_masked_names_stand_nowhere(workspace: Path) -> None:
    suite = load_suite(str(workspace), mask_name=True)
    card = load_card(workspace)
    for located in suite.samples():
        text = "\n".join(message.content for message in located.sample.messages)
        assert not [name for name in card.names_to_mask if name in text]
    prompt = first(suite).messages[0].content
    # The particles still fit: 김민준 ends in a consonant as 표도건 does, 누리 and 하나 in a vowel as 단번전자 and 울보 do.
    assert prompt.startswith("너는 김민준이다. 작은 하드웨어 회사 하나를 차린 창업자이고")
    assert "누리" in prompt
    assert len(set(neutral_names(card).values())) == 3


def test_a_latin_name_is_masked_as_a_word() -> None:
    names = neutral_names(load_card(SHIPPED / "founder_en"))
    assert (
        mask_names("Griff and Griffin, Griff's Crybaby", names)
        == f"Alex and Griffin, Alex's {names['Crybaby']}"
    )


@pytest.mark.parametrize(
    ("text", "names", "hidden"),
    [
        ("weather, Theo, other", ["The"], "weather, theo, other"),
        ("Griff's griffin, GRIFF", ["Griff"], "○'s griffin, ○"),
        ("Griff는 간다", ["Griff"], "○는 간다"),
        ("표도건이 왔다. 도건은 갔다", ["표도건", "도건"], "○이 왔다. ○은 갔다"),
        ("Émile, Émilee, Émileé", ["Émile"], "○, émilee, émileé"),
        ("Tony the Tiger and Tony", ["Tony", "Tony the Tiger"], "○ and ○"),
    ],
)
def test_the_style_score_does_not_see_names_and_sees_words_that_hold_them(
    text: str, names: list[str], hidden: str
) -> None:
    card = load_card(SHIPPED / "founder_en").model_copy(update={"names_to_mask": tuple(names)})
    assert plain_text(text, names_pattern(card)) == hidden


def test_what_was_asked_stands_in_the_plan_and_tells_two_runs_apart(workspace: Path) -> None:
    found = [
        load_suite(str(workspace), system_prompt=condition, mask_name=mask).system_prompt
        for condition, mask in (("persona", False), ("neutral", False), ("none", False), ("persona", True))
    ]
    identities = [str(one.identity()) for one in found if one is not None]
    assert len(set(identities)) == 4


def test_card_and_references_are_part_of_the_suites_hash(workspace: Path) -> None:
    seen = {load_suite(str(workspace)).sha256}
    card = workspace / "persona.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace("[0.0, 8.9]", "[0.0, 9.0]"), encoding="utf-8")
    seen.add(load_suite(str(workspace)).sha256)
    train = workspace.parents[2] / "datasets" / "persona" / "founder_ko" / "train.jsonl"
    train.write_text(train.read_text(encoding="utf-8").replace("월요일", "화요일"), encoding="utf-8")
    seen.add(load_suite(str(workspace)).sha256)
    assert len(seen) == 3


REFUSED = [
    ("a prompt without a card", {"persona: persona.yaml": "# none"}, "there is no key 'persona'"),
    ("a card that is not there", {"persona: persona.yaml": "persona: other.yaml"}, "no such file"),
    (
        "another condition",
        {"system_prompt: persona": "system_prompt: persone"},
        "'persona', 'neutral' or 'none'",
    ),
]


@pytest.mark.parametrize(
    ("change", "what"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_bad_suite_is_refused(workspace: Path, change: dict[str, str], what: str) -> None:
    path = workspace / "suite.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as refused:
        load_suite(str(workspace))
    assert what in refused.value.one_message()


def test_a_suite_without_persona_takes_no_prompt() -> None:
    for options in ({"system_prompt": "none"}, {"mask_name": True}):
        with pytest.raises(UsageError, match="needs a persona"):
            load_suite(str(ROOT / "suites" / "_smoke"), **options)


def test_a_neutral_prompt_that_is_not_there_is_refused(workspace: Path) -> None:
    card = workspace / "persona.yaml"
    lines = card.read_text(encoding="utf-8").splitlines()
    card.write_text(
        "\n".join(line for line in lines if not line.startswith("neutral_system_prompt")), encoding="utf-8"
    )
    load_suite(str(workspace))
    with pytest.raises(SpecError, match="has no neutral_system_prompt"):
        load_suite(str(workspace), system_prompt="neutral")


def test_a_persona_metric_needs_a_persona(workspace: Path) -> None:
    path = workspace / "suite.yaml"
    text = path.read_text(encoding="utf-8").replace("[hallucination_rate]", "[persona_gates]")
    text = text.replace("persona: persona.yaml", "# no card").replace("system_prompt: persona", "# no prompt")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="'persona_gates' measures a persona, and the suite names none"):
        metrics_of(load_suite(str(workspace)))
