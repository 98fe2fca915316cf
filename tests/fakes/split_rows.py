"""What an old primary wrote beyond the fence, as a comparison leaves it in the review queue: a note, a person, an index, an access."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from appliance.api.admin_review import review_routes
from appliance.cluster.divergence import DivergenceQueue, DivergentRow
from appliance.cluster.model import Position
from appliance.plugin_api.http import AnyRoute
from appliance.plugin_api.storage import Transaction
from appliance.store.database import Database

NOW = datetime(2026, 11, 20, 14, 3, tzinfo=UTC)
WRITTEN = "2026-11-20T13:58:07.000Z"
SECRET = "Febre há três dias, nega alergias"
NOTE: dict[str, Any] = {
    "note_id": "n-17", "version": 2, "content": SECRET, "author": "u-ana", "created_at": WRITTEN,
}  # fmt: skip
PERSON: dict[str, Any] = {
    "id": "u-ana", "username": "ana", "display_name": "Ana Lima", "role": "physician", "password_hash": "$argon2id$old",
    "practitioner_id": None, "created_at": "2026-01-02T03:04:05.000Z", "disabled_at": None,
}  # fmt: skip
RESOURCE: dict[str, Any] = {
    "seq": 4, "type": "Observation", "id": "o-1", "version": 1, "last_updated": WRITTEN, "deleted": 0, "author": "u-ana",
    "body": msgspec.json.encode({"subject": {"reference": "Patient/p-7"}, "valueString": SECRET}).decode(),
}  # fmt: skip
ACCESS: dict[str, Any] = {
    "seq": 9, "body": msgspec.json.encode({"at": WRITTEN, "user_id": "u-ana", "patient": "p-9"}).decode(),
}  # fmt: skip
ROWS = (
    DivergentRow("audit_event", {"seq": 9}, "added", ACCESS, None),
    DivergentRow(
        "record_token", {"rowid": 3}, "added", {"row": 1, "param": "Observation.code", "code": "8480-6"}, None
    ),
    DivergentRow("security_user", {"id": "u-ana"}, "changed", {**PERSON, "disabled_at": WRITTEN}, PERSON),
    DivergentRow("care_note_version", {"note_id": "n-17", "version": 2}, "added", NOTE, None),
    DivergentRow("record_version", {"seq": 4}, "added", RESOURCE, None),
    DivergentRow("care_image", {"id": "i-1"}, "added", None, None),  # too large to travel
)


def routes(store: Database, *_: object) -> list[AnyRoute]:
    return review_routes(store, lambda: NOW)


async def fill(store: Database) -> None:
    """Queue them; of the record there is the person, as she was at the fence, and by now the same observation under another number."""

    def record(tx: Transaction) -> None:
        columns = ", ".join(PERSON)
        tx.execute(
            f"INSERT INTO security_user ({columns}) VALUES ({', '.join('?' * len(PERSON))})", tuple(PERSON.values())
        )
        tx.execute(
            "INSERT INTO record_version (seq, type, id, version, last_updated, deleted, author, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (1, *list(RESOURCE.values())[1:]),
        )

    await store.write(record)
    await DivergenceQueue(store).add("mac-b", Position(3, 17), ROWS, NOW)
