"""The dashboard's process, and its own device certificate: to core it is one more enrolled device."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from appliance.config import Config, Paths
from appliance.daemon.enrolment import make_key_and_csr
from appliance.plugin_api.storage import Store
from appliance.security.authority import load_certificate
from appliance.security.files import write_file
from appliance.security.identity import Identity

RENEW_BEFORE: Final = timedelta(days=30)
DEVICE_NAME: Final = "dashboard"


def certificate_files(paths: Paths) -> tuple[Path, Path]:
    """(certificate chain, private key) of the dashboard's device."""
    return paths.secrets / "dashboard.pem", paths.secrets / "dashboard.key"


async def prepare_dashboard_device(identity: Identity, store: Store, paths: Paths, now: datetime) -> None:
    """Enrol the dashboard as a shared device, unless its certificate is good for another month."""
    certificate_file, key_file = certificate_files(paths)
    certificate = load_certificate(certificate_file)
    if certificate is not None and key_file.exists() and certificate.not_valid_after_utc - RENEW_BEFORE > now:
        return
    key, csr = make_key_and_csr(DEVICE_NAME)
    enrolled = await store.write(lambda tx: identity.enrol_local(tx, csr=csr, name=DEVICE_NAME, user_id=None))
    write_file(key_file, key)
    write_file(certificate_file, enrolled.certificate.encode())


def run_dashboard(home: Path, config: Config, *, ready_fd: int | None, leash_fd: int | None) -> None:
    """Become the dashboard: this process is replaced, so that its pid and descriptors stay what the parent knows."""
    paths = Paths(home)
    certificate, key = certificate_files(paths)
    argv = [sys.executable, "-m", "admin_ui"]
    argv += [f"--api=https://localhost:{config.api.port}", f"--ca={paths.ca}"]
    argv += [f"--host={config.admin.host}", f"--port={config.admin.port}"]
    argv += [f"--certificate={paths.secrets / 'server.pem'}", f"--key={paths.secrets / 'server.key'}"]
    argv += [f"--client-certificate={certificate}", f"--client-key={key}"]
    for name, descriptor in (("ready", ready_fd), ("leash", leash_fd)):
        if descriptor is not None:
            os.set_inheritable(descriptor, True)
            argv.append(f"--{name}-fd={descriptor}")
    os.execv(sys.executable, argv)  # noqa: S606  fixed program and arguments
