"""The values that flow through the harness, all frozen, none with behaviour beyond small derivations.

    record -> Sample -> Prompt -> Generation -> ParsedReply -> SampleScore -> Aggregate

Every arrow is a function in a room of its own; see docs/design.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict with string keys."""

Expect = Literal["call", "no_call", "ask"]
CallOrder = Literal["any", "strict"]
Role = Literal["system", "user", "assistant", "tool"]
Facts = tuple[tuple[str, ...], ...]
"""What a reply must say: of each inner tuple, one alternative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One function that a model may call. `parameters` is a JSON Schema (draft 2020-12) of type object."""

    name: str
    description: str
    parameters: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call by name with its decoded arguments."""

    name: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat turn. `tool_calls` only for the assistant; `name` only for role tool (which tool answered).

    `learn` is False for an assistant turn that is there to be read and never to be learnt. `reply_of` names a sample
    whose answer, given in the same run, is this turn's content.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    learn: bool = True
    reply_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldArgument:
    """The values accepted for one argument, and whether it may be left out."""

    accept: tuple[Json, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldCall:
    """One expected call. An argument that is not named here is not expected."""

    name: str
    arguments: Mapping[str, GoldArgument]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One thing to ask the model, with what counts as right. Built from a record by `harness.data.records`."""

    id: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    expect: Expect
    order: CallOrder = "any"
    gold: tuple[GoldCall, ...] = ()
    reply: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    """Samples that share a cluster are not independent; the bootstrap draws whole clusters. Default: the id."""
    facts: Facts = ()
    persona: str | None = None
    """The character whose voice `reply` is in."""

    def tool(self, name: str) -> ToolSpec | None:
        """Return the offered tool of that name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn. Everything here can change the tokens, so all of it is in the generation key."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A sample rendered for one model.

    `key` is `fingerprint.gen_key`: equal keys mean equal tokens may be expected. `sample` is there for engines
    that answer without a model (scripted); an engine with a model reads `token_ids` alone.
    """

    key: str
    sample: Sample
    repeat: int
    text: str
    token_ids: Sequence[int]
    sampling: Sampling
    seed: int


GenerationStatus = Literal["ok", "error", "too_long"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What an engine returned for one prompt.

    status `error`: the engine failed (retried on resume, in no metric's denominator). `too_long`: prompt plus
    answer budget do not fit the model's context; decided before any compute. `finish_reason` `length` means the
    answer hit its budget (truncated). `latency_s` is None where a time would mean nothing (batch members share one).
    """

    key: str
    sample_id: str
    repeat: int
    status: GenerationStatus
    text: str = ""
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    new_tokens: int = 0
    latency_s: float | None = None
    error: str | None = None


Span = tuple[int, int]
"""Half-open character range [start, end) in the reply's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCall:
    """One call found in a reply, with where it stands and whether its payload was strict JSON.

    `name` and `arguments` are None where the payload decoded to something of another shape; `problems` says how
    (codes of `harness.parse.codes`, e.g. `not_an_object`, `no_name`, `arguments_not_object`, `duplicate_key`, `nan`).
    """

    name: str | None
    arguments: Mapping[str, Json] | None
    span: Span
    strict: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseError:
    """A place that was meant as a call and cannot be read as one."""

    code: str
    message: str
    span: Span


ParseStatus = Literal["none", "ok", "malformed", "truncated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedReply:
    """A reply taken apart without loss: the spans of calls, errors and text together cover the whole text.

    status: `none` no call attempted; `ok` every attempt is a call of the right shape in the declared dialect;
    `malformed` an attempt that the dialect cannot read; `truncated` an attempt cut off by the answer budget.
    `serving_calls`: the calls that the named runtime parser (vLLM's for this dialect) would deliver, None where it
    would deliver none although some were attempted. `recovered`: calls that a repair would find when status is not
    ok (reported, never credited).
    """

    dialect: str
    status: ParseStatus
    calls: tuple[ParsedCall, ...]
    errors: tuple[ParseError, ...]
    text: tuple[Span, ...]
    content: str
    serving_calls: tuple[ToolCall, ...] | None
    recovered: tuple[ToolCall, ...]

    @property
    def attempted(self) -> bool:
        """True if the reply tried to call a tool, well formed or not."""
        return self.status != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One sample's share in a metric: the metric is the sum of numerators over the sum of denominators.

    A denominator of 0 means that the metric does not apply to this sample.
    """

    numerator: float
    denominator: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A coded observation about one sample (`H1`, `arg:value`, ...). See docs/metrics.md for every code."""

    code: str
    detail: str = ""
    call: int | None = None
    """Index of the predicted call it is about."""
    argument: str | None = None


ScoreStatus = Literal["scored", "unscored", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleScore:
    """Everything that scoring says about one generation.

    `error`: the generation failed. `unscored`: there is an answer-less outcome that no metric may count (too_long).
    """

    key: str
    sample_id: str
    repeat: int
    status: ScoreStatus
    parse: ParseStatus | None
    measures: Mapping[str, Measure]
    findings: tuple[Finding, ...]
    correct: bool | None
    """True if the sample as a whole is right (right calls by the strict level, or rightly none)."""
    verdict: str
    """One word for the outcome, a code of `harness.score.verdict`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One metric over a group of samples, with a 95 % interval from a bootstrap over clusters.

    `value` is None where no sample has a denominator. `n` counts samples with a denominator above 0, `clusters` the
    independent clusters among them, `numerator` and `denominator` are the sums.
    """

    metric: str
    group: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    numerator: float
    denominator: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Who generated: what is in the generation key (identity) and what is only recorded (circumstances)."""

    engine: str
    model: str
    model_fingerprint: str
    adapter: str | None
    adapter_fingerprint: str | None
    dtype: str
    quantization: str | None
    device: str
    context_length: int
    versions: Mapping[str, str]
    template: Literal["server"] | None = None
    """Who renders prompts: None for the harness, with the template of the model's folder."""
