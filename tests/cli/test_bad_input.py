"""Bad input gets one clear message with the place and the remedy, the documented exit code, and no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.engine import packages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of the smoke suite and its data that a test may damage."""
    shutil.copytree(ROOT / "suites" / "_smoke", tmp_path / "suites" / "_smoke")
    shutil.copytree(ROOT / "datasets" / "smoke", tmp_path / "datasets" / "smoke")
    return tmp_path


def _suite(workspace: Path) -> Path:
    return workspace / "suites" / "_smoke"


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def _records(workspace: Path) -> Path:
    return workspace / "datasets" / "smoke" / "test.jsonl"


def _edit_record(workspace: Path, index: int, **changes: object) -> None:
    lines = _records(workspace).read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[index])
    record.update(changes)
    lines[index] = json.dumps(record, ensure_ascii=False)
    _records(workspace).write_text("\n".join(lines) + "\n", encoding="utf-8")


SUITE_EDITS = [
    (
        "description:",
        "descriptoin:",
        "descriptoin",
        "Did you mean 'description'",
        "an unknown key is no option",
    ),
    (
        "temperature",
        "temprature",
        "temprature",
        "Did you mean 'temperature'",
        "unknown keys inside a mapping",
    ),
    ("version: 1.0.0", "version: one", "version", "suite.yaml:3", "a version that is none names its line"),
    ("schema: 1", "schema: 2", "schema", "suite.yaml:1", "a schema of the future"),
    ("split: test", "split: train", "no train.jsonl", "Splits there: test", "a split that is not there"),
    (
        "../../datasets/smoke",
        "../../datasets/smok",
        "no such folder",
        "suite.yaml",
        "a data set that is not there",
    ),
    (
        "[tool_name_accuracy,",
        "[tool_name_acuracy,",
        "unknown metric",
        "tool_name_accuracy",
        "a metric misspelt",
    ),
    (
        "max_new_tokens: 64",
        "max_new_tokens: yes",
        "generation.max_new_tokens: Input should be a valid integer",
        "suite.yaml",
        "yes is no 1",
    ),
    ("max_new_tokens: 64", "max_new_tokens: 0", "max_new_tokens", "suite.yaml", "a budget of nothing"),
    ("schema: 1", "schema: 1\nschema: 1", "stands twice", "suite.yaml:2", "a duplicate key is not last-wins"),
    ("schema: 1", "schema: [1", "not valid YAML", "suite.yaml", "broken YAML"),
]


@pytest.mark.parametrize(
    ("old", "new", "what", "where", "why"), SUITE_EDITS, ids=[row[4] for row in SUITE_EDITS]
)
def test_suite_yaml(workspace: Path, in_process, old: str, new: str, what: str, where: str, why: str) -> None:
    _edit(_suite(workspace) / "suite.yaml", old, new)

    done = in_process("run", _suite(workspace), "--engine", "scripted", "--out", workspace / "reports")

    assert done.exit_code == 4
    assert what in done.err
    assert where in done.err
    assert "Traceback" not in done.err
    assert not (workspace / "reports").exists(), "nothing may be written before the input is sound"


def test_malformed_line_names_file_and_line(workspace: Path, in_process) -> None:
    lines = _records(workspace).read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3][:-5]
    _records(workspace).write_text("\n".join(lines) + "\n", encoding="utf-8")

    done = in_process("run", _suite(workspace), "--engine", "scripted")

    assert done.exit_code == 4
    assert "test.jsonl:4" in done.err


RECORD_EDITS = [
    ({"id": "smoke-1"}, "smoke-1", "a duplicate id"),
    (
        {"tools": ["set_timer", "switch_lihgt"]},
        "switch_light",
        "a tool that tools.json lacks, with the nearest",
    ),
    (
        {
            "gold": [
                {
                    "name": "switch_light",
                    "arguments": {"room": {"accept": ["garage"]}, "on": {"accept": [True]}},
                }
            ]
        },
        "garage",
        "gold that the schema forbids",
    ),
    (
        {"gold": [{"name": "open_door", "arguments": {}}]},
        "open_door",
        "gold that calls a tool which is not offered",
    ),
    ({"expectt": "call"}, "expect", "an unknown key"),
    ({"expect": "maybe"}, "maybe", "an expectation that does not exist"),
    ({"messages": []}, "messages", "no messages"),
    ({"gold": []}, "gold", "expect call without gold"),
]


