"""Both nodes compute: this node's engines are lent to the other one, and its engines to ours, if both say so."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from appliance.cluster.compute_messages import SERVICE
from appliance.cluster.compute_service import ComputeService
from appliance.cluster.compute_sharing import SharedInference, State
from appliance.cluster.model import Computes
from appliance.daemon.pair.neighbour import Neighbour
from appliance.engines.fleet import EngineFleet
from appliance.telemetry.tracing import Tracer

_TOLD: Final[dict[State, tuple[str, str]]] = {
    "both": ("os dois nós", "both"),
    "off": (
        "só este nó: o compartilhamento está desligado na configuração (cluster.share_inference)",
        "this node only: sharing is switched off in the configuration (cluster.share_inference)",
    ),
    "peer_away": ("só este nó: o outro não responde", "this node only: the other one does not answer"),
    "peer_does_not_share": (
        "só este nó: o outro não compartilha (veja cluster.share_inference e a versão nele)",
        "this node only: the other one does not share (see cluster.share_inference and the version there)",
    ),
    "peer_not_ready": (
        "só este nó: os motores do outro não estão prontos",
        "this node only: the other one's engines are not ready",
    ),
    "other_model": (
        "só este nó: o outro tem outro modelo, outra configuração ou outra versão",
        "this node only: the other one has another model, other settings or another version",
    ),
}


class Computing:
    """Offers the service before the neighbour starts; ``start`` and ``close`` it. ``share``: the setting."""

    def __init__(self, neighbour: Neighbour, fleet: EngineFleet, *, share: bool, tracer: Tracer) -> None:
        self._sharing: SharedInference | None = None
        if share:
            software = version("prontuario")
            neighbour.streams[SERVICE] = ComputeService(fleet.engines, software, tracer).on_call
            self._sharing = SharedInference(neighbour.another_link(), fleet.engines, software)

    def start(self) -> None:
        """Begin to look at what the other node offers."""
        if self._sharing is not None:
            self._sharing.start()

    async def close(self) -> None:
        """Everything is computed here again."""
        if self._sharing is not None:
            await self._sharing.close()

    def told(self) -> Computes:
        """Who computes, for people."""
        state: State = self._sharing.state if self._sharing is not None else "off"
        pt, en = _TOLD[state]
        return Computes(state == "both", pt, en)
