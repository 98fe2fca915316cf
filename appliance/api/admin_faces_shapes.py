"""JSON shapes of faces for an administrator: how it is set up, who is enrolled, how attempts ended. No field carries a picture."""

from __future__ import annotations

import msgspec

from appliance.security.faces.calibration import Basis
from appliance.security.faces.desk import FaceStanding
from appliance.security.faces.overview import Attempt, Enrolled


class EnrolledRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person with a template; ``again``: it is of another model than the one in use, and does not open any more."""

    person: Enrolled
    again: bool


class FacePicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page of faces shows. ``consent_version``: of the text in force."""

    standing: FaceStanding
    basis: Basis
    enrolled: list[EnrolledRow]
    attempts: list[Attempt]
    consent_version: str
