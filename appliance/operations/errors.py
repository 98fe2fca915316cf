"""What can go wrong with operating the node, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

HAPROXY_SETTING = define(
    "haproxy.setting",
    422,
    pt=("A configuração do HAProxy não pode ser escrita: {settings}.", "Corrija estes valores."),
    en=("The HAProxy configuration can't be written: {settings}.", "Correct these values."),
)

TASK_UNKNOWN = define(
    "schedule.unknown",
    404,
    pt=("Não há tarefa de rotina {name}.", "Veja prontuario schedule list."),
    en=("There is no recurring task {name}.", "See prontuario schedule list."),
)
TASK_ELSEWHERE = define(
    "schedule.elsewhere",
    409,
    pt=("A tarefa {name} não cabe a este nó agora.", "Execute-a no outro nó, ou espere a troca de papel."),
    en=("The task {name} is not this node's now.", "Run it on the other node, or wait for the role to change."),
)
TASK_BUSY = define(
    "schedule.running",
    409,
    pt=("A tarefa {name} já está em andamento.", "Espere ela terminar."),
    en=("The task {name} is running already.", "Wait for it to end."),
)
ALERT_UNKNOWN = define(
    "alerts.unknown",
    404,
    pt=("Este alerta não existe mais.", "Atualize a lista de alertas."),
    en=("This alert does not exist any more.", "Look at the list of alerts again."),
)
AUDIT_DAMAGED = define(
    "audit.damaged",
    500,
    pt=(
        "O registro de auditoria não confere: {count} problema(s).",
        "Siga docs/runbooks/audit-mismatch.md; não apague nada.",
    ),
    en=("The audit log does not agree: {count} problem(s).", "Follow docs/runbooks/audit-mismatch.md; erase nothing."),
)
DOCTOR_LATE = define(
    "doctor.late",
    504,
    pt=(
        "O exame não terminou em {seconds} s e foi encerrado.",
        "Rode prontuario doctor neste Mac; se também travar, reinicie o Mac e chame o suporte.",
    ),
    en=(
        "The examination did not end within {seconds} s and was stopped.",
        "Run prontuario doctor on this Mac; if that hangs too, restart the Mac and call support.",
    ),
)
DOCTOR_SILENT = define(
    "doctor.silent",
    500,
    pt=(
        "O exame terminou sem dizer o que encontrou (código {status}).",
        "Rode prontuario doctor neste Mac e guarde o que ele diz para o suporte.",
    ),
    en=(
        "The examination ended without saying what it found (status {status}).",
        "Run prontuario doctor on this Mac and keep what it says for support.",
    ),
)
