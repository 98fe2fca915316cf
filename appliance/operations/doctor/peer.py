"""The other node, compared with this one: what it told over the peer link. Nothing is guessed when it is silent."""

from __future__ import annotations

from typing import Final

from appliance.cluster.replication_errors import PEER_MISUNDERSTOOD
from appliance.operations.doctor.clock import FAR_OFF_S, OFF_S
from appliance.operations.doctor.facts import Live, NodeFacts
from appliance.operations.doctor.home import GIB, LITTLE_SPACE_BYTES, NO_SPACE_BYTES
from appliance.operations.doctor.live import ask_live
from appliance.operations.doctor.model import ALONE, STOPPED, UNTOLD, Check, Finding
from appliance.operations.doctor.patient import Patient

_AGAIN: Final = (
    "Rode prontuario doctor também no outro Mac.",
    "Run prontuario doctor on the other Mac too.",
)

PEER: Final = Check("peer", "pair", pt="O outro nó", en="The other node", runbook="node-died")
_PEER_WELL = PEER.ok("{name} responde.", "{name} answers.")
_PEER_AWAY = PEER.fails(
    "away",
    (
        "{name} não responde ({code}).",
        "Veja se aquele Mac está ligado e o cabo entre os dois; depois rode prontuario doctor nele.",
    ),
    (
        "{name} does not answer ({code}).",
        "See whether that Mac is on, and the cable between the two; then run prontuario doctor there.",
    ),
)
_PEER_OLD = PEER.warns(
    "older",
    (
        "{name} é de uma versão que não sabe responder a isto.",
        "Termine a atualização: docs/runbooks/rolling-upgrade.md.",
    ),
    (
        "{name} is of a version that does not know how to answer this.",
        "Finish the upgrade: docs/runbooks/rolling-upgrade.md.",
    ),
)

VERSION: Final = Check(
    "peer-version", "pair", pt="Versões dos dois nós", en="Versions of both nodes", runbook="rolling-upgrade"
)
_VERSION_WELL = VERSION.ok("Os dois rodam {own}.", "Both run {own}.")
_FINISH: Final = (
    "Termine a atualização: docs/runbooks/rolling-upgrade.md.",
    "Finish the upgrade: docs/runbooks/rolling-upgrade.md.",
)
_VERSION_DIFFERS = VERSION.warns(
    "differs",
    ("Este nó roda {own}; o outro, {other}.", _FINISH[0]),
    ("This node runs {own}; the other one {other}.", _FINISH[1]),
)
_PROTOCOL_DIFFERS = VERSION.fails(
    "protocol",
    ("Os nós não falam a mesma língua ({own} e {other}): nada se replica.", _FINISH[0]),
    ("The nodes do not speak the same language ({own} and {other}): nothing is replicated.", _FINISH[1]),
)

CLOCKS: Final = Check("peer-clock", "pair", pt="Relógios dos dois nós", en="Clocks of both nodes", runbook="clock-off")
_CLOCKS_WELL = CLOCKS.ok("Diferem {offset} s.", "They differ by {offset} s.")
_CLOCKS_OFF = CLOCKS.warns(
    "off",
    (
        "Os relógios diferem {offset} s: depois de uma troca, registros ficam fora de ordem.",
        "Veja em cada Mac a verificação time-service.",
    ),
    (
        "The clocks differ by {offset} s: after a takeover entries are out of order.",
        "See the check time-service on each Mac.",
    ),
)
_CLOCKS_FAR = CLOCKS.fails(
    "far-off",
    (
        "Os relógios diferem {offset} s: certificados e senhas de um não valem no outro.",
        "Acerte já o que está errado: verificação time-service em cada Mac.",
    ),
    (
        "The clocks differ by {offset} s: one's certificates and tokens are not good on the other.",
        "Set the wrong one right now: the check time-service on each Mac.",
    ),
)

SCHEMA: Final = Check(
    "peer-schema", "pair", pt="Banco nos dois nós", en="The database on both nodes", runbook="rolling-upgrade"
)
_SCHEMA_WELL = SCHEMA.ok("Os dois conhecem a migração {own}.", "Both know migration {own}.")
_SCHEMA_DIFFERS = SCHEMA.warns(
    "differs",
    ("Este nó conhece até a migração {own}; o outro, até {other}.", _FINISH[0]),
    ("This node knows migrations up to {own}; the other one up to {other}.", _FINISH[1]),
)

CONFIGURATION: Final = Check(
    "peer-configuration",
    "pair",
    pt="Configuração dos dois nós",
    en="Configuration of both nodes",
    runbook="first-install",
)
_CONFIGURATION_WELL = CONFIGURATION.ok("O que tem de ser igual é igual.", "What has to be alike is alike.")
_CONFIGURATION_DIFFERS = CONFIGURATION.warns(
    "differs",
    ("Diferem, em prontuario.toml: {sections}. Depois de uma troca, o outro nó se comporta de outro modo.",
     "Compare os dois arquivos, iguale essas seções e reinicie a reserva."),
    ("In prontuario.toml these differ: {sections}. After a takeover the other node behaves otherwise.",
     "Compare the two files, make these sections alike and restart the standby."),
)  # fmt: skip

AUTHORITY: Final = Check(
    "peer-authority", "pair", pt="Autoridade dos dois nós", en="Authority of both nodes", runbook="first-install"
)
_AUTHORITY_WELL = AUTHORITY.ok("Os dois têm as mesmas autoridades.", "Both hold the same authorities.")
_AUTHORITY_DIFFERS = AUTHORITY.fails(
    "differs",
    ("{names} não é o mesmo nos dois nós: o que um cadastra, o outro recusa.",
     "Refaça o par a partir do nó certo: prontuario cluster init nele, prontuario cluster join no outro."),
    ("{names} is not the same on both nodes: what one enrols, the other refuses.",
     "Make the pair again from the right node: prontuario cluster init there, prontuario cluster join on the other."),
)  # fmt: skip

