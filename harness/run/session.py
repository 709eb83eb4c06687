"""From what the user named (suite, model, adapters, engine) to a loaded engine and one plan per target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.engine.base import Engine, EngineRequest, does_without_model
from harness.engine.determinism import Promise, settle
from harness.engine.options import switch, whole_number
from harness.engine.packages import check_rendering
from harness.engine.ray_options import inner_engine
from harness.engine.ready import check_engine_options, check_packages
from harness.errors import UsageError
from harness.fingerprint import sha256_of, sha256_of_file
from harness.log import schema
from harness.log.reader import Generations, RunFolder
from harness.models.resolve import has_weights, resolve_model
from harness.models.tokenizer import load_tokenizer
from harness.parse.base import Dialect
from harness.parse.choose import dialect_for_template
from harness.parse.structural_tag import Constraint
from harness.prompt.plain import PlainTokenizer
from harness.prompt.render import Renderer
from harness.registry import Registry
from harness.run.constrained import Constrained, check_engine, recorded_constraint
from harness.run.origin_check import check_origin
from harness.run.plan import RunPlan, make_plan
from harness.run.planted import PlantedModel, load_script
from harness.suite.load import Suite
from harness.suite.select import Selection
from harness.types import Generation, Prompt, Sampling

BASE = "base"
"""What `--adapter base` means: the model without any adapter."""

ADAPTERS_LEFT_OUT = "suite_adapters_left_out"
"""The event of a run under another model than the suite's, whose adapters it therefore does without."""

WITHOUT_MODEL = ("scripted", "replay")
"""Engines that answer without a model, and so without adapters."""

