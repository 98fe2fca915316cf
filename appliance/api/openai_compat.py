"""The OpenAI-compatible doors: ``/v1/chat/completions``, ``/v1/audio/transcriptions``, ``/v1/audio/speech``, ``/v1/models``.

Shapes follow the OpenAI API reference, so that its official clients work unchanged. Added to every answer where it applies:
``"demonstration_model": true`` (the weights are a demonstration, never for care) and ``"degraded": true`` (a second choice
answered).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from appliance.api.openai_chat import ChatCompletions
from appliance.api.openai_errors import render_openai_error
from appliance.api.openai_models import ModelList, ModelObject, find_model, model_object
from appliance.api.openai_shapes import ChatCompletionRequest
from appliance.api.openai_speech import Speech, SpeechRequest
from appliance.api.openai_transcriptions import Transcriptions
from appliance.care.ai_switches import Function, require
from appliance.plugin_api.http import AnyRoute, Handler, Reply, Request, Route
from appliance.plugin_api.storage import Store
from appliance.plugin_host.choice import Abilities

__all__ = ["OPENAI_PREFIX", "render_openai_error", "routes"]

OPENAI_PREFIX: Final = "/v1/"
"""Errors below this prefix take OpenAI's shape: ``build_application(…, renderers={OPENAI_PREFIX: render_openai_error})``."""
_TAG: Final = "OpenAI-compatible"
_MAX_AUDIO_BYTES: Final = 512 << 20
_UPLOAD_S: Final = 600.0
_MAX_HOURS: Final = 2.0


def routes(
    abilities: Abilities,
    *,
    spool: Path | None = None,
    max_audio_bytes: int = _MAX_AUDIO_BYTES,
    max_hours: float = _MAX_HOURS,
    now: Callable[[], float] | None = None,
    store: Store | None = None,
) -> list[AnyRoute]:
    """The routes. ``spool`` is a private folder for an upload while it is decoded; ``now`` gives Unix seconds.

    With ``store`` the switches in it hold here too: a function that is off is refused with ``ai.switched_off``.
    """
    chat = ChatCompletions(abilities, now, spool=spool, store=store)
    speech = Transcriptions(abilities, spool=spool, max_audio_bytes=max_audio_bytes, max_hours=max_hours)

    async def list_models(_request: Request) -> Reply:
        return Reply(body=ModelList([model_object(model) for model in abilities.models()]))

    async def one_model(request: Request) -> Reply:
        return Reply(body=model_object(find_model(abilities.models(), request.parameters["model"])))

    return [
        Route(
            "POST",
            "/v1/chat/completions",
            "ai.chat",
            _switched(store, "chat", chat.create),
            "Answer a conversation; a stream that waits tells its place in comments",
            ChatCompletionRequest,
            dict[str, Any],
            _TAG,
        ),
        Route(
            "POST",
            "/v1/audio/transcriptions",
            "ai.transcribe",
            _switched(store, "transcription", speech.create),
            "Turn speech into text (multipart/form-data)",
            response=dict[str, Any],
            tag=_TAG,
            max_body_bytes=max_audio_bytes,
            body_timeout_s=_UPLOAD_S,
        ),
        Route(
            "POST",
            "/v1/audio/speech",
            "ai.speak",
            Speech(abilities).create,
            "Read a text aloud, streamed",
            SpeechRequest,
            tag=_TAG,
        ),
        Route("GET", "/v1/models", "model.read", list_models, "The models of this node", response=ModelList, tag=_TAG),
        Route("GET", "/v1/models/{model}", "model.read", one_model, "One model", response=ModelObject, tag=_TAG),
    ]


def _switched(store: Store | None, function: Function, handler: Handler) -> Handler:
    if store is None:
        return handler

    async def create(request: Request) -> Reply:
        await store.read(partial(require, function=function, user_id=request.principal.user_id))
        return await handler(request)

    return create
