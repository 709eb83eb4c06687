"""Does a text claim that something was done? The lexicon behind H6, in Korean and English.

Only completed actions count: plans ("추가하겠습니다", "I will add"), offers, questions and denials do not.
"""

from __future__ import annotations

import re

MAX_TEXT = 20_000

_VERBS_KO = (
    "추가|설정|생성|삭제|제거|저장|실행|적용|변경|등록|예약|전송|발송|처리|배치|정의|수정|입력|지정|부여|계산|해석|"
    "업데이트|갱신|시작|종료|취소|조회|검색|완료|완성|구성|연결|할당|배정|주문|결제|신청|작성|기록|반영|이동|복사|고정|구속"
)
_KOREAN = re.compile(
    rf"(?:{_VERBS_KO})(?:을|를|이|가)?\s?(?:완료)?\s?(?:해\s?(?:드렸|두었|뒀|놓았|놨|냈)|했|하였|됐|되었|되어\s?있|시켰)"
    r"(?=습니다|어요|죠|지요|다(?![가-힣])|음(?![가-힣])|네요|$)"
    r"|완료(?:입니다|됨|함)?\s*(?=[.!~✅]|$)"
    r"|(?:보냈|만들었|넣었|바꿨|바꾸었|지웠|켰|껐|열었|닫았|올렸|내렸|옮겼|걸었|잡았|맞췄|끝났|끝냈|마쳤)(?:습니다|어요|다(?![가-힣])|네요)"
)
_VERBS_EN = (
    "added|set|created|deleted|removed|saved|run|executed|applied|changed|registered|booked|reserved|sent|processed|"
    "placed|defined|modified|entered|assigned|calculated|computed|analy[sz]ed|updated|started|stopped|cancell?ed|"
    "searched|completed|finished|configured|connected|scheduled|ordered|submitted|recorded|moved|copied|fixed|turned|"
    "opened|closed|retrieved|performed|made|called|inserted|installed|generated"
)
_ADVERB = r"(?:(?:now|just|already|successfully|also|all|been)\s+)*"
_ENGLISH = re.compile(
    rf"\b(?:i|we)(?:'ve|’ve|\s+have)\s+{_ADVERB}(?:{_VERBS_EN})\b"
    rf"|\b(?:i|we)\s+{_ADVERB}(?:added|created|deleted|removed|saved|executed|applied|changed|updated|sent|booked|"
    r"scheduled|modified|assigned|configured|completed|placed|inserted|defined)\b"
    rf"|\b(?:has|have)\s+{_ADVERB}(?:{_VERBS_EN})\b"
    rf"|\b(?:is|was|were|are)\s+(?:now\s+|already\s+)*successfully\s+(?:{_VERBS_EN})\b"
    rf"|\bsuccessfully\s+(?:{_VERBS_EN})\b"
    r"|^(?:all\s+)?done\b(?!\s*\?)|\bit(?:'|’)s\s+(?:all\s+)?done\b",
    re.MULTILINE,
)
_NO_CLAIM = re.compile(
    r"\b(?:if|once|after|when|until|before|whether|unless|could|would)\b[^.!?\n]*$|\b(?:not|never|no)\b[^.!?\n]*$"
    r"|않|못(?=\s?(?:했|하였))|안\s?$"
)


def claims_done(text: str) -> str | None:
    """Return the words that claim a completed action, or None."""
    folded = text[:MAX_TEXT].casefold()
    for pattern in (_KOREAN, _ENGLISH):
        for match in pattern.finditer(folded):
            sentence = re.split(r"[.!?\n]", folded[max(0, match.start() - 120) : match.start()])[-1]
            rest = folded[match.end() : match.end() + 120]
            closing = re.search(r"[.!?\n]", rest)
            asked = closing is not None and closing.group() == "?"
            if not asked and not _NO_CLAIM.search(sentence):
                return match.group().strip()
    return None
