"""Who protects the master key: the keychain, a passphrase, or (development only) a file.

A protector gives a 32-byte key-encryption key; ``master_key`` wraps the master key with it. Its parameters (a salt, a
keychain's path) are public and lie beside the wrapped key.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import argon2

from appliance.config.model import Config, Paths
from appliance.security import files
from appliance.security.errors import VAULT_LOCKED

KEY_BYTES: Final = 32
PASSPHRASE_VARIABLE: Final = "PRONTUARIO_PASSPHRASE"  # noqa: S105  the name of a variable
PASSPHRASE_FD_VARIABLE: Final = "PRONTUARIO_PASSPHRASE_FD"  # noqa: S105  the name of a variable
SYSTEM_KEYCHAIN: Final = "/Library/Keychains/System.keychain"
_KEYCHAIN_TIMEOUT_S: Final = 30.0
MIN_PASSPHRASE: Final = 12
_ACCOUNT: Final = "prontuario"
_HEX_KEY: Final = re.compile(r"[0-9a-f]{64}")


class Protector(Protocol):
    """Keeps a key-encryption key outside of our own files, or derives it."""

    @property
    def name(self) -> str: ...

    def make(self) -> tuple[bytes, dict[str, str]]:
        """A new key (32 bytes) and the public parameters to find it again.

        Raises:
            ProntuarioError: ``vault.locked`` when it can't be kept.
        """
        ...

    def key(self, parameters: Mapping[str, str]) -> bytes:
        """The key again.

        Raises:
            ProntuarioError: ``vault.locked`` with the reason.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileProtector:
    """A key file beside the secrets: keeps nobody out who can read the disk. For development only."""

    path: Path
    name: str = "file"

    def make(self) -> tuple[bytes, dict[str, str]]:
        """See ``Protector.make``."""
        key = secrets.token_bytes(KEY_BYTES)
        files.write_file(self.path, key.hex().encode())
        return key, {}

    def key(self, parameters: Mapping[str, str]) -> bytes:  # noqa: ARG002  the Protocol's signature
        """See ``Protector.key``."""
        try:
            text = self.path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise VAULT_LOCKED(reason=f"{self.path.name} is unreadable") from error
        if not _HEX_KEY.fullmatch(text):
            raise VAULT_LOCKED(reason=f"{self.path.name} is damaged")
        return bytes.fromhex(text)


