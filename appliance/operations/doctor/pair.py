"""The pair as this node sees it: voters, the other node, replication, the virtual IP."""

from __future__ import annotations

from typing import Final

import msgspec

from appliance.cluster.model import ClusterStatus, Role
from appliance.operations.doctor.home import runs_here
from appliance.operations.doctor.model import ALONE, STOPPED, Check, Finding, Words
from appliance.operations.doctor.patient import Patient

STATUS: Final = "cluster.status"
LAG_S: Final = 10.0
AUTOMATIC: Final = 3
"""Voters without which nobody takes over by himself (DESIGN §4)."""
_CABLE: Final = (
    "Veja se o outro Mac está ligado, o cabo entre os dois e o filtro de pacotes dele.",
    "See whether the other Mac is on, the cable between the two, and its packet filter.",
)

ETCD: Final = Check("etcd", "pair", pt="Programa etcd", en="etcd program", runbook="third-voter-lost")
_ETCD_WELL = ETCD.ok("{version}.", "{version}.")
_NO_ETCD = ETCD.fails(
    "missing",
    ("O programa etcd não foi encontrado: este Mac não vota.", "Reinstale o Prontuário: ele traz o etcd."),
    ("The etcd program was not found: this Mac does not vote.", "Install Prontuário again: it brings etcd."),
)
_ETCD_DEAD = ETCD.fails(
    "dead",
    ("O etcd não roda.", "Reinstale o Prontuário: ele traz o etcd."),
    ("etcd does not run.", "Install Prontuário again: it brings etcd."),
)

VOTERS: Final = Check("voters", "pair", pt="Votantes", en="Voters", runbook="third-voter-lost")
_VOTERS_WELL = VOTERS.ok("{healthy} de {total} respondem.", "{healthy} of {total} answer.")
_LOOK: Final = (
    "Veja qual com prontuario cluster status, e se a máquina dele está ligada.",
    "See which with prontuario cluster status, and whether its machine is on.",
)
_FEW = VOTERS.warns(
    "few",
    ("Só há {total} votantes: ninguém assume sozinho.", "Dê um terceiro voto ao par (docs/runbooks/first-install.md)."),
    (
        "There are {total} voters only: nobody takes over by himself.",
        "Give the pair a third vote (docs/runbooks/first-install.md).",
    ),
)
_LOST = VOTERS.warns(
    "lost",
    ("Só {healthy} de {total} respondem: falta reserva para a eleição.", _LOOK[0]),
    ("Only {healthy} of {total} answer: no spare for an election.", _LOOK[1]),
)
_NO_MAJORITY = VOTERS.fails(
    "minority",
    ("Só {healthy} de {total} respondem: nada pode ser gravado.", _LOOK[0]),
    ("Only {healthy} of {total} answer: nothing can be saved.", _LOOK[1]),
)

REPLICATION: Final = Check("replication", "pair", pt="Replicação", en="Replication", runbook="replication-behind")
_REPLICATION_WELL = REPLICATION.ok(
    "{leader} atende; {standby} tem tudo.", "{leader} leads; {standby} holds everything."
)
_NOBODY = REPLICATION.fails(
    "nobody",
    ("Ninguém atende: nada pode ser gravado.", "Siga docs/runbooks/read-only.md."),
    ("Nobody leads: nothing can be saved.", "Follow docs/runbooks/read-only.md."),
)
_DEGRADED = REPLICATION.fails(
    "degraded",
    ("O que se grava está só em {leader} ({rows} linhas): {why}.", _CABLE[0]),
    ("What is saved is on {leader} only ({rows} rows): {why}.", _CABLE[1]),
)
_UNSAFE = REPLICATION.warns(
    "unsafe",
    ("Ninguém pode assumir agora: {why}.", "Espere alguns minutos e rode de novo; se ficar, siga o roteiro."),
    ("Nobody can take over now: {why}.", "Wait some minutes and run again; if it stays, follow the runbook."),
)
_TRAILS = REPLICATION.warns(
    "trails",
    (
        "A cópia no outro Mac está {lag} s atrasada.",
        "Confira o cabo entre os dois e o disco do outro Mac (prontuario doctor nele).",
    ),
    (
        "The copy on the other Mac trails by {lag} s.",
        "Check the cable between the two and the other Mac's disk (prontuario doctor there).",
    ),
)

