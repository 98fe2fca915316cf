"""The launchd jobs of a node, from its configuration.

launchd knows no order and no dependencies: each job is kept alive, and one whose neighbour is not there yet tries again.
"""

from __future__ import annotations

import math
import plistlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from appliance.config import Config
from appliance.daemon.launchd.layout import (
    ACCOUNT,
    DOMAIN,
    JOBS_FOLDER,
    LOG_FOLDER,
    PF_ANCHOR_FILE,
    PF_FILE,
    SYSTEM_PATH,
    Installation,
    RenderedFile,
)

OPEN_FILES: Final = 65_536
"""For core's sockets and the record's files. launchd.plist(5): a daemon's soft limit becomes kern.maxfiles for the whole Mac,
so it is generous, the same in every job, and there is no hard one."""
THROTTLE_S: Final = 10
"""launchd's own least; said so that nobody relies on less."""
STOP_S: Final = 20
"""For a job with little to end; as long as ``prontuario up`` gives it."""
CORE_STOP_S: Final = 30
"""Beyond the API's own drain: last group of writes, Litestream, engines."""
PRIVATE_UMASK: Final = 0o077
ROOT_UMASK: Final = 0o022


@dataclass(frozen=True, slots=True)
class Job:
    """One job. ``keys`` are added to what every job says."""

    name: str
    arguments: tuple[str, ...]
    user: str = ACCOUNT
    group: str = ACCOUNT
    stop_s: int = STOP_S
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    umask: int = PRIVATE_UMASK
    keys: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``br.prontuario.<name>``."""
        return f"{DOMAIN}.{self.name}"

    @property
    def log(self) -> PurePosixPath:
        """What the job prints: little, for its own log lies in the node's home."""
        return LOG_FOLDER / f"{self.name}.log"

    def plist(self) -> dict[str, Any]:
        """The property list's contents."""
        return {
            "Label": self.label,
            "ProgramArguments": list(self.arguments),
            "UserName": self.user,
            "GroupName": self.group,
            "InitGroups": False,
            "Umask": self.umask,
            "WorkingDirectory": self.folder,
            "EnvironmentVariables": {"PATH": SYSTEM_PATH, **self.environment},
            "RunAtLoad": True,
            "ExitTimeOut": self.stop_s,
            "StandardOutPath": str(self.log),
            "StandardErrorPath": str(self.log),
            **self.keys,
        }

    def file(self) -> RenderedFile:
        """The property list, the same bytes for the same configuration."""
        content = plistlib.dumps(self.plist(), fmt=plistlib.FMT_XML, sort_keys=True)
        return RenderedFile(JOBS_FOLDER / f"{self.label}.plist", content)


def jobs_of(home: PurePosixPath, config: Config, installation: Installation) -> tuple[Job, ...]:
    """The jobs in the order in which a person would start them: packet filter, etcd, vipd, core, dashboard.

    Litestream is core's child and has no job. A lone node has neither etcd nor vipd.
    """
    jobs = [firewall_job()]
    if _has_voter(config):
        jobs.append(_service("etcd", ("cluster", "voter"), home, installation))
    if config.cluster.mode == "paired" and config.cluster.vip_addresses:
        jobs.append(_vipd(home, installation))
    jobs.append(_service("core", ("core",), home, installation, stop_s=math.ceil(config.api.drain_s) + CORE_STOP_S))
    jobs.append(_service("admin", ("admin",), home, installation))
    return tuple(jobs)


def firewall_job() -> Job:
    """Loads our packet filter at boot, and again when its files change. It ends at once, so it is not kept alive."""
    arguments = ("/sbin/pfctl", "-E", "-f", str(PF_FILE))
    keys = {"WatchPaths": [str(PF_FILE), str(PF_ANCHOR_FILE)]}
    return Job("firewall", arguments, user="root", group="wheel", umask=ROOT_UMASK, keys=keys)


def _has_voter(config: Config) -> bool:
    cluster = config.cluster
    names = {entry.partition("=")[0] for entry in cluster.etcd_initial_cluster.split(",")}
    return cluster.mode == "paired" and cluster.node in names


def _service(
    name: str, words: tuple[str, ...], home: PurePosixPath, installation: Installation, *, stop_s: int = STOP_S
) -> Job:
    """A job of the role account: its files are its own, and nobody else reads them."""
    return Job(
        name,
        (str(installation.programs / "prontuario"), *words, f"--home={home}"),
        stop_s=stop_s,
        folder=str(home),
        environment={
            "PATH": f"{installation.programs}:{SYSTEM_PATH}",
            "HOME": str(home),  # the account has none, and libraries look for a place for their caches
            "PYTHONDONTWRITEBYTECODE": "1",  # the signed prefix stays as it was signed
            "PRONTUARIO_TERMINAL_LOG": "error",  # the rest stands in the home's own rotated log
        },
        keys={
            **_KEPT_ALIVE,
            "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
        },
    )


def _vipd(home: PurePosixPath, installation: Installation) -> Job:
    """Root, and nothing else: no groups, no home, no path but the system's, no limit that others would feel."""
    arguments = (str(installation.programs / "prontuario"), "vipd", f"--home={home}")
    return Job(
        "vipd", arguments, user="root", group="wheel", umask=ROOT_UMASK,
        environment={"PYTHONDONTWRITEBYTECODE": "1"}, keys=_KEPT_ALIVE,
    )  # fmt: skip


_KEPT_ALIVE: Final[dict[str, Any]] = {
    "KeepAlive": True,  # also after an orderly end: a node is stopped by taking the job away
    "ThrottleInterval": THROTTLE_S,
    "ProcessType": "Interactive",  # anything less has its processor and disk throttled
    "LegacyTimers": True,  # leases and deadlines: macOS must not gather our timers
}
