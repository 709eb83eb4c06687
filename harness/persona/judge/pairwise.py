"""Two replies to one question, asked in both orders: a side wins only if it wins both times.

PC (position consistency) = pairs in which both orders name the same side / pairs. PF (first preference) = (calls that
name the first - calls that name the second) / calls: 0 for a judge without a preference for a place, 1 for one that always
names the first, -1 for one that always names the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.http.failure import FailureReason
from harness.persona.estimate import Estimate, Part, share, signed_ratio
from harness.persona.judge.answers import JudgeAnswer, JudgeFailure, JudgeRequest, Outcome, make_request
from harness.persona.judge.endpoint import Endpoint
from harness.persona.judge.length_control import LengthControl, length_controlled
from harness.persona.judge.prompts import PAIR_SCHEMA, pair_messages
from harness.persona.judge.reasons import VerdictProblem
from harness.persona.judge.subject import JudgedPersona
from harness.persona.judge.verdict_json import is_blank, normal, object_of
from harness.stats import MIN_CLUSTERS

Order = Literal["base_first", "base_second"]
ORDERS: tuple[Order, ...] = ("base_first", "base_second")
Choice = Literal["first", "second", "tie"]
Side = Literal["base", "other", "tie"]

PF_TOLERATED = 0.1
PC_NEEDED = 0.8

_ANSWER_TOKENS = 80
_CHOICES: Mapping[str, Choice] = {"a": "first", "b": "second", "tie": "tie"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One question with the replies of base and other. Pairs that share a cluster are not independent."""

    id: str
    question: str
    base: str
    other: str
    cluster: str

    @property
    def blank(self) -> Side | None:
        """Return who wins without asking because a reply is blank; None if neither is."""
        base, other = not is_blank(self.base), not is_blank(self.other)
        if base and other:
            return None
        return "base" if base else "other" if other else "tie"

    @property
    def longer(self) -> int:
        """Return by how many characters, white space normalised, the other reply is longer than the base's."""
        return len(normal(self.other)) - len(normal(self.base))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairVerdict:
    """What came of one pair. `choices` by order, None where that call is missing; `problems` says why.

    `winner` is None if a call is missing, "tie" if the orders disagree. `by_rule`: a reply was blank, nobody was asked.
    """

    id: str
    cluster: str
    longer: int
    choices: tuple[Choice | None, Choice | None]
    problems: tuple[str | None, str | None]
    winner: Side | None
    by_rule: bool = False

    @property
    def consistent(self) -> bool | None:
        """True if both orders name the same side; None if a call is missing or nobody was asked."""
        if self.by_rule or self.winner is None:
            return None
        sides = _sides(self.choices)
        return sides[0] == sides[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseResult:
    """All pairs. `win_rate` is of the other side against base, ties counted half.

    `length_control` is of the pairs that the judge was asked about, without those decided by rule.
    """

    pairs: int
    missing: int
    by_rule: int
    wins: int
    losses: int
    ties: int
    disagreements: int
    win_rate: Estimate
    length_control: LengthControl | None
    consistency: Estimate
    first_preference: Estimate
    missing_by_reason: Mapping[str, int]

    @property
    def position_biased(self) -> bool | None:
        """True if the judge prefers a place: PF beyond .1 with an interval clear of 0. None for fewer than 5 clusters."""
        found = self.first_preference
        if found.value is None or found.clusters < MIN_CLUSTERS:
            return None
        if abs(found.value) <= PF_TOLERATED:
            return False
        if found.low is None or found.high is None:
            # A handful of clusters that all say the same: no spread to make an interval of, and nothing that contradicts.
            return True
        return found.low > 0 or found.high < 0

    @property
    def consistent(self) -> bool:
        """True if at least four of five pairs came out the same in both orders."""
        return self.consistency.value is not None and self.consistency.value >= PC_NEEDED


def pair_requests(endpoint: Endpoint, persona: JudgedPersona, pair: Pair) -> tuple[JudgeRequest, ...]:
    """Return the two requests about a pair, in the order of ORDERS; none if a reply is blank."""
    if pair.blank is not None:
        return ()
    made = []
    for order in ORDERS:
        shown = (pair.base, pair.other) if order == "base_first" else (pair.other, pair.base)
        made.append(
            make_request(
                endpoint,
                f"pair {pair.id} {order}",
                pair_messages(persona, pair.question, *shown),
                PAIR_SCHEMA,
                units=1,
                answer_tokens=min(endpoint.max_tokens, _ANSWER_TOKENS),
            )
        )
    return tuple(made)


def missing_choice(answer: JudgeAnswer) -> Mapping[str, int]:
    """Return {reason: 1} if no choice can be read from an answer."""
    _, problem = read_choice(answer)
    return {} if problem is None else {problem: 1}


def read_choice(outcome: Outcome) -> tuple[Choice | None, VerdictProblem | FailureReason | None]:
    """Return the choice, or None and why there is none."""
    if isinstance(outcome, JudgeFailure):
        return None, outcome.reason
    value = object_of(outcome)
    if isinstance(value, str):
        return None, value
    if "better" not in value:
        return None, "wrong_shape"
    said = value["better"]
    choice = _CHOICES.get(said.strip().casefold()) if isinstance(said, str) else None
    return (choice, None) if choice is not None else (None, "unclear")


def read_pair(pair: Pair, outcomes: Sequence[Outcome]) -> PairVerdict:
    """Return the verdict on a pair from the outcomes of its requests, in the order of ORDERS."""
    if pair.blank is not None:
        return PairVerdict(
            id=pair.id,
            cluster=pair.cluster,
            longer=pair.longer,
            choices=(None, None),
            problems=(None, None),
            winner=pair.blank,
            by_rule=True,
        )
    (first, first_problem), (second, second_problem) = map(read_choice, outcomes)
    sides = _sides((first, second))
    winner: Side | None = None
    if sides[0] is not None and sides[1] is not None:
        winner = sides[0] if sides[0] == sides[1] else "tie"
    return PairVerdict(
        id=pair.id,
        cluster=pair.cluster,
        longer=pair.longer,
        choices=(first, second),
        problems=(first_problem, second_problem),
        winner=winner,
    )


def pairwise_result(verdicts: Sequence[PairVerdict]) -> PairwiseResult:
    """Return rates with 95 % intervals over clusters. Pairs with a missing call are counted and in no rate."""
    known = [one for one in verdicts if one.winner is not None]
    asked = [one for one in known if not one.by_rule]
    points, decided = _points(known), _points(asked)
    clusters = [one.cluster for one in known]
    calls = [(choice, one.cluster) for one in verdicts for choice in one.choices if choice is not None]
    return PairwiseResult(
        pairs=len(verdicts),
        missing=len(verdicts) - len(known),
        by_rule=sum(one.by_rule for one in known),
        wins=points.count(1.0),
        losses=points.count(0.0),
        ties=points.count(0.5),
        disagreements=sum(one.consistent is False for one in asked),
        win_rate=_rate(points, clusters),
        length_control=length_controlled(
            decided, [one.longer for one in asked], [one.cluster for one in asked]
        ),
        consistency=_rate([float(bool(one.consistent)) for one in asked], [one.cluster for one in asked]),
        first_preference=signed_ratio([Part(cluster, _PLACE[choice], 1.0) for choice, cluster in calls]),
        missing_by_reason=dict(
            Counter(problem for one in verdicts for problem in one.problems if problem is not None)
        ),
    )


_POINTS: Mapping[Side, float] = {"other": 1.0, "base": 0.0, "tie": 0.5}
_PLACE: Mapping[Choice, float] = {"first": 1.0, "second": -1.0, "tie": 0.0}


def _points(verdicts: Sequence[PairVerdict]) -> list[float]:
    return [_POINTS[one.winner] for one in verdicts if one.winner is not None]


def _rate(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    return share([Part(cluster, value, 1.0) for value, cluster in zip(values, clusters, strict=True)])


def _sides(choices: tuple[Choice | None, Choice | None]) -> tuple[Side | None, Side | None]:
    """Return which side each order named."""
    named: list[Side | None] = []
    for order, choice in zip(ORDERS, choices, strict=True):
        if choice is None or choice == "tie":
            named.append(choice)
        else:
            named.append("base" if (choice == "first") == (order == "base_first") else "other")
    return named[0], named[1]
