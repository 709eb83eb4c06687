"""Levels that show in the letters alone: answers of one word, the surest endings, chat spellings, dialect.

Both analysers use them.
"""

from __future__ import annotations

import re

from harness.persona.speech_level import Level, LevelGuess
from harness.persona.syllables import final


def guess(level: Level, *also: Level, open: bool = False) -> LevelGuess:
    """Return a LevelGuess in short."""
    return LevelGuess(level=level, also=frozenset(also), open=open)


FRAGMENT = LevelGuess(level="fragment")

_L, _N, _M, _SS = final("ㄹ"), final("ㄴ"), final("ㅁ"), final("ㅆ")
_EOJEOL = r"(?:^|(?<=\s))"

_SURFACE: tuple[tuple[re.Pattern[str], LevelGuess], ...] = tuple(
    (re.compile(pattern), level)
    for pattern, level in (
        # Answers of one word.
        (r"^(?:네+|예+|넵+|넹|넴|옙|네네|예예|아뇨|아니[요용여]|그럼요|글쎄[요용여])\??$", guess("haeyo", "hapsyo")),
        (r"^(?:가|봐|해|줘|켜|꺼|써)\??$", guess("hae")),
        (r"^(?:응+|웅|엉|어|아니|아냐|그래|그럼|야|안녕|고마워)\??$", guess("hae")),
        (r"^(?:아니오|음+|어+|아+|와+|오+|글쎄|자|흠+|에이|헐|뭐|왜)\??$", FRAGMENT),
        # 해요체 in chat spelling and dialect: 해용, 했어염, 하세여, 했어유, 그렇쥬, 했어예.
        (r"(?:[어아해와워여돼네세예에죠지래까봐줘게]|데|든|가|나)(?:용|염|욤|욥|영)\??$", guess("haeyo")),
        (r"(?<=\S)(?:[어아해세네에예게래까데돼요]|거든|는데)여\??$", guess("haeyo")),
        (r"(?<=[가-힣])(?:[어아해네세]|는데|거든|지|까|봐|와|워|돼)유\??$|[가-힣]쥬\??$|^해유\??$", guess("haeyo")),
        (r"[었았했겠]어예\??$|[었았했겠]지예\??$", guess("haeyo")),
        # 합쇼체 in chat spelling and dialect: 합니당, 알겠슴다, 임다, 했심더.
        (r"(?:[습합입됩갑십봅줍]|답|랍)니(?:당|돠|닷|더|다용|다욥)\??$", guess("hapsyo")),
        (rf"(?:[{final('ㅆㅄㅎ')}]슴|겠슴|[가-힣]임|[가-힣]함|^함|됨|[었았했겠]심)(?:다|당|돠|더|미다|니다)$", guess("hapsyo")),
        # Others that look like nouns: 먹을걸, 갈걸, 안 되, 맡음세, 걸세.
        (rf"[{_M}]세\??$", guess("hage")),
        (rf"(?<=\S)[{_L}{_N}]걸\??$|(?:^|\s)[할갈살볼줄될쓸]걸\??$|는걸\??$|던걸\??$", guess("hae")),
        (rf"{_EOJEOL}(?:안)?되\??$", guess("hae")),
        # Endings that nothing else ends in: a morphological analysis would find the same and takes a hundred times longer.
        (r"(?<=\S)(?:습|합|입|됩|갑|십|봅|줍|랍|답|옵)니[다까]\??$", guess("hapsyo")),
        (r"(?<=\S)(?:세|어|아|해|에|예|돼|와|워|봐|줘|져|려|셔|겨|쳐|켜|까|게|대|거든|[는은]데|군|네|[었았했겠]죠)요\??$", guess("haeyo")),
        (rf"(?<=\S)(?:[{_SS}]|(?![판칸])[{_N}])다$", guess("plain")),
        (rf"(?<=\S)[{_SS}]어\??$|잖아\??$|(?<=[었았했겠])지\??$|거야\??$|(?<=[었았했])거든\??$", guess("hae")),
        (r"당께\??$|랑께\??$|하삼$|하셈$", guess("hae")),
    )
)  # fmt: skip


def by_surface(clause: str) -> LevelGuess | None:
    """Return the level that the clause's letters settle by themselves, None where they do not."""
    for pattern, level in _SURFACE:
        if pattern.search(clause):
            return level
    return None
