"""The abilities of the appliance, as Protocols. A provider is any object that has the methods.

Audio that is heard is always 16 kHz mono signed 16-bit little-endian PCM, in blocks of any length; times are in seconds from the
beginning of the audio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.images import ImageAnalysis, ImageFacts, ImageOptions, LabelSet, PatientClaim, PictureTurn
from appliance.plugin_api.paper import LabReport, PaperFacts, PaperPage

SAMPLE_RATE_HZ = 16_000


class ModelInfo(msgspec.Struct, frozen=True):
    """Which model answers: its name, the SHA-256 of its weights, and whether it is only a demonstration."""

    id: str
    sha256: str
    capability: str
    demonstration: bool
    ready: bool
    vocabulary: bool = False
    """A speech model that was trained with prompts: it gains from ``TranscriptionOptions.prompt``; others are given none."""
    terms: tuple[str, ...] = ()
    """Words that came with the model and that it should expect in everybody's speech; told to it in ``prompt``, like any other."""
    installed: bool = True
    """False: there is no model yet, and waiting brings none; the provider is only here for the first pack."""


# -- speech to text -------------------------------------------------------------------------------------------------
class TranscriptionOptions(msgspec.Struct, frozen=True):
    """``language`` is ISO 639-1; ``prompt`` is a vocabulary hint (drug and personal names).

    ``partials``: also give provisional segments (``final`` False) of the utterance that is being spoken. ``skip_until``, in seconds:
    utterances that begin before it are known already and are not wanted again.
    """

    language: str = "pt"
    prompt: str = ""
    word_times: bool = False
    temperature: float = 0.0
    partials: bool = False
    skip_until: float = 0.0


class Word(msgspec.Struct, frozen=True):
    """One word and when it was said."""

    text: str
    start: float
    end: float
    probability: float


class Segment(msgspec.Struct, frozen=True):
    """One utterance. ``confidence`` is the mean token probability, 0 to 1. What is ``final`` never changes."""

    start: float
    end: float
    text: str
    confidence: float
    words: tuple[Word, ...] = ()
    language: str = ""
    """ISO 639-1, where the model tells."""
    final: bool = True


@runtime_checkable
class SpeechToText(Protocol):
    """Turns speech into text."""

    def model(self) -> ModelInfo: ...

    def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncIterator[Segment]:
        """Segments in order of time, as they become final. Silence, tones and noise yield none."""
        ...


# -- language -------------------------------------------------------------------------------------------------------
class ChatMessage(msgspec.Struct, frozen=True):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatOptions(msgspec.Struct, frozen=True):
    """Sampling. ``temperature`` 0 is greedy; ``json_schema`` constrains the answer to valid JSON of that schema."""

    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    top_logprobs: int | None = None
    """None: no log-probabilities; 0 to 20: those of each token, and of so many likelier or next likely ones."""
    public_system: bool = False
    """The system message is the product's own and holds nothing of a person: its cache may serve everybody."""


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """A token of the answer and its natural log-probability; ``top`` lists the likeliest ones, itself included or not."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class ChatDelta(msgspec.Struct, frozen=True):
    """A piece of the answer. The last one has ``finish_reason`` and the token counts."""

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@runtime_checkable
class ChatModel(Protocol):
    """Answers a conversation."""

    def model(self) -> ModelInfo: ...

    def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncIterator[ChatDelta]:
        """The answer in pieces; closing the iterator cancels it.

        Raises:
            ProntuarioError: ``chat.context_too_long`` (422), ``chat.schema`` (422), engine errors.
        """
        ...


# -- text to speech -------------------------------------------------------------------------------------------------
VOICE_RATE_HZ = 24_000
"""What a voice gives: mono signed 16-bit little-endian PCM at this rate, which is also what OpenAI's ``pcm`` means."""


class VoiceOptions(msgspec.Struct, frozen=True):
    """How to say it. ``voice`` empty: the provider's own choice; ``speed`` 1 is its normal pace, 2 twice as fast."""

    voice: str = ""
    speed: float = 1.0


@runtime_checkable
class TextToSpeech(Protocol):
    """Reads a text aloud. It never says another number than the text has."""

    def model(self) -> ModelInfo: ...

    def voices(self) -> Sequence[str]:
        """Names for ``VoiceOptions.voice``, the provider's own choice first."""
        ...

    def speak(self, text: str, options: VoiceOptions, call: CallOptions) -> AsyncIterator[bytes]:
        """PCM as ``VOICE_RATE_HZ`` says, in blocks of whole samples, as it is made; closing the iterator ends it at once.

        Raises:
            ProntuarioError: ``invalid`` (422) for a text or voice that can't be said, ``busy`` (429), ``voice.failed`` (503).
        """
        ...


# -- faces ----------------------------------------------------------------------------------------------------------
FaceProblem = Literal["", "none", "several", "too_small", "blurred", "unreadable"]
"""Why a picture has no embedding: no face, more than one, one too small or too blurred, or no picture at all."""


class DescribedFace(msgspec.Struct, frozen=True, array_like=True):
    """Where one face is in a picture and how it is turned.

    ``box`` is (left, top, right, bottom) in pixels of the upright picture; ``score`` is the detector's confidence, 0 to 1. Angles are
    in degrees, estimated from this picture alone, so trust their change from frame to frame: ``yaw`` grows as the person turns the
    head to their own left, ``pitch`` as they raise the chin.
    """

    box: tuple[float, float, float, float]
    score: float
    yaw: float
    pitch: float


