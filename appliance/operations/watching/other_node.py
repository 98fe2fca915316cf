"""Whether the other node serves: its own door is asked, as Prometheus would, for hospitals that have no Prometheus.

The link between the two (``cluster_peer_reachable``) tells something else: a core that serves nobody may still hold the link,
and a cut cable leaves both doors open.
"""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from appliance.telemetry.metrics import Metrics

LIMIT_S: Final = 3.0


class OtherNode:
    """``ask`` before each look. ``address`` is ``host:port`` of the other node's own API."""

    def __init__(self, node: str, address: str, trusted: ssl.SSLContext, metrics: Metrics) -> None:
        """``trusted`` knows the hospital's root: another machine that took the address is not the node."""
        self._url, self._trusted = f"https://{address}/health/live", trusted
        up = metrics.gauge("node_up", "Whether the other node's own door answers; NaN: not asked yet", ("node",))
        self._up = up.labels(node)
        self._up.set(float("nan"))

    async def ask(self) -> None:
        """Ask once; any answer is an answer. Raises nothing."""
        try:
            async with httpx.AsyncClient(verify=self._trusted, timeout=LIMIT_S, trust_env=False) as client:
                await client.get(self._url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            self._up.set(0)
        else:
            self._up.set(1)
