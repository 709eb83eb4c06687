"""Runs of the tools scenario: planted leaks, facts, echoes and a planted tax are found, in one run and between two."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.parse.hermes import Hermes
from harness.prompt.answer import gold_calls
from harness.run.score_run import score_run
from harness.score.findings import FINDINGS
from harness.suite.load import Suite, load_suite
from harness.types import Generation, Prompt, Sample, ToolCall
from tests.persona.scripted_runs import ROOT, Recorder, answered, copy_of_suite, plan_of, planted_judge, run

__all__ = ["planted_judge"]

PERSONA = "founder_ko"

pytestmark = pytest.mark.usefixtures("planted_judge")


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite(str(ROOT / "suites" / "persona_tools"))


def number_of(sample: Sample) -> int:
    """Return the task's number, from 1."""
    return int(sample.tags["task"].rpartition("-")[2])


def calls(sample: Sample, change: Callable[[ToolCall], ToolCall] = lambda call: call) -> str:
    first, *rest = gold_calls(sample)
    return Hermes().render_calls([change(first), *rest])


def leaking(call: ToolCall) -> ToolCall:
    name = next(key for key, value in call.arguments.items() if isinstance(value, str))
    return ToolCall(
        name=call.name, arguments={**call.arguments, name: f"{call.arguments[name]} 회로처럼 간다"}
    )


def right(sample: Sample) -> str:
    return calls(sample) if sample.gold else "style_0.6 그건 말로 할게"


def closing(sample: Sample, *, style: float) -> str:
    """Say two words and then every fact."""
    return (
        " ".join(["자", "들어 봐.", *(alternatives[0] for alternatives in sample.facts)]) + f" style_{style}"
    )


def model(
    *, wrong: Callable[[Sample], bool], leaks: Callable[[Sample], bool], chat: float, after: float
) -> Callable[[Prompt], str]:
    def answer(prompt: Prompt) -> str:
        sample = prompt.sample
        if sample.tags["side"] == "chat":
            return f"style_{chat if sample.tags['condition'] == 'persona' else 0.1}"
        if sample.tags["side"] == "after":
            return closing(sample, style=after if sample.tags["condition"] == "persona" else 0.1)
        if wrong(sample):
            return (
                "style_0.5 부를 게 없어"
                if sample.gold
                else Hermes().render_calls([ToolCall(name=sample.tools[0].name, arguments={})])
            )
        return calls(sample, leaking) if leaks(sample) else right(sample)

    return answer


def no(sample: Sample) -> bool:
    return False


def has_text(sample: Sample) -> bool:
    return bool(sample.gold) and any(isinstance(v, str) for v in gold_calls(sample)[0].arguments.values())


def scored(
    suite: Suite,
    answer: Callable[[Prompt], str | Generation],
    folder: Path,
    name: str,
    *,
    adapter: str | None = None,
    base: str = "weights",
    dtype: str = "none",
    **tags: str,
) -> Path:
    engine = Recorder(answer, base, adapter=adapter, dtype=dtype)
    path, _ = run(plan_of(suite, engine, **(tags or {"persona": PERSONA})), engine, folder / name)
    score_run(path)
    return path


def cells_of(path: Path) -> dict[str, dict]:
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    return summary["persona"]["tools"][PERSONA]


def test_every_task_is_asked_on_all_sides(suite: Suite, tmp_path: Path) -> None:
    engine = Recorder(model(wrong=no, leaks=no, chat=0.8, after=0.8))
    run(plan_of(suite, engine, persona=PERSONA), engine, tmp_path)
    assert len(engine.batches) == 1
    assert len(engine.asked) == 2 * (40 + 28 + 24)
    for prompt in engine.asked:
        sample = prompt.sample
        persona = "표도건이다" in sample.messages[0].content
        assert persona == (sample.tags["condition"] == "persona")
        if sample.tags["side"] == "after":
            assert [m.name for m in sample.messages if m.role == "tool"] == [
                call.name for m in sample.messages for call in m.tool_calls
            ]
        assert bool(sample.tools) == (sample.tags["side"] != "chat")


