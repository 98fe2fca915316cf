"""Secrets that others read, keys that are lost, certificates that end."""

from __future__ import annotations

from datetime import timedelta

from appliance.config.model import Config
from appliance.security.authority import ROOT_DAYS, SERVER_DAYS
from appliance.security.master_key import open_vault
from appliance.security.node_authority import NODE_DAYS
from tests.unit.operations.doctor.ward import NOW, Ward, breaks


def later(ward: Ward, days: int) -> None:
    ward.on(now=lambda: NOW + timedelta(days=days))


@breaks("secrets.missing")
def _(ward: Ward) -> None:
    ward.paths.secrets.rename(ward.folder / "elsewhere")


@breaks("secrets.loose", says="root.key")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "root.key").chmod(0o640)


@breaks("secrets.foreign", says="root.key")
def _(ward: Ward) -> None:
    ward.on(user=lambda: 12345)


@breaks("authority.missing")
def _(ward: Ward) -> None:
    for name in ("root.key", "root.pem"):
        (ward.paths.secrets / name).unlink()


@breaks("authority.key-lost", says="root.key is missing")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "root.key").unlink()


@breaks("authority.certificate-lost", says="device-ca.pem")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "device-ca.pem").write_bytes(b"rubbish")


@breaks("authority.unfit", says="device-ca.key does not fit")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "device-ca.key").write_bytes((ward.paths.secrets / "root.key").read_bytes())


@breaks("authority.invalid", says="root.pem")
def _(ward: Ward) -> None:
    later(ward, ROOT_DAYS + 1)


@breaks("authority.ending", says="enrolled again")
def _(ward: Ward) -> None:
    later(ward, ROOT_DAYS - 300)


@breaks("server-certificate.missing")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "server.pem").unlink()


@breaks("server-certificate.ended")
def _(ward: Ward) -> None:
    later(ward, SERVER_DAYS + 1)


@breaks("server-certificate.early")
def _(ward: Ward) -> None:
    later(ward, -5)


@breaks("server-certificate.nameless", says="novo.hospital")
def _(ward: Ward) -> None:
    ward.set("api", names=("localhost", "novo.hospital"))


@breaks("server-certificate.ending")
def _(ward: Ward) -> None:
    later(ward, SERVER_DAYS - 10)


@breaks("pinned-root.missing")
def _(ward: Ward) -> None:
    ward.paths.ca.unlink()


@breaks("pinned-root.other")
def _(ward: Ward) -> None:
    ward.paths.ca.write_bytes((ward.paths.secrets / "device-ca.pem").read_bytes())


@breaks("node-certificate.missing", on="pair")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "node.key").unlink()


@breaks("node-certificate.invalid", on="pair")
def _(ward: Ward) -> None:
    later(ward, NODE_DAYS + 1)


@breaks("node-certificate.ending", on="pair")
def _(ward: Ward) -> None:
    later(ward, NODE_DAYS - 10)


@breaks("node-certificate.strange", on="pair")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "node-ca.pem").write_bytes((ward.paths.secrets / "root.pem").read_bytes())


@breaks("master-key.missing", says="prontuario init")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "master.json").unlink()
    ward.paths.database.unlink()


@breaks("master-key.lost", says="Do not start")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "master.json").unlink()


@breaks("master-key.locked", says="passphrase")
def _(ward: Ward) -> None:
    ward.monkeypatch.setenv("PRONTUARIO_PASSPHRASE", "a wrong one")


@breaks("master-key.untried", says="PRONTUARIO_PASSPHRASE")
def _(ward: Ward) -> None:
    ward.monkeypatch.delenv("PRONTUARIO_PASSPHRASE", raising=False)


@breaks("master-key.plain", says="development")
def _(ward: Ward) -> None:
    (ward.paths.secrets / "master.json").unlink()
    ward.paths.database.unlink()
    open_vault(ward.paths, Config())
