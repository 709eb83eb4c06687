"""Speech levels from the letters at the end of a clause, for where no morphological analyser is installed.

Endings are tried from the surest to the least sure; nouns that end in the same letters (필요, 의자, 무게) are listed, since
letters cannot tell 사자 "lion" from 사자 "let us buy".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.persona.speech_level import LevelGuess
from harness.persona.speech_level_chat import FRAGMENT, by_surface, guess
from harness.persona.syllables import final, open_with

VERSION = "1"

_B, _L, _N, _M = final("ㅂ"), final("ㄹ"), final("ㄴ"), final("ㅁ")
_SS = final("ㅆ")
_VERBAL = final("ㅆㅄㅎㄶㅀㅌㅍㄺㄻㄵㅊㄲㄼㄾㄿ")
"""Final consonants that stems of verbs and adjectives have and nouns before these endings hardly do."""
_ANY_FINAL = final("ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
_ANY_FINAL_BUT_L = "".join(sorted(set(_ANY_FINAL) - set(_L)))
_W = r"(?:^|(?<=[\s,.·\"'”’)]))"

_NOUNS = {
    "요": "필 중 수 개 동 민 강 소 담 주 고 긴 저작료 불필 요",
    "다": "바 사이 캐나 베란 소 판 람 인어 온 다반 브렌 란 혼 아프로디테 마스 스시 버 재",
    "오": "비디 라디 오디 스튜디 시나리 포트폴리 카카 로미 바이 이탈리 토론 도쿄오 착 네 스테레 트리 가즈 나 미나 카디 큐피",
    "자": (
        "의 과 사 여 남 피 모 감 혼 각 글 상 투 환 기 학 숫 문 전 부 효 제 탁 액 박 이 타 저 독 후 인 당 용 관 소비 시 식 연 유 낮 "
        "사용 개발 관리 담당 기술 노동 생산 참가 참여 운영 제작 설계 창업 창시 피해 가해 목격 보호 지원 신청 근로 노약 장애 방문 "
        "구독 시청 청취 독 저작 발명 과학 철학 수학 경영 사업 투 그림 대 승 패 약 강 맹 중독 당사 적임 배우 한 간 주전 구두 천 원 양 분 입 전 정 순 손 원 동"
    ),
    "네": "동 그 저 이 우리 너희 어머 아 브로콜리네 안 경비 체로 주방",
    "지": (
        "강아 송아 망아 아버 돼 바 편 반 먼 가 휴 페이 이미 메시 패키 단 잡 토 금 정 방 유 엄 거 지 까 꽁 소시 오렌 에너 대 의 "
        "번 폐 봉 표 공 낙 산 목적 여 농 복 관 배 지 쪽 벽 모 고 전 기 거주 출생 포 취 미꾸라 차 굴착 용 쓰레기봉 중 저 스타 버 상 재"
    ),
    "어": (
        "영 언 단 국 용 상 연 광 문 인 악 숭 방 붕 성 속 경 존대 반 번 검색 주 목적 동 형용 웨 디 에 한자 외래 표준 모 고유 약 신조 "
        "유행 합성 파생 숙 관용 한국 중국 외국 일본 독일 불 러시아 비속 은 잉 장 잉글리 참치복 고등 전문용 기 베 티 케 셰 타이 브 프런티 외국 영국 제시 수"
    ),
    "아": "동 고 유 치 자 남 여 상 육 소 아시 러시 이탈리 마리 시리 유럽 동아시 조지 신생 태 기 빅토리 카나리 미 코 버지니",
    "야": "분 평 광 임 심 오 재 여 수 황 산 전 제",
    "해": "이 올 피 손 오 방 공 새 동 남 서 한 지 홍 흑 북 황 분 저 유 음 장 침 가 재 근 첫 그 상 항 도 자 독 항해",
    "게": "가 무 집 성 대 조 꽃 이렇 그렇 어떻 저렇 요렇 이 그 저 요 뭣",
    "가": "국 작 휴 전문 평 물 창 증 추 불 허 인 단 원 친 연 민 길 요 농 상 주 사업 애호 미식 건축 화 정치 음악 소설 예술 혁명 교 시 외 처 일 내 네 제 누 뭐 귀 대 장 본 생 재 결",
    "까": "아 이리",
    "나": "하 언제 누구 얼마 혹시 거 너도나도 나 에 바나 루 베로니 그러 마나 어쩌 이 적이 아무 어디 무엇 뭐 매우 또",
    "니": "언 할머 어머 주머 바구 아주머 머 비키 미 지 가마 호주머 리 시어머 외할머 칼 폼페 기 마 소",
    "고": "창 광 사 최 경 보 냉장 참 신 재 중 원 출 차 그리 무 예 권 녹 복 로 아르바이트공 망 서 국",
    "데": "가운 근 건 그런 어 한 본 부 오",
    "서": "문 도 순 설명 부 비 사 질 용 독 각 계약 보고 신청 증명 교과 참고 낙 엽 경찰 소방 이력 자기소개 견적 사직 유 명세 에 에게 께 한테 여기 거기 어디 저기 혼자 해 그래 디지털도 백 자 답",
    "래": "노 미 모 아 고 빨 나 장 원 유 거 본 가 도 왕 또 달 재 외 술 그러",
    "대": "무 침 시 세 기 절 상 반 최 군 초 확 휴 증 그 연 붕 갈 막 부 밴 책 지 조 특공 고 중 근 현 후 당 우 환 접 면 냉",
    "라": "나 신라 콜 오로 스텔 보아 드라큘 오페 카메 고릴 코알 판도 이리오너 가오 소 파프리카 그러 이 따 유 노바 테슬 만다 라 신 우 백두 한 동 테킬 아우 마리 후루",
    "마": "엄 하 가 장 고구 악 드라 치 이 다리 테 로 파 안 할 시그 프로그램명 임 설 살 카르 연 난 리 오버 도 파자 주파 콤",
    "군": "",
    "세": "만 월 전 시 자 추 출 신 유 허 기 열 정 별 물 발 국 지방 관 절 면 부가 소득 주민 취득 양도 재산 증여 상속 말 중 근 현 후 내 속 처 득 대 강 약 우 운 모 냄 통 행",
    "소": "장 주 청 요 미 감 해 최 취 탄 산 수 염 검 질 업 급 축 독 색 명 연구 발전 훈련 세탁 효 보건 파출 변전 제련 정류 안내 매표 투표 휴게 숙 대피 대 간 생 호 고 상 하 젖 황 들 얼룩 물 다 굴 옥 변",
}  # fmt: skip

# Nouns of these letters form compounds freely: 사용자, 한국어, 연구소.
_COMPOUNDS = r"(?:[가-힣]{1,6})?"
_NOUN_PATTERNS = {
    letter: re.compile(
        rf"{_W}{_COMPOUNDS if letter in '자어소서세' else ''}(?:{'|'.join(sorted(set(heads.split()), key=lambda h: (-len(h), h)))}){letter}\??$"
    )
    for letter, heads in _NOUNS.items()
    if heads
}  # fmt: skip

_HAPSYO = re.compile(
    rf"(?:[{_B}]니다만?|[{_B}]니까|십시[오요]|으소서|옵소서|하소서|나이다|올시다|[{_B}]시다|[{_B}]니다요)\??$"
)
_B_SIDA = re.compile(rf"[{_B}]시다$")
_HAEYO = re.compile(r"[가-힣](?:요|죠)\??$|^요\??$")
_HAO = re.compile(
    rf"(?:[{_VERBAL}]소|[먹죽작]소|[믿듣걷묻닫얻]소|[받맞찾잊]소|[춥덥쉽렵맙갑깝겁볍럽답롭립밉굽눕돕줍집]소|소이다"
    rf"|(?:하|되|이|시|가|오|보|주|마|프|쁘|쓰|나|서|지|리|모르|기|치|내|세|려|르|크|두)오|(?<=\S)니오"
    rf"|[{_B}]디(?:다|까)|(?:[다라])오|(?<=[가-힣])구려|(?:하|으|오|이|가)리다)(?:만)?\??$"
)
_HAGE = re.compile(
    rf"(?:게나|[{_M}]세|(?:^|\s)[걸할갈올볼될줄]세|일세|로세|(?<=[가-힣])세나|[하가오보마드치두주쉬떠나먹앉]세|(?<=[가-힣])는가)(?:그려)?\??$"
)
_HAGE_ORDER = re.compile(
    rf"{_W}(?:[가-힣]{{0,4}}(?:[보하오시먹말앉듣주두들쉬서나받놓믿걷뛰읽쓰]|돌아가|들어가|나가|기다리|그치|조심하|명심하))게$"
)
_OLD_ADDRESS = re.compile(r"자네|여보게|이보게|이 사람아|허허|이 친구야|어서 |사위")
_PLAIN_DA = re.compile(r"[가-힣A-Za-z0-9]다$")
_COMPARED = re.compile(r"[가-힣](?:보다|마다|에다|한테다)$")
_PLAIN_OR_HAE = re.compile(
    rf"(?:[가-힣][더]라|(?:[아어여거너]|하|으|[{_ANY_FINAL_BUT_L}])라|[가-힣]냐|(?:로|는|더|[{_VERBAL}]|하|크|이|쁘|프|나)구나"
    rf"|(?:하|주|오|보|으|두|가)마|자꾸나|려무나|(?<=[가-힣])으?렴|(?:하|되|보|오|이|시키|버리|기다리|만나)자|(?:^|\s)(?:가|하|보|쉬|오|두|치|켜|끄)자"
    rf"|[{_ANY_FINAL}{open_with('ㅣㅜㅡㅗ')}ㅘ]자)\??$"
)
_NI = re.compile(rf"(?:[{_SS}{final('ㅄㅎㄶ')}]|있|하|되|이|거|뭐|가|오|보|니|[가-힣])니\?$")
_HAE_CLOSED = re.compile(
    rf"(?:[{_VERBAL}]어|[{_ANY_FINAL}][어아]|[가-힣A-Za-z0-9]야|잖아|거든|[{_ANY_FINAL}이하되보가오주]지|[{_L}]게|[{_L}]까|[{_L}]래|[{_L}]걸"
    rf"|[{_N}]대|[{_VERBAL}]대|[이뭐하오가주되보]래|[{_L}]라[고]|더군|[{_SS}는하이]군|구[먼만]|[{_L}][라러]|[{_ANY_FINAL}하되이가오보]냐?고|던데|잖니"
    rf"|[{open_with('ㅕㅝㅘㅙ')}]|[해돼봐줘]|바빠|아파|나빠|예뻐|기뻐|슬퍼|고파|[{_N}]다니까|라니까)\??$"
)
_HAE_WORD = re.compile(
    r"(?:^|\s)(?:가|나가|들어가|돌아가|올라가|내려가|지나가|걸어가|따라가|다녀가|넘어가|뛰어가|와|서|써|커|꺼|떠|퍼|터|빼|내|깨|메|떼|대|재|"
    r"보내|끝내|꺼내|힘내|지내|만나|자|사|타|비싸|짜|차|싸|그만둬|마|하지마|모자라|놀라|바래|어때|그래|이래|저래|괜찮니|건너|매|세|채)\??$"
)
_HAE_OPEN = re.compile(
    rf"(?:는데|은데|[{_N}]데|니까|[가-힣]고|[{open_with('ㅏㅓㅕㅘㅝㅐㅙ')}]서|면서|[{_ANY_FINAL}가-힣]지만|려고|[가-힣]면|더니|라서|거나|든지|도록|다가|느라|길래|기에|자마자)\??$"
)
_HAE_QUESTION = re.compile(
    rf"(?:[{_SS}{final('ㅄㅎㄶ')}]|하|되|가|오|보|이|내|지|주|[가-힣])나\?$|[{_SS}{final('ㅄ')}]나$|[{_N}]가\?$|던가\??$|은가$"
)
_ASKING = re.compile(r"(?:^|\s)(?:어디|어데|어딜|뭐|뭘|무엇|무슨|누가|누구|왜|와|언제|어떻게|얼마|몇)")
_ASKED = re.compile(r"[가-힣](?:니|노|꼬)$")
_NE = re.compile(r"[가-힣]네$")
_LOOK_BACK = re.compile(
    r"^(.*(?:요|죠|니다|니까|[었았했겠]어|[었았했겠]다|거든|잖아|거야|이야|[는한]다|[을할갈]게|지))[,，]?\s+((?:\S+\s+){0,3}\S+)$"
)
_AFTERTHOUGHT = re.compile(
    r"^(?:뭐|진짜|정말|참|나|난|너|넌|내가|네가|저는|나는|너는|진심|그냥|아주|좀|그치|이제|일단|오늘|지금)\??$"
)


class RuleAnalyser:
    """The analyser that needs nothing installed."""

    @property
    def identity(self) -> str:
        return f"rule {VERSION}"

    def levels(self, clauses: Sequence[str]) -> list[LevelGuess]:
        """Return one guess a clause."""
        return [_level(clause) for clause in clauses]


def _level(clause: str) -> LevelGuess:
    afterthought = _LOOK_BACK.match(clause)
    if afterthought and _AFTERTHOUGHT.match(afterthought.group(2).strip()):
        return _of_end(afterthought.group(1))
    found = _of_end(clause)
    if found.level != "fragment":
        return found
    # A predicate put first ("맛있어요, 이 집"): the rest follows a comma.
    head = clause.rpartition(",")[0].rstrip()
    earlier = _of_end(head) if head else FRAGMENT
    return found if earlier.open else earlier


def _of_end(clause: str) -> LevelGuess:
    surface = by_surface(clause)
    if surface is not None:
        return surface
    bare = clause.removesuffix("?").rstrip()
    if _HAPSYO.search(clause):
        return guess("hapsyo", "hao") if _B_SIDA.search(bare) else guess("hapsyo")
    noun = _NOUN_PATTERNS.get(bare[-1:])
    if noun is not None and noun.search(clause) and not _predicate_anyway(clause, bare):
        return FRAGMENT
    if _HAEYO.search(clause):
        if re.search(r"시지요\??$", clause):
            return guess("haeyo", "hapsyo")
        return guess("haeyo")
    if _HAO.search(clause):
        return guess("hao")
    if _HAGE.search(clause):
        return guess("hage", "hae", "plain") if bare.endswith("는가") else guess("hage")
    return _of_intimate_end(clause, bare)


def _of_intimate_end(clause: str, bare: str) -> LevelGuess:
    old = _OLD_ADDRESS.search(clause) is not None
    if _COMPARED.search(bare):
        return FRAGMENT
    if bare.endswith("게") and clause.endswith("?"):
        return guess("hae")
    if _HAGE_ORDER.search(bare):
        return guess("hage", "hae")
    if _PLAIN_DA.search(bare):
        return guess("plain")
    if _NE.search(bare):
        return guess("hage", "hae") if old else guess("hae", "hage")
    if _HAE_QUESTION.search(clause):
        return guess("hae", "hage")
    if _ASKED.search(bare) and _ASKING.search(bare):
        return guess("plain", "hae")
    if _NI.search(clause) or _PLAIN_OR_HAE.search(clause):
        return guess("plain", "hae")
    if bare.endswith("라"):
        # Nouns in -라 are listed, so what is left is an order ("떼라") or a connective ("아니라").
        if re.search(rf"[{_L}]라$", bare):
            return guess("hae", "plain")
        open_end = re.search(r"(?:이|니|느)라$", bare) is not None
        return guess("hae", open=True) if open_end else guess("plain", "hae")
    if _HAE_WORD.search(clause) or _HAE_CLOSED.search(clause):
        return guess("hae")
    if _HAE_OPEN.search(clause):
        return guess("hae", open=True)
    return FRAGMENT


def _predicate_anyway(clause: str, bare: str) -> bool:
    """Return whether a word that could be a noun is a predicate here: "뭐지?", "먹지", "안 사?"."""
    return re.search(r"(?:^|\s)(?:거|뭐|가|오|보)지$|[었았했겠]지$", bare) is not None and clause.endswith(
        "?"
    )
