"""The second test split: what its specification builds, of which nothing stands in what adapters learn from."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from harness.data.leakage import normalise, shingles
from harness.data.lint import lint
from harness.data.synth import synthesise
from harness.data.synth_plan import read_plan
from harness.errors import SpecError
from harness.training.recipe import load_recipe

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
UNSEEN = DATASETS / "structural_unseen"
RECIPES = [load_recipe(path) for path in (DATASETS.parent / "train").glob("structural_*.yaml")]
LEARNT = sorted({Path(entry.path).name for recipe in RECIPES for entry in recipe.train})


def test_a_rebuild_gives_the_committed_bytes(tmp_path: Path) -> None:
    built = synthesise(UNSEEN / "spec.yaml", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "test.jsonl", "tools.json"]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (UNSEEN / path.name).read_bytes(), path.name
    assert dict(built.records) == {"test": 400}


@pytest.mark.parametrize("learnt", LEARNT)
def test_it_shares_nothing_with_what_is_learnt(learnt: str, tmp_path: Path) -> None:
    shutil.copy(DATASETS / learnt / "train.jsonl", tmp_path)
    for name in ("test.jsonl", "tools.json"):
        shutil.copy(UNSEEN / name, tmp_path)
    assert (tmp_path / "tools.json").read_bytes() == (DATASETS / learnt / "tools.json").read_bytes()
    assert lint(tmp_path) == []


def test_a_leak_would_be_found(tmp_path: Path) -> None:
    (first, *_) = (UNSEEN / "test.jsonl").read_text("utf-8").splitlines()
    learnt = json.loads(first) | {"id": "structural-train-99999", "cluster": "another"}
    (tmp_path / "train.jsonl").write_text(json.dumps(learnt) + "\n", "utf-8")
    for name in ("test.jsonl", "tools.json"):
        shutil.copy(UNSEEN / name, tmp_path)
    assert any(finding.severity == "error" for finding in lint(tmp_path))


def test_no_template_of_it_is_nearly_one_that_is_learnt() -> None:
    assert len(LEARNT) == 5
    spec = yaml.safe_load((UNSEEN / "spec.yaml").read_text("utf-8"))
    named = {(UNSEEN / name).resolve() for name in spec["train_only"]}
    for learnt in LEARNT:
        files = set((DATASETS / learnt / "spec").glob("*.yaml")) - {
            DATASETS / "structural" / "spec" / f"{name}.yaml" for name in ("tools", "slots")
        }
        assert files <= named, learnt
    pools = read_plan(UNSEEN / "spec.yaml").pools
    learnt_texts = [
        shingles(normalise(u.template.text)) for us in pools.values() for u in us if u.only == "train"
    ]
    own = [u.template.text for us in pools.values() for u in us if u.only == "test"]
    assert len(learnt_texts) > 10_000
    assert len(own) > 400
    for text in own:
        mine = shingles(normalise(text))
        assert max(len(mine & other) / len(mine | other) for other in learnt_texts if other) < 0.7, text


def test_templates_for_test_alone_are_in_no_other_split() -> None:
    assert {
        (split, u.only) for (split, _, _), us in read_plan(UNSEEN / "spec.yaml").pools.items() for u in us
    } == {
        ("train", "train"),
        ("test", "test"),
    }


def test_a_block_without_a_template_is_refused_for_test_alone(tmp_path: Path) -> None:
    shutil.copytree(UNSEEN, tmp_path / "unseen")
    spec = tmp_path / "unseen" / "spec.yaml"
    text = spec.read_text("utf-8").replace("../structural", f"{DATASETS}/structural")
    spec.write_text(text, "utf-8")
    follow_up = tmp_path / "unseen" / "spec" / "follow_up.yaml"
    block = "\n  - {lang: ko, first: add_node, result: {ok: true}, replies: [네]}\n"
    follow_up.write_text(follow_up.read_text("utf-8").rstrip() + block, "utf-8")
    with pytest.raises(SpecError, match="serves every split") as caught:
        read_plan(spec)
    assert caught.value.where == str(follow_up)


def test_its_records_are_of_the_same_kind_as_those_of_the_first() -> None:
    records, first = (
        [json.loads(line) for line in (folder / "test.jsonl").read_text("utf-8").splitlines()]
        for folder in (UNSEEN, DATASETS / "structural")
    )
    for tag in ("category", "language"):
        shares, theirs = (
            {name: count / len(found) for name, count in Counter(r["tags"][tag] for r in found).items()}
            for found in (records, first)
        )
        assert shares == pytest.approx(theirs, abs=0.01)
    assert len({record["cluster"] for record in records}) > 300
    assert {tuple(record["tools"]) for record in records} == {tuple(record["tools"]) for record in first}
