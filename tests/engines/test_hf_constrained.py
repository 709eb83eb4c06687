"""Constrained answers: the best token that the grammar takes, in every batch, and nothing free where none can be made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.engine.base import EngineRequest
from harness.engine.hf import HfEngine
from harness.engine.hf_grammar import Grammars
from harness.errors import ModelError
from harness.parse.choose import get_dialect
from harness.parse.structural_tag import Constrains
from harness.testing.tiny_model import make_tiny_adapter
from harness.types import Generation, Prompt, ToolSpec
from tests.engines.conftest import make_prompt, mixed_prompts

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
xgrammar = pytest.importorskip("xgrammar")


def tool(name: str, **properties: Any) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description="", parameters=schema)


LOAD = tool(
    "add_load",
    node={"type": "integer", "minimum": 1, "maximum": 99},
    direction={"enum": ["X", "Y", "Z"]},
)
RUN = tool("run", static={"type": "boolean"}, note={"enum": ["", 'a"b', "하중"]})
OFFERED = ((LOAD, RUN), (RUN,), (LOAD,))


def dialect(name: str) -> Constrains:
    found = get_dialect(name)
    assert isinstance(found, Constrains)
    return found


def tag_of(prompt: Prompt) -> Mapping[str, Any]:
    """The tag of `tools` in hermes, by which an answer is one call: a random model would hardly begin one."""
    tag = dict(dialect("hermes").structural_tag("tools", prompt.sample.tools))
    if prompt.sample.tools:
        tag["format"] = {**tag["format"], "at_least_one": True, "stop_after_first": True}
    return tag


def offering(prompts: Sequence[Prompt], new: int = 330, **sampling: Any) -> list[Prompt]:
    """The prompts with tools, which differ within every batch."""
    return [
        replace(
            prompt,
            sample=replace(prompt.sample, tools=OFFERED[place % len(OFFERED)]),
            sampling=replace(prompt.sampling, max_new_tokens=new, **sampling),
            seed=place,
        )
        for place, prompt in enumerate(prompts)
    ]


def engine(path: Path, *, adapters: tuple[Path, ...] = (), free: bool = False, **options: str) -> HfEngine:
    return HfEngine(
        EngineRequest(
            model="tiny",
            model_path=path,
            adapters=adapters,
            dtype="fp32",
            options=options,
            structural_tag=None if free else tag_of,
        )
    )


def answers(built: HfEngine, prompts: Sequence[Prompt]) -> dict[str, Generation]:
    found = {one.key: one for one in built.generate(prompts)}
    assert len(found) == len(prompts)
    return found


def texts(built: HfEngine, prompts: Sequence[Prompt]) -> dict[str, tuple[str, Any, int]]:
    return {
        key: (one.text, one.finish_reason, one.new_tokens) for key, one in answers(built, prompts).items()
    }


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return offering(mixed_prompts(24))


@pytest.fixture(scope="module")
def one_by_one(tiny: Path, prompts: list[Prompt]) -> dict[str, tuple[str, Any, int]]:
    return texts(engine(tiny, max_batch="1", share_prefix="off"), prompts)


def test_free_answers_are_garbage_and_constrained_ones_keep_the_schema(
    tiny: Path, prompts: list[Prompt]
) -> None:
    free = answers(engine(tiny, free=True), prompts)
    bound = answers(engine(tiny), prompts)

    assert all(get_dialect("hermes").parse(one.text).status != "ok" for one in free.values())
    finished = [prompt for prompt in prompts if bound[prompt.key].finish_reason == "stop"]
    assert len(finished) == len(prompts), "the schemas leave no call longer than the budget"
    for prompt in prompts:
        reply = get_dialect("hermes").parse(bound[prompt.key].text)
        assert reply.status == "ok", bound[prompt.key].text
        (call,) = reply.calls
        called = prompt.sample.tool(str(call.name))
        assert called is not None, "a tool of another sample in the batch"
        assert call.arguments is not None
        assert Draft202012Validator(called.parameters).is_valid(call.arguments)
    assert len({one.text for one in bound.values()}) > 5, (
        "answers are the model's own, not one that is forced"
    )


def by_the_book(path: Path, prompt: Prompt) -> str:
    """One prompt alone, the whole mask applied by xgrammar itself at every step."""
    model = transformers.AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path))
    size = model.config.vocab_size
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=size, stop_token_ids=[258])
    compiled = xgrammar.GrammarCompiler(info).compile_structural_tag(json.dumps(tag_of(prompt)))
    matcher = xgrammar.GrammarMatcher(compiled)
    tokens: list[int] = []
    for _ in range(prompt.sampling.max_new_tokens):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt.token_ids, *tokens]])).logits[:, -1].clone()
        mask = xgrammar.allocate_token_bitmask(1, size)
        matcher.fill_next_token_bitmask(mask)
        xgrammar.apply_token_bitmask_inplace(logits, mask)
        token = int(logits.argmax())
        assert matcher.accept_token(token)
        if token == 258:
            break
        tokens.append(token)
    return str(tokenizer.decode(tokens, skip_special_tokens=False))


def test_every_token_is_the_best_that_the_grammar_takes(
    tiny: Path, prompts: list[Prompt], one_by_one: dict[str, tuple[str, Any, int]]
) -> None:
    for prompt in prompts[:4]:
        assert one_by_one[prompt.key][0] == by_the_book(tiny, prompt)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_batch": "7"}, {"share_prefix": "off"}, {"max_batch": "3", "share_prefix": "off"}],
    ids=str,
)
def test_batches_and_shared_prefixes_change_nothing(
    tiny: Path, prompts: list[Prompt], one_by_one: dict[str, tuple[str, Any, int]], options: dict[str, str]
) -> None:
    assert texts(engine(tiny, **options), prompts) == one_by_one


def test_drawn_answers_keep_to_the_grammar_and_to_their_seed(tiny: Path) -> None:
    drawn = offering(mixed_prompts(12), temperature=1.0, top_p=0.9, top_k=20)

    alone, together = texts(engine(tiny, max_batch="1"), drawn), texts(engine(tiny), drawn)

    assert alone == together
    assert all(get_dialect("hermes").parse(text).status == "ok" for text, _, _ in together.values())
    assert together != texts(engine(tiny), [replace(one, seed=one.seed + 100) for one in drawn])


def test_drafts_change_no_constrained_answer(tiny: Path, prompts: list[Prompt], tmp_path: Path) -> None:
    adapters = tuple(make_tiny_adapter(tmp_path / str(seed), tiny, seed=seed) for seed in (1, 2))
    with_drafts, without = engine(tiny, adapters=adapters), engine(tiny, adapters=adapters, drafts="off")
    for target in (None, *adapters, adapters[-1]):
        with_drafts.use_adapter(target)
        without.use_adapter(target)
        assert texts(with_drafts, prompts) == texts(without, prompts)
    drafts = with_drafts._drafts
    assert drafts is not None
    assert drafts.accepted > 0.9 * drafts.offered > 0, "the last one said again what it had said before"


def test_memory_that_runs_out_starts_a_grammar_anew(
    tiny: Path,
    prompts: list[Prompt],
    one_by_one: dict[str, tuple[str, Any, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from harness.engine.hf_batch import SharedBatch

    built, steps = engine(tiny, max_batch="12"), 0
    step = SharedBatch.step

    def failing(self: Any, tokens: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 20:
            raise MemoryError
        return step(self, tokens)

    monkeypatch.setattr(SharedBatch, "step", failing)

    assert texts(built, prompts) == one_by_one
    assert steps > 20


BAD = {
    "an unknown type": {"type": "object", "properties": {"a": {"type": "dict"}}},
    "a reference to nothing": {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}},
    "a broken pattern": {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
    "half a surrogate pair": {"type": "object", "properties": {"\ud800": {"type": "string"}}},
}


@pytest.mark.parametrize("schema", BAD.values(), ids=BAD)
def test_a_schema_without_grammar_is_an_error_of_its_sample_alone(tiny: Path, schema: dict[str, Any]) -> None:
    fine, bad = offering([make_prompt((1, 2, 3), "fine"), make_prompt((1, 2, 3), "bad")])
    broken = ToolSpec(name="broken_tool", description="", parameters=schema)
    bad = replace(bad, sample=replace(bad.sample, tools=(RUN, broken)))

    found = answers(engine(tiny), [fine, bad])

    assert found["fine"].status == "ok"
    assert found["bad"].status == "error"
    assert found["bad"].text == ""
    reason = found["bad"].error or ""
    assert "broken_tool" in reason, "it says which tool"
    assert "run" not in reason.replace("broken", ""), "and not another"


def test_without_tools_no_call_can_be_begun(tiny: Path) -> None:
    """Prompts that make the model begin a call in free decoding, and `tools` with none offered."""
    asked = [make_prompt((5, 6, ids), f"n{ids}", new=60) for ids in range(12)]
    free = answers(engine(tiny, free=True), asked)
    marks = {one.key for one in free.values() if "tool_call>" in one.text}

    bound = answers(engine(tiny), asked)

    assert marks, "the model writes the mark of its own accord, so that it can be seen to be kept from it"
    assert all(one.status == "ok" and "tool_call>" not in one.text for one in bound.values())


def test_text_is_free_where_a_call_is_not_begun(tiny: Path) -> None:
    """The grammar takes what the model writes of its own accord until that is no text, or a call."""
    asked = [
        replace(prompt, sample=replace(prompt.sample, tools=(RUN,)))
        for prompt in (make_prompt((7, ids), f"t{ids}", new=20) for ids in range(12))
    ]
    request = EngineRequest(
        model="tiny",
        model_path=tiny,
        dtype="fp32",
        structural_tag=lambda prompt: dialect("hermes").structural_tag("tools", prompt.sample.tools),
    )
    free = answers(engine(tiny, free=True), asked)
    bound = answers(HfEngine(request), asked)

    kept = 0
    for key, one in free.items():
        end = next((at for at, letter in enumerate(one.text) if letter in "\ufffd<"), len(one.text))
        assert bound[key].text[:end] == one.text[:end]
        kept += end
    assert kept > 10, "the model writes some text before it writes what is none"


def test_a_model_that_never_stops_is_refused(tiny: Path) -> None:
    loaded = engine(tiny)._loaded
    assert loaded is not None
    with pytest.raises(ModelError, match="no token that ends an answer"):
        Grammars(replace(loaded, stop_ids=frozenset()), tag_of)


LENGTHS = tool("note", text={"type": "string", "minLength": 1, "maxLength": 3})


def test_strings_hold_no_raw_control_characters_where_lengths_are_limited(tiny: Path) -> None:
    """xgrammar's strings of limited length may hold them, and what holds them is no JSON."""
    asked = [
        replace(prompt, sample=replace(prompt.sample, tools=(LENGTHS,)))
        for prompt in offering(mixed_prompts(10), new=300)
    ]

    for one in answers(engine(tiny), asked).values():
        codes = {error.code for error in get_dialect("hermes").parse(one.text).errors}
        assert "control_character" not in codes, one.text


def test_the_library_is_recorded_where_it_constrains(tiny: Path) -> None:
    assert "xgrammar" in engine(tiny).info().versions
    assert "xgrammar" not in engine(tiny, free=True).info().versions
