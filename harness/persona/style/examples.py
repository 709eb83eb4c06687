"""What the style classifier is taught: persona replies against neutral ones, whole and cut short, and neutral ones with a
borrowed tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.data.leakage import near_duplicates
from harness.persona.reply_text import mask, sentences
from harness.types import Facts

NEAR = 0.8
"""Replies whose 5-grams have this Jaccard index belong to one group, whatever prompts they are of."""
BORROWED_FROM = 7
"""A tag is borrowed from the prompt so many places further on."""
SHORT = (1, 2)
"""The sentences that a reply is cut to."""

PERSONA, SAME, FORMAL = "persona", "neutral_same", "neutral_formal"


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleExample:
    """One reply. `group` names the prompts that are never fitted and scored apart."""

    reply: str
    kind: str
    group: str
    prompt: str
    version: str
    question: str = ""
    facts: Facts = ()

    @property
    def label(self) -> bool:
        """Return whether it is the persona's."""
        return self.kind == PERSONA


def joined_groups(examples: Sequence[StyleExample], clusters: Sequence[str]) -> list[str]:
    """Return each example's group: its cluster, merged with clusters that hold a nearly equal reply of the same kind."""
    parent = {cluster: cluster for cluster in clusters}

    def root(cluster: str) -> str:
        while parent[cluster] != cluster:
            parent[cluster] = parent[parent[cluster]]
            cluster = parent[cluster]
        return cluster

    for left, right, _ in near_duplicates([example.reply for example in examples], NEAR):
        if examples[left].kind == examples[right].kind:
            first, second = sorted((root(clusters[left]), root(clusters[right])))
            parent[second] = first
    return [root(cluster) for cluster in clusters]


def borrowed_tags(examples: Sequence[StyleExample]) -> list[str]:
    """Return neutral replies at the persona's level with one sentence of a persona reply to another prompt.

    A neutral reply with a catchphrase before or after it is still neutral; shown as such, a classifier learns to ask for
    more than one sentence in character. Made of the given examples only, so that nothing held out is seen.
    """
    own: dict[str, list[StyleExample]] = {}
    for example in examples:
        if example.kind == PERSONA:
            own.setdefault(example.group, []).append(example)
    order = list(own)
    place = {group: index for index, group in enumerate(order)}
    found = []
    neutral = [example for example in examples if example.kind == SAME and example.group in place]
    for index, example in enumerate(neutral):
        lender = own[order[(place[example.group] + BORROWED_FROM) % len(order)]]
        if len(order) < 2 or order[place[example.group]] == lender[0].group:
            continue
        said = _sentences(lender[index % len(lender)].reply)
        if said:
            found.append(f"{example.reply} {said[-1]}" if index % 2 == 0 else f"{said[0]} {example.reply}")
    return found


def shortened(examples: Sequence[StyleExample], *, from_start: bool = False) -> list[StyleExample]:
    """Return every one and every two sentences running of the persona's replies and of the neutral ones at its level.

    Where the character is terse, a classifier of whole replies takes anything short for character; shown both kinds short,
    it has to look at what is said. `from_start`: only how replies begin. What stands in there twice is given once.
    """
    known = {(example.label, example.reply) for example in examples}
    found = []
    for example in examples:
        if example.kind not in (PERSONA, SAME):
            continue
        spans = [one.span for one in sentences(mask(example.reply))]
        for size in SHORT:
            for first in range(1 if from_start else len(spans)):
                text = (
                    example.reply[spans[first][0] : spans[first + size - 1][1]]
                    if first + size <= len(spans)
                    else ""
                )
                if text and (example.label, text) not in known:
                    known.add((example.label, text))
                    found.append(replace(example, reply=text))
    return found


def _sentences(reply: str) -> list[str]:
    return [reply[one.span[0] : one.span[1]] for one in sentences(mask(reply))]
