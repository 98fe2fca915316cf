"""JSON shapes of faces and confirmations."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from appliance.security.faces.confirmations import Confirmation

MOST_PICTURE_BYTES = 1_000_000
MOST_FRAMES = 16

Picture = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MOST_PICTURE_BYTES)]
"""A JPEG or PNG file; base64 in JSON."""
Nonce = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Frames = Annotated[tuple[Picture, ...], msgspec.Meta(min_length=1, max_length=MOST_FRAMES)]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class ChallengeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What the frames shall be for."""

    purpose: Literal["enrol", "verify"]


class Agreement(msgspec.Struct, forbid_unknown_fields=True):
    """That the person agreed to the consent text of this version, which they were shown."""

    text_version: Annotated[str, msgspec.Meta(max_length=16)]
    agreed: bool


class FaceEnrolment(msgspec.Struct, forbid_unknown_fields=True):
    """Frames for a challenge, in the order in which they were taken: straight, the gestures, straight."""

    nonce: Nonce
    frames: Frames
    consent: Agreement
    current_password: Password


class FaceVerification(msgspec.Struct, forbid_unknown_fields=True):
    """Frames for a challenge, as in enrolment."""

    nonce: Nonce
    frames: Frames


class PasswordConfirmation(msgspec.Struct, forbid_unknown_fields=True):
    """The password of the person whose session it is."""

    current_password: Password


class ConfirmationState(msgspec.Struct):
    """How this session is confirmed now (null: it is not), and what needs it."""

    confirmation: Confirmation | None
    required_for: tuple[str, ...]


class FaceDeleted(msgspec.Struct):
    """Whether there was a template; now there is none."""

    deleted: bool