MODELS: Final = Check(
    "peer-models", "pair", pt="Modelos dos dois nós", en="Models of both nodes", runbook="engine-down"
)
_MODELS_WELL = MODELS.ok("Os mesmos pacotes atendem nos dois.", "The same packs serve on both.")
_MODELS_DIFFER = MODELS.warns(
    "differ",
    (
        "Não são os mesmos pacotes nos dois nós: {capabilities}.",
        "Espere a cópia (minutos); se ficar: prontuario models activate no que falta.",
    ),
    (
        "The packs are not the same on both nodes: {capabilities}.",
        "Wait for the copy (minutes); if it stays: prontuario models activate where it lacks.",
    ),
)

DISK: Final = Check("peer-disk", "pair", pt="Disco do outro nó", en="The other node's disk", runbook="disk-full")
_DISK_WELL = DISK.ok("Há {free} GiB livres lá.", "{free} GiB are free there.")
_DISK_LITTLE = DISK.warns(
    "little", ("Há só {free} GiB livres lá.", _AGAIN[0]), ("Only {free} GiB are free there.", _AGAIN[1])
)
_DISK_FULL = DISK.fails(
    "full",
    ("Há só {free} GiB livres lá: logo ele não guarda mais nada do que se grava aqui.", _AGAIN[0]),
    ("Only {free} GiB are free there: soon it keeps nothing more of what is saved here.", _AGAIN[1]),
)


def _both(patient: Patient, check: Check) -> tuple[Live, NodeFacts] | Finding:
    """What this node and the other one told, or why there is nothing to compare."""
    if not patient.paired:
        return ALONE(check)
    live = ask_live(patient)
    if live is None:
        return STOPPED(check)
    return (live, live.peer) if live.peer is not None else UNTOLD(check)


@PEER
def peer(patient: Patient) -> Finding:
    """The other node answers on the peer link."""
    if not patient.paired:
        return ALONE(PEER)
    live = ask_live(patient)
    if live is None:
        return STOPPED(PEER)
    name = patient.config.cluster.peer
    if live.peer is not None:
        return _PEER_WELL(name=name)
    return (
        _PEER_OLD(name=name)
        if live.peer_code == PEER_MISUNDERSTOOD.code
        else _PEER_AWAY(name=name, code=live.peer_code)
    )


@VERSION
def peer_version(patient: Patient) -> Finding:
    """Both run the same version, or at least share a protocol."""
    both = _both(patient, VERSION)
    if isinstance(both, Finding):
        return both
    own, other = both[0].own, both[1]
    if max(own.oldest_protocol, other.oldest_protocol) > min(own.protocol, other.protocol):
        return _PROTOCOL_DIFFERS(own=own.protocol, other=other.protocol)
    return (_VERSION_WELL if own.version == other.version else _VERSION_DIFFERS)(own=own.version, other=other.version)


@CLOCKS
def peer_clock(patient: Patient) -> Finding:
    """The clocks agree."""
    both = _both(patient, CLOCKS)
    if isinstance(both, Finding):
        return both
    offset = both[0].clock_offset_s or 0.0
    verdict = _CLOCKS_FAR if abs(offset) >= FAR_OFF_S else _CLOCKS_OFF if abs(offset) >= OFF_S else _CLOCKS_WELL
    return verdict(offset=f"{offset:+.3f}")


@SCHEMA
def peer_schema(patient: Patient) -> Finding:
    """Both programs know the same database."""
    both = _both(patient, SCHEMA)
    if isinstance(both, Finding):
        return both
    own, other = both[0].own.migration, both[1].migration
    return (_SCHEMA_WELL if own == other else _SCHEMA_DIFFERS)(own=own, other=other)


@CONFIGURATION
def peer_configuration(patient: Patient) -> Finding:
    """What has to be alike in both files is alike."""
    both = _both(patient, CONFIGURATION)
    if isinstance(both, Finding):
        return both
    differing = _differing(both[0].own.configuration, both[1].configuration)
    return _CONFIGURATION_DIFFERS(sections=", ".join(differing)) if differing else _CONFIGURATION_WELL()


@AUTHORITY
def peer_authority(patient: Patient) -> Finding:
    """Phones and nodes are good on either."""
    both = _both(patient, AUTHORITY)
    if isinstance(both, Finding):
        return both
    differing = _differing(both[0].own.authorities, both[1].authorities)
    return _AUTHORITY_DIFFERS(names=", ".join(differing)) if differing else _AUTHORITY_WELL()


@MODELS
def peer_models(patient: Patient) -> Finding:
    """The same packs serve on both."""
    both = _both(patient, MODELS)
    if isinstance(both, Finding):
        return both
    differing = _differing(both[0].own.models, both[1].models)
    return _MODELS_DIFFER(capabilities=", ".join(differing)) if differing else _MODELS_WELL()


@DISK
def peer_disk(patient: Patient) -> Finding:
    """The other node has room for what this one saves."""
    both = _both(patient, DISK)
    if isinstance(both, Finding):
        return both
    free = both[1].free_bytes
    verdict = _DISK_FULL if free < NO_SPACE_BYTES else _DISK_LITTLE if free < LITTLE_SPACE_BYTES else _DISK_WELL
    return verdict(free=f"{free / GIB:.1f}")


def _differing(own: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
