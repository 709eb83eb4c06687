"""A reply is taken apart in place: what is not prose becomes spaces, sentences end where they do."""

from __future__ import annotations

import pytest

from harness.persona.reply_text import NOT_OWN_WORDS, NOT_PROSE, eojeols, lines, mask, regions, sentences

MASKED = [
    ("보기 `code` 끝", "보기        끝", "inline code"),
    ("``a`b`` 끝", "        끝", "two backticks hold one"),
    ("`a ``b` 끝", "        끝", "a run of two does not close one"),
    ("가 `열고 안 닫음", "가 `열고 안 닫음", "an open backtick is none"),
    ("`가\n\n나` 끝", "`가\n\n나` 끝", "code does not span paragraphs"),
    ("앞\n```py\nx = 1\n```\n뒤", "앞\n     \n     \n   \n뒤", "fenced"),
    ("앞\n```\nx", "앞\n   \n ", "an open fence runs to the end, as CommonMark says"),
    ("~~~\n```\n~~~\n뒤", "   \n   \n   \n뒤", "a fence closes with its own mark"),
    ("https://a.kr/b?c=d. 끝", " " * 18 + ". 끝", "the full stop is the sentence's"),
    ("https://a.kr/b에서 봐", " " * 14 + "에서 봐", "a particle is the sentence's"),
    ("example.org/x 참고", " " * 13 + " 참고", "a bare address"),
    ("a.b+c@d-e.org로", " " * 13 + "로", "e-mail"),
    ('값은 {"a": {"b": "}"}} 야', "값은 " + " " * 17 + " 야", "JSON with a brace in a string"),
    ("{오늘} {a: 1}", "{오늘} {a: 1}", "braces that are no JSON"),
    ('{"a": 1', '{"a": 1', "JSON that is never closed"),
    ('<tool_call>{"name": 1}</tool_call>끝', " " * 34 + "끝", "a call between tags"),
    ("<tool_call>열고", " " * 13, "an open call"),
]


@pytest.mark.parametrize(("text", "expected", "why"), MASKED)
def test_masks_what_is_not_prose(text: str, expected: str, why: str) -> None:
    assert mask(text) == expected, why


QUOTED = [
    ('그는 "갑니다"라고 했다.', "그는 " + " " * 5 + "라고 했다.", "straight marks, a particle written on"),
    ("‘그만’과 “더”", "    과    ", "typographic marks"),
    ("『책』과 「글」", "   과    ", "corner brackets"),
    ("don't stop, it's fine", "don't stop, it's fine", "apostrophes are no marks"),
    ("she said 'no way' twice", "she said          twice", "single marks in English"),
    ("it’s ‘don’t’ again", "it’s         again", "an apostrophe within single marks"),
    ("5'10\" tall and 6'2\"", "5'10\" tall and 6'2\"", "feet and inches"),
    ("> 인용한 줄\n내 줄", "      \n내 줄".replace("      ", " " * 7), "a quoted line"),
    ('"전부 다 따옴표야."', '"전부 다 따옴표야."', "a reply that is one quotation is the speaker's own"),
    ('그는 "열고\n\n다음 "문단"', '그는 "열고\n\n다음     ', "an open mark ends with its paragraph"),
]


@pytest.mark.parametrize(("text", "expected", "why"), QUOTED)
def test_masks_quotations(text: str, expected: str, why: str) -> None:
    assert mask(text, NOT_OWN_WORDS) == expected, why


@pytest.mark.parametrize("text", ['가"0`0`0"', "> 인용 `하나\n둘` 셋", '{"a": "`가`"} 나'])
def test_regions_lie_apart_also_where_one_holds_another(text: str) -> None:
    ends = 0
    for region in regions(text, NOT_OWN_WORDS):
        start, end = region.span
        assert ends <= start < end
        ends = end
    assert len(mask(text, NOT_OWN_WORDS)) == len(text)


def test_regions_name_what_they_are() -> None:
    text = '`c` {"a": 1} https://a.kr b@c.kr "인용" 끝'
    kinds = [(region.kind, text[slice(*region.span)]) for region in regions(text, NOT_OWN_WORDS)]
    assert kinds == [
        ("code", "`c`"),
        ("json", '{"a": 1}'),
        ("url", "https://a.kr"),
        ("email", "b@c.kr"),
        ("quote", '"인용"'),
    ]
    assert {region.kind for region in regions(text, NOT_PROSE)} == {"code", "json", "url", "email"}


SENTENCES = [
    ("가자. 그래! 정말?", ["가자.", "그래!", "정말?"], "three marks"),
    (
        "값은 3.5볼트야. Node.js는 2.0이야.",
        ["값은 3.5볼트야.", "Node.js는 2.0이야."],
        "points within numbers and names",
    ),
    ("갔어.그래서 왔어.", ["갔어.", "그래서 왔어."], "no space after a full stop"),
    ("정말?! 응...", ["정말?!", "응..."], "runs of marks"),
    ("1. 물을 끓여요.\n2. 면을 넣어요.", ["1. 물을 끓여요.", "2. 면을 넣어요."], "list numbers end nothing"),
    (
        "Mr. Kim and Dr. Lee left. Then e.g. me.",
        ["Mr. Kim and Dr. Lee left.", "Then e.g. me."],
        "abbreviations",
    ),
    ('"빨리 와!" 하고 불렀다.', ['"빨리 와!" 하고 불렀다.'], "a mark within a quotation that goes on"),
    ("좋네요~ 내일 봐 3~4시", ["좋네요~", "내일 봐 3~4시"], "tilde"),
    ("ㅋㅋ 웃겨 ㅠㅠ 슬퍼", ["웃겨 ㅠㅠ", "슬퍼"], "laughter alone is no sentence"),
    ("축하해 🎉🎉 최고야", ["축하해 🎉🎉", "최고야"], "emoji"),
    ("시간:3시 반", ["시간:3시 반"], "a colon and a digit are no face"),
    ("첫 줄\r\n둘째 줄\u2028셋째", ["첫 줄", "둘째 줄", "셋째"], "line separators"),
    ("!!! ... 🔥", [], "nothing said"),
]


@pytest.mark.parametrize(("text", "expected", "why"), SENTENCES)
def test_finds_sentences(text: str, expected: list[str], why: str) -> None:
    assert [text[slice(*sentence.span)] for sentence in sentences(text)] == expected, why


def test_lines_and_eojeols_have_spans() -> None:
    text = "가 나\n \n\t다라 "
    assert [text[slice(*span)] for span in lines(text)] == ["가 나", "\t다라 "]
    assert [text[slice(*span)] for span in eojeols(text)] == ["가", "나", "다라"]
