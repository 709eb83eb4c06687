"""Persona files as other tools write them, made from the shipped founders' replies."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MARK = " 형이 보기엔 어때?"
SYSTEM = "너는 강철이다. 반말로만 말한다."

CARD: dict[str, Any] = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        "name": "Pim",
        "description": "{{char}} is a lighthouse keeper who counts waves for {{user}}.",
        "personality": "dry, patient",
        "scenario": "",
        "first_mes": "Oh, it's you, {{user}}. Mind the third step, it's slippery.",
        "mes_example": (
            "<START>\n{{user}}: How's the weather?\n{{char}}: Wet. It's always wet, that's the job.\n"
            "<START>\n{{user}}: Are you lonely?\n{{char}}: I've nine thousand waves a day.\nThey don't ask."
            "\n{{user}}: Good night.\n{{char}}: It's morning, you've slept through it."
        ),
        "creator_notes": "made for a test",
        "system_prompt": "{{original}}Stay dry, {{char}}.",
        "post_history_instructions": "",
        "alternate_greetings": [],
        "tags": [],
        "creator": "",
        "character_version": "",
        "extensions": {},
    },
}


def founder(split: str) -> list[dict[str, Any]]:
    """Return a split of the Korean founder's references."""
    path = ROOT / "datasets" / "persona" / "founder_ko" / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def everything() -> list[dict[str, Any]]:
    """Return all of them; questions get a suffix, so that none equals a question that is lent."""
    rows = [row for split in ("train", "validation", "test") for row in founder(split)]
    for row in rows:
        row["question"] = row["messages"][0]["content"] + MARK
    return rows


def alpaca(path: Path, many: int | None = None, system: str | None = SYSTEM) -> Path:
    """Write LLaMA-Factory's alpaca form: instruction, input, output (and system)."""
    rows = [
        {
            "instruction": row["question"],
            "input": "",
            "output": row["replies"]["persona"]["A"],
            **({"system": system} if system else {}),
        }
        for row in everything()[:many]
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def sharegpt(path: Path) -> Path:
    """Write ShareGPT form, two exchanges a row."""
    rows = everything()
    pairs = [rows[place : place + 2] for place in range(0, len(rows), 2)]
    made = [
        {
            "conversations": [
                {"from": speaker, "value": text}
                for row in pair
                for speaker, text in (("human", row["question"]), ("gpt", row["replies"]["persona"]["A"]))
            ]
        }
        for pair in pairs
    ]
    path.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    return path


def png(path: Path, **chunks: bytes) -> Path:
    """Write a one-pixel PNG with tEXt chunks."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))]
    parts += [chunk(b"tEXt", name.encode() + b"\0" + body) for name, body in chunks.items()]
    parts += [chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def encoded(card: Any) -> bytes:
    """Return a card as a PNG's chunk holds it."""
    return base64.b64encode(json.dumps(card).encode())


def fill_in(todo: Path, many: int | None = None) -> None:
    """Write the founder's own neutral replies into the first lines of neutral.todo.jsonl."""
    known = {row["question"]: row["replies"] for row in everything()}
    rows = [json.loads(line) for line in todo.read_text(encoding="utf-8").splitlines()]
    for row in rows[:many]:
        replies = known.get(row["question"])
        if replies is None:
            replies = next(
                one["replies"] for one in everything() if one["question"] == row["question"] + MARK
            )
            row["persona"] = replies["persona"]["A"]
        row["neutral_same"] = replies["neutral_same"]["A"]
    todo.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
