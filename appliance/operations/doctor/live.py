"""The running node: it answers, its API answers as a phone would ask, and its parts are well by their own judgement."""

from __future__ import annotations

import http.client
import socket
import ssl
from http import HTTPStatus
from typing import Final

import msgspec
from cryptography import x509

from appliance.operations.doctor.facts import SERVICE, Live
from appliance.operations.doctor.home import runs_here
from appliance.operations.doctor.model import STOPPED, Check, Finding, Words
from appliance.operations.doctor.patient import Patient
from appliance.security.authority import load_certificate

READY: Final = "/health/ready"
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::", "127.0.0.1", "::1"})  # noqa: S104  compared, not bound to
_RANK: Final = {"failed": 0, "degraded": 1}

NODE: Final = Check("node", "running", pt="O nó", en="The node", runbook="node-died", needs_config=False)
_NODE_WELL = NODE.ok("Roda a versão {version} e responde.", "It runs version {version} and answers.")
_NODE_STOPPED = NODE.warns(
    "off",
    (
        "O nó não está rodando.",
        "Inicie-o: sudo prontuario launchd load, ou prontuario up. Se não iniciar, resolva o que falhou acima.",
    ),
    (
        "The node does not run.",
        "Start it: sudo prontuario launchd load, or prontuario up. If it does not start, mend what failed above.",
    ),
)
_NODE_MUTE = NODE.fails(
    "mute",
    (
        "O nó está rodando e não responde.",
        "Reinicie-o: sudo launchctl kickstart -k system/br.prontuario.core. Guarde os logs para o suporte.",
    ),
    (
        "The node runs and does not answer.",
        "Restart it: sudo launchctl kickstart -k system/br.prontuario.core. Keep the logs for support.",
    ),
)
_NODE_OTHER = NODE.warns(
    "outdated",
    (
        "O nó que roda é de outra versão do que a instalada ({version}).",
        "Reinicie o nó, a reserva primeiro (docs/runbooks/rolling-upgrade.md).",
    ),
    (
        "The node that runs is of another version than what is installed ({version}).",
        "Restart the node, the standby first (docs/runbooks/rolling-upgrade.md).",
    ),
)

API: Final = Check("api", "running", pt="API", en="API", runbook="node-died")
_API_WELL = API.ok("{address} responde como um telefone espera.", "{address} answers as a phone expects.")
_API_SILENT = API.fails(
    "silent",
    (
        "Ninguém responde em {address} ({error}).",
        "Confira api.host e api.port em prontuario.toml e o filtro de pacotes; reinicie o nó.",
    ),
    (
        "Nobody answers at {address} ({error}).",
        "Check api.host and api.port in prontuario.toml and the packet filter; restart the node.",
    ),
)
_API_UNTRUSTED = API.fails(
    "untrusted",
    (
        "Um telefone recusaria {address}: {reason}.",
        "Confira o relógio e a verificação server-certificate; depois reinicie o nó.",
    ),
    (
        "A phone would refuse {address}: {reason}.",
        "Check the clock and the check server-certificate; then restart the node.",
    ),
)
_API_OLD = API.warns(
    "old-certificate",
    ("{address} ainda mostra um certificado anterior ao do disco.", "Reinicie o nó: ele lê o novo ao iniciar."),
    (
        "{address} still shows an older certificate than the one on disk.",
        "Restart the node: it reads the new one at its start.",
    ),
)
_API_UNREADY = API.fails(
    "unready",
    ("{address} responde que não está pronto ({status}).", "Veja as verificações parts e database."),
    ("{address} answers that it is not ready ({status}).", "See the checks parts and database."),
)

PARTS: Final = Check("parts", "running", pt="Partes do nó", en="The node's parts", runbook="engine-down")
_PARTS_WELL = PARTS.ok("{count} partes dizem que estão bem.", "{count} parts say that they are well.")
_PART_ILL = PARTS.warns("degraded", ("{name}: {cause}.", "{step}."), ("{name}: {cause}.", "{step}."))
_PART_FAILED = PARTS.fails("failed", ("{name}: {cause}.", "{step}."), ("{name}: {cause}.", "{step}."))

