"""The plugin's table in ``prontuario.toml``: ``[plugins.medical_images]``."""

from __future__ import annotations

import msgspec


class ImagesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``model`` is a folder with a vision-language model in mlx-vlm's format; without it the plugin offers nothing."""

    model: str | None = None
