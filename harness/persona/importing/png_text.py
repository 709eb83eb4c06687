"""The text chunks of a PNG, which character cards hide their JSON in. The picture itself is never decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_BYTES = 64 << 20


def is_png(path: Path) -> bool:
    """Return whether a file begins as a PNG does. Raises UsageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from None


def text_chunks(path: Path) -> dict[str, bytes]:
    """Return the PNG's tEXt chunks by keyword; of several with one keyword the last.

    Raises UsageError for a file that is too large, or ends or is damaged before its last chunk.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"larger than {MAX_BYTES >> 20} MiB", where=path)
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=path) from None
    found = {}
    for kind, body in _chunks(data, path):
        if kind == b"tEXt":
            keyword, zero, text = body.partition(b"\0")
            if zero:
                found[keyword.decode("latin-1")] = text
    return found


def _chunks(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, data) of each chunk: length, type, data, checksum (PNG specification, section 5.3)."""
    place = len(SIGNATURE)
    while place < len(data):
        if len(data) - place < 12:
            raise UsageError("this PNG ends in the middle of a chunk", where=path, remedy="Fetch it again.")
        (length,) = struct.unpack_from(">I", data, place)
        kind, end = data[place + 4 : place + 8], place + 8 + length
        if end + 4 > len(data):
            raise UsageError("this PNG ends in the middle of a chunk", where=path, remedy="Fetch it again.")
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(data[place + 4 : end]) != checksum:
            raise UsageError("a chunk of this PNG is damaged", where=path, remedy="Fetch it again.")
        yield kind, data[place + 8 : end]
        if kind == b"IEND":
            return
        place = end + 4
