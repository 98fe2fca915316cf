"""The plugin's table in ``prontuario.toml``: ``[plugins.whisper_stt]``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class WhisperConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How speech is turned into text. Times in seconds.

    ``model`` is a folder in mlx-whisper's format; without it the active pack of ``speech_to_text`` is used, and without
    a pack the demonstration. ``precision`` "auto" computes in fp32 on a CPU and as stored on a GPU.
    ``vocabulary`` says whether the model knows prompts: Whisper's own weights do, some that were tuned to a language do not. Then the
    names, drugs and allergies of the patient who is spoken about are given to it as a hint. The demonstration is given none.
    What repeats itself or is a mere guess is decoded again at each of ``fallback_temperatures`` until it stands.
    """

    model: str | None = None
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    max_utterance_s: Annotated[float, msgspec.Meta(ge=2.0, le=29.0)] = 28.0
    pause_s: Annotated[float, msgspec.Meta(ge=0.1, le=2.0)] = 0.35
    no_speech_threshold: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.6
    fallback_temperatures: Annotated[
        tuple[Annotated[float, msgspec.Meta(gt=0.0, le=1.0)], ...], msgspec.Meta(max_length=5)
    ] = (
        0.2,
        0.4,
    )
    vocabulary: bool = True
    precision: Literal["auto", "fp32", "stored"] = "auto"
