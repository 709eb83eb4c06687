"""The linter: each thing that can be wrong with a data set is planted once, and found where it was planted."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.data.leakage import near_duplicates, normalise, shingles
from harness.data.lint import lint
from harness.errors import RecordError

TOOLS = [
    {
        "name": name,
        "description": "d",
        "parameters": {
            "type": "object",
            "properties": {"node_id": {"type": "integer"}, "unit": {"enum": ["kN", "N"], "default": "kN"}},
            "required": ["node_id"],
        },
    }
    for name in ("load", "move")
]
Data = dict[str, list[dict[str, Any]]]
WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
]


def record(split: str, number: int) -> dict[str, Any]:
    word = WORDS[number + {"train": 0, "validation": 4, "test": 8}[split]]
    return {
        "id": f"{split}-{number}",
        "messages": [{"role": "user", "content": f"{word} please put something of weight on {word} {word}"}],
        "tools": ["load", "move"],
        "expect": "call",
        "gold": [
            {"name": "load", "arguments": {"node_id": {"accept": [len(word) * 1000 + WORDS.index(word)]}}}
        ],
        "cluster": f"{split}-template-{number}",
    }


def clean() -> Data:
    return {
        split: [record(split, number) for number in range(4)] for split in ("train", "validation", "test")
    }


def write(folder: Path, data: Data, tools: list[dict[str, Any]] | None = None) -> Path:
    (folder / "tools.json").write_text(
        "[\n" + ",\n".join(json.dumps(tool) for tool in tools or TOOLS) + "\n]\n"
    )
    for split, records in data.items():
        lines = [
            entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in records
        ]
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def test_a_clean_set_has_no_findings_even_with_one_split(tmp_path: Path) -> None:
    assert lint(write(tmp_path, clean())) == []
    (tmp_path / "train.jsonl").unlink()
    (tmp_path / "validation.jsonl").unlink()
    assert lint(tmp_path) == []


def test_the_shipped_set_is_clean() -> None:
    assert lint(Path(__file__).resolve().parents[2] / "datasets" / "structural") == []


def _call(value: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "load", "arguments": {"node_id": {"accept": [value], **more}}}]


def _text(data: Data, split: str, number: int) -> str:
    return str(data[split][number]["messages"][0]["content"])


def _say(data: Data, text: str) -> None:
    data["test"][2]["messages"][0]["content"] = text


def _write(data: Data, line: Any) -> None:
    data["test"][2] = line


def _history(
    *calls: dict[str, Any], split: str = "test", content: str = "", weight: int = 1
) -> Callable[[Data], object]:
    turn = {"role": "assistant", "content": content, "tool_calls": list(calls), "weight": weight}
    return lambda data: data[split][2]["messages"].insert(0, turn)


def _earlier(name: str = "load", **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _copy(data: Data) -> None:
    data["test"][2] = {**copy.deepcopy(data["test"][1]), "id": "copy"}


PLANTS: list[tuple[str, str, Callable[[Data], object]]] = [
    ("record", "unknown key", lambda d: d["test"][2].update(gld=[])),
    ("record", "not valid JSON", lambda d: _write(d, "{")),
    ("record", "empty line", lambda d: _write(d, " ")),
    ("record", "unknown tool 'lod'", lambda d: d["test"][2].update(tools=["lod"])),
    ("record", "permits none", lambda d: d["test"][2].update(gold=_call("5"))),
    ("record", "not offered", lambda d: d["test"][2].update(tools=["move"])),
    ("duplicate-id", "train.jsonl:1", lambda d: d["test"][2].update(id="train-0")),
    (
        "gold-forbidden",
        "'five'",
        lambda d: d["test"][2]["gold"][0]["arguments"]["node_id"]["accept"].append("five"),
    ),
    ("gold-optional", "requires it", lambda d: d["test"][2].update(gold=_call(77, optional=True))),
    ("history-tool", "'gone'", _history(_earlier("gone"))),
    ("history-null", "node_id is null", _history(_earlier(node_id=None))),
    ("history-arguments", "without 'node_id'", _history(_earlier(unit="N"))),
    ("history-arguments", "'colour'", _history(_earlier(node_id=1, colour="red"))),
    ("history-arguments", "'five'", _history(_earlier(node_id="five"))),
    ("history-empty", "no words and no call", _history()),
    ("duplicate", "test-1", _copy),
    ("leak-text", "train-1", lambda d: _say(d, _text(d, "train", 1).upper().replace(" ", "  "))),
    ("leak-near", "train-1", lambda d: _say(d, _text(d, "train", 1) + "s")),
    ("leak-cluster", "validation.jsonl:1", lambda d: d["test"][2].update(cluster="validation-template-0")),
    ("leak-pair", "train.jsonl:2", lambda d: d["test"][2].update(gold=d["train"][1]["gold"])),
]


@pytest.mark.parametrize(
    ("code", "words", "plant"), PLANTS, ids=[f"{p[0]}-{i}" for i, p in enumerate(PLANTS)]
)
def test_each_plant_is_found_once_where_it_is(
    code: str, words: str, plant: Callable[[Data], object], tmp_path: Path
) -> None:
    data = clean()
    plant(data)
    findings = lint(write(tmp_path, data))
    assert [(finding.code, finding.line) for finding in findings] == [(code, 3)]
    assert findings[0].file == str(tmp_path / "test.jsonl")
    assert words in findings[0].message
    assert findings[0].remedy
    warnings = ("gold-forbidden", "gold-optional", "duplicate")
    assert findings[0].severity == ("warning" if code in warnings or code.startswith("history") else "error")


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("calls", "code"),
    [
        ([_earlier("gone")], "history-tool"),
        ([_earlier(node_id=None)], "history-null"),
        ([_earlier(node_id=1), _earlier(unit="N")], "history-arguments"),
        ([], "history-empty"),
    ],
)
def test_an_earlier_turn_that_may_be_learnt_must_be_right(
    calls: list[dict[str, Any]], code: str, split: str, tmp_path: Path
) -> None:
    for weight, severity in ((1, "error"), (0, "warning")):
        data = clean()
        _history(*calls, split=split, weight=weight)(data)
        (finding,) = lint(write(tmp_path, data))
        assert (finding.code, finding.line, finding.severity) == (code, 3, severity)
        assert ("`weight: 0`" in finding.remedy) == (weight == 1)


def test_earlier_turns_that_are_right(tmp_path: Path) -> None:
    """What a schema decides itself is its own affair: null where it allows it, other parameters where it takes them."""
    tools = copy.deepcopy(TOOLS)
    tools[0]["parameters"]["properties"]["unit"] = {"type": ["string", "null"]}
    tools[1]["parameters"]["additionalProperties"] = True
    data = clean()
    calls = [_earlier(node_id=1, unit=None), _earlier("move", node_id=2, colour="red")]
    _history(*calls, split="train")(data)
    _history(content="Good morning.", split="train")(data)
    assert lint(write(tmp_path, data, tools)) == []


def test_the_first_accepted_value_is_the_one_that_training_writes(tmp_path: Path) -> None:
    data = clean()
    data["test"][2]["gold"] = _call(None)
    data["test"][2]["gold"][0]["arguments"]["node_id"]["accept"].append(77)
    (finding,) = lint(write(tmp_path, data))
    assert (finding.code, finding.severity) == ("gold-forbidden", "error")


def test_all_findings_are_collected(tmp_path: Path) -> None:
    data = clean()
    for split in data:
        data[split][0]["colour"] = "red"
        data[split][3]["expect"] = "ask"
    assert len(lint(write(tmp_path, data))) == 6


def test_pairs_are_equal_however_they_are_written(tmp_path: Path) -> None:
    tools = copy.deepcopy(TOOLS)
    tools[0]["parameters"]["properties"]["node_id"] = {"type": "array", "items": {"type": "integer"}}
    data = clean()
    for records in data.values():
        for entry in records:
            values = entry["gold"][0]["arguments"]["node_id"]["accept"]
            values[0] = [values[0], 10]
    data["train"][0]["gold"] = [{"name": "load", "arguments": {"node_id": {"accept": [[9, 10]]}}}]
    extra = {"node_id": {"accept": [[10, 9], [9, 10]]}, "unit": {"accept": ["kN"], "optional": True}}
    data["test"][0]["gold"] = [{"name": "load", "arguments": extra}]
    assert [finding.code for finding in lint(write(tmp_path, data, tools))] == ["leak-pair"]


def test_a_bad_default_names_the_line_of_the_tool(tmp_path: Path) -> None:
    tools = copy.deepcopy(TOOLS)
    tools[1]["parameters"]["properties"]["unit"]["default"] = "kg"
    findings = lint(write(tmp_path, clean(), tools))
    assert [(finding.code, finding.line) for finding in findings] == [("tool-default", 3)]
    assert findings[0].file.endswith("tools.json")


def test_checksums(tmp_path: Path) -> None:
    write(tmp_path, clean())
    names = ("train.jsonl", "test.jsonl")
    sums = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in names}
    (tmp_path / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    assert lint(tmp_path) == []
    (tmp_path / "SHA256SUMS").write_text(
        f"{sums['train.jsonl']}  test.jsonl\n{sums['train.jsonl']}  gone\nrubbish\n"
    )
    findings = lint(tmp_path)
    assert [(finding.code, finding.line) for finding in findings] == [
        ("checksum", 1),
        ("checksum", 2),
        ("checksum", 3),
    ]


def test_a_bad_tools_file_and_an_empty_split_are_findings(tmp_path: Path) -> None:
    write(tmp_path, {**clean(), "validation": []})
    assert [(finding.code, finding.severity) for finding in lint(tmp_path)] == [("empty-split", "warning")]
    (tmp_path / "tools.json").write_text("[\n{]")
    assert ("tools", 2) in [(finding.code, finding.line) for finding in lint(tmp_path)]


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no data set here"):
        lint(tmp_path)
    with pytest.raises(RecordError, match="no such folder"):
        lint(tmp_path / "nowhere")


def test_near_duplicates_equal_brute_force() -> None:
    base = [
        f"{WORDS[i % 12]} {WORDS[(i * 5) % 12]} on the {WORDS[(i * 7) % 11]} number {i % 9}"
        for i in range(150)
    ]
    texts = base + [text + "!" for text in base[::5]] + ["", "abc", "abc", "가나다라마바", "가나다라마바 "]
    for threshold in (0.5, 0.8, 0.9, 1.0):
        found = {(left, right) for left, right, _ in near_duplicates(texts, threshold)}
        sets = [shingles(normalise(text)) for text in texts]
        expected = {
            (left, right)
            for right in range(len(sets))
            for left in range(right)
            if len(sets[left] & sets[right]) / len(sets[left] | sets[right]) >= threshold
        }
        assert found == expected
        assert expected
