"""Is the reply about what was asked? Overlap of its rarer letter sequences with the question and the prompt's references.

No model and no meaning: a gate against replies to something else, which cannot tell a right answer from a wrong one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from harness.persona.check import CheckResult, Evidence
from harness.persona.facts import check_facts, facts_beyond_question
from harness.persona.quantile import quantile
from harness.persona.reply_text import nfc
from harness.spread import spread
from harness.types import Facts

FALSE_ALARMS = 0.03
"""Share of matched pairs that may be called off topic; the limit is that quantile of the references."""
MIN_CAUGHT = 0.5
"""A gate that catches fewer of the mismatched pairs says nothing."""
MIN_PROMPTS = 20
MAX_RIVALS = 300
"""Other prompts that a reply is compared with, spread over all."""
COMMON = 0.35
"""Sequences in the replies to more of the prompts than this belong to the language or the manner."""
MIN_ECHO = 0.25
"""A reply with less of itself in the question never counts as repeating it."""
ECHO_SLACK = 1.5
"""A reply repeats the question from this multiple of the largest share in any true reply."""
MIN_SEQUENCES = 30
"""Of a shorter reply the overlap says little, unless there is next to none."""
NO_OVERLAP = 0.01
LONGEST = 20_000
_FLOOR = 0.02
_REMEMBERED = 1000
_WORD = re.compile(r"[가-힣]+|[^\W\d_가-힣]+|\d+(?:[.,:]\d+)*")

Vector = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A prompt with its question and every reference reply to it."""

    question: str
    replies: tuple[str, ...]
    versions: tuple[str, ...] = ()
    """Which version each reply is of, where it is known: replies of one version say the same in another manner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The limit for keys of one size, and the share of mismatched pairs below it."""

    limit: float
    caught: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentModel:
    """How rare every sequence is, the other prompts to compare with, and the limits.

    `many` is for a question with two references or more, `one` for a single one, None where it cannot be fitted or
    is too weak to say anything (`why_not`).
    """

    weights: Mapping[str, float] = field(repr=False)
    """Sequence to the log of how rare it is, 0 for common ones; `unseen` for any other."""
    unseen: float
    postings: Mapping[str, tuple[tuple[int, float], ...]] = field(repr=False)
    """Sequence to (prompt, weight in its key of length 1)."""
    questions: tuple[str, ...] = field(repr=False)
    known: Mapping[str, tuple[str, ...]] = field(repr=False)
    """Question to the references of its prompt."""
    echo_limit: float
    one: Gate | None
    many: Gate | None
    why_not: str
    keys: dict[tuple[str, ...], tuple[Vector, float]] = field(default_factory=dict, repr=False, compare=False)
    """Keys and their lengths as they were worked out, for the next reply to the same question."""


def fit_content(topics: Sequence[Topic], answer_keys: Sequence[Topic] = ()) -> ContentModel:
    """Return the model: limits from `topics`; `answer_keys` are further prompts that only serve to be looked up.

    A matched pair is a persona reply (the first of a topic's replies stand first) with its question and the references of
    other versions, none of which says it the same way; a mismatched pair the same reply with another prompt's.
    """
    everything = [*topics, *answer_keys]
    frequencies: Counter[str] = Counter()
    for topic in everything:
        texts = (topic.question, *topic.replies)
        frequencies.update(list(dict.fromkeys(found for text in texts for found in _sequences(text))))
    unseen = math.log((len(everything) + 1) / 0.5)
    weights = {
        sequence: math.log((len(everything) + 1) / (count + 0.5))
        if count <= COMMON * len(everything)
        else 0.0
        for sequence, count in frequencies.items()
    }
    known: dict[str, tuple[str, ...]] = {}
    for topic in everything:
        known[_plain(topic.question)] = (*known.get(_plain(topic.question), ()), *topic.replies)
    rivals = spread(everything, MAX_RIVALS)
    echoes = [_echo(_sequences(reply), topic.question) for topic in topics for reply in topic.replies[:2]]
    unfitted = ContentModel(
        weights=weights,
        unseen=unseen,
        postings=_postings(rivals, weights, unseen),
        questions=tuple(_plain(topic.question) for topic in rivals),
        known=known,
        echo_limit=max(MIN_ECHO, ECHO_SLACK * max(echoes, default=0.5)),
        one=None,
        many=None,
        why_not=f"its limit takes {MIN_PROMPTS} prompts with two reference replies each",
    )
    if len(topics) < MIN_PROMPTS:
        return unfitted

    def rarer(sequence: str) -> float:
        """Return a sequence's weight with one prompt fewer that has it."""
        count = frequencies[sequence] - 1
        return math.log((len(everything) + 1) / (count + 0.5)) if count <= COMMON * len(everything) else 0.0

    gates = {size: _gate(unfitted, spread(topics, MAX_RIVALS), size, rarer) for size in ("one", "many")}
    weak = "the references of different prompts are too alike to tell one topic from another"
    return replace(
        unfitted,
        one=_usable(gates["one"]),
        many=_usable(gates["many"]),
        why_not=weak if any(gates.values()) else unfitted.why_not,
    )


