"""The address that a phone's QR names is one that a phone can reach."""

from __future__ import annotations

import pytest

from appliance.config import Config
from appliance.config.model import Api, Cluster
from appliance.daemon.enrolment import phone_address


@pytest.mark.parametrize(
    ("config", "address"),
    [
        (Config(), "prontuario.local:8443"),
        (Config(api=Api(host="0.0.0.0", names=("localhost", "prontuario.local", "10.0.0.11"))), "10.0.0.11:8443"),
        (Config(api=Api(host="10.0.0.7", port=9443)), "10.0.0.7:9443"),
        (Config(api=Api(host="::", names=("localhost", "fd00::11"))), "[fd00::11]:8443"),
        (Config(api=Api(host="127.0.0.1", names=("localhost",))), "127.0.0.1:8443"),
        (Config(api=Api(host="0.0.0.0"), cluster=Cluster(client_address="10.0.0.10:8443")), "10.0.0.10:8443"),
    ],
)
def test_the_qr_names_an_address_that_phones_reach(config: Config, address: str) -> None:
    assert phone_address(config) == address
