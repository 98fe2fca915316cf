"""Machines to set up that are folders, and a person who answers from a list."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pypdfium2

from appliance.config import Paths
from appliance.daemon.control import ControlSocket
from appliance.daemon.setup.answers import Answers
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.machine import Machine, Network
from appliance.daemon.setup.questions import checked
from tests.fakes.mac_ground import ScratchMac

ROOT = Path(__file__).resolve().parents[4]
LAN = (
    Network("en0", ipaddress.ip_interface("10.0.0.11/24")),
    Network("en1", ipaddress.ip_interface("192.168.77.11/24")),
    Network("lo0", ipaddress.ip_interface("127.0.0.1/8")),
)
GIVEN = {
    "hospital": "Santa Casa",
    "name": "mac-1",
    "admin": "chefe",
    "holders": ["Direção", "TI", "Cofre"],
    "needed": 2,
}
PAIR = {"phase": "pair", "peer_address": "10.0.0.12", "witness_address": "10.0.0.13", "vip": "10.0.0.10"}


class OwnMachine(Machine):
    """Whose files belong to whoever runs the test."""

    def account(self) -> tuple[int, int] | None:
        return (os.getuid(), os.getgid()) if self.is_mac else None


def linux(*networks: Network) -> Machine:
    return OwnMachine(platform="linux", is_root=False, networks=networks or LAN)


def mac_of(ground: ScratchMac, **more: Any) -> Machine:
    """The scratch Mac as setup sees it, with the package's own scripts."""
    scripts = ground.prefix / "versions" / "1.0.0"
    scripts.mkdir(parents=True, exist_ok=True)
    (scripts / "scripts").symlink_to(ROOT / "packaging" / "scripts")
    (ground.prefix / "current").symlink_to("versions/1.0.0")
    environment = {"MAC_BOOK": str(ground.book), "PATH": f"{ground.book / 'bin'}:{os.environ['PATH']}"}
    return OwnMachine(
        platform="darwin", is_root=True, networks=LAN, root=ground.root, launchctl=str(ground.book / "bin" / "launchctl"),
        environment=environment, **more,
    )  # fmt: skip


def answers_of(papers: Path, machine: Machine, **given: Any) -> Answers:
    answers, wrong = checked({**GIVEN, "papers": str(papers), "profile": "development", **given}, machine)
    assert wrong == {}
    return answers


def pages_of(pdf: bytes) -> list[str]:
    """Each page's text."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [document[number].get_textpage().get_text_range() for number in range(len(document))]
    finally:
        document.close()


def share_words(pdf: bytes) -> str:
    """What whoever reads a page of the key types."""
    lines = [line.split() for page in pages_of(pdf) for line in page.splitlines()]
    return " ".join(word for line in lines if len(line) == 6 and line[0] in "12345" for word in line[1:])


@dataclass
class Listener:
    """Keeps what was said, and answers questions from a list; an empty answer takes what is suggested."""

    typed: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.heard.append(text)

    def ask(self, prompt: str, default: str) -> str:
        self.heard.append(prompt)
        return self.typed.pop(0) or default

    @property
    def text(self) -> str:
        return "\n".join(self.heard)


def context(folder: Path, machine: Machine, listener: Listener, home: Path | None = None, **given: Any) -> Context:
    answers = answers_of(folder / "papers", machine, **given)
    return Context(home or folder / "home", machine, answers, listener.say)


@asynccontextmanager
async def answering(paths: Paths, *, status: int = 200) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """What core shows to setup: a health page under the node's own certificate, and the operator's socket."""
    asked: list[dict[str, Any]] = []

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def code(request: Any) -> dict[str, Any]:
        asked.append(dict(request))
        return {"code": f"ABCDE-{len(asked)}", "uri": "prontuario://enrol?h=x", "expires_at": "2026-11-21T10:00:00Z"}

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(paths.secrets / "server.pem", paths.secrets / "server.key")
    server = await asyncio.start_server(page, "127.0.0.1", 0, ssl=tls)
    control = ControlSocket(paths.socket("control"), {"enrolment.code": code})
    await control.start()
    try:
        async with server:
            yield server.sockets[0].getsockname()[1], asked
    finally:
        await control.stop()
