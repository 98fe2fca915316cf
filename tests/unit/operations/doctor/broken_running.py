"""A node that hangs, an API that phones refuse, parts that are ill; a pair whose halves differ."""

from __future__ import annotations

import fcntl
from datetime import timedelta

from appliance.cluster.model import Role
from appliance.cluster.reasons import reason
from appliance.cluster.replication_errors import PEER_AWAY, PEER_MISUNDERSTOOD
from appliance.config.model import GIB
from appliance.operations.doctor.facts import Part, common_configuration
from appliance.security.authority import SERVER_DAYS, Authority
from tests.fakes.upsd import free_port
from tests.unit.operations.doctor.ward import NOW, Ward, breaks


@breaks("node.off", on="running")
def _(ward: Ward) -> None:
    fcntl.flock(ward.pid_file, fcntl.LOCK_UN)


@breaks("node.mute", on="running", says="kickstart")
def _(ward: Ward) -> None:
    ward.answers["doctor"] = TimeoutError()


@breaks("node.outdated", on="running")
def _(ward: Ward) -> None:
    ward.answers["doctor"] = {"error": "unknown verb; known: enrol, models"}


@breaks("api.silent", on="serving")
def _(ward: Ward) -> None:
    ward.tell(api_port=free_port())


@breaks("api.untrusted", on="serving")
def _(ward: Ward) -> None:
    """A phone that trusts another root."""
    ward.paths.ca.write_bytes((ward.paths.secrets / "node-ca.pem").read_bytes())


@breaks("api.old-certificate", on="serving")
def _(ward: Ward) -> None:
    """Renewed on disk while the node goes on with the old one."""
    (ward.paths.secrets / "server.pem").unlink()
    Authority.open(ward.paths, ward.config, NOW + timedelta(days=SERVER_DAYS))


@breaks("api.unready", on="serving", says="503")
def _(ward: Ward) -> None:
    ward.serve(503)


@breaks("parts.degraded", on="running", says="speech: slow. See core.jsonl.")
def _(ward: Ward) -> None:
    ward.tell(parts={"speech": Part("degraded", "lento", "slow", "", "")})


@breaks("parts.failed", on="running", says="litestream: it stands. look.")
def _(ward: Ward) -> None:
    """The worst is told, not the first."""
    ill = {
        "speech": Part("degraded", "lento", "slow", "", ""),
        "litestream": Part("failed", "parou", "it stands", "olhe", "look"),
    }
    ward.tell(parts=ill)


@breaks("plugins.quarantined", on="running", says="gcp_sync")
def _(ward: Ward) -> None:
    ward.tell(quarantined={"gcp_sync": "startup: ImportError"})


# -- pair ---------------------------------------------------------------------------------------------------------------
@breaks("etcd.missing", on="pair")
def _(ward: Ward) -> None:
    (ward.bin / "etcd").unlink()


@breaks("etcd.dead", on="pair")
def _(ward: Ward) -> None:
    ward.program("etcd", status=127)


@breaks("voters.few", on="pair")
def _(ward: Ward) -> None:
    ward.tell_pair(voters=(2, 2))


@breaks("voters.lost", on="pair", says="2 of 3")
def _(ward: Ward) -> None:
    ward.tell_pair(voters=(2, 3))


@breaks("voters.minority", on="pair", says="nothing can be saved")
def _(ward: Ward) -> None:
    ward.tell_pair(voters=(1, 3))


@breaks("replication.nobody", on="pair", says="read-only")
def _(ward: Ward) -> None:
    ward.tell_pair(leader=None, mode="read-only")


@breaks("replication.degraded", on="pair", says="b's disk is full")
def _(ward: Ward) -> None:
    ward.tell_pair(mode="degraded", in_sync=None, unreplicated_rows=7, reason=reason("disk_full", node="b"))


@breaks("replication.unsafe", on="pair", says="b does not answer")
def _(ward: Ward) -> None:
    ward.tell_pair(in_sync=None, reason=reason("away", node="b"))


@breaks("replication.trails", on="pair", says="30 s")
def _(ward: Ward) -> None:
    ward.tell_pair(lag_s=30.0)


@breaks("virtual-ip.none", on="pair")
def _(ward: Ward) -> None:
    ward.set("cluster", vip_addresses=())


@breaks("virtual-ip.silent", on="pair", says="vipd")
def _(ward: Ward) -> None:
    ward.tell_pair(vip=None)


@breaks("virtual-ip.missing", on="pair", says="192.0.2.9")
def _(ward: Ward) -> None:
    ward.tell_pair(vip=False)


@breaks("virtual-ip.stray", on="pair", says="127.0.0.1")
def _(ward: Ward) -> None:
    """An address that this machine really has, while the other node leads."""
    ward.set("cluster", vip_addresses=("127.0.0.1",))
    ward.tell_pair(role=Role.STANDBY, leader="b")


@breaks("peer.away", on="pair", says="b does not answer")
def _(ward: Ward) -> None:
    ward.tell(peer=None, peer_code=PEER_AWAY.code)


@breaks("peer.older", on="pair", says="rolling-upgrade")
def _(ward: Ward) -> None:
    ward.tell(peer=None, peer_code=PEER_MISUNDERSTOOD.code)


@breaks("peer-version.differs", on="pair", says="0.0.9")
def _(ward: Ward) -> None:
    ward.tell_peer(version="0.0.9")


@breaks("peer-version.protocol", on="pair")
def _(ward: Ward) -> None:
    ward.tell_peer(protocol=99, oldest_protocol=99)


@breaks("peer-clock.off", on="pair", says="-1.200 s")
def _(ward: Ward) -> None:
    ward.tell(clock_offset_s=-1.2)


@breaks("peer-clock.far-off", on="pair")
def _(ward: Ward) -> None:
    ward.tell(clock_offset_s=3600.0)


@breaks("peer-schema.differs", on="pair", says="up to 2")
def _(ward: Ward) -> None:
    ward.tell_peer(migration=2)


@breaks("peer-configuration.differs", on="pair", says="notes, security.")
def _(ward: Ward) -> None:
    ward.set("notes", template="alta")
    ward.set("security", device_certificate_days=1)
    ward.set("api", port=9999)
    ward.tell_peer(configuration=common_configuration(ward.config))


@breaks("peer-authority.differs", on="pair", says="root.pem")
def _(ward: Ward) -> None:
    assert ward.live.peer is not None
    ward.tell_peer(authorities={**ward.live.peer.authorities, "root.pem": "0" * 16})


@breaks("peer-models.differ", on="pair", says="chat_model")
def _(ward: Ward) -> None:
    ward.tell_peer(models={"chat_model": "medgemma-27b-2"})


@breaks("peer-disk.little", on="pair", says="10.0 GiB")
def _(ward: Ward) -> None:
    ward.tell_peer(free_bytes=10 * GIB)


@breaks("peer-disk.full", on="pair", says="1.0 GiB")
def _(ward: Ward) -> None:
    ward.tell_peer(free_bytes=GIB)
