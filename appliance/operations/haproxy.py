"""The configuration for a hospital that has its own balancer instead of the virtual IP: HAProxy in TCP mode.

TLS passes through unopened, so device certificates still reach the appliance. The balancer asks each node's
``/health/primary`` over TLS, which answers 200 only on the lease holder, and sends everyone there.
Until its first checks have failed HAProxy takes a node for healthy: just after its start a client may meet the standby, which
says so and takes no writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from appliance.operations.errors import HAPROXY_SETTING

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
PATH: Final = re.compile(r"/[A-Za-z0-9./_ -]{1,400}")
HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class BalancedNode:
    """One of the two nodes as the balancer reaches it."""

    name: str
    host: str
    port: int = 8443


@dataclass(frozen=True, slots=True)
class HaproxySettings:
    """What the hospital may set; times in seconds."""

    nodes: tuple[BalancedNode, ...]
    authority: str
    """Path of the appliance's ``ca.pem`` on the balancer's machine."""
    server_name: str
    """A name that both nodes' certificates carry (``[api] names``)."""
    bind: str = ":8443"
    check_every_s: float = 5.0
    check_timeout_s: float = 2.0
    failures: int = 3
    """Failed checks in a row until a node counts as down."""
    successes: int = 1
    """Good checks in a row until a node counts as up: the new primary is wanted at once."""
    connect_timeout_s: float = 2.0
    idle_timeout_s: float = 120.0
    """Longer than the API's own keep-alive and its WebSockets' pings."""
    max_connections: int = 2000


def render(settings: HaproxySettings) -> str:
    """``haproxy.cfg`` (HAProxy 2.2 and later).

    Raises:
        ProntuarioError: ``haproxy.setting``: a value that HAProxy would not understand, or would read as something else.
    """
    _check(settings)
    check = f"check check-ssl check-sni {settings.server_name} check-alpn http/1.1 verify required verifyhost {settings.server_name}"
    authority = settings.authority.replace(" ", "\\ ")
    servers = "\n".join(
        f"    server {node.name} {_bracketed(node.host)}:{node.port} {check} ca-file {authority}"
        for node in settings.nodes
    )
    return f"""# Prontuário behind HAProxy. Written by the appliance; made again rather than edited.
global
    maxconn {settings.max_connections}

defaults
    mode tcp
    timeout connect {_ms(settings.connect_timeout_s)}
    timeout client {_ms(settings.idle_timeout_s)}
    timeout server {_ms(settings.idle_timeout_s)}
    timeout check {_ms(settings.check_timeout_s)}

listen prontuario
    bind {settings.bind}
    option httpchk
    http-check send meth GET uri /health/primary ver HTTP/1.1 hdr Host {settings.server_name} hdr Connection close
    http-check expect status 200
    # A node that lost its lease must not keep clients on old connections.
    default-server inter {_ms(settings.check_every_s)} fall {settings.failures} rise {settings.successes}
    default-server on-marked-down shutdown-sessions
{servers}
"""


def _check(settings: HaproxySettings) -> None:
    times = ("check_every_s", "check_timeout_s", "connect_timeout_s", "idle_timeout_s")
    wrong = [name for name in times if not 0.001 <= getattr(settings, name) <= 86_400]  # noqa: PLR2004  1 ms to a day
    wrong += [name for name in ("failures", "successes", "max_connections") if getattr(settings, name) < 1]
    if not NAME.fullmatch(settings.server_name):
        wrong.append("server_name")
    if not PATH.fullmatch(settings.authority):
        wrong.append("authority")
    host, colon, port = settings.bind.rpartition(":")
    if not colon or not _port(port) or (host and not HOST.fullmatch(host.strip("[]"))):
        wrong.append("bind")
    names = {node.name for node in settings.nodes}
    sound = all(NAME.fullmatch(n.name) and HOST.fullmatch(n.host) and _port(str(n.port)) for n in settings.nodes)
    if not settings.nodes or len(names) != len(settings.nodes) or not sound:
        wrong.append("nodes")
    if wrong:
        raise HAPROXY_SETTING(settings=", ".join(wrong))


def _port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= HIGHEST_PORT


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
