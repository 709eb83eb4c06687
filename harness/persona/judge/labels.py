"""What people answered to the same yes/no items, and how far the judge agrees with them.

One JSON object a line: {"reply": id, "item": "wit.1", "label": "yes" | "no" | null, "rater": "kim"}. null is not answered
yet. A form has a hash for the id, which may say what kind of reply it is; both are read. `text`, `question` and `asks` may stand beside for the rater to read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.data.strict_json import decode_bytes, iter_lines
from harness.errors import RecordError, did_you_mean
from harness.persona.estimate import Estimate, Part, share
from harness.persona.judge.checklist import ReplyVerdict
from harness.persona.judge.subject import JudgedPersona, JudgedReply
from harness.persona.kappa import kappa
from harness.types import Json

FORM_SIZE = 60

_KEYS = ("reply", "item", "label", "rater", "text", "question", "asks")
_LABELS: Mapping[Json, bool | None] = {"yes": True, "no": False, None: None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One person's answer to one item of one reply."""

    reply: str
    item: str
    yes: bool
    rater: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A labels file: what was answered, and how many lines wait for an answer."""

    answered: tuple[Label, ...]
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The judge against people, item by item.

    `sensitivity` is the share of people's yes that the judge answered yes, `specificity` of their no. `between_raters`
    is the mean kappa of two raters on the items that both answered. `unused`: labels of replies that were not judged
    here, or whose verdict is missing.
    """

    kappa: Estimate
    sensitivity: Estimate
    specificity: Estimate
    between_raters: float | None
    raters: int
    unused: int


def blind_name(reply: str) -> str:
    """Return what stands for a reply's id in a form."""
    return hashlib.sha256(reply.encode("utf-8", "replace")).hexdigest()[:16]


def read_labels(path: Path, persona: JudgedPersona, replies: Iterable[str]) -> Labels:
    """Return a labels file; `replies` are the ids that its hashes may stand for.

    Raises RecordError with file:line for a line that is wrong or answered twice by one rater.
    """
    by_hash = {blind_name(reply): reply for reply in replies}
    items = [item.id for item in persona.items]
    answered: list[Label] = []
    seen: set[tuple[str, str, str]] = set()
    waiting = 0
    for line in iter_lines(path):
        where = f"{path}:{line.number}"
        if not line.raw.strip():
            continue
        record = decode_bytes(line.raw, where)
        label = _label(record, items, where)
        if label is None:
            waiting += 1
            continue
        label = replace(label, reply=by_hash.get(label.reply, label.reply))
        named = (label.reply, label.item, label.rater)
        if named in seen:
            raise RecordError(f"{label.rater or 'one rater'} answered this item twice", where=where)
        seen.add(named)
        answered.append(label)
    return Labels(answered=tuple(answered), open=waiting)


def agreement(labels: Sequence[Label], verdicts: Mapping[str, ReplyVerdict]) -> Agreement:
    """Return how far the judge agrees with people. Items without a verdict are in no figure."""
    judged = {
        (verdict.id, item.item): (item.yes, verdict.cluster)
        for verdict in verdicts.values()
        for item in verdict.items
    }
    pairs: list[tuple[bool, bool]] = []
    clusters: list[str] = []
    for label in labels:
        said, cluster = judged.get((label.reply, label.item), (None, ""))
        if said is not None:
            pairs.append((label.yes, said))
            clusters.append(cluster)
    rates = [
        share(
            [
                Part(cluster, float(said == person), 1.0)
                for (person, said), cluster in zip(pairs, clusters, strict=True)
                if person == truth
            ]
        )
        for truth in (True, False)
    ]
    return Agreement(
        kappa=kappa(pairs, clusters),
        sensitivity=rates[0],
        specificity=rates[1],
        between_raters=_between(labels),
        raters=len({label.rater for label in labels}),
        unused=len(labels) - len(pairs),
    )


def form(
    persona: JudgedPersona, replies: Iterable[JudgedReply], size: int = FORM_SIZE
) -> list[dict[str, Json]]:
    """Return lines for people to fill in, one item of one reply each, drawn by hash: equal input, equal form.

    Items take turns. Neither the judge's answers are in it nor what kind of reply it is.
    """
    drawn = sorted(replies, key=lambda one: hashlib.sha256(one.id.encode("utf-8", "replace")).digest())
    lines: list[dict[str, Json]] = []
    for place in range(size if drawn else 0):
        # Every reply once with one item, then every reply with the next item.
        one, round_ = drawn[place % len(drawn)], place // len(drawn)
        if round_ >= len(persona.items):
            break
        item = persona.items[(place + round_) % len(persona.items)]
        lines.append(
            {
                "reply": blind_name(one.id),
                "item": item.id,
                "question": one.question,
                "text": one.reply,
                "asks": item.asks,
                "label": None,
                "rater": "",
            }
        )
    return lines


def _label(record: Json, items: Sequence[str], where: str) -> Label | None:
    if not isinstance(record, dict):
        raise RecordError("a label must be a JSON object", where=where)
    for key in record:
        if key not in _KEYS:
            raise RecordError(
                f"unknown key {key!r}", where=where, remedy=did_you_mean(key, _KEYS, "Known keys")
            )
    reply, item, label, rater = (record.get(key) for key in ("reply", "item", "label", "rater"))
    if not isinstance(reply, str) or not isinstance(item, str):
        raise RecordError('"reply" and "item" must be texts', where=where)
    if item not in items:
        raise RecordError(
            f"the card has no item {item!r}", where=where, remedy=did_you_mean(item, items, "Items")
        )
    if (label is not None and not isinstance(label, str)) or label not in _LABELS:
        raise RecordError(f'label is {label!r}; it must be "yes", "no" or null', where=where)
    if rater is not None and not isinstance(rater, str):
        raise RecordError('"rater" must be text', where=where)
    yes = _LABELS[label]
    return None if yes is None else Label(reply=reply, item=item, yes=yes, rater=rater or "")


def _between(labels: Sequence[Label]) -> float | None:
    """Return the mean kappa over pairs of raters, each weighted by the items that both answered."""
    by_rater: dict[str, dict[tuple[str, str], bool]] = {}
    for label in labels:
        by_rater.setdefault(label.rater, {})[label.reply, label.item] = label.yes
    raters = sorted(by_rater)
    found: list[tuple[float, int]] = []
    for place, first in enumerate(raters):
        for second in raters[place + 1 :]:
            common = sorted(by_rater[first].keys() & by_rater[second].keys())
            pairs = [(by_rater[first][item], by_rater[second][item]) for item in common]
            value = kappa(pairs, [item[0] for item in common]).value
            if value is not None:
                found.append((value, len(pairs)))
    total = sum(weight for _, weight in found)
    return sum(value * weight for value, weight in found) / total if total else None
