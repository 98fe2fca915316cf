"""What can go wrong between paper and record, as sentences with a next step."""

from __future__ import annotations

from appliance.plugin_api.errors import define

EMPTY = define(
    "document.empty",
    422,
    pt=("O arquivo está vazio.", "Envie o PDF ou a foto."),
    en=("The file is empty.", "Send the PDF or the photo."),
)
NOT_READ = define(
    "document.not_read",
    409,
    pt=("O documento ainda não foi lido: está em “{state}”.", "Aguarde, ou peça a leitura de novo."),
    en=("The document has not been read yet: it is “{state}”.", "Wait, or ask for the reading again."),
)
NOT_RETRYABLE = define(
    "document.not_retryable",
    409,
    pt=("Não há o que repetir: o documento está em “{state}”.", "Veja a leitura e as propostas."),
    en=("There is nothing to repeat: the document is “{state}”.", "See the reading and the proposals."),
)
DECIDED = define(
    "document.decided",
    409,
    pt=("Esta proposta já foi decidida ({state}).", "Uma decisão não muda; corrija a Observation no prontuário."),
    en=("This proposal is already decided ({state}).", "A decision stands; correct the Observation in the record."),
)
VALUE_MISSING = define(
    "document.value_missing",
    422,
    pt=("O número não pôde ser lido com certeza.", "Leia-o no papel e envie-o em “value”."),
    en=("The number could not be read with certainty.", "Read it on the paper and send it as “value”."),
)
NOT_OURS = define(
    "document.identity_unchecked",
    409,
    pt=(
        "O papel parece ser de outra pessoa.",
        "Confira nome e nascimento; se for mesmo deste paciente, envie identity_checked.",
    ),
    en=(
        "The paper seems to be somebody else's.",
        "Check name and birth date; if it is this patient's, send identity_checked.",
    ),
)
