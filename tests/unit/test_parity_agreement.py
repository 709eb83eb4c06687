"""Agreement of hand-written runs: the shares, places and floors are those that were planted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import RunFolderError
from harness.log.reader import RunFolder
from harness.parity.agreement import Agreement, agreement
from harness.parity.columns import read_columns
from harness.parity.first_difference import Characters, first_difference
from harness.parity.folder import DONE, FAILED, Parity, ParityFolder
from harness.parity.noise_floor import floor_of
from harness.report.parity_json import render_parity_json
from harness.report.parity_terminal import render_parity
from harness.run.noise_file import NoiseFile, about, noise_path, write_noise
from harness.stats import wilson_interval
from harness.suite.load import load_suite
from harness.suite.select import Selection
from tests.unit.scored_runs import Planted, write_run

ROOT = Path(__file__).resolve().parents[2]
SAME = {"engine__adapter": None, "engine__adapter_fingerprint": None}
SUITE = load_suite(str(ROOT / "suites" / "_smoke"))


def parity_of(tmp_path: Path, *runs: Sequence[Planted] | str, **changes: Any) -> tuple[Parity, ParityFolder]:
    """Write a parity folder of hand-written runs; a text is why that column failed. `changes` are the last run's."""
    columns = read_columns(",".join(["scripted"] * len(runs)))
    parity = Parity(suite=SUITE, selection=Selection(limit=None, tags={}), columns=columns)
    folder = ParityFolder.create(tmp_path / "reports", parity, ["harness", "parity"])
    for place, (column, samples) in enumerate(zip(columns, runs, strict=True)):
        if isinstance(samples, str):
            folder.set(column, FAILED, error=samples)
            continue
        last = changes if place == len(runs) - 1 else {}
        run = write_run(folder.path / f"{place + 1}-scripted" / f"r{place}", samples, **{**SAME, **last})
        folder.set(column, DONE, run=str(run.relative_to(folder.path)), opened_s=1.5)
    return parity, folder


def found_in(tmp_path: Path, *runs: Sequence[Planted] | str, **changes: Any) -> Agreement:
    return agreement(*parity_of(tmp_path, *runs, **changes), Characters)


def replies(texts: Sequence[str], wrong: Sequence[int] = ()) -> list[Planted]:
    return [
        Planted(f"s{at}", "malformed" if at in wrong else "correct", reply=text)
        for at, text in enumerate(texts)
    ]


def test_texts_and_verdicts_are_counted_as_planted(tmp_path: Path) -> None:
    texts = [f"answer {at}" for at in range(20)]
    other = [text[:4] + "X" + text[5:] if at in (2, 5, 7) else text for at, text in enumerate(texts)]
    found = found_in(tmp_path, replies(texts), replies(other, wrong=(5,)))
    ((column, against),) = found.compared
    assert column.name == "scripted #2"
    assert (against.texts.equal, against.texts.n) == (17, 20)
    assert (against.verdicts.equal, against.verdicts.n) == (19, 20)
    assert 0.6 < against.texts.low < 0.85 < against.texts.high <= 1
    assert against.parted is not None
    assert (against.parted.earliest, against.parted.median) == (4, 4.0)
    assert [one.sample_id for one in against.parted.shown] == ["s5", "s2", "s7"], "other verdicts first"
    assert against.parted.shown[0].verdicts == ("correct", "malformed")
    right = next(metric for metric in against.metrics if metric.found.metric == "right")
    assert right.found.difference.value == pytest.approx(-0.05)


def test_equal_columns_agree_on_everything(tmp_path: Path) -> None:
    texts = [f"answer {at}" for at in range(60)]
    found = found_in(tmp_path, replies(texts), replies(texts), replies(texts))
    for _, against in found.compared:
        assert (against.texts.equal, against.verdicts.equal, against.texts.n) == (60, 60, 60)
        assert against.texts.low == pytest.approx(wilson_interval(60, 60)[0]), "not 100 to 100"
        assert against.texts.high == 1
        assert against.parted is None
        assert all(metric.found.difference.value == 0 for metric in against.metrics)