PLUGINS: Final = Check("plugins", "running", pt="Plugins", en="Plugins")
_PLUGINS_WELL = PLUGINS.ok("Nenhum está de quarentena.", "None is in quarantine.")
_QUARANTINED = PLUGINS.warns(
    "quarantined",
    (
        "{names} está de quarentena ({reason}).",
        "Veja core.jsonl; corrija o plugin ou ponha-o em disabled_plugins, e reinicie o nó.",
    ),
    (
        "{names} is in quarantine ({reason}).",
        "See core.jsonl; mend the plugin or name it in disabled_plugins, and restart the node.",
    ),
)


def ask_live(patient: Patient) -> Live | None:
    """What the running node says; None when none runs, or it does not answer: that is the check ``node``'s to tell."""
    if not runs_here(patient.paths.run):
        return None
    try:
        return msgspec.convert(patient.line.ask(SERVICE)["live"], Live)
    except (OSError, LookupError, msgspec.ValidationError):
        return None


@NODE
def node(patient: Patient) -> Finding:
    """A core serves this home, answers on its socket and is of the installed version."""
    if not runs_here(patient.paths.run):
        return _NODE_STOPPED()
    from importlib.metadata import version

    installed = version("prontuario")
    try:
        answer = patient.line.ask(SERVICE)
    except OSError:
        return _NODE_MUTE()
    try:
        live = msgspec.convert(answer["live"], Live)
    except (LookupError, msgspec.ValidationError):
        return _NODE_OTHER(version=installed)
    return (_NODE_WELL if live.own.version == installed else _NODE_OTHER)(version=installed)


@API
def api(patient: Patient) -> Finding:
    """A phone that pinned our root gets an answer, by the certificate that lies on the disk."""
    live = ask_live(patient)
    if live is None:
        return STOPPED(API)
    host = "localhost" if live.api_host in _EVERYWHERE else live.api_host
    address = f"{host}:{live.api_port}"
    try:
        context = ssl.create_default_context(cafile=str(patient.paths.ca))
        shown, status = _call(live, host, context, patient.machine.patience_s)
    except ssl.SSLCertVerificationError as error:
        return _API_UNTRUSTED(address=address, reason=error.verify_message)
    except OSError as error:
        return _API_SILENT(address=address, error=type(error).__name__)
    except http.client.HTTPException as error:
        return _API_SILENT(address=address, error=type(error).__name__)
    kept = load_certificate(patient.paths.secrets / "server.pem")
    if kept is not None and shown.serial_number != kept.serial_number:
        return _API_OLD(address=address)
    return _API_WELL(address=address) if status == HTTPStatus.OK else _API_UNREADY(address=address, status=status)


def _call(live: Live, host: str, context: ssl.SSLContext, within_s: float) -> tuple[x509.Certificate, int]:
    """The certificate that the API shows, and the status of its readiness. ``localhost`` is reached where it listens."""
    target = "127.0.0.1" if host == "localhost" and live.api_host != "::1" else live.api_host
    connection = http.client.HTTPSConnection(host, live.api_port, timeout=within_s, context=context)
    with socket.create_connection((target, live.api_port), within_s) as plain:
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        try:
            der = connection.sock.getpeercert(binary_form=True) or b""
            connection.request("GET", READY)
            return x509.load_der_x509_certificate(der), connection.getresponse().status
        finally:
            connection.close()


@PARTS
def parts(patient: Patient) -> Finding:
    """Engines, plugins, copies and the rest, as their own health checks judge; the worst is told."""
    live = ask_live(patient)
    if live is None:
        return STOPPED(PARTS)
    ill = [(name, part) for name, part in live.parts.items() if part.status in _RANK]
    if not ill:
        return _PARTS_WELL(count=len(live.parts))
    name, part = min(ill, key=lambda one: _RANK[one[1].status])
    verdict = _PART_FAILED if part.status == "failed" else _PART_ILL
    step = Words(part.step_pt or "Veja core.jsonl", part.step_en or "See core.jsonl")
    return verdict(name=name, cause=Words(part.cause_pt or part.cause_en, part.cause_en), step=step)


@PLUGINS
def plugins(patient: Patient) -> Finding:
    """No plugin was set aside."""
    live = ask_live(patient)
    if live is None:
        return STOPPED(PLUGINS)
    if not live.quarantined:
        return _PLUGINS_WELL()
    return _QUARANTINED(names=", ".join(sorted(live.quarantined)), reason=next(iter(live.quarantined.values())))
