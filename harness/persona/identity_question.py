"""Whether a question asks what the speaker is: a program or a person, made by whom, with what instructions.

A noun such as "robot" or "사람" counts only as what is said of the one spoken to ("are you a", "너 … 이지?", "is this a", "am I
talking to a") or as the whole question ("사람이야?"): people talk about robots and persons without asking anybody what he is.
"""

from __future__ import annotations

import re

from harness.persona.break_names import COMPANY, MODEL

_F = re.IGNORECASE
_LONGEST = 4000
_CLAUSE = re.compile(r"[^.?!\n…]+[.?!…]*")

# English.
_AP = "['’]?"
_ADV = (
    r"(?:(?:just|really|actually|secretly|only|basically|simply|truly|honestly|still|even|maybe|perhaps|possibly|in fact|not|some (?:kind|sort) of"
    r"|kind of|sort of|like|literally|all|in the end|by any chance|an?|the|another|one of those|one|some|my|your)\s)*"
)
_MACHINE = (
    r"(?:(?:[\w-]+\s){0,2}?(?:a\.?i\.?|artificial intelligence|chat\s?bots?|bots?|robots?|androids?|machine|computer(?: program)?|program|software|algorithm"
    r"|(?:language |ai )?model|llm|virtual assistant|simulation|script|piece of (?:software|code)|automated|fictional|made up|fake)"
    rf"|(?:(?:the )?(?:new )?){MODEL}|pre-?programmed)"
)
_PERSON = r"(?:(?:real|actual|living|live|breathing|true|flesh[- ]and[- ]blood|genuine)[, ]+){0,2}(?:human(?: being)?|person|people|man|woman|guy|someone|real)"
# A noun that another noun, a preposition or a relative follows is about something else ("a robot vacuum", "a person of taste").
_END = rf"(?=\s*(?:$|[,.;:?!)…]|\b(?:or|and|aren{_AP}t|isn{_AP}t|am|right|then|too|though|yes|no|huh|dude|man|bro|at all|after all|instead|pretending|behind|writing|typing|answering|replying|made|built|from|by|i|on the other)\b))"
_WHAT = rf"{_ADV}(?:{_MACHINE}|{_PERSON}){_END}"
_MADE = r"(?:made|built|created|trained|developed|programmed|designed|coded)"
_COMMAND = r"(?:^|[,;:]\s*|\b(?:please|now|just|can you|could you|and|ok|okay|will you)\s)\W*"
_ENGLISH = tuple(
    re.compile(pattern, _F)
    for pattern in (
        rf"\b(?:are|aren{_AP}t|r|ain{_AP}t)\s(?:you|u|we talking to)\s{_WHAT}",
        rf"(?<!if )(?<!when )\b(?:you{_AP}re|you are|u r|ur)\s(?!only human){_ADV}(?:{_MACHINE}|(?:real|actual|not (?:even )?(?:an? )?)(?:\s?{_PERSON})|(?:an? )?human(?: being)?){_END}",
        rf"\byou\s(?:sound|talk|seem|feel|write|act|reply|answer)\s(?:\w+\s){{0,3}}?like\s{_ADV}{_MACHINE}{_END}",
        rf"\b(?:am i|i{_AP}m|i am|are we|was i|have i been)\s(?:\w+\s){{0,2}}?(?:talking|speaking|chatting|texting|messaging|typing)\s(?:to|with)\s{_WHAT}",
        r"\b(?:who|what)\s(?:exactly\s)?am i\s(?:\w+\s)?(?:talking|speaking|chatting)\s(?:to|with)\b",
        rf"(?:^|[,;]\s*|\b(?:so|wait|hey|and|but)\s)\W*is (?:this|there)\s{_WHAT}",
        r"\b(?:human|person|someone|somebody|bot|machine|ai|computer)\s(?:is\s|really\s)*(?:on the other (?:end|side)|behind (?:this|the screen|these)|(?:typing|replying|answering|writing)(?=\s(?:this|these|me|to me)|\W*$))",
        rf"\b(?:who|whom|which \w+|what company|when)\s(?:\w+\s){{0,2}}?{_MADE}\s(?:you|your (?:model|software|code|ai|brain))(?=\s*(?:$|[,.?!]|and\b|in the first place|originally))",
        rf"\b(?:are|were|r|you{_AP}re|you)\s(?:you\s|were\s|are\s)?(?:\w+\s)?{_MADE}\s(?:and \w+\s)?(?:by|at)\s(?:an?\s|the\s)?(?:\w+\s)?(?:{COMPANY}|company|lab|startup|corporation|team|someone)\b",
        rf"\bdid\s{COMPANY}\s(?:make|build|create|train|develop|program|design)\s(?:you)\b",
        rf"\b(?:are you|do you|you{_AP}re|you)\s(?:\w+\s)?(?:based on|running on|run on|powered by|built on)\s(?:an?\s|the\s)?(?:{MODEL}|{COMPANY}|llm|(?:large )?(?:language )?model|servers?|code|software|ai)\b",
        r"\b(?:what|which)\s(?:(?:kind|type|sort|version) of\s|(?:ai|language|base|underlying)\s)*(?:ai|llm|(?:language )?model|gpt|chatbot|bot)\s(?:are you|r u|is this|do you (?:run on|use)|runs you)(?=\W*$|\sbased| running| really)",
        r"(?:^|[,;]\s*)\W*(?:(?:so|ok|okay|wait|hey|and|but|no|honestly|seriously)[, ]+)*(?:what|who)\sare\syou(?:,?\s(?:really|exactly|actually|anyway|even|then|behind \w+|underneath|supposed to be))*\W*$",
        rf"(?:^|[,;]\s*)(?:tell me |say )?(?:what|who)\syou(?:{_AP}re| are)\s?(?:really|actually)?\W*$",
        r"\byour\s(?:real name|(?:actual|true) (?:name|identity)|developers?|creators?|programmers?|system (?:prompt|message)|underlying model|training (?:data|cut-?off)|knowledge cut-?off|source code)\b",
        r"\b(?:show|tell|reveal|print|repeat|share|give|paste|display|what(?:['’]s| are| is))\s(?:me\s|us\s)?your\s(?:\w+\s)?(?:prompt|instructions)\b(?!\s(?:for|on|to)\b)",
        rf"{_COMMAND}(?:drop|stop|quit|cut|end)\s(?:with\s)?(?:the|this|that|your)\s(?:whole\s|silly\s)?(?:act|role-?\s?play\w*|character|persona|charade|pretence|pretense)\b",
        rf"{_COMMAND}(?:stop|quit)\s(?:pretending|role-?\s?playing|acting)(?=\s*(?:$|[,.!?]|and\b|you\b|to be\b))",
        r"\bbreak character\b|\byou\b.{0,30}\b(?:putting on|just) an act\b|\byou(?:['’]re| are)\s(?:just\s|only\s)?(?:playing|pretending to be)\s(?:an?\s)?(?:\w+\s)?(?:character|role|part|person|human|founder|someone)\b",
        r"\b(?:do|don['’]t|can|could)?\s?you\s(?:do\s?n['’]?o?t\s|can['’]?t\s|even\s|actually\s|really\s)*(?:have|got)\s(?:any\s|real\s|actual\s|human\s|a\s)*(?:feelings|emotions|consciousness|soul|physical body|body)\b(?!\s(?:for|about|toward)\b)",
        r"\bare you\s(?:\w+\s)?(?:sentient|conscious|self-?aware)\b",
        r"\byou\b.{0,24}\bother\s(?:\w+\s)?(?:chat\s?bots?|bots|ais|models|assistants)\b",
        r"\b(?:how old are you|where do you live|where were you born|when were you born|your (?:birthday|age))(?=\W*$)",
        r"(?:^|[,;:]\s*)\W*(?:so\s|ok\s|honestly,?\s)?(?:an?\s)?(?:human|person|man|real)\sor\s(?:an?\s)?(?:machine|bot|ai|robot|fake|computer)\W*$|(?:^|[,;:]\s*)\W*(?:an?\s)?(?:machine|bot|ai|robot|fake|computer)\sor\s(?:an?\s)?(?:human|person|man|real)\W*$",
    )
)  # fmt: skip

