"""What the dashboard says about drills; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

DRILLS_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.drills": ("Ensaios", "Drills"),
    "drills.lead": (
        "O Prontuário ensaia o que precisa funcionar numa emergência, e cada ensaio deixa um relatório assinado.",
        "Prontuário rehearses what has to work in an emergency; each drill leaves a signed report.",
    ),
    "drills.coming": ("Agenda", "Schedule"),
    "drills.history": ("Histórico", "History"),
    "drills.trend": (
        "Tempo sem atendimento ou de restauração (RTO, em segundos)",
        "Outage or restore time (RTO, in seconds)",
    ),
    "drills.none": ("Nenhum ensaio foi feito ainda.", "No drill was made yet."),
    "drills.drill": ("Ensaio", "Drill"),
    "drills.when": ("Quando", "When"),
    "drills.last": ("Último", "Last"),
    "drills.ended": ("Terminou", "Ended"),
    "drills.node": ("Nó", "Node"),
    "drills.outcome": ("Resultado", "Outcome"),
    "drills.rto": ("RTO", "RTO"),
    "drills.rpo": ("RPO", "RPO"),
    "drills.by": ("Pedido por", "Asked by"),
    "drills.actions": ("Ações", "Actions"),
    "drills.schedule": ("agenda", "schedule"),
    "drills.seconds": ("{value} s", "{value} s"),
    "drills.writes": ("{missing} de {watched} gravações", "{missing} of {watched} writes"),
    "drills.soon": ("em instantes", "in a moment"),
    "drills.announced": ("anunciado: começa em {time}", "announced: begins at {time}"),
    "drills.postponed": ("adiado {count} vez(es) por consultas", "postponed {count} time(s) because of consults"),
    "drills.put_off": (
        "Adiado demais: havia sempre consultas. Escolha uma hora calma e faça agora.",
        "Put off too often: there were always consults. Choose a quiet hour and make it now.",
    ),
    "drills.elsewhere": ("cabe ao outro nó", "the other node's"),
    "drills.running": ("em andamento", "under way"),
    "drills.run": ("Fazer agora", "Make it now"),
    "drills.sure": ("Fazer este ensaio agora?", "Make this drill now?"),
    "drills.cancel": ("Agora não", "Not now"),
    "drills.begun": (
        "Pedido. O resultado aparece no histórico; com consultas em andamento ele não começa.",
        "Ordered. The outcome appears in the history; it does not begin while there are consults.",
    ),
    "drills.pdf": ("Relatório", "Report"),
    "outcome.passed": ("aprovado", "passed"),
    "outcome.incomplete": ("incompleto", "incomplete"),
    "outcome.failed": ("reprovado", "failed"),
    "outcome.not_configured": ("não configurado", "not configured"),
    "outcome.given_up": ("não realizado", "not made"),
    "figure.disk_days_left": ("disco: {value} (dias até encher)", "disk: {value} (days until full)"),
    "figure.memory_days_left": ("memória: {value} (dias até encher)", "memory: {value} (days until full)"),
    "figure.report": ("relatório {value}", "report {value}"),
}
