"""A face pack's folder opened: the embedder in the format that suits the machine, and the detector's networks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime

from plugins.facenet_auth.engine_alignment import SIDE, VERSION
from plugins.facenet_auth.engine_detector import Mtcnn, Network, Thresholds
from plugins.facenet_auth.messages import EMBEDDING_LENGTH

Array = npt.NDArray[Any]
ONNX: Final = "embedder.onnx"
COREML: Final = "embedder.mlpackage"
DETECTOR: Final = ("pnet.onnx", "rnet.onnx", "onet.onnx")
_OUTPUTS: Final = (["shifts", "odds"], ["shifts", "odds"], ["shifts", "landmarks", "odds"])
_LENGTH_TOLERANCE: Final = 1e-3
_ERRORS_ONLY: Final = 3


class FacePackError(ValueError):
    """The folder holds no face model that this engine can use."""


class PackConfig(msgspec.Struct, frozen=True):
    """``config.json``: what the maker says of the networks. ``alignment`` is the rule by which faces were meant to be cropped."""

    model_type: str
    name: str = "inception-resnet-v1"
    alignment: int = VERSION
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)


class Embedder(Protocol):
    """Turns aligned faces into vectors."""

    def embed(self, faces: Array) -> Array:
        """``faces`` (n, 3, 160, 160) float32, standardised as ``(value - 127.5) / 128``; gives (n, 512) of unit length."""
        ...


class OnnxEmbedder:
    """The embedder through onnxruntime."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def embed(self, faces: Array) -> Array:
        return np.asarray(self._session.run(["embedding"], {"face": faces})[0], np.float32)


def read_config(folder: Path) -> PackConfig:
    """Raises ``FacePackError``, ``OSError``."""
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=PackConfig)
    except msgspec.MsgspecError as error:
        raise FacePackError(f"config.json: {error}") from error
    if config.model_type != "face_verifier":
        raise FacePackError(f"config.json is of a {config.model_type}")
    if config.alignment != VERSION:
        raise FacePackError(f"it needs alignment {config.alignment}, this version has {VERSION}")
    return config


def open_embedder(folder: Path, runtime: str, threads: int) -> tuple[Embedder, str]:
    """The embedder and the name of what runs it; ``runtime`` is "auto", "onnx" or "coreml". "auto": Core ML on a Mac that has it.

    Raises:
        FacePackError: the format is missing, or what it answers is no embedding.
    """
    coreml = runtime == "coreml" or (runtime == "auto" and sys.platform == "darwin" and (folder / COREML).is_dir())
    if coreml:
        from plugins.facenet_auth.engine_coreml import open_coreml

        embedder: Embedder = open_coreml(_existing(folder, COREML))
    else:
        embedder = OnnxEmbedder(session(_existing(folder, ONNX), threads))
    check_embedder(embedder)
    return embedder, "coreml" if coreml else "onnx"


def open_detector(folder: Path, thresholds: tuple[float, float, float], threads: int) -> Mtcnn:
    """The detector. It runs on onnxruntime everywhere: a face is then cropped alike on every machine. Raises ``FacePackError``."""
    networks = [
        _network(session(_existing(folder, name), threads), outputs)
        for name, outputs in zip(DETECTOR, _OUTPUTS, strict=True)
    ]
    return Mtcnn(networks[0], networks[1], networks[2], Thresholds(*thresholds), workers=threads or os.cpu_count() or 1)


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A model that onnxruntime runs on the processor; no library of foreign operators is ever registered. Raises ``FacePackError``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.log_severity_level = _ERRORS_ONLY
    # Threads that wait by spinning would take the cores from what prepares the next picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class but this one
        raise FacePackError(f"{path.name} does not load: {type(error).__name__}") from error


def check_embedder(embedder: Embedder) -> None:
    """Two grey faces through it, together: the shape, the length and the order of the answer. Raises ``FacePackError``."""
    faces = np.stack([np.full((3, SIDE, SIDE), level, np.float32) for level in (0.0, 0.5)])
    answer = embedder.embed(faces)
    if answer.shape != (2, EMBEDDING_LENGTH) or not np.isfinite(answer).all():
        raise FacePackError(f"the embedder answers with shape {answer.shape}")
    if np.abs(np.linalg.norm(answer, axis=1) - 1.0).max() > _LENGTH_TOLERANCE:
        raise FacePackError("the embedder's vectors are not of unit length")


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        raise FacePackError(f"{name} is missing")
    return path


def _network(opened: onnxruntime.InferenceSession, outputs: list[str]) -> Network:
    def run(pictures: Array) -> Sequence[Array]:
        answers: Sequence[Array] = opened.run(outputs, {"picture": pictures})
        return answers

    missing = set(outputs) - {output.name for output in opened.get_outputs()}
    if missing:
        raise FacePackError(f"a detector's network has no output {min(missing)}")
    return run