def test_samples_of_one_cluster_count_once_in_the_interval(tmp_path: Path) -> None:
    texts = [f"answer {at}" for at in range(40)]

    def clustered(size: int) -> Any:
        return [Planted(f"s{at}", reply=text, cluster=f"c{at // size}") for at, text in enumerate(texts)]

    alone = found_in(tmp_path / "a", clustered(1), clustered(1)).compared[0][1].texts
    eight = found_in(tmp_path / "b", clustered(8), clustered(8)).compared[0][1].texts
    assert eight.low == pytest.approx(wilson_interval(5, 5)[0])
    assert eight.low < alone.low


def test_an_error_is_no_answer(tmp_path: Path) -> None:
    one = replies(["a", "b", "c", "d"])
    other = [*replies(["a", "b", "X"]), Planted("s3", status="error")]
    found = found_in(tmp_path, one, other)
    ((column, against),) = found.compared
    assert column.measured is not None
    assert column.measured.errors == 1
    assert (against.texts.equal, against.texts.n) == (2, 3)


def test_a_column_that_failed_is_named_and_the_others_are_compared(tmp_path: Path) -> None:
    texts = ["a", "b"]
    found = found_in(tmp_path, replies(texts), "no such server", replies(texts))
    assert [one.failure for one in found.columns] == [None, "no such server", None]
    assert [one.name for one, _ in found.compared] == ["scripted #3"]
    assert "scripted #2: FAILED. no such server" in shown(found)


def too_long(*names: str) -> list[Planted]:
    return [Planted(name, status="unscored") for name in names]


def test_prompts_that_only_one_column_has_room_for_are_in_no_share_and_are_said(tmp_path: Path) -> None:
    texts = ["a", "b", "c"]
    shorter = [*replies(texts[:2]), *too_long("s2")]
    found = found_in(tmp_path, replies(texts), shorter, replies(texts))
    assert found.notes == (
        "Prompts left unanswered as too long: 1 by scripted #2, 0 by scripted. They are in no share.",
    )
    assert [(against.texts.n, against.verdicts.n) for _, against in found.compared] == [(2, 2), (3, 3)]


def test_prompts_that_no_column_has_room_for_are_no_difference(tmp_path: Path) -> None:
    samples = [*replies(["a", "b"]), *too_long("s2")]
    found = found_in(tmp_path, samples, samples)
    assert found.notes == ()
    assert [against.texts.n for _, against in found.compared] == [2]


