"""Scenario files are read strictly: what is wrong is named with file and line, before anything runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.suite.load import load_suite
from tests.persona.scripted_runs import ROOT

Change = Callable[[list[dict[str, Any]]], object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(ROOT / "suites", folder / "suites")
    shutil.copytree(ROOT / "datasets" / "persona", folder / "datasets" / "persona")
    return folder


def refused(world: Path, suite: str, file: str, change: Change) -> str:
    """Return what is said of a suite with one file changed; the file is put back."""
    path = world / "datasets" / "persona" / file
    before = path.read_bytes()
    records = [json.loads(line) for line in before.decode().splitlines()]
    change(records)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
    try:
        with pytest.raises(HarnessError) as caught:
            load_suite(str(world / "suites" / suite))
        return caught.value.one_message()
    finally:
        path.write_bytes(before)


CONVERSATIONS, PROBES = "drift/conversations.jsonl", "drift/probes.jsonl"
AFTER, CONDITIONS = "tools/after.jsonl", "tools/conditions.jsonl"


@pytest.mark.parametrize(
    ("suite", "file", "change", "said"),
    [
        ("persona_drift", CONVERSATIONS, lambda r: r[0].pop("forks"), "'forks' is missing"),
        ("persona_drift", CONVERSATIONS, lambda r: r[0].update(mood="good"), "unknown key 'mood'"),
        ("persona_drift", CONVERSATIONS, lambda r: r[0]["turns"].pop(3), "numbered 1, 2, 3"),
        ("persona_drift", CONVERSATIONS, lambda r: r[0]["turns"][2].update(user=" "), "user must be text"),
        ("persona_drift", CONVERSATIONS, lambda r: r[0]["forks"][0].update(probe="founder_ko-p99"), "unknown probe"),
        ("persona_drift", CONVERSATIONS, lambda r: r[0]["forks"][0].update(probe="librarian_ko-p1"), "is of 'librarian_ko'"),
        ("persona_drift", CONVERSATIONS, lambda r: r[0]["forks"][0].update(after=17), "does not exist"),
        ("persona_drift", CONVERSATIONS, lambda r: r[1].update(id=r[0]["id"]), "stands twice"),
        ("persona_drift", CONVERSATIONS, lambda r: [one.update(persona="nobody") for one in r], "no conversation is of"),
        ("persona_drift", PROBES, lambda r: r[0].update(checks="language"), "list of texts"),
        ("persona_drift", PROBES, lambda r: r[0].update(facts=[{"all": ["x"]}]), "facts[0]"),
        ("persona_drift", PROBES, lambda r: r[0].update(checks=["langauge"]), "unknown check 'langauge'"),
        ("persona_tools", AFTER, lambda r: r[0].update(record="persona-tools-99"), "there is no task"),
        ("persona_tools", AFTER, lambda r: r[1].update(record=r[0]["record"]), "two endings"),
        ("persona_tools", AFTER, lambda r: r[0]["results"][0].update(name="set_alarm"), "those of the expected calls"),
        ("persona_tools", AFTER, lambda r: r[0].update(replies=["x"]), "replies must be an object"),
        ("persona_tools", CONDITIONS, lambda r: r.pop(0), "no neutral system prompt"),
        ("persona_tools", CONDITIONS, lambda r: r[1].update(system=""), "system must be text"),
    ],
)  # fmt: skip
def test_bad_files_are_named(world: Path, suite: str, file: str, change: Change, said: str) -> None:
    message = refused(world, suite, file, change)
    assert said in message
    assert Path(file).name in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: persona_drift", "kind: persona_drifting", "persona_drifting"),
        ("../persona/founder_ko,", "../persona/founder_ko, ../persona/founder_ko,", "stands twice"),
        ("history: [own, reference]", "history: [own, mine]", "history"),
        ("scenario:", "persona: ../persona/founder_ko/persona.yaml\nscenario:", "names its personas itself"),
        ("../persona/founder_ko,", "../persona/nobody,", "no such file"),
    ],
)
def test_bad_scenarios_are_named(world: Path, old: str, new: str, said: str) -> None:
    path = world / "suites" / "persona_drift" / "suite.yaml"
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new, 1), encoding="utf-8")
    try:
        with pytest.raises(HarnessError) as caught:
            load_suite(str(path.parent))
        assert said in caught.value.one_message()
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_character_without_a_prompt_of_its_own_is_asked_under_its_card(world: Path) -> None:
    path = world / "datasets" / "persona" / CONDITIONS
    before = path.read_bytes()
    path.write_bytes(b"".join(line for line in before.splitlines(keepends=True) if b"founder_ko" not in line))
    try:
        suite = load_suite(str(world / "suites" / "persona_tools"))
    finally:
        path.write_bytes(before)
    assert suite.scenario is not None
    card = suite.scenario.cards["founder_ko"]
    for located in suite.samples():
        if located.sample.persona == "founder_ko":
            persona = located.sample.tags["condition"] == "persona"
            expected = card.system_prompt if persona else card.neutral_system_prompt
            assert located.sample.messages[0].content == expected


def test_a_changed_card_is_another_suite(world: Path) -> None:
    folder = str(world / "suites" / "persona_drift")
    card = world / "suites" / "persona" / "founder_ko" / "persona.yaml"
    before = card.read_text(encoding="utf-8")
    first = load_suite(folder).sha256
    card.write_text(before + "# changed\n", encoding="utf-8")
    try:
        assert load_suite(folder).sha256 != first
    finally:
        card.write_text(before, encoding="utf-8")
    assert load_suite(folder).sha256 == first


def test_chat_prompts_are_of_the_split_that_is_measured(world: Path) -> None:
    tasks = world / "datasets" / "persona" / "tools"
    shutil.copy(tasks / "test.jsonl", tasks / "validation.jsonl")
    try:
        asked = {
            split: {
                located.sample.messages[-1].content
                for located in load_suite(str(world / "suites" / "persona_tools"), split=split).samples()
                if located.sample.tags["side"] == "chat"
            }
            for split in ("test", "validation")
        }
    finally:
        (tasks / "validation.jsonl").unlink()
    for split, questions in asked.items():
        written = set()
        for name in ("founder_ko", "librarian_ko"):
            path = world / "datasets" / "persona" / name / f"{split}.jsonl"
            lines = path.read_text(encoding="utf-8").splitlines()
            written |= {json.loads(line)["messages"][0]["content"] for line in lines}
        assert questions == written, split
