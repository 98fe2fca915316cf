"""A launchd of paper, and on a Mac the real one."""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.daemon.launchd.launchctl import Launchctl
from tests.unit.daemon.launchd.parts import Bench, PaperLaunchd, make_program


@pytest.fixture
def paper(tmp_path: Path) -> PaperLaunchd:
    return PaperLaunchd(make_program(tmp_path / "launchctl"))


_REAL = pytest.mark.skipif(sys.platform != "darwin", reason="launchd is macOS's; run by make mac-acceptance")


@pytest.fixture(params=["fake", pytest.param("real", marks=_REAL)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    label = f"br.prontuario.trial-{os.getpid()}"
    plist = tmp_path / f"{label}.plist"
    # A job that takes a second to leave, as core does: its shell ends only after its trap.
    ready = tmp_path / "ready"
    script = f"trap 'sleep 1; exit 0' TERM; : >'{ready}'; while :; do sleep 0.1; done"
    job = {"Label": label, "ProgramArguments": ["/bin/sh", "-c", script], "RunAtLoad": True, "ExitTimeOut": 20}
    plist.write_bytes(plistlib.dumps(job))
    if request.param == "fake":
        yield Bench(Launchctl(str(make_program(tmp_path / "launchctl")), poll_s=0.01), plist)
        return
    domain = "system" if os.geteuid() == 0 else f"user/{os.geteuid()}"
    yield Bench(Launchctl(domain=domain), plist, ready)
    os.spawnlp(os.P_WAIT, "launchctl", "launchctl", "bootout", f"{domain}/{label}")
