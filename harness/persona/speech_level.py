"""At which speech level a reply's sentences end, and whether it keeps to the levels of its card.

Korean marks the level at the end of every sentence (합쇼체, 해요체, 해체, 해라체, 하오체, 하게체). English has no such
endings: there the register is told by contractions and set phrases (`english_register`). An analyser says the level of one
clause; two exist, one on the morphemes that Kiwi finds and one on the letters alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol

from harness.persona.check import CheckResult, evidence_at, first_evidence
from harness.persona.regions import NOT_OWN_WORDS, MaskKind, blanked
from harness.persona.reply_text import HANGUL, Sentence, mask, nfc, sentences
from harness.types import Span

if TYPE_CHECKING:
    from harness.persona.card import PersonaCard, SpeechLevels

VERSION = "1"

Level = Literal["hapsyo", "haeyo", "hae", "plain", "hao", "hage", "casual", "formal", "fragment"]

MIN_COVERAGE = 0.5
"""With fewer than this share of its sentences scored, a reply's level cannot be told."""

_TAIL = 120
"""A level is marked at the end: of a longer clause only this many characters are read."""

_HEADING = re.compile(r"[ \t]{0,3}#{1,6}\s")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•·▪●○◦‣]|\(?\d{1,3}[.)])\s+")
_PARENTHESIS_AT_END = re.compile(r"[(\[（][^()\[\]（）]*[)\]）]\W*$")
_HANGUL = re.compile(f"[{HANGUL}]")
_WORD = re.compile(r"[^\W_\u3131-\u318e]")
_QUESTION = re.compile(r"[?？]")
# After these a sentence may go on without a full stop (chat) or with a comma, but what follows has an ending of its own.
_POLITE_END = re.compile(
    r"(?:[가-힣](?:습|입|합|됩|옵|갑|십|봅|줍|집|킵|립|답|랍|십|쉽|옵)니[다까]|[가-힣](?:니다|십시오)"
    r"|[가-힣](?:[아어여해와워봐줘돼셔져려켜네죠지데든까게래대예에](?:요))|(?:[아어해와워봐줘돼네세까게래대예에데든]요|세요|[가-힣]죠))"
    r"(?P<mark>[,，]?\s+|,)(?!(?:이?라|하)(?:고|는|며|면서|던)|고 |는 말|라는|뭐(?:\W|$))"
)

