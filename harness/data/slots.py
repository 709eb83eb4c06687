"""Draw values for the slots of an utterance, each with how it is written and how it is read aloud."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from harness.data.korean import native, sino_decimal
from harness.data.number_words import ENGLISH_BELOW_TWENTY, ENGLISH_TENS
from harness.data.synth_spec import Language, SlotSpec, UnitSpec
from harness.errors import SpecError
from harness.types import Json

COMMA_SHARE = 0.25
Units = dict[str, tuple[UnitSpec, str]]


@dataclass(frozen=True, slots=True)
class Draw:
    """One drawn value. `accept`: values that count as right, the plainest first; `forms`: other ways to write it."""

    accept: tuple[Json, ...]
    text: str
    forms: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Equal for draws of equal value."""
        return json.dumps([self.accept[0], dict(self.parts)], sort_keys=True)


class Sampler:
    """Draws the slots of a specification."""

    def __init__(self, slots: Mapping[str, SlotSpec]) -> None:
        self._slots = slots

    def spec_of(self, name: str) -> SlotSpec:
        """Return the slot that `name` or `name_2` draws from. Raises SpecError if there is none."""
        base = base_name(name)
        if base not in self._slots:
            raise SpecError(f"unknown slot {name!r}", remedy="Define it in the slots file.")
        return self._slots[base]

    def draw_all(self, names: Sequence[str], lang: Language, rng: random.Random) -> dict[str, Draw]:
        """Return a draw for each name; two names with the same base never get the same value.

        Quantities that can be spoken in the same units are spoken in one of them throughout.
        """
        draws: dict[str, Draw] = {}
        units: Units = {}
        for name in names:
            taken = {draw.identity for other, draw in draws.items() if base_name(other) == base_name(name)}
            for _ in range(100):
                draw = self.draw(self.spec_of(name), lang, rng, units)
                if draw.identity not in taken:
                    break
            else:
                raise SpecError(f"slot {name!r} has too few values for two different ones")
            draws[name] = draw
        return draws

    def draw(self, slot: SlotSpec, lang: Language, rng: random.Random, units: Units) -> Draw:
        """Return one draw from a slot; `units` remembers the units chosen so far."""
        if slot.kind in ("integer", "number"):
            return _number(_grid(slot, rng), lang)
        if slot.kind == "quantity":
            return _quantity(slot, lang, rng, units)
        if slot.kind == "choice":
            option = rng.choice(slot.options)
            text = rng.choice(option.ko if lang == "ko" else option.en)
            return Draw((option.value, *option.also), text)
        if slot.kind == "label":
            text = f"{rng.choice(slot.prefixes)}{_grid(slot, rng)}"
            return Draw((text,), text)
        if slot.kind == "dimensions":
            parts = {
                key: rng.randrange(part.min, part.max + 1, part.step) for key, part in slot.parts.items()
            }
            text = slot.prefix + "x".join(str(value) for value in parts.values())
            return Draw((text,), text, parts=parts)
        return self._list(slot, lang, rng)

    def _list(self, slot: SlotSpec, lang: Language, rng: random.Random) -> Draw:
        size = rng.randint(int(slot.min), int(slot.max))
        of = slot.of or ""
        draws = self.draw_all([of] + [f"{of}_{index}" for index in range(2, size + 1)], lang, rng)
        values = [draw.accept[0] for draw in draws.values()]
        texts = [draw.text for draw in draws.values()]
        # What is listed is a set: the order of mention and the sorted order are both right.
        accept = (values,) if values == sorted(values) else (values, sorted(values))
        if lang == "ko":
            return Draw(accept, ", ".join(texts), {"beon": ", ".join(f"{text}번" for text in texts)})
        joined = texts[0] if size == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
        return Draw(accept, joined, {"plus": "+".join(texts)})


def base_name(name: str) -> str:
    """Return the slot that a name draws from: node_2 -> node."""
    head, _, tail = name.rpartition("_")
    return head if head and tail.isdigit() else name


def _grid(slot: SlotSpec, rng: random.Random) -> Decimal:
    low, high, step = (Decimal(str(value)) for value in (slot.min, slot.max, slot.step))
    return _plain(low + step * rng.randint(0, int((high - low) / step)))


def _plain(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


def json_number(value: Decimal) -> int | float:
    """Return a decimal as the JSON number that prints the same."""
    return int(value) if value == value.to_integral_value() else float(value)


def _number(value: Decimal, lang: Language) -> Draw:
    forms = {"word": words(value, lang)}
    if lang == "ko" and 1 <= value <= 99 and value == value.to_integral_value():
        forms["native"] = native(int(value))
    return Draw((json_number(value),), f"{value:f}", forms)


def _quantity(slot: SlotSpec, lang: Language, rng: random.Random, units: Units) -> Draw:
    kind = "|".join(unit.unit for unit in slot.units)
    if kind not in units:
        unit = rng.choices(slot.units, [unit.weight for unit in slot.units])[0]
        units[kind] = (unit, _unit_text(unit, lang, rng))
    unit, unit_text = units[kind]
    shown = _plain(_grid(slot, rng) * Decimal(str(unit.scale)))
    value = json_number(_plain(shown * Decimal(str(unit.factor))))
    figure = f"{shown:,f}" if shown >= 1000 and rng.random() < COMMA_SHARE else f"{shown:f}"
    spoken = f"{words(shown, lang)} {unit.word[lang]}"
    return Draw((value,), figure + unit_text, {"word": spoken}, {"unit": unit.unit})


def _unit_text(unit: UnitSpec, lang: Language, rng: random.Random) -> str:
    texts = unit.ko if lang == "ko" else unit.en
    return texts[0] if len(texts) == 1 or rng.random() < 0.6 else rng.choice(texts[1:])


def words(value: Decimal, lang: Language) -> str:
    """Return a number as it is read aloud: 120 -> 백이십 / one hundred and twenty."""
    if lang == "ko":
        return sino_decimal(f"{value:f}")
    whole, _, fraction = f"{value:f}".partition(".")
    sign = "minus " if whole.startswith("-") else ""
    spoken = sign + _english(int(whole.lstrip("-")))
    return spoken + (
        " point " + " ".join(ENGLISH_BELOW_TWENTY[int(digit)] for digit in fraction) if fraction else ""
    )


def _english(number: int) -> str:
    if number < 20:
        return ENGLISH_BELOW_TWENTY[number]
    if number < 100:
        tail = f"-{ENGLISH_BELOW_TWENTY[number % 10]}" if number % 10 else ""
        return ENGLISH_TENS[number // 10] + tail
    if number < 1000:
        tail = f" and {_english(number % 100)}" if number % 100 else ""
        return f"{ENGLISH_BELOW_TWENTY[number // 100]} hundred{tail}"
    if number < 1_000_000:
        rest = number % 1000
        joint = " " if rest >= 100 else " and "
        return f"{_english(number // 1000)} thousand" + (joint + _english(rest) if rest else "")
    raise ValueError(f"{number} is too large")
