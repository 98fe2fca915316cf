"""A node's configurations, and a launchd of paper."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from appliance.config import Config
from appliance.config.model import Admin, Api, Cluster, Node
from appliance.daemon.launchd.launchctl import Launchctl

PATIENCE_S = 60.0
HOME = PurePosixPath("/Library/Application Support/Prontuario")
FAKE = Path(__file__).parents[3] / "fakes" / "launchctl.py"
PAIR = Config(
    node=Node(phase="ha", profile="production"),
    api=Api(host="0.0.0.0", drain_s=7.5, names=("prontuario.local",)),
    admin=Admin(host="10.0.0.11"),
    cluster=Cluster(
        mode="paired",
        listen_host="",
        peer_host="192.168.77.12",
        peer_lan_host="10.0.0.12",
        peer_port=8444,
        peer_peer_port=9444,
        etcd_endpoints=("10.0.0.11:2379", "10.0.0.12:2479", "10.0.0.13:2379"),
        etcd_initial_cluster="a=https://10.0.0.11:2380,b=https://10.0.0.12:2480,c=https://10.0.0.13:2380",
        vip_addresses=("10.0.0.10",),
        vip_interface="en0",
    ),
)
ALONE = Config(api=Api(host="0.0.0.0"))


@dataclass(frozen=True)
class PaperLaunchd:
    """The fake and what it wrote down."""

    program: Path

    @property
    def launchctl(self) -> Launchctl:
        return Launchctl(str(self.program), poll_s=0.01)

    @property
    def state(self) -> dict[str, Any]:
        path = self.program.with_suffix(".json")
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"jobs": {}, "calls": []}
        return found

    def set(self, **values: object) -> None:
        self.program.with_suffix(".json").write_text(json.dumps(self.state | values))

    @property
    def running(self) -> set[str]:
        return {label for label, leaving in self.state["jobs"].items() if leaving is None}

    @property
    def calls(self) -> list[str]:
        return [f"{verb} {rest[-1].rpartition('/')[2]}" for verb, *rest in self.state["calls"]]


def make_program(path: Path) -> Path:
    path.write_text(f"#!{sys.executable} -IS\n{FAKE.read_text()}")
    path.chmod(0o755)
    return path


@dataclass(frozen=True)
class Bench:
    """A launchd, fake or real, and a job to try on it."""

    launchctl: Launchctl
    plist: Path
    ready: Path | None = None
    """What a real job makes once it can be asked to end."""

    @property
    def label(self) -> str:
        return self.plist.stem

    async def start(self) -> None:
        await self.launchctl.bootstrap(self.plist, within_s=PATIENCE_S)
        while self.ready is not None and not self.ready.exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0.05)

    async def until_gone(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.launchctl.knows(self.label):  # noqa: ASYNC110  the same
                await asyncio.sleep(self.launchctl.poll_s)
