"""The clock, and who keeps it right: a Mac asks a time server, which on a closed network must be the hospital's own.

Leases do not depend on it (they use steady time), but every entry of the record, every certificate and every token does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from appliance.operations.doctor.model import Check, Finding
from appliance.operations.doctor.patient import Patient
from appliance.operations.doctor.record import read_record
from appliance.plugin_api.storage import Query

BUILD_DATE: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""No correct clock can show an earlier time than when this program was written."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
OFF_S: Final = 1.0
"""Two nodes that differ by more order a patient's entries wrongly after a takeover."""
FAR_OFF_S: Final = 60.0
ASK_S: Final = 3
"""Seconds that sntp(1) waits for an answer."""
_ANSWER: Final = re.compile(r"^([+-]\d+(?:\.\d+)?) \+/- \d", re.MULTILINE)

CLOCK: Final = Check("clock", "time", pt="Relógio", en="Clock", runbook="clock-off", needs_config=False)
_CLOCK_WELL = CLOCK.ok("O relógio mostra {now} UTC.", "The clock shows {now} UTC.")
_ADVICE_PT: Final = "Acerte data e hora (Ajustes do Sistema, ou sntp) e reinicie o nó."
_ADVICE_EN: Final = "Set the date and time (System Settings, or sntp), then start the node again."
_BEFORE_BIRTH = CLOCK.fails(
    "unborn",
    ("O relógio mostra {now} UTC, antes de este programa existir.", _ADVICE_PT),
    ("The clock shows {now} UTC, before this program was built.", _ADVICE_EN),
)
_BEFORE_RECORD = CLOCK.fails(
    "behind",
    ("O relógio mostra {now} UTC, antes do registro mais novo ({newest}).", _ADVICE_PT),
    ("The clock shows {now} UTC, before the newest entry ({newest}).", _ADVICE_EN),
)

SERVICE: Final = Check("time-service", "time", pt="Servidor de hora", en="Time server", runbook="clock-off", mac=True)
_SET_PT: Final = "Diga o servidor do hospital: sudo systemsetup -setnetworktimeserver ENDERECO -setusingnetworktime on"
_SET_EN: Final = "Name the hospital's server: sudo systemsetup -setnetworktimeserver ADDRESS -setusingnetworktime on"
_STEP_PT: Final = (
    "Acerte agora: sudo sntp -sS ENDERECO. Depois veja por que o timed não o faz: Ajustes do Sistema, Data e Hora."
)
_STEP_EN: Final = "Set the clock now: sudo sntp -sS ADDRESS. Then see why timed does not: System Settings, Date & Time."
_SERVICE_WELL = SERVICE.ok(
    "O relógio difere de {server} em {offset} s.", "The clock differs from {server} by {offset} s."
)
_NO_SERVER = SERVICE.warns(
    "unnamed",
    ("Nenhum servidor de hora foi dito: o relógio desvia segundos por semana.", _SET_PT),
    ("No time server is named: the clock drifts, seconds a week.", _SET_EN),
)
_SILENT = SERVICE.warns(
    "silent",
    ("O servidor de hora {server} não responde.", _SET_PT),
    ("The time server {server} does not answer.", _SET_EN),
)
_UNASKED = SERVICE.skips(
    "unasked",
    (
        "Só um administrador alcança o servidor de hora {server} daqui: o filtro de pacotes o fecha para o nó.",
        "Rode: sudo prontuario doctor",
    ),
    (
        "Only an administrator reaches the time server {server} from here: the packet filter closes it to the node.",
        "Run: sudo prontuario doctor",
    ),
)
_OFF = SERVICE.warns(
    "off",
    ("O relógio difere de {server} em {offset} s.", _STEP_PT),
    ("The clock differs from {server} by {offset} s.", _STEP_EN),
)
_FAR_OFF = SERVICE.fails(
    "far-off",
    ("O relógio difere de {server} em {offset} s: registros e certificados saem errados.", _STEP_PT),
    ("The clock differs from {server} by {offset} s: entries and certificates come out wrong.", _STEP_EN),
)

KEPT: Final = Check(
    "network-time",
    "time",
    pt="Acerto automático do relógio",
    en="Setting the clock by itself",
    runbook="clock-off",
    mac=True,
)
_KEPT_WELL = KEPT.ok("O macOS acerta o relógio sozinho.", "macOS sets the clock by itself.")
_NOT_KEPT = KEPT.fails(
    "switched-off",
    ("O acerto automático do relógio está desligado.", "Rode: sudo systemsetup -setusingnetworktime on"),
    ("Setting the clock by itself is switched off.", "Run: sudo systemsetup -setusingnetworktime on"),
)
_NOT_ASKED = KEPT.skips(
    "unasked",
    ("Só um administrador pode perguntar isto ao macOS.", "Rode: sudo prontuario doctor"),
    ("Only an administrator may ask macOS this.", "Run: sudo prontuario doctor"),
)


@CLOCK
def clock(patient: Patient) -> Finding:
    """The wall clock is later than this program and than the newest entry of the record."""
    now = patient.machine.now()
    shown = f"{now.astimezone(UTC):%Y-%m-%d %H:%M}"
    if now < BUILD_DATE:
        return _BEFORE_BIRTH(now=shown)
    newest = read_record(patient, _newest_event)
    if newest is not None and now < datetime.fromisoformat(newest) - CLOCK_TOLERANCE:
        return _BEFORE_RECORD(now=shown, newest=newest)
    return _CLOCK_WELL(now=shown)


@SERVICE
def time_service(patient: Patient) -> Finding:
    """The Mac's clock agrees with its time server. Elsewhere this is the operating system's matter and not examined."""
    server = patient.machine.time_server()
    if server is None:
        return _NO_SERVER()
    offset = _offset_s(patient, server)
    if offset is None:
        return (_SILENT if patient.machine.user() == patient.machine.root_user else _UNASKED)(server=server)
    verdict = _FAR_OFF if abs(offset) >= FAR_OFF_S else _OFF if abs(offset) >= OFF_S else _SERVICE_WELL
    return verdict(server=server, offset=f"{offset:+.3f}")


@KEPT
def network_time(patient: Patient) -> Finding:
    """``systemsetup -getusingnetworktime`` says ``Network Time: On``; it answers administrators only."""
    said = patient.machine.ask("systemsetup", "-getusingnetworktime")
    if said is None or "Network Time:" not in said.out:
        return _NOT_ASKED()
    return _KEPT_WELL() if said.out.split("Network Time:")[1].split()[:1] == ["On"] else _NOT_KEPT()


def _offset_s(patient: Patient, server: str) -> float | None:
    """Seconds from our clock to the server's, as sntp(1) tells: ``+0.0031 +/- 0.0203 server address``; None: no answer."""
    said = patient.machine.ask("sntp", "-t", str(ASK_S), server)
    if said is None or said.status:
        return None
    found = _ANSWER.search(said.out)
    return float(found[1]) if found else None


def _newest_event(q: Query) -> str | None:
    row = q.one("SELECT at FROM audit_event ORDER BY seq DESC LIMIT 1")
    return None if row is None else str(row[0])
