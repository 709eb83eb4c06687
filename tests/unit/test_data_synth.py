"""The committed data set is what its specification builds, and holds what it says; Korean as it is read aloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.data.korean import attach_particles, final_sound, native, particle, sino, sino_decimal
from harness.data.leakage import pair_key
from harness.data.records import iter_samples, load_tools, sample_from_record
from harness.data.synth import gold_call, synthesise
from harness.data.synth_plan import read_plan, tool_of
from harness.data.synth_spec import CATEGORIES
from harness.errors import SpecError

DATASET = Path(__file__).resolve().parents[2] / "datasets" / "structural"
SPEC = DATASET / "spec.yaml"
FILES = ("train.jsonl", "validation.jsonl", "test.jsonl", "tools.json", "SHA256SUMS")
SIZES = {"train": 2000, "validation": 250, "test": 250}


@pytest.fixture(scope="module")
def records() -> dict[str, list[dict[str, Any]]]:
    return {
        split: [json.loads(line) for line in (DATASET / f"{split}.jsonl").read_text("utf-8").splitlines()]
        for split in SIZES
    }


def test_a_rebuild_gives_the_committed_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from harness.data.synth import synthesise as s;"
    code += "s(Path(sys.argv[1]), Path(sys.argv[2]))"
    for seed in ("0", "4242"):
        out = tmp_path / seed
        env = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(SPEC), str(out)], check=True, env=env)
        assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
        for name in FILES:
            assert (out / name).read_bytes() == (DATASET / name).read_bytes(), name


def test_sizes_languages_and_categories(records: dict[str, list[dict[str, Any]]]) -> None:
    for split, size in SIZES.items():
        assert len(records[split]) == size
        languages = Counter(record["tags"]["language"] for record in records[split])
        assert all(abs(count - size / 2) <= 2 for count in languages.values())
        assert {record["tags"]["category"] for record in records[split]} == set(CATEGORIES)
    assert len({record["id"] for split in SIZES for record in records[split]}) == 2500


def test_categories_mean_what_the_datasheet_says(records: dict[str, list[dict[str, Any]]]) -> None:
    for record in (record for split in SIZES for record in records[split]):
        category, calls, offered = record["tags"]["category"], len(record["gold"]), len(record["tools"])
        roles = [message["role"] for message in record["messages"]]
        assert (category == "single") <= (offered == 1)
        assert (category in ("multiple", "parallel", "follow_up")) <= (4 <= offered <= 8)
        assert (category in ("single", "multiple")) <= (calls == 1)
        assert (category == "parallel") <= (calls == 2)
        assert (category in ("ask", "no_call")) <= (record["expect"] == category and bool(record["reply"]))
        assert (category == "follow_up") == (roles[:3] == ["user", "assistant", "tool"])


def test_at_most_twelve_tool_sets_of_one_or_four_to_eight(records: dict[str, list[dict[str, Any]]]) -> None:
    sets = {tuple(record["tools"]) for split in SIZES for record in records[split]}
    assert len(sets) == 12
    assert sorted(len(tools) for tools in sets if len(tools) < 4) == [1, 1, 1, 1]
    assert max(len(tools) for tools in sets) <= 8
    assert {tool for tools in sets for tool in tools} == set(load_tools(DATASET / "tools.json"))


def test_enough_tools_and_templates() -> None:
    plan = read_plan(SPEC)
    assert len(plan.catalog) >= 24
    counts = Counter(
        (tool_of(utterance.key or ""), lang)
        for (_, category, lang), pool in plan.pools.items()
        if category == "call"
        for utterance in pool
    )
    assert set(counts) == {(tool, lang) for tool in plan.catalog for lang in ("ko", "en")}
    assert min(counts.values()) >= 12


def test_no_template_or_pair_of_one_split_is_in_another() -> None:
    """Written apart from the linter, and with histories counted too."""
    tools = load_tools(DATASET / "tools.json")
    clusters: dict[str, set[str]] = {}
    pairs: dict[str, set[str]] = {}
    for split in SIZES:
        for located in iter_samples(DATASET / f"{split}.jsonl", tools):
            sample = located.sample
            clusters.setdefault(sample.cluster, set()).add(split)
            for call in sample.gold:
                pairs.setdefault(pair_key(call), set()).add(split)
            for call in (call for message in sample.messages for call in message.tool_calls):
                accept = {name: {"accept": [value]} for name, value in call.arguments.items()}
                pairs.setdefault(pair_key(gold_call({"name": call.name, "arguments": accept})), set()).add(
                    split
                )
    assert [cluster for cluster, splits in clusters.items() if len(splits) > 1] == []
    assert [pair for pair, splits in pairs.items() if len(splits) > 1] == []
    assert len(clusters) > 500
    assert len(pairs) > 1500


def test_no_mark_is_left_and_korean_is_korean(records: dict[str, list[dict[str, Any]]]) -> None:
    for record in (record for split in SIZES for record in records[split]):
        texts = [m["content"] for m in record["messages"] if m["role"] == "user"] + [record["reply"] or ""]
        for text in texts:
            assert not set(text) & set("{}[]$"), text
            hangul = any("가" <= letter <= "힣" for letter in text)
            assert hangul == (record["tags"]["language"] == "ko" and bool(text)), text


def test_optional_arguments_and_units(records: dict[str, list[dict[str, Any]]]) -> None:
    loads = [
        (record["messages"][-1]["content"], record["gold"][0]["arguments"])
        for record in records["train"]
        if record["tags"]["category"] in ("single", "multiple")
        and record["gold"][0]["name"] == "add_nodal_load"
    ]
    units = Counter(arguments["unit"]["accept"][0] for _, arguments in loads)
    assert set(units) == {"kN", "N", "tonf"}
    for text, arguments in loads:
        assert arguments["unit"].get("optional", False) == (arguments["unit"]["accept"] == ["kN"])
        if arguments["unit"]["accept"] == ["tonf"]:
            assert "ton" in text.lower() or "톤" in text


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("seed:", "sed:", "unknown key 'sed'"),
        ("only_member: [add_member]", "only_member: [add_membr]", "unknown tool 'add_membr'"),
        ("single: 0.12", "single: 0.2", "add up to 1"),
        ("node_id: $node, direction: $dof", "node: $node, direction: $dof", "has no argument 'node'"),
        ("stiffness: $stiffness", "stiffness: $stifness", "lacks the required 'stiffness'"),
        ("only_nodal_load: [add_nodal_load]", "only_nodal_load: [get_reactions]", None),
    ],
)
def test_a_wrong_specification_says_what_and_where(
    old: str, new: str, what: str | None, tmp_path: Path
) -> None:
    shutil.copytree(DATASET / "spec", tmp_path / "spec")
    text = SPEC.read_text("utf-8")
    assert text.count(old) == 1
    (tmp_path / "spec.yaml").write_text(text.replace(old, new), "utf-8")
    if what is None:
        synthesise(tmp_path / "spec.yaml", tmp_path / "out")
        assert (tmp_path / "out" / "test.jsonl").read_bytes() != (DATASET / "test.jsonl").read_bytes()
        return
    with pytest.raises(SpecError) as caught:
        read_plan(tmp_path / "spec.yaml")
    assert what in caught.value.what
    assert str(tmp_path) in (caught.value.where or "")


def test_every_record_is_valid(records: dict[str, list[dict[str, Any]]]) -> None:
    tools = load_tools(DATASET / "tools.json")
    assert (
        sum(bool(sample_from_record(r, tools, where=r["id"])) for split in SIZES for r in records[split])
        == 2500
    )


PARTICLES = [
    ("1번", "을", "을"),
    ("3번", "이", "이"),
    ("기둥", "을", "을"),
    ("보", "을", "를"),
    ("절점 2", "을", "를"),
    ("절점 3", "을", "을"),
    ("6", "은", "은"),
    ("9", "은", "는"),
    ("10", "을", "을"),
    ("1", "으로", "로"),
    ("7", "으로", "로"),
    ("8", "으로", "로"),
    ("3", "으로", "으로"),
    ("10", "으로", "으로"),
    ("300", "으로", "으로"),
    ("3,000", "으로", "으로"),
    ("2.5", "을", "를"),
    ("0.10", "을", "을"),
    ("10kN", "을", "을"),
    ("10 kN", "으로", "으로"),
    ("5kN/m", "을", "를"),
    ("450mm", "은", "는"),
    ("205GPa", "으로", "로"),
    ("30도", "이", "가"),
    ("5%", "으로", "로"),
    ("20℃", "을", "를"),
    ("LC3", "과", "과"),
    ("DL", "으로", "로"),
    ("KDS", "을", "를"),
    ("SM", "이나", "이나"),
    ("H-400x200x8x13", "으로", "으로"),
    ("킬로뉴턴", "을", "을"),
    ("(3, 4)", "을", "를"),
    ("롤러", "으로", "로"),
    ("핀", "이야", "이야"),
    ("힌지", "이야", "야"),
    ("서울", "으로", "로"),
    ("D5", "이라", "라"),
    ("D3", "이라", "이라"),
    ("0.44", "이며", "며"),
]


@pytest.mark.parametrize(("before", "name", "form"), PARTICLES)
def test_particles_follow_the_sound(before: str, name: str, form: str) -> None:
    assert particle(before, name) == form
    assert attach_particles(f"{before}[{name}] 봐") == f"{before}{form} 봐"


def test_a_text_that_cannot_be_read_aloud_is_refused() -> None:
    for text in ("", "()", "→", "漢"):
        with pytest.raises(ValueError, match=r"sound|read"):
            final_sound(text)


@pytest.mark.parametrize(
    ("number", "word"),
    [(0, "영"), (5, "오"), (10, "십"), (25, "이십오"), (100, "백"), (120, "백이십"), (111, "백십일"), (1000, "천"),
     (2300, "이천삼백"), (10000, "만"), (24500, "이만사천오백"), (100000, "십만"), (-3, "마이너스 삼")],
)  # fmt: skip
def test_sino_korean_numbers(number: int, word: str) -> None:
    assert sino(number) == word


def test_other_number_words() -> None:
    assert sino_decimal("2.5") == "이점오"
    assert sino_decimal("0.05") == "영점영오"
    assert [native(number) for number in (1, 3, 11, 20, 21, 35)] == [
        "한",
        "세",
        "열한",
        "스무",
        "스물한",
        "서른다섯",
    ]
    with pytest.raises(ValueError, match="1 to 99"):
        native(100)
