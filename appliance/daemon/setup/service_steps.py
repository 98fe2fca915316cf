"""Steps around the running node: a model pack, its jobs, the first phone, the emergency sheet."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import segno
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from appliance.daemon.control import ask
from appliance.daemon.enrolment import phone_address
from appliance.daemon.launchd.layout import LOG_FOLDER
from appliance.daemon.lock import running_pid
from appliance.daemon.pair.founding_commands import FIRST, SECOND
from appliance.daemon.setup.asking import YES
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.errors import REFUSED
from appliance.daemon.setup.home_steps import SHARE, give, papers_folder, refuse_running
from appliance.daemon.setup.ready import POLL_S, until_ready
from appliance.daemon.setup.sheet import Facts, emergency_sheet

READY_S: Final = 180.0
LEAD_S: Final = 60.0
_NOT_YET: Final = frozenset({"cluster.standby", "cluster.read_only"})
SHEET: Final = "folha-de-emergencia.pdf"
_AGAIN: Final = "c"


class PausedError(Exception):
    """Nothing failed: a person has to start the node, and run the set-up again."""


async def take_pack_in(ctx: Context) -> None:
    """Trust the pack's maker and take the pack in, checking every byte; interrupted, the next run goes on.

    Raises:
        ProntuarioError: ``pack.*``; ``setup.running``: what root writes beside a running node it could not read.
    """
    from appliance.operations.packs.intake import Intake
    from appliance.operations.packs.shelf import Shelf
    from appliance.operations.packs.signing import trust

    refuse_running(ctx)
    paths = ctx.paths
    trust(paths.pack_keys, Path(ctx.answers.pack_key))
    manifest = Intake(Shelf(paths.models, paths.pack_keys)).take_in(Path(ctx.answers.pack))
    ctx.tell(
        f"{manifest.pack} ({manifest.capability}) instalado. Uso pretendido: {manifest.intended_use}",
        f"{manifest.pack} ({manifest.capability}) is installed. Intended use: {manifest.intended_use}",
    )


async def start_node(ctx: Context) -> None:
    """Have launchd run the node and wait until it is ready; where there is no launchd, say what to run.

    Raises:
        ProntuarioError: ``launchd.*``, ``setup.not_ready``.
        PausedError: nobody started it.
    """
    if ctx.machine.is_mac:
        labels = await ctx.machine.load(ctx.home, ctx.config())
        ctx.tell(f"O launchd executa: {', '.join(labels)}.", f"launchd runs: {', '.join(labels)}.")
    elif running_pid(ctx.paths.run) is None:
        ctx.tell(
            f"Inicie o nó:  prontuario up --home {ctx.home}\nDepois execute de novo: prontuario setup --home {ctx.home}",
            f"Start the node:  prontuario up --home {ctx.home}\nThen run again: prontuario setup --home {ctx.home}",
        )
        raise PausedError
    await until_ready(ctx, READY_S)


async def use_pack(ctx: Context) -> None:
    """Put the pack to work, once it has answered a test.

    Raises:
        ProntuarioError: ``setup.refused`` with the node's own words.
    """
    from appliance.operations.packs.shelf import Shelf

    shelf = Shelf(ctx.paths.models, ctx.paths.pack_keys)
    for row in shelf.rows():
        if not row.active and not row.trouble:
            done = await _asked(ctx, "models.activate", pack=row.pack)
            ctx.tell(f"{done['pack']} serve {done['capability']}.", f"{done['pack']} serves {done['capability']}.")


async def enrol_phone(ctx: Context) -> None:
    """Show a one-time code, as letters and as a QR for the phone's camera; another one when it ran out.

    Raises:
        ProntuarioError: ``setup.refused`` with the node's own words.
    """
    user, role = ctx.answers.phone_user, ctx.answers.phone_role
    while True:
        made = await _asked(ctx, "enrolment.code", user=user, role=role)
        picture = io.StringIO()
        segno.make(str(made["uri"]), error="m", micro=False).terminal(out=picture, compact=True)
        ctx.say(picture.getvalue())
        ctx.tell(
            f"Telefone de {user} ({role}). Código: {made['code']}  (vale uma vez, até {made['expires_at']})\n{made['uri']}",
            f"Phone of {user} ({role}). Code: {made['code']}  (good once, until {made['expires_at']})\n{made['uri']}",
        )
        question = (
            f"Enter quando o telefone disser que entrou; {_AGAIN}: outro código",
            f"Enter once the phone says that it is in; {_AGAIN}: another code",
        )
        if ctx.ask is None or ctx.ask(question[ctx.language != "pt"], "").lower() != _AGAIN:
            return


async def print_sheet(ctx: Context) -> None:
    """The emergency sheet, from what the node's configuration says now. Raises ``OSError``."""
    file = papers_folder(ctx) / SHEET
    give(ctx, file, emergency_sheet(facts_of(ctx, datetime.now(UTC).astimezone().strftime("%d/%m/%Y"))))
    ctx.tell(
        f"Imprima {file} e pendure ao lado dos Macs; não há segredo nela.",
        f"Print {file} and hang it beside the Macs; there is no secret on it.",
    )


