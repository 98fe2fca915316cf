from __future__ import annotations

from typing import Any

import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.records import repository
from appliance.store.database import Database
from appliance.store.sqlite import IntegrityError

T1, T2, T3 = "2026-03-01T10:00:00.000Z", "2026-03-01T10:00:01.000Z", "2026-03-01T10:00:02.000Z"
PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Araújo", "given": ["Bento"]}]}


async def create(database: Database, resource: dict[str, Any], **options: Any) -> dict[str, Any]:
    return await database.write(lambda tx: repository.create(tx, resource, now=T1, **options))


async def code_of(awaitable: Any) -> str:
    with pytest.raises(ProntuarioError) as caught:
        await awaitable
    return caught.value.kind.code


async def test_a_created_resource_is_read_back_with_the_servers_id_and_version(database: Database) -> None:
    created = await create(database, {**PATIENT, "id": "mine", "meta": {"versionId": "9"}}, author="u1")
    assert created["id"] != "mine"
    assert created["meta"] == {"versionId": "1", "lastUpdated": T1}
    read = await database.read(lambda q: repository.read(q, "Patient", created["id"]))
    assert read == created
    assert read["name"] == PATIENT["name"]