VIP: Final = Check("virtual-ip", "pair", pt="IP virtual", en="Virtual IP", runbook="network-cut")
_VIP_HERE = VIP.ok("{addresses} está aqui, com quem atende.", "{addresses} is here, with who leads.")
_VIP_THERE = VIP.ok(
    "Este nó não atende e não tem o endereço.", "This node does not lead and does not have the address.", "there"
)
_NO_VIP = VIP.skips("none", ("Nenhum IP virtual está configurado.", ""), ("No virtual IP is configured.", ""))
_NO_VIPD = VIP.fails(
    "silent",
    ("vipd não responde: o endereço não se move.", "Rode: sudo launchctl kickstart -k system/br.prontuario.vipd"),
    ("vipd does not answer: the address does not move.", "Run: sudo launchctl kickstart -k system/br.prontuario.vipd"),
)
_VIP_MISSING = VIP.fails(
    "missing",
    ("Este nó atende e {addresses} não está nele: os telefones não o acham.",
     "Confira cluster.vip_interface em prontuario.toml e o log do vipd; depois reinicie o vipd."),
    ("This node leads and does not have {addresses}: phones don't find it.",
     "Check cluster.vip_interface in prontuario.toml and vipd's log; then restart vipd."),
)  # fmt: skip
_VIP_STRAY = VIP.fails(
    "stray",
    ("Este nó não atende e mesmo assim tem {addresses}: os telefones podem falar com o nó errado.",
     "Rode: sudo launchctl kickstart -k system/br.prontuario.vipd (ao iniciar, ele solta o endereço)."),
    ("This node does not lead and has {addresses} all the same: phones may talk to the wrong node.",
     "Run: sudo launchctl kickstart -k system/br.prontuario.vipd (at its start it drops the address)."),
)  # fmt: skip


def pair_status(patient: Patient, check: Check) -> ClusterStatus | Finding:
    """The pair as the running node sees it, or why that can't be told."""
    if not patient.paired:
        return ALONE(check)
    if not runs_here(patient.paths.run):
        return STOPPED(check)
    try:
        return msgspec.convert(patient.line.ask(STATUS)["status"], ClusterStatus)
    except (OSError, LookupError, msgspec.ValidationError):
        return STOPPED(check)


@ETCD
def etcd(patient: Patient) -> Finding:
    """The etcd program is there and runs."""
    if not patient.paired:
        return ALONE(ETCD)
    said = patient.machine.ask("etcd", "--version")
    if said is None:
        return _NO_ETCD()
    lines = said.out.splitlines()
    return _ETCD_DEAD() if said.status or not lines else _ETCD_WELL(version=lines[0].strip())


@VOTERS
def voters(patient: Patient) -> Finding:
    """All three voters answer."""
    status = pair_status(patient, VOTERS)
    if isinstance(status, Finding):
        return status
    healthy, total = status.voters
    if healthy * 2 <= total:
        return _NO_MAJORITY(healthy=healthy, total=total)
    verdict = _LOST if healthy < total else _FEW if total < AUTOMATIC else _VOTERS_WELL
    return verdict(healthy=healthy, total=total)


@REPLICATION
def replication(patient: Patient) -> Finding:
    """Somebody leads, and the other node holds everything that was acknowledged."""
    status = pair_status(patient, REPLICATION)
    if isinstance(status, Finding):
        return status
    why = (
        Words(status.reason.pt, status.reason.en)
        if status.reason
        else Words("motivo desconhecido", "for an unknown reason")
    )
    if status.leader is None:
        return _NOBODY()
    if status.mode == "degraded":
        return _DEGRADED(leader=status.leader, rows=status.unreplicated_rows, why=why)
    if status.in_sync is None:
        return _UNSAFE(why=why)
    if (status.lag_s or 0.0) > LAG_S:
        return _TRAILS(lag=f"{status.lag_s:.0f}")
    return _REPLICATION_WELL(leader=status.leader, standby=status.in_sync)


@VIP
def virtual_ip(patient: Patient) -> Finding:
    """The address is on the node that leads, and only there."""
    if not patient.paired:
        return ALONE(VIP)
    if not patient.config.cluster.vip_addresses:
        return _NO_VIP()
    status = pair_status(patient, VIP)
    return status if isinstance(status, Finding) else _vip_finding(patient, status)


def _vip_finding(patient: Patient, status: ClusterStatus) -> Finding:
    wanted = patient.config.cluster.vip_addresses
    here = sorted(set(wanted) & patient.machine.addresses())
    leads = status.role in {Role.PRIMARY, Role.DRAINING}
    if not leads and here:
        return _VIP_STRAY(addresses=", ".join(here))
    if status.vip is None:
        return _NO_VIPD()
    if leads and not status.vip:
        return _VIP_MISSING(addresses=", ".join(wanted))
    return _VIP_HERE(addresses=", ".join(wanted)) if leads else _VIP_THERE()
