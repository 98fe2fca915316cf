"""Faces as core tells an administrator, as far as the dashboard shows them."""

from __future__ import annotations

import msgspec


class FaceStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How faces are set up; ``lacks`` is ``plugin``, ``model``, ``loading``, ``threshold`` or empty."""

    enabled: bool
    lacks: str
    model: str
    sha256: str
    model_version: str
    threshold: float | None
    required_for: tuple[str, ...]
    confirmed_s: float
    challenge_s: float
    steps: int


class Rate(msgspec.Struct, frozen=True):
    """Errors among pairs, and the 95 % interval of their share."""

    errors: int
    pairs: int
    share: float
    low: float
    high: float


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What the threshold rests on; ``state`` is ``measured``, ``between``, ``other_model`` or ``none``."""

    state: str = "none"
    at: str = ""
    people: int = 0
    pictures: int = 0
    same_pairs: int = 0
    different_pairs: int = 0
    far: Rate | None = None
    far_at: float = 0.0
    frr: Rate | None = None
    frr_at: float = 0.0
    claimed_far: float | None = None
    confidence: float | None = None


class FacePerson(msgspec.Struct, frozen=True):
    """A person with a template."""

    user_id: str
    username: str
    display_name: str
    role: str
    disabled_at: str | None
    model_version: str
    enrolled_at: str
    consent_version: str
    consent_language: str
    consent_at: str


class EnrolledRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person, and whether they have to enrol again."""

    person: FacePerson
    again: bool


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment or verification that ended; ``code`` is empty when it succeeded."""

    seq: int
    at: str
    kind: str
    username: str
    device: str
    status: int
    code: str


class FacePicture(msgspec.Struct, frozen=True, kw_only=True):
    """All of the page."""

    standing: FaceStanding
    basis: Basis
    enrolled: list[EnrolledRow]
    attempts: list[AttemptRow]
    consent_version: str


class FaceDeleted(msgspec.Struct, frozen=True):
    """Whether there was a template."""

    deleted: bool
