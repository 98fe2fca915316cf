"""pf.conf(5) as far as our anchor uses it: read line by line, asked about single packets. What it does not know it refuses."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

_RULE = re.compile(
    r"(?P<action>pass|block (?:drop|return))(?: (?P<direction>in|out))? quick(?: on (?P<interface>\S+))?(?: (?P<family>inet6?))?"
    r"(?: proto (?P<protocols>\{[^}]+\}|\S+))?"
    r"(?: all| from (?P<sources>\{[^}]+\}|\S+)(?: port (?P<source_port>\d+))? to (?P<targets>\{[^}]+\}|\S+)(?: port (?P<port>\d+))?)"
    r"(?: icmp-type (?P<icmp>\S+))?(?: user (?P<user>\S+))?(?: flags S/SA)?(?: keep state| no state)?"
)


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection; ``user`` is whose process sends or takes it."""

    direction: str
    source: str = "10.9.9.9"
    target: str = "10.0.0.11"
    port: int | None = None
    protocol: str = "tcp"
    interface: str = "en0"
    source_port: int = 50_000
    user: str = "root"
    icmp: str = ""


@dataclass(frozen=True)
class Rule:
    action: str
    parts: dict[str, str | None]

    @classmethod
    def read(cls, line: str) -> Self:
        found = _RULE.fullmatch(line)
        assert found, f"not understood: {line}"
        return cls(found["action"].split()[0], found.groupdict())

    @property
    def port(self) -> int | None:
        return int(self.parts["port"]) if self.parts["port"] else None

    def fits(self, packet: Packet) -> bool:
        family = "inet6" if ":" in packet.target else "inet"
        exact = (
            (self.parts["direction"], packet.direction),
            (self.parts["interface"], packet.interface),
            (self.parts["family"], family),
            (self.parts["source_port"], str(packet.source_port)),
            (self.parts["port"], str(packet.port)),
            (self.parts["user"], packet.user),
            (self.parts["icmp"], packet.icmp),
        )
        return (
            all(wanted is None or wanted == given for wanted, given in exact)
            and (self.parts["protocols"] is None or packet.protocol in words(self.parts["protocols"]))
            and among(packet.source, self.parts["sources"])
            and among(packet.target, self.parts["targets"])
        )


def words(text: str) -> list[str]:
    return text.strip("{} ").split()


def among(address: str, listed: str | None) -> bool:
    if listed in {None, "any"}:
        return True
    asked = ipaddress.ip_address(address)
    return any(asked in ipaddress.ip_network(word) for word in words(listed or ""))


class PacketFilter:
    """The rules of an anchor. All are ``quick``, so the first that fits decides."""

    def __init__(self, text: str) -> None:
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        self.rules = [Rule.read(line) for line in lines if line]

    def lets(self, packet: Packet) -> bool:
        return next((rule.action == "pass" for rule in self.rules if rule.fits(packet)), True)

    def ports(self, direction: str) -> list[int]:
        """Every target port that a rule opens, as often as it stands there."""
        opened = (rule for rule in self.rules if rule.action == "pass" and rule.parts["direction"] == direction)
        return sorted(rule.port for rule in opened if rule.port)
