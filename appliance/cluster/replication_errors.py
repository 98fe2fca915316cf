"""What can go wrong between the two copies, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

PEER_AWAY = define(
    "cluster.peer_away",
    503,
    pt=("O outro nó não responde.", "Nada se perdeu. Confira o cabo entre os dois Macs e o estado do cluster."),
    en=(
        "The other node does not answer.",
        "Nothing was lost. Check the cable between the two Macs and the cluster's status.",
    ),
)
PEER_MISUNDERSTOOD = define(
    "cluster.peer_misunderstood",
    500,
    pt=("Os dois nós não se entendem ({question}).", "Confira se ambos têm a mesma versão do Prontuário."),
    en=(
        "The two nodes do not understand each other ({question}).",
        "Check that both run the same version of Prontuário.",
    ),
)
STALE_EPOCH = define(
    "cluster.stale_epoch",
    409,
    pt=("Este nó já não é o primário (época {epoch}, atual {fence}).", "Nada a fazer: ele volta como reserva."),
    en=("This node is not the primary any more (epoch {epoch}, now {fence}).", "Nothing to do: it returns as standby."),
)
EPOCH_AHEAD = define(
    "cluster.epoch_ahead",
    503,
    pt=("O outro nó ainda não acompanha a época {epoch} (está na {fence}).", "Aguarde; se persistir, chame a TI."),
    en=("The other node does not follow epoch {epoch} yet (it is in {fence}).", "Wait; if it persists, call IT."),
)
OTHER_BODY = define(
    "cluster.other_body",
    409,
    pt=("O outro nó já tem outro conteúdo com o nome {name}.", "O primário precisa começar uma nova época."),
    en=("The other node already holds something else under the name {name}.", "The primary has to begin a new epoch."),
)
BAD_PART = define(
    "cluster.bad_part",
    422,
    pt=("Um pedaço de {name} chegou errado.", "Será enviado de novo."),
    en=("A part of {name} arrived wrong.", "It will be sent again."),
)
NOT_DRAINED = define(
    "cluster.not_drained",
    503,
    pt=("A cópia quente parou em {at} de {wanted} transações.", "Veja a página do cluster; a promoção tenta de novo."),
    en=("The warm copy stopped at {at} of {wanted} transactions.", "See the cluster page; the promotion tries again."),
)
COPY_DAMAGED = define(
    "cluster.copy_damaged",
    500,
    pt=(
        "A cópia restaurada não passou na verificação: {reason}.",
        "Não promova este nó; recrie a cópia e chame o suporte.",
    ),
    en=(
        "The restored copy failed its check: {reason}.",
        "Do not promote this node; make the copy anew and call support.",
    ),
)
