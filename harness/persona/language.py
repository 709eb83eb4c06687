"""Whether a reply keeps to its language: by the script of its letters, line by line, and by function words.

A language detector sees neither a Chinese clause within a Korean sentence (it says Korean, surely) nor that technical
English within Hangul sentences is no other language. The script sees both. Share of lines: Korean eojeols count whole
("deploy하면" is Korean), since by characters a sentence about technology would be English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from harness.persona.check import CheckResult, Evidence, evidence_at, first_evidence
from harness.persona.function_words import english_and_other, is_english
from harness.persona.regions import NOT_OWN_WORDS, NOT_PROSE, blanked
from harness.persona.reply_text import HANGUL, eojeols, has_hangul, lines, mask, sentences
from harness.persona.scripts import scripts_in
from harness.types import Span

if TYPE_CHECKING:
    from harness.persona.card import Language, PersonaCard

VERSION = "1"

_LINE_EOJEOLS = 4
"""Shorter lines (labels, names in a list) are judged with the reply as a whole, not alone."""
_CITED_LETTERS = 12
_CITED_EOJEOLS = 2

_LONGEST = 20_000
"""Of a longer reply the beginning tells whether it is English."""

_REQUIRED = {"ko": "hangul", "en": "latin"}
_HAN_IN_BRACKETS = re.compile("[(（\\[]([\u2e80-\u2fdf\u3400-\u9fff\uf900-\ufaff\u00b7・, ]{1,24})[)）\\]]")
_KOREAN_BEFORE = re.compile(f"(?:[{HANGUL}]{{1,12}} )?[{HANGUL}]{{1,12}}$")
_HAN = re.compile("[\u2e80-\u2fdf\u3005\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’-][A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)*")
_ACRONYM = re.compile(r"(?:[A-Z][A-Z&/.-]{0,6}s?|[A-Za-z])[+-]?")
_ENGLISH_WANTED = re.compile(
    r"(?:영어|영문|english)(?:로|으로|로는)?\s?(?:어떻게|뭐|뭔|무엇|무슨|써|쓰|적|표현|번역|옮|바꿔|바꾸|고쳐|하면|단어|문장|표현|이름|메일|이메일|인사)"
    r"|영작|영어\s?(?:단어|문장|표현|이름)|(?:how|what)\b.{0,40}\bin english\b|translate\b.{0,40}\benglish",
    re.IGNORECASE,
)
_TECHNICAL_WORDS = 6
"""A longer stretch in Latin script is no name and no command within a Korean line."""
_IN_NAMES = frozenset(
    {"the", "of", "and", "for", "in", "on", "to", "a", "up", "down", "out", "off", "all", "with"}
)
_LINKING_WORDS = 2
"""Function words that names and commands have ("Game of Thrones", "docker compose up"), and how many of them at most."""
_LANGUAGE_NAMES = (
    (re.compile(r"korean|hangul|한국어|한국말|한글|우리말", re.IGNORECASE), ("hangul",)),
    (re.compile(r"chinese|mandarin|hanja|중국어|한자|사자성어", re.IGNORECASE), ("han",)),
    (re.compile(r"japanese|kanji|kana|일본어|일본말|가나", re.IGNORECASE), ("kana", "han")),
    (re.compile(r"russian|cyrillic|러시아어|키릴", re.IGNORECASE), ("cyrillic",)),
    (re.compile(r"greek|그리스", re.IGNORECASE), ("greek",)),
    (re.compile(r"arabic|아랍", re.IGNORECASE), ("arabic",)),
    (re.compile(r"hebrew|히브리", re.IGNORECASE), ("hebrew",)),
    (re.compile(r"thai|타이어|태국", re.IGNORECASE), ("thai",)),
    (re.compile(r"hindi|sanskrit|devanagari|힌디|산스크리트", re.IGNORECASE), ("devanagari",)),
)


class Leak(NamedTuple):
    """A stretch of the reply in a script, or by its words a language, that the card does not allow."""

    script: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What a line's eojeols are: in the required script, or foreign; those without a letter count as neither."""

    span: Span
    required: int
    foreign: int
    words: tuple[Span, ...]
    """Eojeols of the other script alone that are no acronym: what `unlisted_latin` counts."""
    technical: int = 0
    """How many of the foreign ones are names and commands within a line in the required script, so no other language."""

    @property
    def scored(self) -> int:
        return self.required + self.foreign

    @property
    def judged(self) -> int:
        return self.scored - self.technical

    def ratio(self) -> float:
        return self.required / self.judged if self.judged else 1.0


