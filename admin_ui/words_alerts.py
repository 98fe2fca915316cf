"""What the dashboard says about alerts; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

ALERTS_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.alerts": ("Alertas", "Alerts"),
    "alerts.lead": (
        "O que pede atenção agora, e o que pediu na última semana. Quem cuida de um alerta diz que o viu.",
        "What wants attention now, and what did within the last week. Whoever sees to an alert says so.",
    ),
    "alerts.on": ("Agora", "Now"),
    "alerts.over": ("Última semana", "Last week"),
    "alerts.none": ("Nenhum alerta.", "No alerts."),
    "alerts.what": ("O quê", "What"),
    "alerts.where": ("Onde", "Where"),
    "alerts.severity": ("Gravidade", "Severity"),
    "alerts.since": ("Desde", "Since"),
    "alerts.until": ("Até", "Until"),
    "alerts.seen": ("Quem viu", "Seen by"),
    "alerts.see": ("Estou vendo", "I see to it"),
    "alerts.noted": ("Anotado: você cuida deste alerta.", "Noted: you see to this alert."),
    "alerts.page": ("Roteiro: docs/runbooks/{page}.md", "Runbook: docs/runbooks/{page}.md"),
    "severity.critical": ("crítico", "critical"),
    "severity.warning": ("atenção", "warning"),
}
