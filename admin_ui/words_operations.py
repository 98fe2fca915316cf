"""What the dashboard says about recurring work, restarts, passwords, sessions and audit questions; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

OPERATIONS_WORDS: Final[dict[str, tuple[str, str]]] = {
    "routine.title": ("Rotina", "Routine"),
    "routine.lead": (
        "O que o Prontuário confere sozinho. Uma falha fica aqui, com causa e próximo passo, até dar certo.",
        "What Prontuário checks by itself. A failure stays here, with its cause and next step, until it succeeds.",
    ),
    "routine.task": ("O quê", "What"),
    "routine.node": ("Onde", "Where"),
    "routine.state": ("Situação", "State"),
    "routine.last": ("Última vez que deu certo", "Last success"),
    "routine.due": ("Próxima vez", "Next run"),
    "routine.found": ("O que encontrou", "What it found"),
    "routine.never": ("ainda não", "not yet"),
    "routine.soon": ("em instantes", "in a moment"),
    "routine.run": ("Executar agora", "Run now"),
    "routine.begun": ("{name}: começa em instantes.", "{name}: begins in a moment."),
    "routine.none": ("Nenhuma tarefa de rotina.", "No recurring work."),
    "status.waiting": ("aguardando", "waiting"),
    "status.running": ("em andamento", "running"),
    "status.elsewhere": ("cabe ao outro nó", "the other node's"),
    "figure.bytes": ("{value} restaurados", "{value} restored"),
    "figure.rows": ("{value} registros", "{value} rows"),
    "figure.read": ("leitura FHIR: {value}", "FHIR read: {value}"),
    "figure.blobs": ("{value} arquivos íntegros", "{value} files whole"),
    "figure.orphans": ("{value} postos de lado", "{value} set aside"),
    "figure.orphan_bytes": ("{value} liberáveis", "{value} to be freed"),
    "figure.deleted": ("{value} apagados", "{value} deleted"),
    "figure.folders": ("{value} pastas esperam uma pessoa", "{value} folders wait for a person"),
    "figure.oldest_days": ("a mais antiga há {value} dias", "the oldest for {value} days"),
    "engines.restart": ("Reiniciar", "Restart"),
    "engines.restart_title": ("Reiniciar {name}?", "Restart {name}?"),
    "engines.restart_text": (
        "O motor para e começa de novo. Quem espera uma resposta dele espera mais; nada se perde.",
        "The engine stops and starts again. Whoever waits for it waits longer; nothing is lost.",
    ),
    "engines.restarted": ("{name} está reiniciando.", "{name} is restarting."),
    "people.reset": ("Nova senha", "New password"),
    "people.reset_title": ("Nova senha para {user}", "New password for {user}"),
    "people.reset_text": (
        "As sessões abertas terminam agora. Entregue a senha em pessoa; ela não aparece em lugar nenhum.",
        "Open sessions end now. Hand the password over in person; it is shown nowhere.",
    ),
    "people.reset_field": ("Senha nova", "New password"),
    "people.reset_done": (
        "{user} tem uma senha nova; as sessões terminaram.",
        "{user} has a new password; sessions ended.",
    ),
    "people.sessions": ("Sessões", "Sessions"),
    "people.sessions_title": ("Sessões abertas de {user}", "Open sessions of {user}"),
    "people.sessions_none": ("Nenhuma sessão aberta.", "No open session."),
    "people.session_end": ("Encerrar", "End"),
    "people.sessions_end_all": ("Encerrar todas", "End all"),
    "people.session_ended": ("A sessão terminou.", "The session was ended."),
    "people.sessions_ended": ("{count} sessões terminaram.", "{count} sessions were ended."),
    "people.more": ("Mais ações para {user}", "More actions for {user}"),
    "audit.patient": ("Paciente", "Patient"),
    "audit.person": ("Usuário", "Username"),
    "audit.from": ("De (dia)", "From (day)"),
    "audit.to": ("Até (dia)", "To (day)"),
    "audit.search": ("Procurar", "Search"),
    "audit.export": ("Exportar com prova", "Export with proof"),
    "audit.export_hint": (
        "O arquivo se prova sozinho, em qualquer máquina: prontuario audit verify ARQUIVO.",
        "The file proves itself, on any machine: prontuario audit verify FILE.",
    ),
    "audit.exported": (
        "{count} eventos exportados, assinados pela chave {signer}. Anote a chave.",
        "{count} events exported, signed by key {signer}. Write the key down.",
    ),
    "audit.export_more": (
        "O arquivo traz os {count} eventos mais recentes; estreite o período para os outros.",
        "The file has the newest {count} events; narrow the period for the others.",
    ),
    "ai.title": ("IA no hospital", "AI in this hospital"),
    "ai.lead": (
        (
            "Desligada aqui, a função cessa para todos, na hora. O prontuário continua funcionando sem ela."
            " Cada pessoa, e cada paciente, também pode recusá-la por si."
        ),
        (
            "Switched off here, a function stops for everybody, at once. The record works on without it."
            " Every person, and every patient, may also decline it for themselves."
        ),
    ),
    "ai.function": ("Função", "Function"),
    "ai.state": ("No hospital", "In the hospital"),
    "ai.name.transcription": ("Transcrição da fala", "Transcription of speech"),
    "ai.name.draft": ("Rascunho da nota", "Draft of the note"),
    "ai.name.chat": ("Conversa sobre o paciente", "Chat about a patient"),
    "ai.name.images": ("Leitura de imagens", "Reading of images"),
    "ai.name.reading": ("Leitura de documentos", "Reading of documents"),
    "status.on": ("ligada", "on"),
    "status.off": ("desligada", "off"),
    "ai.turn_on": ("Ligar", "Switch on"),
    "ai.turn_off": ("Desligar", "Switch off"),
    "ai.off_title": ("Desligar para todos: {name}?", "Switch off for everybody: {name}?"),
    "ai.off_text": (
        "Quem a usa agora recebe um aviso claro e escreve sem ela. Nada do que já foi gravado se perde.",
        "Whoever uses it now is told clearly and writes without it. Nothing recorded is lost.",
    ),
    "ai.turned_on": ("{name}: ligada.", "{name}: on."),
    "ai.turned_off": ("{name}: desligada para todos.", "{name}: off for everybody."),
}