def check_content(
    reply: str,
    question: str,
    references: Sequence[str],
    facts: Facts,
    model: ContentModel,
    *,
    but_itself: bool = False,
) -> CheckResult:
    """Fail a reply that hardly seems to be about the question, or only repeats it; None for one too short to tell.

    Held against the question, the given references and those known for the question. values: `overlap` with the key,
    `nearness` (how far it is above the best of the other prompts, as a log ratio), `echo`. A reply that gives a fact
    that the question does not give is on topic. `but_itself`: the reply may be one of the references and is no key to itself.
    """
    text = reply[:LONGEST]
    sequences = _sequences(text)
    echo = _echo(sequences, question)
    if echo >= model.echo_limit and len(sequences) >= 10:
        why = f"{echo:.0%} of it stands in the question"
        evidence = (Evidence(text=text[:120], why=why),)
        return CheckResult(check="content", passed=False, values={"echo": echo}, evidence=evidence)
    keys = tuple(dict.fromkeys((*references, *model.known.get(_plain(question), ()))))
    if but_itself:
        keys = tuple(key for key in keys if _plain(key) != _plain(text))
    # A key of several references overlaps with more, so the limit for one alone is on the safe side for it.
    gate = (model.many or model.one) if len(keys) >= 2 else model.one if keys else None
    overlap, nearness = _scores(model, sequences, question, keys)
    values = {"overlap": overlap, "nearness": nearness, "echo": echo}
    asked = facts_beyond_question(facts, question)
    if asked and check_facts(text, asked).passed:
        return CheckResult(check="content", passed=True, values=values)
    if gate is None:
        why_not = model.why_not if keys else "there is no reference reply to this question to hold it against"
        return CheckResult(check="content", passed=None, values=values, why_not=why_not)
    score = _combined(overlap, nearness)
    if score >= gate.limit:
        return CheckResult(check="content", passed=True, values=values)
    if len(sequences) < (MIN_SEQUENCES if overlap > NO_OVERLAP else MIN_SEQUENCES // 3):
        return CheckResult(check="content", passed=None, values=values, why_not="too short to tell")
    why = (
        f"shares little with the question and its reference replies ({score:.2f}, limit {gate.limit:.2f}): probably "
        "about something else, or the answer in quite other words"
    )
    return CheckResult(
        check="content", passed=False, values=values, evidence=(Evidence(text=text[:120], why=why),)
    )


def _scores(
    model: ContentModel,
    sequences: Sequence[str],
    question: str,
    keys: Sequence[str],
    own: str | None = None,
    weights: Vector | None = None,
) -> tuple[float, float]:
    """Return the cosine with the key and its log ratio to the best of the other prompts' keys."""
    vector = _weighted(Counter(sequences), model.weights if weights is None else weights, model.unseen)
    norm = _norm(vector)
    key, length = _remembered_key(model, question, keys)
    overlap = _inner(vector, key) / (norm * length) if norm and length else 0.0
    others: dict[int, float] = {}
    for sequence, weight in vector.items():
        for prompt, held in model.postings.get(sequence, ()):
            others[prompt] = others.get(prompt, 0.0) + weight * held
    excluded = {_plain(question), own}
    best = max((total for at, total in others.items() if model.questions[at] not in excluded), default=0.0)
    rival = best / norm if norm else 0.0
    return overlap, math.log((overlap + _FLOOR) / (rival + _FLOOR))


def _combined(overlap: float, nearness: float) -> float:
    """Return one figure: the log of the overlap and of its lead over other prompts, equally weighted."""
    return math.log(overlap + _FLOOR) + nearness


def _gate(
    model: ContentModel, topics: Sequence[Topic], size: str, rarer: Callable[[str], float]
) -> Gate | None:
    """Return the limit from matched pairs and what it catches of mismatched ones, with and without the true prompt."""
    matched: list[float] = []
    mismatched: list[float] = []
    for at, topic in enumerate(topics):
        for place, reply in enumerate(topic.replies[:2]):
            rest = _of_other_versions(topic, place)
            wrong = topics[(at + 1 + len(topics) // 3) % len(topics)]
            if size == "one":
                rest, others = rest[-1:], wrong.replies[-1:]
            else:
                others = wrong.replies
            if not rest or (size == "many" and len(rest) < 2):
                continue
            sequences = _sequences(reply)
            # As if the reply had not been counted: a new one has sequences that nothing else has.
            elsewhere = {found for text in (topic.question, *rest) for found in _sequences(text)}
            weights = {
                one: model.weights.get(one, model.unseen) if one in elsewhere else rarer(one)
                for one in sequences
            }
            matched.append(_combined(*_scores(model, sequences, topic.question, rest, weights=weights)))
            for own in (None, _plain(topic.question)):
                scores = _scores(model, sequences, wrong.question, others, own, weights)
                mismatched.append(_combined(*scores))
    if len(matched) < MIN_PROMPTS:
        return None
    limit = quantile(matched, FALSE_ALARMS)
    return Gate(limit=limit, caught=sum(score < limit for score in mismatched) / len(mismatched))


def _of_other_versions(topic: Topic, place: int) -> list[str]:
    """Return the replies of other versions than one's, or, where there are none, all but that one."""
    versions = topic.versions or tuple(map(str, range(len(topic.replies))))
    other = [
        reply for reply, version in zip(topic.replies, versions, strict=True) if version != versions[place]
    ]
    return other or [reply for at, reply in enumerate(topic.replies) if at != place]


def _usable(gate: Gate | None) -> Gate | None:
    return gate if gate is not None and gate.caught >= MIN_CAUGHT else None


def _postings(
    topics: Sequence[Topic], weights: Mapping[str, float], unseen: float
) -> dict[str, tuple[tuple[int, float], ...]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for at, topic in enumerate(topics):
        key = _key(topic.question, topic.replies, weights, unseen)
        norm = _norm(key)
        for sequence, weight in key.items():
            found.setdefault(sequence, []).append((at, weight / norm))
    return {sequence: tuple(places) for sequence, places in found.items()}


def _remembered_key(model: ContentModel, question: str, replies: Sequence[str]) -> tuple[Vector, float]:
    name = (question, *replies)
    found = model.keys.get(name)
    if found is None:
        key = _key(question, replies, model.weights, model.unseen)
        found = (key, _norm(key))
        if len(model.keys) >= _REMEMBERED:
            model.keys.clear()
        model.keys[name] = found
    return found


def _key(question: str, replies: Iterable[str], weights: Mapping[str, float], unseen: float) -> Vector:
    counts: Counter[str] = Counter()
    for text in (question, *replies):
        counts.update(_sequences(text))
    return _weighted(counts, weights, unseen)


def _weighted(counts: Counter[str], weights: Mapping[str, float], unseen: float) -> dict[str, float]:
    found = {}
    for sequence, count in counts.items():
        weight = weights.get(sequence, unseen)
        if weight:
            found[sequence] = weight if count == 1 else (1 + math.log(count)) * weight
    return found


def _norm(vector: Vector) -> float:
    return math.sqrt(sum(weight * weight for weight in vector.values()))


def _inner(first: Vector, second: Vector) -> float:
    return sum(weight * second[sequence] for sequence, weight in first.items() if sequence in second)


def _echo(sequences: Sequence[str], question: str) -> float:
    asked = frozenset(_sequences(question))
    return sum(sequence in asked for sequence in sequences) / len(sequences) if sequences else 0.0


def _plain(text: str) -> str:
    return " ".join(nfc(text[:LONGEST]).casefold().split())


@lru_cache(maxsize=2048)
def _sequences(text: str) -> tuple[str, ...]:
    """Return the distinct letter sequences of a text, in order: 2 and 3 of Hangul, 4 and 5 of other scripts, numbers."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(_plain(text)):
        word = match.group()[:40]
        if word[0].isdigit():
            found[f"#{word}"] = None
        elif "가" <= word[0] <= "힣":
            if len(word) > 1:
                found[f"^{word[:2]}"] = None
            for size in (2, 3):
                found.update((word[at : at + size], None) for at in range(len(word) - size + 1))
        elif len(word) > 2:
            marked = f"^{word}"
            for size in (4, 5):
                found.update((marked[at : at + size], None) for at in range(len(marked) - size + 1))
    return tuple(found)
