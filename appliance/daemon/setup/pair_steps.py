"""Steps that make two Macs one service: founding and inviting on the first, joining on the second."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from appliance.config import load_config
from appliance.daemon.pair.founding import become_first, gift_of, standing_plan, write_voter
from appliance.daemon.pair.founding_commands import Wishes, accept_invitation
from appliance.daemon.pair.invitation import Code, Invitation
from appliance.daemon.pair.plan import PairPlan
from appliance.daemon.pair.shared_secrets import COMMON_FILES
from appliance.daemon.setup.asking import YES
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.errors import DOOR_TAKEN, FIRST_SILENT, NOT_JOINED
from appliance.daemon.setup.home_steps import papers_folder, refuse_running
from appliance.security.master_key import FILE_NAME as MASTER_KEY
from appliance.security.node_authority import node_files

VOTER_FOLDER: Final = "terceiro-votante"
PF_FILE: Final = "etc/prontuario/pf.conf"


def plan_of(ctx: Context) -> PairPlan:
    """The pair that was answered."""
    answers = ctx.answers
    wishes = Wishes(
        address=answers.address, peer_address=answers.peer_address, witness_address=answers.witness_address or None,
        vip=(answers.vip,) if answers.vip else (), vip_interface=answers.interface, client_address="",
        join_port=ctx.join_port, witness_folder=None, link_address=answers.link_address,
        peer_link_address=answers.peer_link_address,
    )  # fmt: skip
    return wishes.plan(ctx.config().api.port)


async def found_pair(ctx: Context) -> None:
    """This node becomes the pair's first; the third voter's folder is made.

    Raises:
        ProntuarioError, CommandFailedError: see ``founding.become_first``.
    """
    plan = plan_of(ctx)
    if ctx.config().cluster.mode != "paired":
        refuse_running(ctx)
        with ctx.key():
            await become_first(ctx.home, plan)
    if plan.witness is None:
        ctx.tell(
            "Sem terceiro votante: se um Mac morre, um operador decide quem atende.",
            "Without a third voter: if a Mac dies, an operator decides who serves.",
        )
        return
    folder = papers_folder(ctx) / VOTER_FOLDER
    write_voter(ctx.home, plan, folder)
    if invoker := ctx.machine.invoker():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *invoker, follow_symlinks=False)
    ctx.tell(
        f"Terceiro votante: copie {folder} para {plan.witness.host} e execute lá ./etcd.sh, como serviço.",
        f"Third voter: copy {folder} to {plan.witness.host} and run ./etcd.sh there, as a service.",
    )


async def invite_second(ctx: Context) -> None:
    """Show a code and wait for the second Mac. On a pair that serves already, it goes on serving.

    Either Mac can do it: the new one takes the place of the one that is gone.

    Raises:
        ProntuarioError: ``cluster.code`` after three wrong ones; ``setup.port`` when that can't be listened on.
    """
    if ctx.resumed and "pair" not in ctx.again and ctx.ask is not None:
        question = ("O segundo Mac já disse que entrou? (s/n)", "Has the second Mac said that it joined? (y/n)")
        if ctx.ask(question[ctx.language != "pt"], "n").lower() in YES:
            return
    files = node_files(ctx.paths.secrets)
    code = Code.make(files.ca)
    plan = standing_plan(ctx.home)
    with ctx.key():
        gift = gift_of(ctx.home, plan)
    where = f"{plan.first.host}:{ctx.join_port}"
    ctx.tell(
        f"No segundo Mac, com o pacote instalado:  sudo prontuario setup --part second --first {where} --code {code}\n"
        "O código vale uma vez, enquanto esta janela espera. Ctrl-C para continuar depois.",
        f"On the second Mac, with the package installed:  sudo prontuario setup --part second --first {where} --code {code}\n"
        "The code is good once, while this window waits. Ctrl-C to go on later.",
    )
    async with _open_door(ctx):
        try:
            await Invitation(code, gift, files).serve(plan.first.host, ctx.join_port)
        except OSError as error:
            raise DOOR_TAKEN(where=where, reason=error.strerror or type(error).__name__) from error
    ctx.tell("O segundo Mac entrou no par.", "The second Mac has joined.")


async def join_first(ctx: Context) -> None:
    """Configuration, certificates and keys come from the first Mac.

    Raises:
        ProntuarioError: ``setup.first_silent``, ``cluster.code``, ``cluster.has_record``, ``setup.pairing`` without a code.
    """
    if is_joined(ctx):
        return
    refuse_running(ctx)
    code = ctx.code
    if not code and ctx.ask is not None:
        code = ctx.ask(
            ("Código que o primeiro Mac mostra", "The code that the first Mac shows")[ctx.language != "pt"], ""
        )
    if not code:
        raise NOT_JOINED()
    try:
        with ctx.key():
            await accept_invitation(ctx.home, ctx.answers.first, code)
    except OSError as error:
        raise FIRST_SILENT(first=ctx.answers.first, reason=error.strerror or type(error).__name__) from error


def is_joined(ctx: Context) -> bool:
    """Whether this home has everything that the first Mac gives."""
    paths = ctx.paths
    if not paths.config.exists() or load_config(paths.config).cluster.mode != "paired":
        return False
    needed = [paths.secrets / name for name in (*COMMON_FILES, MASTER_KEY)]
    return all(path.exists() for path in (*needed, node_files(paths.secrets).certificate, paths.ca))


@asynccontextmanager
async def _open_door(ctx: Context) -> AsyncIterator[None]:
    """While the packet filter of a node that was loaded before would keep the guest out, macOS's own rules hold."""
    root = str(ctx.machine.root).rstrip("/")
    closed = ctx.machine.is_mac and (ctx.machine.root / PF_FILE).exists()
    try:
        if closed:
            ctx.machine.script("pairing_door.sh", "open", root)
        yield
    finally:
        if closed:
            ctx.machine.script("pairing_door.sh", "close", root)
