"""Who joins the batch next: people take turns there too, however many requests one of them has handed in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.plugin_api.messages import Submit
from plugins.medgemma_chat.engine import ChatEngine
from plugins.medgemma_chat.messages import CHAT
from tests.plugins.medgemma_chat.driving import Answer, collect, request, submit


@pytest.fixture
def narrow(tiny_config: dict[str, Any]) -> ChatEngine:
    """Two conversations at a time."""
    engine = ChatEngine()
    engine.load(tiny_config | {"batch_size": 2})
    return engine


def ends(engine: ChatEngine) -> list[int]:
    """The requests in the order of their ends."""
    answers: dict[int, Answer] = {}
    order: list[int] = []
    while engine.busy():
        collect(engine, answers)
        order += [one for one, answer in answers.items() if answer.reason is not None and one not in order]
    return order


def test_another_person_does_not_wait_behind_all_of_ones_requests(narrow: ChatEngine) -> None:
    for number in range(6):
        submit(narrow, number, request(f"pergunta {number}"), "ana|")
    submit(narrow, 6, request("só uma"), "bia|p1")
    order = ends(narrow)
    assert sorted(order) == list(range(7))
    assert order.index(6) < 3


def test_one_persons_patients_do_not_make_more_people_of_them(narrow: ChatEngine) -> None:
    for number in range(6):
        submit(narrow, number, request(f"pergunta {number}"), f"ana|p{number}")
    submit(narrow, 6, request("só uma"), "bia|p1")
    assert ends(narrow).index(6) < 3


def test_urgent_requests_go_before_everybodys_turn(narrow: ChatEngine) -> None:
    for number in range(4):
        submit(narrow, number, request(f"pergunta {number}"), "ana|")
    submit(narrow, 4, request("só uma"), "bia|")
    payload = msgspec.msgpack.encode(request("agora"))
    narrow.submit(Submit(5, CHAT, payload, 60.0, "urgent", "ana|"))
    order = ends(narrow)
    assert sorted(order) == list(range(6))
    assert order.index(5) < 2
    assert order.index(4) < order.index(3)


def test_leaving_makes_room_for_the_next(narrow: ChatEngine) -> None:
    for number in range(4):
        submit(narrow, number, request(f"pergunta {number}"), "ana|")
    narrow.step()
    for number in (0, 2):
        narrow.cancel(number)
    assert sorted(ends(narrow)) == [1, 3]
    assert narrow.stats()["running"] == narrow.stats()["waiting"] == 0
