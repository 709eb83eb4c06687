"""Sample -> the assistant turn that is right for it: what a scripted oracle says and what training imitates."""

from __future__ import annotations

from harness.errors import RecordError
from harness.types import Message, Sample, ToolCall


def gold_calls(sample: Sample, *, optional: bool = True) -> tuple[ToolCall, ...]:
    """Return the expected calls with the first accepted value of each argument; `optional` ones only if asked for."""
    return tuple(
        ToolCall(
            name=call.name,
            arguments={
                name: gold.accept[0] for name, gold in call.arguments.items() if optional or not gold.optional
            },
        )
        for call in sample.gold
    )


def expected_turn(sample: Sample, *, optional: bool = True) -> Message:
    """Return the assistant turn that answers the sample: its gold calls, or its reply.

    Raises RecordError for a sample that has neither.
    """
    if sample.gold:
        return Message(role="assistant", content="", tool_calls=gold_calls(sample, optional=optional))
    if not sample.reply or not sample.reply.strip():
        raise RecordError(
            f"expect is {sample.expect!r} and there is no reply, so there is nothing to imitate",
            where=sample.id,
            remedy="Give the record a reply, or keep it for evaluation only.",
        )
    return Message(role="assistant", content=sample.reply)
