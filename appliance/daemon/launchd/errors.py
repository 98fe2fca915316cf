"""What can go wrong with handing a node to macOS."""

from __future__ import annotations

from appliance.plugin_api.errors import define

PLIST_REFUSED = define(
    "launchd.plist",
    422,
    pt=("Arquivos do launchd recusados: {faults}.", "Gere-os de novo com prontuario launchd render; não os edite."),
    en=("launchd files refused: {faults}.", "Make them again with prontuario launchd render; don't edit them."),
)
LOG_RULE_REFUSED = define(
    "launchd.newsyslog",
    422,
    pt=("Linha do newsyslog recusada: {faults}.", "Gere o arquivo de novo com prontuario launchd render."),
    en=("A newsyslog line was refused: {faults}.", "Make the file again with prontuario launchd render."),
)
ADDRESS_NEEDED = define(
    "launchd.address",
    422,
    pt=(
        "{key} é {value}, mas o filtro de pacotes precisa de um endereço IP: nomes podem não ser conhecidos na partida.",
        "Escreva o endereço em prontuario.toml e gere os arquivos de novo.",
    ),
    en=(
        "{key} is {value}, but the packet filter needs an IP address: names may be unknown at boot.",
        "Write the address in prontuario.toml and render again.",
    ),
)
LAUNCHCTL_FAILED = define(
    "launchd.launchctl",
    500,
    pt=("launchctl {verb} de {label} falhou ({status}): {said}.", "Veja prontuario doctor e o registro do serviço."),
    en=("launchctl {verb} of {label} failed ({status}): {said}.", "See prontuario doctor and the job's log."),
)
STILL_LEAVING = define(
    "launchd.leaving",
    503,
    pt=("{label} ainda não terminou depois de {seconds} s.", "Espere e repita; em último caso reinicie o Mac."),
    en=("{label} has still not ended after {seconds} s.", "Wait and try again; as a last resort restart the Mac."),
)
