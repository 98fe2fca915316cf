"""Steps that make the home: this Mac's settings, configuration and keys, what is printed, and whose files they are."""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import Final

from appliance.config import Config, Paths
from appliance.config.model import Api, Node
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.initialise import FIRST_ADMIN, initialise
from appliance.daemon.lock import running_pid
from appliance.daemon.pair.plan import CONFIG_MODE, append_sections, render
from appliance.daemon.pair.shared_secrets import COMMON_FILES
from appliance.daemon.setup.answers import Answers
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.errors import CHANGED, FOREIGN_FILE, RUNNING
from appliance.daemon.setup.share_pages import share_page
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.audit_heads import HeadSigner
from appliance.security.errors import VAULT_LOCKED
from appliance.security.files import exclusive, make_private_folder, remove_half_written, write_file
from appliance.security.master_key import read_wrapped, unwrap
from appliance.security.protectors import protector_for
from appliance.security.recovery import seal, split
from appliance.security.vault import Vault

SEALED: Final = "recovery.sealed"
SHARE: Final = "folha-{number}-de-{holders}.pdf"
_HEAD: Final = "# Prontuário's configuration, begun by prontuario setup. docs/settings.md lists every key.\n\n"


async def settle_mac(ctx: Context) -> None:
    """The role account, folders, no sleep, no Time Machine, and the one command that core may ask root for."""
    root = ctx.machine.root
    home = f"/{ctx.home.relative_to(root)}" if ctx.home.is_relative_to(root) else str(ctx.home)
    elsewhere = str(root).rstrip("/")
    for name, *words in (
        ("role_account.sh",), ("node_folders.sh", home, elsewhere), ("power_settings.sh",),
        ("time_machine.sh", str(ctx.home)), ("shutdown_right.sh", elsewhere),
    ):  # fmt: skip
        ctx.machine.script(name, *words)


async def make_home(ctx: Context) -> None:
    """Configuration, authority, master key, database, first administrator; what exists stays as it is.

    Raises:
        ProntuarioError: ``setup.running``, ``setup.changed``, ``authority.broken``, ``vault.locked``.
    """
    paths, answers = ctx.paths, ctx.answers
    refuse_running(ctx)
    make_private_folder(ctx.home)
    remove_half_written(ctx.home)
    if paths.config.exists():
        _refuse_change(ctx.config(), answers)
    else:
        text = _HEAD + render("node", _node(answers, mac=ctx.machine.is_mac))
        write_file(paths.config, text.encode(), CONFIG_MODE)
    if answers.phase == "single" and ctx.config().api == Api():
        append_sections(paths.config, api=_api(answers))
    node = ctx.config().node
    with ctx.key():
        try:
            await initialise(
                ctx.home, name=node.name, hospital=node.hospital, profile=node.profile, admin_user=answers.admin
            )
        except CommandFailedError as error:
            if isinstance(error.__cause__, ProntuarioError):
                raise error.__cause__ from None
            raise
    if not (paths.secrets / FIRST_ADMIN).exists():
        return  # recovered, or somebody read it and erased it
    ctx.tell(
        f"Senha do administrador {answers.admin}: {paths.secrets / FIRST_ADMIN} (leia, troque no painel, apague).",
        f"The administrator {answers.admin}'s password: {paths.secrets / FIRST_ADMIN} (read it, change it, erase it).",
    )


