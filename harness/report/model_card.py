"""The model card (README.md) of a published adapter: what it is, what was measured, how to repeat it, what it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import MissingDependency
from harness.models.adapter_origin import AdapterOrigin
from harness.models.aliases import ALIASES
from harness.report.facts import command
from harness.report.stored import mapping, mappings, number, whole
from harness.report.text import count, one_line, visible
from harness.report.wording_of_change import constrained
from harness.training.measured_runs import Measured
from harness.training.publish_files import without_local_paths

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,40}")
_MARKUP = re.compile(r"([\\`*_\[\]<>|~#])")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card is made of. `chosen` is the sentence of the sweep that chose this checkpoint, if one did."""

    repo: str
    rank: int
    base_model: str | None
    licence: str | None
    origin: AdapterOrigin | None
    runs: Sequence[Measured] = field(default_factory=tuple)
    chosen: str | None = None


def base_on_hub(named: str | None, origin: AdapterOrigin | None, recorded: str | None) -> str | None:
    """Return the base's hub id: as named, of the alias, or as recorded where that is one; None where it is not known."""
    alias = ALIASES.get(origin.base) if origin else None
    for name in (
        named,
        alias.hub_id if alias else None,
        origin.base if origin else None,
        recorded,
    ):
        if name and _HUB_ID.fullmatch(name) and not Path(name).is_dir():
            return name
    return None


def licence_of(origin: AdapterOrigin | None, base_folder: Path | None) -> str | None:
    """Return the base's licence as the hub writes it, from the alias or the base's own card; None where not known."""
    if origin is not None and origin.base in ALIASES:
        return ALIASES[origin.base].licence.lower()
    if base_folder is None:
        return None
    try:
        text = (base_folder / "README.md").read_text(encoding="utf-8")
        front = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else None
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    found = front.get("license") if isinstance(front, dict) else None
    return found if isinstance(found, str) and _LICENCE.fullmatch(found) else None


def render_card(facts: CardFacts) -> str:
    """Return README.md: metadata with `model-index`, then text. Raises MissingDependency without huggingface_hub."""
    try:
        from huggingface_hub import ModelCard, ModelCardData
    except ImportError:
        raise MissingDependency(
            "huggingface_hub is not installed", remedy='Install it: pip install "persona-harness[hf]"'
        ) from None
    name = facts.repo.rpartition("/")[2]
    results = [result for run in facts.runs for result in _results(run)]
    data = ModelCardData(
        base_model=facts.base_model,
        language=_languages(facts.runs) or None,
        license=facts.licence,
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["lora", "peft", "persona-harness", *sorted({_suite(run)[0] for run in facts.runs})],
        model_name=name if results else None,
        eval_results=results or None,
    )
    body = "\n\n".join(part for part in _body(name, facts) if part)
    card = f"---\n{data.to_yaml()}\n---\n\n{body}\n"
    # Read back as the hub will: a card that it cannot read has no numbers there.
    read: Any = ModelCard(card).data
    if (read.eval_results or []) != results:
        raise ValueError("the model card does not read back with the numbers that were written into it")
    return card


def _results(run: Measured) -> list[Any]:
    """Return one EvalResult a headline metric, over all samples of the run."""
    from huggingface_hub import EvalResult

    dataset = mapping(run.header.get("dataset"))
    suite, version = _suite(run)
    found = []
    for metric, about, overall in _headline(run):
        value, low, high = (number(overall.get(key)) for key in ("value", "ci_low", "ci_high"))
        if value is None:
            continue
        found.append(
            EvalResult(
                task_type="text-generation",
                task_name=f"{suite} {version}",
                dataset_type=str(dataset.get("path") or "unknown"),
                dataset_name=f"{dataset.get('path')} ({dataset.get('split')})",
                dataset_split=str(dataset.get("split") or "") or None,
                dataset_revision=str(dataset.get("sha256") or "") or None,
                metric_type=metric,
                metric_name=str(about.get("label") or metric),
                metric_value=round(value, 4),
                metric_args={
                    "n": whole(overall.get("n")),
                    "ci95_low": None if low is None else round(low, 4),
                    "ci95_high": None if high is None else round(high, 4),
                },
            )
        )
    return found