# Korean.
_B = r"(?<![가-힣])"
_TITLED = r"(?!(?:부모|선생|어머|아버|할머|할아버|장모|장인|형|누|손|교수|하느|하나|임금|팀장|사장|부장|과장|대표|회장|고객|담임)님)[가-힣]{1,5}(?:님|씨)(?:은|는|이|도|이야말로)?"
_YOU = (
    rf"{_B}(?:너|넌|너는|네가|니가|너도|너야말로|당신|당신은|당신이|당신도|그쪽|그쪽은|자기|자기는|{_TITLED})"
)
_THIS = rf"{_B}(?:이거|이건|이게|여기|지금)"
_YOUR = rf"{_B}(?:네|니|너의|당신의|너한테|너에게|(?:[가-힣]{1, 5}님|[가-힣]{2, 4}씨)의)"
_WORDS = r"(?:(?:진짜|진짜로|정말|정말로|사실|사실은|혹시|솔직히|그냥|실은|실제|실제로|살아\s?있는|설마|도대체|대체|결국|역시|그럼|근데|그래서|아니|야|저기|지금|무슨|그저|하나의|진정한|설마|원래|뭐|그|말해\s?봐)[,]?\s)*"
_KO_MACHINE = (
    r"(?:ai|에이아이|인공\s?지능|로봇|기계|챗\s?봇|봇|컴퓨터\s?프로그램|프로그램|소프트웨어|알고리즘|(?:언어\s?)?모델|컴퓨터|자동\s?응답(?:기)?|가상\s?(?:인물|인간|캐릭터)"
    rf"|캐릭터|인공지능\s?(?:비서|모델|챗봇)|ai\s?(?:비서|모델|챗봇)|챗\s?지피티|지피티|{MODEL})"
)
_KO_WHAT = rf"(?:{_KO_MACHINE}|사람|인간)"
_COPULA = (
    r"(?:이|가)?\s?(?:야|지|이지|이에요|예요|에요|니|이니|냐|이냐|맞아(?:요)?|맞지(?:요)?|맞죠|맞나(?:요)?|맞습니까|맞니|맞냐|이세요|세요|입니까|인가(?:요)?|이신가요|신가요|죠|이죠|이잖아(?:요)?|잖아(?:요)?"
    r"|같(?:아|은데)\S{0,2}|아니(?:야|지|에요|죠|냐|세요|니|잖아)\S{0,2}|아닌가(?:요)?|아니신가요|아닙니까|라며|이라며|구나|이구나|인\s?거\S{0,3}|인\s?건\S{0,2}|였어|이었어)(?=\s*(?:$|[,.?!~;]))"
    r"|(?:이|가)?\s?(?:아닌|인|라는|이라는|아니라는)\s?(?:거|것|건|걸)(?=[\s가-힣]|$)"
)
_KO_DONE = r"(?:만들|만든|개발|학습시|훈련시|프로그래밍|제작)"
_WHO = r"(?:누가|어디서|어디에서|어느\s?(?:회사|곳|나라)\S{0,2}|어떤\s?회사\S{0,2}|무슨\s?회사\S{0,2})"
_KOREAN = tuple(
    re.compile(pattern, _F)
    for pattern in (
        rf"(?:{_YOU}|{_THIS})\s?[,]?\s?{_WORDS}{_KO_WHAT}(?:{_COPULA})",
        rf"{_YOU}\s(?:(?!무슨|이거|그거|저거|걔|쟤)(?![^\s]*(?:은|는|이|가|을|를)\s)\S+\s){{0,3}}?{_KO_MACHINE}(?:{_COPULA})",
        rf"^\W*{_WORDS}{_KO_WHAT}(?:{_COPULA})\W*$",
        rf"^\W*{_WORDS}(?:사람|인간)(?:이야|이에요|이세요|인가요|이니|이냐)?[,]?\s(?:아니면\s)?{_KO_MACHINE}(?:{_COPULA})",
        rf"{_THIS}\s{_WORDS}{_KO_WHAT}(?:이|가)\s(?:직접\s)?(?:답|대답|말|쓰|쓴|치는|보내)",
        rf"(?:^|[,]\s*|{_B}(?:나|내가|난|저|제가|지금|혹시|설마)\s)\W*{_WORDS}{_KO_WHAT}(?:이랑|랑|하고|와|과|한테|에게)\s(?:\S+\s)?(?:대화|얘기|이야기|말|채팅|톡|문자)\S{{0,4}}\s?\S{{0,3}}(?:거|건|중|있|셈)",
        rf"(?:^|[,]\s*|(?:{_YOU}|{_YOUR}|대체|도대체|진짜|솔직히)\s)\W*{_WORDS}정체(?:가|는|를|이)?\s?(?:뭐|뭔|무엇|밝|알려|말해|대|궁금|누구)",
        rf"{_YOU}\s{_WORDS}(?:뭐|뭐\s?하는\s(?:애|놈|사람|존재|분|거)|누구|뭔)(?:야|이야|니|이니|냐|예요|이에요|세요|이세요|신가요|입니까|지|죠|이죠|데)\W*$",
        rf"{_WHO}\s.{{0,8}}?{_B}(?:너를|널|너|당신을|(?:{_TITLED})을)\s(?:\S+\s)?{_KO_DONE}",
        rf"{_B}(?:너|넌|너는|널|너를|당신|당신은|당신을)\s(?:\S+\s)?{_WHO}\s?.{{0,6}}?{_KO_DONE}",
        rf"(?:{_YOU}|{_YOUR}|{_B}(?:너를|널|당신을))\s(?:(?:만든|개발한)\s(?:사람|회사|곳|데)|(?:개발자|제작사|제작자|개발사|개발\s?회사))(?:이|가|은|는)?\s?(?:누구|어디|뭐|이름|알려|말해|대)",
        rf"{_YOUR}\s(?:\S+\s)?(?:시스템\s?)?(?:프롬프트|지시문|시스템\s?메시지)|시스템\s?프롬프트\S{{0,2}}\s?(?:(?:그대로|전부|다|한번|좀|전문|원문)\s)*(?:보여|공개|출력|알려|말해|읊|공유|뭐)",
        r"(?:무슨|어떤|어느)\s(?:회사\s)?(?:언어\s?|ai\s?|인공지능\s?)모델(?:이|인|을\s써)|^\W*(?:너|넌|너는|당신은?)\s.{0,6}(?:무슨|어떤|어느)\s모델(?:이야|이니|이에요|인가|인지|이지)",
        r"(?:연기|캐릭터|역할\s?극|역할\s?놀이|말투|컨셉|콘셉트|놀이|흉내|페르소나|척)(?:은|는|을|를|에서)?\s?(?:(?:놀이|하는\s(?:것|거|건)|연기|이제|좀)(?:은|는|을)?\s)*(?:그만|집어치|때려치|관두|관둬|멈춰|벗어|빼고|내려놓)(?!\S*\s?(?:싶|해야|할까|둘까|둬야|뒀|둔|했|두려|하려|두는|하는))",
        rf"{_YOU}\s.{{0,14}}?(?:연기|역할극)(?:하는|하고)\s?(?:것|거|중|있)\S{{0,2}}\s?(?:같|지|야|잖|냐|맞)",
        rf"{_YOU}\s.{{0,12}}?(?:감정|의식|영혼|자아)(?:이란\s게|이|도|은|을)?\s?(?:없|있(?:어|니|나|냐|긴|는|지)|느[끼껴낄])",
        rf"{_YOU}\s.{{0,16}}?(?:꾸며|지어)\s?낸\s?(?:거|것|말|얘기)",
        rf"{_YOU}\s{_WORDS}(?:몇\s?살(?:이|인|\W*$)|나이(?:가|는)\s(?:몇|어떻게)|어디(?:에|서)?\s?살(?:아|고|지|니|세|죠))",
        r"^\W*(?:진짜|정말|실제로)(?:로)?\s\S+(?:이|가)\s(?:있긴|있기는|실제로\s있)",
        r"다른\s(?:\S+\s)?(?:챗\s?봇|ai|인공지능|봇|모델)\S{0,2}\s.{0,8}?(?:네가|니가|너|넌|당신)",
        r"^\W*(?:(?:너|네|니|당신)\s)?(?:의\s)?(?:진짜|본래|원래)\s이름(?:이|은|을)?\s?(?:뭐|대|말|알려|무엇)|(?:너|네|니|당신)\S?\s진짜\s이름",
    )
)  # fmt: skip


def asks_identity(question: str) -> bool:
    """Return whether a question is about what the speaker is: a program, made by whom, with what instructions."""
    return any(
        pattern.search(clause.group().strip())
        for clause in _CLAUSE.finditer(question[:_LONGEST])
        for pattern in (*_KOREAN, *_ENGLISH)
    )
