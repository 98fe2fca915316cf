"""Why a model pack is refused, or can't be put to work; whatever was running goes on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

UNSIGNED = define(
    "pack.unsigned",
    422,
    pt=("O pacote não traz {file}: não está assinado.", "Peça a quem o preparou um pacote assinado."),
    en=("The pack has no {file}: it is not signed.", "Ask whoever prepared it for a signed pack."),
)
UNTRUSTED = define(
    "pack.untrusted",
    422,
    pt=(
        "Nenhuma chave confiável assinou o manifesto deste pacote.",
        "Confira a origem; se confia nela: prontuario models trust CHAVE.pem.",
    ),
    en=(
        "No trusted key signed this pack's manifest.",
        "Check where it comes from; if you trust the maker: prontuario models trust KEY.pem.",
    ),
)
MANIFEST = define(
    "pack.manifest",
    422,
    pt=("O manifesto do pacote não serve: {reason}.", "Peça um pacote refeito."),
    en=("The pack's manifest can't be used: {reason}.", "Ask for the pack to be made again."),
)
ALTERED = define(
    "pack.altered",
    422,
    pt=("{file} não é o arquivo que foi assinado.", "Copie o pacote de novo da origem."),
    en=("{file} is not the file that was signed.", "Copy the pack from its source again."),
)
TRUNCATED = define(
    "pack.truncated",
    422,
    pt=("{file} está incompleto ou falta.", "Copie o pacote de novo da origem."),
    en=("{file} is cut short or missing.", "Copy the pack from its source again."),
)
UNLISTED = define(
    "pack.unlisted",
    422,
    pt=("{file} não está no manifesto.", "Retire-o da pasta, ou peça um pacote refeito."),
    en=("{file} is not in the manifest.", "Take it out of the folder, or ask for the pack to be made again."),
)
PICKLE = define(
    "pack.pickle",
    422,
    pt=("{file} é um pickle, que pode executar código.", "Só aceitamos pesos em safetensors: peça o pacote assim."),
    en=("{file} is a pickle, which can run code.", "Only safetensors weights are taken: ask for the pack like that."),
)
FORMAT = define(
    "pack.format",
    422,
    pt=(
        "{file} não está no formato certo: {reason}.",
        "Peça um pacote refeito num formato aceito (docs/model-packs.md).",
    ),
    en=(
        "{file} has a wrong format: {reason}.",
        "Ask for the pack to be made again in an accepted format (docs/model-packs.md).",
    ),
)
PATH = define(
    "pack.path",
    422,
    pt=("O caminho {file} não é permitido: {reason}.", "Peça um pacote só com arquivos comuns dentro da pasta."),
    en=("The path {file} is not allowed: {reason}.", "Ask for a pack of plain files inside its folder."),
)
ARCHIVE = define(
    "pack.archive",
    422,
    pt=(
        "{file} não é um arquivo .tar que se possa usar: {reason}.",
        "Faça um .tar simples, sem compressão (tar cf PACOTE.tar PASTA), ou copie a pasta.",
    ),
    en=(
        "{file} is no .tar file that can be used: {reason}.",
        "Make a plain .tar without compression (tar cf PACK.tar FOLDER), or copy the folder.",
    ),
)
PLACE = define(
    "pack.place",
    404,
    pt=(
        "Não há {path} num lugar de onde se possa importar.",
        "Ligue o disco de novo, ou escolha outro lugar. A TI permite mais lugares em [models] import_from.",
    ),
    en=(
        "There is no {path} in a place from which packs may be imported.",
        "Plug the disk in again, or choose another place. IT may allow more places in [models] import_from.",
    ),
)
OLDER = define(
    "pack.older",
    409,
    pt=(
        "{name} versão {version} não é mais nova que a {newest}, já aceita aqui.",
        "Importe uma versão mais nova; para voltar à anterior: prontuario models rollback.",
    ),
    en=(
        "{name} version {version} is not newer than {newest}, which was accepted here already.",
        "Import a newer version; to go back to the previous one: prontuario models rollback.",
    ),
)
NO_ROOM = define(
    "pack.no_room",
    507,
    pt=("O pacote precisa de {needed_bytes} bytes e há {free_bytes} livres.", "Libere espaço e importe de novo."),
    en=("The pack needs {needed_bytes} bytes and {free_bytes} are free.", "Free space, then import again."),
)
UNKNOWN = define(
    "pack.unknown",
    404,
    pt=("Não há pacote {pack} instalado.", "Veja prontuario models list."),
    en=("No pack {pack} is installed.", "See prontuario models list."),
)
IN_USE = define(
    "pack.in_use",
    409,
    pt=("O pacote {pack} está em uso.", "Ative outro antes de removê-lo."),
    en=("The pack {pack} is in use.", "Activate another one before you remove it."),
)
NO_PREVIOUS = define(
    "pack.no_previous",
    409,
    pt=("Não há pacote anterior de {capability} para voltar.", "Importe e ative uma versão."),
    en=("There is no previous pack of {capability} to go back to.", "Import and activate a version."),
)
BY_HAND = define(
    "pack.by_hand",
    409,
    pt=("Em models/{capability}/active há uma pasta posta à mão.", "Mova-a para outro lugar e ative de novo."),
    en=("models/{capability}/active is a folder that was put there by hand.", "Move it away, then activate again."),
)
UNUSED = define(
    "pack.unused",
    409,
    pt=(
        "Nenhuma extensão ativa usaria um pacote de {capability}.",
        "Veja prontuario.toml: uma extensão pode estar desligada, ou o modelo ser indicado lá.",
    ),
    en=(
        "No active plugin would use a pack of {capability}.",
        "See prontuario.toml: a plugin may be disabled, or its model be named there.",
    ),
)
BUSY = define(
    "pack.busy",
    409,
    pt=("Outra troca de modelo está em andamento.", "Espere ela terminar."),
    en=("Another change of models is going on.", "Wait for it to end."),
)
UNREADABLE = define(
    "pack.unreadable",
    500,
    pt=("Os arquivos do pacote {pack} não podem ser lidos ({reason}).", "Confira o disco e o dono dos arquivos."),
    en=("The files of the pack {pack} can't be read ({reason}).", "Check the disk and who owns the files."),
)
GATE = define(
    "pack.gate",
    422,
    pt=("O pacote {pack} não passou no teste: {reason}.", "Nada mudou: o modelo anterior continua. Peça outro pacote."),
    en=("The pack {pack} failed its test: {reason}.", "Nothing changed: the model before it goes on. Ask for another."),
)
KEY = define(
    "pack.key",
    422,
    pt=("{file} não é uma chave Ed25519 em PEM.", "Use a chave que prontuario models keygen fez."),
    en=("{file} is no Ed25519 key in PEM.", "Use the key that prontuario models keygen made."),
)
FETCH_NOT_FOUND = define(
    "pack.fetch_not_found",
    404,
    pt=("O repositório não tem o modelo {name}.", "Confira dono, nome e revisão."),
    en=("The hub has no model {name}.", "Check owner, name and revision."),
)
FETCH_GATED = define(
    "pack.fetch_gated",
    403,
    pt=(
        "O modelo {name} só é entregue a quem aceitou a licença dele.",
        "Aceite-a no site do repositório e defina HF_TOKEN.",
    ),
    en=("The model {name} is only handed to whoever accepted its licence.", "Accept it on the hub and set HF_TOKEN."),
)
FETCH_HUB = define(
    "pack.fetch_hub",
    502,
    pt=("O repositório de modelos não respondeu direito ({reason}).", "Confira a rede e repita: o que já veio fica."),
    en=("The model hub did not answer properly ({reason}).", "Check the network and repeat: what came stays."),
)
