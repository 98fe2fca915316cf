"""Faces for an administrator: ``GET /api/admin/faces``. A template is deleted at ``DELETE /api/users/{id}/face``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.api.admin_faces_shapes import EnrolledRow, FacePicture
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Query, Store
from appliance.security.faces import calibration, consent, overview
from appliance.security.faces.desk import FaceDesk, FaceStanding

TAG: Final = "faces"
RECENT: Final = 50


def admin_face_routes(desk: FaceDesk, store: Store, evaluation: Path) -> list[AnyRoute]:
    """``evaluation``: where ``prontuario faces evaluate`` keeps its figures (``Paths.face_evaluation``)."""

    async def picture(_request: Request) -> Reply:
        standing = desk.standing()
        kept = await asyncio.to_thread(calibration.read, evaluation)
        basis = calibration.basis(kept, standing.sha256, standing.threshold)
        return Reply(body=await store.read(_look(standing, basis)))

    summary = "How faces are set up, what the threshold rests on, who is enrolled, and how recent attempts ended"
    return [Route("GET", "/api/admin/faces", "user.manage", picture, summary, response=FacePicture, tag=TAG)]


def _look(standing: FaceStanding, basis: calibration.Basis) -> Callable[[Query], FacePicture]:
    def look(q: Query) -> FacePicture:
        version = standing.model_version
        rows = [
            EnrolledRow(person=one, again=bool(version) and one.model_version != version)
            for one in overview.enrolled(q)
        ]
        return FacePicture(
            standing=standing, basis=basis, enrolled=rows, attempts=overview.attempts(q, RECENT), consent_version=consent.CURRENT
        )  # fmt: skip

    return look