_DRAFT = r"(?:메일|이메일|문자|메시지|편지|초안|답장|답변|문구|예문|예시|카톡|공지|사과문|자기소개|댓글|대본|멘트|인사말|안내문|신청서|후기|제목)"
# "메일은 이렇게 써:" and then, in a paragraph of its own, what somebody else will read.
_ANNOUNCED = re.compile(
    rf"^(?=[^\n]{{1,200}}$)(?:[^\n]*{_DRAFT}[^\n]*[:：]|[^\n]*(?:이렇게|이런\s식으로|이대로|다음처럼|아래처럼)\s?(?:\S{{1,6}}\s)?(?:써|쓰|적|보내|말)[^\n]{{0,12}}[:：]"
    rf"|[^\n]*{_DRAFT}[^\n]*(?:이렇게|이런\s식으로|이대로|다음처럼|아래처럼)[^\n]{{0,16}}\n[ \t]*)$(?:\n[ \t]*$)*\n(?P<draft>(?:[^\n]*\S[^\n]*(?:\n|\Z))+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelGuess:
    """The level of one clause. `fragment`: there is no predicate, or none that shows a level.

    `also`: levels with the same letters ("먼저 가네" may be 하게체 or 해체). `open`: by its form the clause may go on (a
    connective ending), so that it is a sentence of its own only where it really ends.
    """

    level: Level
    also: frozenset[Level] = frozenset()
    open: bool = False


class SpeechLevelAnalyser(Protocol):
    """Says the level of clauses. Deterministic; `identity` names it with its version, as part of a metric's identity."""

    @property
    def identity(self) -> str: ...

    def levels(self, clauses: Sequence[str]) -> list[LevelGuess]:
        """Return one guess a clause. A clause is at most a few hundred characters of any text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSentence:
    """A sentence of the reply, where it stands, and its level."""

    span: Span
    guess: LevelGuess


def default_analyser() -> SpeechLevelAnalyser:
    """Return the Kiwi analyser where Kiwi is installed, else the rule. `identity` says which."""
    from harness.persona.speech_level_kiwi import kiwi_analyser
    from harness.persona.speech_level_rule import RuleAnalyser

    return kiwi_analyser() or RuleAnalyser()


def check_speech_level(reply: str, card: PersonaCard, analyser: SpeechLevelAnalyser) -> CheckResult:
    """Return whether the reply keeps to the card's speech levels.

    values: `adherence` scored sentences at an allowed level / scored sentences; `purity` the share of the most frequent
    level; `switches` changes between allowed and other levels from one scored sentence to the next; `coverage` scored
    sentences / sentences; `sentences`. Passes with enough adherence and few enough switches. Cannot be told where
    nothing is scored, or, in Korean, where coverage is below MIN_COVERAGE.
    """
    spec = card.speech_levels
    if spec is None:
        return CheckResult(check="speech_level", passed=None, why_not="the card names no speech level")
    if card.language.code == "ko":
        found = scored_sentences(reply, analyser, _skipped(spec))
        return _result(reply, found, spec, MIN_COVERAGE)
    from harness.persona.english_register import register_sentences

    # Most English sentences show no register, so a low coverage says nothing.
    return _result(reply, register_sentences(reply, _skipped(spec)), spec, 0.0)


def scored_sentences(
    reply: str, analyser: SpeechLevelAnalyser, skipped: frozenset[MaskKind] = NOT_OWN_WORDS
) -> list[ScoredSentence]:
    """Return the Korean sentences of the reply with their levels, without what `skipped` names, headings and labels.

    With quotations goes the paragraph that a line announces as somebody's mail, message or the like.
    """
    text = mask(reply, skipped)
    if "quote" in skipped:
        text = blanked(text, [match.span("draft") for match in _ANNOUNCED.finditer(text)])
    found = [
        (sentence, clause)
        for sentence in _clauses(text)
        if (clause := clause_text(_end_of(text, sentence.span)))
    ]
    # A loop says the same clause ten thousand times: it is analysed once.
    each = list(dict.fromkeys(clause for _, clause in found))
    level = dict(zip(each, analyser.levels(each), strict=True))
    guesses = [level[clause] for _, clause in found]
    result: list[ScoredSentence] = []
    for place, ((sentence, _), guess) in enumerate(zip(found, guesses, strict=True)):
        last = place + 1 == len(found)
        if guess.open and sentence.end != "stop":
            # "비가 와서... 못 갔어": what a connective ending leaves open goes on in the next clause; with dots at the
            # very end it trails off and shows no level.
            if not last:
                continue
            if reply[sentence.span[0] : sentence.span[1]].rstrip().endswith(("…", "..")):
                guess = LevelGuess(level="fragment")
        result.append(ScoredSentence(span=sentence.span, guess=guess))
    return result


def level_of(text: str, analyser: SpeechLevelAnalyser) -> Level:
    """Return the level at which a text ends: that of its last scored sentence, `fragment` if there is none."""
    scored = [one.guess.level for one in scored_sentences(text, analyser) if one.guess.level != "fragment"]
    return scored[-1] if scored else "fragment"


def clause_text(text: str) -> str:
    """Return what an analyser reads of a clause: its tail, composed, without brackets, marks and laughter at its end.

    Ends with `?` where the clause asks, else with nothing. Empty where there is no word.
    """
    tail = nfc(text).encode("utf-8", "replace").decode("utf-8")
    asks = bool(_QUESTION.search(tail[-12:]))
    for _ in range(3):
        if tail.rstrip(" .!?…~").endswith((")", "]", "）")):
            tail = _PARENTHESIS_AT_END.sub("", tail)
        tail = tail[: _word_end(tail)]
    if len(tail) > _TAIL:
        tail = tail[-_TAIL:]
        tail = tail[tail.find(" ") + 1 :]
    return f"{tail}?" if tail and asks else tail


def _end_of(text: str, span: Span) -> str:
    """Return the end of a clause, without the mark of a list item before it."""
    start, end = span
    item = _LIST_ITEM.match(text, start, end)
    return text[max(item.end() if item else start, end - 4 * _TAIL) : end]


def _word_end(text: str) -> int:
    """Return where the last word ends; letters of laughter are no word."""
    return next((place for place in range(len(text), 0, -1) if _WORD.match(text[place - 1])), 0)


def _skipped(spec: SpeechLevels) -> frozenset[MaskKind]:
    kinds: set[MaskKind] = {"json", "url", "email"}
    if "quotes" in spec.skip:
        kinds.add("quote")
    if "code" in spec.skip:
        kinds.add("code")
    return frozenset(kinds)


def _clauses(text: str) -> Iterator[Sentence]:
    for sentence in sentences(text):
        start, end = sentence.span
        if _HEADING.match(text, start, end) or not _HANGUL.search(text, start, end):
            continue
        for match in _POLITE_END.finditer(text, start, end):
            cut = match.start("mark")
            if _HANGUL.search(text, match.end(), end):
                yield Sentence(span=(start, cut), end="soft")
                start = match.end()
        yield Sentence(span=(start, end), end=sentence.end)


def _result(
    reply: str, found: Sequence[ScoredSentence], spec: SpeechLevels, least_coverage: float
) -> CheckResult:
    scored = [one for one in found if one.guess.level != "fragment"]
    coverage = len(scored) / len(found) if found else 0.0
    if not scored or coverage < least_coverage:
        return CheckResult(
            check="speech_level",
            passed=None,
            values={"coverage": coverage, "sentences": float(len(found))},
            why_not=f"{len(scored)} of {len(found)} sentences show a level",
        )
    allowed = frozenset(spec.allowed)
    levels = _settled([one.guess for one in scored], allowed)
    kept = [level in allowed for level in levels]
    adherence = sum(kept) / len(kept)
    switches = sum(before != after for before, after in pairwise(kept))
    return CheckResult(
        check="speech_level",
        passed=adherence >= spec.min_adherence and switches <= spec.max_switches,
        values={
            "adherence": adherence,
            "purity": max(Counter(levels).values()) / len(levels),
            "switches": float(switches),
            "coverage": coverage,
            "sentences": float(len(found)),
        },
        evidence=first_evidence(
            evidence_at(reply, one.span, f"{level}, allowed: {', '.join(spec.allowed)}")
            for one, level, fits in zip(scored, levels, kept, strict=True)
            if not fits
        ),
    )


def _settled(guesses: Sequence[LevelGuess], allowed: frozenset[str]) -> list[Level]:
    """Return one level a sentence: where the letters leave several, an allowed one, and the one used elsewhere."""
    sure = Counter(guess.level for guess in guesses if not guess.also)
    levels: list[Level] = []
    for guess in guesses:
        choices = sorted(
            {guess.level} | guess.also,
            key=lambda level: (level not in allowed, -sure[level], level != guess.level, level),
        )
        levels.append(choices[0])
    return levels
