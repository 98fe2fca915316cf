"""Why a document can't be read, as sentences with a next step."""

from __future__ import annotations

from appliance.plugin_api.errors import define

UNSUPPORTED = define(
    "document.unsupported",
    415,
    pt=("Este arquivo não é PDF nem foto (JPEG, PNG, HEIC).", "Envie o PDF do laboratório ou uma foto do papel."),
    en=("This file is neither a PDF nor a photo (JPEG, PNG, HEIC).", "Send the laboratory's PDF or a photo."),
)
ENCRYPTED = define(
    "document.encrypted",
    422,
    pt=("O PDF está protegido por senha.", "Abra com a senha, salve ou fotografe sem ela e envie de novo."),
    en=("The PDF is protected by a password.", "Open it, save or photograph it without one, then send it again."),
)
DAMAGED = define(
    "document.damaged",
    422,
    pt=("O arquivo está incompleto ou danificado.", "Peça o arquivo de novo ou fotografe o papel."),
    en=("The file is incomplete or damaged.", "Ask for the file again, or photograph the paper."),
)
TOO_LARGE = define(
    "document.too_large",
    413,
    pt=("O documento passa do limite: {what} {found} (até {limit}).", "Envie só as páginas que importam."),
    en=("The document is over the limit: {what} {found} (up to {limit}).", "Send only the pages that matter."),
)
NO_RECOGNISER = define(
    "document.no_recogniser",
    503,
    pt=("Esta máquina não tem leitor de imagens de texto.", "Instale tesseract com o idioma “por” e leia de novo."),
    en=("This machine has no reader for pictures of text.", "Install tesseract with the language “por”, then retry."),
)
FAILED = define(
    "document.reader_failed",
    503,
    pt=("A leitura do documento falhou: {reason}.", "Tente de novo; se repetir, leia no papel e avise a TI."),
    en=("Reading the document failed: {reason}.", "Try again; if it repeats, read the paper and tell IT."),
)
KINDS = {kind.code: kind for kind in (UNSUPPORTED, ENCRYPTED, DAMAGED, TOO_LARGE, NO_RECOGNISER, FAILED)}
