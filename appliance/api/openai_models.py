"""``/v1/models``: what the node can compute with, by OpenAI's shape plus the hash that provenance records carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from appliance.api.openai_errors import MODEL_UNKNOWN
from appliance.plugin_api.capabilities import ModelInfo

_MOST_SHOWN = 80
ALIASES = frozenset({"", "default", "whisper-1"})
"""Names that mean "the model that serves here"; older clients cannot be told another name for speech than ``whisper-1``."""


class ModelObject(msgspec.Struct, frozen=True):
    """One model. ``created`` is 0: weights have a hash, not a birthday."""

    id: str
    capability: str
    sha256: str
    ready: bool
    demonstration_model: bool
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "prontuario"


class ModelList(msgspec.Struct, frozen=True):
    """All models."""

    data: list[ModelObject]
    object: Literal["list"] = "list"


def model_object(model: ModelInfo) -> ModelObject:
    """A ``ModelInfo`` in OpenAI's shape."""
    return ModelObject(model.id, model.capability, model.sha256, model.ready, model.demonstration)


def find_model(models: Sequence[ModelInfo], name: str) -> ModelInfo:
    """The model called ``name``. Raises ``model_not_found`` (404)."""
    for model in models:
        if model.id == name:
            return model
    raise MODEL_UNKNOWN(field="model", model=name[:_MOST_SHOWN])


def require_model(models: Sequence[ModelInfo], name: str, capability: str) -> None:
    """Refuse a name that no model of ``capability`` has: an answer never pretends to come from another model."""
    if name not in ALIASES and not any(model.id == name and model.capability == capability for model in models):
        raise MODEL_UNKNOWN(field="model", model=name[:_MOST_SHOWN])
