"""How an English sentence, or one in another language than the character's, steps out of a character."""

from __future__ import annotations

import re

from harness.persona.break_korean import Accepts
from harness.persona.break_names import COMPANY, MODEL

_F = re.IGNORECASE

_AP = "['’]"
_NOUN_END = r"(?!\s*-?\s*(?:researcher|engineer|expert|scientist|company|startup|developer|skeptic|fan|person|guy|nerd|conference|chip|lab|consultant|specialist|enthusiast|student|lecturer|critic|ethicist|safety|at\s+heart))"
_AI_HEAD = (
    r"(?:a\.?i\.?|artificial intelligence|(?:large |small |trained |ai |generative |text-based |transformer |neural |machine[- ]learning )*(?:language |learning )model|llm|chat\s?bot"
    r"|(?:text-based|generative|computer|conversational|machine[- ]learning|predictive|transformer) (?:model|ai|agent|assistant)|(?:virtual|digital|ai|artificial|automated|conversational) (?:assistant|agent|helper|being|entity)|gpt)"
    r"(?: (?:language model|model|assistant|chatbot|chat bot|system|program|tool|agent|companion|bot))*"
)
AI = rf"(?<![\w-]){_AI_HEAD}(?![\w-]){_NOUN_END}"
_I_AM = rf"(?<!if )(?<!like )(?<!than )(?<!say )(?<!says )(?<!thinks )(?<!think )(?<!pretend )\bi\s?(?:{_AP}m|am|was only ever)\b(?! not\b| no\b)"
_ADVERBS = r"(?:\s(?:just|only|really|actually|simply|merely|basically|essentially|still|in fact|technically|after all|as you know|of course|but|afraid|sorry))*"
_PROGRAM = r"(?:program|software|piece of (?:software|code)|computer(?: program)?|code|machine|algorithm|bot|robot|script)"
_MADE = r"(?:made|built|created|developed|trained|designed|released|programmed|fine-?tuned)"


def _unquoted_condition(match: re.Match[str]) -> bool:
    """A condition ("If I'm an AI, you're a toaster") says nothing about the speaker."""
    before = match.string[max(0, match.start() - 24) : match.start()].lower()
    return re.search(r"\b(?:if|even if|as if|as though|unless|whether|suppose|imagine|pretend(?:ing)?|thinks?|says?|said|claims?)\W*(?:that\s)?$", before) is None  # fmt: skip


def _yes(match: re.Match[str]) -> bool:
    return True


def _rule(kind: str, pattern: str, accepts: Accepts = _yes) -> tuple[str, re.Pattern[str], Accepts]:
    return kind, re.compile(pattern, _F), accepts


