"""Every alert that there is: one table, from which the box judges itself and Prometheus' file is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from appliance.operations.watching.conditions import PREFIX, Condition, Either, EndsWithin, Is, Rises, Share

Severity = Literal["warning", "critical"]
GIB: Final = 1 << 30
MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``condition`` for ``for_s`` seconds is an alert; ``runbook`` is a page of ``docs/runbooks``.

    ``pt`` and ``en`` are one sentence for people. A node can't tell of itself that it is dead: its peer does.
    """

    name: str
    severity: Severity
    condition: Condition
    runbook: str
    pt: str
    en: str
    for_s: float = 0.0


def _is(metric: str, value: float, **where: str) -> Is:
    return Is(PREFIX + metric, "==", value, where)


PAIR: Final = (
    Rule(
        name="NodeDown", severity="critical", for_s=30, runbook="node-died",
        condition=Either(Is("up", "==", 0, {"job": "prontuario"}), _is("node_up", 0)),
        pt="Um Mac não atende: sua porta não responde.", en="A Mac does not serve: its door does not answer.",
    ),
    Rule(
        name="PeerAway", severity="critical", condition=_is("cluster_peer_reachable", 0), for_s=30, runbook="node-died",
        pt="O outro Mac não responde na ligação entre os dois.", en="The other Mac does not answer on the link of the two.",
    ),
    Rule(
        name="ReadOnly", severity="critical", condition=_is("cluster_leader_known", 0), for_s=30, runbook="read-only",
        pt="Não se sabe de Mac que atenda: nada pode ser gravado.", en="No Mac is known to serve: nothing can be saved.",
    ),
    Rule(
        name="ClusterDegraded", severity="warning", condition=_is("cluster_degraded", 1), for_s=MINUTE_S,
        runbook="replication-behind", pt="O que se grava está só em um Mac.", en="What is saved is on one Mac only.",
    ),
    Rule(
        name="ReplicationLag", severity="warning", condition=Is(PREFIX + "cluster_lag_seconds", ">", 10), for_s=30,
        runbook="replication-behind", pt="A cópia no outro Mac está atrasada.", en="The copy on the other Mac trails.",
    ),
    Rule(
        name="VoterLost", severity="warning", for_s=MINUTE_S, runbook="third-voter-lost",
        condition=Share(PREFIX + "cluster_voters_healthy", PREFIX + "cluster_voters", "<", 1),
        pt="Um votante não responde: falta reserva para a eleição.", en="A voter does not answer: no spare for an election.",
    ),
    Rule(
        name="ClockOff", severity="warning", for_s=MINUTE_S, runbook="clock-off",
        condition=Is(PREFIX + "clock_peer_offset_seconds", ">", 1, {}, magnitude=True),
        pt="Os relógios dos dois Macs diferem mais de um segundo.", en="The clocks of the two Macs differ by over a second.",
    ),
)  # fmt: skip

RECORD: Final = (
    Rule(
        name="DiskFilling", severity="warning", condition=Is(PREFIX + "node_disk_free_bytes", "<", 20 * GIB),
        for_s=5 * MINUTE_S, runbook="disk-full", pt="Menos de 20 GiB livres no disco.", en="Less than 20 GiB of disk are free.",
    ),
    Rule(
        name="DiskFull", severity="critical", condition=Is(PREFIX + "node_disk_free_bytes", "<", 2 * GIB),
        runbook="disk-full", pt="O disco está cheio: logo nada se grava.", en="The disk is full: soon nothing can be saved.",
    ),
    Rule(
        name="CopyStopped", severity="critical", condition=_is("litestream_up", 0), for_s=MINUTE_S, runbook="copy-failed",
        pt="A cópia contínua do prontuário parou.", en="The record's continuous copy has stopped.",
    ),
    Rule(
        name="WritesUnconfirmed", severity="critical", condition=Rises(PREFIX + "store_unconfirmed_total", 0, 10 * MINUTE_S),
        runbook="replication-behind", pt="Gravações não foram confirmadas a tempo.", en="Writes were not confirmed in time.",
    ),
    Rule(
        name="RestoreProofFailed", severity="critical",
        condition=Either(  # the second: of a pair's primary, while its copy is the only one
            Is(PREFIX + "schedule_failures", ">", 0, {"task": "restore-proof"}),
            Is(PREFIX + "schedule_failures", ">", 0, {"task": "lonely-proof"}),
        ),
        runbook="copy-failed", pt="A prova de restauração da cópia falhou.", en="The proof that the copy can be restored failed.",
    ),
    Rule(
        name="RestoreProofLate", severity="critical", condition=_is("schedule_late", 1, task="restore-proof"),
        runbook="copy-failed", pt="Há dias a cópia não é provada.", en="For days the copy has not been proved.",
    ),
    Rule(
        name="RoutineFailed", severity="warning", condition=Is(PREFIX + "schedule_failures", ">", 1),
        runbook="routine-failed", pt="Uma tarefa de rotina falha repetidamente.", en="A recurring task keeps failing.",
    ),
    Rule(
        name="JobsGivenUp", severity="warning",
        condition=Rises(PREFIX + "jobs_ended_total", 0, HOUR_S, {"outcome": "dead"}), runbook="routine-failed",
        pt="Um trabalho foi abandonado após todas as tentativas.", en="A job was given up after all its attempts.",
    ),
    Rule(
        name="DrillAnnounced", severity="warning", condition=_is("drill_announced", 1), runbook="drill",
        pt="Um ensaio vai começar: por um instante ninguém atende.", en="A drill is about to begin: for a moment nobody serves.",
    ),
    Rule(
        name="DrillPutOff", severity="warning", condition=_is("drill_put_off", 1), runbook="drill",
        pt="Um ensaio foi adiado demais por consultas: escolha a hora.",
        en="Consults kept a drill from being made: choose the hour.",
    ),
    Rule(
        name="DrillFailed", severity="critical", condition=_is("drill_failed", 1), runbook="drill",
        pt="Um ensaio falhou: leia o relatório.", en="A drill failed: read the report.",
    ),
    Rule(
        name="CapacityEnding", severity="warning", condition=Is(PREFIX + "capacity_days_left", "<", 30), for_s=5 * MINUTE_S,
        runbook="disk-full", pt="No ritmo atual, falta menos de 30 dias para encher.", en="At this pace it is full within 30 days.",
    ),
    Rule(
        name="AuditMismatch", severity="critical", condition=_is("audit_log_intact", 0), runbook="audit-mismatch",
        pt="O registro de auditoria não confere com as assinaturas.", en="The audit log does not agree with its signed heads.",
    ),
    Rule(
        name="AuditNotWritten", severity="critical", condition=Rises(PREFIX + "http_audit_failures_total", 0, 10 * MINUTE_S),
        runbook="audit-mismatch", pt="Pedidos são recusados: a auditoria não se grava.",
        en="Requests are refused because the audit log can't be written.",
    ),
    Rule(
        name="CertificateEnding", severity="warning", condition=EndsWithin(PREFIX + "certificate_expires_seconds", 30 * DAY_S),
        runbook="certificate-expires", pt="Um certificado acaba em menos de 30 dias.", en="A certificate ends within 30 days.",
    ),
    Rule(
        name="CertificateEnds", severity="critical", condition=EndsWithin(PREFIX + "certificate_expires_seconds", 7 * DAY_S),
        runbook="certificate-expires", pt="Um certificado acaba em menos de 7 dias.", en="A certificate ends within 7 days.",
    ),
)  # fmt: skip