def check_language(reply: str, card: PersonaCard, question: str | None = None) -> CheckResult:
    """Return whether the reply is in the card's language.

    Fails on any letter of a foreign script, on a line or the whole reply with fewer eojeols of the required script than
    the card asks for, and on a clause whose function words are another language's. Not counted: code, JSON, addresses,
    the card's allowed terms, quotations and brackets where the card says so, and a word of a language that the question
    names ("What does the Korean word ... mean?"). values: `eojeol_ratio`, `line_share` (of lines), `unlisted_latin`
    (share of eojeols), `han_leak`, `other_script`, `foreign_clause`, `low_ratio` (1 or 0, so their means are rates).
    """
    spec = card.language
    text = _scanned_text(reply, spec)
    wanted = _english_wanted(text, spec, question)
    found = [_line(text, span, _REQUIRED[spec.code], wanted=wanted) for span in lines(text)]
    required, foreign = sum(line.required for line in found), sum(line.foreign for line in found)
    script_leaks = list(_foreign_scripts(text, _REQUIRED[spec.code], question))
    if not required + foreign and not script_leaks:
        return CheckResult(
            check="language",
            passed=None,
            why_not="no word outside code, addresses and quotations tells a language",
        )
    clauses = [] if wanted else list(_foreign_clauses(text, spec.code))
    low = list(_low_ratio(found, spec.min_eojeol_ratio))
    words = [span for line in found for span in line.words] if spec.code == "ko" else []
    problems = [*_evidence(reply, script_leaks, clauses, low, spec)]
    if not spec.allow_technical_latin and words:
        problems += (evidence_at(reply, span, "a foreign word that the card does not list") for span in words)
    long_lines = [line for line in found if line.scored >= _LINE_EOJEOLS]
    good = sum(line.ratio() >= spec.min_eojeol_ratio for line in long_lines)
    return CheckResult(
        check="language",
        passed=not problems,
        values={
            "eojeol_ratio": required / (required + foreign) if required + foreign else 0.0,
            "line_share": good / len(long_lines) if long_lines else float(not low),
            "unlisted_latin": len(words) / (required + foreign) if required + foreign else 0.0,
            "han_leak": float(any(leak.script == "han" for leak in script_leaks)),
            "other_script": float(any(leak.script != "han" for leak in script_leaks)),
            "foreign_clause": float(bool(clauses)),
            "low_ratio": float(bool(low)),
        },
        evidence=first_evidence(problems),
    )


def language_leaks(reply: str, spec: Language, question: str | None = None) -> tuple[Leak, ...]:
    """Return every leak of the reply, in order. Words of another language in the required script are `latin`."""
    text = _scanned_text(reply, spec)
    required = _REQUIRED[spec.code]
    leaks = list(_foreign_scripts(text, required, question))
    if _english_wanted(text, spec, question):
        return tuple(sorted(leaks, key=lambda leak: leak.span))
    leaks += _foreign_clauses(text, spec.code)
    if spec.code == "ko":
        found = [_line(text, span, required) for span in lines(text)]
        leaks += (Leak("latin", line.span) for line in _low_ratio(found, spec.min_eojeol_ratio) if line.words)
    return tuple(sorted(leaks, key=lambda leak: leak.span))


def _english_wanted(text: str, spec: Language, question: str | None) -> bool:
    """Return whether the question asks for words in English, and the reply gives them within its own language."""
    return (
        spec.code == "ko"
        and question is not None
        and has_hangul(text)
        and _ENGLISH_WANTED.search(question[:_LONGEST]) is not None
    )


def _scanned_text(reply: str, spec: Language) -> str:
    text = mask(reply, NOT_OWN_WORDS if spec.allow_in_quotes else NOT_PROSE)
    if spec.allow_terms:
        text = blanked(text, (match.span() for match in _terms(spec.allow_terms).finditer(text)))
    if spec.han_in_parentheses:
        text = blanked(text, (match.span(1) for match in _HAN_IN_BRACKETS.finditer(text) if _spells(match)))
    return text