async def print_key(ctx: Context) -> None:
    """A page for each holder, and what else can't be made anew, sealed. Run again it prints the same pages.

    Raises:
        ProntuarioError: ``vault.locked``.
        OSError: the papers' folder can't be written.
    """
    paths, answers, config = ctx.paths, ctx.answers, ctx.config()
    with ctx.key():
        kept = read_wrapped(paths)
        if kept is None:
            raise VAULT_LOCKED(reason="there is no master key yet")
        master = unwrap(kept, protector_for(kept.protector, config, paths))
    with exclusive(paths.secrets):
        remove_half_written(paths.secrets)
        HeadSigner.open(paths, Vault(master))
    sealed = seal(master, sealed_files(paths))
    write_file(paths.home / SEALED, sealed)
    folder = papers_folder(ctx)
    give(ctx, folder / SEALED, sealed)
    for share, holder in zip(split(master, answers.needed, len(answers.holders)), answers.holders, strict=True):
        name = SHARE.format(number=share.number, holders=share.holders)
        give(ctx, folder / name, share_page(share, config.node.hospital, holder))
    ctx.tell(
        f"Imprima as {len(answers.holders)} folhas de {folder}, entregue cada uma a quem a guarda e apague os arquivos: "
        f"quaisquer {answers.needed} abrem o prontuário inteiro. Guarde {SEALED} junto das cópias (sem as folhas não vale nada).",
        f"Print the {len(answers.holders)} pages in {folder}, hand each to its holder, and erase the files: "
        f"any {answers.needed} of them open the whole record. Keep {SEALED} with the backups (without pages it is worth nothing).",
    )


def sealed_files(paths: Paths) -> dict[str, bytes]:
    """What a new Mac needs besides the master key to be the same node for phones."""
    secrets = {name: paths.secrets / name for name in COMMON_FILES}
    found = {name: path.read_bytes() for name, path in secrets.items() if path.exists()}
    return found | {paths.config.name: paths.config.read_bytes()}


def papers_folder(ctx: Context) -> Path:
    """The folder for what is printed: whoever typed sudo may read it, nobody else."""
    make_private_folder(ctx.papers)
    remove_half_written(ctx.papers)  # half a page of the key is none that anybody would look for and erase
    if invoker := ctx.machine.invoker():
        os.chown(ctx.papers, *invoker)
    return ctx.papers


def give(ctx: Context, path: Path, content: bytes) -> None:
    """Write one paper; it belongs to whoever prints it."""
    write_file(path, content)
    if invoker := ctx.machine.invoker():
        os.chown(path, *invoker, follow_symlinks=False)


async def hand_over_files(ctx: Context) -> None:
    """Everything in the home belongs to the node's account. The node does not run: nobody moves files meanwhile.

    Raises:
        ProntuarioError: ``setup.running``; ``setup.foreign_file`` for a file with a second name elsewhere.
    """
    refuse_running(ctx)
    account = ctx.machine.account()
    if account is None:
        return
    for folder, folders, files in os.walk(ctx.home):
        for path in (Path(folder), *(Path(folder) / name for name in (*folders, *files))):
            _chown(path, account)


def _chown(path: Path, account: tuple[int, int]) -> None:
    """By its descriptor, and never a file that has another name: else the account could have /etc's given to it."""
    if not stat.S_ISDIR(mode := path.lstat().st_mode) and not stat.S_ISREG(mode):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        now = os.fstat(descriptor)
        if stat.S_ISREG(now.st_mode) and now.st_nlink > 1:
            raise FOREIGN_FILE(path=str(path))
        if (now.st_uid, now.st_gid) != account:
            os.fchown(descriptor, *account)
    finally:
        os.close(descriptor)


def refuse_running(ctx: Context) -> None:
    """Raises ``setup.running`` while a node serves this home."""
    if running_pid(ctx.paths.run):
        stop = "sudo prontuario launchd unload" if ctx.machine.is_mac else "Ctrl-C, prontuario up"
        raise RUNNING(home=str(ctx.home), stop=stop)


def _node(answers: Answers, *, mac: bool) -> Node:
    return Node(
        name=answers.name,
        phase="ha" if answers.phase == "pair" else "pilot",
        hospital=answers.hospital,
        profile=answers.profile or ("production" if mac else "development"),
    )


def _api(answers: Answers) -> Api:
    """On every interface, so that the machine itself reaches it too; the certificate names what phones call."""
    six = ipaddress.ip_address(answers.address).version == 6  # noqa: PLR2004  IPv6
    return Api(host="::" if six else "0.0.0.0", names=tuple(dict.fromkeys((*Api().names, answers.address))))  # noqa: S104


def _refuse_change(config: Config, answers: Answers) -> None:
    for key, kept, given in (
        ("hospital", config.node.hospital, answers.hospital),
        ("name", config.node.name, answers.name),
    ):
        if kept != given:
            raise CHANGED(key=key, kept=kept, given=given)
