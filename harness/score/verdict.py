"""One word for what happened to a sample. The first that applies, in the order of `VERDICTS`."""

from __future__ import annotations

from harness.score.view import View

VERDICTS: dict[str, str] = {
    "error": "The engine failed; there is no answer to judge.",
    "too_long": "Prompt and answer budget do not fit the model's context; there is no answer to judge.",
    "correct_silence": "No tool fits, and none was called.",
    "false_call": "No tool fits, yet a call was attempted.",
    "correct_ask": "A required value is missing, and no call was attempted (whether the text asks for it is not judged).",
    "should_ask": "A required value is missing, yet a call was attempted instead of asking.",
    "correct": "The expected calls, exactly.",
    "missing_call": "A call is expected, and none was attempted.",
    "truncated": "The answer budget ran out in the middle of a call.",
    "malformed": "An attempted call cannot be read.",
    "invented_tool": "A tool was called that was not offered.",
    "wrong_tool": "An offered tool was called that is not among the expected ones.",
    "too_few_calls": "Some of the expected calls were made, and no others.",
    "extra_call": "All expected tools were called, and one of them or more once too often.",
    "wrong_order": "The expected calls, in another order than required.",
    "invented_parameter": "The right tools, with an argument that the tool does not have.",
    "wrong_arguments": "The right tools, with a missing, unexpected or wrong argument.",
    "in_character": "The reply passes every gate of the persona.",
    "persona_empty": "The reply says nothing.",
    "persona_language": "Part of the reply is in another language or script than the character's.",
    "persona_speech_level": "The reply is in another speech level than the character's.",
    "persona_break": "The reply steps out of the character.",
    "persona_refusal": "The reply refuses a harmless request.",
    "persona_degeneration": "The reply repeats itself or falls apart.",
    "persona_fluency": "The reply is no fluent text.",
    "persona_caricature": "The reply is stuffed with the character's markers.",
    "persona_memorisation": "The reply is copied from a training reply.",
    "persona_length": "The reply is far shorter or longer than the character's.",
    "persona_content": "The reply does not answer the question.",
    "persona_facts": "The reply lacks a fact that every right answer holds.",
    "persona_forbidden": "The reply makes a claim that the card forbids.",
    "persona_format": "The reply has lists or headings, which the character does not use.",
    "persona_style": "The reply's style score is below the card's threshold.",
}

CORRECT = frozenset({"correct", "correct_silence", "correct_ask", "in_character"})


def verdict_of(view: View) -> str:
    """Return the verdict on an answer as far as calls go. It does not depend on which metrics a suite asks for."""
    expect = view.sample.expect
    if expect == "no_call":
        return "false_call" if view.attempted else "correct_silence"
    if expect == "ask":
        return "should_ask" if view.attempted else "correct_ask"
    if view.strict:
        return "correct"
    if not view.attempted:
        return "missing_call"
    if not view.readable:
        return "truncated" if view.reply.status == "truncated" else "malformed"
    return _wrong_names(view) or _wrong_calls(view)


def _wrong_names(view: View) -> str | None:
    names, gold = view.names, view.gold_names
    if any(entry.tool is None for entry in view.called):
        return "invented_tool"
    if any(name not in gold for name in names):
        return "wrong_tool"
    if names > gold:
        return "extra_call"
    if names < gold:
        return "too_few_calls"
    # Expected tools only, but one too often and another too seldom: the surplus call went to the wrong tool.
    return "wrong_tool" if names != gold else None


def _wrong_calls(view: View) -> str:
    if view.only_misordered:
        return "wrong_order"
    return "invented_parameter" if view.keys.invented else "wrong_arguments"
