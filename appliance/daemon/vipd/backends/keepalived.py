"""Linux, by keepalived: etcd decides who holds the address, keepalived puts it up and tells the network.

VRRP alone is never write-safe (a dead daemon leaves its address behind, a stale master takes it back at heal). So keepalived
runs in FAULT, without the address, unless a track file of ours says 0, which it does only between ``up`` and ``down``; and
``down`` takes the address off by iproute2 as well, in case keepalived itself is stopped or gone. Priority 255 means that
no advertisement of another router ever overrules etcd.
"""

from __future__ import annotations

import subprocess
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.cluster.vip_errors import TOOL_FAILED
from appliance.daemon.vipd.allow_list import AllowList, Entry
from appliance.daemon.vipd.backends.ip import remove_with_ip
from appliance.daemon.vipd.backends.tool import ENVIRONMENT, for_each
from appliance.daemon.vipd.presence import is_up

ADVERTISE_EVERY_S: Final = 0.1
"""It becomes master after three silent intervals. Nobody else advertises while we hold the lease, so short is safe."""
UP_LIMIT_S: Final = 5.0
STOP_LIMIT_S: Final = 3.0
_POLL_S: Final = 0.02
_HOLD, _FAULT = "0\n", "1\n"


class KeepalivedBackend:
    """One keepalived child, driven by the file ``keepalived.hold`` in ``folder`` (root's own)."""

    name = "keepalived"
    prolong_every_s = None

    def __init__(self, allowed: AllowList, folder: Path) -> None:
        self._allowed = allowed
        self._folder = folder
        self._hold = folder / "keepalived.hold"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._hold.write_text(_FAULT, encoding="ascii")
        config = self._folder / "keepalived.conf"
        config.write_text(render_config(self._allowed, self._hold), encoding="ascii")
        config.chmod(0o600)
        files = ["-f", str(config), "-p", str(self._folder / "keepalived.pid")]
        files += ["-r", str(self._folder / "keepalived-vrrp.pid")]
        # setpriv: keepalived gets SIGTERM when vipd dies, however it dies, and takes the address with it.
        command = ["setpriv", "--pdeathsig", "TERM", "keepalived", "--vrrp", "--dont-fork", "--log-console", *files]
        try:
            self._process = subprocess.Popen(
                command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise TOOL_FAILED(tool=command[0], reason=error.strerror) from None

    def up(self, entries: Sequence[Entry]) -> None:
        """All allowed addresses come up together, whichever were named."""
        self._hold.write_text(_HOLD, encoding="ascii")
        deadline = time.monotonic() + UP_LIMIT_S
        while not all(is_up(entry.address) for entry in entries):
            if not self.healthy() or time.monotonic() > deadline:
                self._hold.write_text(_FAULT, encoding="ascii")
                raise TOOL_FAILED(tool="keepalived", reason="it did not bring the address up")
            time.sleep(_POLL_S)

    def down(self, entries: Sequence[Entry]) -> None:
        self._hold.write_text(_FAULT, encoding="ascii")
        for_each(entries, remove_with_ip)

    def healthy(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def render_config(allowed: AllowList, hold: Path) -> str:
    """``keepalived.conf`` (keepalived.conf(5), 2.2): one instance whose addresses are the allow-list."""
    first, *others = allowed.entries
    same = [entry for entry in others if entry.address.version == first.address.version]
    other_family = [entry for entry in others if entry.address.version != first.address.version]
    extra = f"  virtual_ipaddress_excluded {{\n{_addresses(other_family)}  }}\n" if other_family else ""
    return f"""global_defs {{
  router_id prontuario
  vrrp_version 3
}}
track_file hold {{
  file "{hold}"
  weight 0
}}
vrrp_instance prontuario {{
  state MASTER
  interface {first.interface}
  virtual_router_id {router_id(first)}
  priority 255
  advert_int {ADVERTISE_EVERY_S}
  track_file {{
    hold
  }}
  virtual_ipaddress {{
{_addresses([first, *same])}  }}
{extra}}}
"""


def router_id(entry: Entry) -> int:
    """1…255, the same on both nodes, from the address itself: two pairs on one LAN seldom share it."""
    return zlib.crc32(entry.address.packed) % 255 + 1


def _addresses(entries: Sequence[Entry]) -> str:
    return "".join(f"    {entry.host_prefix} dev {entry.interface}\n" for entry in entries)
