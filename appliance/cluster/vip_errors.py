"""What can go wrong with the virtual IP, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

UNREACHABLE = define(
    "cluster.vip_unreachable",
    503,
    pt=("O serviço do IP virtual (vipd) não respondeu.", "Veja se o vipd está em execução e o registro dele."),
    en=("The virtual IP's service (vipd) did not answer.", "See whether vipd runs, and what its log says."),
)
STALE_EPOCH = define(
    "cluster.vip_stale_epoch",
    409,
    pt=("O IP virtual já foi entregue na época {held}; {asked} é antiga.", "Este nó não lidera mais: nada a fazer."),
    en=("The virtual IP was already given in epoch {held}; {asked} is old.", "This node leads no more: nothing to do."),
)
NOT_HELD = define(
    "cluster.vip_not_held",
    409,
    pt=("Este nó não está com o IP virtual.", "O nó o pede de novo sozinho enquanto lidera."),
    en=("This node does not hold the virtual IP.", "The node asks for it again by itself while it leads."),
)
BAD_DEADLINE = define(
    "cluster.vip_bad_deadline",
    422,
    pt=("O prazo pedido para o IP virtual já passou ou está longe demais.", "Informe o suporte."),
    en=("The deadline asked for the virtual IP has passed or lies too far ahead.", "Report this."),
)
NOT_ALLOWED = define(
    "cluster.vip_not_allowed",
    403,
    pt=(
        "O endereço {address} na interface {interface} não está na lista do vipd.",
        "Confira [cluster] vip_addresses e vip_interface e reinicie o vipd.",
    ),
    en=(
        "The address {address} on interface {interface} is not on vipd's list.",
        "Check [cluster] vip_addresses and vip_interface, then restart vipd.",
    ),
)
FORBIDDEN_USER = define(
    "cluster.vip_forbidden_user",
    403,
    pt=("O vipd não atende este usuário do sistema.", "Execute o nó com o usuário do serviço."),
    en=("vipd does not serve this system user.", "Run the node as the service's own user."),
)
BAD_REQUEST = define(
    "cluster.vip_bad_request",
    400,
    pt=("O vipd não entendeu o pedido.", "Confira se o vipd e o nó são da mesma versão."),
    en=("vipd did not understand the request.", "Check that vipd and the node are of the same version."),
)
TOOL_FAILED = define(
    "cluster.vip_tool_failed",
    500,
    pt=("{tool} não conseguiu mudar o endereço: {reason}.", "Confira a interface de rede e as permissões do vipd."),
    en=("{tool} could not change the address: {reason}.", "Check the network interface and vipd's permissions."),
)
UNUSABLE_SETTING = define(
    "cluster.vip_setting",
    500,
    pt=("[cluster] {setting} não serve para o vipd: {value}.", "Corrija prontuario.toml e reinicie o vipd."),
    en=("[cluster] {setting} is of no use to vipd: {value}.", "Correct prontuario.toml, then restart vipd."),
)
UNSAFE_FOLDER = define(
    "cluster.vip_unsafe_folder",
    500,
    pt=("Outros usuários podem escrever em {folder}.", "A pasta do vipd deve ser do root, modo 0755."),
    en=("Other users may write to {folder}.", "vipd's folder has to belong to root, mode 0755."),
)
ALREADY_RUNNING = define(
    "cluster.vip_already_running",
    409,
    pt=("Outro vipd (pid {pid}) já está em execução.", "Encerre-o primeiro."),
    en=("Another vipd (pid {pid}) already runs.", "End it first."),
)

REFUSALS = {
    kind.code: kind
    for kind in (STALE_EPOCH, NOT_HELD, BAD_DEADLINE, NOT_ALLOWED, FORBIDDEN_USER, BAD_REQUEST, TOOL_FAILED)
}
"""What vipd may answer, by code."""
