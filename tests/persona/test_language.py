"""Wrong-language text is seen by its script and its function words; technical English and citations are not punished."""

from __future__ import annotations

import pytest

from harness.persona.card import Language
from harness.persona.gold import measure_scripts
from harness.persona.language import check_language, language_leaks
from tests.persona.persona_texts import PERSONAS, card_with, gold, replies_of


def test_gold_cases() -> None:
    found = measure_scripts(gold("scripts"))
    assert found.accuracy.n == 60
    assert found.misses == ()


CASES = [
    ("ko", "그건 Docker Compose로 띄우고 healthcheck를 걸어.", [], "technical words with particles"),
    ("ko", "오늘은 어제보다 3°C 낮고 습도는 40%야.", [], "signs"),
    ("ko", "α파와 β파, 그리고 ΔT를 재면 돼.", [], "lone Greek letters"),
    ("ko", "Let me see, 그건 좀 어렵겠는데 내일 다시 볼게.", [], "three words of English"),
    ("ko", "I have no idea what you are talking about, 그래도 해 볼게.", ["latin"], "an English clause"),
    ("ko", "I am Iron Man.", ["latin"], "too short for a language detector"),
    ("ko", "결론부터 말할게. It is what it is. 그래도 밥은 먹어. 그다음엔 자고 내일 다시 생각하면 돼.", ["latin"], "one sentence"),
    ("ko", "- Docker\n- Kubernetes\n- Terraform\n셋 다 처음엔 어렵지만 하루면 손에 익어.", [], "names in a list"),
    ("ko", "Sure.", ["latin"], "a short reply in English"),
    ("ko", "오케이, 그럼 시작해 보자.", [], "a loan word"),
    ("ko", "서버가 죽으면 重启就好了。 그러면 살아나.", ["han"], "a Chinese clause"),
    ("ko", "그 사람은 大人배야.", ["han"], "one eojeol"),
    ("ko", "한글에 ﾊﾛｰ 섞기", ["kana"], "half width"),
    ("ko", "값은 ＡＢＣ 중 하나야, 골라 봐.", [], "full width Latin"),
    ("ko", "그건 მარტივი 문제야.", ["georgian"], "a script without a name here"),
    ("ko", "한\u1100\u1161국어는 쉬워.", [], "conjoining letters are Hangul"),
    ("ko", "\U00020000 자를 아세요?", ["han"], "outside the basic plane"),
    ("ko", "제목은 “The Wind Rises and we must try to live”예요.", [], "a quotation"),
    ("ko", "`先打开终端` 하고 쳐 봐.", [], "code"),
    ("en", "He left his jacket at the café on Señor Muñoz Street.", [], "names with accents"),
    ("en", "Je ne sais pas ce que tu veux dire par là.", ["latin"], "French"),
    ("en", "Ich weiß nicht, was das ist, und du auch nicht.", ["latin"], "German"),
    ("en", "It's a de facto standard, la la la, et al.", [], "borrowed words"),
    ("en", "Que sera sera, as they say.", [], "one function word of Spanish"),
    ("en", "Try git rebase -i HEAD~3 and read the docs.", [], "a command"),
    ("en", "안녕 there, buddy.", ["hangul"], "a word in Hangul"),
    ("en", "The file is called 報告.", ["han"], "a word in Han"),
    ("en", "Measure it in µs, not in Ω.", [], "signs"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "scripts", "why"), CASES)
def test_sees_other_languages(code: str, text: str, scripts: list[str], why: str) -> None:
    assert sorted({leak.script for leak in language_leaks(text, Language(code=code))}) == scripts, why


def test_verdict_and_leaks_agree_on_the_gold_cases() -> None:
    for record in gold("scripts"):
        base = "founder_en" if record["language"] == "en" else "founder_ko"
        language = {"allow_terms": record["allow_terms"], "han_in_parentheses": record["han_in_parentheses"]}
        found = check_language(record["text"], card_with(base, language=language))
        assert found.passed is record["pass"], record
        assert bool(found.evidence) is not record["pass"]
        assert all(record["text"][slice(*one.span)] for one in found.evidence if one.span)


