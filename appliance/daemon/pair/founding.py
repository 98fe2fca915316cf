"""From one node to two: what ``cluster init`` does on the first, ``cluster join`` on the second, and the third voter's folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import msgspec

from appliance.config import Paths, load_config
from appliance.config.model import Admin, Api
from appliance.daemon.dashboard import prepare_dashboard_device
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.initialise import initialise, write_config
from appliance.daemon.lock import HomeLock, running_pid
from appliance.daemon.pair.etcd_child import Voter, VoterPlan, voter_at
from appliance.daemon.pair.plan import PairPlan, Place, append_sections, seen_from
from appliance.daemon.pair.shared_secrets import SharedSecrets, adopt, collect, refuse_other_record
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority, load_certificate
from appliance.security.certificates import names_in
from appliance.security.files import make_private_folder, write_file
from appliance.security.identity import Identity
from appliance.security.master_key import open_vault
from appliance.security.node_authority import node_files, prepare_node
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock

VOTER_FILE: Final = "voter.json"
VOTER_SCRIPT: Final = "etcd.sh"
EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared, not bound
LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_EXECUTABLE: Final = 0o750


class Gift(msgspec.Struct, frozen=True):
    """What the second node receives."""

    plan: PairPlan
    shared: SharedSecrets
    hospital: str
    profile: str


class VoterFile(msgspec.Struct, frozen=True):
    """``voter.json`` in the third voter's folder: everything but where the folder is."""

    voter: VoterPlan
    pair: PairPlan


async def found(home: Path, plan: PairPlan) -> Gift:
    """``become_first``, and what the second node gets."""
    await become_first(home, plan)
    return gift_of(home, plan)


async def become_first(home: Path, plan: PairPlan) -> None:
    """Make the prepared home ``home`` the first node of ``plan``; it must not run. Its record is the pair's.

    Opens the master key once.

    Raises:
        CommandFailedError: the node runs, or its configuration has a ``[cluster]`` section already.
        ProntuarioError: a secret is missing or broken.
    """
    paths = _stopped(home)
    _write_sections(paths, plan, plan.first)
    config = load_config(paths.config)
    clock = SystemClock()
    with HomeLock(paths.run):
        prepare_node(paths.secrets, plan.names_of(plan.first.name), clock.now())
        authority = Authority.open(paths, config, clock.now())
        vault = open_vault(paths, config, clock)
        HeadSigner.open(paths, vault)
        async with await Database.open(paths.database, config.store) as database:
            await database.write(vault.check)
            identity = Identity(database, vault, authority, clock, config.security)
            try:
                await prepare_dashboard_device(identity, database, paths, clock.now())
            finally:
                identity.close()


def gift_of(home: Path, plan: PairPlan) -> Gift:
    """What the first node of ``plan`` has for the second. Raises ``cluster.incomplete``."""
    paths = Paths(home)
    config = load_config(paths.config)
    return Gift(plan, collect(paths, config), config.node.hospital, config.node.profile)


def standing_plan(home: Path) -> PairPlan:
    """The pair that the home ``home`` is a node of, this node first. Raises ``CommandFailedError``."""
    paths = Paths(home)
    certificate = load_certificate(node_files(paths.secrets).certificate)
    return seen_from(load_config(paths.config), names_in(certificate) if certificate is not None else ())


def join(home: Path, gift: Gift) -> None:
    """Make the new or half-joined home ``home`` the second node. Safe to repeat.

    Raises:
        CommandFailedError: a node runs there.
        ProntuarioError: ``cluster.has_record`` when it has a record of its own.
    """
    paths = _stopped(home)
    refuse_other_record(paths, gift.shared)
    own = gift.plan.second
    make_private_folder(paths.home)
    for folder in (paths.run, paths.logs, paths.models, paths.plugins, paths.database.parent):
        make_private_folder(folder)
    if not paths.config.exists():
        write_config(paths.config, name=own.name, hospital=gift.hospital, profile=gift.profile)
    if load_config(paths.config).cluster.mode != "paired":
        _write_sections(paths, gift.plan, own)
    config, now = load_config(paths.config), SystemClock().now()
    with HomeLock(paths.run):
        adopt(paths, config, gift.shared)
        prepare_node(paths.secrets, gift.plan.names_of(own.name), now)
        Authority.open(paths, config, now)


