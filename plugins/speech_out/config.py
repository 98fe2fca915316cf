"""The plugin's table in ``prontuario.toml``: ``[plugins.speech_out]``."""

from __future__ import annotations

from typing import Annotated

import msgspec


class VoiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``words_per_minute`` is the pace at speed 1. At most ``at_once`` texts are spoken at a time; ``waiting`` more may wait.

    ``stall_s``: a synthesiser that gives no sound for so long is ended.
    """

    words_per_minute: Annotated[int, msgspec.Meta(ge=80, le=250)] = 165
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    waiting: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 64
    stall_s: Annotated[float, msgspec.Meta(ge=1.0, le=60.0)] = 15.0
