"""A new home from a copy and the pages of the key: what is left to do when the disks of every Mac are lost."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from appliance.config import Config, Paths, load_config
from appliance.daemon.pair.plan import CONFIG_MODE
from appliance.daemon.pair.shared_secrets import COMMON_FILES
from appliance.daemon.setup.errors import HOME_TAKEN, NO_COPY
from appliance.daemon.setup.home_steps import SEALED
from appliance.daemon.setup.journal import FOLDER
from appliance.operations.backup import restore
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.authority import Authority
from appliance.security.files import make_private_folder, write_file
from appliance.security.master_key import save_master_key
from appliance.security.protectors import protector_for, protector_kind
from appliance.security.recovery import Share, combine, from_words, unseal
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock

MARK: Final = "recovering"
_CLUSTER: Final = re.compile(r"^\[cluster\]\n(?:(?!\[).*\n?)*", re.MULTILINE)
_PHASE: Final = re.compile(r'^phase = "ha"\n', re.MULTILINE)


def read_share_lines(
    lines: Sequence[str] | None, ask: Callable[[str], str], say: Callable[[str], None], language: str
) -> list[Share]:
    """The pages: from ``lines``, or asked for until there are enough; a slip is told at once and asked for again.

    Raises:
        ProntuarioError: ``recovery.words`` for a line of a file.
    """
    if lines is not None:
        return [from_words(line) for line in lines if line.strip()]
    found: dict[int, Share] = {}
    while not found or len(found) < next(iter(found.values())).needed:
        prompt = (f"Folha {len(found) + 1} (25 palavras, ou o QR): ", f"Page {len(found) + 1} (25 words, or the QR): ")
        try:
            share = from_words(ask(prompt[language != "pt"]))
        except ProntuarioError as error:
            say(f"  ! {error.sentence(language)} {error.next_step(language)}")
            continue
        found[share.number] = share
    return list(found.values())


async def recover_home(
    home: Path, backup: Path, shares: Sequence[Share], say: Callable[[str], None], language: str
) -> str:
    """Make ``home`` from the copy; interrupted, it may be run again. What was done, as a sentence.

    Raises:
        ProntuarioError: ``recovery.*``, ``setup.home_taken``, ``setup.no_copy``, ``backup.*``; ``vault.locked`` when the
            record was written under another key.
        OSError: the copy can't be read, or the home can't be written.
    """
    paths, mark = Paths(home), home / FOLDER / MARK
    if not mark.exists() and (paths.config.exists() or paths.secrets.exists() or paths.database.exists()):
        raise HOME_TAKEN(home=str(home))
    sealed = _found(backup, SEALED)
    if sealed is None:
        raise NO_COPY(what=SEALED)
    spool = spool_in(backup)
    if spool is None:
        raise NO_COPY(what="data/spool, data/replica")
    master = combine(shares)
    files = unseal(master, sealed.read_bytes())
    write_file(mark, b"")
    config = _keep(paths, files, master)
    blobs = _found(backup, "blobs")
    if blobs is not None:
        say(("Copiando áudios e imagens…", "Copying sound and pictures…")[language != "pt"])
        await asyncio.to_thread(shutil.copytree, blobs, paths.blobs, dirs_exist_ok=True)
    rows = await _record(paths, config, spool, master)
    mark.unlink()
    said = (
        f"Recuperado: {rows} linhas. Os telefones chamam {_called(files)}: dê esse endereço a este Mac. Agora: prontuario setup",
        f"Recovered: {rows} rows. Phones call {_called(files)}: give this Mac that address. Now: prontuario setup",
    )
    return said[language != "pt"]


def alone(text: str) -> str:
    """A node's configuration without its pair: the other Mac and the votes are lost as well."""
    return _PHASE.sub("", _CLUSTER.sub("", text))


def spool_in(backup: Path) -> Path | None:
    """The newest epoch's files of the copy; never what was put aside because it had failed (``00000010.failed-…``)."""
    folders = (backup / "data" / "replica", backup / "replica")
    epochs = sorted((path for folder in folders for path in folder.glob("*") if path.name.isdecimal()), key=_epoch)
    return epochs[-1] if epochs else _found(backup, "spool")


def _epoch(path: Path) -> int:
    return int(path.name)


def _found(backup: Path, name: str) -> Path | None:
    return next((path for path in (backup / name, backup / "data" / name) if path.exists()), None)


def _keep(paths: Paths, files: Mapping[str, bytes], master: bytes) -> Config:
    for folder in (paths.secrets, paths.run, paths.logs, paths.models, paths.plugins, paths.database.parent):
        make_private_folder(folder)
    for name in COMMON_FILES:
        if name in files:
            write_file(paths.secrets / name, files[name])
    write_file(paths.config, alone(files[paths.config.name].decode()).encode(), CONFIG_MODE)
    config = load_config(paths.config)
    save_master_key(paths, protector_for(protector_kind(config), config, paths), master)
    Authority.open(paths, config, SystemClock().now())
    return config


async def _record(paths: Paths, config: Config, spool: Path, master: bytes) -> int:
    rows = -1
    if not paths.database.exists():
        rows = (await asyncio.to_thread(restore, spool, paths.database.parent)).total_rows
    vault = Vault(master, SystemClock())
    async with await Database.open(paths.database, config.store) as database:
        await database.write(vault.check)
    return rows


def _called(files: Mapping[str, bytes]) -> str:
    found = re.search(r'^client_address = "([^"]+)"', files["prontuario.toml"].decode(), re.MULTILINE)
    return found[1] if found else "o mesmo de antes / the same as before"
