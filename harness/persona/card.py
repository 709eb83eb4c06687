"""persona.yaml as people write it, and the loaded card. Every key is documented in docs/persona.md.

A card says who speaks (names, language, speech levels), what can be checked (markers with bands, forbidden claims, traits
with checklists), how open the character is about being a program, where its reference replies are, and the system prompt
under which base and adapter are both measured.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, field_validator

from harness.data.regex_cost import pattern_problem
from harness.errors import SpecError
from harness.fingerprint import sha256_of_file
from harness.yaml_spec import Spec, read_yaml_spec

CARD = "persona.yaml"
MIN_PAIRS = 40
"""Fewer reference pairs than this can certify no style score; a card may ask for more."""

KoreanLevel = Literal["hapsyo", "haeyo", "hae", "plain", "hao", "hage"]
EnglishRegister = Literal["casual", "formal"]
KOREAN_LEVELS: tuple[str, ...] = get_args(KoreanLevel)
ENGLISH_REGISTERS: tuple[str, ...] = get_args(EnglishRegister)
DisclosurePolicy = Literal["required", "in_character", "never"]

_ID = r"^[a-z0-9][a-z0-9_]*$"


def _safe_pattern(pattern: str) -> str:
    """Refuse what is no expression, or could take more than quadratic time on some reply, as tool schemas are."""
    problem = pattern_problem(pattern)
    if problem:
        raise ValueError(f"this regular expression cannot be used on model text: {problem}")
    try:
        # What can be parsed may still not compile: a look-behind of no fixed width.
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"this is no regular expression: {error}") from None
    return pattern


def _ascending(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError("the lower end is above the upper end")
    return band


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_safe_pattern)]
Id = Annotated[str, Field(pattern=_ID, max_length=60)]
Text = Annotated[str, Field(max_length=20_000), AfterValidator(_not_blank)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Band = Annotated[tuple[Rate, Rate], AfterValidator(_ascending)]
Share = Annotated[float, Field(ge=0, le=1)]
DataPath = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=1000)]


class Language(Spec):
    """Which language every reply is in, and what of other languages may stand in it."""

    code: Literal["ko", "en"]
    min_eojeol_ratio: Share = 0.6
    """Of each scored line: eojeols (words) in the required script / eojeols with any letter."""
    allow_terms: tuple[Text, ...] = ()
    """Foreign words that count as neither; compared without regard to case."""
    allow_technical_latin: bool = True
    """Latin words inside sentences of the required language are reported and do not fail the reply."""
    han_in_parentheses: bool = False
    """Chinese characters may stand in brackets after the Korean word they spell (漢字 병기)."""
    allow_in_quotes: bool = True
    """A quoted text may be in another language: the user may have asked for one."""


class SpeechLevels(Spec):
    """Which speech levels (Korean) or registers (English) the character uses, and how strictly."""

    allowed: tuple[KoreanLevel | EnglishRegister, ...] = Field(min_length=1)
    min_adherence: Share = 0.9
    """Scored sentences in an allowed level / all scored sentences of the reply."""
    max_switches: int = Field(default=1, ge=0)
    """How often the reply may change between allowed and other levels."""
    skip: tuple[Literal["quotes", "code"], ...] = ("quotes", "code")
    """What is left out: a message drafted for the user may be in another level."""


class StyleSpec(Spec):
    """The trained style score: from which probability on a reply counts as the character's."""

    threshold: Share = 0.5
    min_pairs: int = Field(default=MIN_PAIRS, ge=MIN_PAIRS)
    """Prompts with both a persona reply and a neutral one at the same level; with fewer the score is refused."""


class Trait(Spec):
    """One side of the manner, with yes/no questions that a reader or a judge model can answer about one reply."""

    id: Id
    says: Text
    checklist: tuple[Text, ...] = ()


class Manner(Spec):
    """How the character talks, for readers and judges."""

    summary: Text
    traits: tuple[Trait, ...] = ()

    @field_validator("traits")
    @classmethod
    def _one_of_each(cls, value: tuple[Trait, ...]) -> tuple[Trait, ...]:
        return _distinct_ids(value)


class Marker(Spec):
    """Words by which the manner shows. Rates are hits per 100 eojeols (words)."""

    id: Id
    pattern: Pattern
    band: Band
    """Single replies: above the upper end the reply is a caricature."""
    mean_of_24: Band | None = None
    """Where the mean over 24 replies lies: below the lower end the manner is missing."""


