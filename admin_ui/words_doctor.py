"""What the dashboard says about doctor; part of ``words.WORDS``. Findings bring their own sentences from core."""

from __future__ import annotations

from typing import Final

DOCTOR_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.doctor": ("Diagnóstico", "Diagnosis"),
    "doctor.lead": (
        "O Prontuário examina este Mac e diz, para cada coisa errada, a causa e o próximo passo. Não muda nada.",
        "Prontuário examines this Mac and says, for everything that is wrong, the cause and the next step. It changes nothing.",
    ),
    "doctor.exam": ("Exame de {node}", "Examination of {node}"),
    "doctor.run": ("Examinar agora", "Examine now"),
    "doctor.download": ("Baixar JSON", "Download JSON"),
    "doctor.begun": ("O exame começou.", "The examination has begun."),
    "doctor.running": (
        "Examinando, a pedido de {by}. Leva alguns segundos, num Mac ocupado mais de um minuto; esta página mostra sozinha.",
        "Examining, asked for by {by}. It takes some seconds, more than a minute on a busy Mac; this page shows it by itself.",
    ),
    "doctor.never": (
        "Este Mac ainda não foi examinado por aqui.",
        "This Mac has not been examined from here yet.",
    ),
    "doctor.when": ("Último exame", "Last examination"),
    "doctor.took": ("{time}, em {seconds} s, a pedido de {by}", "{time}, in {seconds} s, asked for by {by}"),
    "doctor.verdict": ("Resultado", "Outcome"),
    "doctor.other": (
        "Vale só para este Mac. Com dois, examine também o outro: nele, sudo prontuario doctor.",
        "This is about this Mac only. With two, examine the other one as well: there, sudo prontuario doctor.",
    ),
    "doctor.unseen_note": (
        "Não vistas daqui: {count}. Não contam como aprovadas. No próprio Mac, sudo prontuario doctor --all vê mais.",
        "Not seen from here: {count}. They never count as a pass. On the Mac itself, sudo prontuario doctor --all sees more.",
    ),
    "doctor.filter": ("Mostrar", "Show"),
    "doctor.search": ("Procurar nas verificações", "Search the checks"),
    "doctor.none_chosen": ("Nada a mostrar com este filtro.", "Nothing to show with this filter."),
    "doctor.all_well": (
        "Nada a consertar: nenhuma falha e nenhum aviso.",
        "Nothing to mend: no failure and no warning.",
    ),
    "doctor.runbook": ("Roteiro: docs/runbooks/{name}.md", "Runbook: docs/runbooks/{name}.md"),
    "finding.failed": ("falha", "failed"),
    "finding.warning": ("atenção", "warning"),
    "finding.unseen": ("não visto", "not seen"),
    "finding.ok": ("bem", "well"),
    "finding.elsewhere": ("não se aplica", "does not apply"),
    "findings.failed": ("Falhas", "Failures"),
    "findings.warning": ("Avisos", "Warnings"),
    "findings.unseen": ("Não visto", "Not seen"),
    "findings.ok": ("Bem", "Well"),
    "findings.elsewhere": ("Não se aplica", "Does not apply"),
}
