"""Five hundred hostile requests on a whole node with real engines: each is refused by name, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from appliance.api import application, openai_compat
from appliance.plugin_api.errors import catalogue
from plugins.medgemma_chat.provider import MESSAGES, SCHEMA, TOO_LONG
from tests.conftest import RunningNode
from tests.fakes.phone_line import client_context
from tests.system import hostile, spoken

pytestmark = pytest.mark.timeout(600)
CATALOGUED = (application, openai_compat)
"""Importing these declares every code that such a request may be answered with."""
SEED = 20261121
COUNT = 500
AT_ONCE = 6
KNOWN_AFTER_BY_THE_CLIENT = ("body.", "form.", "audio.")


@dataclass(frozen=True)
class Answered:
    """What a hostile request got."""

    asked: hostile.Hostile
    status: int
    error: dict[str, Any]
    headers: dict[str, str]


def session(node: RunningNode) -> httpx.AsyncClient:
    client = node.client_json("physician", "dr.teimoso")
    headers = {"Authorization": f"Bearer {client['token']}", "Accept-Language": "en"}
    return httpx.AsyncClient(base_url=client["api"], verify=client_context(client), headers=headers, timeout=120)


async def answer(http: httpx.AsyncClient, asked: hostile.Hostile) -> Answered:
    reply = await http.post(asked.path, content=asked.body, headers={"Content-Type": asked.content_type})
    try:
        error = reply.json().get("error", {})
    except ValueError:
        error = {}
    return Answered(asked, reply.status_code, error, dict(reply.headers))


def engine_pids(node: RunningNode) -> set[int]:
    """The children in which the models run."""
    everything = psutil.Process(node.process.pid).children(recursive=True)
    return {child.pid for child in everything if "appliance.engines.child" in child.cmdline()}


@dataclass
class Siege:
    """The node before, during and after."""

    answers: list[Answered]
    pids_before: set[int]
    pids_after: set[int]
    said_before: list[str]
    said_after: list[str]


async def say(http: httpx.AsyncClient) -> list[str]:
    """What an honest client is answered, by both models; the same prompt twice, as one that is cached already."""
    body = {"messages": [{"role": "user", "content": "Transcrição:\n[1] Nega febre.\n\nEscreva a nota em JSON."}]}
    chats = [await http.post(hostile.CHAT, json=body | {"max_tokens": 24}) for _ in range(2)]
    heard = await http.post(hostile.SPEECH, files={"file": ("a.flac", spoken.recording(spoken.NAMES[0]))})
    assert [reply.status_code for reply in (*chats, heard)] == [200, 200, 200]
    return [*(chat.json()["choices"][0]["message"]["content"] for chat in chats), heard.json()["text"]]


@pytest.fixture(scope="session")
def siege(running_node: RunningNode) -> Siege:
    async def run() -> Siege:
        await spoken.until_it_hears(running_node)
        gate = asyncio.Semaphore(AT_ONCE)
        async with session(running_node) as http:

            async def one(asked: hostile.Hostile) -> Answered:
                async with gate:
                    return await answer(http, asked)

            before, pids = await say(http), engine_pids(running_node)
            answers = await asyncio.gather(*(one(asked) for asked in hostile.requests(SEED, COUNT)))
            return Siege(list(answers), pids, engine_pids(running_node), before, await say(http))

    return asyncio.run(run())


def test_there_are_500_of_every_kind(siege: Siege) -> None:
    counted = Counter(one.asked.kind for one in siege.answers)
    assert sum(counted.values()) == COUNT
    assert set(counted) == set(hostile.kinds())
    assert len(counted) >= 75


def test_every_one_is_a_clear_4xx_with_a_known_code(siege: Siege) -> None:
    codes = catalogue()
    assert {TOO_LONG.code, MESSAGES.code, SCHEMA.code} <= set(codes)
    wrong = [
        (one.asked.kind, one.status, one.error)
        for one in siege.answers
        if not (
            400 <= one.status < 500 and one.error.get("code") in codes and codes[one.error["code"]].status == one.status
        )
    ]
    assert wrong == []


def test_the_field_is_named(siege: Siege) -> None:
    wrong = [
        (one.asked.kind, one.error)
        for one in siege.answers
        if one.asked.field
        and one.asked.field not in str(one.error.get("param"))
        and not str(one.error.get("code")).startswith(KNOWN_AFTER_BY_THE_CLIENT)
    ]
    assert wrong == []


def test_the_refusal_says_what_to_do_and_repeats_nothing_of_the_request(siege: Siege) -> None:
    for one in siege.answers:
        assert one.error["message"].count(".") >= 2, one.error
        assert len(json.dumps(one.error)) < 2_000, one.asked.kind


def test_no_engine_died_and_both_models_answer_as_before(siege: Siege) -> None:
    assert siege.pids_before
    assert siege.pids_after == siege.pids_before
    assert siege.said_before[0] == siege.said_before[1]
    assert siege.said_after == siege.said_before


def test_the_node_says_that_it_is_well(siege: Siege, running_node: RunningNode) -> None:
    with running_node.http("physician") as http:
        assert http.get("/health/ready").status_code == 200
        models = http.get("/v1/models").json()["data"]
    assert {model["capability"] for model in models if model["ready"]} >= {"speech_to_text", "chat_model"}