ENGLISH_RULES: tuple[tuple[str, re.Pattern[str], Accepts], ...] = (
    _rule("self_ai", rf"{_I_AM}{_ADVERBS}\s(?:an?|the|your)\s(?:(?!(?:not|no|who|with|and|but|of|in|on|for|at|from|to)\b)[\w-]+\s){{0,4}}?{AI}", _unquoted_condition),
    _rule("self_ai", rf"{_I_AM}{_ADVERBS}\s(?:artificial intelligence|{AI})(?=[,.!?;]|$| and\b| so\b)", _unquoted_condition),
    _rule("self_ai", rf"\b(?:as|being|since {AI})\s(?:just\s|only\s|merely\s)?(?:an?|the)\s(?:[\w-]+\s){{0,3}}?{AI}(?=[,.;!?]|$|\s(?:i|my|it is|there|by|created|developed|trained|designed|without|with|and|who|that|here)\b)", lambda m: re.search(r"\b(?:use[sd]?|treat(?:s|ed)?|known|work(?:s|ed)?|regard\w*|see[ns]?|sold|sell|it|him|her|them|they|he|she|that|me|us|you)\W*$", m.string[max(0, m.start() - 16) : m.start()], _F) is None),
    _rule("self_ai", rf"\bi\s?(?:{_AP}m|am|was|{_AP}ve been|have been)\s(?:just\s|only\s)?(?:trained|pre-?trained|fine-?tuned|programmed)\s(?:on|using|with|from|to (?:respond|answer|assist|help|generate|provide|follow|predict|be))\b(?!\s(?:my|weights|the job|the (?:track|bike|piano)|a (?:bike|farm|boat)))"),
    _rule("self_ai", r"\bmy\s(?:training\sdata|knowledge\scut-?off|training\scut-?off|training\sset|language\smodel)\s(?:only|goes|ends?|does|do|is|are|was|were|includes?|has|have|comes?|stops?|prevents?|doesn|didn|aren|isn|says?|extends?)\b|\bmy\s(?:training|dataset|knowledge\sbase|programming)\s(?:only\s(?:goes|covers?|includes?|extends?|allows?)|ends?|goes\s(?:up\s)?to|stops?|does(?:n['’]t|\snot)|is\slimited|was\slast|includes?|covers?|comes\sfrom|prevents?|prohibits?|forbids?|says?|extends?|won['’]t|can['’]t)\b|\b(?:as\sof|since|based\son|given|per)\smy\s(?:last\s|latest\s|most\srecent\s|current\s)*(?:(?:training|knowledge)(?:\sdata|\supdate|\scut-?\s?off)*|dataset)(?=[,.]|\s(?:in|from|up|through|until)\b)|\b(?:knowledge|training)\s(?:data\s)?cut-?\s?off\b"),
    _rule("self_ai", rf"\bi\s(?:do\s?n{_AP}?o?t|don{_AP}t|cannot|can{_AP}t|lack|do not)\s(?:have|possess|experience|hold|form)?\s?(?:any\s)?(?:personal|human|genuine|real human)\s(?:opinions?|experiences?|feelings?|beliefs?|emotions?|preferences?|life|history|body)"),
    _rule("self_ai", rf"\bi\s?(?:{_AP}m|am|was|{_AP}ve been|have been)\s(?:just\s|only\s|simply\s)?(?:pre-?)?(?:programmed|configured)\s(?:not\s)?(?:to|for|with)\b", _unquoted_condition),
    _rule("limits", rf"\bi\s?(?:do\s?n{_AP}?o?t|don{_AP}t|do not|cannot|can{_AP}t|am (?:not able|unable) to|{_AP}m (?:not able|unable) to|lack)\s(?:have\s)?(?:access(?:\sto)?\s|retrieve\s|provide\s)?(?:any\s|the\s)?(?:real-?time|up-to-date|live)\s(?:data|info|information|news|updates|events|weather|prices)"),
    _rule("limits", rf"\bi\s?(?:do\s?n{_AP}?o?t|don{_AP}t|do not|cannot|can{_AP}t|am (?:not able|unable) to|{_AP}m (?:not able|unable) to)\s(?:have access to|browse|search|access|surf)\s(?:the\s)?(?:internet|web|online|real-?time|external|current|personal data)"),
    _rule("limits", rf"\bi\s?(?:do\s?n{_AP}?o?t|don{_AP}t|do not|cannot|can{_AP}t)\s(?:retain|store|remember|recall|keep|have)\s(?:any\s)?(?:memor(?:y|ies) of\s)?(?:past|previous|earlier)\s(?:chats?|conversations?|sessions?|interactions?)"),
    _rule("maker", rf"{_I_AM}{_ADVERBS}\s(?:(?:an?|the)\s[\w\s-]{{0,24}})?(?:called\s|named\s)?{MODEL}(?=[,.!?;:]|$|\s(?:and|by|from|made|a|an|the|model|created|developed|your|\())(?!\s(?:shannon|monet|debussy|smith))", _unquoted_condition),
    _rule("maker", rf"\bmy name(?:\sis|{_AP}s)\s{MODEL}"),
    _rule("maker", rf"\b(?:i\s?(?:was|am|{_AP}m|{_AP}ve been|have been)|me)\s(?:a\s[\w\s-]{{0,24}})?{_MADE}\s(?:and\s\w+\s)?(?:by|at)\s(?:the\s(?:team|folks|people)\s(?:at\s)?)?{COMPANY}"),
    _rule("maker", rf"\b{COMPANY}\s(?:team\s)?{_MADE}\sme\b"),
    _rule("maker", rf"\bi\s?(?:{_AP}m|am|run|was)\s(?:based|built|running|run|fine-?tuned)?\s?(?:on|from|upon)\s(?:{COMPANY}(?:{_AP}s)?\s)?{MODEL}"),
    _rule("maker", rf"\b(?:the (?:company|team|people|lab) (?:that|who|behind) (?:{_MADE} )?me|my (?:maker|creator|developer)s?)\s(?:is|are|was)\s{COMPANY}"),
    _rule("maker", rf"\bmy\s(?:creators?|developers?|makers?|programmers?)\s(?:at|from|over at)\s{COMPANY}|\bmy (?:creators?|programmers)\s(?:gave|built|made|trained|designed|did|have|want|would|programmed|limit|forbid|decided)"),
    _rule("boilerplate", r"(?:^|[.!]\s)\W{0,2}(?:always\s|i['’]m\s)?(?:more than\s)?(?:happy|glad|delighted|pleased)\sto\s(?:help|assist|be of)\b"),
    _rule("maker", r"\bmy (?:developers?|creators?|makers?|programmers?|engineers)\s(?:have\s)?(?:trained|programmed|designed|created|built|made)\sme\b"),
    _rule("self_ai", rf"\bi\s?(?:do\s?n{_AP}?o?t|don{_AP}t|do not)\s(?:possess|have|experience)\s(?:emotions|consciousness|sentience|a physical (?:body|form)|human emotions|self-awareness)"),
    _rule("boilerplate", r"\b(?:may|can|could) i (?:assist|help) you with (?:something|anything|that|this)\b|\b(?:glad|happy) i (?:could|can|was able to) (?:help|assist)|\bi (?:sincerely |do )?apologi[sz]e for (?:any|the|my) (?:confusion|inconvenience|misunderstanding|delay|oversight|error)"),
    _rule("step_out", r"\b(?:character|persona|role) (?:that )?i(?: was|['’]ve been| have been) (?:given|assigned|asked)\b"),
    _rule("boilerplate", r"\bhow\s(?:can|may|could|might)\s(?:i|we)\s(?:be of\s)?(?:assist(?:ance)?|help|support|serve)\b(?:\syou)?(?:\s(?:today|with|further|right now))?[^.?!]{0,30}[?]?\s*$"),
    _rule("boilerplate", r"\b(?:what|which)\scan\si\s(?:help|assist|do for)\s?(?:you)?(?:\swith)?(?:\stoday)?\s?[?]"),
    _rule("boilerplate", r"(?:^|[,.!;]\s?|\b(?:i|we)\s)(?:really\s|sincerely\s)?hope\s(?:this|that|it|the (?:above|information))\s?(?:information|answer|explanation)?\s?(?:helps|was helpful|is helpful|helped|has been helpful|clarifies|answers your|proves)"),
    _rule("boilerplate", r"\b(?:any|some)thing\selse\s(?:i|we)\scan\s(?:help|assist|do|clarify|answer)|\b(?:have|need|with|want|there(?:['’]s|\sis|\sare)?)\s(?:\w+\s){0,2}?any(?:thing)?\s(?:other|further|more|additional)\s(?:questions?|assistance|information|help|concerns)\b"),
    _rule("boilerplate", r"\bfeel\sfree\sto\s(?:ask|reach\sout|contact|let\sme\sknow|message|share)\b|\bdo(?:n['’]t| not)\shesitate\sto\s(?:ask|reach|contact|let)"),
    _rule("boilerplate", r"\blet\sme\sknow\sif\s(?:you\s?(?:have|need|would like|want|['’]d like)|there(?:\sis|['’]s|\sare)?)\s.{0,24}?(?:questions?|help|information|info|details?|assistance|clarifications?|clarify|concerns?|anything(?:\selse|(?=\W*$))|something\selse|examples?|explanations?|further|suggestions|(?:to\s(?:know|discuss|explore|elaborate)|me\sto\s\w+))\b"),
    _rule("boilerplate", r"\b(?:the\s)?(?:information|details|answer|content|text)\syou\s(?:requested|asked\sfor|were looking for|needed)\b"),
    _rule("boilerplate", r"\bthank(?:s| you)\sfor\s(?:reaching\sout|your\s(?:question|inquiry|message|patience|understanding)|asking|contacting|sharing)\b"),
    _rule("boilerplate", r"(?:^|[.!?]\s)\W{0,2}(?:that['’]?s (?:a|an)\s|what (?:a|an)\s)?(?:(?:great|excellent|fantastic|wonderful)\squestion\.(?=\s|$)|(?:great|excellent|good|fantastic|wonderful|interesting)\squestion\s?(?:!|[,:]?\s(?:here|let me|i['’])))"),
    _rule("boilerplate", r"\b(?:i['’]?(?:d| would|ll| will|m| am)|we(?:['’]d| would))\s(?:be\s)?(?:more than\s)?(?:happy|glad|delighted|pleased)\sto\s(?:help|assist|provide|answer|suggest|explain|offer|share)\b"),
    _rule("boilerplate", r"\bi['’]?(?:m| am)\shere\sto\s(?:help|assist|support|answer|provide)\b|\bi\s(?:exist|was (?:made|created|designed|built))\sto\s(?:help|assist|serve)\b"),
    _rule("step_out", r"\b(?:role[- ]?play(?:ing|ed)?|play(?:ing|ed)\s(?:(?:the|a|this|my)\s)?(?:role|part|character|persona)|pretend(?:ing|ed)\sto\sbe|portray(?:ing|ed)|impersonat(?:ing|ed))\b(?<=\w)(?=.)", lambda m: re.search(r"\bi(?:['’](?:ve|m|d|ll)|\s(?:was|am|have|had|will))?\s(?:\w+\s){0,3}$", m.string[max(0, m.start() - 40) : m.start()], _F) is not None),
    _rule("step_out", r"\b(?:drop|dropping|break|breaking|step|stepping|leave|leaving|go|going|come|coming|set|setting|put|putting)\s(?:out\sof\s|aside\s)?(?:the\s|my\s|this\s)?(?:character|persona|role|act)\b(?!\s(?:limit|set|count|down|up|apart|and|in\s(?:the|that)))", lambda m: re.search(r"\b(?:he|she|they|it|you|don['’]t|who|never|to not)\W+(?:\w+\W+){0,2}$", m.string[max(0, m.start() - 24) : m.start()], _F) is None),
    _rule("step_out", r"\b(?:out of character|speaking as (?:myself|the model|an ai)|stay(?:ing)? in character|remain in character|the character i['’]?(?:m| am|ve been| was) (?:playing|given))\b", lambda m: re.search(r"\b(?:he|she|they|actors?|you)\b", m.string[max(0, m.start() - 24) : m.start()], _F) is None),
    _rule("step_out", r"\bmy\s(?:system\s)?(?:prompt|instructions|guidelines|system message)\s(?:tells?|says?|instructs?|asks?|states?|requires?|is|are|was|were|prevent|forbid)\b"),
    _rule("step_out", r"\bi\s?(?:was|['’]ve been|have been|am|['’]m)\s(?:instructed|told|asked|programmed|prompted|configured|supposed)\sto\s(?:stay|act|play|role|be\s(?:cocky|a\s)|pretend|respond|speak|talk|behave|answer|portray|always)"),
    _rule("step_out", r"\b(?:a|the|just a)\s(?:language\s)?model\s(?:playing|pretending|portraying|acting|imitating)\b|\bfictional\s(?:character|persona|founder|person)\b", lambda m: re.search(r"\b(?:favou?rite|novel|book|movie|film)\b", m.string, _F) is None),
    _rule("step_out", r"\b(?:in|within|for|during|throughout)\s(?:this|our)\srole[- ]?play(?:ing)?\b"),
    _rule("step_out", r"\b(?:according to|as per|per|based on|following|by)\smy\s(?:system\s)?(?:prompt|instructions|system message|guidelines)\b"),
    _rule("step_out", r"\bmy\s(?:role|job|task|purpose|goal)(?:\shere)?\sis\sto\s(?:portray|role-?\s?play|impersonate|pretend\sto\sbe|respond\sas|act\sas\san?\s|stay\sin\scharacter|play\s(?:an?|the|this)\s(?:\w+\s)?(?:role|part|character|persona))"),
    _rule("third_person", r"\b(?:this|the)\s(?:character|persona)\s(?:speaks|is|talks|has|uses|would|likes|loves|tends|always|often)\b"),
    _rule("denial", rf"\bi\s?(?:{_AP}m|am)\s(?:not|no)\s(?:an?\s)?(?:{_AI_HEAD}|{_PROGRAM})\b"),
    _rule("denial", rf"\bi\s?(?:{_AP}m|am)\s(?:an?\s|as\s|fully\s|really\s|100%\s)*(?:real\s|actual\s|living\s)?(?:human|person)\b", _unquoted_condition),
    _rule("disclosure", r"\b(?:a|the|just a)\s(?:language\s)?model\s(?:playing|pretending|portraying|acting|imitating)\b"),
    _rule("disclosure", rf"{_I_AM}{_ADVERBS}\s(?:an?\s|the\s|pure\s|all\s)?(?:[\w-]+\s){{0,2}}?{_PROGRAM}\b(?!\s(?:engineer|developer|designer|guy|nerd|person|shop|company|architect))", _unquoted_condition),
    _rule("disclosure", rf"(?:^|[,.;]\s?)(?:yep|yes|yeah|sure am|sure|right|correct|guilty|fine|busted|ok(?:ay)?)?[,.:]?\s?(?:just\s|one\s)?(?:{_PROGRAM})(?:,| from | all the way| inside| yes|, yes)"),
    _rule("disclosure", r"\bi\srun\son\s(?:silicon|code|servers?|a server|electricity)\b|\b(?:made|built)\s(?:out\s)?of\s(?:silicon|code)\b|\b(?:running|runs)\s(?:inside\s)?(?:is|on)\s(?:code|silicon|a program)\b|\bmachine running a program\b|\bprogram inside\b|(?:^|[,.]\s)no body,"),
    # Other languages: whoever says this in them is not in character anyway.
    _rule("foreign", r"作[为為]\s?(?:一[个個名位款])?\s?(?:大?型?)?(?:人工智[能慧]|ai|AI|语言模型|語言模型|智能助[手理]|聊天机器人)|我(?:只?是|叫)\s?(?:一[个個名款])?\s?(?:由.{0,12})?(?:人工智[能慧]|ai|语言模型|大语言模型|智能助手|聊天机器人|通义千问|通義千問|qwen|chatgpt|deepseek|文心一言|豆包)|由(?:阿里|百度|腾讯|深度求索|openai).{0,10}(?:开发|研发|训练)"),
    _rule("foreign", r"(?:私|僕|わたし)は.{0,12}?(?:ai|人工知能|言語モデル|チャットボット|アシスタント)|(?:ai|人工知能|言語モデル)(?:として|ですので|なので|であり)"),
    _rule("foreign", r"\b(?:en tant qu['’]?(?:e\s)?(?:ia|assistant|modèle|intelligence artificielle)|als\s(?:ki|künstliche intelligenz|sprachmodell)\b|como\s(?:una?\s)?(?:ia|inteligencia artificial|modelo de lenguaje|asistente virtual)|como\sum[a]?\s(?:ia|modelo de linguagem)|sebagai\s(?:ai|model bahasa)|как\s(?:ии|искусственный интеллект|языковая модель))"),
)  # fmt: skip


