"""Drives one backend from inside a namespace: reads ``up|down|start|stop|healthy ADDRESS…`` lines, answers each in a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from appliance.daemon.vipd.allow_list import AllowList, Entry
from appliance.daemon.vipd.presence import can_bind, is_up
from appliance.daemon.vipd.settings import VipdSettings
from appliance.plugin_api.errors import ProntuarioError


def main() -> None:
    asked = json.loads(sys.argv[1])
    allowed = AllowList.parse(asked["addresses"], asked["interface"])
    settings = VipdSettings(
        allowed, Path(asked["folder"]) / "vipd.sock", backend=asked["backend"], ifconfig=asked["ifconfig"]
    )
    backend = settings.make_backend()
    for line in sys.stdin:
        verb, *addresses = line.split()
        entries = [Entry(entry.address, asked["on"]) for entry in allowed.entries if str(entry.address) in addresses]
        try:
            if verb in {"up", "down"}:
                getattr(backend, verb)(entries)
                answer = "ok"
            elif verb == "is-up":
                answer = json.dumps([[is_up(entry.address), can_bind(entry.address)] for entry in entries])
            else:
                answer = str(getattr(backend, verb)())
        except ProntuarioError as error:
            answer = error.kind.code
        print(answer, flush=True)


if __name__ == "__main__":
    main()