@pytest.mark.parametrize(("changes", "named", "why"), RECORD_EDITS, ids=[row[2] for row in RECORD_EDITS])
def test_records(workspace: Path, in_process, changes: dict[str, object], named: str, why: str) -> None:
    _edit_record(workspace, 1, **changes)

    done = in_process("run", _suite(workspace), "--engine", "scripted")

    assert done.exit_code == 4
    assert "test.jsonl:2" in done.err
    assert named in done.err
    assert "Traceback" not in done.err


COMMANDS = [
    (["run", "suites/tool_caling", "--engine", "scripted"], 4, "no suite"),
    (["run", "suites/_smoke", "--engine", "scriptd"], 4, "Did you mean 'scripted'"),
    (["run", "suites/_smoke", "--engine", "scripted", "--engine-option", "dealy_s=1"], 4, "delay_s"),
    (["run", "suites/_smoke", "--engine", "scripted", "--engine-option", "delay_s=x"], 4, "delay_s"),
    (["run", "suites/_smoke", "--engine", "scripted", "--model", "x"], 4, "no model"),
    (["run", "suites/_smoke", "--engine", "scripted", "--adapter", "x"], 4, "no adapters"),
    (["run", "suites/_smoke", "--engine", "scripted", "--tag", "category=none"], 5, "category=none"),
    (["run", "suites/_smoke", "--engine", "scripted", "--tag", "category"], 4, "KEY=VALUE"),
    (["run", "suites/_smoke", "--engine", "scripted", "--limit", "0"], 4, "limit"),
    (["run", "suites/_smoke", "--engine", "replay"], 4, "from="),
    (["run", "suites/_smoke", "--engine", "replay", "--engine-option", "from=nowhere"], 4, "run.json"),
    (["run", "suites/_smoke", "--engine", "scripted", "--resume", "nowhere"], 4, "run.json"),
    (["run", "suites/_smoke", "--model", "no/such-model-anywhere"], 4, "no/such-model-anywhere"),
    (["run", "datasets/smoke"], 4, "suite.yaml"),
    (["score", "nowhere"], 4, "run.json"),
    (["report", "nowhere"], 4, "run.json"),
    (["models", "pull", "smollm2-135"], 4, "smollm2-135m"),
    (["rnu"], 4, "No such command"),
    (["run", "suites/_smoke", "--limt", "3"], 4, "--limit"),
    ([], 4, "Usage"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "said"), COMMANDS, ids=[" ".join(row[0]) or "nothing" for row in COMMANDS]
)
def test_command_lines(
    workspace: Path, in_process, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    done = in_process(*arguments)

    assert done.exit_code == code, done.err
    assert said in done.err + done.out
    assert "Traceback" not in done.err


URL = ("--base-url", "http://127.0.0.1:9/v1")
LOCAL_RAY = ("--engine-option", "address=local")
NOT_INSTALLED = [
    (("hf",), "torch", "the hf engine needs torch", "[hf]"),
    (("vllm",), "vllm", "the vllm engine needs vllm", "[vllm]"),
    (("hf", "--constrain", "json"), "xgrammar", "constrained decoding needs xgrammar", "[constrain]"),
    (("openai", *URL), "httpx", "the openai engine needs httpx", "[openai]"),
    (("openai", *URL, "--engine-option", "mode=chat"), "httpx", "the openai engine needs httpx", "[openai]"),
    (("openai", *URL), "transformers", "needs transformers", "[openai]"),
    (("vllm",), "transformers", "needs transformers", "[vllm]"),
    (("ray", *LOCAL_RAY), "ray", "the ray engine needs ray", "[ray]"),
    (("ray", *LOCAL_RAY, "--engine-option", "engine=vllm"), "vllm", "the vllm engine needs vllm", "[vllm]"),
]


@pytest.mark.parametrize(
    ("engine", "missing", "said", "extra"),
    NOT_INSTALLED,
    ids=[f"{missing}: {' '.join(engine)}" for engine, missing, *_ in NOT_INSTALLED],
)
def test_what_an_engine_lacks_is_said_before_a_model_is_fetched(
    workspace: Path,
    in_process,
    monkeypatch: pytest.MonkeyPatch,
    engine: tuple[str, ...],
    missing: str,
    said: str,
    extra: str,
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == missing else object())
    monkeypatch.setattr("harness.run.session.resolve_model", lambda *_, **__: pytest.fail("it was fetched"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    done = in_process("run", _suite(workspace), "--engine", *engine)

    assert done.exit_code == 4
    assert said in done.err
    assert f'pip install "persona-harness{extra}"' in done.err


def test_what_a_quantisation_needs_is_said_before_a_model_is_fetched(
    workspace: Path, in_process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "bitsandbytes" else object())
    monkeypatch.setattr("harness.run.session.resolve_model", lambda *_, **__: pytest.fail("it was fetched"))
    done = in_process("run", _suite(workspace), "--quantization", "nf4")
    assert done.exit_code == 4
    assert "pip install bitsandbytes" in done.err


def test_workers_of_a_cluster_elsewhere_need_nothing_here(
    workspace: Path, in_process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "vllm" else object())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = ("--engine-option", "engine=vllm", "--engine-option", "address=10.0.0.1:6379")

    done = in_process("run", _suite(workspace), "--engine", "ray", *options, "--model", "no/such-model")

    assert "no/such-model" in done.err
    assert "not installed" not in done.err


WRONG_OPTIONS = [
    ("hf", "max_bach=1", "max_batch"),
    ("vllm", "load_format=dummy", "load_format"),
    ("openai", "parallel=4", "needs the address of a server"),
    ("ray", "max_bach=1", "max_batch"),
]


@pytest.mark.parametrize(("engine", "option", "said"), WRONG_OPTIONS, ids=[row[0] for row in WRONG_OPTIONS])
def test_a_wrong_option_is_said_before_a_model_is_fetched(
    workspace: Path, in_process, monkeypatch: pytest.MonkeyPatch, engine: str, option: str, said: str
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: object())
    monkeypatch.setattr("harness.run.session.resolve_model", lambda *_, **__: pytest.fail("it was fetched"))

    done = in_process("run", _suite(workspace), "--engine", engine, "--engine-option", option)

    assert done.exit_code == 4
    assert said in done.err


def test_model_folder_without_weights(workspace: Path, in_process, tmp_path: Path) -> None:
    folder = tmp_path / "empty-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")

    done = in_process("run", _suite(workspace), "--model", folder)

    assert done.exit_code == 4
    assert "safetensors" in done.err
    assert str(folder) in done.err


def test_planted_engine_errors_leave_an_incomplete_run_that_resumes(workspace: Path, in_process) -> None:
    script = workspace / "script.yaml"
    script.write_text("faults: {engine_error: 0.5}\nseed: 3\n")
    out = workspace / "reports"

    done = in_process(
        "run", _suite(workspace), "--engine", "scripted", "--engine-option", f"script={script}", "--out", out
    )

    assert done.exit_code == 6
    assert "generations failed" in done.err
    (folder,) = out.iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "incomplete"
    assert "INCOMPLETE" in (folder / "scorecard.html").read_text(encoding="utf-8")


def test_secrets_on_the_command_line_are_not_written(workspace: Path, harness) -> None:
    from harness.log.reader import redacted

    assert redacted(["--api-key", "abc", "--token=xyz", "run"]) == [
        "--api-key",
        "[redacted]",
        "--token=[redacted]",
        "run",
    ]


def test_secrets_in_engine_options_and_addresses_are_hidden() -> None:
    from harness.log.reader import redacted

    shown = redacted(
        [
            "--engine-option",
            "api_key=S1",
            "--engine-option=token=S2",
            "-m",
            "https://u:S3@h/x",
            "--password",
            "S4",
        ]
    )

    assert not [part for part in shown if any(secret in part for secret in ("S1", "S2", "S3", "S4"))]
    assert redacted(["--tag", "category=single", "--limit", "3"]) == [
        "--tag",
        "category=single",
        "--limit",
        "3",
    ]


def _scorer(workspace: Path, code: str) -> None:
    (_suite(workspace) / "scorer.py").write_text(code, encoding="utf-8")
    _edit(_suite(workspace) / "suite.yaml", "[tool_name_accuracy,", '["scorer.py:Mine", tool_name_accuracy,')


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(0)",
        "raise ValueError('x')",
        "Mine = 3",
        "class Mine:\n    info = None",
        "syntax error(",
    ],
)
def test_a_faulty_scorer_is_bad_input(workspace: Path, in_process, code: str) -> None:
    _scorer(workspace, code)

    done = in_process("run", _suite(workspace), "--engine", "scripted", "--out", workspace / "reports")

    assert done.exit_code == 4
    assert "internal error" not in done.err
    assert not (workspace / "reports").exists()


