"""All that belongs to a patient (FHIR R4 Patient/$everything): the compartment, and who and what it refers to."""

from __future__ import annotations

from typing import Final, cast

from appliance.plugin_api.storage import Query
from appliance.records import repository
from appliance.records.stored import StoredVersion

_ROWS: Final = """
WITH own AS (SELECT row FROM record_head WHERE patient = ? AND deleted = 0),
pointed AS (
    SELECT DISTINCT substr(r.target, 1, instr(r.target, '/') - 1) AS type, substr(r.target, instr(r.target, '/') + 1) AS id
    FROM own CROSS JOIN record_reference r ON r.row = own.row
),
found AS (
    SELECT row FROM own
    UNION
    SELECT h.row FROM pointed CROSS JOIN record_head h ON h.type = pointed.type AND h.id = pointed.id
    WHERE h.deleted = 0 AND h.patient IS NULL
),
page AS MATERIALIZED (
    SELECT h.row, h.type, h.id, h.version, h.last_updated, h.patient, h.seq
    FROM found CROSS JOIN record_head h ON h.row = found.row
    WHERE h.row > ? ORDER BY h.row LIMIT ?
)
SELECT page.row, page.type, page.id, page.version, page.last_updated, page.patient,
    (SELECT CAST(v.body AS BLOB) FROM record_version v WHERE v.seq = page.seq) FROM page
"""


def everything(q: Query, patient_id: str, *, after: int = 0, limit: int = 200) -> list[tuple[int, StoredVersion]]:
    """(place, resource) pairs after place ``after``, in order of creation; resources of other patients never.

    Raises:
        ProntuarioError: ``fhir.not_found`` 404, ``fhir.gone`` 410.
    """
    repository.read_stored(q, "Patient", patient_id)
    found = []
    for one in q.all(_ROWS, (patient_id, after, limit)):
        row, kind, resource_id, version, moment, patient, body = cast(
            "tuple[int, str, str, int, str, str | None, bytes]", tuple(one)
        )
        found.append((row, StoredVersion(kind, resource_id, version, moment, False, patient, body)))
    return found
