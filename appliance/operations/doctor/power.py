"""Power and alerts: the UPS answers, the machine can be switched off, targets lie in the hospital, and what is on now."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Final

import msgspec

from appliance.operations.doctor.model import Check, Finding, Words
from appliance.operations.doctor.patient import Patient
from appliance.operations.power.reading import SilentError, Supply
from appliance.operations.power.switch_off import MAC_COMMAND, command_of
from appliance.operations.power.watch import ups_of
from appliance.operations.watching.feed import Alert
from appliance.operations.watching.targets import DeliveryError, address_within, places_of

UPS: Final = Check("ups", "power", pt="Nobreak", en="UPS", runbook="power-failed")
_UPS_WELL = UPS.ok("Há energia, e o nobreak responde.", "On mains, and the UPS answers.")
_NO_UPS_HERE = UPS.ok("Nenhum nobreak está configurado.", "No UPS is configured.", "none")
_NO_UPS = UPS.warns(
    "missing",
    (
        "Nenhum nobreak está configurado: uma queda de energia desliga este Mac na hora.",
        "Diga-o em [power] de prontuario.toml (docs/power.md).",
    ),
    (
        "No UPS is configured: a power cut ends this Mac at once.",
        "Name it in [power] of prontuario.toml (docs/power.md).",
    ),
)
_SILENT = UPS.fails(
    "silent",
    (
        "O nobreak não responde como devia ({why}).",
        "Confira se o servidor do nobreak roda, e host, port e ups em [power] de prontuario.toml.",
    ),
    (
        "The UPS does not answer as it should ({why}).",
        "Check that the UPS server runs, and host, port and ups in [power] of prontuario.toml.",
    ),
)
_BATTERY = UPS.warns(
    "battery",
    ("Esta máquina está na bateria.", "Siga docs/runbooks/power-failed.md."),
    ("This machine is on battery.", "Follow docs/runbooks/power-failed.md."),
)
_WORN = UPS.warns(
    "worn",
    ("O nobreak pede bateria nova.", "Mande trocar a bateria."),
    ("The UPS asks for a new battery.", "Have the battery replaced."),
)

OFF: Final = Check(
    "switching-off", "power", pt="Desligar em ordem", en="Switching off in order", runbook="power-failed"
)
_OFF_WELL = OFF.ok("O comando é {command}.", "The command is {command}.")
_NO_END = OFF.ok(
    "Sem nobreak não há fim de bateria a esperar.", "Without a UPS there is no end of a battery to wait for.", "none"
)
_NO_COMMAND = OFF.warns(
    "missing",
    (
        "Nenhum comando desliga esta máquina: no fim da bateria ela fecha tudo e continua ligada.",
        "Defina shutdown_command em [power] de prontuario.toml.",
    ),
    (
        "No command switches this machine off: it closes everything and stays on.",
        "Set shutdown_command in [power] of prontuario.toml.",
    ),
)
_UNKNOWN = OFF.fails(
    "unknown",
    ("O programa {command} não existe aqui.", "Corrija shutdown_command em [power] de prontuario.toml."),
    ("There is no program {command} here.", "Correct shutdown_command in [power] of prontuario.toml."),
)
_FORBIDDEN = OFF.fails(
    "forbidden",
    (
        "A conta do nó não pode desligar este Mac: ele fica ligado até a bateria acabar.",
        "Instale a linha de sudoers de docs/power.md.",
    ),
    (
        "The node's account may not switch this Mac off: it stays on until the battery is empty.",
        "Install the sudoers line of docs/power.md.",
    ),
)

TARGETS: Final = Check(
    "alert-targets", "power", pt="Destinos dos alertas", en="Where alerts are sent", runbook="alerts-not-sent"
)
_SENT = TARGETS.ok("Os alertas vão para {count} destino(s).", "Alerts are sent to {count} target(s).")
_SHOWN = TARGETS.ok("Os alertas só aparecem no painel.", "Alerts are shown in the dashboard only.", "dashboard")
_CORRECT: Final = (
    "Corrija [alerts] em prontuario.toml; alertas só vão para as redes do próprio hospital.",
    "Correct [alerts] in prontuario.toml; alerts go only to the hospital's own networks.",
)
_NO_NETWORK = TARGETS.fails(
    "no-network",
    ("{network}, em [alerts] networks, não é uma rede.", _CORRECT[0]),
    ("{network}, in [alerts] networks, is no network.", _CORRECT[1]),
)
_PUBLIC = TARGETS.fails(
    "public", ("{networks} não é rede privada.", _CORRECT[0]), ("{networks} is no private network.", _CORRECT[1])
)
_OUTSIDE = TARGETS.fails(
    "outside",
    ("{target} fica fora das redes do hospital, ou não se acha ({why}).", _CORRECT[0]),
    ("{target} lies outside the hospital's networks, or can't be found ({why}).", _CORRECT[1]),
)

ALERTS: Final = Check("alerts", "power", pt="Alertas ativos", en="Alerts that are on", needs_config=False)
_QUIET = ALERTS.ok("Nenhum alerta está ativo.", "No alert is on.")
_ON = ALERTS.warns(
    "on",
    ("{count} alerta(s): {said}", "Siga docs/runbooks/{page}.md."),
    ("{count} alert(s): {said}", "Follow docs/runbooks/{page}.md."),
)
_CRITICAL = ALERTS.fails(
    "critical",
    ("{count} alerta(s), o mais grave: {said}", "Siga agora docs/runbooks/{page}.md."),
    ("{count} alert(s), the gravest: {said}", "Follow docs/runbooks/{page}.md now."),
)


@UPS
def ups(patient: Patient) -> Finding:
    """The UPS answers and its battery is fit."""
    config = patient.config.power
    asked = ups_of(config)
    if asked is None:
        return _NO_UPS() if patient.config.node.profile == "production" else _NO_UPS_HERE()
    try:
        reading = asyncio.run(asked.read())
    except SilentError as error:
        return _SILENT(why=error.why)
    if reading.judged(config.low_charge_percent, config.low_runtime_s).supply is not Supply.MAINS:
        return _BATTERY()
    return _WORN() if reading.worn else _UPS_WELL()


@OFF
def switching_off(patient: Patient) -> Finding:
    """At the end of the battery the machine can be switched off in good order."""
    config = patient.config.power
    if config.kind == "none":
        return _NO_END()
    command = command_of(config.shutdown_command, patient.machine.platform)
    if not command:
        return _NO_COMMAND()
    if command != MAC_COMMAND:
        return (_OFF_WELL if patient.machine.program(command[0]) else _UNKNOWN)(command=command[0])
    # Whether sudo(8) would run exactly our command without a password.
    said = patient.machine.ask("sudo", "-n", "-l", *MAC_COMMAND[2:])
    return _FORBIDDEN() if said is None or said.status else _OFF_WELL(command=" ".join(MAC_COMMAND))


@TARGETS
def alert_targets(patient: Patient) -> Finding:
    """The networks are private ones, and everything that alerts are sent to lies within them."""
    config = patient.config.alerts
    unknown = [one for one in config.networks if _network(one) is None]
    if unknown:
        return _NO_NETWORK(network=unknown[0])
    public = [one for one in config.networks if (network := _network(one)) is not None and not network.is_private]
    if public:
        return _PUBLIC(networks=", ".join(public))
    places = places_of(config)
    for shown, host, port in places:
        try:
            asyncio.run(address_within(host, port, config.networks))
        except DeliveryError as error:
            return _OUTSIDE(target=shown, why=error)
    return _SENT(count=len(places)) if places else _SHOWN()


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


@ALERTS
def alerts(patient: Patient) -> Finding:
    """What the box itself found out of order, as it remembered it last."""
    file = patient.paths.home / "data" / "alerts.json"
    rows = msgspec.json.decode(file.read_bytes(), type=list[Alert]) if file.exists() else []
    on = sorted((row for row in rows if row.ended is None), key=lambda row: row.severity != "critical")
    if not on:
        return _QUIET()
    verdict = _CRITICAL if on[0].severity == "critical" else _ON
    return verdict(count=len(on), said=Words(on[0].pt, on[0].en), page=on[0].runbook)
