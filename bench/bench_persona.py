"""10,000 persona replies through all deterministic checks and the style score, on one core; and the same bits again.

Replies are those of the shipped Korean characters and neutral ones, each joined with a sentence of another so that no two
are equal. Fitting is included and said apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPLIES = 10_000
ROOT = Path(__file__).resolve().parents[1]
CARD = ROOT / "suites" / "persona" / "founder_ko"


def replies() -> Iterator[tuple[str, str]]:
    """Yield (question, reply), no two replies equal."""
    from harness.persona.card import load_card
    from harness.persona.references import load_references, splits_of
    from harness.persona.reply_text import sentences

    found = []
    for name in ("founder_ko", "librarian_ko"):
        card = load_card(ROOT / "suites" / "persona" / name)
        for split in splits_of(card):
            for one in load_references(card, split):
                found += [
                    (one.question, text) for versions in one.replies.values() for text in versions.values()
                ]
    made = 0
    seen = set()
    for step in range(len(found)):
        for place, (question, text) in enumerate(found):
            other = found[(place + step) % len(found)][1]
            first = sentences(other)[0].span
            whole = text if step == 0 else f"{text} {other[first[0] : first[1]]}"
            if whole in seen:
                continue
            seen.add(whole)
            yield question, whole
            made += 1
            if made == REPLIES:
                return


def measure() -> dict[str, Any]:
    """Return the seconds of fitting and of judging, processor and wall, and a hash of every number twice."""
    from harness.persona.card import load_card
    from harness.persona.judgement import Asked, judge_reply
    from harness.persona.profile import load_profile

    asked = list(replies())
    started = time.process_time()
    profile = load_profile(load_card(CARD))
    fitted = time.process_time() - started
    digests = []
    took: list[tuple[float, float]] = []
    for size in (len(asked), 500):
        digest = hashlib.sha256()
        wall, processor = time.perf_counter(), time.process_time()
        for number, (question, reply) in enumerate(asked[:size]):
            found = judge_reply(profile, Asked(question=question), reply)
            if number < 500:
                digest.update(repr(found).encode())
        took.append((time.perf_counter() - wall, time.process_time() - processor))
        digests.append(digest.hexdigest())
    return {
        "replies": len(asked),
        "fit_s": round(fitted, 2),
        "wall_s": round(took[0][0], 2),
        "processor_s": round(took[0][1], 2),
        "analyser": profile.analyser.identity,
        "same_bits": digests[0] == digests[1],
    }


if __name__ == "__main__":
    # One core: the numbers are of one, however many there are.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(measure(), indent=1))
