"""Fine-tuning data in a persona's voice (LLaMA-Factory's alpaca and sharegpt JSON, OpenAI messages) -> a persona source.

The file is read by the same readers as `harness data import`. Every assistant turn in words is a reply; the system prompt
that stands in most rows is the character's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from harness.data.importing.context import Context
from harness.data.importing.request import ImportRequest
from harness.data.importing.rows import short_place
from harness.data.importing.sources import UnknownFormat, open_source
from harness.errors import RecordError, UsageError
from harness.persona.importing.exchange import Exchange, PersonaSource, cleaned
from harness.types import Sample

_SHOWN = 3
_FORMS = (
    "Rename the keys of each row: instruction and output (with input, system, history), or conversations with from and "
    "value, or messages with role and content. A dataset_info.json that maps them will do too (docs/importing.md)."
)


def read_training_data(path: Path, *, skip_bad: bool = False) -> PersonaSource:
    """Return the questions and replies of a file of rows.

    Raises UsageError for a format that cannot be told, RecordError if rows are wrong and are not to be skipped (the first
    few are listed) or no row holds a reply in words.
    """
    try:
        source = open_source(ImportRequest(source=str(path), out=path.parent))
    except UnknownFormat as error:
        # What `harness data import` would advise, --format, is no option of `harness persona new`.
        raise UsageError(error.what, where=error.where, remedy=_FORMS) from None
    context = Context(every_turn=True)
    exchanges: list[Exchange] = []
    systems: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    problems: list[RecordError] = []
    for part in source.parts:
        for number, row in enumerate(part.rows(), 1):
            try:
                if row.problem is not None:
                    raise row.problem
                samples = part.converter(row, context)
            except RecordError as error:
                problems.append(error)
                continue
            for sample in samples:
                _take(sample, number, row.where, exchanges, systems, notes)
    if problems and not skip_bad:
        raise _bad_rows(problems, source.label)
    if problems:
        notes["rows that could not be read, left out"] += len(problems)
    used = cleaned(exchanges)
    if not used.exchanges:
        raise RecordError(
            "the replies hold no letters" if exchanges else "no row holds a question and a reply in words",
            where=source.label,
            remedy="A persona needs rows such as instruction, input, output.",
        )
    prompt, times = systems.most_common(1)[0] if systems else (None, 0)
    others = sum(systems.values()) - times
    if others:
        notes["replies under another system prompt than the most frequent one (kept, the prompt is not)"] += (
            others
        )
    told = [f"{what}: {many:,}" for what, many in sorted((notes + context.notes).items())]
    return PersonaSource(
        kind=f"{source.format} data",
        display_name=None,
        system_prompt=prompt,
        exchanges=used.exchanges,
        notes=(*source.notes, *told, *used.notes),
    )


def _take(
    sample: Sample,
    number: int,
    where: str,
    exchanges: list[Exchange],
    systems: Counter[str],
    notes: Counter[str],
) -> None:
    if sample.reply is None or not sample.reply.strip():
        notes["tool calls, left out: a call has no voice"] += 1
        return
    system = next((message.content for message in sample.messages if message.role == "system"), None)
    if system is not None:
        systems[system.strip()] += 1
    messages = tuple(message for message in sample.messages if message.role != "system")
    if not messages or messages[-1].role != "user":
        notes["replies to something else than a user turn, left out"] += 1
        return
    told = tuple(
        replace(message, tool_calls=()) for message in messages if message.role in ("user", "assistant")
    )
    exchanges.append(
        Exchange(messages=told, reply=sample.reply.strip(), row=number, place=short_place(where))
    )


def _bad_rows(problems: list[RecordError], label: str) -> UsageError:
    listed = "".join(f"\n  {problem.where}: {problem.what}" for problem in problems[:_SHOWN])
    more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return RecordError(
        f"{len(problems)} rows cannot be read; nothing was written{listed}{more}",
        where=label,
        remedy="Mend them, or leave them out with --skip-bad.",
    )
