"""What a caller of an engine may be told."""

from __future__ import annotations

from appliance.plugin_api.errors import define

BUSY = define(
    "engine.busy",
    429,
    pt=("O serviço {engine} está ocupado: {waiting} pedidos na fila.", "Tente de novo em instantes."),
    en=("The {engine} service is busy: {waiting} requests are waiting.", "Try again in a moment."),
)
UNAVAILABLE = define(
    "engine.unavailable",
    503,
    pt=("O serviço {engine} está indisponível agora.", "Nada se perdeu. Tente de novo em instantes."),
    en=("The {engine} service is unavailable right now.", "Nothing was lost. Try again in a moment."),
)
DEADLINE = define(
    "engine.deadline",
    504,
    pt=("O serviço {engine} não respondeu a tempo.", "Tente de novo, ou com um pedido menor."),
    en=("The {engine} service did not answer in time.", "Try again, or with a smaller request."),
)
DIED = define(
    "engine.died",
    503,
    pt=("O serviço {engine} caiu no meio da resposta.", "Ele já está voltando. Envie o pedido de novo."),
    en=(
        "The {engine} service stopped in the middle of the answer.",
        "It is coming back already. Send the request again.",
    ),
)
POISON = define(
    "engine.poison",
    422,
    pt=("Este pedido derrubou o serviço {engine} duas vezes e não será repetido.", "Mude o pedido e avise a TI."),
    en=("This request brought the {engine} service down twice and is refused.", "Change the request and tell IT."),
)
FAILED = define(
    "engine.failed",
    500,
    pt=("O serviço {engine} falhou neste pedido.", "Tente de novo; se repetir, avise a TI."),
    en=("The {engine} service failed on this request.", "Try again; if it repeats, tell IT."),
)
REJECTED = define(
    "engine.rejected",
    422,
    pt=("O serviço {engine} não aceita este pedido: {reason}.", "Corrija o pedido e envie de novo."),
    en=("The {engine} service does not accept this request: {reason}.", "Correct the request and send it again."),
)
OVERFLOW = define(
    "engine.overflow",
    503,
    pt=("A resposta do serviço {engine} chegou mais rápido do que foi lida.", "Envie o pedido de novo."),
    en=("The answer of the {engine} service came faster than it was read.", "Send the request again."),
)
TOO_LARGE = define(
    "engine.too_large",
    413,
    pt=("O pedido ao serviço {engine} é grande demais: {size} bytes.", "Divida o pedido em partes menores."),
    en=("The request to the {engine} service is too large: {size} bytes.", "Split it into smaller parts."),
)
MEMORY = define(
    "engine.memory",
    503,
    pt=(
        "O modelo {engine} precisa de {needed_bytes} bytes e só há {free_bytes} livres de {budget_bytes}.",
        "Desative outro modelo ou instale um menor.",
    ),
    en=(
        "The {engine} model needs {needed_bytes} bytes and only {free_bytes} of {budget_bytes} are free.",
        "Disable another model or install a smaller one.",
    ),
)
INTERNAL_CODES = frozenset({"internal", "internal.step", "internal.submit", "internal.too_large"})
"""Codes of ``Failed`` that are the engine's own fault (500); any other code tells what is wrong with the request (422)."""
THE_REQUESTS_OWN = frozenset({DEADLINE, OVERFLOW, POISON, REJECTED, TOO_LARGE})
"""What a request would meet in any engine: it is not run again because the other node's engine told it."""