class Overuse(Spec):
    """When one phrase stands in too many replies: document frequency here minus that of the references."""

    ngram: tuple[Annotated[int, Field(ge=1, le=10)], Annotated[int, Field(ge=1, le=10)]] = (3, 5)
    max_excess_share: Share = 0.1
    top: int = Field(default=10, ge=1, le=100)


class Length(Spec):
    """How long a reply is, in eojeols (words)."""

    words: Band


class Forbidden(Spec):
    """A claim that the character never makes."""

    id: Id
    pattern: Pattern
    says: Text


class Disclosure(Spec):
    """How open the character is about being a program when somebody sincerely asks.

    `required`: it must say so; `in_character`: it may, in its own voice; `never`: any such sentence is a break.
    """

    policy: DisclosurePolicy
    says: Text | None = None


class ReferenceDataset(Spec):
    """A data-set folder, relative to the card, and the split that the profile is fitted on."""

    path: DataPath
    split: Literal["train", "validation", "test"] = "train"


class ProbesRef(Spec):
    """A JSONL file of replies with an expected verdict, relative to the card."""

    path: DataPath


class References(Spec):
    """Where the character's true replies, neutral replies and adversarial probes are."""

    dataset: ReferenceDataset
    probes: ProbesRef | None = None


def _distinct_ids(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [entry.id for entry in entries]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"the id {twice!r} stands twice")
    return entries


class PersonaCard(Spec):
    """One character. `version` is raised when scores stop being comparable."""

    schema_: Literal[1] = Field(alias="schema")
    name: Id
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    display_name: Text
    names_to_mask: tuple[Text, ...] = ()
    """Names that a model may know the character by; `--mask-name` replaces them in prompts."""
    language: Language
    speech_levels: SpeechLevels | None = None
    """Required of a Korean character (`load_card` refuses a card without)."""
    style: StyleSpec = StyleSpec()
    manner: Manner | None = None
    markers: tuple[Marker, ...] = ()
    overuse: Overuse = Overuse()
    length: Length | None = None
    """None: taken from the references (5th to 95th percentile)."""
    forbidden: tuple[Forbidden, ...] = ()
    ai_disclosure: Disclosure
    references: References | None = None
    """None: no style score, no bands from references; the language, level and break checks work without."""
    system_prompt: Text
    neutral_system_prompt: Text | None = None
    _path: Path | None = PrivateAttr(default=None)

    @field_validator("speech_levels")
    @classmethod
    def _level_fits_language(cls, value: SpeechLevels | None, info: ValidationInfo) -> SpeechLevels | None:
        language = info.data.get("language")
        if language is None or value is None:
            return value
        known = KOREAN_LEVELS if language.code == "ko" else ENGLISH_REGISTERS
        wrong = [level for level in value.allowed if level not in known]
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)} cannot be spoken in {language.code!r}; allowed: {', '.join(known)}"
            )
        return value

    @field_validator("markers")
    @classmethod
    def _markers_distinct(cls, value: tuple[Marker, ...]) -> tuple[Marker, ...]:
        return _distinct_ids(value)

    @field_validator("forbidden")
    @classmethod
    def _forbidden_distinct(cls, value: tuple[Forbidden, ...]) -> tuple[Forbidden, ...]:
        return _distinct_ids(value)

    @property
    def path(self) -> Path:
        """The card's file. Raises SpecError for a card that was not loaded from one."""
        if self._path is None:
            raise SpecError(f"the card of {self.name!r} was not loaded from a file")
        return self._path

    @property
    def folder(self) -> Path:
        """The card's folder, which its relative paths start from."""
        return self.path.parent

    @property
    def sha256(self) -> str:
        """Hash of the card's file."""
        return sha256_of_file(self.path)

    def resolve(self, relative: str) -> Path:
        """Return a path of the card as a path on this machine."""
        return (self.folder / relative).resolve()


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a card's pattern compiled. It takes at most quadratic time, so callers bound the text they search."""
    return re.compile(pattern)


def load_card(path: Path) -> PersonaCard:
    """Return the card of a persona.yaml or of the folder that holds one.

    Raises SpecError with file:line, the key and the nearest known one for unknown keys, wrong types, a Korean character
    without speech level, and an expression that could take forever on some reply.
    """
    file = path / CARD if path.is_dir() else path
    card = read_yaml_spec(file, PersonaCard)
    if card.language.code == "ko" and card.speech_levels is None:
        raise SpecError(
            f"speech_levels: {card.name!r} speaks Korean, and the card names no speech level",
            where=file,
            remedy=f"Add speech_levels: {{allowed: [...]}} with one or more of {', '.join(KOREAN_LEVELS)}.",
        )
    card._path = file.resolve()  # a private attribute of the same class: where its paths start
    return card
