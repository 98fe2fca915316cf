"""The newest resources of one type in a patient's compartment."""

from __future__ import annotations

from typing import Final, cast

from appliance.plugin_api.storage import Query
from appliance.records.stored import StoredVersion

_ROWS: Final = """
SELECT h.type, h.id, h.version, h.last_updated, h.patient, CAST(v.body AS BLOB)
FROM record_head h CROSS JOIN record_version v ON v.seq = h.seq
WHERE h.patient = ? AND h.type = ? AND h.deleted = 0 ORDER BY h.sort_date DESC, h.row DESC LIMIT ?
"""


def recent(q: Query, patient_id: str, resource_type: str, limit: int) -> list[StoredVersion]:
    """Current versions, newest clinical date first; deleted ones and other patients' never."""
    found = []
    for row in q.all(_ROWS, (patient_id, resource_type, limit)):
        kind, resource_id, version, moment, patient, body = cast("tuple[str, str, int, str, str, bytes]", tuple(row))
        found.append(StoredVersion(kind, resource_id, version, moment, False, patient, body))
    return found
