"""Reading back finds everything that was acknowledged, over many pages; what is missing, different or unreadable is told."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from appliance.daemon.demo.phone import RefusedError
from bench.soak_readback import lost
from bench.soak_record import MARKS, Ledger, Recording

PAGE = 2
SOUND, PICTURE = b"a recording", b"a picture"


def resource(name: str, mark: str, version: str = "1") -> dict[str, Any]:
    return {"id": name, "meta": {"versionId": version}, "identifier": [{"system": MARKS, "value": mark}]}


class Record:
    """What a node kept, two resources a page."""

    def __init__(self) -> None:
        self.observations = [resource(f"o{number}", str(number)) for number in range(5)]
        self.versions = [resource("p", f"v{number}", str(number)) for number in (3, 2, 1)]
        self.note = {"state": "signed", "version": 4}
        self.bytes = {"/api/dictations/d/audio": SOUND, "/api/images/i/original": PICTURE}

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        if path.startswith("/api/notes/"):
            return self.note
        found = self.versions if path.endswith("_history") else self.observations
        place = int(query.get("_cursor", "0"))
        entries = [{"resource": one} for one in found[place : place + PAGE]]
        link = [{"relation": "self", "url": f"https://node{path}"}]
        if place + PAGE < len(found):
            link.append({"relation": "next", "url": f"https://node{path}?_count=200&_cursor={place + PAGE}"})
        return {"entry": entries, "link": link}

    async def raw(self, path: str) -> bytes:
        if path not in self.bytes:
            raise RefusedError(404, {"code": "not_found"})
        return self.bytes[path]


@pytest.fixture
def record() -> Record:
    return Record()


async def found(record: Record) -> list[str]:
    ledger = Ledger(
        resources={("Observation", "p"): {f"o{number}": str(number) for number in range(5)}},
        versions={"p": {"1": "v1", "2": "v2", "3": "v3"}},
        recordings=[Recording("d", hashlib.sha256(SOUND).hexdigest(), "n", 4)],
        pictures=[("i", hashlib.sha256(PICTURE).hexdigest())],
    )
    assert ledger.writes == 5 + 3 + 2 + 1
    return await lost([record], ledger)  # type: ignore[list-item]


async def test_nothing_is_lost_when_all_pages_hold_it(record: Record) -> None:
    assert await found(record) == []


async def test_a_resource_on_the_last_page_that_is_gone_is_lost(record: Record) -> None:
    del record.observations[4]
    (told,) = await found(record)
    assert told.startswith(f"Observation of p: o4 has the mark {None}")


async def test_a_version_with_another_mark_is_lost(record: Record) -> None:
    record.versions[1] = resource("p", "somebody else's", "2")
    (told,) = await found(record)
    assert "2 has the mark somebody else's" in told


async def test_other_sound_another_picture_and_an_unsigned_note_are_told(record: Record) -> None:
    record.bytes = {"/api/dictations/d/audio": SOUND[:-1], "/api/images/i/original": PICTURE[:-1]}
    record.note = {"state": "reviewed", "version": 3}
    sound, note, picture = await found(record)
    assert "other sound" in sound
    assert "reviewed in version 3" in note
    assert "other bytes" in picture


async def test_what_can_not_be_read_counts_as_lost_and_ends_nothing(record: Record) -> None:
    del record.bytes["/api/images/i/original"]
    (told,) = await found(record)
    assert told.startswith("could not be read back: RefusedError 404")
