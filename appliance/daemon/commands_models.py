"""``prontuario models``: what serves, packs in and out, and the preparing machine's side (keys, signatures)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from appliance.config import Paths
from appliance.daemon.cli import home_option, refuse_root
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_api.errors import ProntuarioError

if TYPE_CHECKING:
    from appliance.operations.packs.shelf import Shelf

GIB: Final = 1 << 30
MIB: Final = 1 << 20
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
folder_argument = click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True)
)
source_argument = click.argument("source", type=click.Path(exists=True, path_type=Path, resolve_path=True))
file_type = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def models() -> None:
    """Models behind the abilities: what serves, and signed packs that bring new ones."""


@models.command("list")
@home_option
@json_option
def list_models(home: Path, as_json: bool) -> None:
    """Tell which models the running node uses (and whether they are only demonstrations), and which packs are installed."""
    rows, answer = _shelf(home).rows() if Paths(home).models.is_dir() else [], None
    try:
        answer = _ask(home, "models")["models"]
    except CommandFailedError:
        if not rows:
            raise
    if as_json:
        click.echo(msgspec.json.encode({"models": answer, "packs": rows}).decode())
        return
    for model in answer or ():
        label = "  DEMONSTRATION: never for care" if model["demonstration"] else ""
        click.echo(f"{model['capability']:16} {model['id']:28} {model['sha256'][:12]}{label}")
    for row in rows:
        state = row.trouble or ("ACTIVE" if row.active else "")
        click.echo(f"pack  {row.capability:16} {row.pack:32} {row.bytes / MIB:10.1f} MiB  {state}")


@models.command("import")
@home_option
@source_argument
@json_option
def import_pack(home: Path, source: Path, as_json: bool) -> None:
    """Take a signed pack in from SOURCE, a folder or a plain .tar of one, checking every byte; what serves is not touched.

    Interrupted, it goes on where it stopped when the command is given again. Then: prontuario models activate.
    """
    from appliance.operations.packs.intake import Intake

    refuse_root(home)
    with _sentences():
        intake = Intake(_shelf(home))
        with _progress(intake.look(source).size, "Importing") as on_bytes:
            manifest = intake.take_in(source, on_bytes)
    if as_json:
        click.echo(msgspec.json.encode(manifest).decode())
        return
    click.echo(f"{manifest.pack} ({manifest.capability}) is installed. Intended use: {manifest.intended_use}")
    click.echo(f"Next: prontuario models activate {manifest.pack}")


@models.command("verify")
@home_option
@click.argument("packs", nargs=-1)
def verify(home: Path, packs: tuple[str, ...]) -> None:
    """Read every byte of the installed PACKS (default: all) and compare with what was signed."""
    shelf = _shelf(home)
    wrong = 0
    for pack in packs or [folder.name for folder in shelf.folders()]:
        try:
            with _progress(sum(row.bytes for row in shelf.rows() if row.pack == pack), f"Verifying {pack}") as on_bytes:
                shelf.verify(pack, on_bytes)
            click.echo(f"{pack}: as signed")
        except ProntuarioError as error:
            wrong += 1
            click.echo(f"{pack}: {error.kind.code}: {error.sentence('en')} {error.next_step('en')}", err=True)
    if wrong:
        raise CommandFailedError(f"{wrong} not as signed; see above", Exit.UNHEALTHY)


@models.command("activate")
@home_option
@click.argument("pack")
def activate(home: Path, pack: str) -> None:
    """Put PACK (as list names it) to work on the running node, once it has answered a test; else nothing changes."""
    done = _ask(home, "models.activate", pack=pack)
    before = done["before"] or "the demonstration"
    click.echo(f"{done['pack']} serves {done['capability']} now; before: {before}")


@models.command("rollback")
@home_option
@click.argument("capability", type=click.Choice(sorted(CAPABILITIES)))
def rollback(home: Path, capability: str) -> None:
    """Go back to the pack that served CAPABILITY before, once it has answered a test."""
    done = _ask(home, "models.rollback", capability=capability)
    click.echo(f"{done['pack']} serves {done['capability']} again; before: {done['before']}")


@models.command("remove")
@home_option
@click.argument("pack")
def remove(home: Path, pack: str) -> None:
    """Delete an installed PACK that does not serve. An older version can't come back: keep what you may roll back to."""
    refuse_root(home)
    with _sentences():
        freed = _shelf(home).remove(pack)
    click.echo(f"Removed {pack}: {freed / MIB:.1f} MiB.")


@models.command("trust")
@home_option
@click.argument("key", type=file_type)
def trust(home: Path, key: Path) -> None:
    """From now on take packs signed with KEY (a public key in PEM). Compare its number with its owner first."""
    from appliance.operations.packs.signing import trust as trust_key

    refuse_root(home)
    with _sentences():
        identifier = trust_key(Paths(home).pack_keys, key)
    click.echo(f"Packs signed with {identifier} are taken now.")