def test_prompts_that_are_too_long_for_one_column_each_are_said_too(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    here = [*replies(["a", "b"]), *too_long("s2")]
    there = [*too_long("s0"), *replies(["x", "b", "c"])[1:]]
    assert found_in(tmp_path / "said", here, there).notes == (
        "Prompts left unanswered as too long: 1 by scripted #2, 1 by scripted. They are in no share.",
    )
    _, folder = parity_of(tmp_path / "gated", here, there)
    done = in_process(
        "parity",
        SUITE.folder,
        "--engines",
        "scripted,scripted",
        "--resume",
        folder.path,
        "--fail-under-texts",
        "0",
    )
    assert done.exit_code == 1
    assert "answered only 1 of the 2 prompts that scripted answered" in done.err


UNANSWERED = [
    (1, (), 0, ""),
    (
        1,
        ("--fail-under-texts", "0"),
        1,
        "FAILED: scripted #2 answered only 2 of the 3 prompts that scripted answered",
    ),
    (
        1,
        ("--fail-under-verdicts", "0"),
        1,
        "FAILED: scripted #2 answered only 2 of the 3 prompts that scripted answered",
    ),
    (3, (), 6, "scripted #2: It shares no answered sample with the reference."),
    (3, ("--fail-under-texts", "0"), 1, "also not fully measured: scripted #2"),
    (0, ("--fail-under-texts", "0"), 0, ""),
]


@pytest.mark.parametrize(
    ("many", "bounds", "code", "message"),
    UNANSWERED,
    ids=[f"{case[0]} too long {' '.join(case[1])}" for case in UNANSWERED],
)
def test_a_column_that_has_no_room_for_prompts_of_the_reference_holds_no_bound(
    in_process: Callable[..., Any],
    tmp_path: Path,
    many: int,
    bounds: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    texts = ["a", "b", "c"]
    shorter = [*replies(texts[: 3 - many]), *too_long(*(f"s{at}" for at in range(3 - many, 3)))]
    _, folder = parity_of(tmp_path, replies(texts), shorter)
    done = in_process(
        "parity", SUITE.folder, "--engines", "scripted,scripted", "--resume", folder.path, *bounds
    )
    assert done.exit_code == code, done.err
    assert message in done.err
    assert ("FAILED" in done.err) == (code == 1)


def test_a_column_without_a_common_answer(tmp_path: Path) -> None:
    found = found_in(tmp_path, replies(["a"]), [Planted("s0", status="error")])
    assert found.compared == ()
    assert "shares no answered sample" in str(found.columns[1].failure)


def test_texts_that_a_tokenizer_does_not_tell_apart_part_by_their_characters() -> None:
    class Lower(Characters):
        def split(self, text: str) -> Sequence[int]:
            return super().split(text.lower())

    found = first_difference(Lower(), "aBc", "abc")
    assert (found.position, found.reference.text, found.other.text) == (1, "B", "b")
    assert first_difference(Lower(), "ab", "ab").position == 2, "texts that do not part"


PARTS = [
    ("abc", "abd", 2, "ab", ("c", "d"), "the last character"),
    ("abc", "Xbc", 0, "", ("a", "X"), "the first"),
    ("ab", "abc", 2, "ab", (None, "c"), "one goes on where the other ends"),
    ("", "x", 0, "", (None, "x"), "an empty text"),
    ("0123456789", "012345678X", 9, "345678", ("9", "X"), "a few tokens before it are shown"),
]


@pytest.mark.parametrize(
    ("one", "two", "place", "before", "tokens", "why"), PARTS, ids=[case[5] for case in PARTS]
)
def test_where_texts_part(
    one: str, two: str, place: int, before: str, tokens: tuple[str | None, str | None], why: str
) -> None:
    found = first_difference(Characters(), one, two)
    assert (found.position, found.before) == (place, before)
    for side, token in zip((found.reference, found.other), tokens, strict=True):
        assert side.token == (None if token is None else ord(token))
        assert side.text == (token or "")


def runs_of(folder: Path, *wrong: int, **changes: Any) -> dict[str, RunFolder]:
    """Return runs of ten samples that get so many wrong each; `changes` are the last one's."""
    found = {}
    for at, many in enumerate(wrong):
        samples = [Planted(f"s{place}", "malformed" if place < many else "correct") for place in range(10)]
        last = changes if at == len(wrong) - 1 else {}
        found[f"c{at}"] = RunFolder(write_run(folder / f"r{at}", samples, **{**SAME, **last}))
    return found


def test_without_a_measurement_the_floor_is_what_the_own_settings_show(tmp_path: Path) -> None:
    floor = floor_of(runs_of(tmp_path, 1, 3, 6, engine__engine="vllm"), tmp_path)
    assert floor.kind == "own_settings"
    assert floor.columns == ("c0", "c1")
    assert floor.floors["right"] == pytest.approx(0.2)
    assert floor.within("right", -0.2, "c2") is True
    assert floor.within("right", 0.3, "c2") is False
    assert floor.within("right", 0.2, "c1") is None, "its difference is the floor"
    assert floor.within("unheard_of", 0.0, "c2") is None


def test_a_measured_floor_comes_first(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, 1, 3)
    header = runs["c0"].header()
    measured = NoiseFile(
        about=about(header),
        varied="batch_size",
        values=(1, 8),
        runs=("a", "b"),
        samples=290,
        replies_changed=0.1,
        outcomes_changed=0.1,
        floors={"right": 0.05},
    )
    write_noise(noise_path(tmp_path, header), measured)
    floor = floor_of(runs, tmp_path)
    assert floor.kind == "measured"
    assert floor.within("right", 0.05, "c1") is True
    assert floor.within("right", 0.06, "c1") is False
    assert "batch size 1, 8, 290 samples" in floor.sentence
    write_noise(noise_path(tmp_path, header), NoiseFile(**{**_fields(measured), "about": about({**header, "dataset": {"split": "other", "sha256": "0"}})}))  # fmt: skip
    assert floor_of(runs, tmp_path).kind == "own_settings", "measured on other data, it counts for nothing"


def _fields(noise: NoiseFile) -> dict[str, Any]:
    return {name: getattr(noise, name) for name in NoiseFile.__slots__}


def test_nobody_knows_the_floor_of_one_column_alone(tmp_path: Path) -> None:
    floor = floor_of(runs_of(tmp_path, 1, 1, engine__engine="vllm"), tmp_path)
    assert (floor.kind, floor.floors) == ("none", {})
    assert "harness noise" in floor.sentence


NOTES = [
    ({"engine__dtype": "bfloat16"}, "scripted #2 computes in bfloat16, scripted in float32."),
    ({"engine__device": "cuda (H200)"}, "scripted #2 runs on cuda (H200), scripted on cpu."),
    ({"engine__model_fingerprint": "server:00"}, "Nobody can see from here whether"),
    (
        {"engine__engine": "hf", "engine__model_fingerprint": "00"},
        "scripted #2 and scripted ran different weights.",
    ),
    ({"prompt__template": "server"}, "renders the prompts itself"),
    ({}, None),
]


@pytest.mark.parametrize(("changes", "note"), NOTES, ids=[str(list(case[0])) for case in NOTES])
def test_what_else_differs_is_said(tmp_path: Path, changes: dict[str, Any], note: str | None) -> None:
    found = found_in(tmp_path, replies(["a"]), replies(["a"]), **changes)
    assert [note in one for one in found.notes] == ([True] if note else []), found.notes


def shown(found: Agreement) -> str:
    out = io.StringIO()
    render_parity(found, Console(file=out, width=180, highlight=False))
    return out.getvalue()


def test_what_a_model_wrote_drives_no_terminal_and_breaks_no_json(tmp_path: Path) -> None:
    hostile = "\x1b\u202e[b]x[/b]\ud800 </script>"
    found = found_in(tmp_path, replies(["a", hostile]), replies(["a", "b" + hostile], wrong=(1,)))
    text = shown(found)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b" in text
    assert "[b]x[/" in text, "rich reads no markup in it"
    data = json.loads(render_parity_json(found))
    (differing,) = data["engines"][1]["differing"]
    assert differing["reference"]["token"] == 0x1B
    assert differing["verdicts"] == ["correct", "malformed"]
    assert data["engines"][1]["texts"]["share"] == 0.5


def test_a_folder_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    parity, folder = parity_of(tmp_path, replies(["a"]), replies(["a"]))
    assert ParityFolder.reopen(folder.path, parity).is_done(parity.columns[1])
    other = Parity(suite=SUITE, selection=Selection(limit=3, tags={}), columns=parity.columns[:1])
    with pytest.raises(RunFolderError, match=r"(?s)columns\.scripted #2.*selection\.limit: None -> 3"):
        ParityFolder.reopen(folder.path, other)
    with pytest.raises(RunFolderError, match="not a parity folder"):
        ParityFolder.reopen(tmp_path, parity)
    (folder.path / "parity.json").write_text('{"schema": 1, "columns": []}', encoding="utf-8")
    with pytest.raises(RunFolderError, match="damaged"):
        ParityFolder.reopen(folder.path, parity)
