"""Is what is learnt a call that the tools take? The answers, and the earlier assistant turns beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.data.tools import SchemaChecks
from harness.data.turn_problems import TurnFault, TurnProblem, turn_problems
from harness.prompt.answer import expected_turn
from harness.training.prepare import Prepared, PreparedData
from harness.types import Sample

if TYPE_CHECKING:
    from harness.training.preflight import PreflightFinding

_WHAT: dict[TurnFault, str] = {
    "tool": "a call of a tool that is not offered",
    "null": "a null that the tool's schema does not allow",
    "arguments": "a call that the tool's schema does not allow",
    "empty": "an empty assistant turn",
}

_ANSWER = "the answer"
_TO_BE_READ = (
    "An earlier turn that is there to be read takes `weight: 0`, and tokens.loss_on: answer or assistant."
)


@dataclass(slots=True, kw_only=True)
class _Found:
    """The records with one fault. `first` is the first of them, with its place; `earlier` says that an earlier turn of
    one of them has it, not their answers alone.
    """

    where: str
    first: TurnProblem
    earlier: bool = False
    records: set[str] = field(default_factory=set)


def turn_findings(prepared: Prepared) -> Iterator[PreflightFinding]:
    """Yield a finding for each fault of assistant turns: critical for what is learnt, else a warning.

    A turn of `weight: 0` that is not learnt is passed over: its record says that it is there to be read. So are records
    of which no row is left (longer than `tokens.max_length`, or refused by the chat template).
    """
    from harness.training.preflight import PreflightFinding  # preflight calls this module

    for split, data in prepared.splits.items():
        for (fault, critical), found in _faults(prepared, data).items():
            number = len(found.records)
            holds = "record holds" if number == 1 else "records hold"
            remedy = f"{found.first.remedy} {_TO_BE_READ}" if found.earlier else found.first.remedy
            yield PreflightFinding(
                code=f"turn_{fault}",
                severity="critical" if critical else "warning",
                message=f"{split}: {number} {holds} {_WHAT[fault]}; first: {found.where} {found.first.message}",
                remedy=remedy,
            )


def _faults(prepared: Prepared, data: PreparedData) -> dict[tuple[TurnFault, bool], _Found]:
    """Return what is wrong by fault and whether it is learnt."""
    checks = SchemaChecks()
    trained = {row.sample_id for row in data.rows}
    left_out = {entry.sample_id for entry in data.dropped} - trained
    faults: dict[tuple[TurnFault, bool], _Found] = {}
    for sample, place in (located for part in data.sets for located in part.located):
        if sample.id in left_out:
            continue
        for problem, learnt, who in _problems(prepared, sample, checks):
            where = f"{place} ({sample.id}): {who}"
            found = faults.setdefault((problem.fault, learnt), _Found(where=where, first=problem))
            found.records.add(sample.id)
            found.earlier |= who != _ANSWER
    return faults


def _problems(
    prepared: Prepared, sample: Sample, checks: SchemaChecks
) -> Iterator[tuple[TurnProblem, bool, str]]:
    """Yield (problem, whether its turn is learnt, which turn) of one record."""
    tokens = prepared.recipe.tokens
    for index, turn in enumerate(sample.messages):
        learnt = tokens.loss_on == "all" or (tokens.loss_on == "assistant" and turn.learn and index > 0)
        if learnt or turn.learn:
            for problem in turn_problems(turn, sample.tools, checks):
                yield problem, learnt, "an earlier turn that is learnt" if learnt else "an earlier turn"
    answer = expected_turn(sample, optional=tokens.optional_arguments == "write")
    for problem in turn_problems(answer, sample.tools, checks):
        yield problem, True, _ANSWER