Event = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """What to run, as named on the command line; None and empty mean the suite's own choice."""

    engine: str = "hf"
    model: str | None = None
    adapters: tuple[str, ...] = ()
    dtype: str = "auto"
    quantization: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    deterministic: bool = False
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A loaded engine with what is needed to render for it; `targets` are the adapters to run, None for the base.

    `promise` is what the engine said of a run that was asked to be deterministic, None for any other.
    `constraint` is what the engine's answers keep to, `constrained` the same where the engine is told so by tags.
    """

    suite: Suite
    engine: Engine
    renderer: Renderer
    dialect: str
    targets: tuple[Path | None, ...]
    promise: Promise | None = None
    constraint: Constraint | None = None
    constrained: Constrained | None = None

    def plans(self, selection: Selection) -> Iterator[RunPlan]:
        """Activate each target in turn and yield its plan."""
        sampling = sampling_of(self.suite)
        for target in self.targets:
            self.engine.use_adapter(target)
            yield make_plan(
                self.suite,
                selection,
                self.engine.info(),
                self.renderer,
                self.dialect,
                sampling,
                promise=self.promise,
                constraint=self.constraint,
                constrained=self.constrained,
            )


def sampling_of(suite: Suite) -> Sampling:
    """Return how the suite draws answers."""
    spec = suite.spec.generation
    return Sampling(
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        max_new_tokens=spec.max_new_tokens,
        seed=spec.seed,
    )


def answering_engine(engine: str, options: Mapping[str, str]) -> str:
    """Return the engine that answers: of ray the one that its workers hold, else the engine itself."""
    return inner_engine(options) if engine == "ray" else engine


def check_ready(request: SessionRequest) -> None:
    """Raise what `open_session` raises before a model is looked for: UsageError and MissingDependency."""
    if request.constraint is not None:
        check_engine(request.engine, request.constraint)
    check_packages(
        request.engine,
        request.options,
        constrained=request.constraint is not None,
        quantization=request.quantization,
    )
    check_engine_options(request.engine, request.options)


def open_session(suite: Suite, request: SessionRequest, on_event: Event) -> Session:
    """Load the engine that a run needs.

    Raises UsageError for an unknown engine, option or dialect and for a constraint that engine or dialect cannot keep,
    ModelError for a model or adapter that cannot be used, MissingDependency for a package that is not installed. What the
    engine lacks and the options that it does not know are told before a model is fetched.
    """
    check_ready(request)
    answering = answering_engine(request.engine, request.options)
    opener = {"scripted": _open_scripted, "replay": _open_replay}.get(answering, _open_model)
    return opener(suite, request, on_event)


def _open_model(suite: Suite, request: SessionRequest, on_event: Event) -> Session:
    engine_class = Registry("harness.engines").get(request.engine)
    if request.model is None and does_without_model(engine_class, request.options):
        return _open_without_model(suite, request, on_event, engine_class)
    answering_name = answering_engine(request.engine, request.options)
    check_rendering(answering_name)
    trust = switch(request.options, "trust_remote_code", False)
    answering = Registry("harness.engines").get(answering_name)
    model = resolve_model(
        suite.spec.models.default if request.model is None else request.model,
        allow_pickle=switch(request.options, "allow_pickle", False),
        trust_remote_code=trust,
        weights=getattr(answering, "NEEDS_WEIGHTS", True),
    )
    targets = _targets(suite, request, on_event)
    tokenizer = load_tokenizer(model.path, trust_remote_code=trust)
    dialect_name = suite.spec.dialect
    if dialect_name == "auto":
        template = tokenizer.chat_template
        dialect_name = dialect_for_template(template if isinstance(template, str) else None)
    dialect = _dialect(dialect_name)
    constrained = _constrained(request, dialect, dialect_name, on_event)
    renderer = Renderer(tokenizer, dialect)
    for target in targets:
        if target is None:
            continue
        reason = None
        if not check_origin(target, model, renderer, dialect_name):
            reason = "it does not say how it was trained"
        elif not has_weights(model.path):
            reason = "the base's weights are not here; template, dialect and golden prompt are those of its training"
        if reason is not None:
            on_event("adapter_unchecked", {"adapter": str(target), "reason": reason})
    engine, promise = _built(
        engine_class,
        request,
        EngineRequest(
            model=model.name,
            model_path=model.path,
            adapters=tuple(target for target in targets if target is not None),
            dtype=request.dtype,
            quantization=request.quantization,
            options=request.options,
            dialect=dialect,
            structural_tag=constrained.of_prompt if constrained is not None else None,
            on_event=on_event,
        ),
    )
    return Session(
        suite=suite,
        engine=engine,
        renderer=renderer,
        dialect=dialect_name,
        targets=targets,
        promise=promise,
        constraint=request.constraint,
        constrained=constrained,
    )


def _built(
    engine_class: Callable[[EngineRequest], Engine], request: SessionRequest, wanted: EngineRequest
) -> tuple[Engine, Promise | None]:
    """Build the engine, deterministic where that was asked for; return it with what it promises then."""
    if not request.deterministic:
        return engine_class(wanted), None
    wanted, promise = settle(engine_class, request.engine, wanted)
    engine = engine_class(wanted)
    return engine, getattr(engine, "promise", promise)


def _constrained(request: SessionRequest, dialect: Dialect, name: str, on_event: Event) -> Constrained | None:
    return None if request.constraint is None else Constrained(request.constraint, dialect, name, on_event)


def _open_without_model(
    suite: Suite, request: SessionRequest, on_event: Event, engine_class: Callable[[EngineRequest], Engine]
) -> Session:
    """Open an engine behind which somebody else renders: prompts rendered here only tell samples apart."""
    targets = _targets(suite, request, on_event)
    dialect_name = "hermes" if suite.spec.dialect == "auto" else suite.spec.dialect
    dialect = _dialect(dialect_name)
    constrained = _constrained(request, dialect, dialect_name, on_event)
    engine, promise = _built(
        engine_class,
        request,
        EngineRequest(
            model="",
            model_path=None,
            adapters=tuple(target for target in targets if target is not None),
            dtype=request.dtype,
            quantization=request.quantization,
            options=request.options,
            dialect=dialect,
            structural_tag=constrained.of_prompt if constrained is not None else None,
            on_event=on_event,
        ),
    )
    return Session(
        suite=suite,
        engine=engine,
        renderer=Renderer(PlainTokenizer(), dialect),
        dialect=dialect_name,
        targets=targets,
        promise=promise,
        constraint=request.constraint,
        constrained=constrained,
    )


def _open_scripted(suite: Suite, request: SessionRequest, on_event: Event) -> Session:
    named = request.options.get("script")
    script = load_script(Path(named) if named else None)
    dialect_name = "hermes" if suite.spec.dialect == "auto" else suite.spec.dialect
    dialect = _dialect(dialect_name)
    options = {**request.options, "script": sha256_of(script.model_dump())}
    model = PlantedModel(script, dialect, whole_number(request.options, "max_batch") or 0)
    return _open_answering(suite, request, options, script.name, model, dialect_name, on_event)


def _open_replay(suite: Suite, request: SessionRequest, on_event: Event) -> Session:
    named = request.options.get("from")
    if not named:
        raise UsageError(
            "the replay engine needs a recorded run", remedy="Give --engine-option from=reports/RUN."
        )
    folder = RunFolder(Path(named))
    header = folder.header()
    dialect_name = header["prompt"]["dialect"] if suite.spec.dialect == "auto" else suite.spec.dialect
    recording = folder.path / schema.GENERATIONS
    if not recording.is_file():
        raise UsageError("this run has no generations to replay", where=folder.path)
    options = {"from": sha256_of_file(recording)}
    answer = _Recording(folder.path)
    unknown = {key: value for key, value in request.options.items() if key != "from"}
    session = _open_answering(
        suite, request, {**unknown, **options}, str(header["engine"]["model"]), answer, dialect_name, on_event
    )
    # What was constrained when it was written stays so when it is given again.
    return replace(session, constraint=recorded_constraint(header))


class _Recording:
    """Answers with what a run recorded. Call it with a prompt; close it. A copy in another process opens it again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._recorded = Generations(folder)

    def __reduce__(self) -> tuple[type[_Recording], tuple[Path]]:
        return _Recording, (self._folder,)

    def __call__(self, prompt: Prompt) -> Generation:
        found = self._recorded.get(prompt.sample.id, prompt.repeat)
        fields: dict[str, Any] = {"key": prompt.key, "sample_id": prompt.sample.id, "repeat": prompt.repeat}
        if found is None:
            return Generation(**fields, status="error", error="the recording has no answer for this sample")
        return Generation(
            **fields,
            status=found.status,
            text=found.text,
            finish_reason=found.finish_reason,
            prompt_tokens=found.prompt_tokens,
            new_tokens=found.new_tokens,
            error=found.error,
        )

    def close(self) -> None:
        """Close the recording's file. Calling twice is allowed."""
        self._recorded.close()