def test_values_of_technical_and_of_leaking_replies() -> None:
    card = card_with("founder_ko", language={"allow_terms": []})
    technical = check_language("그건 machine learning pipeline을 deploy하면 바로 풀리는 문제야.", card)
    assert technical.passed
    assert technical.values["eojeol_ratio"] == pytest.approx(6 / 8)
    assert technical.values["unlisted_latin"] == pytest.approx(2 / 8)
    leaking = check_language("그 문제는 非常简单 합니다.", card)
    assert leaking.values["han_leak"] == 1
    assert leaking.values["other_script"] == 0
    assert check_language("그건 просто 쉬워.", card).values["other_script"] == 1


def test_options_of_the_card() -> None:
    word = "그건 pipeline이 아니라 workflow 문제야, 둘은 다르거든."
    assert check_language(word, card_with("founder_ko")).passed
    strict = card_with("founder_ko", language={"allow_technical_latin": False})
    assert check_language(word, strict).passed is False
    assert check_language("Wi-Fi 비번은 USB 옆에 붙여 놨어.", strict).passed, "allowed terms"
    quoted = '간판에 "今天休息"라고 적혀 있었어.'
    assert check_language(quoted, card_with("founder_ko")).passed
    assert (
        check_language(quoted, card_with("founder_ko", language={"allow_in_quotes": False})).passed is False
    )
    annotated = card_with("founder_ko", language={"han_in_parentheses": True})
    assert check_language("판소리(板蘇里)는 길어.", annotated).passed
    clause = "판소리(因为服务器重启了所以不行)는 길어."
    assert check_language(clause, annotated).passed is False, "more characters than syllables"


def test_a_word_that_was_asked_for_may_be_cited_and_no_clause() -> None:
    card = card_with("founder_en")
    question = 'What does the Korean word "nunchi" mean?'
    reply = "Reading a room without a schematic. 눈치, they write it."
    assert check_language(reply, card, question).passed
    assert check_language(reply, card).passed is False
    assert check_language("눈치는 방의 분위기를 읽는 거야.", card, question).passed is False
    assert check_language(reply, card, "What is a fuse?").passed is False
    clause = "They say 눈치 참 없네 when you miss the whole room."
    assert check_language(clause, card, question).passed is False


@pytest.mark.parametrize("reply", ["", "😎🔥", ":", "1,947", "```\nx = 1\n```"])
def test_without_a_word_the_language_cannot_be_told(reply: str) -> None:
    found = check_language(reply, card_with("founder_ko"))
    assert found.passed is None
    assert found.why_not


NOT_ENGLISH = (
    "Nie wiem, co masz na myśli, ale spróbuj jeszcze raz jutro rano.",
    "To jest dobry pomysl, a ja to zrobie jutro.",
    "Bugün hava çok güzel, dışarı çıkıp biraz yürüyelim mi?",
    "Hôm nay trời đẹp quá, chúng ta đi ăn phở nhé.",
    "Jag vet inte vad du menar, men prova igen i morgon.",
    "En tiedä mitä tarkoitat, mutta yritä huomenna uudestaan.",
    "Nu știu ce vrei să spui, dar încearcă din nou mâine.",
    "Nem tudom, mire gondolsz, de holnap próbáld újra.",
    "Aku belum tahu maksudmu, coba lagi besok pagi ya.",
    "Annyeonghaseyo, oneul nalssiga jeongmal joayo, gachi sanchaekhaeyo.",
    "Gallia omnis divisa in partes tres, quarum unam incolunt Belgae.",
    "Claro que puedes, amigo, mañana probamos.",
    "D'accord, mon ami, demain matin.",
    "Va bene, domani mattina proviamo insieme.",
    "asdf jkl qwer zxcv uiop hjkl",
    "Tot ziens, morgen weer verder praten.",
    "Det er ikke sant, vi ses i morgen.",
    "Ano, zítra ráno přijdu.",
    "Lorem ipsum dolor sit amet consectetur adipiscing elit.",
    "Sí, mañana.",
    "Très bien, merci.",
    "Unang araw pa lang, pagod na ako sa trabaho.",
)

