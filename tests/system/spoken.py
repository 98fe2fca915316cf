"""What tests of spoken consults share: the samples with their gold files, and clinicians who dictate them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, TypeVar

from appliance.daemon.demo.gold import SUFFIX, Gold, decode_gold
from appliance.daemon.demo.phone import Phone
from tests.conftest import RunningNode

SAMPLE = files("appliance.daemon") / "sample"
NAMES = ("consult", "consult_2")
WORST_WER = 0.05
READY_S = 240.0
FactRow = tuple[str, str, str | None, bool, str | None, tuple[int, ...]]
T = TypeVar("T")


def gold(name: str) -> Gold:
    return decode_gold((SAMPLE / f"{name}{SUFFIX}").read_bytes())


def recording(name: str) -> bytes:
    return (SAMPLE / f"{name}.flac").read_bytes()


def gold_facts(name: str) -> list[FactRow]:
    """Every fact that was said, with the segments that carry it."""
    return sorted(
        [(f.kind, f.name, f.value, f.negated, f.laterality, f.segments) for f in gold(name).note.facts], key=repr
    )


def note_facts(note: dict[str, Any]) -> list[FactRow]:
    """The same of a note as the API gives it."""
    keys = ("kind", "name", "value", "negated", "laterality")
    return sorted([(*(fact[key] for key in keys), tuple(fact["segments"])) for fact in note["facts"]], key=repr)


def note_sentences(note: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Text → segments of every sentence of a note."""
    return {
        sentence["text"]: tuple(sentence["segments"])
        for section in note["sections"]
        for sentence in section["sentences"]
    }


async def until_it_hears(node: RunningNode) -> None:
    """A node serves before its models are loaded."""
    async with asyncio.timeout(READY_S):
        while True:
            with node.http("physician") as http:
                models = http.get("/v1/models").json()["data"]
            if any(model["capability"] == "speech_to_text" and model["ready"] for model in models):
                return
            await asyncio.sleep(0.2)


def by_phone(node: RunningNode, user: str, call: Callable[[Phone], Awaitable[T]]) -> T:
    """Run ``call`` with that physician's phone."""

    async def run() -> T:
        phone = Phone(node.client_json("physician", user))
        try:
            return await call(phone)
        finally:
            await phone.close()

    return asyncio.run(run())