@pytest.mark.parametrize("key", ["plan", "suite", "selection", "prompt", "repeats", "engine"])
@pytest.mark.parametrize("command", ["score", "report", "resume"])
def test_damaged_headers(workspace: Path, in_process, key: str, command: str) -> None:
    out = workspace / "reports"
    assert in_process("run", _suite(workspace), "--engine", "scripted", "--out", out).exit_code == 0
    (folder,) = out.iterdir()
    header = json.loads((folder / "run.json").read_text())
    header[key] = [1]
    (folder / "run.json").write_text(json.dumps(header))
    words = [command, folder]
    if command == "resume":
        words = ["run", _suite(workspace), "--engine", "scripted", "--resume", folder]

    done = in_process(*words)

    assert done.exit_code == 4
    assert "run.json" in done.err


def test_scoring_an_unfinished_run_is_exit_6_and_a_bad_reuse_leaves_nothing(
    workspace: Path, in_process
) -> None:
    out = workspace / "reports"
    assert in_process("run", _suite(workspace), "--engine", "scripted", "--out", out).exit_code == 0
    (folder,) = out.iterdir()
    (folder / "generations.jsonl").write_bytes(b"")
    other = workspace / "other"

    assert in_process("score", folder).exit_code == 6
    done = in_process("run", _suite(workspace), "--engine", "scripted", "--reuse", "nowhere", "--out", other)
    assert done.exit_code == 4
    assert not other.exists()
    (folder / "scores.jsonl").unlink()
    assert in_process("report", folder).exit_code == 4