class FrameFaces(msgspec.Struct, frozen=True, array_like=True):
    """One picture: its size in pixels, its faces, largest first, and the embedding of the largest, or the ``problem``.

    ``embedding`` is little-endian float32 of Euclidean length 1, as many values for every face of a model; two faces are compared
    by the Euclidean distance, 0 (same) to 2. Exactly one of ``embedding`` and ``problem`` is empty.
    """

    width: int
    height: int
    faces: tuple[DescribedFace, ...] = ()
    embedding: bytes = b""
    problem: FaceProblem = ""


class FaceDescription(msgspec.Struct, frozen=True):
    """What a model saw in a row of pictures, in their order.

    ``model_version`` names the embedding space: it changes whenever embeddings of before are no longer comparable (other
    weights, other alignment), and then everybody enrols again. It is made of the model's name and its weights' SHA-256.
    """

    model_version: str
    frames: tuple[FrameFaces, ...]


@runtime_checkable
class FaceVerifier(Protocol):
    """Describes faces; whether two are the same person's is decided by the appliance (1:1 only, never the only factor)."""

    def model(self) -> ModelInfo: ...

    def model_version(self) -> str:
        """As in ``FaceDescription``; empty while no model is ready."""
        ...

    def threshold(self) -> float | None:
        """The largest distance at which two faces are taken for one person's, calibrated for this model; None: not calibrated."""
        ...

    async def describe(self, frames: Sequence[bytes], call: CallOptions) -> FaceDescription:
        """Find, align and embed the faces of up to 16 JPEG or PNG pictures. Nothing of a picture is kept, not even in a log.

        Raises:
            ProntuarioError: engine errors. A picture that can't be used is an answer with a ``problem``, not an error.
        """
        ...


# -- paper ----------------------------------------------------------------------------------------------------------
@runtime_checkable
class DocumentReader(Protocol):
    """Reads PDF files and photographs of paper (JPEG, PNG, HEIC). It never puts right what it reads."""

    def model(self) -> ModelInfo: ...

    async def inspect(self, document: bytes, call: CallOptions) -> PaperFacts:
        """What ``document`` is; without reading it, so that a hopeless one is refused when it is handed in.

        Raises:
            ProntuarioError: ``document.unsupported`` (415), ``document.encrypted``, ``document.damaged`` (422),
                ``document.too_large`` (413); ``document.reader_failed`` (503).
        """
        ...

    def read(self, document: bytes, call: CallOptions) -> AsyncIterator[PaperPage]:
        """Every page in order; closing the iterator ends the work at once.

        Raises:
            ProntuarioError: as ``inspect``; ``document.no_recogniser`` (503) when a page is a picture and nothing here can
                read pictures.
        """
        ...

    def lab_report(self, pages: Sequence[PaperPage]) -> LabReport:
        """The laboratory values on ``pages``, as proposals only. Pure; the same pages give the same report."""
        ...


# -- pictures -------------------------------------------------------------------------------------------------------
@runtime_checkable
class ImageReader(Protocol):
    """Opens medical picture files (DICOM, JPEG, PNG, HEIC) where a hostile one can hurt nobody. It needs no model of its own.

    ``image`` is a file on this node, kept by the caller until the call ends. Every method raises
    ``ProntuarioError``: ``image.unsupported`` (415), ``image.damaged`` (422), ``image.too_large`` (413), ``image.no_pixels`` (422),
    ``image.wrong_patient`` (409, when a claim is given and the header names somebody else), ``image.frame`` (404), engine errors.
    """

    def model(self) -> ModelInfo: ...

    async def inspect(self, image: Path, claim: PatientClaim | None, call: CallOptions) -> ImageFacts:
        """What the picture is; its first frame is decoded, so that a hopeless one is refused when it is handed in."""
        ...

    async def png(self, image: Path, frame: int, longest_side: int, call: CallOptions) -> bytes:
        """One frame for the eye, windowed and upright, at most ``longest_side`` pixels long."""
        ...


@runtime_checkable
class ImageAnalyser(Protocol):
    """Scores findings in a medical picture; never a diagnosis."""

    def model(self) -> ModelInfo: ...

    def label_sets(self) -> Sequence[LabelSet]:
        """What ``ImageOptions.label_set`` may be, the provider's own choice first; none while the model is not ready."""
        ...

    async def analyse(self, image: Path, options: ImageOptions, call: CallOptions) -> ImageAnalysis:
        """Look at the picture; ``image`` as for ``ImageReader``.

        Raises:
            ProntuarioError: as ``ImageReader``; ``image.label_set``, ``image.label`` (404), engine errors.
        """
        ...


@runtime_checkable
class ImageDescriber(Protocol):
    """Puts into words what a medical picture shows; never a diagnosis."""

    def model(self) -> ModelInfo: ...

    def chat(self, turns: Sequence[PictureTurn], max_tokens: int, call: CallOptions) -> AsyncIterator[ChatDelta]:
        """Go on with a conversation about at least one picture, always with the likeliest next word.

        The last piece has the ``finish_reason`` and the counts; closing the iterator cancels the answer.

        Raises:
            ProntuarioError: as ``ImageReader``; ``image.conversation``, ``image.conversation_too_long`` (422), engine errors.
        """
        ...


# -- the cloud ------------------------------------------------------------------------------------------------------
@runtime_checkable
class CloudSync(Protocol):
    """Mirrors the record outside, where the phase allows it."""

    def configured(self) -> bool: ...


CAPABILITIES: dict[str, type] = {
    "speech_to_text": SpeechToText,
    "chat_model": ChatModel,
    "text_to_speech": TextToSpeech,
    "document_reader": DocumentReader,
    "image_reader": ImageReader,
    "image_analyser": ImageAnalyser,
    "image_describer": ImageDescriber,
    "face_verifier": FaceVerifier,
    "cloud_sync": CloudSync,
}
"""Capability names as used in ``prontuario.toml`` and by ``register_providers``."""