WORK: Final = (
    Rule(
        name="EngineCircuitOpen", severity="critical", condition=_is("engine_circuit_open", 1), runbook="engine-down",
        pt="Um modelo caiu vezes demais e está parado.", en="A model died too often and is stopped.",
    ),
    Rule(
        name="EngineDying", severity="warning", condition=Rises(PREFIX + "engine_deaths_total", 2, 15 * MINUTE_S),
        runbook="engine-down", pt="Um modelo cai repetidamente.", en="A model keeps dying.",
    ),
    Rule(
        name="QueueFull", severity="warning", for_s=MINUTE_S, runbook="engine-down",
        condition=Share(PREFIX + "engine_waiting", PREFIX + "engine_queue_limit", ">=", 0.9),
        pt="A fila de um modelo está quase cheia.", en="A model's queue is nearly full.",
    ),
    Rule(
        name="FallbackActive", severity="warning", condition=Rises(PREFIX + "capability_fallbacks_total", 0, 10 * MINUTE_S),
        runbook="fallback-active", pt="Respostas vêm de um substituto, não do modelo preferido.",
        en="Answers come from a substitute, not from the preferred model.",
    ),
    Rule(
        name="OnBattery", severity="warning", condition=_is("ups_on_battery", 1), runbook="power-failed",
        pt="Falta energia: este Mac está na bateria do nobreak.", en="Power failed: this Mac runs on the UPS's battery.",
    ),
    Rule(
        name="BatteryLow", severity="critical", condition=_is("ups_battery_low", 1), runbook="power-failed",
        pt="A bateria do nobreak acaba: este Mac se desliga.", en="The UPS's battery ends: this Mac switches itself off.",
    ),
    Rule(
        name="UpsSilent", severity="warning", condition=_is("ups_up", 0), for_s=MINUTE_S, runbook="power-failed",
        pt="O nobreak não responde.", en="The UPS does not answer.",
    ),
    Rule(
        name="BatteryWorn", severity="warning", condition=_is("ups_battery_worn", 1), runbook="power-failed",
        pt="O nobreak pede bateria nova.", en="The UPS asks for a new battery.",
    ),
    Rule(
        name="UpdateHalfDone", severity="warning", condition=_is("update_half_done", 1), for_s=20 * MINUTE_S,
        runbook="update-half-done", pt="Uma atualização está pela metade há mais de 20 minutos.",
        en="An update has been half done for over 20 minutes.",
    ),
    Rule(
        name="UpdateStuck", severity="critical", condition=_is("update_stuck", 1), runbook="update-half-done",
        pt="Uma atualização falhou, e a volta à versão anterior também.",
        en="An update failed, and the way back to the version before, too.",
    ),
    Rule(
        name="AlertsNotSent", severity="warning", condition=Is(PREFIX + "alerts_unsent", ">", 0), for_s=15 * MINUTE_S,
        runbook="alerts-not-sent", pt="Avisos esperam para ser enviados.", en="Alerts wait to be sent.",
    ),
)  # fmt: skip

RULES: Final[tuple[Rule, ...]] = (*PAIR, *RECORD, *WORK)
BY_NAME: Final = {rule.name: rule for rule in RULES}
