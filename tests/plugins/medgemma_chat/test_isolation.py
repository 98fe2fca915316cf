"""Nothing of one patient ever reaches another's answer: two hundred at once, caches on, cancels and kills in between."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.capabilities import ChatMessage, ChatModel, ChatOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from plugins.medgemma_chat.config import ChatConfig
from plugins.medgemma_chat.plugin import plugin
from tests.checkpoints.gemma import make_tiny_gemma
from tests.plugins.children import running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
CONVERSATIONS = 200
TOKENS = 12


@dataclass(frozen=True)
class Conversation:
    number: int

    @property
    def canary(self) -> str:
        return f"segredo{self.number * 7919 % 100_000:05}"

    @property
    def messages(self) -> list[ChatMessage]:
        rng = random.Random(self.number)
        history = " ".join(rng.choice(["tosse", "febre", "dor", "nega", "mg"]) for _ in range(rng.randrange(2, 60)))
        return [ChatMessage("user", f"{self.canary} {history} {self.canary}")]

    @property
    def call(self) -> CallOptions:
        # Four people, fifty patients: neighbours share a user, and some share a patient, but never a secret.
        return CallOptions(user=f"u{self.number % 4}", patient=f"p{self.number % 50}", deadline_s=200)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chat(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[EngineSupervisor, ChatModel]]:
    folder = tmp_path_factory.mktemp("isolation")
    config = ChatConfig(
        model=str(make_tiny_gemma(folder / "tiny")), piece_every_s=0, context_tokens=512, prefix_mib=32, stall_s=0.01
    )
    async with running(plugin, config, folder) as pair:
        yield pair


async def said(model: ChatModel, one: Conversation) -> str:
    return "".join([delta.text async for delta in model.chat(one.messages, ChatOptions(max_tokens=TOKENS), one.call)])


async def left_early(model: ChatModel, one: Conversation) -> None:
    stream = model.chat(one.messages, ChatOptions(max_tokens=TOKENS), one.call)
    try:
        await anext(stream)
    except (StopAsyncIteration, ProntuarioError):
        return
    finally:
        await stream.aclose()


async def test_two_hundred_secrets_stay_where_they_belong(
    chat: tuple[EngineSupervisor, ChatModel], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    engine, model = chat
    caplog.set_level(logging.DEBUG)
    everyone = [Conversation(number) for number in range(CONVERSATIONS)]
    alone = {one: await said(model, one) for one in everyone}
    assert len(set(alone.values())) > CONVERSATIONS // 2
    rng = random.Random(1)
    tasks: dict[asyncio.Task[str], Conversation] = {}
    leavers = []
    for number, one in enumerate(rng.sample(everyone, CONVERSATIONS)):
        tasks[asyncio.create_task(said(model, one))] = one
        if number % 5 == 0:
            leavers.append(asyncio.create_task(left_early(model, rng.choice(everyone))))
        if number in {60, 140}:
            await asyncio.sleep(0.3)
            kill(engine)
    await asyncio.wait([*tasks, *leavers])
    answered = 0
    for task, one in tasks.items():
        error = task.exception()
        if error is None:
            assert task.result() == alone[one]
            answered += 1
        else:
            assert isinstance(error, ProntuarioError)
            assert one.canary not in str(error)
    assert answered > CONVERSATIONS // 2
    assert engine.restarts >= 1
    assert {one: await said(model, one) for one in everyone[::9]} == {one: alone[one] for one in everyone[::9]}
    written = caplog.text + "".join(capfd.readouterr()) + str(engine.stats)
    assert not [one.canary for one in everyone if one.canary in written]


def kill(engine: EngineSupervisor) -> None:
    if engine.pid:
        os.kill(engine.pid, signal.SIGKILL)
