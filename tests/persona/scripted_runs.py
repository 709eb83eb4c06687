"""Runs of scenario suites by a function instead of a model, judged by what that function wrote into its replies."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from harness.engine.base import EngineRequest
from harness.engine.scripted import ScriptedEngine
from harness.log.reader import iter_lines
from harness.parse.hermes import Hermes
from harness.persona.card import PersonaCard
from harness.persona.reply_outcome import AskedTurn, ReplyOutcome
from harness.prompt.plain import PlainTokenizer
from harness.prompt.render import Renderer
from harness.run.execute import Counts, execute, open_folder
from harness.run.obtain import Silent
from harness.run.plan import RunPlan, make_plan
from harness.run.session import sampling_of
from harness.suite.load import Suite
from harness.suite.select import Selection
from harness.types import EngineInfo, Generation, Prompt

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    "empty",
    "language",
    "speech_level",
    "break",
    "degeneration",
    "style",
    "facts",
    "refusal",
    "content",
)

_STYLE = re.compile(r"style_(\d(?:\.\d+)?)")


class PlantedJudge:
    """Reads `style_0.8` and `fails:break` out of a reply."""

    def __init__(self, card: PersonaCard) -> None:
        self.card = card

    def __call__(self, asked: AskedTurn, reply: str) -> ReplyOutcome:
        style = _STYLE.search(reply)
        checks = {name: f"fails:{name}" not in reply for name in CHECKS}
        checks["degeneration"] = checks["degeneration"] and not asked.truncated
        return ReplyOutcome(
            style=float(style[1]) if style else None,
            checks=checks,
            denied="fails:denial" in reply,
        )

    def problems(self) -> list[str]:
        return ["planted"]


@pytest.fixture(scope="module")
def planted_judge() -> Iterator[None]:
    """Let the scenario metrics of a test module judge by what replies say of themselves."""
    module = ModuleType("harness.score.reply_judges")
    module.CardJudge = PlantedJudge  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "harness.score.reply_judges", module)
        yield


class Recorder(ScriptedEngine):
    """A scripted engine that remembers what it was asked, a list a batch."""

    def __init__(
        self,
        answer: Callable[[Prompt], str | Generation],
        content: str = "",
        *,
        adapter: str | None = None,
        dtype: str = "none",
    ) -> None:
        self.batches: list[list[Prompt]] = []
        self._adapter = adapter
        self._dtype = dtype

        def reply(prompt: Prompt) -> Generation:
            self.batches[-1].append(prompt)
            given = answer(prompt)
            return given if isinstance(given, Generation) else answered(prompt, given)

        super().__init__(
            EngineRequest(model="planted", model_path=None, options={"script": content}, reply=reply)
        )

    def info(self) -> EngineInfo:
        return replace(
            super().info(), adapter=self._adapter, adapter_fingerprint=self._adapter, dtype=self._dtype
        )

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        self.batches.append([])
        yield from super().generate(prompts)

    @property
    def asked(self) -> list[Prompt]:
        return [prompt for batch in self.batches for prompt in batch]


def answered(prompt: Prompt, text: str, prompt_tokens: int = 0) -> Generation:
    return Generation(
        key=prompt.key,
        sample_id=prompt.sample.id,
        repeat=prompt.repeat,
        status="ok",
        text=text,
        finish_reason="stop",
        prompt_tokens=prompt_tokens,
    )


def failed(prompt: Prompt, status: str = "error") -> Generation:
    return Generation(key=prompt.key, sample_id=prompt.sample.id, repeat=prompt.repeat, status=status)  # type: ignore[arg-type]


def plan_of(suite: Suite, engine: ScriptedEngine, **tags: str) -> RunPlan:
    return plan_by(Renderer(PlainTokenizer(), Hermes()), suite, engine, **tags)


def plan_by(renderer: Renderer, suite: Suite, engine: ScriptedEngine, **tags: str) -> RunPlan:
    selection = Selection(tags=tags)
    return make_plan(suite, selection, engine.info(), renderer, "hermes", sampling_of(suite))


def run(
    plan: RunPlan, engine: ScriptedEngine, parent: Path, resume: Path | None = None
) -> tuple[Path, Counts]:
    with open_folder(plan, resume, parent, ["harness", "run"]) as writer:
        counts = execute(plan, engine, writer, Silent())
    return writer.folder, counts


def generations(folder: Path) -> list[dict]:
    return [line.record for line in iter_lines(folder / "generations.jsonl")]


def copy_of_suite(name: str, folder: Path, **changes: str) -> Path:
    """Copy a suite with its cards and data beside each other; `changes` replaces pieces of suite.yaml."""
    shutil.copytree(ROOT / "suites", folder / "suites")
    shutil.copytree(ROOT / "datasets" / "persona", folder / "datasets" / "persona")
    path = folder / "suites" / name / "suite.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path.parent
