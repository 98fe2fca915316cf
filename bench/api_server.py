"""Our side of bench_api: the real door, identity, audit, store and Litestream with the FHIR routes, in one process.

Prints one JSON line when it serves: ``{"pid", "port", "litestream", "ca", "cert", "key", "token"}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import uvloop
from api_rows import NOW, patients
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.api import fhir
from appliance.api.application import build_application
from appliance.api.server import serve
from appliance.api.tls import CertificateFiles
from appliance.config.model import Api, Config, Paths
from appliance.config.model import Store as StoreConfig
from appliance.records import repository
from appliance.security.authority import Authority
from appliance.security.identity import Identity
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.logs import configure
from appliance.telemetry.metrics import Metrics

BATCH = 500


async def main(home: Path, count: int) -> None:
    """Serve until SIGTERM."""
    configure(level="warning", file=None)
    config = Config(api=Api(port=0), store=StoreConfig())
    paths, clock, metrics = Paths(home), SystemClock(), Metrics()
    for folder in (paths.run, paths.logs, paths.database.parent):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    await _fill(paths.database, count)
    authority = Authority.open(paths, config, clock.now())
    litestream = Litestream(paths.database, paths.spool, paths.run, metrics=metrics)
    store = await Database.open(paths.database, config.store, barrier=litestream.barrier, metrics=metrics)
    await litestream.start()
    identity = Identity(store, Vault(bytes(32)), authority, clock, config.security)
    try:
        phone = await _phone(identity, store, home)
        app = build_application(
            fhir.routes(store, clock=clock),
            identity=identity,
            store=store,
            metrics=metrics,
            config=config.api,
            clock=clock,
            health=HealthRegistry(),
            renderers={"/fhir/": fhir.render_error},
        )
        files = CertificateFiles(authority.server_certificate, authority.server_key, authority.client_authorities)
        ready = phone | {"pid": os.getpid(), "litestream": litestream.pid, "ca": str(paths.ca)}
        ready |= {"server_cert": str(authority.server_certificate), "server_key": str(authority.server_key)}
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(15, stop.set)
        await serve(app, config.api, files, stop, lambda port: print(json.dumps(ready | {"port": port}), flush=True))
    finally:
        identity.close()
        await store.close()
        await litestream.stop()


async def _fill(path: Path, count: int) -> None:
    rows = patients(count)
    async with await Database.open(path, StoreConfig(litestream=False)) as store:
        for start in range(0, count, BATCH):
            batch = rows[start : start + BATCH]
            await store.write(
                lambda tx, batch=batch: [repository.create(tx, row, now=NOW, resource_id=row["id"]) for row in batch]
            )


async def _phone(identity: Identity, store: Database, home: Path) -> dict[str, str]:
    user = await identity.create_user("bench", "physician", None, "Bench")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "phone")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM)
    enrolled = await store.write(lambda tx: identity.enrol_local(tx, csr=pem, name="bench", user_id=user.id))
    der = x509.load_pem_x509_certificate(enrolled.certificate.encode()).public_bytes(serialization.Encoding.DER)
    tokens = await store.write(
        lambda tx: identity.start_session(tx, user_id=user.id, device_id=enrolled.device_id, certificate_der=der)
    )
    certificate, key_file = home / "phone.pem", home / "phone.key"
    certificate.write_text(enrolled.certificate)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"cert": str(certificate), "key": str(key_file), "token": tokens.access_token}


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
