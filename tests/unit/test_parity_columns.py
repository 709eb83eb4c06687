"""`--engines`: what is written is what is compared, and what cannot be read says so."""

from __future__ import annotations

import pytest

from harness.errors import MissingDependency, UsageError
from harness.parity.columns import Column, check_columns, default_columns, read_columns, with_merged

GOOD = [
    ("hf,hf", [("hf", {}), ("hf #2", {})], "a column may be repeated: is it the same again?"),
    (
        "hf,hf:max_batch=1,share_prefix=off,scripted",
        [
            ("hf", {}),
            ("hf:max_batch=1,share_prefix=off", {"max_batch": "1", "share_prefix": "off"}),
            ("scripted", {}),
        ],
        "K=V goes on with the column before it",
    ),
    (
        " hf , openai:base_url=http://127.0.0.1:8000/v1?a=b,served_model=x:y ",
        [
            ("hf", {}),
            (
                "openai:base_url=http://127.0.0.1:8000/v1?a=b,served_model=x:y",
                {"base_url": "http://127.0.0.1:8000/v1?a=b", "served_model": "x:y"},
            ),
        ],
        "an address holds colons and equals signs",
    ),
    (
        "hf,openai:base_url=http://h/v1,adapter:mine=served",
        [
            ("hf", {}),
            (
                "openai:base_url=http://h/v1,adapter:mine=served",
                {"base_url": "http://h/v1", "adapter:mine": "served"},
            ),
        ],
        "an option of the openai engine holds a colon itself",
    ),
    (
        "scripted:script=a/b.yaml,scripted:script=c.yaml",
        [
            ("scripted:script=a/b.yaml", {"script": "a/b.yaml"}),
            ("scripted:script=c.yaml", {"script": "c.yaml"}),
        ],
        "paths",
    ),
]


@pytest.mark.parametrize(("text", "wanted", "why"), GOOD, ids=[case[2] for case in GOOD])
def test_columns(text: str, wanted: list[tuple[str, dict[str, str]]], why: str) -> None:
    assert [(one.name, dict(one.options)) for one in read_columns(text)] == wanted


def test_numbers_are_no_options() -> None:
    _, column, other = read_columns("hf,hf:dtype=bfloat16,max_batch=2,hf:quantization=nf4")
    assert (column.dtype, column.quantization, dict(column.options)) == ("bfloat16", None, {"max_batch": "2"})
    assert column.name == "hf:max_batch=2,dtype=bfloat16"
    assert (other.dtype, other.quantization, dict(other.options)) == (None, "nf4", {})


BAD = [
    ("hf", "two columns or more"),
    ("", "nothing between two commas"),
    ("hf,,hf", "nothing between two commas"),
    ("hf,hf:", "'hf:' begins no column"),
    ("hf,hf:max_batch", "'hf:max_batch' begins no column"),
    ("max_batch=1,hf", "'max_batch=1' begins no column"),
    ("hf,hf:max_batch=", "'max_batch=' sets nothing|'hf:max_batch=' sets nothing"),
    ("hf,hf:=1", "'hf:=1' sets nothing"),
    ("hf,hff", "no engine 'hff'"),
    ("hf,hf:max_batch=1,max_batch=2", "max_batch twice"),
    ("hf,hf:dtype=float32,dtype=float32", "dtype twice"),
    ("hf,hf:dtype=float23", "dtype 'float23' is not known"),
    ("hf,hf:quantization=int3", "quantization 'int3' is not known"),
    ("hf,../hf", "begins no column"),
    (",".join(["hf"] * 21), "21 columns"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[case[0][:30] or "empty" for case in BAD])
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_columns(text)
    assert caught.value.remedy


def test_an_address_for_the_servers_that_have_none() -> None:
    columns = read_columns("hf,openai,openai:base_url=http://own/v1", "http://given/v1")
    assert [one.options.get("base_url") for one in columns] == [None, "http://given/v1", "http://own/v1"]
    with pytest.raises(UsageError, match="no column asks one"):
        read_columns("hf,hf:max_batch=1", "http://given/v1")


def test_the_merged_model_comes_after_the_reference_in_its_settings() -> None:
    columns = with_merged(read_columns("hf:max_batch=4,hf"))
    assert [(one.name, one.merged) for one in columns] == [
        ("hf:max_batch=4", False),
        ("hf merged:max_batch=4", True),
        ("hf", False),
    ]


def test_the_default_names_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engine.packages.find_spec", lambda name: object())
    assert [one.name for one in default_columns()[0]][3:] == ["vllm"]
    assert default_columns()[1] == ()
    monkeypatch.setattr("harness.engine.packages.find_spec", lambda name: None)
    columns, remarks = default_columns()
    assert [one.name for one in columns] == ["hf", "hf:max_batch=1", "hf:share_prefix=off"]
    assert len(remarks) == 1
    assert 'pip install "persona-harness[vllm]"' in remarks[0]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_column_is_checked_and_named(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    engines = ["scripted"] * 3
    check_columns(read_columns(",".join(engines)))
    engines[place] = "scripted:nonsense=1"
    with pytest.raises(UsageError, match=r"--engines: scripted:nonsense=1: .* has no option 'nonsense'"):
        check_columns(read_columns(",".join(engines)))
    engines[place] = "hf"
    monkeypatch.setattr("harness.engine.packages.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r'(?s)the hf engine needs torch, .*"persona-harness\[hf\]"'):
        check_columns(read_columns(",".join(engines)))


def test_no_secret_is_stored_or_shown() -> None:
    column = Column(name="x", engine="openai", options={"api_key": "sk-planted", "mode": "chat"})
    assert column.record()["options"] == {"api_key": "[redacted]", "mode": "chat"}
    columns = read_columns("hf,openai:api_key=sk-planted")
    assert "sk-planted" not in columns[1].name
    assert columns[1].options["api_key"] == "sk-planted"
