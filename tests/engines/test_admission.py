from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.engines.admission import TURNS_UNTIL_THE_LAST_LANE, AdmissionQueue
from appliance.plugin_api.engine import Lane


@dataclass(frozen=True)
class Ticket:
    user: str
    lane: Lane = Lane.INTERACTIVE
    number: int = 0


def everyone(queue: AdmissionQueue[Ticket]) -> list[Ticket]:
    taken = []
    while (ticket := queue.pop()) is not None:
        taken.append(ticket)
    return taken


def test_users_take_turns_so_that_one_with_many_requests_does_not_block_the_others() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(100)
    for number in range(5):
        queue.push(Ticket("greedy", number=number))
    queue.push(Ticket("ana"))
    queue.push(Ticket("bia"))
    assert [ticket.user for ticket in everyone(queue)] == ["greedy", "ana", "bia", *["greedy"] * 4]


def test_one_users_requests_keep_their_order() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(100)
    for number in range(4):
        queue.push(Ticket("ana", number=number))
    assert [ticket.number for ticket in everyone(queue)] == [0, 1, 2, 3]


def test_urgent_goes_before_interactive_before_background() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(100)
    for lane in (Lane.BACKGROUND, Lane.INTERACTIVE, Lane.URGENT):
        queue.push(Ticket("ana", lane))
    assert [ticket.lane for ticket in everyone(queue)] == [Lane.URGENT, Lane.INTERACTIVE, Lane.BACKGROUND]


def test_background_is_slow_under_load_but_not_starved() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(1000)
    queue.push(Ticket("batch", Lane.BACKGROUND))
    for number in range(50):
        queue.push(Ticket("ana", Lane.URGENT, number))
    order = [ticket.lane for ticket in everyone(queue)]
    assert order.index(Lane.BACKGROUND) == TURNS_UNTIL_THE_LAST_LANE - 1


def test_a_retried_request_goes_first_even_into_a_full_queue() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(1)
    queue.push(Ticket("ana"))
    assert queue.full
    queue.push(Ticket("bia"), first=True)
    assert [ticket.user for ticket in everyone(queue)] == ["bia", "ana"]


def test_removing_a_request_that_does_not_wait_says_so() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(5)
    queue.push(Ticket("ana", number=1))
    assert not queue.remove(Ticket("ana", number=2))
    assert not queue.remove(Ticket("bia"))
    assert len(queue) == 1
    assert queue.remove(Ticket("ana", number=1))
    assert queue.pop() is None


TICKETS = st.builds(Ticket, st.sampled_from("abcd"), st.sampled_from(list(Lane)), st.integers(0, 10_000))


@settings(deadline=None)
@given(st.lists(TICKETS, unique=True), st.lists(st.integers(0, 1000)))
def test_whatever_is_pushed_comes_out_once_unless_it_was_removed(tickets: list[Ticket], removed: list[int]) -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(1000)
    for ticket in tickets:
        queue.push(ticket)
    left = list(tickets)
    for index in removed:
        if left:
            assert queue.remove(left.pop(index % len(left)))
    assert len(queue) == len(left)
    taken = everyone(queue)
    assert sorted(taken, key=repr) == sorted(left, key=repr)
    assert len(queue) == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60))
def test_no_user_waits_for_more_than_one_request_of_each_other_user(users: list[str]) -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(1000)
    for number, user in enumerate(users):
        queue.push(Ticket(user, number=number))
    order = [ticket.user for ticket in everyone(queue)]
    for user in set(users):
        assert order.index(user) < len(set(users))


def test_in_a_full_lane_only_who_has_more_than_the_newcomer_gives_way() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(5)
    assert queue.gives_way_to(Lane.INTERACTIVE, "caio") is None
    for number in range(3):
        queue.push(Ticket("ana", number=number))
    queue.push(Ticket("bia"))
    assert queue.gives_way_to(Lane.INTERACTIVE, "caio") == Ticket("ana", number=2)
    assert queue.gives_way_to(Lane.INTERACTIVE, "bia") == Ticket("ana", number=2)
    assert queue.gives_way_to(Lane.INTERACTIVE, "ana") is None
    assert queue.gives_way_to(Lane.BACKGROUND, "caio") is None
    assert queue.gives_way_to(Lane.URGENT, "ana") == Ticket("ana", number=2)


def test_urgent_requests_do_not_give_way_to_each_other() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(5)
    for number in range(5):
        queue.push(Ticket("ana", Lane.URGENT, number))
    assert queue.gives_way_to(Lane.URGENT, "bia") is None


def test_drain_empties_every_lane() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(10)
    tickets = {Ticket("ana", lane) for lane in Lane}
    for ticket in tickets:
        queue.push(ticket)
    assert set(queue.drain()) == tickets
    assert len(queue) == 0
    assert queue.pop() is None


def test_a_held_lane_waits_in_its_place_and_goes_on_afterwards() -> None:
    queue: AdmissionQueue[Ticket] = AdmissionQueue(100)
    for lane in (Lane.BACKGROUND, Lane.INTERACTIVE):
        queue.push(Ticket("ana", lane))
    queue.held = frozenset({Lane.BACKGROUND})
    assert [ticket.lane for ticket in everyone(queue)] == [Lane.INTERACTIVE]
    assert len(queue) == 1
    queue.held = frozenset()
    assert [ticket.lane for ticket in everyone(queue)] == [Lane.BACKGROUND]
