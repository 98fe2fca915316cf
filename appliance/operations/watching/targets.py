"""Where alerts are sent: the hospital's mail server and webhooks, and never an address outside its own networks.

The name is looked up once for each delivery, every address that it has must lie within ``[alerts] networks``, and the
connection goes to exactly that address: what a name server says a moment later changes nothing.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Final, Protocol

import httpx
import msgspec

from appliance.config.model import Alerts
from appliance.operations.watching.feed import Alert, Change
from appliance.store.threads import to_the_end
from appliance.telemetry import inside

LIMIT_S: Final = 15.0


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. ``status``: ``on`` or ``off``."""

    hospital: str
    status: Change
    alert: Alert


class DeliveryError(Exception):
    """It was not delivered; the text names no address."""


class Target(Protocol):
    """One place to send to."""

    @property
    def name(self) -> str:
        """For logs: the kind and a number, no address."""
        ...

    async def send(self, notice: Notice) -> None:
        """Raises ``DeliveryError``."""
        ...


def targets_of(config: Alerts) -> list[Target]:
    """Everything that the configuration names."""
    networks = config.networks
    hooks: list[Target] = [Webhook(f"webhook {n}", url, networks) for n, url in enumerate(config.webhooks, 1)]
    return [*hooks, *([Mail(config)] if config.smtp_host and config.email_to else [])]


def places_of(config: Alerts) -> list[tuple[str, str, int]]:
    """Every target as (name without an address, host, port)."""
    places = [(f"webhook {n}", *inside.place_of(url)) for n, url in enumerate(config.webhooks, 1)]
    return [*places, *([("mail", config.smtp_host, config.smtp_port)] if config.smtp_host else [])]


async def address_within(host: str, port: int, networks: Sequence[str]) -> str:
    """See ``telemetry.inside.address_within``; raises ``DeliveryError``."""
    try:
        return await inside.address_within(host, port, networks)
    except inside.OutsideError as error:
        raise DeliveryError(str(error)) from None


class Webhook:
    """``POST`` the notice as JSON; anything but a 2xx answer is no delivery, and a redirect is not followed."""

    def __init__(self, name: str, url: str, networks: Sequence[str]) -> None:
        self.name, self._url, self._networks = name, url, networks

    async def send(self, notice: Notice) -> None:
        """See ``Target.send``."""
        try:
            place = await inside.pinned(self._url, self._networks)
        except inside.OutsideError as error:
            raise DeliveryError(str(error)) from None
        headers = {"Content-Type": "application/json", "Host": place.authority}
        try:
            async with httpx.AsyncClient(timeout=LIMIT_S, trust_env=False) as client:
                answer = await client.post(
                    place.url,
                    content=msgspec.json.encode(notice),
                    headers=headers,
                    extensions={"sni_hostname": place.name},
                )
        except (httpx.HTTPError, OSError) as error:
            raise DeliveryError(type(error).__name__) from None
        if not answer.is_success:
            raise DeliveryError(f"HTTP {answer.status_code}")


class Mail:
    """Plain text in both languages, to the hospital's own mail server."""

    name = "mail"

    def __init__(self, config: Alerts) -> None:
        self._config = config

    async def send(self, notice: Notice) -> None:
        """See ``Target.send``."""
        config = self._config
        address = await address_within(config.smtp_host, config.smtp_port, config.networks)
        try:
            await to_the_end(self._deliver, address, message_of(notice, config))
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(type(error).__name__) from None

    def _deliver(self, address: str, message: EmailMessage) -> None:
        config = self._config
        with _PinnedSmtp(address, config.smtp_host, config.smtp_port) as server:
            if config.smtp_starttls:
                server.starttls(context=ssl.create_default_context(cafile=config.smtp_ca or None))
            server.send_message(message)


class _PinnedSmtp(smtplib.SMTP):
    """Connects to an address that was looked at, and holds the server to its name in TLS."""

    def __init__(self, address: str, name: str, port: int) -> None:
        self._address = address
        super().__init__(name, port, timeout=LIMIT_S)

    def _get_socket(self, _host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self._address, port), timeout)


def message_of(notice: Notice, config: Alerts) -> EmailMessage:
    """The letter: subject and a few lines, Portuguese first."""
    alert, message = notice.alert, EmailMessage()
    pt, en = ("", "") if notice.status == "on" else ("Resolvido: ", "Over: ")
    message["Subject"] = f"[Prontuário {notice.hospital}] {pt}{alert.pt}"
    message["From"], message["To"] = config.email_from, ", ".join(config.email_to)
    labels = ", ".join(f"{key} {value}" for key, value in sorted(alert.labels.items()))
    ended = f" – {alert.ended}" if alert.ended else ""
    message.set_content(
        f"{pt}{alert.pt}\n{en}{alert.en}\n\n{alert.rule} ({alert.severity}) · {alert.node} · {labels or '-'}\n"
        f"{alert.began}{ended}\ndocs/runbooks/{alert.runbook}.md\n"
    )
    return message
