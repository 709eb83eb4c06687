"""Does the training data hold what the model is measured by? Validation, the suite asked while training, the test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.leakage import near_duplicates, normalise, user_text
from harness.errors import HarnessError
from harness.spread import spread
from harness.training.eval_suite import SPLIT, load_eval_suite
from harness.training.preflight_numbers import asked, leaked_of
from harness.training.prepare import Prepared, read_records, recipe_prompt
from harness.types import Sample

if TYPE_CHECKING:
    from harness.training.preflight import PreflightFinding

_CHECKED_TEXTS = 20_000
_SHOWN_IDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSet:
    """Records of one file, under the recipe's system prompt as the training data are.

    `what` is their name in a sentence; `problem` says why they cannot be read, "" if they can.
    """

    what: str
    path: Path
    samples: tuple[Sample, ...]
    problem: str = ""


def leak_findings(prepared: Prepared) -> Iterator[PreflightFinding]:
    """Yield what of every held set stands in the training data, or nearly does. Raises SpecError as `held_sets` does."""
    from harness.training.preflight import PreflightFinding  # preflight calls this module

    trained = {asked(sample): part.path for part in prepared.train.sets for sample in part.samples}
    clean = []
    for held in held_sets(prepared):
        if held.problem:
            yield PreflightFinding(
                code="leakage_unknown",
                severity="warning",
                message=f"not known whether the {held.what} are in the training data: {held.problem}",
                remedy="Correct that file: the adapter is measured on it later.",
            )
            continue
        exact = leaked_of(held.samples, trained.keys())
        if exact:
            learnt = {trained[asked(sample)] for sample in held.samples if asked(sample) in trained}
            yield PreflightFinding(
                code="leakage",
                severity="critical",
                message=f"{len(exact)} of {len(held.samples)} {held.what} are in the training data, too: "
                f"{_listed(exact)} (of {held.path}{_from(prepared, learnt)})",
                remedy="This very file is learnt: take it out of `train`, or out of what is held out."
                if learnt == {held.path}
                else f"Remove them from one of the two.{_lint(held, learnt)}",
            )
        else:
            clean.append(held)
    yield from _near(prepared, clean)


def _near(prepared: Prepared, sets: Sequence[HeldSet]) -> Iterator[PreflightFinding]:
    from harness.training.preflight import PreflightFinding

    every = [(sample, part.path) for part in prepared.train.sets for sample in part.samples]
    train = spread(every, _CHECKED_TEXTS)
    texts = [normalise(user_text(sample)) for sample, _ in train]
    texts += [normalise(user_text(sample)) for held in sets for sample in held.samples]
    near: dict[int, set[Path]] = {}
    for left, right, _ in near_duplicates(texts) if sets else ():
        if left < len(train) <= right:
            near.setdefault(right, set()).add(train[left][1])
    compared = "" if len(train) == len(every) else f"; {len(train):,} of {len(every):,} were compared"
    start = len(train)
    for held in sets:
        places = [place for place in range(start, start + len(held.samples)) if place in near]
        ids = [held.samples[place - start].id for place in places]
        start += len(held.samples)
        if ids:
            learnt = {path for place in places for path in near[place]}
            yield PreflightFinding(
                code="near_duplicates",
                severity="warning",
                message=f"{len(ids)} of {len(held.samples)} {held.what} nearly repeat a training record: "
                f"{_listed(ids)} (of {held.path}{_from(prepared, learnt)}){compared}",
                remedy=f"Their answers will look better than those to new questions.{_lint(held, learnt)}",
            )


def _from(prepared: Prepared, learnt: Set[Path]) -> str:
    """Return where the training records stand, if the recipe learns several data sets."""
    return f"; learnt from {', '.join(map(str, sorted(learnt)))}" if len(prepared.train.sets) > 1 else ""


def _lint(held: HeldSet, learnt: Set[Path]) -> str:
    """Return what lists the pairs, for files of one data set."""
    folder = held.path.parent
    return (
        f" `harness data lint {folder}` lists them." if {path.parent for path in learnt} == {folder} else ""
    )


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return ", ".join(ids[:_SHOWN_IDS]) + more


def held_sets(prepared: Prepared) -> Iterator[HeldSet]:
    """Yield the recipe's validation records, those that its `eval_suite` asks while it trains, and the test split beside
    the training or the validation file.

    A file that cannot be read is one with a problem. Raises SpecError for a suite that is not there.
    """
    recipe, validation = prepared.recipe, prepared.validation
    seen: set[Path] = set()
    held_out = validation.sets if validation is not None else ()
    for part in held_out:
        yield HeldSet(what="validation records", path=part.path, samples=part.samples)
        if part.whole:
            seen.add(part.path)
    if recipe.eval_suite is not None:
        suite = load_eval_suite(recipe.eval_suite.path, prepared.recipe_path, split=SPLIT)
        if suite.records not in seen:
            seen.add(suite.records)
            yield _read(prepared, f"{SPLIT} records of eval_suite {suite.spec.name}", suite.records)
    trained = {part.path for part in prepared.train.sets}
    for part in (*prepared.train.sets, *held_out):
        test = part.path.with_name("test.jsonl")
        if test.is_file() and test not in seen | trained:
            seen.add(test)
            yield _read(prepared, "test records", test)


def _read(prepared: Prepared, what: str, path: Path) -> HeldSet:
    prompt = recipe_prompt(prepared.recipe, prepared.recipe_path)
    try:
        samples = tuple(located.sample for located in read_records(path, None))
    except HarnessError as error:
        return HeldSet(what=what, path=path, samples=(), problem=error.one_message())
    return HeldSet(
        what=what, path=path, samples=samples if prompt is None else tuple(map(prompt.before, samples))
    )
