"""Speech levels from the morphemes that Kiwi finds: the form of the last ending decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from harness.persona.speech_level import LevelGuess
from harness.persona.speech_level_chat import FRAGMENT, by_surface, guess

VERSION = "1"

_JAMO = str.maketrans("\u11ab\u11af\u11b7\u11b8\u11bc", "ㄴㄹㅁㅂㅇ")
_OLD_ADDRESS = re.compile(r"자네|여보게|이보게|이 사람아|허허|이 친구야")

# Endings by form, the first that fits the whole form decides. Composed endings start with a letter: ㅂ니다, ㄴ다, ㄹ게.
_ENDINGS: tuple[tuple[re.Pattern[str], LevelGuess], ...] = tuple(
    (re.compile(pattern), level)
    for pattern, level in (
        (r".*(?:ㅂ|습|읍|옵|답|랍|옵)니(?:다|까)(?:만|요)?|슴다|ㅁ다", guess("hapsyo")),
        (r".*(?:ㅂ시오|ㅂ시요|십시오|십시요|소서|나이다|올시다|ㅂ니더|습니더|심더|나이까)", guess("hapsyo")),
        (r"(?:ㅂ|읍)시다", guess("hapsyo", "hao")),
        (r".*(?:요|죠|어여|아여|네여|세여|쥬|유|염|용)", guess("haeyo")),
        (r"소|오|으오|우|(?:는|더|로)?구려|.*소이다|으?리다|(?:ㅂ|습)디(?:다|까)|.*(?:다|라)오|외다", guess("hao")),
        (r"게나|으?세나?|ㄹ세|ㅁ세|음세|로세|ㄹ세그려", guess("hage")),
        (r"는가", guess("hage", "hae", "plain")),
        (r"나|ㄴ가|은가|던가|네", guess("hae", "hage")),
        (r"(?:ㄴ|는)?다|(?:ㄴ|는|더)?[란단]다|로다|도다|노라|느?니라|으?리라|으?ㄹ란다|으?련다|더란다|ㄹ지어다", guess("plain")),
        (r"(?:느|으|더)?냐|니|으니|자|(?:어|아|거|너|여|으)?라|으?마|(?:는|더|로)?구나|더라|으?랴|자꾸나|으?려무나|으?렴", guess("plain", "hae")),
        (r"음|ㅁ|기|ㄹ 것", FRAGMENT),
    )
)  # fmt: skip
_MAY_FOLLOW = frozenset({"IC", "MAG", "MAJ", "NP", "JX", "JKS", "JKV", "JKG", "NNP"})
_CONTENT_SYMBOLS = ("SL", "SH", "SN")


class KiwiAnalyser:
    """The analyser on a loaded Kiwi; `kiwi_analyser` makes one."""

    def __init__(self, kiwi: Any, identity: str) -> None:
        self._kiwi = kiwi
        self._identity = identity

    @property
    def identity(self) -> str:
        return self._identity

    def levels(self, clauses: Sequence[str]) -> list[LevelGuess]:
        """Return one guess a clause."""
        known = [by_surface(clause) for clause in clauses]
        # Kiwi tells final from connective endings better where a mark ends the sentence.
        asked = [
            clause if clause.endswith("?") else f"{clause}."
            for clause, level in zip(clauses, known, strict=True)
            if level is None
        ]
        analysed = iter(self._kiwi.tokenize(asked) if asked else ())
        return [
            level if level is not None else _level(clause, [(t.form, str(t.tag)) for t in next(analysed)])
            for clause, level in zip(clauses, known, strict=True)
        ]


@lru_cache(maxsize=1)
def kiwi_analyser() -> KiwiAnalyser | None:
    """Return the analyser, loaded once, or None where Kiwi or its model is not installed."""
    try:
        import kiwipiepy

        model = version("kiwipiepy-model")
    except (ImportError, PackageNotFoundError):
        return None
    versions = f"{kiwipiepy.__version__}, model {model}"
    return KiwiAnalyser(kiwipiepy.Kiwi(num_workers=1), f"kiwi {versions}, endings {VERSION}")


def _level(clause: str, tokens: list[tuple[str, str]]) -> LevelGuess:
    morphemes = [(form.translate(_JAMO), tag.split("-")[0]) for form, tag in tokens]
    kept = [
        (form, tag)
        for form, tag in morphemes
        if tag in _CONTENT_SYMBOLS or tag == "SP" or not tag.startswith(("S", "W_", "Z_"))
    ]
    while kept and kept[-1][1] == "SP":
        kept.pop()
    if not kept:
        return FRAGMENT
    found = _of_last(clause, kept)
    return found if found is not None else _of_earlier(clause, kept)


def _of_last(clause: str, kept: list[tuple[str, str]]) -> LevelGuess | None:
    """Return the level that the last morpheme marks, None where it marks none."""
    form, tag = kept[-1]
    before = kept[-2] if len(kept) > 1 else ("", "")
    if tag in ("JX", "MM", "IC", "J") and form.endswith(("요", "죠")):
        return guess("haeyo")
    if tag == "IC" and form.endswith("니다"):
        return guess("hapsyo")
    if tag == "JX" and form in ("만", "그려") and before[1] in ("EF", "EC"):
        return _of_ending(clause, before[0], before[1], kept[-3] if len(kept) > 2 else ("", ""))
    if tag in ("EF", "EC"):
        return _of_ending(clause, form, tag, before)
    return None


def _of_earlier(clause: str, kept: list[tuple[str, str]]) -> LevelGuess:
    """Return the level of a predicate that the sentence put first ("맛있다, 이 집"), FRAGMENT where there is none."""
    for place in range(len(kept) - 2, max(-1, len(kept) - 14), -1):
        form, tag = kept[place]
        if tag not in ("EF", "EC"):
            continue
        after = kept[place + 1 :]
        found = _of_ending(clause, form, tag, kept[place - 1] if place else ("", ""))
        apart = after[0][1] == "SP" or (len(after) <= 4 and all(tag in _MAY_FOLLOW for _, tag in after))
        if not found.open and apart:
            return found
        if tag == "EF":
            return FRAGMENT
    return FRAGMENT


def _of_ending(clause: str, form: str, tag: str, before: tuple[str, str]) -> LevelGuess:
    asks = clause.endswith("?")
    if form == "지요" and before == ("시", "EP"):
        return guess("haeyo", "hapsyo")
    if form in ("요", "이요") and before[1] == "VCP":
        # "무슨 소리요?": after a noun the letters are those of 하오체 and of 해요체.
        return guess("hao", "haeyo")
    if form == "니다" and before[1] == "EP":
        return guess("hapsyo")
    if form == "게":
        return _of_ge(clause, tag, before, asks)
    if tag == "EC" and not asks and form in ("니", "으니", "라", "나", "으나", "ㄴ가", "은가"):
        return guess("hae", open=True)
    for pattern, level in _ENDINGS:
        if pattern.fullmatch(form):
            if level.also == frozenset({"hage"}) and _OLD_ADDRESS.search(clause):
                return guess("hage", "hae")
            return level
    return guess("hae", open=tag == "EC")


def _of_ge(clause: str, tag: str, before: tuple[str, str], asks: bool) -> LevelGuess:
    """-게 orders in 하게체 ("앉게"), asks in 해체 ("뭐 하게?") and makes adverbs ("조용하게")."""
    if asks:
        return guess("hae")
    if before[1] in ("VA", "XSA", "VCN"):
        return guess("hae", open=True)
    if _OLD_ADDRESS.search(clause):
        return guess("hage")
    # "걸어가서 끄게" is an order or a purpose put last.
    return guess("hage", "hae", open=tag == "EC")
