"""Errors in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}`` (API reference, "Error codes")."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from appliance.plugin_api.errors import ProntuarioError, define
from appliance.plugin_api.http import Reply

MODEL_UNKNOWN = define(
    "model_not_found",
    404,
    pt=("O modelo {model} não existe neste servidor.", "Veja os modelos em /v1/models."),
    en=("The model {model} does not exist on this server.", "See the models at /v1/models."),
)
NO_EYES = define(
    "chat.no_eyes",
    422,
    pt=(
        "O modelo de conversa não vê imagens.",
        "Envie a imagem em /api/images e peça a análise, ou descreva-a em texto.",
    ),
    en=(
        "The chat model has no eyes: it takes no images.",
        "Send the image to /api/images for an analysis, or describe it in text.",
    ),
)
FORM_INVALID = define(
    "form.invalid",
    400,
    pt=("O formulário não é válido: {reason}.", "Envie multipart/form-data com o campo file."),
    en=("The form is not valid: {reason}.", "Send multipart/form-data with the field file."),
)
_TYPES: Final = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
_SERVER_ERRORS: Final = 500


def error_object(error: ProntuarioError, language: str) -> dict[str, Any]:
    """The body for ``error``; the message has the sentence and the next step."""
    status = error.kind.status
    kind = "server_error" if status >= _SERVER_ERRORS else _TYPES.get(HTTPStatus(status), "invalid_request_error")
    message = f"{error.sentence(language)} {error.next_step(language)}"
    return {"error": {"message": message, "type": kind, "param": error.field, "code": error.kind.code}}


def render_openai_error(error: ProntuarioError, language: str) -> Reply:
    """The renderer for paths below ``/v1/``."""
    return Reply(error.kind.status, error_object(error, language))
