"""Real requests over TLS, and what a collector on loopback hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from appliance.engines.dispatcher import Dispatcher
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.plugin_api.errors import CONFLICT
from appliance.plugin_api.http import Reply, Request, Route
from appliance.plugin_api.messages import Output, Submit, ToEngine
from appliance.plugin_api.storage import Transaction
from appliance.store.jobs import JobQueue, enqueue
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import Tracer
from appliance.telemetry.tracing_context import parse_traceparent
from appliance.telemetry.tracing_delivery import Delivery
from tests.api.harness import ApiUnderTest, api_under_test
from tests.api.test_core_redaction import CANARY, ROUTES, TRACES, walk
from tests.fakes.trace_collector import PATIENCE_S, Collector, collector

CLIENT_TRACE, CLIENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CPF = "98765432100"


class AnsweringLine:
    """A child that answers each request at once."""

    writable = True

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.submitted: list[Submit] = []

    def send(self, message: ToEngine) -> None:
        if isinstance(message, Submit):
            self.submitted.append(message)
            output = Output(message.request_id, message.payload, final=True)
            asyncio.get_running_loop().call_soon(self._dispatcher.on_output, output)


class Ward:
    """Routes that write, ask an engine and enqueue a job, and the parts behind them."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher(EngineSpec("echo", "x:y", max_running=2))
        self.line = AnsweringLine(self.dispatcher)
        self.dispatcher.attach(self.line)

    async def ask(self, words: str) -> list[bytes]:
        options = CallOptions(user=CANARY, patient=f"Patient/{CPF}")
        return [piece async for piece in self.dispatcher.submit("complete", words.encode(), options)]

    async def note(self, request: Request) -> Reply:
        words = (await request.raw_body()).decode()
        await self.ask(words)

        def change(tx: Transaction) -> Reply:
            enqueue(tx, "note.draft", {"words": words})
            return Reply(201)

        return await request.commit(change)

    async def speak(self, request: Request) -> Reply:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begin;"
            for piece in await self.ask(request.parameters["patient_id"]):
                yield piece

        return Reply(content_type="text/plain", stream=pieces())

    async def refuse(self, request: Request) -> Reply:
        raise CONFLICT(what=request.parameters["patient_id"])

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/api/patients/{patient_id}/notes", "record.write", self.note, "Note"),
            Route("GET", "/api/patients/{patient_id}/speech", "record.read", self.speak, "Speak"),
            Route("GET", "/api/patients/{patient_id}/conflict", "record.read", self.refuse, "Refuse"),
            Route("GET", "/api/quick/{patient_id}", "record.read", self.refuse, "Refuse, hot", hot=True),
        ]


@asynccontextmanager
async def traced(
    folder: Path, routes: Any, there: Collector, **settings: Any
) -> AsyncIterator[tuple[ApiUnderTest, Tracer]]:
    """An API whose spans go to ``there``; those that wait are sent before this ends."""
    config = there.settings(**settings)
    delivery = Delivery(config, ("127.0.0.0/8",), {"service.name": "prontuario"}, Metrics())
    delivery.start()
    tracer = Tracer(delivery.put, config.sample_ratio)
    try:
        async with api_under_test(folder, routes, tracer=tracer) as api:
            yield api, tracer
    finally:
        await delivery.close()


