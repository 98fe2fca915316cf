"""Passwords: argon2id (RFC 9106) off the event loop, a few at a time, with a bounded queue; and what counts as weak."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, TypeVar

import argon2

from appliance.security.errors import AUTH_BUSY, PASSWORD_WEAK

T = TypeVar("T")
MIN_LENGTH: Final = 10
MAX_LENGTH: Final = 256
WAITING_LIMIT: Final = 256
"""A whole shift logging in at once fits; each waiting login holds only a few hundred bytes."""
_BUSY_RETRY_S: Final = 5.0
_MIN_DISTINCT: Final = 5
_COMMON_TEXT: Final = """
senha password passwd mudar mudarsenha trocar trocarsenha hospital prontuario medico medica doutor doutora enfermeiro
enfermeira enfermagem plantao saude brasil flamengo corinthians palmeiras saopaulo qwerty qwertyuiop asdfghjkl abc abcdef
abcdefghij admin administrador welcome bemvindo letmein iloveyou teamo jesus deus familia princesa futebol acesso sistema
usuario teste testing changeme secret segredo hunter dragon monkey
"""
_COMMON: Final = frozenset(_COMMON_TEXT.split())


class Hasher(Protocol):
    """What we use of ``argon2.PasswordHasher``; tests give a cheap one."""

    def hash(self, password: str | bytes, /) -> str: ...
    def verify(self, hash: str | bytes, password: str | bytes, /) -> bool: ...  # noqa: A002  argon2-cffi's name
    def check_needs_rehash(self, hash: str | bytes, /) -> bool: ...  # noqa: A002  argon2-cffi's name


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the password fits; ``new_hash`` is set when the stored one uses outdated parameters."""

    ok: bool
    new_hash: str | None = None


class Passwords:
    """Hashes and verifies on ``workers`` threads; at most ``waiting_limit`` callers wait."""

    def __init__(self, workers: int, *, hasher: Hasher | None = None, waiting_limit: int = WAITING_LIMIT) -> None:
        self._hasher: Hasher = hasher or argon2.PasswordHasher()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._limit = workers + waiting_limit
        self._pending = 0
        self._decoy: str | None = None

    @property
    def pending(self) -> int:
        """Callers being served or waiting."""
        return self._pending

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash of a password.

        Raises:
            ProntuarioError: ``auth.busy`` 429.
        """
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, stored: str | None, password: str) -> Verdict:
        """Compare; with no ``stored`` hash it takes as long and fails, so that nobody learns which users exist.

        Raises:
            ProntuarioError: ``auth.busy`` 429.
        """
        return await self._run(lambda: self._verify(stored, _normal(password)))

    def close(self) -> None:
        """End the threads; whoever waits is cancelled."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> Verdict:
        if stored is None and self._decoy is None:
            self._decoy = self._hasher.hash("no user has this password")
        try:
            self._hasher.verify(stored or self._decoy or "", password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return Verdict(False)
        if stored is None:
            return Verdict(False)
        outdated = self._hasher.check_needs_rehash(stored)
        return Verdict(True, self._hasher.hash(password) if outdated else None)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._limit:
            raise AUTH_BUSY(retry_after=_BUSY_RETRY_S, waiting=self._pending)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1


def check_strength(password: str, username: str) -> None:
    """Refuse what an attacker tries first (NIST SP 800-63B §3.1.1.2).

    Raises:
        ProntuarioError: ``password.weak`` 422 with the reason.
    """
    plain = _normal(password).casefold()
    letters = re.sub(r"[^a-z]", "", _without_accents(plain))
    reason = ""
    if len(_normal(password)) < MIN_LENGTH:
        reason = f"min {MIN_LENGTH}"
    elif len(password) > MAX_LENGTH:
        reason = f"max {MAX_LENGTH}"
    elif len(username) > 2 and username.casefold() in plain:  # noqa: PLR2004  a one-letter name is in everything
        reason = "username"
    elif len(set(plain)) < _MIN_DISTINCT or _is_run(plain):
        reason = "repetition"
    elif letters in _COMMON or (not letters and plain.isdigit()):
        reason = "common"
    if reason:
        raise PASSWORD_WEAK(field="password", reason=reason)


def _is_run(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1


def _without_accents(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def _normal(password: str) -> str:
    """Keyboards spell "é" in two ways; both must open the same door (NIST SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password)
