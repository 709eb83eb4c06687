"""A suite folder (or an installed suite's name) becomes a Suite."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from harness.data.records import LocatedSample, iter_samples, load_tools
from harness.errors import SpecError, UsageError, did_you_mean, nearest_name
from harness.fingerprint import sha256_of_file
from harness.persona.card import PersonaCard, load_card
from harness.persona.references import references_sha256
from harness.persona.scenario import Scenario, load_scenario, records_name
from harness.persona.system_prompt import SystemPrompt, system_prompt_of
from harness.registry import Registry
from harness.suite.schema import SPLITS, DatasetRef, SuiteSpec
from harness.types import ToolSpec
from harness.yaml_spec import read_yaml_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A loaded suite: its specification, its place, and the contents' hashes. No sample is held in memory."""

    spec: SuiteSpec
    folder: Path
    sha256: str
    """Hash of suite.yaml, scorer.py, and of the persona card with its references."""
    records: Path
    """The split's JSONL file."""
    records_sha256: str
    """Hash of the split's file and tools.json."""
    tools: Mapping[str, ToolSpec]
    persona: PersonaCard | None = None
    system_prompt: SystemPrompt | None = None
    """What stands before every sample; None for a suite without persona."""
    scenario: Scenario | None = None
    """What makes the samples, where they are not the lines of one file."""

    def samples(self) -> Iterator[LocatedSample]:
        """Yield the split's samples in file order, as they are asked: after the persona's system prompt, if any.

        Raises RecordError at the first bad line.
        """
        if self.scenario is not None:
            yield from self.scenario.samples()
            return
        for located in iter_samples(self.records, self.tools):
            if self.system_prompt is None:
                yield located
            else:
                yield LocatedSample(self.system_prompt.before(located.sample), located.line)

    @property
    def scorer(self) -> Path:
        """The suite's own metrics, a file that may not exist."""
        return self.folder / "scorer.py"


def load_suite(
    name: str, *, split: str | None = None, system_prompt: str | None = None, mask_name: bool = False
) -> Suite:
    """Return the suite of a folder, a suite.yaml, or a name from the entry points `harness.suites`.

    `split` is another split of the suite's data set than the one that it names; `system_prompt` another prompt of its
    persona card (persona, neutral, none); `mask_name` replaces the persona's names in every prompt. Executes nothing
    from the folder. Raises UsageError or SpecError with the place and the nearest known name.
    """
    folder = _suite_folder(name)
    spec_path = folder / "suite.yaml"
    spec = read_yaml_spec(spec_path, SuiteSpec)
    if split is not None:
        spec = _with_split(spec, split)
    dataset = (folder / spec.dataset.path).resolve()
    records = dataset / records_name(spec.scenario, spec.dataset.split)
    if not dataset.is_dir():
        raise SpecError(f"dataset.path: no such folder: {dataset}", where=spec_path)
    if not records.is_file():
        splits = ", ".join(sorted(path.stem for path in dataset.glob("*.jsonl"))) or "none"
        raise SpecError(
            f"dataset {dataset} has no {records.name}", where=spec_path, remedy=f"Splits there: {splits}."
        )
    tools_path = dataset / "tools.json"
    tools = load_tools(tools_path) if tools_path.is_file() else {}
    digest = hashlib.sha256(sha256_of_file(records).encode())
    digest.update(sha256_of_file(tools_path).encode() if tools else b"")
    suite_digest = hashlib.sha256(spec_path.read_bytes())
    scorer = folder / "scorer.py"
    if scorer.is_file():
        suite_digest.update(scorer.read_bytes())
    card = _card(spec, spec_path, system_prompt, mask_name)
    if card is not None:
        suite_digest.update(f"{card.sha256} {references_sha256(card)}".encode())
    scenario = None
    if spec.scenario is not None:
        scenario = load_scenario(spec.scenario, spec_path, records, tools)
    for file in scenario.files if scenario else ():
        digest.update(f"{file.name} {sha256_of_file(file)}".encode())
    for name, one in scenario.cards.items() if scenario else ():
        suite_digest.update(f"{name} {one.sha256} {references_sha256(one)}".encode())
    return Suite(
        spec=spec,
        folder=folder,
        sha256=suite_digest.hexdigest(),
        records=records,
        records_sha256=digest.hexdigest(),
        tools=tools,
        persona=card,
        system_prompt=None
        if card is None
        else system_prompt_of(card, system_prompt or spec.system_prompt, mask_name=mask_name),
        scenario=scenario,
    )


def _card(spec: SuiteSpec, spec_path: Path, system_prompt: str | None, mask_name: bool) -> PersonaCard | None:
    """Return the suite's persona card. Raises UsageError if one is asked for by another key, and there is none."""
    if spec.persona is not None:
        return load_card(spec_path.parent / spec.persona)
    if system_prompt is not None or mask_name:
        asked = "--mask-name" if mask_name else f"--system-prompt {system_prompt}"
        raise UsageError(
            f"{asked} needs a persona, and the suite {spec.name!r} has none",
            where=spec_path,
            remedy="Leave it out, or add persona: persona.yaml to the suite.",
        )
    return None


def _with_split(spec: SuiteSpec, split: str) -> SuiteSpec:
    if split not in SPLITS:
        raise UsageError(f"no split {split!r}", remedy=did_you_mean(split, SPLITS))
    dataset = DatasetRef.model_validate({"path": spec.dataset.path, "split": split})
    return spec.model_copy(update={"dataset": dataset})


def load_scorer(suite: Suite) -> ModuleType:
    """Execute the suite folder's scorer.py as a private module and return it.

    Raises SpecError if there is none or if it fails; running a suite runs its code, as a conftest.py would.
    """
    path = suite.scorer
    if not path.is_file():
        raise SpecError("metrics name scorer.py, but the folder has none", where=suite.folder / "suite.yaml")
    name = f"harness_local_{hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError("cannot be loaded as Python", where=path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SpecError(f"failed while loading: {type(error).__name__}: {error}", where=path) from error
    return module


def _suite_folder(name: str) -> Path:
    if "\0" in name or len(name) > 4000:
        raise UsageError("this is no path", where=name[:60].replace("\0", "\\0"))
    path = Path(name)
    if path.name == "suite.yaml" and path.is_file():
        return path.parent.resolve()
    if (path / "suite.yaml").is_file():
        return path.resolve()
    registry = Registry("harness.suites")
    if name in registry.names():
        offered = registry.get(name)
        return Path(offered() if callable(offered) else offered).resolve()
    if path.is_dir():
        raise UsageError("this folder has no suite.yaml", where=path)
    siblings = (
        sorted(found.parent for found in path.parent.glob("*/suite.yaml")) if path.parent.is_dir() else []
    )
    known = [str(sibling) for sibling in siblings] + registry.names()
    if not known:
        known = [str(found.parent) for found in sorted(Path("suites").glob("*/suite.yaml"))]
    close = nearest_name(str(path), known, cutoff=0.5)
    hint = f"Did you mean {close}? " if close else ""
    raise UsageError(f"no suite {name!r}", remedy=f"{hint}Known: {', '.join(known) or 'none here'}.")
