"""Splitting: nothing that belongs together is divided, sizes are as asked, and order does not matter."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.importing.importer import import_dataset
from harness.data.importing.request import ImportRequest
from harness.data.importing.split import assign_splits, group_samples
from harness.data.leakage import near_duplicates, normalise, pair_key, user_text
from harness.data.lint import lint
from harness.types import GoldArgument, GoldCall, Message, Sample

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def sample(name: str, text: str, value: int | None = None) -> Sample:
    gold = () if value is None else (GoldCall(name="f", arguments={"x": GoldArgument(accept=(value,))}),)
    return Sample(
        id=name,
        messages=(Message(role="user", content=text),),
        tools=(),
        expect="call" if gold else "no_call",
        gold=gold,
    )


texts = st.lists(
    st.tuples(
        st.sampled_from(["alpha beta gamma delta", "one two three four", "lorem ipsum dolor sit"]),
        st.integers(0, 9),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    words=texts,
    values=st.lists(st.none() | st.integers(0, 5), min_size=40, max_size=40),
    seed=st.integers(0, 3),
)
def test_what_is_alike_is_in_one_split(
    words: list[tuple[str, int]], values: list[int | None], seed: int
) -> None:
    samples = [
        sample(f"s{i}", f"{text} {'x' * number}", value)
        for i, ((text, number), value) in enumerate(zip(words, values, strict=False))
    ]
    groups = group_samples(samples, [index // 2 for index in range(len(samples))])
    splits = assign_splits(samples, groups.together, SHARES, seed)

    owners: dict[str, set[str]] = {}
    for index, (item, split) in enumerate(zip(samples, splits, strict=True)):
        keys = [normalise(user_text(item)), f"row {index // 2}", f"cluster {groups.clusters[index]}"]
        for key in keys + [pair_key(call) for call in item.gold]:
            owners.setdefault(key, set()).add(split)
    assert all(len(found) == 1 for found in owners.values())
    for left, right, _ in near_duplicates([user_text(item) for item in samples]):
        assert splits[left] == splits[right]
        assert groups.clusters[left] == groups.clusters[right]


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 60), seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
def test_order_does_not_matter_and_sizes_are_as_asked(size: int, seed: int, order: random.Random) -> None:
    samples = [sample(f"s{i}", f"{i} " * 10 + chr(97 + i % 26) * 9) for i in range(size)]
    shuffled = list(samples)
    order.shuffle(shuffled)

    def placed(items: list[Sample]) -> dict[str, str]:
        groups = group_samples(items, range(len(items)))
        splits = assign_splits(items, groups.together, SHARES, seed)
        return {item.id: split for item, split in zip(items, splits, strict=True)}

    first = placed(samples)
    assert placed(shuffled) == first
    counts = Counter(first.values())
    if len(set(group_samples(samples, range(size)).together)) == size:
        assert all(abs(counts[split] - share * size) < 1 for split, share in SHARES.items())


def test_another_seed_is_another_split() -> None:
    samples = [sample(f"s{i}", f"{i * 7919} " * 5) for i in range(50)]
    groups = group_samples(samples, range(50)).together

    assert len({tuple(assign_splits(samples, groups, SHARES, seed)) for seed in range(4)}) == 4


def test_near_and_equal_texts_share_a_cluster_and_equal_calls_only_a_split() -> None:
    samples = [
        sample("a", "please put a load of ten kilonewton on node five", 1),
        sample("b", "Please put a load of ten  kilonewton on node five!", 2),
        sample("c", "something quite different from the first two texts", 1),
        sample("d", "and this is a text that stands all for itself here", 3),
    ]

    groups = group_samples(samples, range(4))

    assert groups.clusters == (0, 0, 2, 3)
    assert groups.together == (0, 0, 0, 3)


TOOL = {
    "name": "f",
    "description": "d",
    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
}


def chat(text: str, value: int | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"role": "assistant", "content": "Nothing fits."}
    if value is not None:
        function = {"name": "f", "arguments": json.dumps({"x": value})}
        answer = {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}
    return {"messages": [{"role": "user", "content": text}, answer], "tools": [TOOL]}


def test_lint_finds_no_leak_in_what_import_splits(tmp_path: Path) -> None:
    """Planted: 20 texts four times each, written a little differently, and calls with few values."""
    draw = random.Random(1)
    rows = []
    for number in range(20):
        words = " ".join(
            draw.choice(["node", "beam", "load", "span", "roof", "wall"]) + str(draw.randrange(99))
            for _ in range(9)
        )
        for variant in (words, words.upper(), f"{words}.", words.replace(" ", "  ", 3) + "!"):
            rows.append(chat(variant, draw.choice([None, number % 7])))
    rows = list({json.dumps(row): row for row in rows}.values())
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}

    result = import_dataset(ImportRequest(source=str(path), out=tmp_path / "out", split=shares))

    assert all(result.records.values())
    errors = [finding for finding in lint(tmp_path / "out") if finding.severity == "error"]
    assert errors == []


def test_a_split_that_ignored_groups_would_leak(tmp_path: Path) -> None:
    """The check above can fail: the same rows, divided by position, leak."""
    rows = [chat(f"put load number {n // 2} on the node called {n // 2}", n // 2) for n in range(20)]
    for split, part in (("train", rows[::2]), ("test", rows[1::2])):
        source = tmp_path / f"{split}.json"
        source.write_text(json.dumps(part))
        import_dataset(ImportRequest(source=str(source), out=tmp_path / split))
    (tmp_path / "train" / "SHA256SUMS").unlink()
    (tmp_path / "test" / "train.jsonl").rename(tmp_path / "train" / "test.jsonl")

    assert {"leak-text", "leak-pair"} <= {finding.code for finding in lint(tmp_path / "train")}


@pytest.mark.parametrize("size", [1, 2])
def test_too_few_rows_leave_a_split_empty_and_no_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([chat(f"text {n} " * 5, None) for n in range(size)]))

    result = import_dataset(ImportRequest(source=str(path), out=tmp_path / "out", split=SHARES))

    assert result.records["train"] == size
    assert result.records["test"] == 0
    assert not (tmp_path / "out" / "test.jsonl").exists()
