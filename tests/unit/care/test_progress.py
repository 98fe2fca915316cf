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
