"""A window that is closed over a set-up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from appliance.daemon.setup.hangup import hangup_interrupts


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    """Nobody has said what a hangup does, whatever this process was started with."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_stands_open_is_closed_and_the_caller_is_interrupted() -> None:
    done: list[str] = []

    async def waits_for_a_guest() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGHUP)
        try:
            await asyncio.sleep(60)
        finally:
            signal.raise_signal(signal.SIGHUP)  # told twice, by the kernel and by sudo
            done.append("the door is closed")

    with pytest.raises(KeyboardInterrupt), hangup_interrupts():
        asyncio.run(waits_for_a_guest())
    assert done == ["the door is closed"]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with hangup_interrupts():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
