"""An address is looked at before it is connected to, and only one inside the hospital is handed on."""

from __future__ import annotations

import pytest

from appliance.telemetry.inside import OutsideError, Pinned, address_within, pinned, place_of

LOOPBACK = ("127.0.0.0/8", "::1/128")
HOSPITAL = ("10.0.0.0/8", "fc00::/7")


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::7", "::ffff:10.1.2.3"])
async def test_an_address_within_the_networks_is_handed_on(address: str) -> None:
    assert await address_within(address, 80, HOSPITAL) == address


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "127.0.0.1", "169.254.169.254"])
async def test_any_other_is_not(address: str) -> None:
    with pytest.raises(OutsideError, match="outside") as error:
        await address_within(address, 80, HOSPITAL)
    assert address not in str(error.value)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "x" * 70 + ".invalid", "a..b", "é" * 70])
async def test_a_name_that_nobody_knows_is_no_address(name: str) -> None:
    with pytest.raises(OutsideError, match="unknown"):
        await address_within(name, 80, LOOPBACK)


async def test_the_url_gets_the_address_and_the_name_stays_for_the_server() -> None:
    found = await pinned("https://user:pw@127.0.0.1:4318/v1/traces?x=1", LOOPBACK)
    assert found == Pinned("https://127.0.0.1:4318/v1/traces?x=1", "127.0.0.1:4318", "127.0.0.1")
    assert (await pinned("http://[::1]/v1", LOOPBACK)).url == "http://[::1]:80/v1"
    named = await pinned("http://localhost/v1", LOOPBACK)
    assert (named.authority, named.name) == ("localhost", "localhost")
    assert "localhost" not in named.url


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "//127.0.0.1/", "http:///x", "file:///etc/passwd", ""])
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(OutsideError, match="not http"):
        await pinned(url, LOOPBACK)


@pytest.mark.parametrize(
    ("url", "place"),
    [("http://a/x", ("a", 80)), ("https://a/x", ("a", 443)), ("http://a:9/", ("a", 9)), ("", ("", 80))],
)
def test_a_place_is_a_host_and_a_port(url: str, place: tuple[str, int]) -> None:
    assert place_of(url) == place
