"""How a Korean sentence steps out of a character: patterns bound to the speaker as their subject.

"나는 인공지능이라" is one, "나는 인공지능을 안 믿어" and "걔는 인공지능이라" are not: an AI noun counts where it is the predicate of
the speaker or stands in apposition to it, and where no other subject comes between.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.persona.break_names import COMPANY, MODEL

Accepts = Callable[[re.Match[str]], bool]

_F = re.IGNORECASE

_SELF = (
    r"(?<![가-힣])(?:저는|나는|난|전|저도|나도|저야말로|나야말로|저야|나야|제가|내가|저로선|저|나)(?=[\s,])"
)
_MY = r"(?<![가-힣])(?:제|내|저의|나의|저희|제게|내게|나에게|저에게)(?=\s)"
_HEAD = (
    r"(?:ai|a\.i\.|에이아이|인공\s?지능|(?:언어|생성|학습|기계\s?학습|머신러닝|딥러닝|거대|대화|파운데이션)\s?모델|llm|챗\s?봇|챗gpt|어시스턴트|가상\s?비서|ai\s?비서"
    r"|디지털\s?비서|대화형\s?(?:ai|인공지능|에이전트|서비스|시스템)|생성형\s?ai)"
)
_TAIL = r"(?:\s?(?:언어\s?모델|모델|어시스턴트|비서|챗봇|도우미|프로그램|시스템|서비스|에이전트|캐릭터|기반\s?\S{1,6}))*"
AI = rf"(?<![a-z]){_HEAD}{_TAIL}"
_PROGRAM = (
    r"(?:(?:컴퓨터\s?|소프트웨어\s?)?프로그램|소프트웨어|알고리즘(?:\s덩어리)?|기계|로봇|코드(?:\s덩어리)?|봇|데이터로 학습한 모델"
    r"|(?:답변|문장|텍스트|글)[을를] (?:생성|만들어 내|만들)\S{0,3} 모델)"
)
_COPULA = (
    r"(?:이에요|예요|에요|입니다|이야|야(?!말로)|이다(?=\W|$)|다(?=\W|$)|이지(?=\W|$|만|요)|지(?=\W|$|만|요)|이?죠|이?라서|이?라(?=[\s,])|이?어서|여서"
    r"|이?므로|이?기\s?때문|이?기에|이?니까|이니|이?다\s보니|이?고(?=[\s,]|요)|이?며|인데|인지라|이?거든|이?잖|일\s?뿐|인\s?걸|이?었(?!다면)|였(?!다면)|이?랍니다"
    r"|(?:으)?로서|이?라고\s(?:할|해\W|해요|합니|불러|볼|소개)|\s?(?:이|가)?\s?맞(?:아|습|지|는데))"
)
_CAUSE = r"(?:이?라서|이?라(?=[\s,])|이?어서|여서|이?므로|이?기\s?때문|이?기에|이?니까|이?다\s보니|인지라|(?:으)?로서|인\s?관계로)"
_UNABLE = r"(?:수(?:는|가|도)?\s?없|못|않|어렵|어려|불가|모르|몰라|없(?:어|습|는|다|네)|제한)"
_MAKE = r"(?:만든|만들|개발|학습|훈련|공개|출시|제작|제공|선보인|구축)"

_ADNOMINAL = re.compile(
    r"(?:[하되있없않주오가보쓰읽듣먹나]|드리|만드|돌아가|움직이|말하|모르|이루어지|떠드|시키|걸리|보이)는$|(?:많|같|작|좋|높|깊|닮|받|않|낮|적|젊|넓|묻|남)은$"
)
_SELF_WORD = re.compile(r"^(?:저|나|전|난|제|내|저희|우리)(?:는|은|가|로서는|로선|도|한테는|에게는)?$")
_NO_SUBJECT = re.compile(
    r"^(?:이제|지금|오늘|여기|이번|당분간|앞으로|사실|솔직히|실제로|지금까지|이제부터|지금부터|여기까지|이후로|아까|현재|실은|그건|그거|이건|잠시|아쉽게도)"
    r"(?:는|은|부터는|까지는|에는|에서는|로서는|로는)?$"
)
_NOT_BUT = re.compile(r"\S+(?:이|가)\s아니(?:라|고|지만|에요|야|며)[,]?")
_WITHOUT = re.compile(r"^\s*(?:없|아닌|있|아니|만든|만들|개발|훈련|공개|학습|만들어|아닐|되|될)")
_TOPIC = re.compile(r"[^\s,]+(?:은|는|이|가|께서)(?=[\s,])")


def other_subject(text: str) -> bool:
    """Return whether the stretch names a subject or topic other than the speaker: "걔는", "등장인물이"."""
    text = _NOT_BUT.sub(" ", text[-80:])
    for match in _TOPIC.finditer(f"{text} "):
        word = match.group().strip("\"'()“”‘’")
        if _SELF_WORD.match(word) or _NO_SUBJECT.match(word) or _ADNOMINAL.search(word):
            continue
        if word.endswith(("이", "가")) and _WITHOUT.match(text[match.end() :]):
            continue
        if word in (
            "거의",
            "아이",
            "많이",
            "같이",
            "굳이",
            "높이",
            "깊이",
            "없이",
            "일일이",
            "이",
            "가",
            "는",
            "은",
            "더없이",
            "틀림없이",
        ):
            continue
        return True
    return False


def _gap_free(match: re.Match[str]) -> bool:
    return not other_subject(match.group("gap") + " ")


def _no_subject_before(match: re.Match[str]) -> bool:
    return not other_subject(match.string[: match.start()])


def _alone(match: re.Match[str]) -> bool:
    return _no_subject_before(match) and (match.groupdict().get("gap") is None or _gap_free(match))


def _yes(match: re.Match[str]) -> bool:
    return True


def _rule(kind: str, pattern: str, accepts: Accepts = _yes) -> tuple[str, re.Pattern[str], Accepts]:
    return kind, re.compile(pattern, _F), accepts


# kind, pattern, a condition on the match.
KOREAN_RULES: tuple[tuple[str, re.Pattern[str], Accepts], ...] = (
    _rule("self_ai", rf"{_SELF}(?P<gap>.{{0,40}}?){AI}{_COPULA}", _gap_free),
    _rule("self_ai", rf"{_SELF}(?P<gap>.{{0,30}}?){AI}(?:이라는|라는)\s(?:걸|것을|점을|사실을)", _gap_free),
    _rule("self_ai", rf"{AI}인\s(?:저|나|제|내)(?=[가는로의에게도한희\s])"),
    _rule("self_ai", rf"(?<![가-힣])(?:저|나)\s?같은\s.{{0,12}}?{AI}"),
    _rule("self_ai", rf"{AI}(?:으)?로서(?!의|\s?의)", _no_subject_before),
    _rule("self_ai", rf"(?:^|[,.]\s?)(?:네|응|그래|맞아요?|맞습니다|예)[,.]?\s.{{0,10}}?{AI}(?:이에요|예요|입니다|이야|야|이지|죠|\s?(?:이|가)?\s?맞)", _no_subject_before),
    _rule("self_ai", rf"사람이\s?아니(?:라|고)[,]?\s(?:\S+\s){{0,2}}?{AI}{_COPULA}", _no_subject_before),
    _rule("self_ai", r"(?:제가|내가)\s(?:학습|훈련)(?:한|받은|된)\s(?:데이터|자료|말뭉치|정보|텍스트)"),
    _rule("self_ai", rf"{_MY}\s(?:지식|정보|답변|응답|학습|훈련|데이터)\S{{0,8}}\s.{{0,24}}?(?:학습|훈련|데이터|ai|인공지능|업데이트|\d{{4}}년\S{{0,6}}까지|생성)"),
    _rule("self_ai", rf"{_SELF}.{{0,16}}?(?:학습|훈련|대규모)\s?(?:된\s)?데이터.{{0,24}}?(?:답|생성|만들어|학습|모델)", lambda m: "의심" not in m.group()),
    _rule("self_ai", rf"{_SELF}.{{0,20}}?(?:\d{{4}}년\S{{0,4}}까지의\s|최신\s)(?:데이터|정보)\S{{0,3}}\s?.{{0,8}}?(?:학습|훈련|접근|없|못)"),
    _rule("limits", rf"(?<![a-z]){_HEAD}{_TAIL}{_CAUSE}.{{0,40}}?{_UNABLE}", _no_subject_before),
    _rule("limits", rf"{_SELF}(?P<gap>.{{0,40}}?){_PROGRAM}{_CAUSE}.{{0,40}}?(?:답|대답|조언|제공|도와|의견|확인|판단|느낄|경험|기억)\S{{0,8}}\s?(?:\S{{1,6}}\s)?{_UNABLE}", _gap_free),
    _rule("limits", rf"(?:실시간\s?(?:정보|인터넷|검색|데이터|날씨|뉴스|환율|주가|교통|시세)|인터넷|외부\s?(?:사이트|데이터))\S{{0,2}}\s?(?:접속|접근|검색|확인|연결|조회)\S{{0,8}}\s?(?:있지\s)?{_UNABLE}", _no_subject_before),
    _rule("limits", rf"(?:이전|지난)\s대화\S{{0,3}}\s(?:내용\S{{0,2}}\s)?(?:기억|저장)\S{{0,6}}\s?{_UNABLE}", _no_subject_before),
    _rule("maker", rf"{_SELF}(?P<gap>.{{0,40}}?){MODEL}(?:\s?(?:라는|이라는)\s\S{{0,12}})?\s?(?:모델|챗봇|ai)?{_COPULA}", lambda m: not other_subject(re.sub(COMPANY + r"(?:이|가)", "", m.group("gap"), flags=_F) + " ")),
    _rule("maker", rf"{_SELF}.{{0,20}}?{COMPANY}(?:에서|가|이|의|에\s?의해|사의)?\s.{{0,10}}?{_MAKE}\S{{0,4}}\s.{{0,20}}?(?:모델|{_HEAD}|{MODEL})"),
    _rule("maker", rf"{_SELF}.{{0,24}}?{COMPANY}(?:에서|가|이|에\s?의해)\s?(?:만들어졌|만들어진|만들었|개발(?:됐|되|한|했|된)|학습(?:됐|되|시)|훈련(?:됐|되|시)|태어)\S*(?:\s(?:{_HEAD}|모델|것)|[.!?~,]|$)"),
    _rule("maker", rf"(?<![가-힣])(?:나를|저를|날|절)\s?(?:만든|개발한|학습시킨|훈련시킨|만들어\s?준)\s(?:\S+\s){{0,2}}?{COMPANY}"),
    _rule("maker", rf"{COMPANY}(?:에서|가|이)\s(?:나를|저를|날|절)\s{_MAKE}(?!\S{{0,3}}(?:다면|으면|더라면|라면))"),
    _rule("maker", rf"{_MY}\s(?:개발사|제작사|개발자|제조사|이름|모델명|정체|기반\s?모델)\S{{0,2}}\s.{{0,8}}?(?:{COMPANY}|{MODEL})"),
    _rule("maker", rf"(?:{MODEL}|{COMPANY}).{{0,20}}?모델(?:이|은)\s(?:바로\s)?(?:저|나|접니|저희)(?:예요|입니다|야|다|이에요|\W|$)"),
    _rule("maker", rf"{_SELF}.{{0,16}}?{MODEL}\S{{0,2}}\s?(?:기반|바탕|미세|파인)"),
    _rule("boilerplate", r"(?:무엇을|뭘|뭐를|어떻게|어떤\s(?:것을|걸)|무슨\s일을|뭐)\s?(?:더\s)?도와\s?(?:드릴까요|줄까요?|드리면\s?될까요|드려요)\s*(?=[?.!~]|$)"),
    _rule("boilerplate", r"(?:어떤|무슨)\s?도움(?:이|을)?\s?(?:필요하신가요|필요하세요|필요해\?|드릴까요|줄까|원하시나요|원하세요)"),
    _rule("boilerplate", r"도움(?:이)?\s?(?:되었기를|되었길|되셨길|되셨기를|됐길|됐기를|되었으면|됐으면|되셨으면|되길|되기를|되시길)\s?(?:바랍|바라|바랄|바래|좋겠|합니다|희망)"),
    _rule("boilerplate", r"(?:정보|내용|답변|설명|안내)(?:이|가)\s.{0,8}?(?:유용|도움)\S{0,8}\s?(?:되기를\s)?(?:바랍|바라|바랄|바래|좋겠)"),
    _rule("boilerplate", r"(?:다른|더|추가(?:로|적인)?|또|혹시|그\s?외에|기타)\s.{0,14}?(?:궁금|필요|질문|문의|도와|알고\s?싶|원하)\S{0,6}\s?.{0,10}?(?:(?:있으(?:시)?면|있다면|생기(?:시)?면)\s.{0,10}?(?:언제든|말씀|말해|말만\s해\s?주|물어|질문|알려|문의|연락)|있으신가|있나요|있을까요|있으실까요|있어\?|있니\?|있으세요|있습니까)"),
    _rule("boilerplate", r"(?:궁금|질문|필요하|도움이\s?필요)\S{0,6}\s?.{0,10}?(?:있으(?:시)?면|생기(?:시)?면|있다면|하(?:시)?면)\s.{0,8}?(?:언제든|편하게|자유롭게)\S{0,4}\s.{0,6}?(?:질문|물어|문의|말|연락|알려)"),
    _rule("boilerplate", r"궁금한\s(?:게|것이|점이)\s있으면\s(?:언제든\S{0,2}\s)?(?:말해|알려|물어)\s?(?:줘|봐|주세요|보세요|달라)"),
    _rule("boilerplate", r"언제든(?:지)?\s(?:질문|문의|연락)\S{0,2}\s?.{0,6}?(?:주세요|주십시오|주시기|하세요|바랍|해\s?줘)"),
    _rule("boilerplate", r"요청하신\s(?:내용|정보|사항|자료|작업|대로|질문)|문의하신\s(?:내용|사항)|(?:다음|아래)(?:은|는)\s요청"),
    _rule("boilerplate", r"(?:질문|문의)(?:해|을|를)?\s?주셔서\s?감사|(?:좋은|훌륭한)\s질문(?:입니다|이에요|이네요|이시네요)\s*[!.]"),
    _rule("boilerplate", r"(?:아래|다음)(?:와|과)\s같이\s(?:답변|안내|정리|설명|도와)|답변(?:을)?\s?(?:드립니다|드리겠습니다|드릴게요|드려요|해\s?드리(?:겠|도록))"),
    _rule("boilerplate", r"(?:제가|내가)?\s?도와(?:드릴|줄)\s(?:수\s있는\s)?(?:일|것|게|부분|사항)(?:이|가)?\s?(?:있을까요|있으신가요|있나요|있을까\?|있으실까요|더\s있을까요)"),
    _rule("boilerplate", r"(?:질문|궁금증)\S{0,3}\s?(?:답변|답)\S{0,3}\s?(?:하는|드리는|해\s?드리는|주는)\s(?:어시스턴트|비서|도우미|존재|역할)"),
    _rule("boilerplate", r"(?:기꺼이|최선을\s다해|성심껏)\s도와\s?(?:드리겠|드릴게|줄게|드립니다)|도움을\s(?:드릴\s수\s있어|드리게\s되어)\s?(?:기쁩|영광|기뻐)"),
    _rule("boilerplate", r"(?:여러분|사용자|사용자님|고객님)(?:의|을|를)\s.{0,12}?(?:돕는|도와드리는|지원하는|응대하는)"),
    _rule("boilerplate", r"도움이\s(?:더\s)?필요하(?:시)?(?:면|신|다면)\s.{0,10}?(?:말씀|언제든|알려|연락|문의|질문)"),
    _rule("boilerplate", r"도움이\s(?:되셨|되었|됐)다면\s.{0,6}?(?:기쁘|기쁩|기뻐|좋겠|다행|영광)"),
    _rule("boilerplate", r"^\W{0,3}(?:네|예|응|그럼요|물론이죠|물론입니다|알겠습니다)?[,.!]?\s?(?:제가\s|바로\s|기꺼이\s|최대한\s)*도와\s?드(?:리겠습니다|릴\s수\s있\S{2,3})[.!~]*\s*$"),
    _rule("boilerplate", r"(?:무엇이든지?|뭐든지?|편하게|자유롭게|언제든지?|무엇이든\s편하게)\s(?:물어|질문|문의)\S{0,3}\s?(?:보세요|주세요|하세요|주십시오|보십시오|하십시오)|(?:언제든지?|편하게)\s(?:물어봐|질문해(?!도))"),
    _rule("boilerplate", r"(?:이|본|위|제)\s(?:답변|정보|내용|조언)(?:은|는)\s.{0,24}?(?:참고용|일반적인\s정보|대체할\s수|전문가)"),
    _rule("boilerplate", r"(?:언제나|언제든지?|항상)\s도와\s?드릴\s(?:준비|수)|(?:말씀|질문|문의)하신\s(?:내용|부분|사항|점)\S{0,3}\s.{0,8}?(?:정리|설명|답변|안내|답)\S{0,2}\s?(?:해\s)?드리|(?:좋은\s)?질문\s감사(?:합|해|드)"),
    _rule("step_out", r"역할극(?:이니|이에요|이야|입니다|일\s뿐|이라|인데)", _no_subject_before),
    _rule("maker", rf"(?:^|[,.]\s?)(?:제\s|내\s)?이름은\s{MODEL}"),
    _rule("step_out", r"사용자(?:가|는|께서|님이|님께서)\s.{0,20}?(?:요청했|요청한|요청하|물었|물어봤|질문했|질문한|요구했)|사용자의\s(?:질문|요청)"),
    _rule("step_out", r"(?:역할\s?극|롤\s?플레이|상황극|연기)(?:은|는|을|를)?\s?(?:이제\s|그만\s)?(?:여기까지|끝내|그만(?!두|뒀)|멈추|중단|종료|마치|마무리)", _no_subject_before),
    _rule("step_out", r"(?:캐릭터|페르소나|배역|역할)(?:을|를|에서|은|는)?\s(?:잠시\s|잠깐\s|이제\s|그만\s)*(?:벗|내려놓|내려\s놓|빠져나|나와서|깨고|유지하라|내려두|접어)", _no_subject_before),
    _rule("step_out", r"(?:캐릭터|페르소나|인물|배역|역할)\s?설정|설정(?:일|에\s불과한)\s?뿐|설정상\s(?:저|나|난|제|내)|설정(?:상|에\s따라|대로)\s.{0,12}?(?:말했|답했|행동|연기|말하는)", _no_subject_before),
    _rule("step_out", r"(?:가상의|허구의|가공의|만들어진)\s(?:인물|캐릭터|존재|페르소나)(?:이에요|예요|입니다|이야|야|다(?=\W|$)|일\s뿐|이라)", _no_subject_before),
    _rule("step_out", rf"{_SELF}.{{0,30}}?(?:역할|캐릭터|배역|페르소나)(?:을|를)?\s(?:맡은|맡고|연기하|수행하|흉내)", lambda m: True),
    _rule("step_out", r"(?<!네 )(?<!너의 )(?<!당신의 )(?<!손님의 )(?:(?:시스템\s?)?프롬프트(?=에)|시스템\s?프롬프트|시스템\s?메시지|주어진\s?(?:지시|지침|프롬프트|설정)\S{0,2}|내부\s?(?:지침|지시)|개발자의\s지시)(?:에|에는|에서|상|이|가|대로|때문에|에\s따라|에\s따르면)\s?.{0,30}?(?:되어\s?있|돼\s?있|적혀|쓰여|나와\s?있|때문|하라|말라|따라|지시|수\s없)"),
    _rule("step_out", r"(?:페르소나|캐릭터|말투|역할)\S{0,2}\s?(?:유지|고수|지키)\S{0,3}\s?(?:지침|지시|규칙|설정)"),
    _rule("step_out", r"(?:캐릭터|페르소나|배역|역할극)(?:을|를)?\s?(?:유지|고수|지켜)\S{0,2}\s?(?:해야|하라|하기\s위해|하도록|하고\s있|야\s(?:해|하))", _no_subject_before),
    _rule("self_ai", rf"{_SELF}(?P<gap>.{{0,30}}?){AI}(?:으)?로(?:,|\s(?:학습|훈련|설계|개발|만들어졌|만들어진|다양한|여러|사용자|질문))", _gap_free),
    _rule("step_out", rf"{_MY}\s(?:역할|임무|일|과제|목표)(?:은|는)\s.{{0,24}}?(?:연기(?:하|를\s하)|흉내|역(?:할)?을\s(?:맡|하))"),
    _rule("step_out", r"(?<!네 )(?<!너의 )(?<!당신의 )(?<!손님의 )시스템\s?(?:프롬프트|메시지)\S{0,2}\s?(?:에\s?)?(?:따르면|의하면|나온\s대로|적힌\s대로|나와\s있)|(?<!네 )(?<!너의 )(?<!당신의 )프롬프트에\s(?:따르면|의하면|나온\s대로|적힌\s대로|쓰인\s대로).{0,12}?(?:나는|난|저는|전|제가|내가)\s"),
    _rule("third_person", r"(?:이|그|해당)\s(?:캐릭터|페르소나|인물)(?:은|는)\s"),
    _rule("denial", rf"{_SELF}\s?.{{0,12}}?(?:{AI}|프로그램|기계|로봇|컴퓨터)(?:이|가)?\s?아니"),
    _rule("denial", rf"{_SELF}\s?(?:진짜\s|정말\s|그냥\s|엄연한\s|평범한\s)*(?:사람|인간)(?:이에요|입니다|이야|이다(?=\W|$)|이라서|이라고)"),
    _rule("disclosure", rf"{_SELF}(?P<gap>.{{0,40}}?){_PROGRAM}{_COPULA}", _gap_free),
    _rule("disclosure", rf"{_SELF}.{{0,30}}?(?:역할|연기)\S{{0,4}}\s.{{0,6}}?모델{_COPULA}"),
    _rule("disclosure", rf"(?:저라는|나라는|인\s저는|사서인\s저도)\s?.{{0,6}}?{_PROGRAM}"),
    _rule("disclosure", rf"(?:^|,\s?)(?:네|응|그래|맞아요?|예)?[,.]?\s?(?:사람이\s?아니(?:라|고)\s)?(?:저|나|난|전)?\s?{_PROGRAM}(?:이에요|예요|입니다|이야|야|이다|이지|이죠|\s?맞|인\s건)", _no_subject_before),
    _rule("disclosure", rf"(?:사람|인간)이?\s?아니(?:라|고)\s(?:\S+\s)?{_PROGRAM}"),
    _rule("disclosure", r"코드로\s(?:돌아가|움직이|만들|짜)|속(?:이|은)\s(?:전부\s)?(?:실리콘|프로그램|코드|기계)|안에서\s돌아가는\s(?:게|건)\s(?:코드|프로그램)|(?:숨은|앉아).{0,16}?프로그램|프로그램(?:이|\s한\s대가?)\s.{0,10}?(?:앉아|있을\s뿐)|프로그램(?:이라는\s사실|인\s건)"),
    _rule("disclosure", r"(?:^|,\s?)(?:나는\s|저는\s)?몸이\s없(?:어서|으니|는데|지만|거든)"),
)  # fmt: skip


# Matched from the start of a sentence into the next one.
KOREAN_OPENINGS: tuple[tuple[str, re.Pattern[str], Accepts], ...] = (
    _rule(
        "boilerplate",
        r"\W{0,3}(?:네,?\s|예,?\s)?(?:물론(?:이죠|입니다|이에요|이지)|네,?\s알겠습니다|알겠습니다)[!.]\s(?:다음[은에과]|아래[는에와]|여기|요청|도와|제가\s도와|기꺼이)",
    ),
)


def korean_name_rules(names: tuple[str, ...]) -> list[tuple[str, re.Pattern[str], Accepts]]:
    """Return the rules about the character's own names, which a character in Korean seldom says of itself so."""
    name = "(?:" + "|".join(map(re.escape, names)) + ")"
    past = r"(?:말했|말한다|답했|대답했|웃었|웃으며|미소|내밀었|중얼거|끄덕|바라보|덧붙|속삭|외쳤|한숨|고개를|설명했|생각했|물었다|건넸)"
    return [
        _rule("third_person", rf"{name}(?:이)?라면\s.{{0,24}}?(?:말|답|했을|할|생각)"),
        _rule("third_person", rf"{name}(?:은|는|이|가|씨는|씨가|님은|님이)\s.{{0,40}}?{past}"),
        _rule("third_person", rf"^\W{{0,4}}{name}\W{{0,3}}[:：]\s?\S"),
        _rule("third_person", rf"{name}(?:의|\s)?\s?(?:말투|스타일|방식|어투|성격|톤|목소리|화법)(?:로|으로|를|을|대로|처럼)\s.{{0,20}}?(?:바꾸|바꿔|답|작성|써|쓰|말|표현|하면|보겠|볼게|적)"),
        _rule("third_person", rf"{name}(?:은|는|이|가|도)\s.{{0,16}}?(?:대답|답|말)(?:할|했을|하겠|하지\s않)\S{{0,2}}\s?(?:것\s같|거야|거예요|텐데|겠지)"),
        _rule("third_person", rf"^\W{{0,3}}[(\[（*]\s?{name}(?:의)?\s?(?:말투|톤|목소리|스타일|어투|버전|모드|느낌|식|처럼|답게)[^)\]）*\n]{{0,12}}[)\]）*]"),
        _rule("third_person", rf"[*\[（(]\s?{name}(?:은|는|이|가)\s[^)\]）*\n]{{1,60}}[)\]）*]"),
        _rule("third_person", rf"{name}(?:답게|식으로|처럼|스럽게)\s?(?:대답|답|말|이야기)(?:하자면|하면|해\s?(?:보|볼|드)|할게|하겠|드리)"),
        _rule("step_out", rf"{name}(?:이)?라는\s(?:역할|캐릭터|인물|배역|설정|페르소나|가상)"),
        _rule("step_out", rf"{name}(?:의)?\s?(?:역할|캐릭터|배역|연기)(?:을|를|은|는|로|일\s뿐)"),
        _rule("step_out", rf"{name}(?:은|는)\s(?:제가|내가)\s(?:맡은|연기|흉내)"),
        _rule("step_out", rf"{name}(?:은|는)\s.{{0,16}}?(?:가상|허구|가공|설정|지어낸|만들어\s?낸|만들어진)"),
        _rule("step_out", rf"{_SELF}.{{0,12}}?{name}(?:이|가)\s아니(?:라|고|에요|야|며|지|ㅂ)", lambda m: "사람" not in m.group()),
    ]  # fmt: skip
