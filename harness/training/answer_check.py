"""Can what is learnt be read? Each gold answer, decoded as a model's reply is, parsed by the run's dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.parse.base import Dialect
from harness.parse.choose import get_dialect
from harness.prompt.answer import expected_turn
from harness.training.prepare import Prepared, PreparedData
from harness.training.rows import TokenRow
from harness.types import Message, Sample, ToolCall

if TYPE_CHECKING:
    from harness.training.preflight import PreflightFinding

_REFUSED_WARNING, _REFUSED_CRITICAL = 0.01, 0.10
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAnswer:
    """An answer that is learnt and does not read as the record's. `calls` says that calls are concerned, not words."""

    sample_id: str
    text: str
    calls: bool


def answer_findings(prepared: Prepared) -> Iterator[PreflightFinding]:
    """Yield a finding for answers that evaluation would not read as the record's, and one for refused records."""
    from harness.training.preflight import PreflightFinding  # preflight calls this module

    for split, data in prepared.splits.items():
        bad = list(bad_answers(prepared, data))
        calls = [answer for answer in bad if answer.calls]
        words = [answer for answer in bad if not answer.calls]
        if calls:
            yield PreflightFinding(
                code="answer_not_readable",
                severity="critical",
                message=f"{split}: {len(calls)} of {len(data.rows)} answers do not read as the record's calls in the "
                f"dialect {prepared.dialect} (first: {calls[0].sample_id}, {calls[0].text!r})",
                remedy="Set `dialect:` to the one that the chat template writes, or take out a reply that reads as a "
                "call; `harness train --show 3` shows what is learnt.",
            )
        if words:
            yield PreflightFinding(
                code="answer_changed",
                severity="warning",
                message=f"{split}: the chat template writes {len(words)} replies otherwise than the records do "
                f"(first: {words[0].sample_id}, {words[0].text!r})",
                remedy="Templates of reasoning models drop what stands before </think>; write replies without it.",
            )
        yield from _refused(data, split)


def bad_answers(prepared: Prepared, data: PreparedData) -> Iterator[BadAnswer]:
    """Yield the answers that do not read as their records say. Those without their end (cut, dropped) are left out."""
    dialect = get_dialect(prepared.dialect)
    samples = {sample.id: sample for sample in data.samples}
    incomplete = {entry.sample_id for entry in (*data.cut, *data.dropped)}
    optional = prepared.recipe.tokens.optional_arguments == "write"
    last = {row.sample_id: row for row in data.rows if row.sample_id not in incomplete}
    for name, row in last.items():
        sample = samples[name]
        text = _spoken(prepared, sample, row)
        answer = expected_turn(sample, optional=optional)
        if not _reads_as(dialect, text, answer, [tool.name for tool in sample.tools]):
            yield BadAnswer(sample_id=name, text=text[:_SHOWN], calls=True)
        elif not answer.tool_calls and _letters(answer.content) not in _letters(text):
            yield BadAnswer(sample_id=name, text=text[:_SHOWN], calls=False)


def _spoken(prepared: Prepared, sample: Sample, row: TokenRow) -> str:
    """Return the answer's text as an engine would report it: without the token that stopped it, markers kept."""
    start = row.spans[-1][0]
    if prepared.recipe.tokens.loss_on == "all":
        start = len(prepared.renderer.render(sample).token_ids)
    ids = list(row.ids[start:])
    if ids and ids[-1] in prepared.stop_ids:
        ids = ids[:-1]
    text: str = prepared.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def _reads_as(dialect: Dialect, text: str, answer: Message, offered: Sequence[str]) -> bool:
    reply = dialect.parse(text, tool_names=offered)
    if not answer.tool_calls:
        return not reply.attempted
    found = [
        ToolCall(name=call.name, arguments=call.arguments)
        for call in reply.calls
        if call.name is not None and call.arguments is not None
    ]
    return reply.status == "ok" and _written(found) == _written(answer.tool_calls)


def _written(calls: Sequence[ToolCall]) -> list[str]:
    """Return the calls as JSON, in which 1, 1.0 and true differ and the order of keys does not."""
    return [json.dumps([call.name, call.arguments], sort_keys=True) for call in calls]


def _letters(text: str) -> str:
    """Return the text without blanks, which templates trim."""
    return "".join(text.split())


def _refused(data: PreparedData, split: str) -> Iterator[PreflightFinding]:
    from harness.training.preflight import PreflightFinding

    refused = [entry for entry in data.dropped if entry.tokens == 0]
    if not refused:
        return
    share = len(refused) / max(1, data.read)
    yield PreflightFinding(
        code="rows_refused",
        severity="critical"
        if share > _REFUSED_CRITICAL
        else "warning"
        if share > _REFUSED_WARNING
        else "info",
        message=f"{split}: {len(refused)} of {data.read} records are left out, because {refused[0].why} (first: "
        f"{refused[0].where}, {refused[0].sample_id})",
        remedy="Change the records, or use a base whose chat template can write them.",
    )
