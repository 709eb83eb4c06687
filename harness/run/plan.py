"""Suite x model x sampling -> RunPlan: what will be asked, under which keys. Nothing is generated here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from harness.engine.determinism import Promise
from harness.errors import NothingCollected, UsageError
from harness.fingerprint import gen_key, identity_of, sample_seed, sha256_of
from harness.parse.structural_tag import Constraint
from harness.prompt.render import Rendered, Renderer, TemplateRefusal
from harness.run.constrained import Constrained
from harness.run.quoted import Answered, Rounds, quoted_by, rounds_of
from harness.suite.load import Suite
from harness.suite.select import Selected, Selection, select
from harness.types import EngineInfo, Prompt, Sample, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything that decides what one run generates."""

    suite: Suite
    selection: Selection
    selected: Selected
    engine: EngineInfo
    renderer: Renderer
    dialect: str
    sampling: Sampling
    identity: str
    rounds: Rounds
    """More than one where prompts hold answers of the same run."""
    promise: Promise | None = None
    """What the engine promises of a run that was asked to be deterministic, None for any other."""
    constraint: Constraint | None = None
    """What answers had to keep to while they were written; None for free decoding."""
    constrained: Constrained | None = None
    """The same with every sample's structural tag; None too where recorded answers are given again."""

    @property
    def repeats(self) -> int:
        """How often each sample is asked."""
        return self.suite.spec.generation.repeats

    @property
    def sha256(self) -> str:
        """Equal for runs that may resume each other."""
        return sha256_of(self.fields())

    @property
    def planned(self) -> int:
        """Number of generations of a complete run."""
        return self.selected.count * self.repeats

    def samples(self) -> Iterator[Sample]:
        """Yield the selected samples in the data set's order."""
        for located in self.suite.samples():
            if self.selected.takes(located.sample, self.selection):
                yield located.sample

    def prompts(self, turn: int = 0, answered: Answered | None = None) -> Iterator[Prompt]:
        """Yield the prompts of one round, rendered, in the data set's order; of a run with one round these are all.

        Left out are prompts that quote an answer which is not in `answered`. One that the chat template refuses because of
        the answers in it comes without tokens and stands in `answered.refused`. Raises UsageError without `answered` where
        the run has several rounds, TemplateRefusal for a conversation that is refused whatever the model answers.
        """
        if self.rounds.count > 1:
            yield from self._quoting(turn, answered)
            return
        for sample in self.samples():
            rendered = self.renderer.render(sample)
            for repeat in range(self.repeats):
                yield self._prompt(sample, rendered, repeat)

    def _quoting(self, turn: int, answered: Answered | None) -> Iterator[Prompt]:
        if answered is None:
            raise UsageError(
                f"in the suite {self.suite.spec.name!r} later turns are asked after the answers to earlier ones",
                where=self.suite.folder,
                remedy="Measure it with harness run.",
            )
        for sample in self.samples():
            if len(quoted_by(sample)) != turn:
                continue
            for repeat in range(self.repeats):
                filled = answered.fill(sample, repeat)
                if filled is None:
                    continue
                try:
                    rendered = self.renderer.render(filled)
                except TemplateRefusal as refusal:
                    if turn == 0:
                        raise
                    answered.refused[sample.id, repeat] = refusal.what
                    rendered = Rendered(text="", token_ids=())
                yield self._prompt(filled, rendered, repeat)

    def _prompt(self, sample: Sample, rendered: Rendered, repeat: int) -> Prompt:
        seed = sample_seed(self.sampling.seed, sample.id, repeat)
        tag = self.constrained.tag_sha256(sample) if self.constrained is not None else None
        return Prompt(
            key=gen_key(self.identity, sample.id, rendered.token_ids, repeat, seed, tag),
            sample=sample,
            repeat=repeat,
            text=rendered.text,
            token_ids=rendered.token_ids,
            sampling=self.sampling,
            seed=seed,
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields that two runs must share for one to resume the other; stored in the run header."""
        suite, selection, engine = self.suite, self.selection, self.engine
        asked_under = suite.system_prompt.identity() if suite.system_prompt is not None else {}
        return {
            "suite": {"name": suite.spec.name, "version": suite.spec.version, "sha256": suite.sha256},
            "dataset": {"split": suite.spec.dataset.split, "sha256": suite.records_sha256},
            "selection": {
                "limit": selection.limit,
                "tags": dict(selection.tags),
                "strata": list(selection.strata),
            },
            "engine": {
                "engine": engine.engine,
                "model_fingerprint": engine.model_fingerprint,
                "adapter_fingerprint": engine.adapter_fingerprint,
                "dtype": engine.dtype,
                "quantization": engine.quantization,
            },
            "prompt": {
                "tools_by": self.renderer.tools_by,
                "template_sha256": self.renderer.template_sha256,
                "dialect": self.dialect,
                **({"template": engine.template} if engine.template is not None else {}),
                **asked_under,
            },
            "sampling": self.sampling_fields(),
            "repeats": self.repeats,
            # Answers of which something else was promised, or nothing, must not get into this run.
            **({"deterministic": sha256_of(self.promise.record())} if self.promise is not None else {}),
            # Apart from `sampling`, which runs are compared by: other tags are for resume to refuse.
            **({"structural_tag_sha256": self.constrained.sha256} if self.constrained is not None else {}),
        }

    def sampling_fields(self) -> dict[str, Any]:
        """Return how answers are drawn, as it is recorded; `constraint` is there only where something constrains them."""
        return {**asdict(self.sampling), **({"constraint": self.constraint} if self.constraint else {})}


def make_plan(
    suite: Suite,
    selection: Selection,
    engine: EngineInfo,
    renderer: Renderer,
    dialect: str,
    sampling: Sampling,
    *,
    promise: Promise | None = None,
    constraint: Constraint | None = None,
    constrained: Constrained | None = None,
) -> RunPlan:
    """Return the plan of one run, free for no `constraint`.

    Reads the data set once, so every bad record is found before any compute. Raises RecordError, or NothingCollected
    if no sample matches.
    """
    selected = select((located.sample for located in suite.samples()), selection)
    if selected.count == 0:
        asked = " and ".join(f"{key}={value}" for key, value in selection.tags.items())
        what = f"no sample has {asked}" if asked else "the data set has no samples"
        raise NothingCollected(what, where=suite.records)
    taken = (
        located.sample
        for located in (suite.samples() if suite.scenario is not None else ())
        if selected.takes(located.sample, selection)
    )
    template = renderer.template_sha256
    if engine.template is not None:
        # What is sent are the messages; the answer's calls come apart from it and are written in the dialect.
        template = sha256_of({"by": engine.template, "dialect": dialect, "own": template})
    return RunPlan(
        suite=suite,
        selection=selection,
        selected=selected,
        rounds=rounds_of(taken, suite.records),
        engine=engine,
        renderer=renderer,
        dialect=dialect,
        sampling=sampling,
        identity=identity_of(engine, template, sampling, constraint),
        promise=promise,
        constraint=constraint,
        constrained=constrained,
    )
