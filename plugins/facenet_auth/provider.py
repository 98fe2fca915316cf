"""The core's half: the ability ``face_verifier``, over the engine's child. Nothing is compared or kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from appliance.plugin_api.capabilities import DescribedFace, FaceDescription, FaceProblem, FrameFaces, ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus
from appliance.plugin_api.errors import UNAVAILABLE
from appliance.plugin_api.messages import Loaded
from plugins.facenet_auth.config import FaceConfig
from plugins.facenet_auth.messages import (
    BAD_IMAGE,
    EXAMINE,
    NO_FACE,
    SEVERAL_FACES,
    TOO_BLURRED,
    TOO_SMALL,
    Examine,
    Examined,
    Frame,
    FrameAnswer,
    Limits,
)

CAPABILITY: Final = "face_verifier"
_PROBLEMS: Final[dict[str, FaceProblem]] = {
    "": "",
    NO_FACE: "none",
    SEVERAL_FACES: "several",
    TOO_SMALL: "too_small",
    TOO_BLURRED: "blurred",
    BAD_IMAGE: "unreadable",
}
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Examined)


class FacenetVerifier:
    """A ``FaceVerifier`` over one engine child; without an engine (no pack is active) it is never ready."""

    def __init__(self, engine: EngineHandle | None, config: FaceConfig) -> None:
        self._engine = engine
        self._config = config

    def model(self) -> ModelInfo:
        loaded = self._loaded()
        if loaded is None:
            installed = self._engine is not None
            return ModelInfo("facenet", "", CAPABILITY, demonstration=False, ready=False, installed=installed)
        return ModelInfo(
            loaded.model_id, loaded.model_sha256, CAPABILITY, demonstration=loaded.demonstration, ready=True
        )

    def model_version(self) -> str:
        """See ``FaceVerifier.model_version``."""
        loaded = self._loaded()
        return "" if loaded is None else f"{loaded.model_id}@{loaded.model_sha256}"

    def threshold(self) -> float | None:
        """The configured threshold, as long as the model is the one it was calibrated for."""
        loaded, calibrated_for = self._loaded(), self._config.calibrated_for
        if loaded is None or not calibrated_for or not loaded.model_sha256.startswith(calibrated_for):
            return None
        return self._config.threshold

    async def describe(self, frames: Sequence[bytes], call: CallOptions) -> FaceDescription:
        """See ``FaceVerifier.describe``.

        Raises:
            ProntuarioError: ``unavailable`` 503 without a model, or when it was exchanged meanwhile; engine errors.
        """
        before = self.model_version()
        if self._engine is None or not before:
            raise UNAVAILABLE(what="face_verifier")
        limits = Limits(smallest_px=self._config.smallest_px, sharpness=self._config.sharpness)
        asked = Examine(tuple(Frame(bytes(frame)) for frame in frames), limits)
        answer = b""
        async for payload in self._engine.submit(EXAMINE, _encoder.encode(asked), call):
            answer = payload
        if self.model_version() != before:
            raise UNAVAILABLE(what="face_verifier")
        return FaceDescription(before, tuple(_frame(frame) for frame in _decoder.decode(answer).frames))

    def _loaded(self) -> Loaded | None:
        if self._engine is None or self._engine.status is not EngineStatus.READY:
            return None
        return self._engine.loaded


def _frame(answer: FrameAnswer) -> FrameFaces:
    faces = tuple(DescribedFace(face.box, face.score, face.yaw, face.pitch) for face in answer.faces)
    return FrameFaces(answer.width, answer.height, faces, answer.embedding, _PROBLEMS[answer.problem])
