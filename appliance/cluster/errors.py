"""What can go wrong between the two nodes, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

READ_ONLY = define(
    "cluster.read_only",
    503,
    pt=("Este nó não pode confirmar gravações agora; a leitura continua.", "Tente de novo em instantes."),
    en=("This node may not confirm writes right now; reading goes on.", "Try again in a moment."),
)
NO_QUORUM = define(
    "cluster.no_quorum",
    503,
    pt=("A maioria dos votantes (etcd) não responde.", "Confira a rede e os três votantes."),
    en=("The majority of the voters (etcd) does not answer.", "Check the network and the three voters."),
)
ETCD_REFUSED = define(
    "cluster.etcd_refused",
    500,
    pt=("O etcd recusou o pedido (código {status}).", "Veja o registro do etcd e informe o suporte."),
    en=("etcd refused the request (code {status}).", "See etcd's log and report this."),
)
ETCD_MISSING = define(
    "cluster.etcd_missing",
    500,
    pt=("O programa etcd não foi encontrado.", "Instale etcd-server."),
    en=("The etcd program was not found.", "Install etcd-server."),
)
NOT_INITIALISED = define(
    "cluster.not_initialised",
    409,
    pt=("O par ainda não foi iniciado.", "Execute prontuario cluster init no primeiro nó."),
    en=("The pair has not been initialised yet.", "Run prontuario cluster init on the first node."),
)
NO_HANDOVER = define(
    "cluster.no_handover",
    409,
    pt=("A passagem não é possível agora: {reason_pt}.", "Veja prontuario cluster status e tente depois."),
    en=("The handover is not possible now: {reason}.", "See prontuario cluster status and try later."),
)
NO_PROMOTION = define(
    "cluster.no_promotion",
    409,
    pt=("A promoção não é possível agora: {reason_pt}.", "Veja prontuario cluster status."),
    en=("The promotion is not possible now: {reason}.", "See prontuario cluster status."),
)
CONFIRMATION = define(
    "cluster.confirmation",
    422,
    pt=("Esta ação pode custar dados: {reason_pt}.", "Confirme digitando exatamente: {phrase}"),
    en=("This action can cost data: {reason}.", "Confirm by typing exactly: {phrase}"),
)