async def test_a_request_its_engine_call_its_commit_and_its_job_are_told_with_their_structure(tmp_path: Path) -> None:
    ward, sent = Ward(), {"traceparent": f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01"}
    async with collector() as there:
        async with traced(tmp_path, ward.routes, there) as (api, tracer):
            phone = await api.phone()
            jobs, ran = JobQueue(api.store, SystemClock(), tracer=tracer), asyncio.Event()

            async def draft(_: object) -> None:
                await ward.ask("draft")
                ran.set()

            jobs.register("note.draft", draft)
            await jobs.start()
            async with api.client(phone, headers=sent) as client:
                answer = await client.post(f"/api/patients/{CPF}/notes", content=CANARY)
                assert answer.status_code == 201
                jobs.wake()
                async with asyncio.timeout(PATIENCE_S):
                    await ran.wait()
                await client.get("/health/live")
            await jobs.stop()
        spans = there.spans
    (request,) = [span for span in spans if span["kind"] == 2]
    assert request["name"] == "POST /api/patients/{patient_id}/notes"
    assert (request["traceId"], request["parentSpanId"]) == (CLIENT_TRACE, CLIENT_SPAN)
    assert request["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/api/patients/{patient_id}/notes",
        "http.response.status_code": 201,
    }
    engine, commit = sorted(
        (span for span in spans if span["parentSpanId"] == request["spanId"]), key=lambda span: str(span["name"]),
    )  # fmt: skip
    assert (engine["name"], commit["name"]) == ("engine echo", "store commit")
    assert engine["traceId"] == commit["traceId"] == CLIENT_TRACE
    assert int(request["startTimeUnixNano"]) <= int(engine["startTimeUnixNano"])
    told = engine["attributes"]
    assert (told["prontuario.request"], told["prontuario.lane"], told["prontuario.where"]) == (
        "complete",
        "interactive",
        "own",
    )
    assert (told["prontuario.outcome"], told["prontuario.running"], told["prontuario.attempt"]) == ("ok", 1, 1)
    assert {"prontuario.queue_ms", "prontuario.first_output_ms"} <= told.keys()
    assert commit["attributes"]["prontuario.group"] == 1
    handed = parse_traceparent(ward.line.submitted[0].traceparent)
    assert handed is not None
    assert (handed.trace_id, handed.span_id) == (CLIENT_TRACE, engine["spanId"])
    (job,) = [span for span in spans if span["name"] == "job note.draft"]
    assert job["parentSpanId"] == ""
    assert job["attributes"] == {"prontuario.job": "note.draft", "prontuario.attempt": 1, "prontuario.outcome": "done"}
    of_the_job = {span["name"] for span in spans if span["parentSpanId"] == job["spanId"]}
    assert of_the_job >= {"engine echo", "store commit"}
    assert not [span for span in spans if "health" in span["name"]]


@pytest.mark.parametrize("http2", [False, True])
async def test_a_streams_request_lasts_to_its_end_and_has_the_engine_call_in_it(tmp_path: Path, http2: bool) -> None:
    async with collector() as there:
        async with (
            traced(tmp_path, Ward().routes, there) as (api, _),
            api.client(await api.phone(), http2=http2) as client,
        ):
            assert (await client.get("/api/patients/7/speech")).text == "begin;7"
        (request,) = [span for span in there.spans if span["kind"] == 2]
        (engine,) = [span for span in there.spans if span["name"] == "engine echo"]
    assert engine["parentSpanId"] == request["spanId"]
    assert int(engine["endTimeUnixNano"]) <= int(request["endTimeUnixNano"])


async def test_refusals_are_told_by_their_code_whichever_way_they_were_served(tmp_path: Path) -> None:
    async with collector() as there:
        async with traced(tmp_path, Ward().routes, there) as (api, _):
            async with api.client(await api.phone()) as client:
                for path in ("/api/patients/7/conflict", "/api/quick/7", "/api/nowhere/7"):
                    await client.get(path)
            async with api.client() as stranger:
                await stranger.get("/api/patients/7/conflict")
        told = {
            (span["name"], span["attributes"]["http.response.status_code"], span["attributes"]["error.type"])
            for span in there.spans
            if span["kind"] == 2
        }
    assert told == {
        ("GET /api/patients/{patient_id}/conflict", 409, "conflict"),
        ("GET /api/quick/{patient_id}", 409, "conflict"),
        ("GET (none)", 404, "route.unknown"),
        ("GET /api/patients/{patient_id}/conflict", 401, "auth.required"),
    }


async def test_a_poisoned_traceparent_begins_a_trace_of_our_own(tmp_path: Path) -> None:
    good = f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01"
    poison = [["nonsense"], [f"00-{'0' * 32}-{CLIENT_SPAN}-01"], [good, good], [quote(CANARY)], ["x" * 4000], [""]]
    async with collector() as there:
        async with traced(tmp_path, Ward().routes, there) as (api, _), api.client(await api.phone()) as client:
            bearer = ("Authorization", client.headers["Authorization"])
            for told in [*poison, [good.removesuffix("1") + "0"]]:
                headers = [bearer, *(("traceparent", value) for value in told)]
                assert (await client.get("/api/quick/7", headers=headers)).status_code == 409
        served = [span for span in there.spans if span["kind"] == 2]
    assert len(served) == len(poison), "the last one asked not to be recorded"
    assert len({span["traceId"] for span in served} - {CLIENT_TRACE}) == len(poison)
    assert {span["parentSpanId"] for span in served} == {""}


async def test_nothing_that_leaves_holds_a_name_a_number_or_a_word_of_a_patient(tmp_path: Path) -> None:
    ward = Ward()
    smuggled = {"tracestate": f"name={quote(CANARY)}", "baggage": f"patient={CPF}", "traceparent": quote(CANARY)}
    async with collector() as there:
        async with traced(tmp_path, [*ROUTES, *ward.routes], there) as (api, tracer):
            await walk(api)
            jobs, failed = JobQueue(api.store, SystemClock(), tracer=tracer), asyncio.Event()

            async def broken(job: Any) -> None:
                failed.set()
                raise LookupError(job.payload["words"])

            jobs.register("note.draft", broken)
            await jobs.start()
            async with api.client(await api.phone(name="Zuleica"), headers=smuggled) as client:
                await client.post(f"/api/patients/{CPF}/notes?name={CPF}", content=CANARY)
                await client.get("/api/patients/Zuleica/conflict")
                jobs.wake()
            async with asyncio.timeout(PATIENCE_S):
                await failed.wait()
            await jobs.stop()
        exported = b"".join(there.bodies).decode() + "".join(there.heads)
        names = {span["name"] for span in there.spans}
        kinds = {span["attributes"].get("error.type") for span in there.spans}
    assert {
        "GET /api/read/{name}",
        "WEBSOCKET /api/talk/{name}",
        "engine echo",
        "job note.draft",
        "store commit",
    } <= names
    assert {"LookupError", "internal", "not_found"} <= kinds, (
        "failures whose texts hold canaries were told by their codes"
    )
    assert [trace for trace in (*TRACES, CPF, "Patient/") if trace in exported] == []


@pytest.mark.parametrize(("hangs", "status"), [(True, "200 OK"), (False, "503 No")])
async def test_requests_are_answered_while_the_collector_is_not(tmp_path: Path, hangs: bool, status: str) -> None:
    async with collector(hangs=hangs, status=status) as there:
        async with (
            traced(tmp_path, Ward().routes, there, queue_spans=3, flush_s=0.0) as (api, _),
            api.client(await api.phone()) as client,
        ):
            await client.get("/api/quick/7")
            await there.until_asked(1)
            answers = [await client.post("/api/patients/7/notes", content="x") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [201] * 5
        assert there.bodies == []


async def test_switched_off_there_is_nothing_around_the_application(tmp_path: Path) -> None:
    async with api_under_test(tmp_path, Ward().routes) as api:
        assert getattr(api.app.asgi, "__self__", None) is api.app
        async with api.client(await api.phone()) as client:
            assert (await client.get("/api/quick/7")).status_code == 409
