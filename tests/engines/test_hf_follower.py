"""An answer along its draft (`harness.engine.hf_follower`), without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.hf_follower import Follower, Record, piece_length

DRAFT = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]


def after(draft: list[int], answer: list[int]) -> Follower:
    follower = Follower(draft)
    for count in range(1, len(answer) + 1):
        follower.wrote(answer[:count])
    return follower


def test_a_draft_that_holds_is_foretold_but_for_its_end() -> None:
    assert after(DRAFT, DRAFT[:2]).ahead(4) == [12, 13, 14, 15]
    assert after(DRAFT, DRAFT[:9]).ahead(32) == [19, 20, 21]
    assert after(DRAFT, DRAFT[:-1]).ahead(32) == []
    assert after(DRAFT, DRAFT).ahead(32) == []
    assert after([], [1, 2]).ahead(32) == []


@pytest.mark.parametrize(
    ("answer", "foretold"),
    [
        ([10, 11, 99], []),
        ([10, 11, 99, 13], [14, 15, 16]),  # another token in one's place
        ([10, 11, 99, 98, 97, 13], [14, 15, 16]),  # some more
        ([10, 11, 15], [16, 17, 18]),  # some fewer
        ([10, 11, 99, 18], []),  # one token alone, far away
        ([10, 11, 99, 18, 19], [20, 21]),
    ],
)
def test_it_finds_back_after_they_parted(answer: list[int], foretold: list[int]) -> None:
    assert after(DRAFT, answer).ahead(32) == foretold


def test_the_more_has_held_since_the_more_is_foretold() -> None:
    draft = list(range(100, 200))
    lengths = [len(after(draft, [100, 7, *range(102, 102 + held)]).ahead(32)) for held in range(1, 20)]
    assert lengths[:3] == [3, 5, 7]
    assert lengths == sorted(lengths)
    assert lengths[-1] == 32


def test_of_places_that_look_alike_the_nearest_is_taken() -> None:
    draft = [1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3, 8, 9]
    assert after(draft, [1, 2, 3, 4, 0, 1, 2, 3]).ahead(1) == [6]


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3), min_size=1), st.integers(0, 40))
def test_what_is_foretold_is_a_stretch_of_the_draft_before_its_end(
    draft: list[int], answer: list[int], most: int
) -> None:
    ahead = after(draft, answer).ahead(most)
    assert len(ahead) <= most
    assert not ahead or any(draft[at : at + len(ahead)] == ahead for at in range(len(draft) - len(ahead)))


def test_a_pass_is_as_long_as_it_pays() -> None:
    assert piece_length([1, 1, 1], 3, 30) == 1
    assert piece_length([9, 9, 9], 3, 30) == 9
    assert piece_length([9] * 11 + [1], 12, 30) == 9, "one row alone does not hold up the others"
    assert piece_length([9] * 4 + [1] * 8, 12, 30) == 1, "many rows are not computed for a few"
    assert piece_length([9] * 4 + [1] * 8, 12, 1000) == 9, "but where a pass costs more than tokens"
    assert piece_length([9], 40, 30) == 1, "finished rows take their room, too"


@given(
    st.lists(st.integers(1, 32), min_size=1, max_size=12),
    st.integers(1, 300),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_less_trust_never_makes_a_pass_longer(
    known: list[int], step_tokens: int, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    rows = len(known)
    assert piece_length(known, rows, step_tokens, less) <= piece_length(known, rows, step_tokens, more)


def test_a_draft_that_never_holds_is_not_checked_for_ever() -> None:
    record = Record()
    assert piece_length([4], 1, 30, record.trust) == 4
    checks = 0
    while piece_length([4], 1, 30, record.trust) > 1:
        record.checked += 3
        checks += 1
    assert 10 < checks < 200
    assert piece_length([4], 1, 30, Record(checked=300, held=150).trust) == 4, "half of them is worth it"