async def clear_key_pages(ctx: Context) -> None:
    """Once they were printed the pages of the key go away; nobody is asked where nobody can be."""
    pages = sorted(ctx.papers.glob(SHARE.format(number="*", holders="*")))
    if not pages:
        return
    question = (
        f"As {len(pages)} folhas da chave foram impressas e entregues? s: apago os arquivos; n: ficam por ora",
        f"Were the {len(pages)} pages of the key printed and handed out? y: I erase the files; n: they stay for now",
    )
    if ctx.ask is not None and ctx.ask(question[ctx.language != "pt"], "n").lower() in YES:
        for page in pages:
            page.unlink()
        return
    ctx.tell(
        f"ATENÇÃO: as folhas da chave ainda estão em {ctx.papers}. Imprima, entregue e apague-as.",
        f"WARNING: the pages of the key are still in {ctx.papers}. Print them, hand them out and erase them.",
    )


def facts_of(ctx: Context, made_on: str) -> Facts:
    """What the emergency sheet says: all of it public."""
    config, answers = ctx.config(), ctx.answers
    root = x509.load_pem_x509_certificate(ctx.paths.ca.read_bytes())
    digits = root.fingerprint(hashes.SHA256()).hex(":").upper()
    half = len(digits) // 2
    cluster = config.cluster
    own = answers.address or next((name for name in config.api.names if name[:1].isdigit()), config.node.name)
    nodes: tuple[tuple[str, str], ...] = ((config.node.name, own),)
    if cluster.mode == "paired":
        places = {
            name: url.partition("://")[2].rpartition(":")[0]
            for name, _, url in (entry.partition("=") for entry in cluster.etcd_initial_cluster.split(","))
        }
        nodes = tuple((name, places[name]) for name in (FIRST, SECOND))
        witness = next((host for name, host in places.items() if name not in {FIRST, SECOND}), "")
    else:
        witness = ""
    return Facts(
        hospital=config.node.hospital, made_on=made_on, nodes=nodes, phones=phone_address(config),
        vip=", ".join(cluster.vip_addresses), witness=witness, fingerprint=f"{digits[:half]} {digits[half + 1 :]}",
        home=str(ctx.home), logs=str(LOG_FOLDER if ctx.machine.is_mac else ctx.paths.logs), papers=str(ctx.papers),
        holders=answers.holders, needed=answers.needed,
    )  # fmt: skip


async def _asked(ctx: Context, verb: str, **arguments: Any) -> Mapping[str, Any]:
    """The node's answer. A pair that has only begun takes some seconds until one of the two leads: that is waited for."""
    give_up = time.monotonic() + LEAD_S
    while True:
        try:
            answer = await ask(ctx.paths.socket("control"), verb, **arguments)
        except OSError as error:
            raise REFUSED(reason=f"{ctx.home}: {error.strerror or type(error).__name__}") from error
        if answer.get("code") not in _NOT_YET or time.monotonic() >= give_up:
            break
        await asyncio.sleep(POLL_S)
    if "error" in answer:
        raise REFUSED(reason=f"{answer['error']} ({answer.get('code', 'error')})")
    return answer
