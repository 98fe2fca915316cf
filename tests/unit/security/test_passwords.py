from __future__ import annotations

import asyncio
import threading

import argon2
import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.security.passwords import Passwords, check_strength
from tests.unit.security.conftest import CHEAP


class SlowHasher:
    """Hashes when it is let; counts how many run at once."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.running = self.most = 0

    def hash(self, password: str | bytes, /) -> str:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.gate.wait(30)
        with self.lock:
            self.running -= 1
        return str(password)

    def verify(self, hash: str | bytes, password: str | bytes, /) -> bool:  # noqa: A002
        return True

    def check_needs_rehash(self, hash: str | bytes, /) -> bool:  # noqa: A002
        return False


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("curta", "min 10"),
        ("x" * 9 + "y", "repetition"),
        ("1234567890", "repetition|common"),
        ("abcdefghijkl", "repetition"),
        ("zyxwvutsrqponm", "repetition"),
        ("password2024!", "common"),
        ("Hospital#2026", "common"),
        ("Prontuário123", "common"),
        ("93018475610", "common"),
        ("maria.silva77x", "username"),
        ("a1" * 129, "max 256"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(password: str, reason: str) -> None:
    with pytest.raises(ProntuarioError, match=reason) as caught:
        check_strength(password, "Maria.Silva")
    assert (caught.value.kind.code, caught.value.field) == ("password.weak", "password")


@pytest.mark.parametrize(
    "password", ["cavalo bateria grampo", "três pratos de trigo", "7hX!q2-pLm", "医者は正しい鍵を持つ人です"]
)
def test_good_passwords_pass(password: str) -> None:
    check_strength(password, "ana")


async def test_hash_and_verify() -> None:
    passwords = Passwords(2, hasher=CHEAP)
    stored = await passwords.hash("três pratos de trigo")
    assert stored.startswith("$argon2id$")
    assert (await passwords.verify(stored, "três pratos de trigo")).ok
    assert not (await passwords.verify(stored, "tres pratos de trigo")).ok
    passwords.close()


async def test_both_spellings_of_an_accent_are_the_same_password() -> None:
    passwords = Passwords(1, hasher=CHEAP)
    stored = await passwords.hash("tr\u00eas pratos de trigo")
    assert (await passwords.verify(stored, "tre\u0302s pratos de trigo")).ok
    passwords.close()


async def test_outdated_parameters_are_upgraded() -> None:
    old = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash("três pratos de trigo")
    passwords = Passwords(1, hasher=CHEAP)
    verdict = await passwords.verify(old, "três pratos de trigo")
    assert verdict.ok
    assert verdict.new_hash is not None
    assert not CHEAP.check_needs_rehash(verdict.new_hash)
    assert (await passwords.verify(verdict.new_hash, "três pratos de trigo")).new_hash is None
    passwords.close()


async def test_an_unknown_person_costs_the_same_work_and_fails() -> None:
    class Counting:
        verified = 0

        def hash(self, password: str | bytes, /) -> str:
            return CHEAP.hash(password)

        def verify(self, hash: str | bytes, password: str | bytes, /) -> bool:  # noqa: A002
            self.verified += 1
            return CHEAP.verify(hash, password)

        def check_needs_rehash(self, hash: str | bytes, /) -> bool:  # noqa: A002
            return False

    hasher = Counting()
    passwords = Passwords(1, hasher=hasher)
    assert not (await passwords.verify(None, "no user has this password")).ok
    assert not (await passwords.verify(None, "anything")).ok
    assert not (await passwords.verify("not a hash", "anything")).ok
    assert hasher.verified == 3
    passwords.close()


async def test_two_hundred_at_once_run_two_by_two_and_the_queue_is_bounded() -> None:
    hasher = SlowHasher()
    passwords = Passwords(2, hasher=hasher, waiting_limit=100)
    tasks = [asyncio.create_task(passwords.hash(f"password {number}")) for number in range(200)]
    await asyncio.sleep(0)
    assert passwords.pending == 102
    hasher.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ProntuarioError)]
    assert len(refused) == 98
    assert {error.kind.code for error in refused} == {"auth.busy"}
    assert all(error.retry_after for error in refused)
    assert hasher.most <= 2
    assert passwords.pending == 0
    passwords.close()


async def test_who_hangs_up_while_waiting_frees_the_place() -> None:
    hasher = SlowHasher()
    passwords = Passwords(1, hasher=hasher, waiting_limit=1)
    first, second = (asyncio.create_task(passwords.hash(text)) for text in ("one", "two"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    third = asyncio.create_task(passwords.hash("three"))
    hasher.gate.set()
    assert [await first, await third] == ["one", "three"]
    passwords.close()
