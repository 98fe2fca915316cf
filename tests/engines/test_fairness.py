"""Who waits how long when there is more work than an engine can do: an engine of a second a request, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.engines.dispatcher import Dispatcher
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.requests import PendingRequest
from appliance.engines.slots import Slots
from appliance.plugin_api.engine import CallOptions, EngineSpec, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.messages import Output, Submit, ToEngine
from appliance.telemetry.metrics import Metrics
from tests.fakes.virtual_loop import run_virtually

SERVICE_S = 1.0
SLOTS = 16
QUEUE = 256
DEADLINE_S = 3.0


@dataclass
class Ward:
    """An engine that takes a second for each of sixteen requests at a time, and what its callers saw."""

    dispatcher: Dispatcher
    waits: dict[str, list[float]] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    retry_after: list[float | None] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def writable(self) -> bool:
        return True

    def send(self, message: ToEngine) -> None:
        if isinstance(message, Submit):
            done = Output(message.request_id, b"done", final=True)
            asyncio.get_running_loop().call_later(SERVICE_S, self.dispatcher.on_output, done)

    async def ask(self, user: str, lane: Lane = Lane.INTERACTIVE, deadline_s: float = 1000.0) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async for _ in self.dispatcher.submit("kind", b"x", CallOptions(lane, deadline_s, user=user)):
                pass
        except ProntuarioError as error:
            self.codes[f"{lane.value} {error.kind.code}"] += 1
            self.retry_after.append(error.retry_after)
            return
        self.waits.setdefault(user, []).append(loop.time() - began)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def every(self, pause_s: float, times: int, user: str, lane: Lane = Lane.INTERACTIVE, **options: Any) -> None:
        for _ in range(times):
            self.start(self.ask(user, lane, **options))
            await asyncio.sleep(pause_s)

    async def all_answered(self) -> None:
        while any(not task.done() for task in self.tasks):
            await asyncio.gather(*self.tasks)

    def p95(self, user: str) -> float:
        waits = sorted(self.waits[user])
        return waits[min(len(waits) - 1, int(0.95 * len(waits)))]


def ward(slots: int = SLOTS, queue: int = QUEUE, metrics: EngineMetrics | None = None) -> Ward:
    made = Ward(Dispatcher(EngineSpec("echo", "x:y", max_running=slots, queue_limit=queue), metrics))
    made.dispatcher.attach(made)
    return made


def test_urgent_meets_its_deadline_while_background_is_full() -> None:
    async def scene() -> Ward:
        busy = ward()
        for number in range(QUEUE + SLOTS):
            busy.start(busy.ask(f"batch{number % 5}", Lane.BACKGROUND))
        await asyncio.sleep(0)
        assert busy.dispatcher.waiting == QUEUE
        busy.start(busy.every(0.25, 100, "emergency", Lane.URGENT, deadline_s=DEADLINE_S))
        await busy.all_answered()
        return busy

    busy = run_virtually(scene)
    assert len(busy.waits["emergency"]) == 100
    assert max(busy.waits["emergency"]) <= DEADLINE_S
    assert set(busy.codes) <= {"background engine.busy"}
    done = sum(len(waits) for user, waits in busy.waits.items() if user.startswith("batch"))
    assert done + busy.codes["background engine.busy"] == QUEUE + SLOTS
    assert done >= QUEUE - 100


def test_urgent_meets_its_deadline_while_clinicians_fill_every_other_slot() -> None:
    async def scene() -> Ward:
        busy = ward()
        for number in range(200):
            busy.start(busy.ask(f"user{number}"))
        busy.start(busy.every(0.75, 16, "emergency", Lane.URGENT, deadline_s=DEADLINE_S))
        await busy.all_answered()
        return busy

    busy = run_virtually(scene)
    assert not busy.codes
    assert max(busy.waits["emergency"]) <= 1.01 * SERVICE_S


def test_one_user_with_100_requests_does_not_slow_another() -> None:
    async def scene(*, greedy: bool) -> Ward:
        busy = ward()
        if greedy:
            for _ in range(100):
                busy.start(busy.ask("greedy"))
        busy.start(busy.every(0.5, 40, "ana"))
        await busy.all_answered()
        return busy

    alone = run_virtually(lambda: scene(greedy=False))
    beside = run_virtually(lambda: scene(greedy=True))
    assert len(beside.waits["greedy"]) == 100
    assert beside.p95("ana") <= 1.5 * alone.p95("ana")


def test_a_greedy_user_alone_still_gets_most_of_the_engine() -> None:
    async def scene() -> float:
        busy = ward()
        for _ in range(120):
            busy.start(busy.ask("greedy"))
        await busy.all_answered()
        return asyncio.get_running_loop().time()

    assert run_virtually(scene) == pytest.approx(120 / (SLOTS * 3 / 4) * SERVICE_S)


def test_background_holds_a_quarter_of_the_slots_and_is_not_starved() -> None:
    async def scene() -> tuple[int, Ward]:
        busy = ward()
        for number in range(40):
            busy.start(busy.ask(f"batch{number}", Lane.BACKGROUND))
        await asyncio.sleep(0.5)
        held = busy.dispatcher.running
        busy.start(busy.every(0.05, 400, "ana"))
        await busy.all_answered()
        return held, busy

    held, busy = run_virtually(scene)
    assert held == SLOTS // 4
    assert not busy.codes
    assert all(len(busy.waits[f"batch{number}"]) == 1 for number in range(40))


def test_the_place_in_the_queue_is_told_until_it_runs() -> None:
    async def scene() -> dict[str, list[int]]:
        busy = ward(slots=1, queue=10)
        places: dict[str, list[int]] = {}

        async def ask(user: str, lane: Lane) -> None:
            told = places.setdefault(user, [])
            async for _ in busy.dispatcher.submit(
                "kind", b"x", CallOptions(lane, 100.0, user=user, on_queue=told.append)
            ):
                pass

        async with asyncio.TaskGroup() as group:
            for user, lane in (("first", Lane.INTERACTIVE), ("ana", Lane.INTERACTIVE), ("bia", Lane.INTERACTIVE)):
                group.create_task(ask(user, lane))
            await asyncio.sleep(0)
            group.create_task(ask("late", Lane.URGENT))
        return places

    places = run_virtually(scene)
    assert {user: list(dict.fromkeys(told)) for user, told in places.items()} == {
        "first": [0],
        "late": [1, 0],
        "ana": [2, 1, 0],
        "bia": [3, 2, 1, 0],
    }


def test_places_never_grow_and_end_with_running() -> None:
    async def scene() -> list[list[int]]:
        busy = ward(slots=4, queue=100)
        places: list[list[int]] = []

        async def ask(user: str) -> None:
            told: list[int] = []
            places.append(told)
            async for _ in busy.dispatcher.submit(
                "kind", b"x", CallOptions(user=user, deadline_s=1000, on_queue=told.append)
            ):
                pass

        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(ask(f"user{number % 7}"))
        return places

    for told in run_virtually(scene):
        assert told[-1] == 0
        assert told == sorted(told, reverse=True)
        assert all(place >= 1 for place in told[:-1])


def test_in_a_full_queue_the_least_urgent_gives_way_and_may_come_back() -> None:
    async def scene() -> Ward:
        busy = ward(slots=1, queue=3)
        for lane in (Lane.INTERACTIVE, Lane.BACKGROUND, Lane.BACKGROUND, Lane.INTERACTIVE):
            busy.start(busy.ask("ana", lane))
        await asyncio.sleep(0)
        for lane in (Lane.INTERACTIVE, Lane.URGENT, Lane.URGENT, Lane.URGENT):
            busy.start(busy.ask("bia", lane))
        await asyncio.sleep(0)
        busy.start(busy.ask("caio", Lane.URGENT))
        await busy.all_answered()
        return busy

    busy = run_virtually(scene)
    assert busy.codes == {
        "background engine.busy": 2,
        "interactive engine.busy": 2,
        "urgent engine.busy": 1,
    }
    assert {user: len(waits) for user, waits in busy.waits.items()} == {"ana": 1, "bia": 3}
    assert all(after is not None and after >= 1 for after in busy.retry_after)


def test_who_fills_the_queue_gives_way_to_those_who_have_less_in_it() -> None:
    async def scene() -> Ward:
        busy = ward(slots=4, queue=20)
        for _ in range(30):
            busy.start(busy.ask("greedy"))
        await asyncio.sleep(0)
        assert busy.dispatcher.waiting == 20
        for number in range(10):
            busy.start(busy.ask(f"user{number}"))
        await busy.all_answered()
        return busy

    busy = run_virtually(scene)
    assert all(len(busy.waits.get(f"user{number}", [])) == 1 for number in range(10))
    assert set(busy.codes) == {"interactive engine.busy"}
    assert len(busy.waits["greedy"]) + busy.codes["interactive engine.busy"] == 30
    assert all(after is not None and after >= 1 for after in busy.retry_after)


def test_the_wait_is_measured_by_lane_and_the_childs_figures_are_shown() -> None:
    metrics = Metrics()
    counted = EngineMetrics(metrics)

    async def scene() -> None:
        busy = ward(slots=1, metrics=counted)
        busy.start(busy.ask("ana"))
        busy.start(busy.ask("bia", Lane.URGENT))
        await busy.all_answered()

    run_virtually(scene)
    counted.tell("echo", {"cache_bytes": 4096.0, "prefix_hits": 3.0})
    text = metrics.render().decode()
    assert 'prontuario_engine_queue_seconds_sum{engine="echo",lane="interactive"} 0.0' in text
    assert 'prontuario_engine_queue_seconds_sum{engine="echo",lane="urgent"} 1.0' in text
    assert 'prontuario_engine_figure{engine="echo",figure="cache_bytes"} 4096.0' in text
    assert 'prontuario_engine_figure{engine="echo",figure="prefix_hits"} 3.0' in text


# -- slots -----------------------------------------------------------------------------------------------------------------
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(Lane)), st.booleans()), max_size=80)


@settings(deadline=None)
@given(st.integers(1, 40), STEPS)
def test_whatever_runs_urgent_and_other_users_find_a_slot(limit: int, steps: list[tuple[str, Lane, bool]]) -> None:
    slots = Slots(limit)
    running: list[PendingRequest] = []
    for number, (user, lane, leave) in enumerate(steps):
        if leave and running:
            gone = running.pop(0)
            assert slots.free(gone.request_id) is gone
            assert slots.free(gone.request_id) is None
        request = PendingRequest("kind", b"", CallOptions(lane, user=user), 0.0)
        request.request_id = number
        if slots.may_run(request):
            slots.add(request)
            running.append(request)
        of_user = sum(one.user == user and one.lane is not Lane.URGENT for one in running)
        background = sum(one.lane is Lane.BACKGROUND for one in running)
        not_urgent = sum(one.lane is not Lane.URGENT for one in running)
        assert len(slots) == len(running) <= limit
        assert background <= max(1, limit // 4)
        assert not_urgent <= limit - limit // 8
        assert of_user <= limit - limit // 4
    assert slots.empty() == running
    assert len(slots) == 0


def test_a_small_engine_reserves_nothing() -> None:
    for limit in (1, 2, 3):
        slots = Slots(limit)
        for number in range(limit):
            request = PendingRequest("kind", b"", CallOptions(user="ana"), 0.0)
            request.request_id = number
            assert slots.may_run(request)
            slots.add(request)
        assert slots.full
