"""vipd's rules, without a network."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.daemon.vipd.allow_list import AllowList, Entry
from appliance.daemon.vipd.tenancy import LONGEST_TENANCY_S, Tenancy
from appliance.plugin_api.errors import ProntuarioError

FOUR, SIX = Entry(ip_address("10.0.0.9"), "en0"), Entry(ip_address("fd00::9"), "en0")
BOTH = (FOUR, SIX)


def refused(error: pytest.ExceptionInfo[ProntuarioError]) -> str:
    return error.value.kind.code


def test_a_grant_lasts_until_its_deadline_and_not_a_moment_longer() -> None:
    tenancy = Tenancy()
    assert tenancy.acquire(3, 10.0, BOTH, now_s=9.0) == ()
    assert not tenancy.overdue(9.999)
    assert tenancy.overdue(10.0)
    assert tenancy.expire() == BOTH
    assert not tenancy.overdue(11.0)


def test_a_renewal_at_or_after_the_deadline_comes_too_late() -> None:
    tenancy = Tenancy()
    tenancy.acquire(3, 10.0, BOTH, 9.0)
    with pytest.raises(ProntuarioError) as error:
        tenancy.renew(3, 12.0, now_s=10.0)
    assert refused(error) == "cluster.vip_not_held"


def test_a_late_renewal_never_shortens() -> None:
    tenancy = Tenancy()
    tenancy.acquire(3, 10.0, BOTH, 9.0)
    tenancy.renew(3, 9.7, 9.5)
    assert tenancy.deadline_s == 10.0


def test_an_epoch_that_was_not_acquired_can_not_be_renewed() -> None:
    tenancy = Tenancy()
    tenancy.acquire(3, 10.0, BOTH, 9.0)
    with pytest.raises(ProntuarioError) as error:
        tenancy.renew(4, 11.0, 9.5)
    assert refused(error) == "cluster.vip_not_held"


def test_a_higher_epoch_takes_over_and_what_it_does_not_name_goes_down() -> None:
    tenancy = Tenancy()
    tenancy.acquire(3, 10.0, BOTH, 9.0)
    assert tenancy.acquire(4, 11.0, (SIX,), 9.5) == (FOUR,)
    assert tenancy.release(4) == (SIX,)


@pytest.mark.parametrize("deadline", [9.0, 8.0, 9.0 + LONGEST_TENANCY_S + 0.001, float("nan"), float("inf")])
def test_a_deadline_that_is_over_or_too_far_is_refused_and_changes_nothing(deadline: float) -> None:
    tenancy = Tenancy()
    with pytest.raises(ProntuarioError) as error:
        tenancy.acquire(3, deadline, BOTH, 9.0)
    assert refused(error) == "cluster.vip_bad_deadline"
    assert tenancy == Tenancy()


@pytest.mark.parametrize("epoch", [0, -1])
def test_epochs_start_at_one(epoch: int) -> None:
    with pytest.raises(ProntuarioError) as error:
        Tenancy().acquire(epoch, 10.0, BOTH, 9.0)
    assert refused(error) == "cluster.vip_stale_epoch"


steps = st.tuples(
    st.sampled_from(["acquire", "renew", "release"]), st.integers(0, 5), st.floats(-1, 3), st.floats(0, 1.5)
)


@given(st.lists(steps, max_size=40))
def test_whatever_is_asked_the_epoch_only_grows_and_nothing_is_held_past_a_granted_deadline(
    asked: list[tuple[str, int, float, float]],
) -> None:
    tenancy, now, granted = Tenancy(), 100.0, 0.0
    for verb, epoch, ahead, passed in asked:
        now += passed
        before = tenancy.epoch
        try:
            if verb == "release":
                tenancy.release(epoch)
                assert not tenancy.entries
            elif verb == "acquire":
                tenancy.acquire(epoch, now + ahead, BOTH, now)
                granted = now + ahead
            else:
                tenancy.renew(epoch, now + ahead, now)
                granted = max(granted, now + ahead)
            assert tenancy.epoch == epoch >= before
        except ProntuarioError:
            assert tenancy.epoch == before
        assert tenancy.deadline_s <= granted
        assert tenancy.overdue(granted) == bool(tenancy.entries)


@pytest.mark.parametrize(
    "address",
    ["", "10.0.0.9/24", "224.0.0.1", "127.0.0.1", "0.0.0.0", "::1", "::", "fe80::1", "fd00::1%en0", "ff02::1",
     "255.255.255.255", "::ffff:10.0.0.9", "vip.local"],
)  # fmt: skip
def test_what_no_host_should_own_is_no_virtual_address(address: str) -> None:
    with pytest.raises(ProntuarioError) as error:
        AllowList.parse((address,), "en0")
    assert refused(error) == "cluster.vip_setting"


@pytest.mark.parametrize("interface", ["", "-n", "en0; id", "en 0", "a" * 16, "0en", "../en0"])
def test_an_interfaces_name_can_be_no_option_and_no_path(interface: str) -> None:
    with pytest.raises(ProntuarioError) as error:
        AllowList.parse(("10.0.0.9",), interface)
    assert refused(error) == "cluster.vip_setting"


def test_an_empty_list_is_no_list() -> None:
    with pytest.raises(ProntuarioError) as error:
        AllowList.parse((), "en0")
    assert refused(error) == "cluster.vip_setting"


def test_the_same_address_in_another_spelling_is_admitted_once() -> None:
    allowed = AllowList.parse(("10.0.0.9", "fd00::9"), "en0")
    assert allowed.admit(["fd00:0:0::0009", "fd00::9"], "en0") == (SIX,)
    assert SIX.host_prefix == "fd00::9/128"


@pytest.mark.parametrize("addresses", [[], ["10.0.0.10"], ["10.0.0.9", "x"]])
def test_a_request_beyond_the_list_is_refused_as_a_whole(addresses: list[str]) -> None:
    with pytest.raises(ProntuarioError) as error:
        AllowList.parse(("10.0.0.9",), "en0").admit(addresses, "en0")
    assert refused(error) == "cluster.vip_not_allowed"
