"""Who joins the batch next: people take turns there too, however many requests one of them has handed in."""

from __future__ import annotations

import itertools
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


# -- one person's hundred requests beside another's one: counted in steps, so that no clock is needed --------------------------
HUNDRED = 100


def greedy(tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **settings: Any) -> ChatEngine:
    """An engine that ana has handed a hundred requests, and that is as full of her as it gets: no row of hers ends by itself."""
    monkeypatch.setattr("plugins.medgemma_chat.engine._GATHER_S", 0.0)
    engine = ChatEngine()
    engine.load(tiny_config | {"kv_mib": 64} | settings)
    for number in range(HUNDRED):
        submit(engine, number, request(f"pergunta {number}", max_tokens=300), "ana|")
    while not engine.stats()["completion_tokens"]:
        engine.step()
    return engine


def steps_to_first_word(engine: ChatEngine, request_id: int, most: int = 20) -> tuple[int, list[int]]:
    """(steps until its first token, whoever else ended meanwhile)."""
    answers: dict[int, Answer] = {}
    for step in range(1, most + 1):
        collect(engine, answers)
        if request_id in answers:
            return step, [one for one, answer in answers.items() if answer.reason is not None]
    raise AssertionError(f"no word after {most} steps; running: {engine.stats()['running']}")


@pytest.mark.parametrize("rows", [2, 8])
def test_anothers_first_row_joins_at_once_though_one_person_holds_every_place(
    tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    engine = greedy(tiny_config, monkeypatch, batch_size=rows)
    assert engine.stats()["running"] == rows
    submit(engine, HUNDRED, request("só uma"), "bia|p1")
    engine.step()
    assert engine.stats()["running"] == rows + 1
    _, ended = steps_to_first_word(engine, HUNDRED)
    assert ended == []


def test_everybody_elses_first_row_joins_until_the_reserve_is_full_and_nobody_gets_two_of_it(
    tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = greedy(tiny_config, monkeypatch, batch_size=8)
    for number, user in enumerate(("bia", "bia", "bia", "caio", "dora"), HUNDRED):
        submit(engine, number, request("mais uma"), f"{user}|")
    for _ in range(8):
        engine.step()
    assert engine.stats()["running"] == 10
    assert sorted(engine._running.values()) == ["ana"] * 8 + ["bia", "caio"]


def test_an_urgent_request_joins_a_full_batch(tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = greedy(tiny_config, monkeypatch, batch_size=8)
    payload = msgspec.msgpack.encode(request("agora"))
    engine.submit(Submit(HUNDRED, CHAT, payload, 60.0, "urgent", "ana|"))
    assert steps_to_first_word(engine, HUNDRED)[1] == []


def test_places_that_come_free_go_to_whoever_has_fewer_until_both_have_the_same(
    tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = greedy(tiny_config, monkeypatch, batch_size=4)
    for number in range(HUNDRED, HUNDRED + 10):
        submit(engine, number, request("outra", max_tokens=300), "bia|")
    engine.step()
    for leaving in (0, 1, 2):
        engine.cancel(leaving)
        for _ in range(4):  # the newcomer before has been read by then
            engine.step()
    assert sorted(engine._running.values()) == ["ana", "ana", "bia", "bia"]


def tokens_of(engine: ChatEngine, user: str) -> list[int]:
    """How many tokens each row of ``user`` has said so far."""
    assert engine._buckets is not None
    rows = (row for bucket in engine._buckets._buckets.values() for row in bucket.rows.values())
    return sorted(row.completion_tokens for row in rows if row.user == user)


def test_while_another_is_answered_a_crowd_gets_a_sixth_of_the_steps_and_alone_it_gets_all(
    tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = greedy(tiny_config, monkeypatch, batch_size=8)
    assert engine._buckets is not None
    ticks = itertools.count()
    engine._buckets._clock = lambda: float(next(ticks))  # every step of a batch takes a second
    submit(engine, HUNDRED, request("só uma", max_tokens=60), "bia|p1")
    steps_to_first_word(engine, HUNDRED)
    (first,), before = tokens_of(engine, "bia"), tokens_of(engine, "ana")
    for _ in range(45):
        engine.step()
    (later,), after = tokens_of(engine, "bia"), tokens_of(engine, "ana")
    assert later - first == 45
    gained = [one - other for one, other in zip(after, before, strict=True)]
    assert all(8 <= tokens <= 10 for tokens in gained)  # one of hers for five of bia's
    engine.cancel(HUNDRED)
    for _ in range(5):
        engine.step()
    assert tokens_of(engine, "ana") == [tokens + 5 for tokens in after]


def test_a_prompt_is_not_read_behind_all_that_others_handed_in_before(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load(tiny_config | {"batch_size": 32, "prefill_step_tokens": 16, "kv_mib": 64})
    for number in range(28):
        submit(engine, number, request("dor de cabeça " * 6, max_tokens=300), f"user{number % 7}|")
    engine.step()
    submit(engine, HUNDRED, request("dor de cabeça " * 6), "bia|")
    answers: dict[int, Answer] = {}
    while HUNDRED not in answers:
        collect(engine, answers)
    assert len(answers) <= 1 + 10  # what was being read already: eight prompts, and two that were somebody's first


def test_one_person_leaves_memory_for_anothers_first_row(
    tiny_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = greedy(tiny_config, monkeypatch, batch_size=64, kv_mib=4)
    held = int(engine.stats()["running"])
    assert 1 < held < 64
    submit(engine, HUNDRED, request("só uma", max_tokens=300), "bia|")
    engine.step()
    assert engine.stats()["running"] == held + 1
    assert engine._buckets is not None
    assert engine.stats()["cache_bytes"] <= engine.stats()["kv_budget_bytes"]