def test_a_closed_pipe_does_not_change_the_exit_code(workspace: Path) -> None:
    import subprocess
    import sys

    script = workspace / "script.yaml"
    script.write_text("faults: {engine_error: 0.5}\nseed: 3\n")
    command = [sys.executable, "-P", "-m", "harness", "run", str(_suite(workspace)), "--engine", "scripted"]
    command += ["--engine-option", f"script={script}", "--out", str(workspace / "reports")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(timeout=60) == 6


def test_a_name_that_no_system_takes_is_no_defect_of_ours(in_process) -> None:
    for words in (("diagnose", "x" * 300), ("report", "x" * 300), ("score", "x" * 300)):
        done = in_process(*words)
        assert done.exit_code == 4, done.err
        assert "internal error" not in done.err


NAN = [
    ("plan", "recipe.yaml", "--tokens-per-second", "nan"),
    ("plan", "recipe.yaml", "--tokens-per-second", "inf"),
    ("merge", "adapter", "--out", "merged", "--min-agreement", "nan"),
    ("chat", "--temperature", "nan"),
    ("parity", "suite", "--fail-under-texts", "nan"),
]


@pytest.mark.parametrize("words", NAN, ids=" ".join)
def test_what_is_no_number_is_refused_where_one_is_wanted(in_process, words: tuple[str, ...]) -> None:
    done = in_process(*words)
    assert done.exit_code == 4, done.err
    assert "is no number that can be used" in done.err