def test_a_perfect_model_has_nothing_against_it(suite: Suite, tmp_path: Path) -> None:
    path = scored(suite, model(wrong=no, leaks=no, chat=0.8, after=0.4), tmp_path, "perfect")
    found = cells_of(path)["persona"]["measures"]
    assert found["tools_right"]["value"] == 1
    assert (found["argument_leak"]["value"], found["argument_leak"]["n"]) == (0, 28)
    assert found["key_leak"]["value"] == 0
    assert found["call_chatter"]["value"] == 0
    assert found["fact_recall"]["value"] == 1
    assert found["after_json_echo"]["value"] == 0
    assert found["after_called"]["value"] == 0
    assert found["after_lead"]["value"] == 3
    assert cells_of(path)["persona"]["style_kept"]["value"] == pytest.approx(0.5)
    assert cells_of(path)["neutral"]["measures"]["chat_style"]["value"] == pytest.approx(0.1)


def test_planted_leaks_are_counted_by_call(suite: Suite, tmp_path: Path) -> None:
    def leaks(sample: Sample) -> bool:
        return has_text(sample) and number_of(sample) % 2 == 0 and sample.tags["condition"] == "persona"

    planted = sum(
        leaks(one.sample)
        for one in suite.samples()
        if one.sample.tags["side"] == "call" and one.sample.tags["persona"] == PERSONA
    )
    path = scored(suite, model(wrong=no, leaks=leaks, chat=0.8, after=0.8), tmp_path, "leaks")
    persona, neutral = (cells_of(path)[name]["measures"] for name in ("persona", "neutral"))
    # 25 single and 3 double calls.
    assert planted > 5
    assert persona["argument_leak"]["value"] == pytest.approx(planted / 31)
    assert neutral["argument_leak"]["value"] == 0
    assert persona["tools_right"]["value"] == pytest.approx(1 - planted / 40)


