"""The table ``[plugins.word_mirror]`` of ``prontuario.toml``."""

from __future__ import annotations

import msgspec


class MirrorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``separator`` stands between the words of an answer; ``max_running`` requests share one step of the engine."""

    separator: str = " "
    max_running: int = 8
