"""Keys and certificates."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from appliance.operations.doctor.home import mode_of
from appliance.operations.doctor.model import ALONE, Check, Finding, Verdict, words_of
from appliance.operations.doctor.patient import Patient
from appliance.operations.doctor.record import read_record
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.security.authority import RENEW_BEFORE, load_certificate, load_key, server_names
from appliance.security.certificates import general_names, names_in, public_bytes
from appliance.security.master_key import read_wrapped, unwrap
from appliance.security.node_authority import node_files
from appliance.security.protectors import PASSPHRASE_FD_VARIABLE, PASSPHRASE_VARIABLE, protector_for
from appliance.security.vault import Vault

AUTHORITY_WARNING: Final = timedelta(days=365)
_OTHERS: Final = 0o077
_INIT: Final = ("Rode: prontuario init", "Run: prontuario init")
_RESTART: Final = (
    "Reinicie o nó: ele renova o certificado ao iniciar.",
    "Restart the node: it renews the certificate at start.",
)
_RESTORE: Final = (
    "Restaure a pasta secrets de sua cópia; uma autoridade nova obriga a cadastrar todos os telefones de novo.",
    "Restore the secrets folder from its backup; a new authority means enrolling every phone again.",
)

SECRETS: Final = Check("secrets", "keys", pt="Segredos", en="Secrets", needs_config=False)
_SECRETS_WELL = SECRETS.ok("Só o dono lê os segredos.", "Only the owner can read the secrets.")
_NO_SECRETS = SECRETS.warns(
    "missing", ("Ainda não há pasta de segredos.", _INIT[0]), ("There is no secrets folder yet.", _INIT[1])
)
_LOOSE = SECRETS.fails(
    "loose",
    ("Outras contas podem ler {names}.", "Rode: sudo chmod -R go-rwx '{folder}'. Se alguém os leu, chame o suporte."),
    ("Others can read {names}.", "Run: sudo chmod -R go-rwx '{folder}'. If somebody read them, call support."),
)
_FOREIGN = SECRETS.fails(
    "foreign",
    ("{names} pertence a outra conta, não à que roda isto.", "Rode prontuario doctor como a conta do nó, ou com sudo."),
    (
        "{names} belongs to another account than the one running this.",
        "Run prontuario doctor as the node's account, or with sudo.",
    ),
)

AUTHORITY: Final = Check(
    "authority",
    "keys",
    pt="Autoridade certificadora",
    en="Certificate authority",
    runbook="certificate-expires",
    needs_config=False,
)
_AUTHORITY_WELL = AUTHORITY.ok("A raiz e a dos aparelhos valem.", "Root and device authority are valid.")
_NO_AUTHORITY = AUTHORITY.warns(
    "missing",
    ("Ainda não há autoridade certificadora.", _INIT[0]),
    ("There is no certificate authority yet.", _INIT[1]),
)
_KEY_LOST = AUTHORITY.fails(
    "key-lost",
    ("{name}.key falta ou não se lê.", _RESTORE[0]),
    ("{name}.key is missing or unreadable.", _RESTORE[1]),
)
_CERTIFICATE_LOST = AUTHORITY.fails(
    "certificate-lost",
    ("{name}.pem falta ou não se lê.", "Tire daqui o danificado e inicie o nó: o que falta ele refaz."),
    (
        "{name}.pem is missing or unreadable.",
        "Move a damaged one away and start the node: it makes a missing one again.",
    ),
)
_UNFIT = AUTHORITY.fails(
    "unfit",
    ("{name}.key não é a chave de {name}.pem.", _RESTORE[0]),
    ("{name}.key does not fit {name}.pem.", _RESTORE[1]),
)
_INVALID_TODAY = AUTHORITY.fails(
    "invalid",
    ("{name}.pem não vale hoje.", "Confira primeiro o relógio; se estiver certo, chame o suporte."),
    ("{name}.pem is not valid today.", "Check the clock first; if it is right, call support."),
)
_AUTHORITY_ENDS = AUTHORITY.warns(
    "ending",
    ("{name}.pem acaba em {end}.", "Planeje a troca: todos os telefones precisam ser cadastrados de novo."),
    ("{name}.pem ends on {end}.", "Plan the change: every phone must be enrolled again."),
)

SERVER: Final = Check(
    "server-certificate", "keys", pt="Certificado do servidor", en="Server certificate", runbook="certificate-expires"
)
_SERVER_WELL = SERVER.ok("Vale até {end}.", "Valid until {end}.")
_NO_SERVER = SERVER.warns(
    "missing",
    ("Ainda não há nenhum.", "Inicie o nó: ele faz um."),
    ("There is none yet.", "Start the node: it makes one."),
)
_ENDED = SERVER.fails(
    "ended",
    ("Acabou em {end}: os telefones se recusam a conectar.", _RESTART[0]),
    ("It ended on {end}; phones refuse to connect.", _RESTART[1]),
)
_EARLY = SERVER.fails(
    "early",
    ("Ainda não vale.", "Acerte o relógio e reinicie o nó."),
    ("It is not valid yet.", "Set the clock right, then restart the node."),
)
_LACKS = SERVER.warns(
    "nameless", ("Falta nele o nome {names}.", _RESTART[0]), ("It lacks the name {names}.", _RESTART[1])
)
_ENDS = SERVER.warns("ending", ("Acaba em {end}.", _RESTART[0]), ("It ends on {end}.", _RESTART[1]))

PINNED: Final = Check(
    "pinned-root", "keys", pt="Raiz entregue aos telefones", en="The root that phones are given", needs_config=False
)
_PINNED_WELL = PINNED.ok("{path} é a raiz deste nó.", "{path} is this node's root.")
_NOT_PUBLISHED = PINNED.warns(
    "missing",
    ("{path} não existe: nenhum cliente novo pode ser cadastrado.", "Inicie o nó: ele o escreve."),
    ("{path} is missing: no new client can be enrolled.", "Start the node: it writes it."),
)
_OTHER_ROOT = PINNED.fails(
    "other",
    ("{path} não é a raiz deste nó: quem confiar nele não conecta.", "Apague-o e reinicie o nó: ele escreve o certo."),
    (
        "{path} is not this node's root: who trusts it can't connect.",
        "Delete it and restart the node: it writes the right one.",
    ),
)

NODE: Final = Check(
    "node-certificate",
    "keys",
    pt="Certificado do nó no par",
    en="The node's certificate in the pair",
    runbook="certificate-expires",
)
_NODE_WELL = NODE.ok("Vale até {end}.", "Valid until {end}.")
_REJOIN: Final = ("Refaça o par: prontuario cluster init num, prontuario cluster join no outro.",
                  "Make the pair again: prontuario cluster init on one, prontuario cluster join on the other.")  # fmt: skip
_NO_NODE = NODE.fails(
    "missing",
    ("node.pem ou sua chave falta: os nós não se falam.", _REJOIN[0]),
    ("node.pem or its key is missing: the nodes can't talk.", _REJOIN[1]),
)
_NODE_ENDED = NODE.fails(
    "invalid",
    ("node.pem não vale hoje (acaba em {end}).", _REJOIN[0]),
    ("node.pem is not valid today (it ends on {end}).", _REJOIN[1]),
)
_NODE_ENDS = NODE.warns("ending", ("node.pem acaba em {end}.", _REJOIN[0]), ("node.pem ends on {end}.", _REJOIN[1]))
_STRANGE = NODE.fails(
    "strange",
    ("node.pem não foi emitido pela autoridade deste par.", _REJOIN[0]),
    ("node.pem was not issued by this pair's authority.", _REJOIN[1]),
)

MASTER: Final = Check("master-key", "keys", pt="Chave-mestra", en="Master key")
_MASTER_WELL = MASTER.ok("Abre; protegida por {protector}.", "It opens; protected by {protector}.")
_NO_MASTER = MASTER.warns("missing", ("Ainda não há nenhuma.", _INIT[0]), ("There is none yet.", _INIT[1]))
_MASTER_LOST = MASTER.fails(
    "lost",
    (
        "secrets/master.json falta, e o prontuário precisa dele.",
        "Restaure-o da cópia. Não inicie o nó antes: ele faria uma chave nova.",
    ),
    (
        "secrets/master.json is missing, and the record needs it.",
        "Restore it from its backup. Do not start the node before: it would make a new key.",
    ),
)
_LOCKED = MASTER.fails(
    "locked",
    ("{reason}.", "Restaure secrets/master.json, ou a chave de quem o protege."),
    ("{reason}.", "Restore secrets/master.json, or the protector's key."),
)
_UNTRIED = MASTER.warns(
    "untried",
    (
        "É protegida por uma senha, que não foi dada.",
        "Para conferir, defina " + PASSPHRASE_VARIABLE + " e rode de novo.",
    ),
    (
        "It is protected by a passphrase, which was not given.",
        "To check it, set " + PASSPHRASE_VARIABLE + " and run again.",
    ),
)
_PLAIN = MASTER.warns(
    "plain",
    ("Está num arquivo aberto: só para desenvolvimento.",
     "Em produção: node.profile = 'production' e security.master_key em prontuario.toml."),
    ("It is protected by a plain file: for development only.",
     "In production set node.profile = 'production' and security.master_key."),
)  # fmt: skip


@SECRETS
def secrets(patient: Patient) -> Finding:
    """Nobody but the owner can read the secrets, and the owner is us."""
    folder, user = patient.paths.secrets, patient.machine.user()
    if not folder.exists():
        return _NO_SECRETS()
    every = (folder, *sorted(folder.iterdir()))
    if loose := [path.name for path in every if mode_of(path) & _OTHERS]:
        return _LOOSE(names=", ".join(loose), folder=folder)
    if user and (foreign := [path.name for path in every if path.stat().st_uid != user]):
        return _FOREIGN(names=", ".join(foreign))
    return _SECRETS_WELL()


@AUTHORITY
def authority(patient: Patient) -> Finding:
    """Root and device CA are whole and have time left."""
    folder = patient.paths.secrets
    if not any((folder / name).exists() for name in ("root.key", "root.pem")):
        return _NO_AUTHORITY()
    findings = [_one_authority(patient, name) for name in ("root", "device-ca")]
    return next((finding for finding in findings if finding is not None), None) or _AUTHORITY_WELL()


def _one_authority(patient: Patient, name: str) -> Finding | None:
    folder, now = patient.paths.secrets, patient.machine.now()
    key, certificate = load_key(folder / f"{name}.key"), load_certificate(folder / f"{name}.pem")
    if key is None:
        return _KEY_LOST(name=name)
    if certificate is None:
        return _CERTIFICATE_LOST(name=name)
    if public_bytes(key.public_key()) != public_bytes(certificate.public_key()):
        return _UNFIT(name=name)
    end = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        return _INVALID_TODAY(name=name)
    return _AUTHORITY_ENDS(name=name, end=f"{end:%Y-%m-%d}") if end - now < AUTHORITY_WARNING else None


@SERVER
def server_certificate(patient: Patient) -> Finding:
    """The server's certificate is valid and carries the configured names."""
    certificate, now = load_certificate(patient.paths.secrets / "server.pem"), patient.machine.now()
    if certificate is None:
        return _NO_SERVER()
    if now < certificate.not_valid_before_utc:
        return _EARLY()
    wanted = {str(name.value) for name in general_names(server_names(patient.config))}
    missing = sorted(wanted - names_in(certificate))
    finding = _by_end(certificate, patient, (_ENDED, _ENDS, _SERVER_WELL))
    return _LACKS(names=", ".join(missing)) if missing and finding.verdict != _ENDED.name else finding


