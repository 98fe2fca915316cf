"""Why an update is refused, or went back; whatever was running goes on, or runs again."""

from __future__ import annotations

from appliance.plugin_api.errors import define

UNSIGNED = define(
    "update.unsigned",
    422,
    pt=("Não há atualização assinada aqui: falta {file}.", "Confira a pasta do pendrive; copie a atualização de novo."),
    en=("There is no signed update here: {file} is missing.", "Check the stick's folder; copy the update again."),
)
UNTRUSTED = define(
    "update.untrusted",
    422,
    pt=(
        "Nenhuma chave confiável assinou esta atualização.",
        "Não instale. Confira a origem; se confia nela: sudo prontuario update trust CHAVE.pem.",
    ),
    en=(
        "No trusted key signed this update.",
        "Do not install it. Check where it comes from; if you trust the maker: sudo prontuario update trust KEY.pem.",
    ),
)
MANIFEST = define(
    "update.manifest",
    422,
    pt=("O manifesto da atualização não serve: {reason}.", "Peça uma atualização refeita."),
    en=("The update's manifest can't be used: {reason}.", "Ask for the update to be made again."),
)
ALTERED = define(
    "update.altered",
    422,
    pt=("{file} não é o arquivo que foi assinado.", "Nada mudou. Copie a atualização de novo da origem."),
    en=("{file} is not the file that was signed.", "Nothing changed. Copy the update from its source again."),
)
TRUNCATED = define(
    "update.truncated",
    422,
    pt=("{file} está incompleto, ilegível ou falta.", "Nada mudou. Copie a atualização de novo da origem."),
    en=("{file} is cut short, unreadable or missing.", "Nothing changed. Copy the update from its source again."),
)
OLDER = define(
    "update.older",
    409,
    pt=(
        "A versão {version} não é mais nova que a {newest}.",
        "Peça uma mais nova; para voltar: prontuario update rollback.",
    ),
    en=(
        "Version {version} is not newer than {newest}.",
        "Ask for a newer one; to go back: prontuario update rollback.",
    ),
)
TOO_FAR = define(
    "update.too_far",
    409,
    pt=("Da {running} não se chega direto à {version}: é preciso ter a {least}.", "Instale antes a versão {least}."),
    en=("{version} can't be reached from {running}: {least} is needed.", "Install version {least} first."),
)
SCHEMA = define(
    "update.schema",
    409,
    pt=(
        "A versão atual não leria o banco da {version} (migração {migration}): não haveria volta.",
        "Nada mudou. Peça uma atualização que se possa desfazer.",
    ),
    en=(
        "The present version could not read the database of {version} (migration {migration}): there would be no way back.",
        "Nothing changed. Ask for an update that can be taken back.",
    ),
)
NO_ROOM = define(
    "update.no_room",
    507,
    pt=("A atualização precisa de {needed_mib} MiB livres e há {free_mib}.", "Nada mudou. Libere espaço e repita."),
    en=("The update needs {needed_mib} MiB free and there are {free_mib}.", "Nothing changed. Free space and repeat."),
)
BUSY = define(
    "update.busy",
    409,
    pt=("Outro comando já cuida desta atualização.", "Espere ele terminar: prontuario update status."),
    en=("Another command is at work on the update.", "Wait for it to end: prontuario update status."),
)
UNFINISHED = define(
    "update.unfinished",
    409,
    pt=(
        "A atualização para a {version} está pela metade.",
        "Termine-a (sudo prontuario update apply) ou desfaça-a (sudo prontuario update rollback).",
    ),
    en=(
        "The update to {version} is half done.",
        "Finish it (sudo prontuario update apply) or take it back (sudo prontuario update rollback).",
    ),
)
NOTHING = define(
    "update.nothing",
    404,
    pt=("Não há atualização preparada aqui.", "Prepare uma: sudo prontuario update stage PASTA."),
    en=("No update is staged here.", "Stage one: sudo prontuario update stage FOLDER."),
)
NOT_INSTALLED = define(
    "update.not_installed",
    409,
    pt=("Este programa não foi instalado pelo pacote.", "Instale o pacote uma vez à mão: docs/packaging.md."),
    en=("This program was not installed by the package.", "Install the package by hand once: docs/packaging.md."),
)
STATE = define(
    "update.state",
    500,
    pt=("O arquivo {file} não pode ser lido.", "Chame o suporte; não apague nada. O que roda continua."),
    en=("The file {file} can't be read.", "Call support; erase nothing. What runs goes on."),
)
UNSAFE = define(
    "update.unsafe",
    403,
    pt=("{path} pode ser alterado por outros usuários.", "Torne a pasta de root, modo 755, e repita."),
    en=("{path} can be changed by other users.", "Give the folder to root, mode 755, and repeat."),
)
CONFIRMATION = define(
    "update.confirmation",
    409,
    pt=(
        "Este Mac trabalha sozinho: durante a troca ninguém é atendido por alguns minutos.",
        "Confirme digitando {version}, ou dê uma janela: --window 02:00-04:00.",
    ),
    en=(
        "This Mac works alone: for some minutes of the switch nobody is served.",
        "Confirm by typing {version}, or give a window: --window 02:00-04:00.",
    ),
)
SWITCH = define(
    "update.switch",
    500,
    pt=("A versão {version} não ficou pronta: {reason}.", "A anterior volta sozinha. Mande este relato ao suporte."),
    en=("Version {version} did not get ready: {reason}.", "The one before comes back. Send this report to support."),
)
CONSULT = define(
    "update.consult",
    500,
    pt=(
        "A consulta sintética não chegou a uma nota assinada com a versão {version}: {reason}.",
        "A versão anterior volta sozinha. Mande este relato ao suporte.",
    ),
    en=(
        "The synthetic consult did not reach a signed note with version {version}: {reason}.",
        "The version before comes back by itself. Send this report to support.",
    ),
)
HANDOVER = define(
    "update.handover",
    500,
    pt=("A passagem do comando não aconteceu: {reason}.", "A versão anterior volta. Veja prontuario cluster status."),
    en=("The handover did not happen: {reason}.", "The version before comes back. See prontuario cluster status."),
)
LEADS_NOW = define(
    "update.leads_now",
    409,
    pt=("Este Mac assumiu no meio da atualização: nada foi trocado.", "Conserte o outro Mac e aplique de novo."),
    en=(
        "This Mac took over in the middle of the update: nothing was switched.",
        "Mend the other Mac, then apply again.",
    ),
)
BACK = define(
    "update.back",
    500,
    pt=("A versão {version} não voltou a ficar pronta: {reason}.", "Rode prontuario doctor e chame o suporte agora."),
    en=("Version {version} did not get ready again: {reason}.", "Run prontuario doctor and call support now."),
)
ASKED = define(
    "update.asked_back",
    409,
    pt=("Alguém pediu a volta à versão anterior.", "Nada a fazer."),
    en=("Somebody asked for the version before.", "Nothing to do."),
)
FAILED = define(
    "update.failed",
    500,
    pt=("O passo {step} falhou: {reason}.", "A versão anterior volta sozinha. Mande este relato ao suporte."),
    en=("The step {step} failed: {reason}.", "The version before comes back by itself. Send this report to support."),
)
