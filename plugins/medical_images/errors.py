"""What can be wrong with a picture, in sentences for the person who sent it. The codes come from the reader's child."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from appliance.plugin_api.errors import ErrorKind, ProntuarioError, define
from plugins.medical_images.messages import BAD_CONVERSATION, TOO_LONG, UNKNOWN_LABEL, UNKNOWN_LABEL_SET, Refusal

UNSUPPORTED = define(
    "image.unsupported",
    415,
    pt=(
        "Este tipo de imagem não é lido aqui: {what}.",
        "Envie DICOM, JPEG, PNG ou HEIC, ou exporte de novo no aparelho.",
    ),
    en=("This kind of image is not read here: {what}.", "Send DICOM, JPEG, PNG or HEIC, or export it again."),
)
DAMAGED = define(
    "image.damaged",
    422,
    pt=("A imagem está danificada ou incompleta ({what}).", "Nada foi guardado. Exporte e envie de novo."),
    en=("The image is damaged or incomplete ({what}).", "Nothing was kept. Export it and send it again."),
)
TOO_LARGE = define(
    "image.too_large",
    413,
    pt=("A imagem é grande demais: {what}; o limite é {limit}.", "Envie uma versão menor ou menos quadros."),
    en=("The image is too large: {what}; the limit is {limit}.", "Send a smaller version or fewer frames."),
)
NO_PIXELS = define(
    "image.no_pixels",
    422,
    pt=("Este arquivo DICOM não traz imagem.", "Envie o arquivo que contém os pixels do exame."),
    en=("This DICOM file holds no picture.", "Send the file that has the study's pixels."),
)
WRONG_PATIENT = define(
    "image.wrong_patient",
    409,
    pt=("A imagem diz ser de outro paciente ({what} não confere).", "Confira o paciente e o exame; nada foi guardado."),
    en=(
        "The image says that it is another patient's ({what} differs).",
        "Check the patient and the study; nothing was kept.",
    ),
)
NO_SUCH_FRAME = define(
    "image.frame",
    404,
    pt=("Não há o quadro {frame}: a imagem tem {frames}.", "Conte os quadros a partir de 0."),
    en=("There is no frame {frame}: the image has {frames}.", "Count frames from 0."),
)
LABEL_SET = define(
    UNKNOWN_LABEL_SET,
    404,
    pt=("Não há o conjunto de achados {name}.", "Escolha um dos conjuntos do modelo ativo."),
    en=("There is no label set {name}.", "Choose one of the active model's label sets."),
)
LABEL = define(
    UNKNOWN_LABEL,
    404,
    pt=("O conjunto não tem o achado {name}.", "Escolha um achado do conjunto."),
    en=("The label set has no label {name}.", "Choose a label of the set."),
)
CONVERSATION = define(
    BAD_CONVERSATION,
    422,
    pt=(
        "A conversa sobre a imagem está vazia ou seus papéis estão fora de ordem.",
        "Alterne usuário e assistente e termine no usuário.",
    ),
    en=(
        "The conversation about the image is empty or its roles are out of order.",
        "Alternate user and assistant and end with the user.",
    ),
)
CONVERSATION_TOO_LONG = define(
    TOO_LONG,
    422,
    pt=("A conversa sobre a imagem não cabe no modelo.", "Envie menos texto ou menos imagens."),
    en=("The conversation about the image does not fit the model.", "Send less text or fewer images."),
)
_KINDS: Final[Mapping[str, ErrorKind]] = {
    kind.code: kind for kind in (UNSUPPORTED, DAMAGED, TOO_LARGE, NO_PIXELS, WRONG_PATIENT, NO_SUCH_FRAME)
}


def refused(refusal: Refusal) -> ProntuarioError:
    """The error that a reader's refusal stands for."""
    details: dict[str, Any] = {**refusal.details}
    return _KINDS.get(refusal.code, DAMAGED)(field="image", **details)
