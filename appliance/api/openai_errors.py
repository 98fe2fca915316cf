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
        "Nenhum modelo deste aparelho conversa sobre imagens.",
        "Ative um pacote de image_describer, envie a imagem em /api/images ou descreva-a em texto.",
    ),
    en=(
        "No model of this appliance talks about images.",
        "Activate a pack of image_describer, send the image to /api/images, or describe it in text.",
    ),
)
REMOTE_PICTURE = define(
    "chat.image_remote",
    422,
    pt=(
        "Este aparelho não busca imagens na rede: nada sai do prédio.",
        "Envie a imagem no próprio pedido, como data:image/png;base64,…, ou em /api/images.",
    ),
    en=(
        "This appliance fetches no images from the network: nothing leaves the building.",
        "Send the image in the request itself, as data:image/png;base64,…, or to /api/images.",
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