def _open_answering(
    suite: Suite,
    request: SessionRequest,
    options: Mapping[str, str],
    model: str,
    reply: Callable[[Prompt], Generation],
    dialect_name: str,
    on_event: Event,
) -> Session:
    if request.model is not None:
        raise UsageError(
            f"--engine {request.engine} runs no model, so --model {request.model} would mean nothing",
            remedy="Leave out --model, or use --engine hf.",
        )
    if request.adapters:
        raise UsageError(f"the {request.engine} engine has no adapters", remedy="Leave out --adapter.")
    engine_class = Registry("harness.engines").get(request.engine)
    dialect = _dialect(dialect_name)
    wanted = EngineRequest(
        model=model, model_path=None, options=options, reply=reply, dialect=dialect, on_event=on_event
    )
    engine, promise = _built(engine_class, request, wanted)
    renderer = Renderer(PlainTokenizer(), dialect)
    return Session(
        suite=suite, engine=engine, renderer=renderer, dialect=dialect_name, targets=(None,), promise=promise
    )


def _targets(suite: Suite, request: SessionRequest, on_event: Event) -> tuple[Path | None, ...]:
    """Return the adapters to run: those named, else the bare base and then the suite's own.

    The suite's own are adapters of its default model: with another one they are left out, as the event says.
    """
    named, own = request.adapters, suite.spec.models.adapters
    if not named:
        if own and request.model not in (None, suite.spec.models.default):
            detail = {"adapters": list(own), "default_model": suite.spec.models.default}
            on_event(ADAPTERS_LEFT_OUT, detail)
            return (None,)
        return (None, *((suite.folder / adapter).resolve() for adapter in own))
    targets = tuple(None if name == BASE else Path(name).resolve() for name in named)
    if len(set(targets)) != len(targets):
        raise UsageError("an adapter is named twice", remedy="Name each --adapter once.")
    return targets


def _dialect(name: str) -> Dialect:
    dialect: Dialect = Registry("harness.dialects").get(name)()
    return dialect
