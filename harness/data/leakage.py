"""What makes two samples the same thing twice: text, near-equal text, template, and a call with its values."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from harness.types import GoldCall, Json, Sample

SHINGLE = 5
NEAR = 0.9
_SPACES = re.compile(r"\s+")


def user_text(sample: Sample) -> str:
    """Return everything that the user says in a sample, one turn a line."""
    return "\n".join(message.content for message in sample.messages if message.role == "user")


def normalise(text: str) -> str:
    """Return text in NFKC, lower case, with runs of white space as one space."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()


def pair_key(call: GoldCall) -> str:
    """Return a call's identity: its tool and the values of the arguments that must be given.

    Where all arguments may be left out, all count. Lists of plain values count as sets, and of several accepted
    values the first in JSON order stands for all, so that two ways to write the same call have one key.
    """
    needed = {name: gold.accept for name, gold in call.arguments.items() if not gold.optional}
    if not needed:
        needed = {name: gold.accept for name, gold in call.arguments.items()}
    values = {name: min(map(_canonical, accept)) for name, accept in needed.items()}
    return f"{call.name}\x00{json.dumps(values, sort_keys=True)}"


def _canonical(value: Json) -> str:
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        value = sorted(value, key=json.dumps)
    return json.dumps(value, sort_keys=True)


def share_of(key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64


def shingles(text: str) -> frozenset[str]:
    """Return the 5-grams of a normalised text (the text itself where it is shorter)."""
    if len(text) <= SHINGLE:
        return frozenset((text,))
    return frozenset(text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1))


def near_duplicates(texts: Sequence[str], threshold: float = NEAR) -> Iterator[tuple[int, int, float]]:
    """Yield (i, j, similarity) with i < j for every two texts whose 5-grams have a Jaccard index >= threshold.

    Exact, and not quadratic: by prefix filtering (Bayardo, Ma and Srikant, WWW 2007) two sets of Jaccard index t or
    more share one of the rarest `n - ceil(t n) + 1` shingles of each, and differ in size by a factor of t at most.
    """
    sets = [shingles(normalise(text)) for text in texts]
    counts = Counter(shingle for found in sets for shingle in found)
    index: dict[str, list[int]] = defaultdict(list)
    for right in sorted(range(len(sets)), key=lambda item: (len(sets[item]), item)):
        found = sets[right]
        ordered = sorted(found, key=lambda shingle: (counts[shingle], shingle))
        prefix = ordered[: len(found) - _ceil(threshold * len(found)) + 1]
        candidates = {
            left
            for shingle in prefix
            for left in index[shingle]
            if len(sets[left]) >= threshold * len(found) - 1e-9
        }
        for left in sorted(candidates):
            common = len(sets[left] & found)
            similarity = common / (len(sets[left]) + len(found) - common)
            if similarity >= threshold:
                yield min(left, right), max(left, right), similarity
        for shingle in prefix:
            index[shingle].append(right)


def _ceil(value: float) -> int:
    return -int(-(value - 1e-9) // 1)
