"""Does a short Korean text end like a sentence? Titles, queries and names do not; what somebody says does.

Without an analyser and on the careful side: an ending counts only where nouns rarely end so. "바다", "휴지", "필요" and
"서해" are nouns; "출발한다", "챙겨 줘" and "할게요" are not.
"""

from __future__ import annotations

import re

_AFTER = re.compile(r"[\s.!?~…。！？ㅋㅎㅠㅜ^;)\]\"'”’]+$")

_FORMAL = r"(?:[가-힣]니다|[가-힣]니까|십시오|[가-힣]시오|세요|셔요|[가-힣]어요|[가-힣]아요|[가-힣]여요|[가-힣]에요|예요|해요|돼요|줘요|[가-힣]네요|[가-힣]죠|[가-힣]까요|[가-힣]게요|[가-힣]래요|데요|거든요|지요|워요|와요|려요|져요|봐요|셔요)"
_PAST = r"(?:[가-힣]?[았었였했갔왔됐겠있없봤줬났섰탔켰렸졌쳤겼꼈켰폈혔])(?:어|다|지|네|냐|니|거든|잖아|구나)"
_PLAIN = r"(?:(?:는|한|된|간|온|본|준|인|낸|든|린|진|킨|른|운)다|이다|아니다|같아|같다|이야|거야|아니야)"
_CASUAL = r"(?:잖아|거든|[할갈줄올볼될둘걸낼][게래까걸]|을[게래까걸]|줘|해라|봐라|하자|가자|보자|구나|더라|[가-힣]{2,}해|[가-힣]{2,}돼)"
_ENDING = re.compile(f"(?:{_FORMAL}|{_PAST}|{_PLAIN}|{_CASUAL})$")

_STOPPED = re.compile(
    r"\S\s+\S*[가-힣]?[다요야네지아어려라까게래냐니죠군줘해돼봐자워와대데]\s*[.!?~…。！？]+\s*$"
)
"""Several words with a full stop after them: then an ending that nouns may have as well is one."""

_COPULA = re.compile(r"[가-힣A-Za-z0-9](?:이야|야|이다|예요|이에요)[.!?~…。！？]+\s*$")


def ends_like_a_sentence(text: str) -> bool:
    """Return whether the text ends in a predicate, as far as its last letters and a full stop after them can tell."""
    bare = _AFTER.sub("", text[-200:])
    if not bare:
        return False
    return bool(_ENDING.search(bare) or _STOPPED.search(text[-200:]) or _COPULA.search(text[-200:]))
