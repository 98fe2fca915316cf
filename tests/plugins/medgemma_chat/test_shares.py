"""Who shares a batch with whom, and who gets the time: arithmetic alone, no model and no clock."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.medgemma_chat.engine_shares import MODEST_ROWS, Groups, TimeShare, crowd_of, group_for


def groups(first: dict[str, int], second: dict[str, int] | None = None) -> Groups:
    return Counter(first), Counter(second or {})


def joined(made: Groups, person: str, rows: int) -> list[int]:
    """Let so many rows join, one after the other; their groups."""
    found = []
    for _ in range(rows):
        found.append(group_for(person, made))
        made[found[-1]][person] += 1
    return found


def test_a_person_alone_fills_one_batch_and_is_not_held_up() -> None:
    made = groups({})
    assert joined(made, "ana", 32) == [0] * 32
    assert crowd_of(made) is None


def test_people_with_few_rows_each_share_one_batch_however_many_they_are() -> None:
    made = groups({})
    for number in range(30):
        assert joined(made, f"user{number}", 1 + number % MODEST_ROWS) == [0] * (1 + number % MODEST_ROWS)
    assert crowd_of(made) is None


def test_others_do_not_join_a_crowds_batch_and_it_is_held_up_while_they_are_answered() -> None:
    made = groups({})
    joined(made, "ana", 32)
    assert joined(made, "bia", 1) + joined(made, "caio", 2) == [1, 1, 1]
    assert crowd_of(made) == 0
    assert joined(made, "ana", 3) == [0, 0, 0]
    for gone in ("bia", "caio"):
        del made[1][gone]
    assert crowd_of(made) is None


def test_who_becomes_a_crowd_among_others_goes_on_in_a_batch_of_their_own() -> None:
    made = groups({"bia": 1, "caio": 1})
    assert joined(made, "ana", 20) == [0] * MODEST_ROWS + [1] * (20 - MODEST_ROWS)
    assert crowd_of(made) == 1
    assert joined(made, "dora", 1) == [0]


def test_two_crowds_share_one_batch_so_that_the_other_stays_free() -> None:
    made = groups({})
    joined(made, "ana", 20)
    assert joined(made, "bia", 10) == [1] * MODEST_ROWS + [0] * (10 - MODEST_ROWS)
    assert crowd_of(made) is None  # there is nobody but crowds
    assert joined(made, "caio", 1) == [1]
    assert crowd_of(made) == 0


def test_what_is_urgent_leaves_its_own_persons_crowd() -> None:
    assert group_for("ana", groups({"ana": 20}), modest=True) == 1
    assert group_for("ana", groups({"bia": 3}, {"ana": 20}), modest=True) == 0


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 12), st.booleans()), max_size=60))
def test_there_is_always_a_batch_that_nobody_crowds(steps: list[tuple[str, int, bool]]) -> None:
    made = groups({})
    for person, rows, leave in steps:
        if leave:
            for people in made:
                people[person] = max(0, people[person] - rows)
                if not people[person]:
                    del people[person]
            continue
        for _ in range(rows):
            few = made[0][person] + made[1][person] < MODEST_ROWS
            (at,) = joined(made, person, 1)
            crowded = [any(held > MODEST_ROWS for held in people.values()) for people in made]
            assert not all(crowded)
            assert not (few and crowded[at])


@pytest.mark.parametrize("crowd_s", [0.001, 0.01, 0.3])
@pytest.mark.parametrize("other_s", [0.001, 0.02])
def test_a_crowd_gets_a_sixth_of_the_time_however_long_its_steps_are(crowd_s: float, other_s: float) -> None:
    share, crowd, others = TimeShare(), 0.0, 0.0
    for _ in range(20_000):
        if share.may_step:
            share.spent(crowd_s, by_crowd=True)
            crowd += crowd_s
        share.spent(other_s, by_crowd=False)
        others += other_s
    assert crowd <= others / 5 + crowd_s
    assert crowd >= 0.8 * min(others / 5, crowd_s * 20_000)


def test_a_crowd_pays_for_its_step_before_it_takes_it_and_saves_up_for_two_at_most() -> None:
    share = TimeShare()
    assert share.may_step  # nobody knows yet what it costs
    share.spent(1.0, by_crowd=True)
    waited = 0
    while not share.may_step:
        share.spent(0.25, by_crowd=False)
        waited += 1
    assert 40 <= waited <= 41  # the first one is paid for afterwards, the second one before
    for _ in range(100):
        share.spent(1.0, by_crowd=False)
    share.spent(1.0, by_crowd=True)
    assert share.may_step
    share.spent(1.0, by_crowd=True)
    assert not share.may_step
