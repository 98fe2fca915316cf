"""What can go wrong between a picture and the record, as sentences with a next step. What a file is refused for is the reader's."""

from __future__ import annotations

from appliance.plugin_api.errors import define

EMPTY = define(
    "image.empty",
    422,
    pt=("O arquivo da imagem está vazio.", "Envie a imagem de novo."),
    en=("The image file is empty.", "Send the image again."),
)
NOT_CONFIGURED = define(
    "image.not_configured",
    503,
    pt=(
        "Nenhum modelo de imagem está ativo neste aparelho.",
        "A imagem está guardada. Ative um pacote de modelos e peça a análise.",
    ),
    en=(
        "No image model is active on this appliance.",
        "The image is kept. Activate a model pack and ask for the analysis.",
    ),
)
NOT_ANALYSED = define(
    "image.not_analysed",
    409,
    pt=("A análise ainda não terminou: está em “{state}”.", "Aguarde, ou peça outra análise."),
    en=("The analysis is not finished: it is “{state}”.", "Wait, or ask for another analysis."),
)
DECIDED = define(
    "image.decided",
    409,
    pt=("Esta análise já foi decidida ({decision}).", "Uma decisão não muda; peça outra análise se for preciso."),
    en=("This analysis is already decided ({decision}).", "A decision stands; ask for another analysis if needed."),
)
