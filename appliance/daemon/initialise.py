"""Preparing a home: folders, configuration, authority, keys, database, first administrator. Safe to repeat."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from appliance.config import Config, Paths, load_config
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.lock import HomeLock, running_pid
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.security import users
from appliance.security.authority import Authority
from appliance.security.files import make_private_folder, write_file
from appliance.security.master_key import open_vault
from appliance.security.passwords import Passwords
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock, instant

FIRST_ADMIN = "first-admin.txt"
_PASSWORD_BYTES = 12
_TEMPLATE = """\
# Prontuário's configuration. Every key is optional; docs/settings.md lists them with their defaults.

[node]
name = {name}
hospital = {hospital}
profile = {profile}
"""


@dataclass
class Initialised:
    """What was done, in sentences for the person."""

    sentences: list[str] = field(default_factory=list)


async def initialise(home: Path, *, name: str, hospital: str, profile: str, admin_user: str) -> Initialised:
    """Prepare ``home`` (an absolute path); what exists stays as it is.

    Raises:
        CommandFailedError: a node runs on it, or a part can't be made (the sentence says why and what to do).
    """
    paths, done = Paths(home), Initialised()
    if holder := running_pid(paths.run):
        raise CommandFailedError(
            f"A node (core pid {holder}) is running on {home}; stop it first.", Exit.ALREADY_RUNNING
        )
    make_private_folder(paths.home)
    for folder in (paths.run, paths.logs, paths.models, paths.plugins, paths.database.parent):
        make_private_folder(folder)
    if not paths.config.exists():
        write_config(paths.config, name=name, hospital=hospital, profile=profile)
        done.sentences.append(f"Wrote {paths.config}.")
    config = load_config(paths.config)
    with HomeLock(paths.run):
        try:
            await _make_keys_and_record(paths, config, admin_user, done)
        except ProntuarioError as error:
            raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
    return done


def write_config(path: Path, *, name: str, hospital: str, profile: str) -> None:
    """A new ``prontuario.toml`` that says whose it is."""
    text = _TEMPLATE.format(name=_quoted(name), hospital=_quoted(hospital), profile=_quoted(profile))
    write_file(path, text.encode(), 0o640)


async def initialise_for_development(home: Path) -> None:
    """What ``up`` does with a home that does not exist yet."""
    if not Paths(home).config.exists():
        await initialise(home, name="prontuario", hospital="Hospital", profile="development", admin_user="admin")


async def _make_keys_and_record(paths: Paths, config: Config, admin_user: str, done: Initialised) -> None:
    clock = SystemClock()
    Authority.open(paths, config, clock.now())
    vault = open_vault(paths, config, clock)
    done.sentences.append(f"Clients trust {paths.ca}.")
    async with await Database.open(paths.database, config.store) as database:
        if not await database.read(lambda q: users.list_users(q, limit=1)):
            await _make_first_admin(paths, config, vault, database, admin_user)
            done.sentences.append(f"The first administrator's name and password are in {paths.secrets / FIRST_ADMIN}.")


async def _make_first_admin(paths: Paths, config: Config, vault: Vault, database: Database, name: str) -> None:
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    # The file first: a crash between the two leaves a file without a user, never a user whom nobody knows.
    write_file(paths.secrets / FIRST_ADMIN, f"{name} {password}\n".encode())
    passwords = Passwords(config.security.concurrent_logins)
    try:
        hashed = await passwords.hash(password)
    finally:
        passwords.close()

    def change(tx: Transaction) -> None:
        now = instant(SystemClock().now())
        users.create_user(
            tx, vault, username=name, role="admin", display_name="Administração", now=now, password_hash=hashed
        )

    await database.write(change)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
