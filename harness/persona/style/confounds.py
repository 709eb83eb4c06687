"""How far one gets without looking at style: length, punctuation, speech level, words of the topic, each on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.persona.check import CheckResult
from harness.persona.length import count_words
from harness.persona.reply_text import mask, sentences
from harness.persona.style.examples import PERSONA, StyleExample
from harness.persona.style.features import plain_text
from harness.persona.style.libraries import load_sklearn, one_thread
from harness.persona.style.linear_model import grouped_folds
from harness.persona.style.ranking import Auc, auc_with_interval

FOLDS = 5
_PUNCTUATION = (".", ",", "!", "?", "'", '"', "-", ":", ";", "…", "(", "~")
_TOPIC_WORDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Confound:
    """What one simple baseline reaches on persona against neutral replies, by grouped cross-validation."""

    name: str
    auc: Auc


def confound_table(
    examples: Sequence[StyleExample], negatives: str, level: Callable[[str], CheckResult]
) -> tuple[Confound, ...]:
    """Return the baselines on the persona's replies and the neutral ones of kind `negatives`.

    `length`: characters, words, sentences, words a sentence. `punctuation`: marks per character. `length+punctuation`
    both. `speech_level`: the figures of the speech-level check. `topic`: words that the questions use. Logistic
    regression on standardised figures, grouped by prompt.
    """
    used = [example for example in examples if example.kind in (PERSONA, negatives)]
    words = _topic_words([example.question for example in used])
    tables: dict[str, Callable[[StyleExample], list[float]]] = {
        "length": lambda example: _length(example.reply),
        "punctuation": lambda example: _punctuation(example.reply),
        "length+punctuation": lambda example: [*_length(example.reply), *_punctuation(example.reply)],
        "speech_level": lambda example: _level(level(example.reply)),
        "topic": lambda example: [float(word in plain_text(example.reply, None).split()) for word in words],
    }
    return tuple(Confound(name=name, auc=_auc(used, figures)) for name, figures in tables.items())


def _auc(examples: Sequence[StyleExample], figures: Callable[[StyleExample], list[float]]) -> Auc:
    sklearn = load_sklearn()
    import numpy as np

    rows = [figures(example) for example in examples]
    width = max((len(row) for row in rows), default=0)
    table = np.array([row + [0.0] * (width - len(row)) for row in rows]).reshape(len(rows), width)
    labels = np.array([example.label for example in examples])
    folds = np.array(grouped_folds([example.group for example in examples], FOLDS))
    scores = np.zeros(len(examples))
    with one_thread():
        for fold in range(FOLDS):
            train, test = folds != fold, folds == fold
            if not width or not test.any() or len(set(labels[train].tolist())) < 2:
                continue
            mean, spread = table[train].mean(axis=0), table[train].std(axis=0)
            spread[spread == 0] = 1.0
            model = sklearn.linear_model.LogisticRegression(class_weight="balanced", max_iter=2000)
            model.fit((table[train] - mean) / spread, labels[train])
            scores[test] = ((table[test] - mean) / spread * model.coef_[0]).sum(axis=1) + model.intercept_[0]
    pairs = [(example.group, float(score)) for example, score in zip(examples, scores, strict=True)]
    return auc_with_interval(
        [pair for pair, example in zip(pairs, examples, strict=True) if example.label],
        [pair for pair, example in zip(pairs, examples, strict=True) if not example.label],
    )


def _length(reply: str) -> list[float]:
    words, parts = count_words(reply), max(1, len(sentences(mask(reply))))
    return [float(len(reply)), float(words), float(parts), words / parts]


def _punctuation(reply: str) -> list[float]:
    counts = Counter(reply.replace("’", "'").replace("“", '"').replace("”", '"').replace("...", "…"))
    return [counts[mark] / max(1, len(reply)) for mark in _PUNCTUATION]


def _level(result: CheckResult) -> list[float]:
    if result.passed is None:
        return [0.0, 0.0, 1.0]
    return [result.values.get("adherence", 0.0), result.values.get("coverage", 0.0), 0.0]


def _topic_words(questions: Sequence[str]) -> list[str]:
    counts = Counter(
        word for question in dict.fromkeys(questions) for word in plain_text(question, None).split()
    )
    return sorted(counts, key=lambda word: (-counts[word], word))[:_TOPIC_WORDS]
