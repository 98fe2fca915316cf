"""After the load: is all that was acknowledged there, as it was written? What is not is told in words."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import httpx

from appliance.daemon.demo.phone import FHIR
from bench.soak_phone import FAILED, SoakPhone
from bench.soak_record import Ledger, Recording, mark_of

AT_ONCE = 16
PAGE = "200"


async def lost(phones: Sequence[SoakPhone], ledger: Ledger) -> list[str]:
    """Everything acknowledged that is missing or different."""
    checks: list[Awaitable[list[str]]] = []
    places = iter(range(10**9))

    def phone() -> SoakPhone:
        return phones[next(places) % len(phones)]

    for (kind, patient), expected in ledger.resources.items():
        checks.append(_resources(phone(), kind, patient, expected))
    for patient, expected in ledger.versions.items():
        checks.append(_versions(phone(), patient, expected))
    checks += [_recording(phone(), one) for one in ledger.recordings]
    checks += [_picture(phone(), image, digest) for image, digest in ledger.pictures]
    free = asyncio.Semaphore(AT_ONCE)

    async def checked(check: Awaitable[list[str]]) -> list[str]:
        async with free:
            try:
                return await check
            except FAILED as error:
                return [f"could not be read back: {type(error).__name__} {error}"]

    return [wrong for found in await asyncio.gather(*map(checked, checks)) for wrong in found]


async def _resources(phone: SoakPhone, kind: str, patient: str, expected: dict[str, str]) -> list[str]:
    found = {one["id"]: mark_of(one) async for one in _pages(phone, f"{FHIR}/{kind}", patient=patient)}
    return different(f"{kind} of {patient}", expected, found)


async def _versions(phone: SoakPhone, patient: str, expected: dict[str, str]) -> list[str]:
    pages = _pages(phone, f"{FHIR}/Patient/{patient}/_history")
    found = {one["meta"]["versionId"]: mark_of(one) async for one in pages}
    return different(f"versions of {patient}", expected, found)


def different(what: str, expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """One sentence for each that is not there with its mark."""
    return [
        f"{what}: {key} has the mark {found.get(key)}, acknowledged was {mark}"
        for key, mark in expected.items()
        if found.get(key) != mark
    ]


async def _recording(phone: SoakPhone, taken: Recording) -> list[str]:
    kept = await phone.raw(f"/api/dictations/{taken.dictation}/audio")
    note = await phone.get(f"/api/notes/{taken.note}")
    wrong = []
    if hashlib.sha256(kept).hexdigest() != taken.sha256:
        wrong.append(f"dictation {taken.dictation}: other sound than was sent")
    if note["state"] != "signed" or note["version"] != taken.version:
        wrong.append(f"note {taken.note}: {note['state']} in version {note['version']}, signed was {taken.version}")
    return wrong


async def _picture(phone: SoakPhone, image: str, digest: str) -> list[str]:
    kept = await phone.raw(f"/api/images/{image}/original")
    return [] if hashlib.sha256(kept).hexdigest() == digest else [f"picture {image}: other bytes than were handed in"]


async def _pages(phone: SoakPhone, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
    """Every resource of a search or a history."""
    asked: dict[str, str] | None = {**query, "_count": PAGE}
    while asked is not None:
        bundle = await phone.get(path, **asked)
        for entry in bundle.get("entry", ()):
            if "resource" in entry:
                yield entry["resource"]
        following = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        asked = dict(httpx.URL(following).params) if following else None