def write_voter(home: Path, plan: PairPlan, folder: Path) -> None:
    """The third voter's folder, to be carried to its host: no key of the hospital's is in it but the voter's own.

    Raises:
        ProntuarioError: ``authority.broken``.
    """
    if plan.witness is None:
        return
    paths, config = Paths(home), load_config(Paths(home).config)
    made = prepare_node(
        paths.secrets, plan.names_of(plan.witness.name), SystemClock().now(), file_name=f"voter-{plan.witness.name}"
    )
    make_private_folder(folder)
    target = node_files(folder)
    for source, copy in ((made.key, target.key), (made.certificate, target.certificate), (made.ca, target.ca)):
        write_file(copy, source.read_bytes())
    place, cluster = plan.witness, config.cluster
    told = VoterPlan(
        name=place.name,
        host=place.host,
        client_port=place.etcd_client_port,
        peer_port=place.etcd_peer_port,
        initial_cluster=plan.voter_urls,
        heartbeat_ms=cluster.etcd_heartbeat_ms,
        election_ms=cluster.etcd_election_ms,
    )
    voter = VoterFile(told, plan)
    write_file(folder / VOTER_FILE, msgspec.json.encode(voter) + b"\n")
    write_file(folder / VOTER_SCRIPT, _script(folder).encode(), _EXECUTABLE)


def read_plan(folder: Path) -> PairPlan | None:
    """The plan in a third voter's folder; None when it is none (yet)."""
    return _read_voter(folder).pair if (folder / VOTER_FILE).exists() else None


def third_voter(folder: Path) -> Voter:
    """The voter whose folder ``write_voter`` made.

    Raises:
        CommandFailedError: it is no such folder.
    """
    return voter_at(folder / "etcd", _read_voter(folder).voter, node_files(folder))


def _read_voter(folder: Path) -> VoterFile:
    try:
        return msgspec.json.decode((folder / VOTER_FILE).read_bytes(), type=VoterFile)
    except (OSError, msgspec.DecodeError) as error:
        raise CommandFailedError(f"{folder} is no third voter's folder (see prontuario cluster init).") from error


async def found_for_development(home: Path, plan: PairPlan) -> None:
    """Both homes of a pair on one machine, ``home/<name>``, and the third voter's; what exists stays as it is."""
    first, second = home / plan.first.name, home / plan.second.name
    if not Paths(first).config.exists():
        await initialise(first, name=plan.first.name, hospital="Hospital", profile="development", admin_user="admin")
    if load_config(Paths(first).config).cluster.mode != "paired":
        await found(first, plan)
    if not node_files(Paths(second).secrets).certificate.exists():
        join(second, gift_of(first, plan))
    if plan.witness is not None and not (home / plan.witness.name / VOTER_FILE).exists():
        write_voter(first, plan, home / plan.witness.name)


def _stopped(home: Path) -> Paths:
    paths = Paths(home)
    if holder := running_pid(paths.run):
        raise CommandFailedError(f"The node on {home} runs (core pid {holder}); stop it first.", Exit.ALREADY_RUNNING)
    return paths


def _write_sections(paths: Paths, plan: PairPlan, own: Place) -> None:
    config = load_config(paths.config)
    sections: dict[str, msgspec.Struct] = {"cluster": plan.cluster_of(own.name)}
    host = plan.api_host_of(own.name)
    if config.api == Api() and (host, own.api_port) != (Api().host, Api().port):
        # Who listens everywhere would otherwise not carry its own address in its certificate.
        names = (*Api().names, own.host) if host in EVERYWHERE else Api().names
        sections["api"] = Api(host=host, port=own.api_port, names=names)
    if config.admin == Admin() != Admin(host=own.admin_host, port=own.admin_port):
        sections["admin"] = Admin(host=own.admin_host, port=own.admin_port)
    # Before anything is written: a half-founded node would not be founded again.
    _refuse_deaf(host if "api" in sections else config.api.host, own, plan)
    append_sections(paths.config, **sections)


def _refuse_deaf(host: str, own: Place, plan: PairPlan) -> None:
    """A node that nobody else reaches can't take over, nor can one that does not listen on the virtual IP."""
    wanted = plan.api_host_of(own.name)
    deaf = host in LOCAL and own.host not in LOCAL
    if deaf or (wanted in EVERYWHERE and host not in EVERYWHERE):
        where = " and ".join(dict.fromkeys((own.host, *plan.vip_addresses)))
        raise CommandFailedError(
            f'[api] host is "{host}": clients can\'t reach this node at {where}. Set host = "{wanted}".', Exit.CONFIG
        )


def _script(folder: Path) -> str:
    """The same without Prontuário: any host with etcd can be the third voter. What it is given goes to etcd, last."""
    here = str(folder)
    argv = ["etcd", *third_voter(folder).member.command()[1:]]
    words = [shlex.quote(word).replace(here, '"$here"') for word in argv]
    return "\n".join(["#!/bin/sh", 'here="$(cd "$(dirname "$0")" && pwd)"', f'exec {" ".join(words)} "$@"', ""])
