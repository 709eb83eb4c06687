"""`harness persona judge`: what it asks before it asks, what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("httpx")

from harness.errors import EXIT_DONE, EXIT_INCOMPLETE, EXIT_USAGE
from harness.persona.judge.endpoint import KEY_VARIABLE
from harness.run.judge_files import ANSWERS, JUDGE
from tests.conftest import Finished
from tests.persona.judge.judged_runs import CARD, in_character, write_replies
from tests.persona.judge.stub_judge import PlantedJudge, StubServer, serving, verdicts
from tests.planted_server import Reaction

pytestmark = pytest.mark.network

KEY = "sk-planted-" + "fedcba9876543210"
Call = Callable[..., Finished]


@pytest.fixture
def server() -> Iterator[StubServer]:
    with serving(PlantedJudge(in_character)) as one:
        yield one


@pytest.fixture
def ask(in_process: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Call the command with a judge at an address and a key in the environment."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("COLUMNS", "140")

    def call(server: StubServer, *arguments: str | Path) -> Finished:
        place = ("--base-url", server.url, "--model", "stub")
        return in_process("persona", "judge", CARD, *arguments, *place)

    return call


def test_a_judging_from_cost_to_table(ask: Call, server: StubServer, tmp_path: Path) -> None:
    run, share = write_replies(tmp_path / "tuned", 0.7)
    base, _ = write_replies(tmp_path / "base", 0.2)
    done = ask(server, run, "--base", base, "--yes", "--price-prompt", "2", "--price-answer", "8")
    assert done.exit_code == EXIT_DONE, done.err
    assert done.err.splitlines()[0].endswith("at the prices given")
    assert "qualified for check-lists" in done.out
    assert "NOT QUALIFIED" not in done.out
    for words in ("run: replies accepted", "run - base: wit", "same side in both orders", "at equal length"):
        assert words in done.out
    stored = json.loads((run / JUDGE).read_text(encoding="utf-8"))
    assert stored["calls"]["asked"] == server.calls
    accepted = next(row for row in stored["summary"]["rows"] if row["id"] == "run.accepted")
    assert accepted["value"] == pytest.approx(share, abs=0.05)
    assert KEY not in done.out + done.err
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    again = ask(server, run, "--base", base, "--json")
    assert again.exit_code == EXIT_DONE, "without --yes: nothing is left to ask"
    assert again.err.startswith("0 calls")
    assert json.loads(again.out) == stored["summary"]


def test_a_dry_run_says_what_it_would_cost_and_asks_nothing(
    ask: Call, server: StubServer, tmp_path: Path
) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    done = ask(server, run, "--dry-run", "--limit", "10")
    assert (done.exit_code, server.calls) == (EXIT_DONE, 0)
    calls = int(done.err.split()[0])
    assert 176 < calls <= 186
    assert "tokens in" in done.err
    assert not (run / ANSWERS).exists()


def test_the_estimate_comes_with_an_upper_bound(ask: Call, server: StubServer, tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    prices = ("--price-prompt", "0", "--price-answer", "1000000")
    done = ask(
        server, run, "--no-qualification", "--limit", "10", "--dry-run", "--max-tokens", "100", *prices
    )
    assert done.err.startswith("10 calls, about ")
    assert "at most 1,000 out" in done.err
    assert "at most 1000.00" in done.err
    unbounded = ask(server, run, "--no-qualification", "--dry-run", "--param", "max_tokens=null")
    assert "no upper bound" in unbounded.err


def test_attempts_count_against_max_calls(ask: Call, tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with serving(lambda asked: Reaction(status=500, raw=b"")) as server:
        place = (
            "--no-qualification",
            "--limit",
            "4",
            "--max-calls",
            "6",
            "--max-wait",
            "0",
            "--parallel",
            "1",
            "--max-missing",
            "1",
        )
        done = ask(server, run, *place)
        assert server.calls == 6
    assert done.exit_code == EXIT_INCOMPLETE
    assert "--max-calls" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nobody is there to agree"),
        (("--max-calls", "5"), "--max-calls allows 5"),
        (("--max-calls", "5", "--yes"), "--max-calls allows 5"),
        (("--max-cost", "0.0001", "--price-prompt", "1", "--price-answer", "1"), "--max-cost allows 0.0001"),
        (("--max-cost", "1"), "--max-cost needs prices"),
        (("--price-prompt", "1"), "both prices"),
        (("--key-env", "NOT_SET_ANYWHERE", "--yes"), "NOT_SET_ANYWHERE is not set"),
        (("--tuning-split", "test"), "chosen on the replies that it is measured on"),
        (("--held-out-split", "exam"), "no split 'exam'"),
        (("--param", "api_key=1"), "would be written into the results"),
        (("--labels", "nowhere.jsonl"), "no such file"),
        (("--no-qualification", "--labels", "x.jsonl"), "labels are a part of the qualification"),
    ],
)
def test_what_is_refused_before_the_first_call(
    ask: Call, server: StubServer, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    done = ask(server, run, *options)
    assert (done.exit_code, server.calls) == (EXIT_USAGE, 0), done.err
    assert said in done.err
    assert not (run / JUDGE).exists()


def test_an_endpoint_is_needed(in_process: Call) -> None:
    assert "--base-url is missing" in in_process("persona", "judge", CARD).err
    assert "--model is missing" in in_process("persona", "judge", CARD, "--base-url", "http://h/v1").err


def test_another_personas_run_is_refused(ask: Call, server: StubServer, tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    header["persona"] = {"name": "librarian_ko"}
    (run / "run.json").write_text(json.dumps(header), encoding="utf-8")
    done = ask(server, run, "--yes")
    assert done.exit_code == EXIT_USAGE
    assert "'librarian_ko'" in done.err


def test_runs_that_measured_different_things_are_not_paired(
    ask: Call, server: StubServer, tmp_path: Path
) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    base, _ = write_replies(tmp_path / "base", 0.5, suite__version="2.0.0")
    done = ask(server, run, "--base", base, "--yes")
    assert (done.exit_code, server.calls) == (EXIT_USAGE, 0)
    assert "another version of the suite" in done.err


def test_an_unqualified_judges_rows_are_marked(ask: Call, tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)

    def yes(asked: object) -> Reaction:
        replies, items = asked.replies, asked.items  # type: ignore[attr-defined]
        return Reaction(verdicts(replies[0], [True] * len(items)))

    with serving(yes) as server:
        done = ask(server, run, "--yes")
    assert done.exit_code == EXIT_DONE
    rows = [line for line in done.out.splitlines() if line.startswith("run: ")]
    assert rows
    assert all(line.rstrip().endswith("NOT QUALIFIED") for line in rows)
    assert "check-lists: NOT QUALIFIED" in done.err, "said before the run is asked about"


def test_prose_ends_with_a_code_of_its_own(ask: Call, tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    with serving(lambda asked: Reaction("Yes, throughout.")) as server:
        done = ask(server, run, "--yes")
    assert done.exit_code == EXIT_INCOMPLETE
    assert "prose instead of JSON" in done.err
    assert "--max-missing" in done.err


def test_a_form_is_filled_in_by_people_and_read_back(ask: Call, server: StubServer, tmp_path: Path) -> None:
    run, _ = write_replies(tmp_path / "tuned", 0.5)
    path = tmp_path / "form.jsonl"
    done = ask(server, run, "--label-form", path)
    assert (done.exit_code, server.calls) == (EXIT_DONE, 0), done.err
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 60
    header = json.loads((run / "generations.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert header["sample_id"] not in path.read_text(encoding="utf-8"), "an id may give the answer away"
    assert ask(server, run, "--label-form", path).exit_code == EXIT_USAGE, "a form may hold answers"
    empty = ask(server, run, "--labels", path, "--yes")
    assert "no label is about a reply" in empty.err
    for place, line in enumerate(lines):
        line["label"] = "yes" if in_character(line["text"]) else "no"
        line["rater"] = "kim" if place % 2 else "lee"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = ask(server, run, "--labels", path, "--yes")
    assert done.exit_code == EXIT_DONE, done.err
    assert "agreement with people" in done.out
    stored = json.loads((run / JUDGE).read_text(encoding="utf-8"))["qualification"]["agreement"]
    assert (stored["unused"], stored["kappa"]["n"]) == (0, 60)


def test_the_judge_alone_is_tried(ask: Call, server: StubServer, tmp_path: Path) -> None:
    done = ask(server, "--yes", "--out", tmp_path)
    assert done.exit_code == EXIT_DONE, done.err
    assert "qualified for pairs" in done.out
    assert (tmp_path / "judge" / "founder-ko-stub" / JUDGE).is_file()
