"""datasets/structural_train: what its specification builds, and nothing of it in what datasets/structural holds out."""

from __future__ import annotations

import json
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
HELD, PRACTICE = DATASETS / "structural", DATASETS / "structural_train"
FILES = ("train.jsonl", "tools.json", "SHA256SUMS")


def test_a_rebuild_gives_the_committed_bytes(tmp_path: Path) -> None:
    built = synthesise(PRACTICE / "spec.yaml", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (PRACTICE / name).read_bytes(), name
    assert dict(built.records) == {"train": 10_000}


def test_it_holds_no_template_pair_or_near_duplicate_of_the_held_out_splits(tmp_path: Path) -> None:
    shutil.copy(PRACTICE / "train.jsonl", tmp_path)
    for name in ("validation.jsonl", "test.jsonl", "tools.json"):
        shutil.copy(HELD / name, tmp_path)
    assert (tmp_path / "tools.json").read_bytes() == (PRACTICE / "tools.json").read_bytes()
    assert lint(tmp_path) == []


def test_a_leak_between_the_two_would_be_found(tmp_path: Path) -> None:
    leaked = json.loads((HELD / "test.jsonl").read_text("utf-8").splitlines()[0])
    leaked["id"] = "structural-train-train-99999"
    lines = (PRACTICE / "train.jsonl").read_text("utf-8").splitlines()[:50]
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, json.dumps(leaked)]) + "\n", "utf-8")
    for name in ("test.jsonl", "tools.json"):
        shutil.copy(HELD / name, tmp_path)
    assert any(finding.severity == "error" for finding in lint(tmp_path))


def test_most_of_its_templates_are_its_own() -> None:
    both, held = read_plan(PRACTICE / "spec.yaml"), read_plan(HELD / "spec.yaml")

    def ids(plan: Any, split: str) -> set[str]:
        return {
            u.template.id + u.template.text for (s, _, _), us in plan.pools.items() if s == split for u in us
        }

    assert ids(both, "validation") == ids(held, "validation")
    assert ids(both, "test") == ids(held, "test")
    assert ids(held, "train") < ids(both, "train")
    assert len(ids(both, "train")) > 3 * len(ids(held, "train"))


def test_no_template_of_its_own_is_nearly_one_that_is_held_out() -> None:
    pools = read_plan(PRACTICE / "spec.yaml").pools
    held = [
        shingles(normalise(u.template.text))
        for (split, _, _), us in pools.items()
        if split != "train"
        for u in us
    ]
    own = [u.template.text for us in pools.values() for u in us if u.train_only]
    assert len(held) > 200
    assert len(own) > 3000
    for text in own:
        mine = shingles(normalise(text))
        assert max(len(mine & other) / len(mine | other) for other in held) < 0.7, text


def test_its_records_are_spread_as_it_says() -> None:
    spec = yaml.safe_load((PRACTICE / "spec.yaml").read_text("utf-8"))
    records = [json.loads(line) for line in (PRACTICE / "train.jsonl").read_text("utf-8").splitlines()]
    categories = Counter(record["tags"]["category"] for record in records)
    assert {name: count / 10_000 for name, count in categories.items()} == pytest.approx(
        spec["mix"], abs=2e-3
    )
    languages = Counter(record["tags"]["language"] for record in records)
    assert languages["ko"] == pytest.approx(5000, abs=5)
    styles = Counter(record["tags"]["style"] for record in records)
    assert set(styles) == {"plain", "colloquial", "typo"}
    assert min(styles.values()) > 300
