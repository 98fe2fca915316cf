"""Everything that macOS is told about a node, as files: a pure function of the configuration, and the writing of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from appliance.config import Config
from appliance.daemon.launchd.firewall import firewall
from appliance.daemon.launchd.jobs import jobs_of
from appliance.daemon.launchd.layout import DOMAIN, JOBS_FOLDER, Installation, RenderedFile
from appliance.daemon.launchd.lint import check
from appliance.daemon.launchd.newsyslog import rotation
from appliance.security.files import write_file

_FOLDER_MODE = 0o755


def rendered(home: PurePosixPath, config: Config, installation: Installation | None = None) -> tuple[RenderedFile, ...]:
    """All files of the node whose home is ``home``; the plists have passed the check.

    Raises:
        ProntuarioError: ``launchd.plist``, ``launchd.newsyslog``, ``launchd.address``.
    """
    jobs = jobs_of(home, config, installation or Installation())
    plists = [job.file() for job in jobs]
    check((file.path.name, file.content) for file in plists)
    return (*plists, rotation(jobs), *firewall(config))


def write(files: Iterable[RenderedFile], root: Path) -> list[Path]:
    """Write each file below ``root`` as if that were ``/``, whole or not at all; the paths written.

    A plist of a job that the node no longer has goes away: launchd would start it at the next boot.

    Raises:
        OSError: a folder or file can't be made.
    """
    written = []
    for file in files:
        target = _below(root, file.path)
        target.parent.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        write_file(target, file.content, mode=file.mode)
        target.chmod(file.mode)  # whatever the caller's umask is
        written.append(target)
    for stale in set(_below(root, JOBS_FOLDER).glob(f"{DOMAIN}.*.plist")) - set(written):
        stale.unlink(missing_ok=True)
    return written


def _below(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/")
