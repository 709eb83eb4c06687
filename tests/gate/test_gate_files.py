"""What a gate file may say: every slip is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError, NothingCollected, SpecError
from harness.gate.load import gate_files_of, load_gate_file

GATE = "  - {name: right, metric: tool_name_accuracy, at_least: 0.9}\n"


def write(folder: Path, text: str, name: str = "a.gate.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_gate_file_is_read_with_the_line_of_each_gate(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "schema: 1\n"
        "baseline: ../base.json\n"
        "max_error_rate: 0.01\n"
        "cannot_tell: fail\n"
        "gates:\n"
        "  - name: right\n"
        "    metric: tool_name_accuracy\n"
        "    at_least: 0.9\n"
        "  # name: right_ko stands in this comment too\n"
        "  - {metric: tool_name_accuracy, name: right_ko, slice: {language: ko}, no_worse_by: 0.02, cannot_tell: pass}\n"
        '  - {"name": "right_twice", metric: name, at_most: 1, by: interval, min_n: 3}\n',
    )
    file = load_gate_file(path)
    assert [gate.name for gate in file.spec.gates] == ["right", "right_ko", "right_twice"]
    assert file.lines[0] == 6
    assert file.lines[2] == 11
    assert [file.action(gate) for gate in file.spec.gates] == ["fail", "pass", "fail"]
    assert [gate.relative for gate in file.spec.gates] == [False, True, False]
    assert file.baseline == (tmp_path.parent / "base.json").resolve()
    assert file.where(file.spec.gates[2]) == f"{path}:11"


def gates(*lines: str) -> str:
    return "schema: 1\ngates:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


SLIPS = [
    ("gates: [\n", ":2", "not valid YAML", "YAML that ends in the middle"),
    ("[1, 2]\n", "", "must hold keys and values", "no mapping"),
    ("", "", "must hold keys and values", "an empty file"),
    ("schema: 2\ngates:\n" + GATE, ":1", "schema", "a schema of the future"),
    ("schema: 1\n", ":1", "'gates' is missing", "no gates key"),
    ("schema: 1\nmax_error: 0.1\ngates:\n" + GATE, ":2", "unknown key 'max_error'", "a misspelt key"),
    ("schema: 1\nmax_error_rate: 2\ngates:\n" + GATE, ":2", "max_error_rate", "a share above 1"),
    ("schema: 1\ncannot_tell: maybe\ngates:\n" + GATE, ":2", "cannot_tell", "an action that does not exist"),
    ("schema: 1\nbaseline: x.yaml\ngates:\n" + GATE, ":2", "baseline", "a baseline that is no JSON file"),
    ("schema: 1\nbaseline: x.json\ngates:\n" + GATE, "", "is not used", "a baseline nobody compares with"),
    (gates("name: a, metric: m"), ":3", "exactly one of at_least, at_most and no_worse_by", "no bound"),
    (gates("name: a, metric: m, at_least: 0.1, at_most: 0.2"), ":3", "has at_least and at_most", "two bounds"),
    (gates("name: a, metric: m, at_least: .nan"), ":3", "finite", "a bound of NaN decides nothing"),
    (gates("name: a, metric: m, at_least: high"), ":3", "number", "a bound that is a word"),
    (gates("name: a, metric: m, at_most: yes"), ":3", "valid number", "yes is no 1"),
    (gates('name: a, metric: m, at_least: "0.9"'), ":3", "valid number", "a number in quotes"),
    (gates("name: a, metric: m, no_worse_by: true"), ":3", "valid number", "a margin that is true"),
    (gates("name: a, metric: m, no_worse_by: 0.1, detectable: on"), ":3", "valid number", "a limit that is on"),
    (gates("name: a, metric: m, at_least: 1, min_n: true"), ":3", "valid integer", "a count that is true"),
    ("schema: 1\nmax_error_rate: yes\ngates:\n" + GATE, ":2", "valid number", "a share that is yes"),
    (gates("name: a, metric: m, no_worse_by: 1.0e-200"), ":3", "at least 1e-06", "a margin that no data tell from none"),
    (gates("name: a, metric: m, no_worse_by: 0, detectable: 1.0e-200"), ":3", "greater than or equal to 0.000001", "a limit that no data reach"),
    (gates("name: a, metric: m, no_worse_by: -0.1"), ":3", "greater than or equal to 0", "a negative margin"),
    (gates("name: a, metric: m, no_worse_by: 0"), ":3", "needs detectable", "nothing can show a drop of 0"),
    (gates("name: a, metric: m, no_worse_by: 0.1, detectable: 0.05"), ":3", "less than no_worse_by", "a limit within the margin"),
    (gates("name: a, metric: m, at_least: 0.1, detectable: 0.05"), ":3", "belongs to no_worse_by", "detectable without baseline"),
    (gates("name: a, metric: m, at_least: 1, slice: {x: a, y: b}"), ":3", "at most 1", "a crossing of two slices"),
    (gates("name: a, metric: m, at_least: 1, min_n: 0"), ":3", "greater than or equal to 1", "no samples at all"),
    (gates("name: 'a b', metric: m, at_least: 1"), ":3", "name", "a name that -k could not select"),
    (gates("name: a, metric: m, at_least: 1", "name: a, metric: m, at_most: 1"), ":4", "two gates are called 'a'", "one name for two"),
    (gates("name: a, metric: m, margin: 0.1"), ":3", "unknown key", "another tool's word"),
    (gates("name: a, metric: m, treshold: 0.1"), ":3", "unknown key", "a typing error"),
    ("schema: 1\nschema: 1\ngates:\n" + GATE, ":2", "stands twice", "a key twice"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said", "why"), SLIPS, ids=[slip[3] for slip in SLIPS])
def test_a_slip_is_named_with_its_line(tmp_path: Path, text: str, line: str, said: str, why: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_gate_file(path)
    assert caught.value.where == f"{path}{line}", why
    assert said in caught.value.what, why


WORDS = [
    ("margin: 0.1", "Write no_worse_by."),
    ("min: 0.1", "Write at_least."),
    ("threshold: 0.1", "Write at_least or at_most."),
    ("at_leest: 0.1", "Did you mean 'at_least'?"),
]


@pytest.mark.parametrize(("key", "remedy"), WORDS)
def test_a_wrong_word_is_answered_with_the_right_one(tmp_path: Path, key: str, remedy: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_gate_file(write(tmp_path, gates(f"name: a, metric: m, {key}")))
    assert remedy in (caught.value.remedy or "")


HOSTILE = [
    (b"\xff\xfe\x00", "not UTF-8"),
    (b"schema: 1\ngates: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    (b"a: &a [1]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n", "unknown key"),
    (b"[" * 5000, "not valid YAML"),
    (b"schema: 1\nbaseline: a\x00.json\n", "not valid YAML"),
]


@pytest.mark.parametrize(("content", "said"), HOSTILE)
def test_hostile_contents_are_one_message(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.gate.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_gate_file(path)
    assert said in caught.value.what


def test_a_file_without_gates_collects_nothing(tmp_path: Path) -> None:
    with pytest.raises(NothingCollected) as caught:
        load_gate_file(write(tmp_path, "schema: 1\ngates: []\n"))
    assert caught.value.exit_code == 5


def test_a_suite_without_gate_files_collects_nothing(tmp_path: Path) -> None:
    write(tmp_path, "schema: 1\ngates: []\n", "gates.yaml")
    with pytest.raises(NothingCollected):
        gate_files_of(tmp_path)


def test_every_gate_file_of_a_suite_is_found_by_name(tmp_path: Path) -> None:
    for name in ("b.gate.yaml", "a.gate.yaml"):
        write(tmp_path, "schema: 1\ngates:\n" + GATE, name)
    assert [file.path.name for file in gate_files_of(tmp_path)] == ["a.gate.yaml", "b.gate.yaml"]


def test_a_link_to_nothing_beside_a_good_gate_file_does_not_vanish(tmp_path: Path) -> None:
    write(tmp_path, "schema: 1\ngates:\n" + GATE, "a.gate.yaml")
    (tmp_path / "b.gate.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SpecError, match="a link to a file that is not there") as caught:
        gate_files_of(tmp_path)
    assert caught.value.where == str(tmp_path / "b.gate.yaml")


def test_another_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"ends in \.gate\.yaml"):
        load_gate_file(write(tmp_path, "schema: 1\n", "gates.yaml"))