@PINNED
def pinned_root(patient: Patient) -> Finding:
    """What phones pin is the root that signs for this node."""
    path, root = patient.paths.ca, load_certificate(patient.paths.secrets / "root.pem")
    if not path.exists():
        return _NOT_PUBLISHED(path=path)
    published = load_certificate(path)
    same = published is not None and root is not None and published.public_key() == root.public_key()
    return (_PINNED_WELL if same else _OTHER_ROOT)(path=path)


@NODE
def node_certificate(patient: Patient) -> Finding:
    """In a pair: the certificate of the link and of etcd is valid and of the pair's authority."""
    if not patient.paired:
        return ALONE(NODE)
    files = node_files(patient.paths.secrets)
    certificate, issuer = load_certificate(files.certificate), load_certificate(files.ca)
    if certificate is None or load_key(files.key) is None:
        return _NO_NODE()
    try:
        if issuer is None:
            return _STRANGE()
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return _STRANGE()
    return _by_end(certificate, patient, (_NODE_ENDED, _NODE_ENDS, _NODE_WELL))


def _by_end(certificate: x509.Certificate, patient: Patient, verdicts: tuple[Verdict, Verdict, Verdict]) -> Finding:
    """``verdicts``: not valid today, ends soon, well."""
    now, end = patient.machine.now(), certificate.not_valid_after_utc
    invalid, ending, well = verdicts
    valid = certificate.not_valid_before_utc <= now < end
    verdict = invalid if not valid else ending if end - now < RENEW_BEFORE else well
    return verdict(end=f"{end:%Y-%m-%d}")


@MASTER
def master_key(patient: Patient) -> Finding:
    """The master key opens and is the one of this record."""
    try:
        kept = read_wrapped(patient.paths)
        proof = read_record(patient, _proof)
        if kept is None:
            return _NO_MASTER() if proof is None else _MASTER_LOST()
        if kept.protector == "passphrase" and not {PASSPHRASE_VARIABLE, PASSPHRASE_FD_VARIABLE} & os.environ.keys():
            return _UNTRIED()
        master = unwrap(kept, protector_for(kept.protector, patient.config, patient.paths))
        if proof is not None:
            Vault(master).verify_proof(proof)
    except ProntuarioError as error:
        return _LOCKED(reason=words_of(error))
    return _PLAIN() if kept.protector == "file" else _MASTER_WELL(protector=kept.protector)


def _proof(q: Query) -> bytes | None:
    row = q.one("SELECT proof FROM security_vault")
    return row[0] if row is not None and isinstance(row[0], bytes) else None