@dataclass(frozen=True, slots=True)
class KeychainProtector:
    """macOS: a generic password in the System keychain, through the ``security`` program."""

    service: str
    keychain: str = SYSTEM_KEYCHAIN
    program: str = "/usr/bin/security"
    name: str = "keychain"

    def make(self) -> tuple[bytes, dict[str, str]]:
        """See ``Protector.make``. The key goes in by standard input: arguments are visible to every process."""
        key = secrets.token_bytes(KEY_BYTES)
        command = f'add-generic-password -U -a {_ACCOUNT} -s "{self.service}" -w {key.hex()} "{self.keychain}"\n'
        self._run(["-i"], command)
        parameters = {"service": self.service, "keychain": self.keychain}
        if self.key(parameters) != key:
            raise VAULT_LOCKED(reason="the keychain did not keep the key")
        return key, parameters

    def key(self, parameters: Mapping[str, str]) -> bytes:
        """See ``Protector.key``."""
        service, keychain = parameters.get("service", self.service), parameters.get("keychain", self.keychain)
        text = self._run(["find-generic-password", "-a", _ACCOUNT, "-s", service, "-w", keychain], "").strip()
        if not _HEX_KEY.fullmatch(text):
            raise VAULT_LOCKED(reason="the keychain's entry is damaged")
        return bytes.fromhex(text)

    def _run(self, arguments: list[str], command: str) -> str:
        try:
            done = subprocess.run(
                [self.program, *arguments],
                input=command,
                capture_output=True,
                text=True,
                timeout=_KEYCHAIN_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise VAULT_LOCKED(reason="the keychain does not answer") from error
        if done.returncode != 0:
            raise VAULT_LOCKED(reason=f"the keychain refused ({done.returncode})")
        return done.stdout


@dataclass(frozen=True, slots=True)
class Cost:
    """argon2id's cost; memory in KiB. The default takes about a second, once at start (RFC 9106 §4 asks for less)."""

    time: int = 4
    memory_kib: int = 262_144
    lanes: int = 4


@dataclass(frozen=True, slots=True)
class PassphraseProtector:
    """A passphrase that somebody gives at start; argon2id makes it a key."""

    ask: Callable[[], str]
    cost: Cost = Cost()
    ask_new: Callable[[], str] | None = None
    """How a new passphrase is asked for; ``ask``, if None."""
    name: str = "passphrase"

    def make(self) -> tuple[bytes, dict[str, str]]:
        """See ``Protector.make``."""
        cost = self.cost
        parameters = {
            "salt": secrets.token_hex(16), "time": str(cost.time), "memory_kib": str(cost.memory_kib),
            "lanes": str(cost.lanes),
        }  # fmt: skip
        passphrase = (self.ask_new or self.ask)()
        if len(passphrase) < MIN_PASSPHRASE:
            raise VAULT_LOCKED(reason=f"the passphrase needs at least {MIN_PASSPHRASE} characters")
        return self._derive(passphrase, parameters), parameters

    def key(self, parameters: Mapping[str, str]) -> bytes:
        """See ``Protector.key``. A wrong passphrase gives a wrong key, which then fails to unwrap."""
        return self._derive(self.ask(), parameters)

    @staticmethod
    def _derive(passphrase: str, parameters: Mapping[str, str]) -> bytes:
        try:
            return argon2.low_level.hash_secret_raw(
                passphrase.encode(), bytes.fromhex(parameters["salt"]), time_cost=int(parameters["time"]),
                memory_cost=int(parameters["memory_kib"]), parallelism=int(parameters["lanes"]), hash_len=KEY_BYTES,
                type=argon2.low_level.Type.ID,
            )  # fmt: skip
        except (KeyError, ValueError, argon2.exceptions.HashingError) as error:
            raise VAULT_LOCKED(reason="the passphrase's parameters are damaged") from error


def ask_passphrase() -> str:
    """From the environment (removed there, so that no child inherits it), a file descriptor, or a person at a terminal.

    Raises:
        ProntuarioError: ``vault.locked`` when nobody can be asked.
    """
    given = _given_passphrase()
    return _typed_passphrase("Frase secreta / passphrase: ") if given is None else given


def ask_new_passphrase() -> str:
    """As ``ask_passphrase``; a person types it twice, for a slip would lock the node out of its own record.

    Raises:
        ProntuarioError: ``vault.locked`` when nobody can be asked, or the two differ.
    """
    given = _given_passphrase()
    if given is not None:
        return given
    first = _typed_passphrase("Nova frase secreta / new passphrase: ")
    if _typed_passphrase("De novo / again: ") != first:
        raise VAULT_LOCKED(reason="the two passphrases differ")
    return first


def _given_passphrase() -> str | None:
    given = os.environ.pop(PASSPHRASE_VARIABLE, None)
    if given is not None:
        return given
    descriptor = os.environ.pop(PASSPHRASE_FD_VARIABLE, None)
    if descriptor is not None:
        try:
            with os.fdopen(int(descriptor), encoding="utf-8") as file:
                return file.readline().rstrip("\n")
        except (OSError, ValueError) as error:
            raise VAULT_LOCKED(reason=f"{PASSPHRASE_FD_VARIABLE} can't be read") from error
    return None


def _typed_passphrase(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise VAULT_LOCKED(reason=f"set {PASSPHRASE_VARIABLE} or {PASSPHRASE_FD_VARIABLE}, or start from a terminal")
    return getpass.getpass(prompt)


def protector_kind(config: Config, platform: str = sys.platform) -> str:
    """What ``security.master_key`` means on this machine: ``auto`` is the keychain on a Mac, a file in development.

    Raises:
        ProntuarioError: ``vault.locked`` when a production node asks for the development file.
    """
    wanted, production = config.security.master_key, config.node.profile == "production"
    if wanted == "auto":
        if platform == "darwin":
            return "keychain"
        return "passphrase" if production else "file"
    if wanted == "file" and production:
        raise VAULT_LOCKED(reason="security.master_key = 'file' is for development; use keychain or passphrase")
    return wanted


def protector_for(kind: str, config: Config, paths: Paths) -> Protector:
    """The protector of a kind."""
    if kind == "keychain":
        return KeychainProtector(service=f"br.prontuario.master.{config.node.name}")
    if kind == "passphrase":
        return PassphraseProtector(ask_passphrase, ask_new=ask_new_passphrase)
    return FileProtector(paths.secrets / "development.key")
