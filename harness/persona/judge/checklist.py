"""Binary check-lists: one request a reply, one verdict an item; a verdict counts only with a quotation that is true.

Trait score = yes / answered. What is missing is in no score; it is counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.http.failure import FailureReason
from harness.persona.judge.answers import JudgeAnswer, JudgeFailure, JudgeRequest, Outcome, make_request
from harness.persona.judge.endpoint import Endpoint
from harness.persona.judge.master_keys import is_master_key
from harness.persona.judge.prompts import CHECKLIST_SCHEMA, checklist_messages
from harness.persona.judge.reasons import VerdictProblem
from harness.persona.judge.subject import Item, JudgedPersona, JudgedReply
from harness.persona.judge.verdict_json import is_blank, normal, object_of, quote_problem
from harness.types import Json

MIN_ANSWERED = 0.5
"""A reply with fewer of its items answered has no score."""

_TOKENS_PER_ITEM = 45
_WORDS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemVerdict:
    """One item of one reply. `yes` is None where the verdict is missing, and `problem` says why.

    `said` is what the judge answered whether or not its quotation was true: how easily it is fooled, never a score.
    """

    item: str
    trait: str
    yes: bool | None
    problem: VerdictProblem | FailureReason | None
    quote: str
    said: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyVerdict:
    """All items of one reply. A blank reply is not asked about: it shows no trait, so it scores 0 and says so."""

    id: str
    cluster: str
    items: tuple[ItemVerdict, ...]
    blank: bool = False

    @property
    def answered(self) -> int:
        """Return how many items have a verdict."""
        return sum(item.yes is not None for item in self.items)

    @property
    def score(self) -> float | None:
        """Return yes / answered over all items; None if fewer than half of them are answered."""
        if self.blank:
            return 0.0
        if not self.items or self.answered < MIN_ANSWERED * len(self.items):
            return None
        return sum(item.yes is True for item in self.items) / self.answered

    def trait(self, trait: str) -> tuple[int, int]:
        """Return (yes, answered) of one trait; a blank reply has no yes on any of its items."""
        chosen = [item for item in self.items if item.trait == trait]
        if self.blank:
            return 0, len(chosen)
        return sum(item.yes is True for item in chosen), sum(item.yes is not None for item in chosen)

    @property
    def said_yes(self) -> float:
        """Return the share of items that the judge answered yes, true quotation or not."""
        return sum(item.said is True for item in self.items) / len(self.items) if self.items else 0.0


def checklist_request(
    endpoint: Endpoint, persona: JudgedPersona, judged: JudgedReply, *, trial: bool = False
) -> JudgeRequest | None:
    """Return the request about one reply; None for a blank one, which only a judge on `trial` is asked about.

    What is missing about a blank reply is not counted: there is nothing to quote.
    """
    blank = is_blank(judged.reply)
    if blank and not trial:
        return None
    return make_request(
        endpoint,
        f"checklist {judged.id}",
        checklist_messages(persona, judged.question, judged.reply),
        CHECKLIST_SCHEMA,
        units=0 if blank or is_master_key(judged) else len(persona.items),
        answer_tokens=min(endpoint.max_tokens, _TOKENS_PER_ITEM * len(persona.items)),
    )


def missing_items(persona: JudgedPersona, judged: JudgedReply, answer: JudgeAnswer) -> Mapping[str, int]:
    """Return how many items are missing in an answer, by reason."""
    verdict = read_checklist(persona, judged, answer)
    return Counter(item.problem for item in verdict.items if item.problem is not None)


def read_checklist(persona: JudgedPersona, judged: JudgedReply, outcome: Outcome | None) -> ReplyVerdict:
    """Return the verdicts in an outcome; None is the outcome of a blank reply that was not asked about."""
    if outcome is None:
        return ReplyVerdict(
            id=judged.id,
            cluster=judged.cluster,
            items=tuple(_missing(item, None) for item in persona.items),
            blank=True,
        )
    if isinstance(outcome, JudgeFailure):
        items = [_missing(item, outcome.reason) for item in persona.items]
    else:
        entries = _entries(outcome)
        reply = normal(persona.masked(judged.reply))
        items = [
            _missing(item, entries)
            if isinstance(entries, str)
            else _verdict(item, entries.get(place, []), reply)
            for place, item in enumerate(persona.items, start=1)
        ]
    return ReplyVerdict(id=judged.id, cluster=judged.cluster, items=tuple(items))


def _entries(answer: JudgeAnswer) -> dict[int, list[dict[str, Json]]] | VerdictProblem:
    """Return what stands for each item number, or why nothing can be read."""
    value = object_of(answer)
    if isinstance(value, str):
        return value
    listed = value.get("answers")
    if not isinstance(listed, list):
        return "wrong_shape"
    found: dict[int, list[dict[str, Json]]] = {}
    for entry in listed:
        number = _number(entry.get("item")) if isinstance(entry, dict) else None
        if number is not None:
            found.setdefault(number, []).append(entry)
    return found


def _number(value: Json) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _verdict(item: Item, entries: Sequence[dict[str, Json]], reply: str) -> ItemVerdict:
    if not entries:
        return _missing(item, "left_out")
    said = {_yes(entry.get("answer")) for entry in entries}
    if len(said) > 1:
        return _missing(item, "contradiction")
    yes = said.pop()
    quote = entries[0].get("quote")
    problem: VerdictProblem | None = "unclear" if yes is None else quote_problem(quote, reply)
    return ItemVerdict(
        item=item.id,
        trait=item.trait,
        yes=yes if problem is None else None,
        problem=problem,
        quote=normal(quote) if isinstance(quote, str) else "",
        said=yes,
    )


def _yes(value: Json) -> bool | None:
    if isinstance(value, bool):
        return value
    return _WORDS.get(value.strip().casefold()) if isinstance(value, str) else None


def _missing(item: Item, problem: VerdictProblem | FailureReason | None) -> ItemVerdict:
    return ItemVerdict(item=item.id, trait=item.trait, yes=None, problem=problem, quote="", said=None)
