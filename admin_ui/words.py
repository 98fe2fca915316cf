"""What the dashboard says, in Brazilian Portuguese and in English. A missing word is an error at once, not a blank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from admin_ui.words_alerts import ALERTS_WORDS
from admin_ui.words_capacity import CAPACITY_WORDS
from admin_ui.words_cluster import CLUSTER_WORDS
from admin_ui.words_doctor import DOCTOR_WORDS
from admin_ui.words_drills import DRILLS_WORDS
from admin_ui.words_faces import FACES_WORDS
from admin_ui.words_notes import NOTES_WORDS
from admin_ui.words_operations import OPERATIONS_WORDS
from admin_ui.words_packs import PACKS_WORDS
from admin_ui.words_review import REVIEW_WORDS
from admin_ui.words_updates import UPDATES_WORDS

Language = Literal["pt", "en"]
Words = Callable[..., str]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "product": ("Prontuário", "Prontuário"),
    "nav.label": ("Navegação principal", "Main navigation"),
    "nav.skip": ("Ir para o conteúdo", "Skip to content"),
    "nav.menu": ("Abrir ou fechar o menu", "Open or close the menu"),
    "nav.overview": ("Visão geral", "Overview"),
    "nav.engines": ("Motores de IA", "AI engines"),
    "nav.plugins": ("Plugins", "Plugins"),
    "nav.jobs": ("Tarefas", "Jobs"),
    "nav.people": ("Pessoas e aparelhos", "People and devices"),
    "nav.audit": ("Auditoria", "Audit"),
    "account.sign_out": ("Sair", "Sign out"),
    "account.signed_in": ("Conectado como {user} ({role})", "Signed in as {user} ({role})"),
    "theme.system": ("Tema: do sistema", "Theme: system"),
    "theme.light": ("Tema: claro", "Theme: light"),
    "theme.dark": ("Tema: escuro", "Theme: dark"),
    "language.other": ("English", "Português"),
    "login.title": ("Entrar no painel", "Sign in to the dashboard"),
    "login.lead": (
        "Para a administração, a TI e a auditoria do hospital.",
        "For the hospital's administration, IT and audit.",
    ),
    "login.user": ("Usuário", "Username"),
    "login.password": ("Senha", "Password"),
    "login.submit": ("Entrar", "Sign in"),
    "login.local": (
        "Este painel fala somente com este aparelho. Nada sai do prédio.",
        "This dashboard talks to this appliance only. Nothing leaves the building.",
    ),
    "login.wrong": (
        "Usuário ou senha não conferem. Confira e tente de novo.",
        "Username or password do not match. Check them and try again.",
    ),
    "login.busy": (
        "Muitas tentativas. Espere um minuto e tente de novo.",
        "Too many attempts. Wait a minute and try again.",
    ),
    "login.role": (
        "Seu perfil não usa o painel. Ele é da administração, da TI e da auditoria.",
        "Your role does not use the dashboard. It is for administration, IT and audit.",
    ),
    "login.unreachable": (
        "O núcleo do Prontuário não responde. Tente de novo em instantes; se continuar, chame a TI.",
        "Prontuário's core does not answer. Try again in a moment; if it lasts, call IT.",
    ),
    "login.failed": (
        "A entrada falhou do nosso lado. Tente de novo em instantes.",
        "Signing in failed on our side. Try again in a moment.",
    ),
    "login.ended": ("Sua sessão terminou. Entre de novo.", "Your session has ended. Sign in again."),
    "demo.banner": (
        "MODELOS DE DEMONSTRAÇÃO – nunca para cuidado",
        "DEMONSTRATION MODELS – never for care",
    ),
    "demo.chip": ("demonstração", "demonstration"),
    "lost.title": ("Sem resposta do núcleo desde {time}.", "No answer from core since {time}."),
    "lost.text": (
        "O que se vê abaixo é a última leitura. O painel volta sozinho assim que o núcleo responder.",
        "What you see below is the last reading. The dashboard comes back by itself as soon as core answers.",
    ),
    "live.on": ("ao vivo", "live"),
    "live.wait": ("conectando", "connecting"),
    "live.lost": ("sem resposta", "no answer"),
    "mode.single": ("um só Mac", "single Mac"),
    "mode.paired": ("par completo", "paired"),
    "mode.degraded": ("degradado: sem reserva", "degraded: no standby"),
    "mode.read-only": ("somente leitura", "read-only"),
    "phase.pilot": ("piloto", "pilot"),
    "phase.ha": ("alta disponibilidade", "high availability"),
    "phase.hybrid": ("híbrida", "hybrid"),
    "overview.all_well": ("Tudo em ordem", "All is well"),
    "overview.look": ("Precisa de atenção", "Needs attention"),
    "overview.bad": ("Há falha", "Something failed"),
    "overview.state": ("Estado", "State"),
    "overview.parts": ("{ok} de {all} partes em ordem", "{ok} of {all} parts in order"),
    "overview.queue": ("Fila dos motores", "Engine queue"),
    "overview.queue_detail": ("{running} em andamento", "{running} running"),
    "overview.rate": ("Pedidos por segundo", "Requests per second"),
    "overview.rate_detail": ("{total} desde o início", "{total} since the start"),
    "overview.memory": ("Memória do Prontuário", "Prontuário's memory"),
    "overview.memory_detail": ("{free} livres de {total}", "{free} free of {total}"),
    "overview.disk": ("Disco livre", "Free disk"),
    "overview.disk_detail": ("de {total}; banco com {database}", "of {total}; database {database}"),
    "overview.node": ("Este nó", "This node"),
    "overview.health": ("Saúde das partes", "Health of the parts"),
    "overview.charts": ("Últimos dez minutos", "Last ten minutes"),
    "node.name": ("Nome", "Name"),
    "node.hospital": ("Hospital", "Hospital"),
    "node.phase": ("Fase", "Phase"),
    "node.profile": ("Perfil", "Profile"),
    "node.mode": ("Modo de gravação", "Write mode"),
    "node.version": ("Versão", "Version"),
    "node.read_at": ("Lido em", "Read at"),
    "node.demonstration": ("Modelos de demonstração", "Demonstration models"),
    "node.uptime": ("No ar há", "Up for"),
    "chart.waiting": ("na fila", "waiting"),
    "chart.running": ("em andamento", "running"),
    "chart.rate": ("pedidos/s", "requests/s"),
    "chart.memory": ("Memória (MiB)", "Memory (MiB)"),
    "status.ok": ("em ordem", "ok"),
    "status.degraded": ("atenção", "degraded"),
    "status.failed": ("falha", "failed"),
    "status.not_configured": ("não configurado", "not configured"),
    "status.ready": ("pronto", "ready"),
    "status.starting": ("iniciando", "starting"),
    "status.restarting": ("reiniciando", "restarting"),
    "status.stopped": ("parado", "stopped"),
    "status.circuit_open": ("parado após quedas", "stopped after crashes"),
    "status.refused": ("recusado", "refused"),
    "status.active": ("ativo", "active"),
    "status.disabled": ("desligado", "disabled"),
    "status.quarantined": ("em quarentena", "quarantined"),
    "status.dead": ("parada por erro", "dead"),
    "status.revoked": ("revogado", "revoked"),
    "status.success": ("permitido", "allowed"),
    "engines.lead": (
        "Cada modelo roda num processo próprio; uma queda não derruba o prontuário.",
        "Every model runs in a process of its own; a crash does not take the record down.",
    ),
    "engines.none": ("Nenhum motor registrado.", "No engine is registered."),
    "engines.model": ("Modelo", "Model"),
    "engines.plugin": ("Plugin", "Plugin"),
    "engines.queue": ("Na fila", "Waiting"),
    "engines.running": ("Em andamento", "Running"),
    "engines.restarts": ("Reinícios", "Restarts"),
    "engines.memory": ("Memória", "Memory"),
    "engines.memory_of": ("{used} de {declared} declarados", "{used} of {declared} declared"),
    "engines.reason": ("Motivo", "Reason"),
    "plugins.lead": (
        "Um plugin com defeito fica em quarentena; os outros seguem funcionando.",
        "A broken plugin is quarantined; the others keep working.",
    ),
    "plugins.none": ("Nenhum plugin encontrado.", "No plugin was found."),
    "plugins.why": ("Por que está em quarentena", "Why it is quarantined"),
    "plugins.version": ("versão {version}", "version {version}"),
    "plugins.abilities": ("Habilidades", "Abilities"),
    "plugins.pages": ("Páginas", "Pages"),
    "data.true": ("sim", "yes"),
    "data.false": ("não", "no"),
    "plugins.empty": ("Nada para mostrar.", "Nothing to show."),
    "plugins.gone": ("Esta página não existe mais.", "This page no longer exists."),
    "jobs.lead": (
        "Trabalhos duráveis: sobrevivem a quedas e são repetidos até dar certo. O que parou por erro espera decisão.",
        "Durable work: it survives crashes and is repeated until it succeeds. What stopped with an error waits for you.",
    ),
    "jobs.none": ("Nenhuma tarefa neste estado.", "No job in this state."),
    "jobs.kind": ("Tipo", "Kind"),
    "jobs.id": ("Identificador", "Identifier"),
    "jobs.changed": ("Última mudança", "Last change"),
    "jobs.at_once": ("agora", "now"),
    "jobs.attempts": ("Tentativas", "Attempts"),
    "jobs.created": ("Criada", "Created"),
    "jobs.next": ("Próxima vez", "Next run"),
    "jobs.error": ("Último erro", "Last error"),
    "jobs.actions": ("Ações", "Actions"),
    "jobs.requeue": ("Tentar de novo", "Try again"),
    "jobs.discard": ("Descartar", "Discard"),
    "jobs.discard_title": ("Descartar esta tarefa?", "Discard this job?"),
    "jobs.discard_text": (
        "Ela não será mais executada. O que já está gravado no prontuário não muda.",
        "It will never run again. What the record already holds does not change.",
    ),
    "jobs.requeued": ("A tarefa voltou para a fila.", "The job is back in the queue."),
    "jobs.discarded": ("A tarefa foi descartada.", "The job was discarded."),
    "jobs.state.dead": ("Paradas por erro", "Dead"),
    "jobs.state.ready": ("Na fila", "Queued"),
    "jobs.state.running": ("Em andamento", "Running"),
    "jobs.state.done": ("Concluídas", "Done"),
    "list.search": ("Procurar", "Search"),
    "list.shown": ("{shown} de {all}", "{shown} of {all}"),
    "list.nothing": ("Nada corresponde à busca.", "Nothing matches the search."),
    "list.more": (
        "Mostrando os primeiros {shown}; procure para achar os outros.",
        "Showing the first {shown}; search to find the others.",
    ),
    "people.users": ("Pessoas", "People"),
    "people.devices": ("Aparelhos", "Devices"),
    "people.new": ("Nova pessoa", "New person"),
    "people.lead": (
        "Quem usa o Prontuário, e de qual telefone. Um aparelho perdido se revoga aqui, na hora.",
        "Who uses Prontuário, and from which phone. A lost device is revoked here, at once.",
    ),
    "people.name": ("Nome", "Name"),
    "people.shared": ("compartilhado", "shared"),
    "people.until": ("Certificado até", "Certificate until"),
    "people.username": ("Usuário", "Username"),
    "people.role": ("Perfil", "Role"),
    "people.password": ("Senha inicial", "Initial password"),
    "people.password_hint": ("Pelo menos 12 caracteres", "At least 12 characters"),
    "people.create": ("Criar", "Create"),
    "people.created": ("{user} foi criado.", "{user} was created."),
    "people.enrol": ("Conectar telefone", "Enrol a phone"),
    "people.none": ("Ninguém cadastrado.", "Nobody is registered."),
    "people.state": ("Situação", "State"),
    "status.blocked": ("bloqueado", "blocked"),
    "people.no_devices": ("Nenhum aparelho conectado.", "No device is enrolled."),
    "people.device": ("Aparelho", "Device"),
    "people.owner": ("De quem", "Whose"),
    "people.since": ("Desde", "Since"),
    "people.block": ("Bloquear", "Block"),
    "people.unblock": ("Liberar", "Unblock"),
    "people.block_title": ("Bloquear {user}?", "Block {user}?"),
    "people.block_text": (
        "A pessoa perde o acesso agora mesmo, em todos os aparelhos. O que escreveu e assinou permanece.",
        "The person loses access right now, on every device. What they wrote and signed stays.",
    ),
    "people.blocked_done": ("{user} foi bloqueado.", "{user} was blocked."),
    "people.unblocked_done": ("{user} foi liberado.", "{user} was unblocked."),
    "people.enrol_shared": ("Conectar aparelho compartilhado", "Enrol a shared device"),
    "people.revoke": ("Revogar", "Revoke"),
    "people.revoke_title": ("Revogar {device}?", "Revoke {device}?"),
    "people.revoke_text": (
        "Ele perde o acesso agora mesmo. Para voltar, precisa ser conectado de novo.",
        "It loses access right now. To come back it has to be enrolled again.",
    ),
    "people.revoked": ("O aparelho foi revogado.", "The device was revoked."),
    "enrol.title": ("Conectar o telefone de {user}", "Enrol {user}'s phone"),
    "enrol.title_shared": ("Conectar um aparelho compartilhado", "Enrol a shared device"),
    "enrol.step1": (
        "No telefone, ligado ao WiFi do hospital, abra o aplicativo Prontuário.",
        "On the phone, on the hospital's WiFi, open the Prontuário app.",
    ),
    "enrol.step2": (
        "Toque em Conectar e aponte a câmera para o código.",
        "Tap Enrol and point the camera at the code.",
    ),
    "enrol.step3": ("Entre com usuário e senha.", "Sign in with username and password."),
    "enrol.alt": ("Código QR de uso único para conectar um telefone", "One-time QR code to enrol a phone"),
    "enrol.code": ("Sem câmera? Digite:", "No camera? Type:"),
    "enrol.left": ("Vale por mais {time}, uma única vez.", "Valid for another {time}, once."),
    "enrol.expired": ("O código venceu.", "The code has expired."),
    "enrol.again": ("Gerar outro código", "Make another code"),
    "audit.lead": (
        "Quem viu ou fez o quê, do mais recente para o mais antigo. Nada aqui pode ser apagado.",
        "Who saw or did what, newest first. Nothing in here can be erased.",
    ),
    "audit.none": ("Nenhum registro.", "No entries."),
    "audit.when": ("Quando", "When"),
    "audit.who": ("Quem", "Who"),
    "audit.what": ("O quê", "What"),
    "audit.about": ("Sobre", "About"),
    "audit.device": ("Aparelho", "Device"),
    "audit.outcome": ("Resultado", "Outcome"),
    "audit.shown": ("{count} registros", "{count} entries"),
    "audit.check": ("Conferir integridade", "Check integrity"),
    "audit.intact": (
        "Registro íntegro: {count} eventos conferidos, um a um.",
        "The log is intact: {count} events were checked, one by one.",
    ),
    "audit.broken": (
        "O registro foi alterado ou está incompleto. Não apague nada e chame a TI e a direção.",
        "The log was altered or is incomplete. Erase nothing; call IT and the management.",
    ),
    "audit.older": ("Ver mais antigos", "Show older"),
    "audit.refresh": ("Atualizar", "Refresh"),
    "role.physician": ("Médica(o)", "Physician"),
    "role.nurse": ("Enfermagem", "Nurse"),
    "role.auditor": ("Auditoria", "Auditor"),
    "role.admin": ("Administração", "Administrator"),
    "role.it": ("TI", "IT"),
    "act.cancel": ("Cancelar", "Cancel"),
    "act.close": ("Fechar", "Close"),
    "act.retry": ("Tentar de novo", "Try again"),
    "error.unreachable": (
        "O núcleo não respondeu. Nada foi mudado; tente de novo em instantes.",
        "Core did not answer. Try again in a moment.",
    ),
    "error.unknown": ("O núcleo recusou ({code}).", "Core refused ({code})."),
    "page.missing": ("Esta página não existe.", "This page does not exist."),
    "page.home": ("Ir para o início", "Go to the start"),
    **ALERTS_WORDS,
    **CAPACITY_WORDS,
    **CLUSTER_WORDS,
    **DOCTOR_WORDS,
    **DRILLS_WORDS,
    **NOTES_WORDS,
    **FACES_WORDS,
    **OPERATIONS_WORDS,
    **PACKS_WORDS,
    **REVIEW_WORDS,
    **UPDATES_WORDS,
}


def words(language: str) -> Words:
    """The words of one language: ``say(key, **values)``. A key that does not exist raises ``KeyError``."""
    position = 1 if language == "en" else 0

    def say(key: str, **values: object) -> str:
        return WORDS[key][position].format(**values)

    return say


def known(say: Words, prefix: str, code: str) -> str:
    """The word for a code from core, or the code itself if it is newer than this dashboard."""
    key = f"{prefix}.{code}"
    return say(key) if key in WORDS else code


def language_of(accept_language: str) -> Language:
    """Brazilian Portuguese unless the browser asks for English first (RFC 9110 §12.5.4)."""
    wanted: list[tuple[float, str]] = []
    for part in accept_language.lower().split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((float(quality or 1), tag[:2]))
        except ValueError:
            continue
    best = max((one for one in wanted if one[1] in ("pt", "en")), key=lambda one: one[0], default=(0.0, "pt"))
    return "en" if best[1] == "en" else "pt"
