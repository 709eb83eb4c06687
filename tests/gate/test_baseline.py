"""Baseline files: what is kept reads back, what was changed by hand or made elsewhere is refused by name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, SpecError, UsageError
from harness.fingerprint import sha256_of
from harness.gate.baseline import (
    Baseline,
    baseline_of_run,
    baseline_text,
    check_same_samples,
    read_baseline,
    write_baseline,
)
from harness.gate.identity import Identity, identity_of
from harness.gate.outcomes import Outcome, Outcomes, read_outcomes
from harness.log.reader import RunFolder
from tests.gate.conftest import World

IDENTITY = Identity(
    suite="lamps",
    version="1.0.0",
    split="test",
    dataset_sha256="ab" * 32,
    prompt={"template_sha256": "cd" * 32, "tools_by": "template", "dialect": "hermes"},
    sampling={"temperature": 0.0, "seed": 0},
    repeats=1,
    metrics={"right": "1"},
)


def baseline(samples: dict[str, str], **changes: Any) -> Baseline:
    """A baseline of one yes/no measure: "1" right, "0" wrong, "-" not asked, "?" unscored."""
    parts = {"1": ((1.0, 1.0),), "0": ((0.0, 1.0),), "-": ((0.0, 0.0),), "?": ()}
    outcomes = {
        (name, 0): Outcome(
            status="unscored" if word == "?" else "scored", cluster=f"c-{name}", parts=parts[word], tags={}
        )
        for name, word in samples.items()
    }
    return Baseline(
        name="a baseline",
        identity=replace(IDENTITY, **changes),
        measured={"run": "r", "model": "m", "adapter": None},
        outcomes=Outcomes(measures=("right",), samples=outcomes),
    )


def test_a_baseline_reads_back_as_it_was(tmp_path: Path) -> None:
    made = baseline({"b": "0", "a": "1", "한글": "-", "d": "?", 'quote"\n': "1"})
    path = tmp_path / "deep" / "er" / "b.json"
    write_baseline(path, made)
    found = read_baseline(path)
    assert found.identity == made.identity
    assert found.measured == made.measured
    assert found.outcomes.measures == ("right",)
    assert dict(found.outcomes.samples) == dict(made.outcomes.samples)
    assert found.value("right") == pytest.approx(2 / 3)


def test_an_id_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="surrogate"):
        write_baseline(tmp_path / "b.json", baseline({"half \ud800": "1"}))


def test_fractions_read_back_to_the_last_bit(tmp_path: Path) -> None:
    numbers = random.Random(3)
    parts = [(numbers.random() * 7, numbers.random() * 9) for _ in range(200)] + [(2.0, 3.0), (1e-300, 1e15)]
    samples = {
        (f"s{at:03}", 0): Outcome(status="scored", cluster="", parts=(part,), tags={})
        for at, part in enumerate(parts)
    }
    made = replace(baseline({}), outcomes=Outcomes(measures=("right",), samples=samples))
    write_baseline(tmp_path / "b.json", made)
    assert dict(read_baseline(tmp_path / "b.json").outcomes.samples) == samples


def test_one_changed_sample_is_one_changed_line_beside_the_sums() -> None:
    before = {f"s{at}": "1" for at in range(50)}
    old, new = (baseline_text(baseline(one)).splitlines() for one in (before, {**before, "s7": "0"}))
    differ = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    assert [one.split(":")[0] for one, _ in differ] == ['"values"', '"sha256"', '"s7"']


def test_the_file_is_the_same_whatever_the_order_of_the_samples() -> None:
    assert baseline_text(baseline({"a": "1", "b": "0"})) == baseline_text(baseline({"b": "0", "a": "1"}))


def test_a_real_baseline_is_small_enough_to_review(world: World) -> None:
    run = world.runs["good"]
    outcomes = read_outcomes(run, ["tool_name_accuracy", "parameter_accuracy", "argument_f1"])
    made = baseline_of_run("x", RunFolder(run).header(), outcomes)
    text = baseline_text(made)
    assert text.count("\n") < 250 + 25
    assert len(text) < 25_000
    assert str(world.root) not in text


def damage(change: Callable[[dict[str, Any]], object], *, resign: bool = False) -> Callable[[str], str]:
    def apply(text: str) -> str:
        content = json.loads(text)
        change(content)
        if resign:
            content["sha256"] = sha256_of({key: value for key, value in content.items() if key != "sha256"})
        return json.dumps(content)

    return apply


def put(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update({key: value})


CORRUPTIONS: list[tuple[str, Callable[[str], str], str]] = [
    ("empty", lambda text: "", "JSON"),
    ("cut off", lambda text: text[: len(text) // 2], "JSON"),
    ("a merge conflict", lambda text: text.replace('"samples"', '<<<<<<< HEAD\n"samples"'), "JSON"),
    ("no object", lambda text: "[]", "the file"),
    ("a key twice", lambda text: text.replace('"repeats"', '"suite": "x",\n"repeats"'), "twice"),
    ("NaN", lambda text: text.replace('"repeats": 1', '"repeats": NaN'), ""),
    ("another schema", damage(put("schema", 2)), "schema"),
    ("an unknown key", damage(put("comment", "hello")), "comment"),
    ("a missing key", damage(lambda content: content.pop("prompt")), "prompt"),
    ("samples as a list", damage(put("samples", [])), "samples"),
    ("an outcome that is no text", damage(lambda content: content["samples"].update(a=["c-a", 1])), "samples.a"),
    ("one answer changed by hand", damage(lambda content: content["samples"].update(a=["c-a", "0"])), "sha256"),
    ("a sample removed by hand", damage(lambda content: content["samples"].pop("a")), "sha256"),
    ("a sum that is not that of the outcomes", damage(put("values", {"right": 0.9}), resign=True), "add up"),
    ("a sum of 400 digits", damage(put("values", {"right": 10**400}), resign=True), "values.right"),
    ("too many outcomes", damage(lambda content: content["samples"].update(a=["c", "1", "1"]), resign=True), "samples.a"),
    ("no cluster", damage(lambda content: content["samples"].update(a=[]), resign=True), "samples.a"),
    ("two measures in one", damage(lambda content: content["samples"].update(a=["c", "1 1"]), resign=True), "samples.a"),
    ("a word that is no outcome", damage(lambda content: content["samples"].update(a=["c", "right"]), resign=True), "'right'"),
    ("an outcome of NaN", damage(lambda content: content["samples"].update(a=["c", "nan/1"]), resign=True), "samples.a"),
    ("an infinite outcome", damage(lambda content: content["samples"].update(a=["c", "1e999/1"]), resign=True), "samples.a"),
    ("a negative denominator", damage(lambda content: content["samples"].update(a=["c", "1/-1"]), resign=True), "samples.a"),
    ("deeply nested", lambda text: "[" * 100_000, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "corrupt", "said"), CORRUPTIONS, ids=[corruption[0] for corruption in CORRUPTIONS]
)
def test_a_corrupted_baseline_is_named(
    tmp_path: Path, why: str, corrupt: Callable[[str], str], said: str
) -> None:
    path = tmp_path / "b.json"
    path.write_text(corrupt(baseline_text(baseline({"a": "1", "b": "0"}))), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_baseline(path)
    assert caught.value.what.startswith("corrupted baseline: "), why
    assert said in caught.value.what, why
    assert caught.value.where == str(path)
    assert "--propose-baseline" in (caught.value.remedy or "")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(SpecError, match="not UTF-8"):
        read_baseline(tmp_path / "b.json")


def test_a_baseline_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no baseline yet") as caught:
        read_baseline(tmp_path / "b.json")
    assert "--propose-baseline" in (caught.value.remedy or "")


OTHERS = [
    ({"suite": "other"}, "another suite: other, the run has lamps"),
    ({"version": "1.1.0"}, "another suite version: 1.1.0, the run has 1.0.0"),
    ({"split": "validation"}, "another split: validation, the run has test"),
    ({"dataset_sha256": "ef" * 32}, "another data-set version: efefefefefef, the run has abababababab"),
    ({"prompt": {**IDENTITY.prompt, "template_sha256": "00" * 32}}, "another prompt (chat template)"),
    ({"prompt": {**IDENTITY.prompt, "tools_by": "system"}}, "another prompt (how the tools are shown)"),
    ({"prompt": {**IDENTITY.prompt, "dialect": "bare_json"}}, "another prompt (tool-call dialect)"),
    ({"sampling": {"temperature": 0.7, "seed": 0}}, "another sampling (temperature): 0.7, the run has 0.0"),
    ({"sampling": {"temperature": 0.0}}, "another sampling (seed): None, the run has 0"),
    ({"repeats": 3}, "another number of repeats: 3, the run has 1"),
    ({"metrics": {"right": "2"}}, "another version of the metric right: 2, the run has 1"),
]


@pytest.mark.parametrize(("changes", "said"), OTHERS, ids=[said for _, said in OTHERS])
def test_a_baseline_of_something_else_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    run = baseline({"a": "1", "b": "0"})
    with pytest.raises(UsageError) as caught:
        check_same_samples(baseline({"a": "1", "b": "0"}, **changes), IDENTITY, run.outcomes)
    assert f"this baseline is for {said}" in caught.value.what


def test_another_metric_of_the_suite_makes_no_difference() -> None:
    run = baseline({"a": "1"})
    check_same_samples(baseline({"a": "1"}, metrics={"right": "1", "new": "1"}), IDENTITY, run.outcomes)


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ({"a": "1", "b": "1", "c": "1"}, {"a": "1"}, "2 of the baseline's 3 samples are not in this run"),
        (
            {"a": "1"},
            {"a": "1", "b": "0"},
            "1 of the run's 2 samples are not in the baseline (the first: 'b')",
        ),
    ],
)
def test_other_samples_are_refused(theirs: dict[str, str], ours: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_same_samples(baseline(theirs), IDENTITY, baseline(ours).outcomes)
    assert said in caught.value.what


def test_a_sample_that_moved_to_another_cluster_is_refused() -> None:
    run = baseline({"a": "1"})
    moved = replace(run.outcomes.samples["a", 0], cluster="elsewhere")
    outcomes = Outcomes(measures=("right",), samples={("a", 0): moved})
    with pytest.raises(UsageError, match="another cluster"):
        check_same_samples(baseline({"a": "1"}), IDENTITY, outcomes)


def test_a_run_with_errors_is_no_baseline() -> None:
    failed = Outcome(status="error", cluster="", parts=(), tags={})
    outcomes = Outcomes(measures=("right",), samples={("a", 0): failed})
    with pytest.raises(UsageError, match="no answer"):
        baseline_text(replace(baseline({}), outcomes=outcomes))


HEADERS: list[tuple[str, Any]] = [
    ("suite", {}),
    ("suite", {"metric_versions": "x"}),
    ("suite", {"metric_versions": [None, 3, {"name": ["x"]}]}),
    ("sampling", [1]),
    ("prompt", {}),
]


@pytest.mark.parametrize(("key", "value"), HEADERS)
def test_a_damaged_header_equals_no_sound_one(world: World, key: str, value: Any) -> None:
    header = RunFolder(world.runs["good"]).header()
    sound, damaged = identity_of(header), identity_of({**header, key: value})
    assert sound != damaged


def test_outcomes_of_damaged_scores_name_the_line(world: World) -> None:
    scores = world.runs["good"] / "scores.jsonl"
    lines = scores.read_text().splitlines(keepends=True)
    record = json.loads(lines[4])
    for change in (
        {"measures": {"tool_name_accuracy": ["1", 1]}},
        {"measures": {"tool_name_accuracy": [True, 1]}},
        {"measures": {"tool_name_accuracy": [1]}},
        {"measures": [1]},
        {"status": "great"},
        {"repeat": True},
        {"sample_id": None},
        {"cluster": 3},
        {"sample_id": json.loads(lines[0])["sample_id"]},
    ):
        scores.write_text("".join([*lines[:4], json.dumps({**record, **change}) + "\n", *lines[5:]]))
        with pytest.raises(HarnessError) as caught:
            read_outcomes(world.runs["good"], ["tool_name_accuracy"])
        assert caught.value.where == f"{scores}:5", change