def _headline(run: Measured) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield (metric, description, aggregate over all samples), over-refusal beside hallucination."""
    overall = {
        str(one.get("metric")): one
        for one in mappings(run.summary.get("aggregates"))
        if one.get("group") == "all"
    }
    for name, about in mapping(run.summary.get("measures")).items():
        # Silence lowers hallucination and raises over-refusal: one without the other misleads.
        if (mapping(about).get("headline") or name == "over_refusal") and name in overall:
            yield name, mapping(about), overall[name]


def _languages(runs: Sequence[Measured]) -> list[str]:
    groups = {
        str(one.get("group")).removeprefix("language=")
        for run in runs
        for one in mappings(run.summary.get("aggregates"))
        if str(one.get("group")).startswith("language=")
    }
    return sorted(group for group in groups if _LANGUAGE.fullmatch(group))


def _suite(run: Measured) -> tuple[str, str]:
    suite = mapping(run.header.get("suite"))
    return one_line(str(suite.get("name") or "unknown"), 60), one_line(str(suite.get("version") or ""), 20)


def _body(name: str, facts: CardFacts) -> Iterator[str]:
    base = f"[{facts.base_model}](https://huggingface.co/{facts.base_model})" if facts.base_model else None
    named = base or (
        _plain(_local_name(facts.origin.base)) if facts.origin else "a base model that it does not name"
    )
    yield f"# {_plain(name)}"
    yield f"A LoRA adapter of rank {facts.rank} for {named}, made and measured with persona-harness."
    if facts.chosen:
        yield _plain(facts.chosen)
    yield "## What was measured"
    if not facts.runs:
        yield "Nothing that is published here. Measure it before you use it: `harness run SUITE --adapter .`"
    for run in facts.runs:
        yield from _measurement(run)
    yield from _usage(facts)
    yield from _training(facts.origin)
    yield from _reproduce(facts)
    yield "## What it is not"
    yield "\n".join(f"- {line}" for line in _limits(facts))


def _measurement(run: Measured) -> Iterator[str]:
    header = run.header
    dataset, engine, counts = (
        mapping(part) for part in (header.get("dataset"), header.get("engine"), run.summary.get("counts"))
    )
    suite, version = _suite(run)
    asked = f"{count(whole(counts.get('scored')))} of {count(whole(dataset.get('n_records')))} records"
    numbers = f"{engine.get('dtype')}, {engine.get('quantization') or 'not quantised'}"
    yield (
        f"**{_plain(suite)} {_plain(version)}**, split `{_code(dataset.get('split'))}` of "
        f"`{_code(dataset.get('path'))}`: {asked}; engine {_plain(engine.get('engine'))}, {_plain(numbers)}"
        + (f"; **{_plain(bound)}**." if (bound := constrained(header)) else ".")
    )
    compared = bool(run.against_base)
    rows = [
        "| metric | this adapter | 95 % interval | n |"
        + (" base model | difference, paired |" if compared else "")
    ]
    rows.append("|---|---|---|---|" + ("---|---|" if compared else ""))
    for metric, about, overall in _headline(run):
        better = "higher is better" if about.get("higher_is_better", True) else "lower is better"
        low, high = number(overall.get("ci_low")), number(overall.get("ci_high"))
        bounds = "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        value = number(overall.get("value"))
        cells = [
            f"{_plain(about.get('label') or metric)} ({better})",
            "–" if value is None else f"{value:.3f}",
            bounds,
            str(whole(overall.get("n"))),
        ]
        rows.append("| " + " | ".join([*cells, *(_against_base(run, metric) if compared else [])]) + " |")
    yield "\n".join(rows)


def _against_base(run: Measured, metric: str) -> list[str]:
    one = run.against_base.get(metric)
    if one is None:
        return ["–", "–"]
    moved = one.difference
    if moved.low is None or moved.high is None:
        bounds = ""
    elif moved.low == moved.high:
        bounds = " (the same for every sample)"
    else:
        bounds = f" ({moved.low:+.3f} to {moved.high:+.3f})"
    return [f"{one.before:.3f}", f"{moved.value:+.3f}{bounds}"]


def _usage(facts: CardFacts) -> Iterator[str]:
    yield "## Use"
    base = facts.base_model or "BASE"
    yield (
        "```python\n"
        "from peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base}")\n'
        f'model = PeftModel.from_pretrained(base, "{facts.repo}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{facts.repo}")\n'
        "```"
    )
    origin = facts.origin
    if origin is None:
        return
    how = (
        "Tools were offered in the system message, not by the chat template, in the words of the dialect "
        f"`{_code(origin.dialect)}`."
        if origin.tools_by == "tool_block"
        else f"Tools were offered by the chat template; calls are written in the dialect `{_code(origin.dialect)}`."
    )
    yield f"{how} It answers well only prompts written as in training; `harness_adapter.json` holds one as an example."


def _training(origin: AdapterOrigin | None) -> Iterator[str]:
    if origin is None:
        return
    yield "## Training"
    rows = [
        ("base", f"{_base_title(origin.base)}, fingerprint {origin.base_fingerprint}"),
        ("checkpoint", f"step {origin.step}, epoch {origin.epoch:g}"),
        ("recipe", f"sha256 {origin.recipe_sha256}"),
        ("chat template", f"sha256 {origin.template_sha256}"),
    ]
    for split, part in mapping(origin.data).items():
        about = mapping(part)
        sets = mappings(about.get("sets"))
        name = f"{len(sets)} data sets" if sets else about.get("file")
        rows.append((f"data: {split}", f"{name}, {about.get('rows')} rows, sha256 {about.get('sha256')}"))
        for one in sets:
            told = f"{one.get('file')}, {one.get('records')} records, sha256 {one.get('sha256')}"
            rows.append((f"data: {split}, of it", told))
    versions = ", ".join(
        f"{package} {version}" for package, version in sorted(mapping(origin.versions).items())
    )
    rows.append(("versions", versions))
    yield "\n".join(["| | |", "|---|---|", *(f"| {_plain(key)} | {_plain(value)} |" for key, value in rows)])


def _reproduce(facts: CardFacts) -> Iterator[str]:
    yield "## Reproduce"
    if facts.origin is not None:
        recipe = yaml.safe_dump(
            without_local_paths(dict(facts.origin.recipe)), sort_keys=False, allow_unicode=True
        )
        yield "The recipe, to be saved as `recipe.yaml` beside the data set:"
        yield _fence(recipe, "yaml")
    lines = ["harness train recipe.yaml"] if facts.origin is not None else []
    for run in facts.runs:
        lines += [_portable(command(header)) for header in (run.header, run.base_header) if header]
    lines = list(dict.fromkeys(lines))
    if lines:
        yield _fence("\n".join(lines), "bash")
    if facts.runs:
        yield "Paths of the machine where it was run are shortened to their last part."


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "It is no model of its own: without its base, or with another version of it, the numbers above do not hold."
    yield "It was not tested for safety, and a call that it writes is a suggestion: check it before you execute it."
    if facts.runs:
        yield "The numbers hold for these samples and this engine. Other requests, tools and languages were not measured."
    for run in facts.runs:
        own = str(mapping(run.header.get("suite")).get("limits") or "").strip()
        if own:
            yield f"{_plain(_suite(run)[0])}: {_plain(own)}"
        split = str(mapping(run.header.get("dataset")).get("split"))
        if split == "validation":
            yield "The validation split chose this checkpoint, so its numbers are on the high side."
    licence = f"is {facts.licence}" if facts.licence else "is not known here; look it up"
    yield f"The licence of the base {licence}. It applies to what is built on it."


def _base_title(name: str) -> str:
    return f"{name}: {ALIASES[name].title}" if name in ALIASES else _local_name(name)


def _local_name(name: str) -> str:
    return str(without_local_paths(name))


def _portable(line: str) -> str:
    """Return a command line whose absolute paths are only their last part."""
    import shlex

    return shlex.join(str(without_local_paths(part)) for part in shlex.split(line))


def _fence(text: str, language: str) -> str:
    # A fence longer than any in the text cannot be closed by it.
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}"


def _plain(value: Any) -> str:
    """Return text that markdown shows as it is: on one line, nothing in it markup."""
    return _MARKUP.sub(r"\\\1", one_line(str(value), 2000))


def _code(value: Any) -> str:
    return re.sub("[`<>|]", "", one_line(str(value), 200))
