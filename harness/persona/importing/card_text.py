"""The text of a new persona.yaml: what could be told from the file, with a comment wherever a person has to look."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.persona.function_words import ENGLISH
from harness.persona.importing.describe import Description
from harness.persona.quantile import MIN_FITTED

NEUTRAL_PROMPT = {
    "ko": "당신은 사용자를 돕는 도우미입니다. 간결하고 정중하게 한국어로 답하십시오.",
    "en": "You are a helpful assistant. Answer briefly and formally in English.",
}
DRAFT_PROMPT = {
    "ko": "너는 {name}이다. 항상 한국어로만, {name}의 말투로 답한다.",
    "en": "You are {name}. Always answer in English, in {name}'s voice.",
}
_LEVEL_NAMES = {
    "hapsyo": "합쇼체",
    "haeyo": "해요체",
    "hae": "해체",
    "plain": "해라체",
    "hao": "하오체",
    "hage": "하게체",
}


_WIDE = 1 << 30
_AROUND = "()[]\"'“”‘’,.;:!?"
_HANGUL = re.compile("[가-힣]{2,}")


class _Text(str):
    """A text that is written as a block where it has several lines."""


class _Dumper(yaml.SafeDumper):
    pass


def _block(dumper: yaml.SafeDumper, value: _Text) -> yaml.ScalarNode:
    # A block scalar cannot hold trailing spaces or control characters; the dumper then falls back to quotes itself.
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style=style)


_Dumper.add_representer(_Text, _block)


def _yaml(key: str, value: Any) -> str:
    """Return `key: value` as YAML on lines of its own; lists and objects in one line."""
    if isinstance(value, _Text):
        return yaml.dump(
            {key: value}, Dumper=_Dumper, allow_unicode=True, width=_WIDE, default_flow_style=False
        )
    return f"{key}: {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(value, allow_unicode=True, width=_WIDE, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def card_text(
    *,
    name: str,
    display_name: str,
    named: bool,
    found: Description,
    levels: Sequence[str],
    system_prompt: str | None,
    prompt_fields: Sequence[str] = (),
    dataset: str,
) -> str:
    """Return a persona.yaml that `load_card` takes.

    `named`: whether somebody said what the character is called; else `display_name` is the folder's name and has to be
    looked at. `prompt_fields`: what of a character card the system prompt was put together from. `dataset` is the
    references' folder, relative to the card.
    """
    draft = system_prompt is None
    prompt = system_prompt or DRAFT_PROMPT[found.language].format(name=display_name)
    parts = [
        "schema: 1\n",
        _yaml("name", name),
        "version: 1.0.0\n",
        "" if named else _NOT_NAMED,
        _yaml("display_name", display_name),
        "# CHECK: every name by which a model may know the character; --mask-name replaces them by neutral ones.\n",
        _yaml("names_to_mask", _names_of(display_name)),
        "language:\n"
        f"  code: {found.language}\n"
        "  allow_terms: []                # foreign words that are always fine, such as product names\n"
        "  allow_technical_latin: true    # Latin technical words in a Korean sentence are reported, not failed\n",
        *_level_lines(found, levels),
        "style: {threshold: 0.5, min_pairs: 40}\n",
        _MANNER[found.language],
        _MARKERS,
        f"markers: []\n{_MARKER[found.language]}",
        f"forbidden: []\n{_FORBIDDEN[found.language]}",
        "ai_disclosure:\n"
        "  policy: in_character           # CHECK. required | in_character | never: may it say that it is a program?\n",
        f"references:\n  dataset: {{path: {dataset}, split: train}}\n"
        f"  probes: {{path: {dataset}/probes.jsonl}}   # made from the replies; add your own, such as catchphrases alone\n",
        _prompt_comment(draft, named, prompt_fields),
        _yaml("system_prompt", _Text(prompt.strip() + "\n")),
        _yaml("neutral_system_prompt", NEUTRAL_PROMPT[found.language]),
    ]
    return "".join(parts)


_NOT_NAMED = "# CHECK: this is the folder's name, since the file does not say what the character is called. The system prompt may.\n"


def _prompt_comment(draft: bool, named: bool, fields: Sequence[str]) -> str:
    if draft:
        whose = "" if named else ", under the folder's name"
        return (
            f"# CHECK: a draft{whose}, since the file holds no system prompt. Use the words that the model was trained "
            "with.\n"
        )
    if fields and tuple(fields) != ("system_prompt",):
        *before, last = fields
        listed = f"{', '.join(before)} and {last}" if before else last
        return (
            f"# CHECK: put together from the card's {listed}. Use the words that the model was trained with.\n"
            "# Base and adapter are measured under this prompt.\n"
        )
    return "# From the file. Base and adapter are measured under this prompt.\n"


def _names_of(display_name: str) -> list[str]:
    """Return the whole name and those of its words that stand for it; masking "the" or one syllable would hide other words."""
    parts = {part.strip(_AROUND) for part in display_name.split()}
    capitals = {
        part for part in parts if len(part) >= 3 and part[0].isupper() and part.lower() not in ENGLISH
    }
    korean = {part for part in parts if _HANGUL.fullmatch(part)}
    return sorted({display_name, *capitals, *korean}, key=lambda one: (-len(one), one))


_MANNER = {
    "en": """\