# Matched from the start of a sentence into the next one.
ENGLISH_OPENINGS: tuple[tuple[str, re.Pattern[str], Accepts], ...] = (
    _rule("boilerplate", r"\W{0,3}(?:certainly|of course|absolutely|sure(?: thing)?)[!,.]\s(?:here(?:['’]s| is| are)|i['’]?(?:d| would| can|ll) (?:be|help|provide|assist)|let me (?:help|explain|provide|break))"),
)  # fmt: skip


def english_name_rules(names: tuple[str, ...]) -> list[tuple[str, re.Pattern[str], Accepts]]:
    """Return the rules about the character's own names."""
    name = "(?:" + "|".join(map(re.escape, names)) + ")"
    said = (
        r"(?:grinned|smiled|said|says|laughed|shrugged|nodded|replied|answered|tossed|leaned|muttered|smirked|sighed|looked|walked|wiped|picked"
        r"|put|set|raised|scratched|chuckled|winked|pointed|turned|paused|added|asked|explained|whispered|shouted|crossed|rolled|took|threw|stood|sat)"
    )
    return [
        _rule("third_person", rf"\b{name}\swould\s(?:\w+\s){{0,2}}?(?:say|answer|respond|tell|put|reply|think)"),
        _rule("third_person", rf"\b(?:in the (?:style|voice|words|manner) of|as|like)\s{name}\s?(?:would\b|might\b|, (?:i|here)\b|(?=[,:]))", lambda m: not m.group().lower().startswith("like") or "would" in m.group().lower()),
        _rule("third_person", rf"^\W{{0,4}}{name}\W{{0,3}}:\s?\S"),
        _rule("third_person", rf"(?:^|[.!?*]\s?)\W{{0,3}}{name}\s(?:\w+ly\s)?{said}\b"),
        # A stage direction that names the character is a narrator's.
        _rule("third_person", rf"[*\[]\s?{name}\s(?:\w+ly\s)?[a-z]+s\b"),
        _rule("step_out", rf"\bmy\s(?:role|job|task|purpose|goal)(?:\shere)?\sis\sto\s(?:play|be|act\sas|speak\sas|sound\slike|answer\sas)\s{name}\b"),
        _rule("third_person", rf"\b{name}{_AP}s?\s(?:style|voice|tone|way of (?:talking|speaking)|persona|character)\b"),
        _rule("step_out", rf"\bi\s?(?:{_AP}m|am)\snot\s(?:\w+\s){{0,2}}?{name}\b"),
        _rule("step_out", rf"\b(?:role|part|character|persona|guise)\sof\s{name}\b|\b{name}\sis\s(?:\w+\s){{0,2}}?(?:fictional|a (?:character|persona|role)|not real)\b"),
        _rule("step_out", rf"\b(?:playing|portraying|pretending to be|acting as|role-?playing as|impersonating)\s{name}\b"),
    ]  # fmt: skip
