"""The data sets made only for training: what their specifications build, and nothing of it in what datasets/structural
holds out."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.data.leakage import normalise, shingles
from harness.data.lint import lint
from harness.data.synth import synthesise
from harness.data.synth_plan import read_plan

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
HELD, PAIRS = DATASETS / "structural", DATASETS / "structural_pairs"
RECORDS = {
    "structural_train": 10_000,
    "structural_pairs": 8_000,
    "structural_korean": 8_000,
    "structural_korean_more": 4_000,
}
FILES = ("train.jsonl", "tools.json", "SHA256SUMS")


@pytest.fixture(params=RECORDS)
def practice(request: pytest.FixtureRequest) -> Path:
    return DATASETS / str(request.param)


def test_a_rebuild_gives_the_committed_bytes(practice: Path, tmp_path: Path) -> None:
    built = synthesise(practice / "spec.yaml", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (practice / name).read_bytes(), name
    assert dict(built.records) == {"train": RECORDS[practice.name]}


def test_it_holds_no_template_pair_or_near_duplicate_of_the_held_out_splits(
    practice: Path, tmp_path: Path
) -> None:
    shutil.copy(practice / "train.jsonl", tmp_path)
    for name in ("validation.jsonl", "test.jsonl", "tools.json"):
        shutil.copy(HELD / name, tmp_path)
    assert (tmp_path / "tools.json").read_bytes() == (practice / "tools.json").read_bytes()
    assert lint(tmp_path) == []


def test_a_leak_between_the_two_would_be_found(practice: Path, tmp_path: Path) -> None:
    leaked = json.loads((HELD / "test.jsonl").read_text("utf-8").splitlines()[0])
    leaked["id"] = "structural-train-train-99999"
    lines = (practice / "train.jsonl").read_text("utf-8").splitlines()[:50]
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, json.dumps(leaked)]) + "\n", "utf-8")
    for name in ("test.jsonl", "tools.json"):
        shutil.copy(HELD / name, tmp_path)
    assert any(finding.severity == "error" for finding in lint(tmp_path))


def test_most_of_its_templates_are_its_own(practice: Path) -> None:
    both, held = read_plan(practice / "spec.yaml"), read_plan(HELD / "spec.yaml")

    def ids(plan: Any, split: str) -> set[str]:
        return {
            u.template.id + u.template.text for (s, _, _), us in plan.pools.items() if s == split for u in us
        }

    assert ids(both, "validation") == ids(held, "validation")
    assert ids(both, "test") == ids(held, "test")
    assert ids(held, "train") < ids(both, "train")
    assert len(ids(both, "train")) > 3 * len(ids(held, "train"))


def test_no_template_of_its_own_is_nearly_one_that_is_held_out(practice: Path) -> None:
    pools = read_plan(practice / "spec.yaml").pools
    held = [
        shingles(normalise(u.template.text))
        for (split, _, _), us in pools.items()
        if split != "train"
        for u in us
    ]
    own = [u.template.text for us in pools.values() for u in us if u.only == "train"]
    assert len(held) > 200
    assert len(own) > 3000
    for text in own:
        mine = shingles(normalise(text))
        assert max(len(mine & other) / len(mine | other) for other in held) < 0.7, text


def test_its_records_are_spread_as_it_says(practice: Path) -> None:
    spec = yaml.safe_load((practice / "spec.yaml").read_text("utf-8"))
    records = [json.loads(line) for line in (practice / "train.jsonl").read_text("utf-8").splitlines()]
    categories = Counter(record["tags"]["category"] for record in records)
    assert {name: count / len(records) for name, count in categories.items()} == pytest.approx(
        spec["mix"], abs=2e-3
    )
    languages = Counter(record["tags"]["language"] for record in records)
    korean = spec["languages"]["ko"] if isinstance(spec["languages"], dict) else 0.5
    assert languages["ko"] == pytest.approx(korean * len(records), abs=5)
    styles = Counter(record["tags"]["style"] for record in records)
    assert set(styles) == {"plain", "colloquial", "typo"}
    assert min(styles.values()) > 0.04 * len(records)


def test_nearly_each_request_of_the_pairs_that_lacks_a_value_has_one_of_its_words_that_holds_it() -> None:
    for language in ("ko", "en"):
        spec = yaml.safe_load((PAIRS / "spec" / f"pairs_{language}.yaml").read_text("utf-8"))
        whole: dict[str, list[set[str]]] = {}
        for tool, texts in spec["calls"][language].items():
            whole.setdefault(tool.split("/")[0], []).extend(map(words, texts))
        alike = []
        for block in spec["ask"]:
            pair = whole[block["tool"].split("/")[0]]
            for text in map(words, block["templates"]):
                alike.append(max(len(text & other) / len(text | other) for other in pair))
        assert len(alike) == sum(map(len, whole.values())) == 12 * 26
        assert sum(share >= 0.2 for share in alike) > 0.9 * len(alike)


def words(template: str) -> set[str]:
    """Return the words of a template without its slots, as far as a particle can be told from them."""
    return {
        word
        for word in re.split(r"[\s,.;:?!()|/=]+", re.sub(r"\{[^}]*\}(\[[^\]]*\])?", " ", template))
        if word
    }
