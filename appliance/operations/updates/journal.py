"""An update's folder on this machine: the state file, the staged bundle, trusted keys. Root's; others may read it."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.operations.packs.signing import key_id, pem_of, read_public_key, trusted_keys
from appliance.operations.updates.errors import BUSY, NOT_INSTALLED, STATE, UNSAFE
from appliance.operations.updates.state import State, Step
from appliance.security.files import remove_half_written, write_file

WORK_LIMIT_S: Final = 3600.0
_LOOK_S: Final = 0.2
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Past(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``newest``: the highest version that an update brought to its end here; ``runs``: what became of each, oldest first."""

    newest: str = ""
    runs: tuple[State, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """``prefix``: where the package put the program (``/Library/Prontuario``)."""

    prefix: Path

    @property
    def folder(self) -> Path:
        """Everything of updates."""
        return self.prefix / "updates"

    @property
    def staged(self) -> Path:
        """The copy of the bundle, in a folder named after its manifest."""
        return self.folder / "staged"

    @property
    def keys(self) -> Path:
        """Public keys (``*.pem``) of those whose updates this machine takes; root's, not the node's own user's."""
        return self.folder / "trust"

    @property
    def state_file(self) -> Path:
        """The update under way, or the last one."""
        return self.folder / "state.json"

    @property
    def past_file(self) -> Path:
        """All that ended before."""
        return self.folder / "past.json"

    def running(self) -> str:
        """The version that ``current`` names. Raises ``update.not_installed`` (409)."""
        try:
            return (self.prefix / "current").readlink().name
        except OSError as error:
            raise NOT_INSTALLED() from error

    def switching(self) -> bool:
        """Whether an activation was interrupted (``packaging/install/shipped/activate.sh``)."""
        return (self.prefix / "switching").exists()

    def program(self, version: str) -> Path:
        """The command ``prontuario`` of an installed version."""
        return self.prefix / "versions" / version / "bin" / "prontuario"

    def script(self, version: str, name: str) -> Path:
        """A shipped script of an installed version."""
        return self.prefix / "versions" / version / "scripts" / name

    # -- keys -------------------------------------------------------------------------------------------------------------
    def trusted(self) -> list[Ed25519PublicKey]:
        """The makers' keys. Raises ``pack.key`` (422); ``update.unsafe`` (403): others than root may change them."""
        for path in (self.prefix, self.folder, self.keys):
            if path.exists():
                _refuse_unsafe(path)
        return trusted_keys(self.keys)

    def trust(self, file: Path) -> str:
        """From now on updates signed by this public key are taken; its ``key_id``. Raises ``pack.key`` (422)."""
        key = read_public_key(file)
        self._make(self.keys)
        _write(self.keys / f"{key_id(key)}.pem", pem_of(key))
        return key_id(key)

    # -- state ------------------------------------------------------------------------------------------------------------
    def load(self) -> State | None:
        """The update under way, or the last one. Raises ``update.state`` (500)."""
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise STATE(file=self.state_file) from error

    def save(self, state: State) -> None:
        """All or nothing; after return it survives power loss. Raises ``OSError``."""
        self._make(self.folder)
        _write(self.state_file, msgspec.json.encode(state))

    def past(self) -> Past:
        """What was. Raises ``update.state`` (500)."""
        try:
            return msgspec.json.decode(self.past_file.read_bytes(), type=Past)
        except FileNotFoundError:
            return Past()
        except (OSError, msgspec.MsgspecError) as error:
            raise STATE(file=self.past_file) from error

    def remember(self, state: State) -> None:
        """Put an update that has ended with the past ones; done twice, it is there once. Raises ``OSError``."""
        past = self.past()
        runs = (*(one for one in past.runs if one.run != state.run), state)
        newest = state.version if state.step is Step.DONE else past.newest
        _write(self.past_file, msgspec.json.encode(Past(newest, runs)))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time; a dead one's hold ends with it. Raises ``update.busy`` (409)."""
        self._make(self.folder)
        with (self.folder / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BUSY() from error
            remove_half_written(self.folder)
            yield

    @contextmanager
    def work(self, limit_s: float = WORK_LIMIT_S) -> Iterator[int]:
        """A descriptor for a program that changes the machine to inherit: while one that has it lives, no other one begins.

        A command that was killed leaves the installer that it had started behind, and that goes on: a second one at the
        same time would lay its files over the first one's and find its activation locked. So whoever comes next waits.

        Raises:
            ProntuarioError: ``update.busy`` (409): it is still at work after ``limit_s`` seconds.
        """
        self._make(self.folder)
        give_up = time.monotonic() + limit_s
        with (self.folder / ".work").open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= give_up:
                        raise BUSY() from error
                time.sleep(_LOOK_S)
            yield file.fileno()

    def settle(self) -> None:
        """Return once nothing is under way any more that an earlier command had begun. Raises as ``work``."""
        with self.work():
            return

    def _make(self, folder: Path) -> None:
        for each in (self.folder, folder):
            each.mkdir(exist_ok=True, mode=_FOLDER_MODE)
            each.chmod(_FOLDER_MODE)


def _write(path: Path, content: bytes) -> None:
    """Durably, and readable by the node's own user whatever the umask of root's shell."""
    write_file(path, content, _FILE_MODE)
    path.chmod(_FILE_MODE)


def _refuse_unsafe(path: Path) -> None:
    """Whoever may write here could bring a key, and with it a program that root installs."""
    known = path.lstat()
    if path.is_symlink() or known.st_mode & _OTHERS_MAY_WRITE or known.st_uid not in {0, os.geteuid()}:
        raise UNSAFE(path=path)
