"""Are the words in an order that this persona's language has? A classifier of word junctions against shuffled text.

It is taught by the references themselves: their replies as written against the same replies shuffled, whole and sentence by
sentence. It knows word endings, frequent words and where sentences begin and end, nothing of sense. A flag for what stands
out, not a measure of good writing.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.persona.check import CheckResult, Evidence
from harness.persona.quantile import quantile
from harness.persona.reply_text import mask, nfc
from harness.persona.style.linear_model import LinearModel, fit_linear_model, grouped_folds

MIN_TEXTS = 40
FALSE_ALARMS = 0.01
"""Share of true replies that may be flagged: the limit is the lower of that quantile of out-of-fold scores over all
references and over the persona's own, with MARGIN to spare."""
MARGIN = 0.5
MIN_WORDS = 6
LONGEST = 20_000
FOLDS = 5
FREQUENT = 0.04
"""A word in more of the texts than this stands for itself; others stand for their last letters."""

_MARKS = ".,!?…\"'“”‘’():;~「」『』"
_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_HANGUL_END = re.compile(r"[가-힣]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FluencyModel:
    """The classifier, the words it knows as words, and the score below which a reply is flagged."""

    model: LinearModel
    frequent: frozenset[str] = field(repr=False)
    limit: float
    caught: float
    """Share of shuffled replies below the limit, out of fold."""


def fit_fluency(replies: Sequence[str], groups: Sequence[str], own: Sequence[bool]) -> FluencyModel | None:
    """Return the model; None for fewer than 40 replies. `groups` names what must not be fitted and scored together.

    `own` says which replies are the persona's; neutral ones help to learn the language.
    """
    texts = [_prepared(reply) for reply in replies]
    if len(texts) < MIN_TEXTS or len(set(groups)) < FOLDS:
        return None
    counts = Counter(word for text in texts for word in dict.fromkeys(map(_core, text.split())))
    frequent = frozenset(word for word, count in counts.items() if count > max(3.0, FREQUENT * len(texts)))
    folds = grouped_folds(groups, FOLDS)
    examples = [_examples(text, frequent, random.Random(f"{index}")) for index, text in enumerate(texts)]
    true_scores: list[float] = []
    own_scores: list[float] = []
    shuffled_scores: list[float] = []
    for fold in range(FOLDS):
        model = _fitted([one for one, of in zip(examples, folds, strict=True) if of != fold])
        for one, of, personal in zip(examples, folds, own, strict=True):
            if of != fold:
                continue
            true_scores.append(model.decision(one[0]))
            shuffled_scores += [model.decision(blocks) for blocks in one[1:3]]
            if personal:
                own_scores.append(true_scores[-1])
    lowest = [quantile(scores, FALSE_ALARMS) for scores in (true_scores, own_scores) if scores]
    limit = min(lowest) - MARGIN
    return FluencyModel(
        model=_fitted(examples),
        frequent=frequent,
        limit=limit,
        caught=sum(score < limit for score in shuffled_scores) / len(shuffled_scores),
    )


def check_fluency(reply: str, fluency: FluencyModel | None) -> CheckResult:
    """Flag a reply whose words follow one another like a shuffled text's. values: `junctions`, the log odds."""
    if fluency is None:
        return CheckResult(
            check="fluency", passed=None, why_not=f"it takes {MIN_TEXTS} reference replies to fit"
        )
    text = _prepared(reply)
    if len(text.split()) < MIN_WORDS:
        return CheckResult(check="fluency", passed=None, why_not=f"fewer than {MIN_WORDS} words")
    score = fluency.model.decision((_junctions(text, fluency.frequent),))
    passed = score >= fluency.limit
    why = f"word order like a shuffled text's: {score:.2f}, true replies are above {fluency.limit:.2f}"
    evidence = () if passed else (Evidence(text=text[:120], why=why),)
    return CheckResult(check="fluency", passed=passed, values={"junctions": score}, evidence=evidence)


def _prepared(reply: str) -> str:
    return " ".join(nfc(mask(reply[:LONGEST])).split())


def _examples(text: str, frequent: frozenset[str], draw: random.Random) -> tuple[tuple[list[str]], ...]:
    variants = (text, _shuffled(text, draw), _shuffled_within(text, draw), _shuffled(text, draw))
    return tuple((_junctions(variant, frequent),) for variant in variants)


def _fitted(examples: Sequence[tuple[tuple[list[str]], ...]]) -> LinearModel:
    blocks = [variant for example in examples for variant in example]
    labels = [place == 0 for example in examples for place in range(len(example))]
    return fit_linear_model(blocks, labels, min_count=2)


def _shuffled(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def _shuffled_within(text: str, draw: random.Random) -> str:
    """Shuffle each sentence's words and put its capital and its full stop back where they belong."""
    sentences = []
    for sentence in _SENTENCE.split(text):
        core = sentence.rstrip(".!?…")
        words = core.split()
        if not words:
            continue
        capital = words[0][:1].isupper()
        if capital and words[0] != "I" and not words[0].startswith(("I'", "I’")):
            words[0] = words[0][:1].lower() + words[0][1:]
        draw.shuffle(words)
        if capital:
            words[0] = words[0][:1].upper() + words[0][1:]
        sentences.append(" ".join(words) + sentence[len(core) :])
    return " ".join(sentences)


def _core(word: str) -> str:
    return word.strip(_MARKS).casefold()


def _junctions(text: str, frequent: frozenset[str]) -> list[str]:
    """Return the features of a text: neighbouring word classes, what stands at sentence ends, lengths of sentences."""
    found: list[str] = []
    before: tuple[str, ...] = ("<s>",)
    mark = "S"
    for word in text.split():
        classes, capital = _classes(word, frequent), word[:1].isupper()
        for left in before:
            found.append(f"{left}{mark}|")
            found += [f"{left}{mark}|{right}" for right in classes]
        found += [f"{mark}|{right}" for right in classes]
        found.append(f"{mark}|{capital}")
        before, mark = classes, _mark(word)
    found += [f"{left}{mark}|" for left in before]
    lengths = [len(sentence.split()) for sentence in _SENTENCE.split(text)]
    for length in lengths:
        found += [f"len{min(length, 12)}"] * 2
    found += [f"ends{text[-1:] in '.!?…”’」'}"] * 4
    found += [f"single{min(3, sum(length == 1 for length in lengths))}"] * 3
    return found


def _classes(word: str, frequent: frozenset[str]) -> tuple[str, ...]:
    core = _core(word)
    if not core:
        return (f"P{word[-1:]}",)
    if core in frequent:
        return (core,)
    if _HANGUL_END.search(core):
        return (f"~{core[-2:]}", f"~{core[-1:]}")
    if core[-1].isdigit():
        return ("0",)
    return (f"~{core[-3:]}", f"~{core[-2:]}")


def _mark(word: str) -> str:
    last = word.rstrip("\"'”’」』)")[-1:]
    return "S" if last in (".", "!", "?", "…") else "C" if last in (",", ":", ";") else "_"