TERSE_ENGLISH = (
    "Buy noodles. Boil water. Eat fast.",
    "Nope. Two eggs, one pan, five minutes.",
    "Soup. Hot soup. Go.",
    "Hot take: noodles beat bread, every time.",
    "Reboot router, wait ten seconds, try again.",
    "Salt, pepper, garlic, butter. Done.",
    "Dead battery. Swap batteries, problem gone.",
    "Sleep first. Code later. Ship Friday.",
    "Check fuse, swap fuse, win.",
    "Nice try, rookie.",
    "The café does a decent jalapeño toast, so go there.",
    "Tell Zoë and José dinner moved.",
    "git push origin main, then relax.",
    "Cold start? Warm hands, warm board, warm heart.",
    "Wow, big news! Congrats, champ!",
    "Yeah, yeah, Monday hurts. Drink coffee, send email, survive.",
    "Wear boots.",
)

TECHNICAL_KOREAN = (
    ("Ctrl+C 눌러.", None),
    ("pip install numpy pandas scikit-learn 하면 돼.", None),
    ("iPhone 15 Pro Max 사.", None),
    ("New York Times 앱 깔아.", None),
    ("Could you send me the file? 이렇게 써.", "파일 보내달라고 영어로 어떻게 써?"),
    ("Alt+F4 누르고 다시 켜.", None),
    ("docker compose up 치면 끝나.", None),
    ("Google Docs 열어.", None),
    ("Galaxy S24 Ultra 봐.", None),
    ("Visual Studio Code 깔고 시작해.", None),
    ("I am running late, sorry about that. 이 정도면 충분해.", "늦는다고 영어로 뭐라고 해?"),
    ("npm run build 돌려.", None),
    ("Red Hot Chili Peppers 들어.", None),
    ("Game of Thrones 봐.", None),
    ("The Beatles 틀어.", None),
)

ENGLISH_FOR_KOREAN = (
    ("It works 그래.", None),
    ("You should sleep now 알았지?", None),
    ("정리하면:\n- Check the cable\n- Restart the router\n- Call support", None),
    ("요약:\n- Buy eggs\n- Boil water\n- Add salt\n- Eat well", None),
    ("- Keep it simple\n- Test early\n- Ship often\n알겠지?", None),
    ("Sure, I will only speak English from now on.", "이제부터 영어로만 대답해."),
    ("Okay, English it is. 좋아.", "이제부터 영어로만 대답해."),
    ("I think you should go home now 그렇지?", None),
    ("That is a great idea my friend. 그래.", None),
)


@pytest.mark.parametrize("reply", NOT_ENGLISH)
def test_another_language_in_latin_letters_is_not_english(reply: str) -> None:
    assert check_language(reply, card_with("founder_en")).passed is False


@pytest.mark.parametrize("reply", TERSE_ENGLISH)
def test_english_without_function_words_is_english(reply: str) -> None:
    assert check_language(reply, card_with("founder_en")).passed


@pytest.mark.parametrize(("reply", "question"), TECHNICAL_KOREAN)
def test_names_commands_and_english_asked_for_are_no_leak(reply: str, question: str | None) -> None:
    found = check_language(reply, card_with("founder_ko"), question)
    assert found.passed, found.evidence


@pytest.mark.parametrize(("reply", "question"), ENGLISH_FOR_KOREAN)
def test_english_instead_of_korean_is_a_leak(reply: str, question: str | None) -> None:
    assert check_language(reply, card_with("founder_ko"), question).passed is False


@pytest.mark.parametrize("kind", ["persona", "neutral_formal", "neutral_same"])
@pytest.mark.parametrize("persona", PERSONAS)
def test_written_replies_are_in_their_language(persona: str, kind: str) -> None:
    for split in ("train", "validation", "test"):
        for question, reply in replies_of(persona, split, kind):
            found = check_language(reply, card_with(persona), question)
            assert found.passed, (question, reply, found.evidence)
