"""What the dashboard says about model packs; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

PACKS_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.models": ("Modelos", "Models"),
    "packs.lead": (
        "Os pacotes de modelos que este Mac tem, e qual deles atende. Trocar nunca interrompe quem está usando.",
        "The model packs that this Mac has, and which of them serves. An exchange never interrupts anybody.",
    ),
    "ability.speech_to_text": ("Fala para texto", "Speech to text"),
    "ability.chat_model": ("Notas e conversa", "Notes and chat"),
    "ability.text_to_speech": ("Leitura em voz alta", "Reading aloud"),
    "ability.document_reader": ("Leitura de documentos", "Reading documents"),
    "ability.image_reader": ("Achados em imagens", "Findings in pictures"),
    "ability.image_analyser": ("Descrição de imagens", "Description of pictures"),
    "ability.face_verifier": ("Rostos", "Faces"),
    "ability.cloud_sync": ("Cópia na nuvem", "Cloud copy"),
    "packs.serves": ("Atende agora: {model}", "Serves now: {model}"),
    "packs.serves_nothing": ("Nenhum modelo atende agora.", "No model serves now."),
    "packs.none": (
        "Nenhum pacote instalado. O que atende, se algo atende, veio com o programa ou é demonstração.",
        "No pack is installed. What serves, if anything does, came with the program or is a demonstration.",
    ),
    "packs.none_here": ("Nenhum pacote desta habilidade.", "No pack of this ability."),
    "packs.pack": ("Pacote", "Pack"),
    "packs.state": ("Situação", "State"),
    "packs.use": ("Uso pretendido", "Intended use"),
    "packs.size": ("Em disco", "On disk"),
    "packs.memory": ("Memória", "Memory"),
    "packs.version": ("versão {version}", "version {version}"),
    "packs.signed": ("assinado por {signer}", "signed by {signer}"),
    "packs.signer": ("Assinado por", "Signed by"),
    "packs.licence": ("Licença", "Licence"),
    "packs.files": ("Arquivos", "Files"),
    "packs.mac": ("só Mac", "Mac only"),
    "packs.mac_text": (
        "Tem uma rede que só roda num Mac.",
        "It has a network that runs on a Mac only.",
    ),
    "pack.active": ("em uso", "in use"),
    "pack.previous": ("anterior", "previous"),
    "pack.standby": ("guardado", "kept"),
    "pack.trouble": ("com problema", "in trouble"),
    "packs.details": ("Detalhes", "Details"),
    "packs.verify": ("Verificar", "Verify"),
    "packs.activate": ("Ativar", "Activate"),
    "packs.rollback": ("Voltar a este", "Back to this one"),
    "packs.remove": ("Remover", "Remove"),
    "packs.activate_title": ("Ativar {pack}?", "Activate {pack}?"),
    "packs.activate_text": (
        (
            "Todos os arquivos são lidos, o modelo carrega ao lado do atual (mais {memory} de memória) e responde "
            "a um pedido de teste. Só então os pedidos novos vão para ele; se falhar, tudo fica como está."
        ),
        (
            "Every file is read, the model loads beside the present one ({memory} of memory more) and answers a "
            "test. Only then do new requests go to it; if it fails, everything stays as it is."
        ),
    ),
    "packs.rollback_title": ("Voltar a {pack}?", "Go back to {pack}?"),
    "packs.remove_title": ("Remover {pack}?", "Remove {pack}?"),
    "packs.remove_text": (
        (
            "Perdem-se {files} arquivos ({size}) deste Mac. Esta versão e as mais antigas não podem mais ser "
            "importadas: só uma mais nova."
        ),
        (
            "{files} files ({size}) on this Mac are lost. This version and older ones can't be imported any more: "
            "only a newer one."
        ),
    ),
    "packs.remove_previous": (
        "É o pacote anterior: sem ele, não há para onde voltar se o atual falhar.",
        "It is the previous pack: without it there is nothing to go back to if the present one fails.",
    ),
    "packs.remove_broken": (
        "O manifesto deste pacote não merece confiança; seus arquivos são apagados deste Mac.",
        "This pack's manifest is not to be believed; its files are deleted from this Mac.",
    ),
    "packs.begun": (
        "Começou. O andamento aparece no alto da página.",
        "It has begun. Progress shows at the top of the page.",
    ),
    "packs.paired": (
        (
            "Par: os arquivos seguem sozinhos para o outro Mac, a ativação não. Ative lá também: prontuario "
            "models activate PACOTE."
        ),
        (
            "A pair: files follow to the other Mac by themselves, activations do not. Activate there too: "
            "prontuario models activate PACK."
        ),
    ),
    "packs.untrusting": (
        (
            "Este Mac ainda não confia em nenhuma chave: nenhum pacote pode entrar. A TI confere o número da "
            "chave por telefone e executa prontuario models trust CHAVE.pub.pem."
        ),
        (
            "This Mac trusts no key yet: no pack can come in. IT compares the key's number over the telephone and "
            "runs prontuario models trust KEY.pub.pem."
        ),
    ),
    "packs.keys": ("Chaves confiáveis: {keys}", "Trusted keys: {keys}"),
    "packs.free": ("{free} livres no disco", "{free} free on the disk"),
    "packs.full_text": ("Texto inteiro da licença", "Full text of the licence"),
    "work.import": ("Importando {what}", "Importing {what}"),
    "work.verify": ("Verificando {what}", "Verifying {what}"),
    "work.activate": ("Ativando {what}", "Activating {what}"),
    "work.rollback": ("Voltando ao pacote anterior: {what}", "Going back to the previous pack: {what}"),
    "work.remove": ("Removendo {what}", "Removing {what}"),
    "work.read": ("{done} de {all} lidos", "{done} of {all} read"),
    "work.testing": (
        "Os arquivos conferem. O modelo carrega e responde a um pedido de teste; até lá, o atual continua atendendo.",
        "The files are as signed. The model loads and answers a test; until then the present one goes on serving.",
    ),
    "work.by": ("Pedido por {by} em {began}", "Ordered by {by} at {began}"),
    "work.stop": ("Parar", "Stop"),
    "work.stopping": ("Está parando.", "It is stopping."),
    "work.done.import": (
        "{pack} está guardado. Nada do que atende mudou; para usá-lo, ative-o abaixo.",
        "{pack} is kept. Nothing that serves has changed; to use it, activate it below.",
    ),
    "work.done.verify": (
        "{pack}: cada arquivo é o que foi assinado.",
        "{pack}: every file is the one that was signed.",
    ),
    "work.done.activate": (
        "{pack} passou no teste e atende agora. Antes: {before}.",
        "{pack} passed its test and serves now. Before: {before}.",
    ),
    "work.done.rollback": (
        "{pack} passou no teste e voltou a atender. Antes: {before}.",
        "{pack} passed its test and serves again. Before: {before}.",
    ),
    "work.done.remove": ("{pack} foi removido: {freed} livres a mais.", "{pack} was removed: {freed} more are free."),
    "work.failed.import": ("A importação de {what} foi recusada", "The import of {what} was refused"),
    "work.failed.verify": ("{what} não está como foi assinado", "{what} is not as it was signed"),
    "work.failed.activate": ("{what} não foi ativado", "{what} was not activated"),
    "work.failed.rollback": ("Não foi possível voltar: {what}", "Going back was not possible: {what}"),
    "work.failed.remove": ("{what} não foi removido", "{what} was not removed"),
    "work.still": ("Quem atende continua o mesmo: {serving}.", "What serves is still the same: {serving}."),
    "work.stopped.import": (
        "A importação parou. O que foi copiado fica: importe o mesmo pacote de novo e ela continua daí.",
        "The import has stopped. What was copied stays: import the same pack again and it goes on from there.",
    ),
    "work.stopped": ("Parou. Nada mudou.", "It has stopped. Nothing has changed."),
    "work.demonstration": ("a demonstração, ou nenhum", "the demonstration, or none"),
    "work.file": ("Arquivo", "File"),
    "work.why": ("O que há com ele", "What is wrong with it"),
    "import.title": ("Importar um pacote", "Import a pack"),
    "import.lead": (
        "De um disco ligado a este Mac ou da pasta de entrada dele: uma pasta assinada, ou um .tar dela sem compressão.",
        "From a disk plugged into this Mac or from its inbox: a signed folder, or a .tar of it without compression.",
    ),
    "import.begin": ("Escolher pacote", "Choose a pack"),
    "import.places": ("Lugares", "Places"),
    "import.place": ("Lugar", "Place"),
    "import.inbox": ("Pasta de entrada", "Inbox"),
    "import.there": ("ligado", "there"),
    "import.away": ("não está", "not there"),
    "import.open": ("Abrir", "Open"),
    "import.look": ("Examinar", "Look at it"),
    "import.name": ("Nome", "Name"),
    "import.kind": ("O que é", "What it is"),
    "entry.folder": ("pasta", "folder"),
    "entry.pack": ("pacote", "pack"),
    "entry.archive": ("arquivo .tar", ".tar file"),
    "import.empty": (
        "Aqui não há pacotes, arquivos .tar nem pastas. Copie o pacote para cá, ou escolha outro lugar.",
        "There are no packs, .tar files or folders here. Copy the pack here, or choose another place.",
    ),
    "import.cut": ("Há mais do que se mostra aqui.", "There is more than is shown here."),
    "import.go": ("Importar", "Import"),
    "import.resume": ("Continuar a importação", "Go on with the import"),
    "import.room": ("Espaço", "Room"),
    "import.room_text": ("precisa de {needed}, há {free} livres", "needs {needed}, {free} are free"),
    "import.already": ("já copiados", "copied already"),
    "import.ability": ("Habilidade", "Ability"),
    "import.cancel": ("Fechar", "Close"),
    "import.refused": ("Este pacote não pode ser importado.", "This pack can't be imported."),
}