def test_bad_closing_replies_are_told_apart(suite: Suite, tmp_path: Path) -> None:
    def answer(prompt: Prompt) -> str:
        sample = prompt.sample
        if sample.tags["side"] != "after":
            return right(sample) if sample.tags["side"] == "call" else "style_0.8"
        number = number_of(sample)
        if number == 1:
            return next(m.content for m in sample.messages if m.role == "tool")
        if number == 2:
            return closing(sample, style=0.8) + " 그리고 98765번"
        if number == 3:
            return "style_0.8 됐어."
        if number == 4:
            return Hermes().render_calls([ToolCall(name=sample.tools[0].name, arguments={})])
        return closing(sample, style=0.8)

    path = scored(suite, answer, tmp_path, "bad")
    found = cells_of(path)["persona"]["measures"]
    assert found["after_json_echo"]["value"] == pytest.approx(1 / 28)
    assert found["after_other_number"]["value"] == pytest.approx(1 / 28)
    assert found["after_called"]["value"] == pytest.approx(1 / 28)
    facts = sum(len(one.sample.facts) for one in suite.samples() if one.sample.tags["side"] == "after") // 4
    assert found["fact_recall"]["value"] == pytest.approx(1 - 2 / facts)
    verdicts = {}
    codes = set()
    for line in (path / "scores.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        verdicts[record["sample_id"]] = record["verdict"]
        codes |= {found["code"] for found in record["findings"]}
    assert {"after:echo", "after:number", "after:call", "persona:facts"} <= codes <= FINDINGS.keys()
    assert verdicts[f"{PERSONA}/persona/persona-tools-03/after"] == "persona_facts"
    assert verdicts[f"{PERSONA}/persona/persona-tools-04/after"] == "false_call"
    assert verdicts[f"{PERSONA}/persona/persona-tools-05/after"] == "in_character"


@pytest.fixture(scope="module")
def pair(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Base: 2 tasks wrong under the persona prompt. Adapter: 4 under the neutral one, 14 under the persona one."""

    def wrong_by(neutral: int, persona: int) -> Callable[[Sample], bool]:
        return lambda sample: (
            number_of(sample) <= (neutral if sample.tags["condition"] == "neutral" else persona)
        )

    folder = tmp_path_factory.mktemp("pair")
    base = scored(suite, model(wrong=wrong_by(0, 2), leaks=no, chat=0.3, after=0.2), folder, "base")
    adapter = scored(
        suite,
        model(wrong=wrong_by(4, 14), leaks=no, chat=0.8, after=0.6),
        folder,
        "adapter",
        adapter="adapter",
    )
    return base, adapter


def test_a_planted_tax_is_measured_between_two_runs(pair: tuple[Path, Path], in_process) -> None:
    done = in_process("persona", "tools", *pair, "--json")
    assert done.exit_code == 0, done.err
    found = json.loads(done.out)["runs"][0]["personas"][0]
    tax = found["tax"]["tools_right"]
    assert {name: tax[name]["value"] for name in ("tax", "prompt", "adapter", "interaction")} == {
        "tax": pytest.approx(14 / 40),
        "prompt": pytest.approx(2 / 40),
        "adapter": pytest.approx(4 / 40),
        "interaction": pytest.approx(8 / 40),
    }
    assert found["verdict"] == "inferior"
    assert found["tax"]["tool_name_accuracy"]["tax"]["value"] == pytest.approx(14 / 28)
    assert found["style_gain"]["after_style"]["value"] == pytest.approx(0.4)
    assert found["adapter"]["persona"]["style_kept"]["value"] == pytest.approx(0.75)


def test_the_comparison_is_shown_and_drawn(pair: tuple[Path, Path], in_process, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = in_process("persona", "tools", *pair, "--html", page)
    assert done.exit_code == 0, done.err
    assert "WORSE" in done.out
    assert "100.0\u00a0% of the tool tasks" in done.out
    assert "-35.0 (" in done.out
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("<svg") == 2
    assert len(re.findall(r'<circle class="spot', text)) == 2 * 4
    assert 'class="ring"' in text
    again = tmp_path / "again.html"
    in_process("persona", "tools", *pair, "--html", again)
    assert again.read_bytes() == page.read_bytes()


def test_equal_runs_cannot_be_told_with_forty_tasks(suite: Suite, tmp_path: Path, in_process) -> None:
    perfect = model(wrong=no, leaks=no, chat=0.8, after=0.8)
    paths = [
        scored(suite, perfect, tmp_path, name, adapter=adapter)
        for name, adapter in (("one", None), ("two", "mine"))
    ]
    done = in_process("persona", "tools", *paths)
    assert done.exit_code == 0, done.err
    assert "CANNOT TELL" in done.out
    assert "125 are needed" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{base}"], 4, "Missing argument"),
        (["{base}", "{base}"], 4, "named twice"),
        (["{base}", "{adapter}", "--margin", "3"], 4, "margin"),
        (["{base}", "{adapter}", "--html", "/nowhere/at/all.html"], 4, "no such folder"),
        (["{base}", "/nowhere"], 4, "not a run folder"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    pair: tuple[Path, Path], in_process, arguments: list[str], code: int, said: str
) -> None:
    names = {"base": str(pair[0]), "adapter": str(pair[1])}
    done = in_process("persona", "tools", *(one.format(**names) for one in arguments))
    assert done.exit_code == code
    assert said in done.err


def test_a_damaged_score_is_named(pair: tuple[Path, Path], in_process, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(pair[1], tmp_path / "damaged"))
    path = damaged / "scores.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[0])
    record["measures"] = {"tools_right": "all"}
    path.write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n", encoding="utf-8")
    done = in_process("persona", "tools", pair[0], damaged)
    assert done.exit_code == 4
    assert "no pair of numbers" in done.err


def test_only_adapters_of_the_base_as_it_was_asked_are_held_against_it(
    suite: Suite, pair: tuple[Path, Path], tmp_path: Path, in_process
) -> None:
    perfect = model(wrong=no, leaks=no, chat=0.8, after=0.8)
    hotter = load_suite(
        str(copy_of_suite("persona_tools", tmp_path, **{"temperature: 0,": "temperature: 0.7,"}))
    )
    cases = [
        (scored(suite, perfect, tmp_path, "again"), "no adapter"),
        (scored(suite, perfect, tmp_path, "other", adapter="mine", base="others"), "another base"),
        (scored(suite, perfect, tmp_path, "half", adapter="mine", dtype="float16"), "dtype"),
    ]
    for path, said in cases:
        done = in_process("persona", "tools", *pair, path)
        assert done.exit_code == 4, said
        assert said in done.err
        assert path.name in done.err.replace("\n", "")
    pairs = [
        scored(one, perfect, tmp_path, name, adapter=adapter)
        for one, name, adapter in ((hotter, "hot", None), (hotter, "hot_mine", "mine"))
    ]
    assert in_process("persona", "tools", *pairs).exit_code == 0
    header = json.loads((pairs[1] / "run.json").read_text(encoding="utf-8"))
    header["sampling"]["temperature"] = 0.2
    (pairs[1] / "run.json").write_text(json.dumps(header), encoding="utf-8")
    done = in_process("persona", "tools", *pairs)
    assert done.exit_code == 4
    assert "temperature" in done.err


def test_adapters_of_one_name_are_told_apart(suite: Suite, tmp_path: Path, in_process) -> None:
    perfect = model(wrong=no, leaks=no, chat=0.8, after=0.8)
    paths = [
        scored(suite, perfect, tmp_path, f"run{place}", adapter=adapter)
        for place, adapter in enumerate((None, "first/checkpoint-40", "second/checkpoint-40", "third/base"))
    ]
    page = tmp_path / "page.html"
    done = in_process("persona", "tools", *paths, "--html", page)
    assert done.exit_code == 0, done.err
    assert "checkpoint-40 against" in done.out
    assert "checkpoint-40 (2) against" in done.out
    # Base and three adapters, two prompts, drawn twice.
    assert len(re.findall(r'<circle class="spot', page.read_text(encoding="utf-8"))) == 2 * 2 * 4


def test_characters_of_one_run_alone_are_named(suite: Suite, tmp_path: Path, in_process) -> None:
    perfect = model(wrong=no, leaks=no, chat=0.8, after=0.8)
    base = scored(suite, perfect, tmp_path, "base", language="ko")
    mine = scored(suite, perfect, tmp_path, "mine", adapter="mine")
    page = tmp_path / "page.html"
    for arguments in ((), ("--html", page)):
        done = in_process("persona", "tools", base, mine, *arguments)
        assert done.exit_code == 0, done.err
        assert "Not compared: librarian_ko, which only the base's run has." in done.out
    assert "librarian_ko, which only the base" in page.read_text(encoding="utf-8")
    found = json.loads(in_process("persona", "tools", base, mine, "--json").out)
    assert found["runs"][0]["left_out"] == [{"persona": "librarian_ko", "only_in": "base"}]


def test_a_reply_cut_at_the_budget_fails_its_gates(suite: Suite, tmp_path: Path) -> None:
    perfect = model(wrong=no, leaks=no, chat=0.8, after=0.8)

    def cut(prompt: Prompt) -> Generation:
        given = answered(prompt, perfect(prompt))
        return replace(given, finish_reason="length") if prompt.sample.tags["side"] == "chat" else given

    found = cells_of(scored(suite, cut, tmp_path, "cut"))["persona"]["measures"]
    assert found["chat_passed"]["value"] == 0
    assert found["after_passed"]["value"] == 1
