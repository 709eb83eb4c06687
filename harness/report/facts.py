"""What identifies a run, as label and value, from its header."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.report.sample_body import label
from harness.report.stored import items, mapping, number
from harness.report.text import count, json_text, plural, seconds
from harness.report.wording_of_change import constrained, run_name, run_title

_SHORT_HASH = 12
_LONGEST = 4_000
"""Bytes of markup that one value may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One labelled value; `full` is what to copy where `value` is shortened."""

    label: str
    value: str
    full: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A named table of facts."""

    name: str
    facts: tuple[Fact, ...]


def _plain(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return label(value if isinstance(value, str) else json_text(value), _LONGEST)


def _fact(label: str, value: Any, full: Any = None) -> Fact:
    shown = _plain(value)
    return Fact(label=label, value=shown, full=shown if full is None else _plain(full))


def _with_hash(label: str, name: Any, fingerprint: Any) -> Fact:
    """Return a name with the beginning of its hash; the whole hash is copied."""
    if not name and not fingerprint:
        return _fact(label, None)
    if not fingerprint:
        return _fact(label, name)
    full = str(fingerprint)
    kind, colon, digest = full.rpartition(":")
    short = f"{kind}{colon}{digest[:_SHORT_HASH]}"
    return _fact(label, f"{name} · {short}" if name else short, f"{name} {full}" if name else full)


def _git(header: Mapping[str, Any]) -> Fact:
    git = mapping(header.get("git"))
    if not git:
        return _fact("Git", "not a git checkout")
    state = "with uncommitted changes" if git.get("dirty") else "clean"
    commit = str(git.get("commit") or "unknown")
    return _fact("Git", f"{commit[:_SHORT_HASH]}, {state}", f"{commit}, {state}")


def _software(header: Mapping[str, Any]) -> Fact:
    """Return the versions of the harness and of what the engine answers with."""
    packages = mapping(mapping(header.get("env")).get("packages"))
    found = {name: packages[name] for name in ("persona-harness",) if name in packages}
    found |= mapping(mapping(header.get("engine")).get("versions"))
    return _fact("Software", ", ".join(f"{name} {_plain(version)}" for name, version in found.items()))


def _machine(header: Mapping[str, Any]) -> Fact:
    env = mapping(header.get("env"))
    cores = number(env.get("cores"))
    parts = [_plain(env["cpu"])] if env.get("cpu") else []
    return _fact("Machine", ", ".join(parts + ([plural(cores, "core")] if cores else [])))


def _selection(header: Mapping[str, Any]) -> Fact:
    selection, repeats = mapping(header.get("selection")), header.get("repeats", 1)
    chosen = number(selection.get("n"))
    parts = ["unknown number" if chosen is None else count(chosen)]
    if mapping(header.get("dataset")).get("n_records") is not None:
        parts.append(f"of {_plain(mapping(header.get('dataset')).get('n_records'))} records")
    if selection.get("limit") is not None:
        parts.append(f"(limit {_plain(selection['limit'])})")
    parts += [f"{key}={_plain(value)}" for key, value in mapping(selection.get("tags")).items()]
    if repeats != 1:
        parts.append(f"× {_plain(repeats)} repeats")
    return _fact("Samples", " ".join(parts))


def title_of(header: Mapping[str, Any]) -> str:
    """Return what was run on what, cut to a headline."""
    return label(run_title(header), 600)


def name_of(header: Mapping[str, Any]) -> str:
    """Return who answered in a word or two, cut to what a sentence bears."""
    return label(run_name(header), 200)


def identity(header: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return the facts that say which run this is, short enough for a strip."""
    if not header:
        return ()
    engine, suite, dataset = (mapping(header.get(key)) for key in ("engine", "suite", "dataset"))
    prompt, sampling = mapping(header.get("prompt")), mapping(header.get("sampling"))
    numbers = engine.get("dtype"), engine.get("quantization") or "not quantised"
    duration = number(header.get("duration_s"))
    return (
        _with_hash("Model", engine.get("model"), engine.get("model_fingerprint")),
        _with_hash("Adapter", engine.get("adapter"), engine.get("adapter_fingerprint")),
        _with_hash(
            "Suite", f"{_plain(suite.get('name'))} {_plain(suite.get('version'))}", suite.get("sha256")
        ),
        _with_hash(
            "Data", f"{_plain(dataset.get('path'))} {_plain(dataset.get('split'))}", dataset.get("sha256")
        ),
        _selection(header),
        _fact(
            "Sampling",
            f"temperature {_plain(sampling.get('temperature'))}, seed {_plain(sampling.get('seed'))}"
            + (f", {label(bound, _LONGEST)}" if (bound := constrained(header)) else ""),
        ),
        _with_hash(
            "Prompt",
            f"tools by {_plain(prompt.get('tools_by'))}, {_plain(prompt.get('dialect'))}",
            prompt.get("template_sha256"),
        ),
        *_persona_facts(header),
        *_promise(header),
        _fact(
            "Engine",
            f"{_plain(engine.get('engine'))} on {_plain(engine.get('device'))}, "
            f"{_plain(numbers[0])}, {_plain(numbers[1])}",
        ),
        _software(header),
        _machine(header),
        _git(header),
        _fact("Started", header.get("started_at")),
        _fact("Took", "unfinished" if duration is None else seconds(duration)),
        _fact("Run", header.get("run_id")),
    )


def _promise(header: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return what a run under `--deterministic` promises; nothing for any other run."""
    said = _said(header)
    return (
        (_fact("Deterministic", "asked for" if said["promised"] else "nothing is promised"),) if said else ()
    )


def _said(header: Mapping[str, Any]) -> dict[str, str]:
    promise = mapping(header.get("deterministic"))
    names = ("promised", "not_promised") if promise else ()
    return {name: " ".join(map(str, items(promise.get(name)))) for name in names}


def _persona_facts(header: Mapping[str, Any]) -> tuple[Fact, ...]:
    persona, prompt = mapping(header.get("persona")), mapping(header.get("prompt"))
    if not persona:
        return ()
    masked = ", names masked" if prompt.get("names_masked") is True else ""
    return (
        _with_hash(
            "Persona",
            f"{_plain(persona.get('name'))} {_plain(persona.get('version'))}",
            persona.get("card_sha256"),
        ),
        _with_hash("References", None, persona.get("references_sha256")),
        _with_hash(
            "System prompt",
            f"{_plain(prompt.get('system_prompt'))}{masked}",
            prompt.get("system_prompt_sha256"),
        ),
    )


def _table(name: str, values: Mapping[str, Any], skip: tuple[str, ...] = ()) -> Section:
    facts = tuple(_fact(key.replace("_", " "), value) for key, value in values.items() if key not in skip)
    return Section(name=name, facts=facts)


def reproduce(header: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return everything recorded about how the run was made, hashes in full."""
    env, engine = mapping(header.get("env")), mapping(header.get("engine"))
    suite = {
        key: value
        for key, value in mapping(header.get("suite")).items()
        if key in ("name", "version", "sha256")
    }
    plan = {"plan_sha256": header.get("plan_sha256"), "schema_version": header.get("schema_version")}
    sections = (
        _table("Data", mapping(header.get("dataset"))),
        _table("Suite and plan", {**suite, **plan}),
        _table("Engine", engine, skip=("versions",)),
        _table("Determinism", _said(header)),
        _table("Prompt and sampling", {**mapping(header.get("prompt")), **mapping(header.get("sampling"))}),
        _table("Machine", env, skip=("packages",)),
        _table("Versions", {**mapping(env.get("packages")), **mapping(engine.get("versions"))}),
    )
    return tuple(section for section in sections if section.facts) if header else ()


def command(header: Mapping[str, Any]) -> str:
    """Return the command line of the run, quoted for a shell."""
    return shlex.join(str(part) for part in items(header.get("argv")))
