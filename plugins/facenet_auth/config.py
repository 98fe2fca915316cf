"""The plugin's table in ``prontuario.toml``: ``[plugins.facenet_auth]``."""

from __future__ import annotations

from typing import Annotated

import msgspec


class FaceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``model`` is a face embedding model (.mlpackage or .onnx); ``threshold`` is the largest accepted distance, 0 to 2.

    Without a model, or without a threshold calibrated for it, the plugin offers nothing.
    """

    model: str | None = None
    threshold: Annotated[float, msgspec.Meta(gt=0.0, lt=2.0)] | None = None
