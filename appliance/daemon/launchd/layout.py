"""Where things lie on a Mac, and to whom they belong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

ACCOUNT: Final = "_prontuario"
"""The role account: no shell, no home, no password; macOS wants the underscore."""
DOMAIN: Final = "br.prontuario"
LOG_FOLDER: Final = PurePosixPath("/var/log/prontuario")
"""Root's, so that nobody else can put a link where root opens or renames a file; the files in it belong to their jobs."""
JOBS_FOLDER: Final = PurePosixPath("/Library/LaunchDaemons")
NEWSYSLOG_FILE: Final = PurePosixPath("/etc/newsyslog.d/prontuario.conf")
PF_FILE: Final = PurePosixPath("/etc/prontuario/pf.conf")
PF_ANCHOR_FILE: Final = PurePosixPath("/etc/pf.anchors/br.prontuario")
SYSTEM_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"


PREFIX: Final = PurePosixPath("/Library/Prontuario")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the package put the program. ``prefix`` is root's; ``current`` below it links to the version in use."""

    prefix: PurePosixPath = PREFIX

    @property
    def programs(self) -> PurePosixPath:
        """The folder of ``prontuario``, ``etcd`` and ``litestream``."""
        return self.prefix / "current" / "bin"


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One file for the Mac: where it goes, what is in it, its mode; all of them belong to root:wheel."""

    path: PurePosixPath
    content: bytes
    mode: int = 0o644
    """launchd refuses a plist that others may write; none of these files holds anything that others must not read."""
