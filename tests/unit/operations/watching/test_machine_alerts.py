"""Alerts of one machine: certificates that end, an audit log that somebody changed, alerts that nobody takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.operations.schedule_memory import Trouble
from appliance.operations.watching.node_figures import AuditCheck, show_machine
from appliance.operations.watching.outbox import Outbox
from appliance.operations.watching.targets import Webhook
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.audit_heads import HeadSigner
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import instant
from tests.unit.operations.watching.box import Box, fires, until
from tests.unit.operations.watching.test_sending import LOOPBACK, hook


def certificate(path: Path, ends: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(ends - timedelta(days=365)).not_valid_after(ends).sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


@fires("CertificateEnding", "CertificateEnds")
def test_certificates_that_end_and_are_renewed(box: Box, tmp_path: Path) -> None:
    server, now = tmp_path / "server.pem", box.clock.now()

    def on() -> set[str]:
        return {rule for rule in box.on() if rule.startswith("Certificate")}

    show_machine(box.metrics, tmp_path, {"server": server, "node": tmp_path / "missing.pem"})
    for days, rules in ((40, set()), (20, {"CertificateEnding"}), (3, {"CertificateEnding", "CertificateEnds"})):
        certificate(server, now + timedelta(days=days))
        assert on() == rules
    certificate(server, now + timedelta(days=365))
    assert on() == set()
    server.write_text("no certificate")
    assert on() == set(), "that is doctor's matter"


@fires("AuditMismatch")
async def test_an_audit_log_that_somebody_changed_and_that_is_restored(box: Box, tmp_path: Path) -> None:
    """Whoever can write to the file drops the triggers first; a copy from before mends it."""
    async with await Database.open(tmp_path / "record.sqlite", StoreConfig(litestream=False)) as store:
        signer = HeadSigner.open(Paths(tmp_path), Vault(bytes(32)))
        event = AuditEvent(at=instant(box.clock.now()), action="read", user_id="ana", resource="Patient/1", status=200)
        await store.write(lambda tx: audit.append(tx, event))
        await store.write(lambda tx: signer.keep(tx, instant(box.clock.now())))
        check = AuditCheck(store, box.metrics)
        await check.check()
        box.expect()
        await store.write(without_triggers)
        await store.write(lambda tx: tx.execute("UPDATE audit_event SET body = replace(body, 'ana', 'bia')"))
        with pytest.raises(Exception, match=r"audit\.damaged"):
            await check.check()
        box.expect("AuditMismatch")
        await store.write(lambda tx: tx.execute("UPDATE audit_event SET body = replace(body, 'bia', 'ana')"))
        await check.check()
        box.expect()


async def test_a_log_that_was_rewritten_and_signed_anew_by_somebody_else(box: Box, tmp_path: Path) -> None:
    """Everything in the file fits, its heads too; only the key is not ours."""
    ours, forger = HeadSigner.open(Paths(tmp_path), Vault(bytes(32))), HeadSigner(Ed25519PrivateKey.generate())
    event = AuditEvent(at=instant(box.clock.now()), action="read", user_id="bia", resource="Patient/1", status=200)
    async with await Database.open(tmp_path / "record.sqlite", StoreConfig(litestream=False)) as store:
        await store.write(lambda tx: audit.append(tx, event))
        await store.write(lambda tx: forger.keep(tx, instant(box.clock.now())))
        with pytest.raises(ProntuarioError, match=r"audit\.damaged"):
            await AuditCheck(store, box.metrics, ours.check).check()
        box.expect("AuditMismatch")


async def test_a_restart_does_not_mend_an_audit_log_that_is_damaged(box: Box, tmp_path: Path) -> None:
    async with await Database.open(tmp_path / "record.sqlite", StoreConfig(litestream=False)) as store:
        check = AuditCheck(store, box.metrics)
        check.recall(Trouble("schedule.late", "x", "x", "x", "x"))
        box.expect()
        check.recall(Trouble("audit.damaged", "x", "x", "x", "x"))
        box.expect("AuditMismatch")


def without_triggers(tx: Transaction) -> None:
    for trigger in triggers(tx):
        tx.execute(f"DROP TRIGGER {trigger}")


def triggers(q: Query) -> list[str]:
    return [str(row[0]) for row in q.all("SELECT name FROM sqlite_master WHERE type = 'trigger'")]


@fires("AlertsNotSent")
async def test_alerts_that_the_hospitals_server_refuses_until_it_is_mended(box: Box, tmp_path: Path) -> None:
    async with hook() as server:
        server.status = "500 Oops"
        target = Webhook("webhook 1", f"http://127.0.0.1:{server.port}/", LOOPBACK)
        outbox = Outbox([target], box.metrics, "x", first_pause_s=0.02)
        box.tell = outbox.tell
        show_machine(box.metrics, tmp_path, {"server": tmp_path / "server.pem"})
        certificate(tmp_path / "server.pem", box.clock.now() + timedelta(days=20))
        outbox.start()
        try:
            assert "AlertsNotSent" not in box.on(within=800)
            await until(lambda: server.bodies)
            assert {"AlertsNotSent", "CertificateEnding"} <= box.on(within=200)
            server.status = "204 No Content"
            await until(lambda: outbox.waiting == 0)
            assert "AlertsNotSent" not in box.on()
        finally:
            await outbox.close()
