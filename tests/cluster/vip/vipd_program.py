"""Runs vipd as its own process for tests: ``vipd_program.py '{"addresses": […], "interface": …, "socket": …}'``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from appliance.daemon.vipd.allow_list import AllowList
from appliance.daemon.vipd.entry import run_vipd
from appliance.daemon.vipd.settings import VipdSettings
from appliance.telemetry.logs import configure


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("settings")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--leash-fd", type=int)
    arguments = parser.parse_args()
    asked = json.loads(arguments.settings)
    configure(level="info", file=None)
    settings = VipdSettings(
        AllowList.parse(asked["addresses"], asked["interface"]),
        Path(asked["socket"]),
        client_uids=tuple(asked.get("client_uids", ())),
        backend=asked.get("backend", "ip"),
        ifconfig=asked.get("ifconfig", "/sbin/ifconfig"),
    )
    return run_vipd(settings, ready_fd=arguments.ready_fd, leash_fd=arguments.leash_fd)


if __name__ == "__main__":
    sys.exit(main())
