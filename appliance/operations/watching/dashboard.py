"""A Grafana dashboard as data: one panel for each question that the person on duty asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from appliance.operations.watching.conditions import PREFIX

WIDTH: Final = 8
HEIGHT: Final = 7
COLUMNS: Final = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph. ``queries``: (PromQL with ``$`` for our prefix, legend)."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


PANELS: Final = (
    Panel("Alertas ativos / alerts on", "short", (("$alerts_on", "{{instance}} {{severity}}"),)),
    Panel("Pedidos por segundo / requests", "reqps", (("sum by (instance) (rate($http_requests_total[5m]))", "{{instance}}"),)),
    Panel(
        "Resposta, 99 % / latency p99", "s",
        (("histogram_quantile(0.99, sum by (le, instance) (rate($http_request_seconds_bucket[5m])))", "{{instance}}"),),
    ),
    Panel(
        "Erros do servidor / server errors", "reqps",
        (('sum by (instance) (rate($http_requests_total{status=~"5.."}[5m]))', "{{instance}}"),),
    ),
    Panel("Quem atende / who leads", "short", (("$cluster_leads", "{{instance}}"), ("$cluster_degraded", "{{instance}} degraded"))),
    Panel("Atraso da cópia / replication lag", "s", (("$cluster_lag_seconds", "{{instance}}"),)),
    Panel("Linhas em um só Mac / rows on one Mac", "short", (("$cluster_unreplicated_rows", "{{instance}}"),)),
    Panel("Votantes / voters", "short", (("$cluster_voters_healthy", "{{instance}}"), ("$cluster_voters", "{{instance}} all"))),
    Panel("Diferença dos relógios / clock offset", "s", (("$clock_peer_offset_seconds", "{{instance}}"),)),
    Panel(
        "Gravação, 99 % / commit p99", "s",
        (
            ("histogram_quantile(0.99, sum by (le, instance) (rate($store_commit_seconds_bucket[5m])))", "{{instance}} commit"),
            ("histogram_quantile(0.99, sum by (le, instance) (rate($store_confirm_seconds_bucket[5m])))", "{{instance}} confirm"),
        ),
    ),
    Panel("Filas / queues", "short", (("$engine_waiting", "{{instance}} {{engine}}"),)),
    Panel("Em execução / running", "short", (("$engine_running", "{{instance}} {{engine}}"),)),
    Panel(
        "Primeira resposta, 95 % / first output p95", "s",
        (("histogram_quantile(0.95, sum by (le, engine) (rate($engine_first_output_seconds_bucket[5m])))", "{{engine}}"),),
    ),
    Panel(
        "Quedas de motores / engine deaths", "short",
        (("increase($engine_deaths_total[1h])", "{{instance}} {{engine}} {{cause}}"),),
    ),
    Panel("Memória dos motores / engine memory", "bytes", (("$engine_resident_bytes", "{{instance}} {{engine}}"),)),
    Panel("Substitutos / fallbacks", "short", (("increase($capability_fallbacks_total[1h])", "{{instance}} {{capability}}"),)),
    Panel("Disco livre / free disk", "bytes", (("$node_disk_free_bytes", "{{instance}}"),)),
    Panel("Rotina: falhas / recurring work failing", "short", (("$schedule_failures", "{{instance}} {{task}}"),)),
    Panel(
        "Desde a última prova / since the last proof", "s",
        (('time() - ($schedule_last_success_seconds{task="restore-proof"} > 0)', "{{instance}}"),),
    ),
    Panel(
        "Certificados: tempo restante / certificates", "s",
        (("($certificate_expires_seconds > 0) - time()", "{{instance}} {{certificate}}"),),
    ),
    Panel(
        "Nobreak / UPS", "percent",
        (("$ups_charge_percent", "{{instance}} charge"), ("100 * $ups_on_battery", "{{instance}} on battery")),
    ),
)  # fmt: skip


def dashboard_json() -> str:
    """The file that Grafana imports; it asks for the data source itself."""
    panels = [_panel(number, panel) for number, panel in enumerate(PANELS)]
    told: dict[str, Any] = {
        "title": "Prontuário", "uid": "prontuario", "schemaVersion": 38, "editable": True, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "tags": ["prontuario"], "panels": panels,
        "templating": {"list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    place = {"x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT}
    targets = [
        {
            "refId": chr(ord("A") + place_of),
            "expr": query.replace("$", PREFIX),
            "legendFormat": legend,
            "datasource": source,
        }
        for place_of, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number + 1, "type": "timeseries", "title": panel.title, "gridPos": place, "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []}, "targets": targets,
    }  # fmt: skip
