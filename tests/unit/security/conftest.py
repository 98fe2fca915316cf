"""A real database, authority and vault; a clock moved by hand; argon2 at its cheapest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import argon2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.config.model import Config, Paths, Security, Store
from appliance.plugin_api.errors import ProntuarioError
from appliance.security import audit, devices, users
from appliance.security.authority import Authority
from appliance.security.identity import Identity
from appliance.security.sessions import Tokens
from appliance.security.vault import Vault
from appliance.store.database import Database
from tests.fakes.hand_clock import HandClock

PASSWORD = "cavalo bateria grampo 7"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def config() -> Config:
    return Config(store=Store(litestream=False))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home")


@pytest.fixture
async def db(paths: Paths, config: Config) -> AsyncIterator[Database]:
    paths.database.parent.mkdir(parents=True)
    async with await Database.open(paths.database, config.store) as database:
        yield database


@pytest.fixture
def vault(clock: HandClock) -> Vault:
    return Vault(b"m" * 32, clock)


@pytest.fixture
def authority(paths: Paths, config: Config, clock: HandClock) -> Authority:
    return Authority.open(paths, config, clock.now())


class Identities:
    """Makes further identity services on the same node: after a restart, or with other parts."""

    def __init__(self, db: Database, vault: Vault, authority: Authority, clock: HandClock) -> None:
        self._db, self._vault, self._authority, self._clock = db, vault, authority, clock
        self.made: list[Identity] = []

    def make(self, store: Any = None, security: Security | None = None, **options: Any) -> Identity:
        made = Identity(
            store or self._db,
            self._vault,
            self._authority,
            self._clock,
            security or Security(),
            **({"hasher": CHEAP} | options),
        )
        self.made.append(made)
        return made


@pytest.fixture
def identities(db: Database, vault: Vault, authority: Authority, clock: HandClock) -> Iterator[Identities]:
    maker = Identities(db, vault, authority, clock)
    yield maker
    for identity in maker.made:
        identity.close()


@pytest.fixture
def identity(identities: Identities) -> Identity:
    return identities.make()


def new_csr(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def leaf_of(chain_pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain_pem.encode())


def der_of(chain_pem: str) -> bytes:
    return leaf_of(chain_pem).public_bytes(serialization.Encoding.DER)


@dataclass
class Phone:
    """A person with an enrolled device."""

    identity: Identity
    user: users.User
    enrolled: devices.Enrolled
    certificate: bytes

    async def login(self, password: str = PASSWORD) -> Tokens:
        return await self.identity.login(self.user.username, password, self.certificate)


class Phones:
    """Makes people and phones."""

    def __init__(self, db: Database, identity: Identity) -> None:
        self._db = db
        self._identity = identity

    async def make(self, username: str = "ana", role: str = "physician", password: str = PASSWORD) -> Phone:
        user = await self._identity.create_user(username, role, password, username.title())
        return await self.another(user)

    async def another(self, user: users.User, *, shared: bool = False) -> Phone:
        owner = None if shared else user.id
        enrolled = await self._db.write(
            lambda tx: self._identity.enrol_local(tx, csr=new_csr(), name="iPhone", user_id=owner)
        )
        return Phone(self._identity, user, enrolled, der_of(enrolled.certificate))


@pytest.fixture
def phones(db: Database, identity: Identity) -> Phones:
    return Phones(db, identity)


async def refusal(awaitable: object) -> str:
    with pytest.raises(ProntuarioError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value.kind.code


async def login_events(db: Database) -> list[audit.AuditEvent]:
    rows = await db.read(audit.read_events)
    return [row.event for row in reversed(rows) if row.event.action == "login"]
