"""Alerts reach a real HTTP server and a real SMTP server inside the hospital, and nothing outside it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Alerts
from appliance.operations.watching.conditions import snapshot
from appliance.operations.watching.feed import Alert, AlertFeed
from appliance.operations.watching.other_node import OtherNode
from appliance.operations.watching.outbox import MAX_WAITING, Outbox
from appliance.operations.watching.targets import (
    DeliveryError,
    Mail,
    Notice,
    Webhook,
    address_within,
    message_of,
    places_of,
    targets_of,
)  # fmt: skip
from appliance.operations.watching.watch import Watch
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics

LOOPBACK = ("127.0.0.0/8", "::1/128")
PATIENCE_S = 60.0


def alert(rule: str = "DiskFull", severity: str = "critical") -> Alert:
    return Alert(
        id="1", node="a", rule=rule, severity=severity, labels={"engine": "chat"}, pt="O disco está cheio.",
        en="The disk is full.", runbook="disk-full", began="2027-01-15T08:00:10.000Z",
    )  # fmt: skip


def notice() -> Notice:
    return Notice(hospital="Santa Casa", status="on", alert=alert())


class Hook:
    """An HTTP server that answers with ``status`` and remembers the bodies."""

    def __init__(self) -> None:
        self.status, self.bodies, self.hosts = "204 No Content", [], []  # type: str, list[bytes], list[str]
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.bodies.append(await reader.readexactly(int(fields["content-length"])))
        self.hosts.append(fields["host"])
        writer.write(
            f"HTTP/1.1 {self.status}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        writer.close()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    one = Hook()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fact():  # noqa: ASYNC110  another task's doing
            await asyncio.sleep(0.01)


async def test_a_webhook_gets_the_alert_as_json_at_the_address_that_was_looked_at() -> None:
    async with hook() as server:
        await Webhook("webhook 1", f"http://localhost:{server.port}/in?x=1", LOOPBACK).send(notice())
        assert msgspec.json.decode(server.bodies[0], type=Notice) == notice()
        assert server.hosts == [f"localhost:{server.port}"]


async def test_an_address_that_is_none_does_not_end_the_watch_over_all_else() -> None:
    metrics = Metrics()
    await OtherNode("b", "10.0.0.2:eight", ssl.create_default_context(), metrics).ask()
    assert metrics.registry.get_sample_value("prontuario_node_up", {"node": "b"}) == 0.0


async def test_the_end_of_the_battery_is_told_before_the_machine_goes_off(tmp_path: Path) -> None:
    """The next look would come after core is gone."""
    metrics = Metrics()
    low = metrics.gauge("ups_battery_low", "x")
    async with hook() as server:
        outbox = Outbox([Webhook("webhook 1", f"http://127.0.0.1:{server.port}/", LOOPBACK)], metrics, "x")
        feed = AlertFeed(tmp_path / "alerts.json", "a", outbox.tell)
        watch = Watch(metrics, SystemClock(), feed, outbox, every_s=3600.0)
        watch.start()
        try:
            looked = ("prontuario_alerts_on", {"severity": "critical"})
            await until(lambda: metrics.registry.get_sample_value(*looked) == 0.0)
            low.set(1)
            await watch.tell_last(PATIENCE_S)
            assert [msgspec.json.decode(body, type=Notice).alert.rule for body in server.bodies] == ["BatteryLow"]
            await watch.tell_last(PATIENCE_S)
            assert len(server.bodies) == 1
        finally:
            await watch.close()


async def test_an_alert_counts_as_told_once_every_target_has_taken_it(tmp_path: Path) -> None:
    metrics = Metrics()
    async with hook() as one, hook() as other:
        other.status = "500 Oops"
        targets = [Webhook(f"webhook {port}", f"http://127.0.0.1:{port}/", LOOPBACK) for port in (one.port, other.port)]
        outbox = Outbox(targets, metrics, "x", first_pause_s=0.01)
        feed = AlertFeed(tmp_path / "alerts.json", "a", outbox.tell)
        outbox.on_told = feed.told
        metrics.gauge("ups_battery_low", "x").set(1)
        feed.look(snapshot(metrics.registry, 1_800_000_000.0))
        outbox.start()
        try:
            await until(lambda: one.bodies and len(other.bodies) > 1)
            assert [row.told for row in feed.on()] == [""]
            other.status = "204 No Content"
            await until(lambda: feed.on()[0].told == "on")
        finally:
            await outbox.close()


@pytest.mark.parametrize("status", ["500 Oops", "302 Found", "404 Not Found"])
async def test_anything_but_success_is_no_delivery_and_redirects_are_not_followed(status: str) -> None:
    async with hook() as server:
        server.status = status
        with pytest.raises(DeliveryError, match=f"HTTP {status[:3]}"):
            await Webhook("webhook 1", f"http://127.0.0.1:{server.port}/", LOOPBACK).send(notice())
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/x", "https://[2001:4860:4860::8888]/", "http://[::ffff:8.8.8.8]/", "http://10.1.2.3/"]
)
async def test_an_address_outside_the_networks_is_never_called(url: str) -> None:
    with pytest.raises(DeliveryError, match="outside the hospital's networks"):
        await Webhook("webhook 1", url, LOOPBACK).send(notice())


async def test_an_address_inside_is_the_one_to_connect_to() -> None:
    assert await address_within("127.0.0.1", 80, LOOPBACK) == "127.0.0.1"
    with pytest.raises(DeliveryError, match="outside"):
        await address_within("127.0.0.1", 80, ("10.0.0.0/8",))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http:///x", "nonsense"])
async def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(DeliveryError, match="http or https"):
        await Webhook("webhook 1", url, LOOPBACK).send(notice())


class Post:
    """An SMTP server (RFC 5321) as small as a test needs."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.envelope: list[str] = []
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 post\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb in {"MAIL", "RCPT"}:
                self.envelope.append(line)
            if verb == "DATA":
                writer.write(b"354 go\r\n")
                self.letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            refused = verb == "MAIL" and self.refuses
            writer.write(b"221 bye\r\n" if verb == "QUIT" else b"451 later\r\n" if refused else b"250 ok\r\n")
            if verb == "QUIT":
                break
        writer.close()


