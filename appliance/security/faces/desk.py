"""Faces as the API uses them: what waits for the model, and what happens in one transaction.

An attempt has three parts, so that its traces stay whatever becomes of it: ``take`` spends the challenge, remembers the frames and
counts the attempt as wrong; ``learn`` or ``compare`` asks the model and judges; ``enrol`` or ``verify`` settles it, once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

import msgspec

from appliance.config.model import Faces
from appliance.plugin_api.capabilities import FaceDescription, FaceVerifier
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ErrorKind, ProntuarioError
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.security.faces import challenges, confirmations, consent, judging, leaving, templates
from appliance.security.faces.challenges import Caller, Challenge
from appliance.security.faces.confirmations import Confirmation
from appliance.security.faces.errors import (
    CONFIRMATION_REQUIRED,
    ENROL_AGAIN,
    NOT_ENROLLED,
    NOT_READY,
    OFF,
    WAIT,
)
from appliance.security.faces.gestures import Gesture, draw
from appliance.security.faces.judging import Template
from appliance.security.steady_time import SteadyTime
from appliance.security.vault import Vault
from appliance.telemetry.clock import Clock

Purpose = Literal["enrol", "verify"]
_MODEL_WITHIN_S: Final = 30.0
_REFUSED: Final = 403
"""What counts against a person. Every other failure (a blurred picture, a model that is away) tells an attacker nothing."""


class Taken(msgspec.Struct, frozen=True):
    """Frames that came in for a challenge: what they have to show, or the code of the refusal."""

    steps: tuple[Gesture, ...] = ()
    refusal: str = ""


class FaceState(msgspec.Struct, frozen=True):
    """How it stands with a person's face: ``status`` says what they can do now; ``wait_s`` until they may try again."""

    status: Literal["off", "not_ready", "not_enrolled", "enrol_again", "enrolled"]
    enrolled_at: str | None
    wait_s: float
    consent_version: str
    consent_text: str
    consents: list[consent.Consent]


class FaceStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How faces are set up on this node. ``lacks``: what a person can't use them for want of; empty when nothing is missing.

    ``model_version`` and ``sha256`` are empty without a model that is ready; times in seconds.
    """

    enabled: bool
    lacks: Literal["", "plugin", "model", "loading", "threshold"]
    model: str
    sha256: str
    model_version: str
    threshold: float | None
    required_for: tuple[str, ...]
    confirmed_s: float
    challenge_s: float
    steps: int


class FaceDesk:
    """One per node. ``verifier`` gives the face model of the moment, or raises ``capability.unavailable``."""

    def __init__(
        self, store: Store, vault: Vault, clock: Clock, config: Faces, verifier: Callable[[], FaceVerifier]
    ) -> None:
        self._store = store
        self._vault = vault
        self._time = SteadyTime(clock)
        self._config = config
        self._verifier = verifier

    @property
    def required_for(self) -> frozenset[str]:
        """What needs a person who was confirmed anew."""
        return frozenset(self._config.required_for)

    # -- an attempt --------------------------------------------------------------------------------------------------
    def challenge(self, tx: Transaction, caller: Caller, purpose: Purpose) -> Challenge:
        """Hand out what to do.

        Raises:
            ProntuarioError: ``faces.off|not_enrolled|enrol_again`` 409, ``faces.not_ready`` 503, ``faces.wait`` 429.
        """
        model_version = self._ready()[0].model_version()
        self._check_wait(tx, caller.user_id)
        if purpose == "verify":
            _check_enrolled(tx, caller.user_id, model_version)
        steps = draw(self._config.steps)
        nonce = challenges.hand_out(tx, self._time, caller, purpose, steps, lifetime_s=self._config.challenge_s)
        fewest = judging.fewest_frames(len(steps))
        return Challenge(nonce, purpose, steps, self._config.challenge_s, fewest, judging.MOST_FRAMES)

    def take(self, tx: Transaction, caller: Caller, purpose: Purpose, nonce: str, frames: Sequence[bytes]) -> Taken:
        """Spend the challenge and remember the frames. A refusal is a value: its traces must stay.

        Raises:
            ProntuarioError: ``faces.wait`` 429, ``faces.off`` 409: nothing was spent.
        """
        if not self._config.enabled:
            raise OFF()
        self._check_wait(tx, caller.user_id)
        challenges.count_attempt(tx, self._time, caller.user_id)
        replayed = challenges.note_frames(tx, self._time, frames, keep_days=self._config.remember_frames_days)
        steps = challenges.take(tx, self._time, caller, purpose, nonce)
        if isinstance(steps, ErrorKind):
            return Taken(refusal=steps.code)
        return Taken(steps) if replayed is None else Taken(refusal=replayed.code)

    async def learn(self, caller: Caller, nonce: str, frames: Sequence[bytes], steps: Sequence[Gesture]) -> Template:
        """The template of the person in the frames.

        Raises:
            ProntuarioError: see ``judging.enrolment``; ``faces.not_ready`` 503; engine errors.
        """
        try:
            verifier, threshold = self._ready()
            return judging.enrolment(await _describe(verifier, caller.user_id, frames), steps, threshold)
        except ProntuarioError as error:
            await self._forgive_honest(caller, nonce, error)
            raise

    async def compare(self, caller: Caller, nonce: str, frames: Sequence[bytes], steps: Sequence[Gesture]) -> str:
        """That the frames show the person enrolled; when the template that said so was enrolled, for ``verify``.

        Raises:
            ProntuarioError: see ``judging.verification`` and ``templates.find``; ``faces.not_ready`` 503; engine errors.
        """
        try:
            verifier, threshold = self._ready()
            template, enrolled_at = await self._store.read(partial(self._template, caller.user_id))
            judging.verification(await _describe(verifier, caller.user_id, frames), steps, threshold, template)
        except ProntuarioError as error:
            await self._forgive_honest(caller, nonce, error)
            raise
        return enrolled_at

    def enrol(
        self, tx: Transaction, who: Principal, caller: Caller, nonce: str, template: Template, *, language: str
    ) -> FaceState:
        """Keep the template, and that its person agreed; see ``challenges.settle`` for the errors."""
        challenges.settle(tx, self._time, caller, nonce)
        now = self._time.instant()
        consent.give(tx, who.user_id, language=language, device_id=who.device_id, now=now)
        templates.keep(tx, self._vault, who.user_id, template, now=now)
        confirmations.end_faces(tx, who.user_id)
        challenges.forgive(tx, who.user_id)
        return self.state(tx, who.user_id, language)

    def verify(self, tx: Transaction, caller: Caller, nonce: str, enrolled_at: str) -> Confirmation:
        """The session counts as confirmed by face. Raises ``faces.not_enrolled`` when the template went or changed meanwhile."""
        challenges.settle(tx, self._time, caller, nonce)
        enrolled = templates.enrolled(tx, caller.user_id)
        if enrolled is None or enrolled[1] != enrolled_at:
            raise NOT_ENROLLED()
        challenges.forgive(tx, caller.user_id)
        return confirmations.confirm(tx, self._time, caller.session_id, "face", lifetime_s=self._config.confirmed_s)

    # -- besides -----------------------------------------------------------------------------------------------------
    def delete(self, tx: Transaction, user_id: str, *, by: str) -> bool:
        """Take the consent back and destroy the template; whether there was one. What the face confirmed holds no more."""
        return leaving.forget_face(tx, self._vault, user_id, by=by, now=self._time.instant())

    def state(self, q: Query, user_id: str, language: str) -> FaceState:
        """How it stands with a person's face."""
        enrolled = templates.enrolled(q, user_id)
        return FaceState(
            status=self._status(enrolled),
            enrolled_at=None if enrolled is None else enrolled[1],
            wait_s=challenges.must_wait_s(q, self._time, user_id),
            consent_version=consent.CURRENT,
            consent_text=consent.text(language),
            consents=consent.history(q, user_id),
        )

    def standing(self) -> FaceStanding:
        """How faces are set up now; the model is told whether or not they are switched on."""
        config, model, version, threshold = self._config, None, "", None
        lacks: Literal["", "plugin", "model", "loading", "threshold"] = "plugin"
        with contextlib.suppress(ProntuarioError):
            verifier = self._verifier()
            model, version, threshold = verifier.model(), verifier.model_version(), verifier.threshold()
            lacks = "" if threshold is not None else "threshold"
            if not model.ready:
                lacks = "loading" if model.installed else "model"
        return FaceStanding(
            enabled=config.enabled, lacks=lacks, model=model.id if model else "", sha256=model.sha256 if model else "",
            model_version=version, threshold=threshold, required_for=config.required_for, confirmed_s=config.confirmed_s,
            challenge_s=config.challenge_s, steps=config.steps,
        )  # fmt: skip

    def instant(self) -> str:
        """Now, as a FHIR instant."""
        return self._time.instant()

    def confirm_by_password(self, tx: Transaction, session_id: str) -> Confirmation:
        """The session counts as confirmed; the caller has checked the password."""
        return confirmations.confirm(tx, self._time, session_id, "password", lifetime_s=self._config.confirmed_s)

    def confirmation(self, q: Query, session_id: str) -> Confirmation | None:
        """How the session is confirmed now, if it is."""
        return confirmations.current(q, self._time, session_id)

    async def require(self, who: Principal) -> None:
        """Raises ``confirmation.required`` 403 unless the person was confirmed anew a short while ago."""
        if await self._store.read(lambda q: self.confirmation(q, who.session_id)) is None:
            raise CONFIRMATION_REQUIRED()

    # -- inside ------------------------------------------------------------------------------------------------------
    def _ready(self) -> tuple[FaceVerifier, float]:
        if not self._config.enabled:
            raise OFF()
        try:
            verifier = self._verifier()
        except ProntuarioError as error:
            raise NOT_READY(reason=error.kind.code, retry_after=error.retry_after) from error
        threshold = verifier.threshold()
        if threshold is None:
            raise NOT_READY(reason="no threshold was calibrated for it")
        return verifier, threshold

    def _status(
        self, enrolled: tuple[str, str] | None
    ) -> Literal["off", "not_ready", "not_enrolled", "enrol_again", "enrolled"]:
        try:
            version = self._ready()[0].model_version()
        except ProntuarioError as error:
            return "off" if error.kind is OFF else "not_ready"
        if enrolled is None:
            return "not_enrolled"
        return "enrolled" if enrolled[0] == version else "enrol_again"

    def _template(self, user_id: str, q: Query) -> tuple[Template, str]:
        enrolled = templates.enrolled(q, user_id)
        return templates.find(q, self._vault, user_id), "" if enrolled is None else enrolled[1]

    def _check_wait(self, q: Query, user_id: str) -> None:
        wait_s = challenges.must_wait_s(q, self._time, user_id)
        if wait_s > 0:
            raise WAIT(retry_after=wait_s, seconds=math.ceil(wait_s))

    async def _forgive_honest(self, caller: Caller, nonce: str, error: ProntuarioError) -> None:
        if error.kind.status != _REFUSED:
            await self._store.write(lambda tx: challenges.close_untold(tx, self._time, caller.user_id, nonce))


def _check_enrolled(q: Query, user_id: str, model_version: str) -> None:
    enrolled = templates.enrolled(q, user_id)
    if enrolled is None:
        raise NOT_ENROLLED()
    if enrolled[0] != model_version:
        raise ENROL_AGAIN()


async def _describe(verifier: FaceVerifier, user_id: str, frames: Sequence[bytes]) -> FaceDescription:
    call = CallOptions(lane=Lane.URGENT, deadline_s=_MODEL_WITHIN_S, user=user_id)
    description = await verifier.describe(frames, call)
    if len(description.frames) != len(frames):
        raise NOT_READY(reason="not every picture was described")
    return description
