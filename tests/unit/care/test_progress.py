from __future__ import annotations

from appliance.care.progress import Broker


async def test_listeners_of_a_topic_hear_it_and_others_do_not() -> None:
    broker = Broker()
    with broker.subscribe("a") as first, broker.subscribe("a") as second, broker.subscribe("b") as other:
        broker.publish("a", "state", state="open")
        broker.publish("b", "state", state="failed")
        for subscription, state in ((first, "open"), (second, "open"), (other, "failed")):
            event = await anext(subscription.events())
            assert (event.name, event.data) == ("state", {"state": state})
        assert broker.listeners == 3
    assert broker.listeners == 0


async def test_a_slow_listener_loses_the_oldest_and_is_told_to_read_again() -> None:
    broker = Broker(limit=3)
    with broker.subscribe("a") as slow:
        for number in range(10):
            broker.publish("a", "chunk", sequence=number)
        events = slow.events()
        heard = [await anext(events) for _ in range(4)]
    assert [event.name for event in heard] == ["resync", "chunk", "chunk", "chunk"]
    assert [event.data["sequence"] for event in heard[1:]] == [7, 8, 9]


def test_nobody_listening_costs_nothing() -> None:
    broker = Broker()
    broker.publish("a", "state")
    assert broker.listeners == 0


class Hand:
    """A clock in the test's hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_first_of_a_round_is_the_dictations_place() -> None:
    hand = Hand()
    broker = Broker(now=hand)
    with broker.subscribe("a") as listener, broker.queueing("a") as told:
        assert broker.place("a") is None
        for hand.now, places in ((0.0, (3, 4, 5)), (0.5, (3, 4, 5)), (1.0, (1, 2, 3))):
            for place in places:
                told(place)
        assert broker.place("a") == 1
        told(0)
        assert broker.place("a") is None
        events = listener.events()
        heard = [await anext(events) for _ in range(3)]
    assert [(event.name, event.data) for event in heard] == [("queue", {"position": place}) for place in (3, 1, 0)]


def test_while_something_is_heard_the_next_ones_places_are_not_the_dictations() -> None:
    hand = Hand()
    broker = Broker(now=hand)
    with broker.queueing("a") as told:
        told(0)
        hand.now = 1.0
        told(7)
        assert broker.place("a") is None
        hand.now = 4.0
        told(7)
        assert broker.place("a") == 7
    assert broker.place("a") is None


def test_an_older_wait_does_not_end_a_newer_one() -> None:
    broker = Broker(now=Hand())
    older = broker.queueing("a")
    older.__enter__()
    with broker.queueing("a") as told:
        told(2)
        older.__exit__(None, None, None)
        assert broker.place("a") == 2