@asynccontextmanager
async def post() -> AsyncIterator[tuple[Post, Alerts]]:
    one = Post()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield one, Alerts(
            networks=LOOPBACK, smtp_host="127.0.0.1", smtp_port=port, email_to=("ti@hospital", "plantao@hospital"),
            email_from="prontuario@hospital",
        )  # fmt: skip


async def test_a_letter_reaches_everybody_on_the_list() -> None:
    async with post() as (server, config):
        await Mail(config).send(notice())
    assert [line.partition(">")[0].partition("<")[2] for line in server.envelope] == [
        "prontuario@hospital",
        "ti@hospital",
        "plantao@hospital",
    ]
    assert "DiskFull" in server.letters[0]


async def test_a_letter_that_the_server_refuses_is_no_delivery() -> None:
    async with post() as (server, config):
        server.refuses = True
        with pytest.raises(DeliveryError, match="SMTP"):
            await Mail(config).send(notice())
    assert server.letters == []


async def test_a_server_without_tls_gets_nothing_where_tls_is_asked_for() -> None:
    async with post() as (server, config):
        with pytest.raises(DeliveryError, match="NotSupported"):
            await Mail(msgspec.structs.replace(config, smtp_starttls=True)).send(notice())
    assert server.envelope == []


def test_the_letter_says_it_in_both_languages_and_names_the_page() -> None:
    letter = message_of(notice(), Alerts(email_to=("a@b",), email_from="p@b"))
    text = letter.get_content()
    assert letter["Subject"] == "[Prontuário Santa Casa] O disco está cheio."
    assert "The disk is full." in text
    assert "docs/runbooks/disk-full.md" in text
    over = msgspec.structs.replace(notice(), status="off", alert=msgspec.structs.replace(alert(), ended="later"))
    assert message_of(over, Alerts(email_to=("a@b",)))["Subject"].endswith("Resolvido: O disco está cheio.")


def test_only_what_is_configured_is_a_target() -> None:
    assert targets_of(Alerts()) == places_of(Alerts()) == []
    both = Alerts(webhooks=("https://ti.hospital/x",), smtp_host="post.hospital", email_to=("a@b",))
    assert [one.name for one in targets_of(both)] == ["webhook 1", "mail"]
    assert places_of(both) == [("webhook 1", "ti.hospital", 443), ("mail", "post.hospital", 25)]


async def test_a_target_that_is_down_holds_up_no_other_and_gets_it_later() -> None:
    async with hook() as good, hook() as bad:
        bad.status = "503 Later"
        targets = [
            Webhook(f"webhook {n}", f"http://127.0.0.1:{one.port}/", LOOPBACK) for n, one in enumerate((good, bad))
        ]
        metrics = Metrics()
        outbox = Outbox(targets, metrics, "Santa Casa", first_pause_s=0.02)
        outbox.start()
        outbox.tell(alert(), "on")
        await until(lambda: len(good.bodies) == 1 and len(bad.bodies) > 1)
        assert outbox.waiting == 1
        assert metrics.registry.get_sample_value("prontuario_alerts_unsent") == 1
        bad.status = "200 OK"
        await until(lambda: outbox.waiting == 0)
        assert len(good.bodies) == 1, "delivered once"
        await outbox.close()
        await outbox.close()


async def test_only_what_is_worth_it_is_sent_and_a_full_queue_keeps_the_newest() -> None:
    outbox = Outbox([Webhook("webhook 1", "http://127.0.0.1:1/", LOOPBACK)], Metrics(), "x", least="critical")
    outbox.tell(alert(severity="warning"), "on")
    assert outbox.waiting == 0
    for _ in range(MAX_WAITING + 5):
        outbox.tell(alert(), "on")
    assert outbox.waiting == MAX_WAITING
