"""A development pair's own network, with a virtual IP: the nodes and the third voter in namespaces, this machine as client.

Addresses are of RFC 2544's range for test networks, 198.18.0.0/15, which no real network uses: ``198.18.N.0/24`` is the
LAN, ``198.19.N.0/30`` the cable between the two nodes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from appliance.config.model import Api
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.pair.namespaces import Namespaces, build, interface
from appliance.daemon.pair.plan import PairPlan, Place, VipBackend

LAN, CABLE = "lan", "direct"
SOCKETS: Final = Path("/run/prontuario")
_VIP, _HOST = 100, 254
_NETWORKS: Final = 256


def plan_in_namespaces(home: Path, names: tuple[str, str, str], backend: VipBackend = "auto") -> PairPlan:
    """Both nodes and the witness (``names``) of the pair below ``home``, with the usual ports on addresses of their own.

    Raises:
        CommandFailedError: every test network is taken.
    """
    tag = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    number = _free_network(int(tag, 16))
    lan, cable = f"198.18.{number}", f"198.19.{number}"
    first, second = (
        Place(name=name, host=f"{lan}.{at}", link=f"{cable}.{at}", admin_host=f"{lan}.{at}")
        for at, name in enumerate(names[:2], 1)
    )
    return PairPlan(
        first=first,
        second=second,
        witness=Place(name=names[2], host=f"{lan}.3"),
        client_address=f"{lan}.{_VIP}:{Api().port}",
        vip_addresses=(f"{lan}.{_VIP}",),
        vip_interface=interface(LAN),
        vip_backend=backend,
        vipd_socket=str(SOCKETS / tag / "{node}" / "vipd.sock"),
        namespaces=f"prontuario-{tag}",
    )


def lay(plan: PairPlan) -> Namespaces:
    """Make the plan's network, in the place of one that a killed predecessor left.

    Raises:
        CommandFailedError: the system does not let us.
    """
    Namespaces(plan.namespaces).remove()
    lan = {place.name: (f"{place.host}/24",) for place in plan.voters}
    cable = {place.name: (f"{place.link}/30",) for place in plan.voters if place.link}
    try:
        made = build(plan.namespaces, [place.name for place in plan.voters], {LAN: lan, CABLE: cable})
        own = plan.first.host.rpartition(".")[0]
        try:
            made.plug_this_machine(LAN, f"pt-{plan.namespaces.rpartition('-')[2]}", f"{own}.{_HOST}/24")
        except RuntimeError:
            made.remove()
            raise
    except RuntimeError as error:
        raise CommandFailedError(f"The pair's own network could not be made: {error}", Exit.FAILED) from error
    return made


def take_up(plan: PairPlan, network: Namespaces) -> None:
    """Remove the network and the sockets' folder; everything in it must have ended."""
    network.remove()
    shutil.rmtree(Path(plan.vipd_socket).parents[1], ignore_errors=True)


def _free_network(first_choice: int) -> int:
    listing = subprocess.run(["ip", "-o", "-4", "address", "show"], capture_output=True, text=True, check=True).stdout
    for step in range(_NETWORKS):
        number = (first_choice + step) % _NETWORKS
        if f" 198.18.{number}." not in listing:
            return number
    raise CommandFailedError("Every test network of this machine is taken.")
