"""One version of a resource, as it lies in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from appliance.records import json_text


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version as it lies in the store. ``body`` is the resource's JSON text, empty for a deletion."""

    type: str
    id: str
    version: int
    last_updated: str
    deleted: bool
    patient: str | None
    body: bytes

    def resource(self) -> dict[str, Any]:
        """The decoded resource."""
        return cast("dict[str, Any]", json_text.decode(self.body))
