"""A clinical side in a process of its own, to be killed at any line that it prints. Started again, it goes on.

Usage: ``consult_node.py FOLDER``. Lines: ``missing [...]``, ``ack N``, ``completed``, ``segment N``, ``state NAME``, ``done NOTE``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from appliance.care import dictations
from tests.fakes import sounds
from tests.unit.care.conftest import Ward, ward_at

PARTS = 5


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(folder: Path) -> None:
    async with ward_at(folder) as ward:
        found = await ward.store.read(dictations.find)
        dictation = found[0] if found else await ward.open()
        with ward.consults.broker.subscribe(dictation.id) as subscription:
            teller = asyncio.create_task(tell(subscription))
            await send(ward, dictation.id)
            done = await ward.until(dictation.id, "drafted")
            say("done", done.note_id)
            teller.cancel()


async def tell(subscription: object) -> None:
    async for event in subscription.events():  # type: ignore[attr-defined]
        if event.name in ("segment", "state"):
            say(event.name, event.data.get("number", event.data.get("state")))


async def send(ward: Ward, dictation_id: str) -> None:
    recording = sounds.wav(1.0)
    size = len(recording) // PARTS + 1
    cuts = [recording[start : start + size] for start in range(0, len(recording), size)]
    dictation = await ward.dictation(dictation_id)
    missing = await ward.store.read(lambda q: dictations.missing(q, dictation_id, len(cuts)))
    say("missing", json.dumps(missing))
    if dictation.state != "open":
        return
    ward.doctor = ward.doctor.__class__(**{**as_dict(ward.doctor), "user_id": dictation.author})
    for sequence in missing:
        await ward.send(dictation_id, sequence, cuts[sequence])
        say("ack", sequence)
    await ward.complete(dictation_id, len(cuts))
    say("completed")


def as_dict(principal: object) -> dict[str, object]:
    return {name: getattr(principal, name) for name in principal.__slots__}  # type: ignore[attr-defined]


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
