"""What an evaluation key says by its name: a loss or not, on which rows, and which way is better.

Names are read in whole words ("answer" holds no "wer"), in English and in Korean. Korean words are written together,
so there the end of a word decides ("도구이름정확도").
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_APART = re.compile(r"[^0-9a-z가-힣]+")
_HANGUL = re.compile(r"[가-힣]+|[0-9a-z]+")

Phrase = tuple[str, ...]


def _phrases(text: str) -> frozenset[Phrase]:
    return frozenset(tuple(phrase.split("_")) for phrase in text.split())


_MEASURES = _phrases(
    "accuracy acc f1 f2 fbeta exact em match matches bleu sacrebleu rouge rougel rougelsum meteor chrf bertscore precision"
    " recall auc auroc mcc kappa ndcg mrr map agreement"
)
"""Measures whose direction holds whatever they are of: the F1 of detecting errors is better when higher."""

_GOOD = _MEASURES | _phrases(
    "score pass success win wins hits correct correctness valid validity nonempty parseable faithfulness helpfulness"
    " grounded"
)
_BAD = _phrases(
    "loss losses nll error errors err hallucination hallucinations hallucinated repetition repetitions repeat repeated"
    " empty echo no_eos never_stop never_stops over_refusal false_refusal false_call false_positive false_negative"
    " call_when_none phantom ungrounded invented wer cer ter mer per_byte mse rmse mae brier perplexity ppl bpb truncated"
    " truncation inaccuracy inaccurate incorrect invalid unparseable failure failures fail failed toxicity drift"
    " parser_delta mismatch mismatches violation violations attack_success unsafe"
)
_STATISTICS = _phrases(
    "std stderr se sem variance var delta diff difference gap drop count n num number length len tokens time seconds ms"
    " latency speed size min max"
)
"""Words that turn a measure into something else, whose direction its name does not say."""

_AMOUNTS = frozenset({"rate", "score", "share", "ratio", "value", "mean"})

_NEGATIONS_BEFORE = frozenset({"non", "no", "not", "without", "never", "zero"})
_NEGATIONS_AFTER = frozenset({"free", "없음", "없는"})

_KO_MEASURE = re.compile(
    r"(정확도|정확률|정답률|정답율|정답|일치율|일치도|일치|재현율|정밀도|성공률|성공율|통과율|승률|준수율|유효율|적합률)$"
)
_KO_BAD = re.compile(r"(오류|에러|오답|오차|손실|환각|반복|실패|빈응답|위반)(률|율|비율|수|점수)?$")
_KO_NOT = re.compile(
    r"무(오류|환각|반복|위반|오답|실패)|비환각|(?<![일전])부(정확|적합)|불일치|미(준수|일치)"
)
_KO_LOSS, _KO_TRAIN = "손실", ("학습", "훈련")
_KO_NEUTRAL = frozenset({"비율", "률", "율", "평균", "점수"})


@lru_cache(maxsize=1024)
def words(key: str) -> tuple[str, ...]:
    """Return the words of a key without its `eval_`, in lower case: ("tool", "name", "accuracy")."""
    name = unicodedata.normalize("NFC", key).removeprefix("eval_")
    name = _CASE.sub("_", name).lower()
    parts = [part for word in _APART.split(name) for part in _HANGUL.findall(word)]
    if parts[:1] == ["drift"] and parts[1:] and parts[1] not in _AMOUNTS:
        # What is measured under drift (`drift_turn_style`), not how much of it there is (`drift_rate`).
        del parts[0]
    return tuple(part.rstrip("0123456789") or part if part not in ("f1", "f2") else part for part in parts)


def has(key: str, phrases: frozenset[Phrase]) -> bool:
    """Return whether one of the phrases stands in a key, word by word."""
    return _find(words(key), phrases) is not None


def is_loss(key: str) -> bool:
    """Return whether a key is a loss in nats: its last word is `loss`, `nll` or 손실, or it is a cross-entropy."""
    name = words(key)
    if not name:
        return False
    return name[-1] in ("loss", "nll") or name[-2:] == ("cross", "entropy") or name[-1].endswith(_KO_LOSS)


def is_probe(key: str) -> bool:
    """Return whether a key is measured on training rows."""
    return any(word in ("train", "training") or word.startswith(_KO_TRAIN) for word in words(key))


def is_negated(key: str, phrases: frozenset[Phrase]) -> bool:
    """Return whether a phrase of the key stands there negated: `non_empty`, `no_hallucination`, `error_free`."""
    name = words(key)
    at = _find(name, phrases)
    if at is None:
        return False
    start, end = at
    before = start > 0 and name[start - 1] in _NEGATIONS_BEFORE
    return before or (end < len(name) and name[end] in _NEGATIONS_AFTER)


def is_measure(key: str) -> bool:
    """Return whether a key names an accuracy, an F1 or the like, whatever else is in its name."""
    return has(key, _MEASURES) or any(_KO_MEASURE.search(word) for word in words(key))


def name_says_higher(key: str) -> bool | None:
    """Return whether more of a metric is better by its name, None where the name does not say."""
    korean = _korean(words(key))
    if korean is not None:
        return korean
    if has(key, _BAD) and not is_measure(key):
        return is_negated(key, _BAD)
    if has(key, _STATISTICS) or not has(key, _GOOD):
        return None
    return not is_negated(key, _GOOD)


def _korean(name: tuple[str, ...]) -> bool | None:
    """Return what the last Korean word says that says anything; 비율 (rate) and 점수 (score) are of the word before."""
    negated = any(word in _NEGATIONS_AFTER for word in name)
    for word in reversed(name):
        if not "가" <= word[0] <= "힣" or word in _KO_NEUTRAL or word in _NEGATIONS_AFTER:
            continue
        turned = negated != bool(_KO_NOT.search(word))
        if _KO_MEASURE.search(word):
            return not turned
        if _KO_BAD.search(word):
            return turned
    return None


def _find(name: tuple[str, ...], phrases: frozenset[Phrase]) -> tuple[int, int] | None:
    """Return the half-open range of the first phrase in the words, the longest where several begin there."""
    for start in range(len(name)):
        for length in (3, 2, 1):
            if name[start : start + length] in phrases and start + length <= len(name):
                return start, start + length
    return None