@models.command("keygen")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
    help="Where to put both keys.",
)
@click.option("--name", default="packs", show_default=True, help="Their files: NAME.key.pem (secret) and NAME.pub.pem.")
def keygen(out: Path, name: str) -> None:
    """Make the pair of keys with which the preparing machine signs packs."""
    from appliance.operations.packs.signing import key_id, make_keys, read_public_key

    try:
        private, public = make_keys(out, name)
    except FileExistsError as error:
        raise CommandFailedError(f"{error.args[0]} exists already; nothing was overwritten.") from error
    click.echo(
        f"Secret, stays here: {private}\nFor the hospitals:  {public}\nNumber: {key_id(read_public_key(public))}"
    )


@models.command("sign")
@folder_argument
@click.option("--key", required=True, type=file_type, help="The secret key that keygen made.")
@click.option("--name", required=True, help="Lower-case name of the model, such as medgemma-4b-it.")
@click.option("--version", required=True, type=click.IntRange(1), help="Higher than every version before.")
@click.option("--capability", required=True, type=click.Choice(sorted(CAPABILITIES)), help="What it serves.")
@click.option("--licence", required=True, type=file_type, help="A file with the licence's text.")
@click.option("--intended-use", required=True, help="One or two sentences that people see.")
@click.option(
    "--footprint-gib", required=True, type=click.FloatRange(0, min_open=True), help="Memory it needs, in GiB."
)
def sign(folder: Path, key: Path, **given: Any) -> None:
    """Make FOLDER (as Hugging Face hands models out, safetensors) a pack: look at every file, list and sign them."""
    from appliance.operations.packs.signing import make_pack, read_private_key

    with _sentences():
        manifest = make_pack(
            folder, read_private_key(key), name=given["name"], version=given["version"], capability=given["capability"],
            licence=given["licence"].read_text(encoding="utf-8"), intended_use=given["intended_use"],
            footprint_bytes=max(1, int(given["footprint_gib"] * GIB)),
        )  # fmt: skip
    click.echo(f"{manifest.pack}: {len(manifest.files)} files, {manifest.size / MIB:.1f} MiB, signed.")


@models.command("fetch")
@home_option
@click.argument("name")
@click.option("--revision", help="Branch, tag or commit; default: the newest.")
@click.option(
    "--to", "to", type=click.Path(file_okay=False, path_type=Path, resolve_path=True), help="Folder; default: ./MODEL."
)
@json_option
def fetch_model(home: Path, name: str, revision: str | None, to: Path | None, *, as_json: bool) -> None:
    """Fetch the model NAME (OWNER/MODEL) from the hub, on the machine that prepares packs; repeat it to go on.

    An appliance refuses: nothing leaves the building. Next: prontuario models sign.
    """
    from appliance.operations.packs import fetch

    if Paths(home).config.exists():
        raise CommandFailedError(
            f"{home} is an appliance, and nothing leaves the building. Run it on the machine that prepares packs."
        )
    folder = to or Path.cwd() / name.rpartition("/")[2]
    with _sentences():
        planned = fetch.plan(name, revision)
        with _progress(planned.size, f"Fetching {name}") as on_bytes:
            fetched = fetch.fetch(planned, folder, on_bytes)
    if as_json:
        click.echo(msgspec.json.encode(fetched).decode())
        return
    click.echo(
        f"{fetched.name} at {fetched.commit}: {len(fetched.files)} files, {fetched.size / MIB:.1f} MiB in {folder}."
    )
    if fetched.left:
        click.echo(f"Left at the hub (no part of a pack): {', '.join(fetched.left)}")
    click.echo(f"Next: prontuario models sign {folder} …")


@models.command("capacity")
@click.argument("config", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--budget-gb", default=300.0, show_default=True, help="Memory for weights and caches together, in 10⁹ bytes."
)
@click.option("--bandwidth-gb-s", default=819.0, show_default=True, help="Memory bandwidth; an M3 Ultra has 819.")
@json_option
def model_capacity(config: Path, budget_gb: float, bandwidth_gb_s: float, *, as_json: bool) -> None:
    """Compute from a model's CONFIG (config.json or its folder) what fits in memory and how fast decoding can be at most."""
    from appliance.operations.capacity import GB, as_text, capacity, read_config
    from appliance.plugin_api.kv_geometry import UnknownModelError

    try:
        answer = capacity(read_config(config), budget_bytes=int(budget_gb * GB), bandwidth=bandwidth_gb_s * GB)
    except UnknownModelError as error:
        raise CommandFailedError(str(error)) from error
    click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode() if as_json else as_text(answer))


def _shelf(home: Path) -> Shelf:
    from appliance.operations.packs.shelf import Shelf

    return Shelf(Paths(home).models, Paths(home).pack_keys)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')} ({error.kind.code})") from error


@contextmanager
def _progress(size: int, label: str) -> Iterator[Callable[[int], None]]:
    with click.progressbar(length=max(size, 1), label=label, show_eta=True, file=sys.stderr) as bar:
        yield bar.update


def _ask(home: Path, verb: str, **arguments: Any) -> Mapping[str, Any]:
    """A running core's answer. Raises ``CommandFailedError`` when none can be asked, or it refused."""
    from appliance.daemon.control import ask_node

    answer = asyncio.run(ask_node(home, verb, **arguments))
    if "error" in answer:
        raise CommandFailedError(f"{answer['error']} ({answer.get('code', 'error')})")
    return answer


COMMANDS: list[click.Command] = [models]
