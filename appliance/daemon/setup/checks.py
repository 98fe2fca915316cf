"""What an answer has to be. Pure: nothing is changed, nobody is called."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.daemon.setup.machine import Machine, Network
from appliance.security.recovery import MOST

Draft = Mapping[str, Any]
Text = tuple[str, str]
"""In Portuguese and in English."""
Check = Callable[[str, Draft, Machine], Any]
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_USER: Final = re.compile(r"[a-z0-9._-]{2,64}")
_LONGEST: Final = 120
NONE: Final = "-"
"""What is typed for "none" where something is suggested."""


class BadAnswerError(Exception):
    """Why an answer is no good, in both languages."""

    def __init__(self, pt: str, en: str) -> None:
        super().__init__(en)
        self.text: Text = (pt, en)


def choice(*known: str) -> Callable[[str, Draft, Machine], str]:
    """One of ``known``."""

    def check(text: str, _draft: Draft, _machine: Machine) -> str:
        if text not in known:
            raise BadAnswerError(f"escolha: {', '.join(known)}", f"choose: {', '.join(known)}")
        return text

    return check


def line(text: str, _draft: Draft, _machine: Machine) -> str:
    """Some words. Raises ``BadAnswerError``."""
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise BadAnswerError(f"de 1 a {_LONGEST} letras", f"1 to {_LONGEST} letters")
    return text


def node_name(text: str, _draft: Draft, _machine: Machine) -> str:
    """What a certificate's name and a host's may be. Raises ``BadAnswerError``."""
    if not _NAME.fullmatch(text):
        raise BadAnswerError("até 32 de a-z, 0-9 e hífen", "up to 32 of a-z, 0-9 and hyphen")
    return text


def user_name(text: str, _draft: Draft, _machine: Machine) -> str:
    """As ``security.users`` takes it. Raises ``BadAnswerError``."""
    name = text.casefold()
    if not _USER.fullmatch(name):
        raise BadAnswerError("de 2 a 64 de a-z, 0-9, ponto, _ e -", "2 to 64 of a-z, 0-9, dot, _ and -")
    return name


def optional_user(text: str, draft: Draft, machine: Machine) -> str:
    """``user_name``, or none. Raises ``BadAnswerError``."""
    return "" if text in {"", NONE} else user_name(text, draft, machine)


def own_interface(text: str, _draft: Draft, machine: Machine) -> str:
    """One that this machine has. Raises ``BadAnswerError``."""
    known = list(dict.fromkeys(one.interface for one in machine.networks))
    if text not in known:
        shown = ", ".join(known) or NONE
        raise BadAnswerError(f"este Mac tem: {shown}", f"this Mac has: {shown}")
    return text


def own_networks(draft: Draft, machine: Machine) -> list[Network]:
    """The addresses of the interface that was chosen."""
    return [one for one in machine.networks if one.interface == draft.get("interface")]


def own_address(text: str, draft: Draft, machine: Machine) -> str:
    """One of that interface. Raises ``BadAnswerError``."""
    own = {one.ip for one in own_networks(draft, machine)}
    ip = _ip(text)
    if ip not in own:
        shown = ", ".join(sorted(own)) or NONE
        raise BadAnswerError(f"essa interface tem: {shown}", f"that interface has: {shown}")
    return ip


def _ip(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise BadAnswerError(
            "escreva um endereço IP, como 10.0.0.12", "write an IP address, such as 10.0.0.12"
        ) from None
    if "%" in text or found.is_multicast or found.is_unspecified or found.is_link_local:
        raise BadAnswerError("esse endereço não serve a um computador", "that is no address for a computer")
    return str(found)


def other_address(key: str) -> Callable[[str, Draft, Machine], str]:
    """The address of another machine: none that was named before for something else."""

    def check(text: str, draft: Draft, _machine: Machine) -> str:
        ip = _ip(text)
        taken = {name for name in ("address", "peer_address", "witness_address", "vip") if draft.get(name) == ip}
        if taken - {key}:
            raise BadAnswerError(
                "esse endereço já foi dado a outra máquina", "another machine has that address already"
            )
        return ip

    return check


def optional(check: Callable[[str, Draft, Machine], str]) -> Callable[[str, Draft, Machine], str]:
    """``check``, or none."""
    return lambda text, draft, machine: "" if text in {"", NONE} else check(text, draft, machine)


def virtual_address(text: str, draft: Draft, machine: Machine) -> str:
    """Free for the pair: in the network of this machine's address, nobody's own. Raises ``BadAnswerError``."""
    ip = other_address("vip")(text, draft, machine)
    around = next((one.address.network for one in own_networks(draft, machine) if one.ip == draft.get("address")), None)
    found = ipaddress.ip_address(ip)
    if around is not None and found not in around:
        raise BadAnswerError(f"precisa estar na rede {around}", f"it has to be in the network {around}")
    if around is not None and around.num_addresses > 2 and found in {around.network_address, around.broadcast_address}:  # noqa: PLR2004
        raise BadAnswerError("esse é o endereço da própria rede", "that is the address of the network itself")
    return ip


def endpoint(text: str, _draft: Draft, _machine: Machine) -> str:
    """``address:port``. Raises ``BadAnswerError``."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535:  # noqa: PLR2004  a TCP port
        raise BadAnswerError(
            "como o primeiro Mac mostrou: 10.0.0.11:8446", "as the first Mac showed it: 10.0.0.11:8446"
        )
    _ip(host.strip("[]"))
    return text


def holder_names(text: str, _draft: Draft, _machine: Machine) -> tuple[str, ...]:
    """People or places, with commas. Raises ``BadAnswerError``."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not 2 <= len(names) <= MOST or len(set(names)) != len(names) or max(map(len, names)) > _LONGEST:  # noqa: PLR2004
        raise BadAnswerError(
            f"de 2 a {MOST} nomes diferentes, com vírgulas", f"2 to {MOST} different names, with commas"
        )
    return names


def share_count(text: str, draft: Draft, _machine: Machine) -> int:
    """How many of the holders. Raises ``BadAnswerError``."""
    most = len(draft.get("holders", ()))
    if not text.isdecimal() or not 2 <= int(text) <= most:  # noqa: PLR2004  one alone would be a copy
        raise BadAnswerError(f"de 2 a {most}", f"2 to {most}")
    return int(text)


def whole_path(text: str, _draft: Draft, _machine: Machine) -> str:
    """A path from / on. Raises ``BadAnswerError``."""
    if not Path(text).is_absolute() or not text.isprintable():
        raise BadAnswerError("escreva o caminho inteiro, a partir de /", "write the whole path, from / on")
    return text


def existing_folder(text: str, draft: Draft, machine: Machine) -> str:
    """A folder that is there. Raises ``BadAnswerError``."""
    folder = whole_path(text, draft, machine)
    if not _is(Path(folder).is_dir):
        raise BadAnswerError("essa pasta não existe", "there is no such folder")
    return folder


def existing_file(text: str, draft: Draft, machine: Machine) -> str:
    """A file that is there. Raises ``BadAnswerError``."""
    file = whole_path(text, draft, machine)
    if not _is(Path(file).is_file):
        raise BadAnswerError("esse arquivo não existe", "there is no such file")
    return file


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a name that is too long, a folder that nobody may look into
        return False