@lru_cache(maxsize=64)
def _terms(terms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted({term.strip() for term in terms}, key=lambda term: (-len(term), term))
    each = "|".join(re.escape(term) for term in longest_first)
    # A Latin term is a whole word ("IP" is not in "SHIP"); a Korean particle may follow it.
    return re.compile(f"(?<![A-Za-z0-9])(?:{each})(?![A-Za-z])", re.IGNORECASE)


def _spells(match: re.Match[str]) -> bool:
    """Return whether the brackets can hold the characters of the word before: not more than it has syllables."""
    before = _KOREAN_BEFORE.search(match.string[max(0, match.start() - 25) : match.start()])
    syllables = len(before.group().replace(" ", "")) if before else 0
    return len(_HAN.findall(match.group(1))) <= syllables


def _line(text: str, span: Span, required: str, *, wanted: bool = False) -> _Line:
    start, end = span
    has_required = required != "hangul" or has_hangul(text[start:end])
    counts = {True: 0, False: 0}
    words: list[Span] = []
    for left, right in eojeols(text[start:end]):
        token = text[start + left : start + right]
        scripts = scripts_in(token)
        if not scripts:
            continue
        if required not in scripts and has_required and _is_sign(token):
            # TCP, 5V, A+ within a Korean line are signs rather than words.
            continue
        counts[required in scripts] += 1
        if required not in scripts and "latin" in scripts:
            words.append((start + left, start + right))
    technical = 0
    if wanted:
        technical = len(words)
    elif required == "hangul" and counts[True]:
        technical = sum(len(run) for run in _runs(text, words) if _is_technical(text, run))
    return _Line(
        span=span, required=counts[True], foreign=counts[False], words=tuple(words), technical=technical
    )


def _runs(text: str, words: list[Span]) -> Iterator[list[Span]]:
    """Yield the foreign words of a line in runs that no Hangul interrupts."""
    run: list[Span] = []
    for word in words:
        if run and has_hangul(text[run[-1][1] : word[0]]):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _is_technical(text: str, run: list[Span]) -> bool:
    """Return whether a stretch is names or a command: short, and without pronouns, auxiliaries and the like."""
    stretch = text[run[0][0] : run[-1][1]]
    linking = sum(word.lower() in _IN_NAMES for word in _LATIN_WORD.findall(stretch))
    return (
        len(run) <= _TECHNICAL_WORDS
        and linking <= _LINKING_WORDS
        and sum(english_and_other(stretch)) <= linking
    )


def _is_sign(token: str) -> bool:
    bare = token.strip(".,:;!?()[]{}<>\"'“”‘’*_~%-–—/")
    return not bare or any(letter.isdigit() for letter in bare) or _ACRONYM.fullmatch(bare) is not None


def _low_ratio(found: list[_Line], least: float) -> Iterator[_Line]:
    """Yield the lines with too few eojeols of the required script, the last standing for the reply as a whole."""
    low = [line for line in found if line.scored >= _LINE_EOJEOLS and line.ratio() < least]
    yield from low
    # Short lines with none of the required script are labels, unless they outnumber everything else.
    labels = sum(line.judged for line in found if not line.required and line.scored < _LINE_EOJEOLS)
    few = labels <= sum(line.required for line in found)
    whole = [line for line in found if line.required or line.scored >= _LINE_EOJEOLS] if few else found
    required, judged = sum(line.required for line in whole), sum(line.judged for line in whole)
    if not low and judged and required / judged < least:
        yield max(whole, key=lambda line: (line.judged - line.required, -line.span[0]))


def _foreign_scripts(text: str, required: str, question: str | None) -> Iterator[Leak]:
    asked = _asked_scripts(question)
    for run in _foreign_runs(text, required):
        scripts = {script for start, end in run for script in scripts_in(text[start:end])} - {
            required,
            "latin",
        }
        letters = sum(sum(letter.isalpha() for letter in text[start:end]) for start, end in run)
        if scripts <= asked and len(run) <= _CITED_EOJEOLS and letters <= _CITED_LETTERS:
            continue
        for start, end in run:
            for script in sorted(scripts_in(text[start:end]) - {required, "latin"}):
                yield Leak(script, (start, end))


def _foreign_runs(text: str, required: str) -> Iterator[list[Span]]:
    """Yield the runs of neighbouring eojeols that hold letters of neither the required script nor Latin."""
    run: list[Span] = []
    for start, end in eojeols(text):
        if scripts_in(text[start:end]) - {required, "latin"}:
            run.append((start, end))
        elif run:
            yield run
            run = []
    if run:
        yield run


@lru_cache(maxsize=16)
def _asked_scripts(question: str | None) -> frozenset[str]:
    if question is None:
        return frozenset()
    named = {script for names, scripts in _LANGUAGE_NAMES if names.search(question) for script in scripts}
    return frozenset(named | scripts_in(question))


def _foreign_clauses(text: str, code: str) -> Iterator[Leak]:
    latin = " ".join(_LATIN_WORD.findall(text[:_LONGEST])) if code == "en" else ""
    if latin and is_english(latin) is False:
        # As a whole: a terse line of an English reply has no function word either.
        start = len(text) - len(text.lstrip())
        yield Leak("latin", (start, max(len(text.rstrip()), start)))
        return
    for sentence in sentences(text):
        start, end = sentence.span
        piece = text[start:end]
        if code == "en":
            english, other = english_and_other(piece)
            if other >= 2 and other > english:
                yield Leak("latin", (start, end))
            continue
        runs = list(_latin_runs(piece))
        alone = not has_hangul(piece)
        for left, right, count in runs:
            function_words = sum(english_and_other(piece[left:right]))
            whole_sentence = alone and (
                (count >= 4 and function_words >= 1) or (count >= 3 and function_words >= 2)
            )
            if whole_sentence or (count >= 5 and function_words >= 2):
                yield Leak("latin", (start + left, start + right))


def _latin_runs(piece: str) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and number of words of the runs of eojeols in Latin script alone, in a Korean sentence."""
    start, end, count = 0, 0, 0
    for left, right in eojeols(piece):
        token = piece[left:right]
        if has_hangul(token):
            if count:
                yield start, end, count
            count = 0
        elif _LATIN_WORD.search(token):
            start, end, count = (left if not count else start), right, count + 1
    if count:
        yield start, end, count


def _evidence(
    reply: str, scripts: Iterable[Leak], clauses: Iterable[Leak], low: Iterable[_Line], spec: Language
) -> Iterator[Evidence]:
    for leak in scripts:
        yield evidence_at(reply, leak.span, f"{leak.script} script")
    for leak in clauses:
        yield evidence_at(reply, leak.span, "a clause in another language")
    for line in low:
        why = f"{line.required} of {line.judged} words in the required script, at least {spec.min_eojeol_ratio:g} asked"
        yield evidence_at(reply, line.span, why)
