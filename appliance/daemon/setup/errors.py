"""What can go wrong while a node is set up. Each kind has an exit status of its own, which never changes."""

from __future__ import annotations

from typing import Final

from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.errors import ProntuarioError, define

ANSWER = define(
    "setup.answer",
    422,
    pt=("As respostas não servem: {reasons}.", "Corrija o arquivo de respostas e execute de novo; nada foi mudado."),
    en=("The answers are no good: {reasons}.", "Correct the file of answers and run again; nothing was changed."),
)
NEEDS_ROOT = define(
    "setup.root",
    403,
    pt=("Num Mac, a preparação muda o sistema e precisa de root.", "Execute: sudo prontuario setup"),
    en=("On a Mac setting up changes the system and needs root.", "Run: sudo prontuario setup"),
)
BUSY = define(
    "setup.busy",
    409,
    pt=(
        "Outra preparação está em andamento em {home}.",
        "Termine a outra janela, ou espere, e execute de novo: continua de onde parou.",
    ),
    en=(
        "Another set-up of {home} is under way.",
        "End the other window, or wait, and run again: it goes on where it stopped.",
    ),
)
RUNNING = define(
    "setup.running",
    409,
    pt=("O nó de {home} está em execução, e este passo precisa dele parado.", "Pare-o e execute de novo: {stop}"),
    en=("The node of {home} runs, and this step needs it stopped.", "Stop it and run again: {stop}"),
)
CHANGED = define(
    "setup.changed",
    409,
    pt=(
        "Este nó já foi preparado com {key} = {kept}, e agora a resposta é {given}.",
        "Use a resposta de antes; o que já existe se muda em prontuario.toml (docs/settings.md).",
    ),
    en=(
        "This node was prepared with {key} = {kept} already, and the answer now is {given}.",
        "Give the answer of before; what exists is changed in prontuario.toml (docs/settings.md).",
    ),
)
NOT_WRITTEN = define(
    "setup.disk",
    507,
    pt=("{path} não pôde ser gravado: {reason}.", "Libere espaço ou corrija a pasta e execute de novo: continua."),
    en=("{path} could not be written: {reason}.", "Make room or mend the folder and run again: it goes on."),
)
MAC_REFUSED = define(
    "setup.mac",
    500,
    pt=("O macOS recusou um ajuste ({script}, fim {status}): {said}.", "Corrija a causa e execute de novo: continua."),
    en=("macOS refused a setting ({script}, exit {status}): {said}.", "Mend the cause and run again: it goes on."),
)
NO_PACKAGE = define(
    "setup.package",
    500,
    pt=("O pacote não está inteiro neste Mac: falta {path}.", "Instale o pacote de novo e execute de novo."),
    en=("The package is not whole on this Mac: {path} is missing.", "Install the package again and run again."),
)
FOREIGN_FILE = define(
    "setup.foreign_file",
    409,
    pt=("{path} tem mais de um nome no disco; não se muda o dono dele.", "Veja o que é, retire-o e execute de novo."),
    en=("{path} has more than one name on the disk; its owner is not changed.", "Look at it, remove it, run again."),
)
NOT_JOINED = define(
    "setup.pairing",
    504,
    pt=(
        "O segundo Mac ainda não entrou no par.",
        "Execute de novo quando estiver diante dele: um código novo é mostrado e a preparação continua.",
    ),
    en=(
        "The second Mac has not joined the pair yet.",
        "Run again once you stand in front of it: a new code is shown and set-up goes on.",
    ),
)
FIRST_SILENT = define(
    "setup.first_silent",
    502,
    pt=(
        "O primeiro Mac não responde em {first}: {reason}.",
        "Nele, prontuario setup precisa estar mostrando o código; confira endereço e cabo e execute de novo.",
    ),
    en=(
        "The first Mac does not answer at {first}: {reason}.",
        "There, prontuario setup has to be showing the code; check address and cable, and run again.",
    ),
)
DOOR_TAKEN = define(
    "setup.port",
    409,
    pt=("Este Mac não pode esperar o segundo em {where}: {reason}.", "Confira o endereço, ou use --join-port."),
    en=("This Mac can't wait for the second one at {where}: {reason}.", "Check the address, or use --join-port."),
)
NOT_READY = define(
    "setup.not_ready",
    503,
    pt=(
        "O nó não ficou pronto: {reason}.",
        "Veja prontuario doctor e core.log; num par, ligue o outro Mac e o terceiro votante. Execute de novo: continua.",
    ),
    en=(
        "The node did not get ready: {reason}.",
        "See prontuario doctor and core.log; in a pair start the other Mac and the third voter. Run again: it goes on.",
    ),
)
REFUSED = define(
    "setup.refused",
    502,
    pt=("O nó recusou: {reason}.", "Corrija a causa e execute de novo: continua."),
    en=("The node refused: {reason}.", "Mend the cause and run again: it goes on."),
)
HOME_TAKEN = define(
    "setup.home_taken",
    409,
    pt=("Em {home} já há um nó; nada foi mudado.", "Recupere numa pasta nova, com --home, ou num Mac novo."),
    en=(
        "There is a node in {home} already; nothing was changed.",
        "Recover into a new folder, with --home, or a new Mac.",
    ),
)
NO_COPY = define(
    "setup.no_copy",
    404,
    pt=("Na cópia falta {what}.", "Aponte --backup para a pasta que tem recovery.sealed e data/."),
    en=("The copy lacks {what}.", "Point --backup at the folder that has recovery.sealed and data/."),
)
STOPPED = define(
    "setup.stopped",
    400,
    pt=("Interrompido; o que foi feito fica.", "Execute de novo: a preparação continua de onde parou."),
    en=("Interrupted; what was done stays.", "Run again: set-up goes on where it stopped."),
)