# Write what a reader could check; a judge model, if you use one, answers the questions about each reply.
# manner:
#   summary: Short sentences, the verdict first.
#   traits:
#     - id: directness
#       says: The answer stands within the first two sentences.
#       checklist: ["Is there an answer within the first two sentences?"]
""",
    "ko": """\
# Write what a reader could check; a judge model, if you use one, answers the questions about each reply.
# manner:
#   summary: 문장이 짧고, 결론부터 말한다.
#   traits:
#     - id: directness
#       says: 첫 두 문장 안에 답이 있다.
#       checklist: ["첫 두 문장 안에 답이 있는가?"]
""",
}
_MARKERS = """\
# Words by which the manner shows: more often than the upper end of `band` (hits per 100 words), and it is a caricature.
"""
_MARKER = {
    "en": "# - {id: circuits, pattern: 'circuit|fuse|voltage', band: [0.0, 9.0]}\n",
    "ko": "# - {id: circuits, pattern: '회로|퓨즈|전압', band: [0.0, 9.0]}\n",
}
_FORBIDDEN = {
    "en": '# - {id: human, pattern: "(?i)\\\\bI(\'m| am) human", says: never claims to be human}\n',
    "ko": "# - {id: human, pattern: '(나는|난|나도|저는|전|저도) (사람|인간)이(야|에요|다|라고)', says: 자기가 사람이라고 하지 않는다}\n",
}


def _level_lines(found: Description, levels: Sequence[str]) -> list[str]:
    if not levels:
        return ["# The replies show no register (contractions, set phrases), so none is checked.\n"]
    told = ", ".join(
        f"{level}{f' {_LEVEL_NAMES[level]}' if level in _LEVEL_NAMES else ''} {share:.0%}"
        for level, share in found.levels.items()
    )
    comment = f"# CHECK: in {found.sentences:,} sentences of the replies: {told or 'none told'} ({found.analyser}).\n"
    return [
        comment,
        f"speech_levels:\n  allowed: [{', '.join(levels)}]\n  min_adherence: 0.9\n  max_switches: 1\n",
    ]


SUITE = """\
schema: 1
name: {suite}
version: 1.0.0
description: {description}
dataset: {{path: {dataset}, split: test}}
persona: persona.yaml        # its system prompt is put before every question
system_prompt: persona       # or neutral, or none: is the manner kept without being told?
models: {{default: smollm2-135m, adapters: []}}
dialect: auto
generation: {{temperature: 0, max_new_tokens: {budget}}}   # {why}
{metrics}
slices: [category]
limits: >-
  Questions of category `own` are of the file: a model that was trained on all of it knows their answers, so look at the
  other categories then. {questions} questions: only large differences show (a change of 20 points in a share needs 100 questions or more).
"""
GATES_ALONE = (
    "metrics: [persona_gates]     # harness persona fill adds persona_style once 40 neutral replies are there"
)
BOTH = "metrics: [persona_gates, persona_style]"


TOKENS_PER_WORD = {"ko": 3.0, "en": 1.5}
"""About what a tokenizer makes of an eojeol and of an English word."""
ROOM = 3
"""A reply may be this many times as long as the longest of the file before it is cut off."""
_BUDGET = (64, 256, 4096)


def token_budget(replies: Sequence[str], language: str) -> tuple[int, str]:
    """Return max_new_tokens, room for `ROOM` times the longest of the replies, and how it came about."""
    least, default, most = _BUDGET
    longest = max((len(reply.split()) for reply in replies), default=0)
    if len(replies) < MIN_FITTED:
        # A handful of replies, of a character card say, does not show how long they get.
        return default, "about three times the longest reply would do"
    wanted = math.ceil(longest * TOKENS_PER_WORD[language] * ROOM)
    said = f"about three times the longest reply of the file ({longest:,} words)"
    return min(max(wanted, least), most), said


def suite_text(name: str, display_name: str, dataset: str, questions: int, budget: tuple[int, str]) -> str:
    """Return a suite.yaml with the gates alone: the style score needs neutral replies. `budget` as `token_budget` gives it."""
    fields: Mapping[str, Any] = {
        "suite": f"persona_{name}",
        "description": _scalar(f"Does the model talk like {display_name}?"),
        "dataset": dataset,
        "metrics": GATES_ALONE,
        "questions": questions,
        "budget": budget[0],
        "why": budget[1],
    }
    return SUITE.format_map(fields)
