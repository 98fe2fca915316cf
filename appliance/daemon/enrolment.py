"""Enrolling a device from this machine: the operator's verb in core, and the key and files on the caller's side."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.config import Config, Paths
from appliance.daemon.control import ask_node
from appliance.daemon.exits import CommandFailedError
from appliance.plugin_api.errors import define
from appliance.plugin_api.storage import Store, Transaction
from appliance.security import audit, certificates, devices, sessions, users
from appliance.security.audit import AuditEvent
from appliance.security.authority import Authority
from appliance.security.files import write_file
from appliance.security.steady_time import SteadyTime
from appliance.security.vault import Vault

OPERATOR = "operator"
"""The ``user_id`` of audit events whose author is whoever runs commands on the Mac itself."""


WRONG_ROLE = define(
    "user.other_role",
    409,
    pt=("{user} já existe com o perfil {role}.", "Use esse perfil, ou mude-o no painel."),
    en=("{user} already exists with the role {role}.", "Use that role, or change it in the dashboard."),
)


def phone_address(config: Config) -> str:
    """``host:port`` at which phones call: the pair's, else the first address or name of this node that is not its own only."""
    if config.cluster.client_address:
        return config.cluster.client_address
    names = [name for name in (config.api.host, *config.api.names) if not _is_inward(name)]
    addresses = [name for name in names if _as_ip(name) is not None]
    host = next(iter((*addresses, *names)), config.api.host)
    return f"[{host}]:{config.api.port}" if ":" in host else f"{host}:{config.api.port}"


def _as_ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_inward(name: str) -> bool:
    ip = _as_ip(name)
    return name == "localhost" if ip is None else ip.is_loopback or ip.is_unspecified


class OperatorDesk:
    """Core's side of ``prontuario client enrol`` and of a first phone's code."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        authority: Authority,
        time: SteadyTime,
        api_url: str,
        *,
        config: Config | None = None,
    ) -> None:
        self._store, self._vault, self._authority, self._time = store, vault, authority, time
        self._api_url = api_url
        self._config = config or Config()

    async def code(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``{user, role}`` → ``{code, uri, expires_at}``: enrols one phone of that person, who is made if needed."""

        def change(tx: Transaction) -> dict[str, Any]:
            user = self._find_or_make(tx, request)
            lifetime_s = self._config.security.enrolment_code_s
            made = devices.create_code(tx, self._time, user_id=user.id, lifetime_s=lifetime_s, created_by=None)
            event = AuditEvent(
                at=self._time.instant(),
                action="enrolment code",
                user_id=OPERATOR,
                resource=f"user/{user.id}",
                status=201,
            )
            audit.append(tx, event)
            told = {"h": phone_address(self._config), "c": made.code, "p": self._authority.pin}
            uri = "prontuario://enrol?" + urlencode(told)
            return {"code": made.code, "uri": uri, "expires_at": made.expires_at}

        return await self._store.write(change)

    async def enrol(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``{user, role, display_name?, device, csr, hours}`` → certificate, tokens. Makes the person if needed."""
        lifetimes = sessions.Lifetimes(
            access_s=float(request["hours"]) * 3600, refresh_s=float(request["hours"]) * 3600
        )

        def change(tx: Transaction) -> dict[str, Any]:
            user = self._find_or_make(tx, request)
            enrolled = devices.enrol_directly(
                tx,
                self._authority,
                self._time.now(),
                csr=str(request["csr"]).encode(),
                name=str(request["device"]),
                user_id=user.id,
            )
            tokens = sessions.start(
                tx,
                self._time,
                lifetimes,
                user_id=user.id,
                device_id=enrolled.device_id,
                fingerprint=certificates.fingerprint(_leaf(enrolled.certificate)),
            )
            resource = f"device/{enrolled.device_id}"
            audit.append(
                tx, AuditEvent(at=self._time.instant(), action="enrol", user_id=OPERATOR, resource=resource, status=200)
            )
            return {
                "api": self._api_url,
                "certificate": enrolled.certificate,
                "token": tokens.access_token,
                "refresh": tokens.refresh_token,
                "user": user.username,
                "user_id": user.id,
                "device_id": enrolled.device_id,
            }

        return await self._store.write(change)

    def _find_or_make(self, tx: Transaction, request: Mapping[str, Any]) -> users.User:
        name, role = str(request["user"]), str(request["role"])
        user = users.find_by_name(tx, name)
        if user is None:
            shown = str(request.get("display_name") or name)
            return users.create_user(
                tx, self._vault, username=name, role=role, display_name=shown, now=self._time.instant()
            )
        if user.role != role:
            raise WRONG_ROLE(field="role", user=name, role=user.role)
        return user


def make_key_and_csr(user: str) -> tuple[bytes, bytes]:
    """A fresh P-256 key and its certificate request, both PEM. The authority ignores the request's names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, csr.public_bytes(serialization.Encoding.PEM)


async def enrol_client(home: Path, *, user: str, role: str, out: Path, hours: float) -> dict[str, str]:
    """Enrol a device on the running node and write ``out`` with its certificate and key beside it, mode 0600.

    Returns:
        What was written: ``{"api", "ca", "cert", "key", "token", "user", …}``.

    Raises:
        CommandFailedError: no node runs on this home, or it refused.
    """
    paths = Paths(home)
    key, csr = make_key_and_csr(user)
    answer = await ask_node(home, "enrol", user=user, role=role, csr=csr.decode(), device=out.stem, hours=hours)
    if "error" in answer:
        raise CommandFailedError(str(answer["error"]))
    return _write_client(paths, out, key, answer)


def _write_client(paths: Paths, out: Path, key: bytes, answer: Mapping[str, Any]) -> dict[str, str]:
    out.parent.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = out.with_suffix(".pem"), out.with_suffix(".key")
    write_file(key_file, key)
    write_file(certificate_file, str(answer["certificate"]).encode())
    client = {
        "api": str(answer["api"]),
        "ca": str(paths.ca),
        "cert": str(certificate_file),
        "key": str(key_file),
        "token": str(answer["token"]),
        "user": str(answer["user"]),
        "refresh": str(answer["refresh"]),
        "user_id": str(answer["user_id"]),
        "device_id": str(answer["device_id"]),
    }
    write_file(out, (json.dumps(client, indent=2) + "\n").encode())
    return client


def _leaf(chain_pem: str) -> bytes:
    return x509.load_pem_x509_certificates(chain_pem.encode())[0].public_bytes(serialization.Encoding.DER)