EXITS: Final = {
    "setup.answer": Exit.SETUP_ANSWERS,
    "setup.changed": Exit.SETUP_ANSWERS,
    "setup.root": Exit.SETUP_ROOT,
    "setup.busy": Exit.ALREADY_RUNNING,
    "setup.running": Exit.ALREADY_RUNNING,
    "setup.disk": Exit.SETUP_DISK,
    "setup.mac": Exit.SETUP_MAC,
    "setup.package": Exit.SETUP_MAC,
    "setup.foreign_file": Exit.SETUP_MAC,
    "setup.pairing": Exit.SETUP_PAIRING,
    "setup.port": Exit.SETUP_PAIRING,
    "setup.first_silent": Exit.SETUP_PAIRING,
    "cluster.code": Exit.SETUP_PAIRING,
    "setup.not_ready": Exit.SETUP_NOT_READY,
    "setup.refused": Exit.SETUP_NOT_READY,
    "setup.home_taken": Exit.SETUP_BACKUP,
    "setup.no_copy": Exit.SETUP_BACKUP,
    "setup.stopped": Exit.SETUP_STOPPED,
}
"""By code; ``vault.*`` and ``authority.*`` are SETUP_KEYS, ``pack.*`` SETUP_PACK, ``launchd.*`` SETUP_MAC, all else 1."""
_FAMILIES: Final = {
    "vault": Exit.SETUP_KEYS, "authority": Exit.SETUP_KEYS, "recovery": Exit.SETUP_KEYS, "pack": Exit.SETUP_PACK,
    "launchd": Exit.SETUP_MAC, "cluster": Exit.SETUP_PAIRING, "store": Exit.SETUP_DISK, "backup": Exit.SETUP_BACKUP,
}  # fmt: skip


def told(error: ProntuarioError, language: str) -> CommandFailedError:
    """The failure for a person at a terminal: sentence, next step and code, with its exit status."""
    code = error.kind.code
    status = EXITS.get(code) or _FAMILIES.get(code.partition(".")[0], Exit.FAILED)
    return CommandFailedError(f"{error.sentence(language)} {error.next_step(language)} ({code})", status)
