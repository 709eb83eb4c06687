"""Character cards (V1, V2 and V3; JSON, or hidden in a PNG) -> a persona source.

A card describes a character to a model: fields of free text, with a few lines of example dialogue. `{{char}}` and
`{{user}}` stand for the two names. Format: the published specifications chara_card_v2 and chara_card_v3; a PNG holds the
JSON in base64 in a tEXt chunk `ccv3`, or `chara` before V3.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from harness.data.strict_json import BOM, StrictJsonError, decode
from harness.errors import UsageError
from harness.persona.emptiness import has_word
from harness.persona.importing.exchange import Exchange, PersonaSource, cleaned
from harness.persona.importing.png_text import is_png, text_chunks
from harness.types import Json, Message, Role

SPECS = {"chara_card_v2": "Character Card V2", "chara_card_v3": "Character Card V3"}
_MAX_BYTES = 32 << 20
_PROMPT_FIELDS = ("system_prompt", "description", "personality", "scenario", "post_history_instructions")
_UNUSED_FIELDS = ("character_book", "assets", "extensions", "creator_notes", "creator_notes_multilingual")
_CHAR = re.compile(r"\{\{char\}\}|<BOT>", re.I)
_USER = re.compile(r"\{\{user\}\}|<USER>", re.I)
_ORIGINAL = re.compile(r"\{\{original\}\}", re.I)
_REMOVED = re.compile(r"\{\{original\}\}|\{\{//[^{}]*\}\}", re.I)
_START = re.compile(r"^\s*<START>\s*$", re.I | re.M)
_SPEAKER = re.compile(r"^(\{\{user\}\}|<USER>|\{\{char\}\}|<BOT>|[^\n:]{1,80}):[ \t]*", re.I | re.M)


def card_json(path: Path) -> Mapping[str, Json] | None:
    """Return the character card that a file holds, None for a file that is none.

    Raises UsageError for a PNG without card, and for a card that cannot be read.
    """
    if is_png(path):
        chunks = text_chunks(path)
        raw = chunks.get("ccv3") or chunks.get("chara")
        if raw is None:
            raise UsageError(
                "this PNG holds no character card (no tEXt chunk 'ccv3' or 'chara')",
                where=path,
                remedy="Some sites strip it from pictures: export the card as JSON.",
            )
        try:
            text = base64.b64decode(raw, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise UsageError("the card in this PNG is not UTF-8 text in base64", where=path) from None
        card = _decoded(text, path)
        if not _is_card(card):
            raise UsageError("what this PNG holds is no character card", where=path)
        return card
    if path.suffix.lower() in (".png", ".apng"):
        raise UsageError(
            f"this file is called {path.suffix} and is no PNG: it does not begin as one",
            where=path,
            remedy="Save the picture again as PNG (other kinds hold no card), or take the card's JSON.",
        )
    if path.suffix.lower() != ".json" or path.stat().st_size > _MAX_BYTES:
        return None
    raw = path.read_bytes().removeprefix(BOM)
    if not raw.lstrip().startswith(b"{"):
        return None
    try:
        card = decode(raw.decode("utf-8"))
    except (UnicodeDecodeError, StrictJsonError):
        # Fine-tuning data in JSON Lines begins with an object too; whoever reads that names what is wrong.
        return None
    return card if _is_card(card) else None


def _decoded(text: str, path: Path) -> Json:
    try:
        return decode(text)
    except StrictJsonError as error:
        raise UsageError(f"the card in this PNG is not valid: {error.what}", where=path) from None


def _is_card(value: Json) -> TypeGuard[Mapping[str, Json]]:
    if not isinstance(value, dict):
        return False
    if _spec_of(value) is not None:
        return True
    return isinstance(value.get("name"), str) and {"description", "first_mes"} <= value.keys()


def _spec_of(card: Mapping[str, Json]) -> str | None:
    """Return which published specification a card names, None for none."""
    spec = card.get("spec")
    return spec if isinstance(spec, str) and spec in SPECS else None


def read_character_card(card: Mapping[str, Json], path: Path, *, user: str) -> PersonaSource:
    """Return the source of a decoded card; `user` stands for `{{user}}` in it.

    Raises UsageError for a card without name, with fields of the wrong type, or that says nothing of the character.
    """
    spec = _spec_of(card)
    fields = card.get("data") if spec is not None else card
    if not isinstance(fields, dict):
        raise UsageError("data must be an object", where=path)
    name = (_text(fields, "nickname", path) or _text(fields, "name", path)).strip()
    if not name:
        raise UsageError("the card has no name", where=path, remedy="Write it into data.name.")
    said = {
        key: filled
        for key in _PROMPT_FIELDS
        if (filled := _filled(_text(fields, key, path), name, user).strip())
    }
    prompt = "\n\n".join(said.values())
    if not prompt:
        raise UsageError(
            "the card says nothing of the character",
            where=path,
            remedy="It needs a description, a personality or a system_prompt.",
        )
    greetings = [_text(fields, "first_mes", path), *_texts(fields, "alternate_greetings", path)]
    used = cleaned(_examples(_text(fields, "mes_example", path), name, user))
    notes = [*used.notes]
    notes += [
        f"{{{{original}}}} in {key}, left out: a front end puts its own prompt there"
        for key in _PROMPT_FIELDS
        if _ORIGINAL.search(_text(fields, key, path))
    ]
    notes += [f"{key} is not used" for key in _UNUSED_FIELDS if fields.get(key)]
    left = sorted(set(re.findall(r"\{\{[^{}]{1,40}\}\}", prompt)))
    if left:
        notes.append(f"macros left in the system prompt as they stand: {', '.join(left[:5])}")
    return PersonaSource(
        kind=SPECS[spec] if spec is not None else "Character Card V1",
        display_name=name,
        system_prompt=prompt,
        exchanges=used.exchanges,
        lines=tuple(text for one in greetings if has_word(text := _filled(one, name, user).strip())),
        prompt_fields=tuple(said),
        notes=tuple(notes),
        is_card=True,
    )


def _text(fields: Mapping[str, Json], key: str, path: Path) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{key} must be text", where=path)
    return value


def _texts(fields: Mapping[str, Json], key: str, path: Path) -> list[str]:
    value = fields.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UsageError(f"{key} must be a list of texts", where=path)
    return value


def _filled(text: str, name: str, user: str) -> str:
    text = _REMOVED.sub("", text.replace("\r\n", "\n"))
    return _USER.sub(lambda _: user, _CHAR.sub(lambda _: name, text))


def _examples(text: str, name: str, user: str) -> Iterator[Exchange]:
    """Yield the exchanges of `mes_example`: blocks after `<START>`, turns that begin with a speaker and a colon."""
    for number, block in enumerate(_START.split(text.replace("\r\n", "\n")), 1):
        history: list[Message] = []
        for speaker, said in _turns(block, name):
            content = _filled(said, name, user).strip()
            if not content:
                continue
            if speaker == "char" and history and history[-1].role == "user":
                yield Exchange(
                    messages=tuple(history), reply=content, row=number, place=f"block {number} of mes_example"
                )
            if speaker == "user" or history:
                role: Role = "user" if speaker == "user" else "assistant"
                history.append(Message(role=role, content=content))


def _turns(block: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield (user or char, text) of a block of dialogue; a line that names nobody known goes on with the turn before."""
    known = {"{{user}}": "user", "<user>": "user", "{{char}}": "char", "<bot>": "char", name.lower(): "char"}
    starts = [found for found in _SPEAKER.finditer(block) if found.group(1).lower() in known]
    for place, found in enumerate(starts):
        end = starts[place + 1].start() if place + 1 < len(starts) else len(block)
        yield known[found.group(1).lower()], block[found.end() : end]
