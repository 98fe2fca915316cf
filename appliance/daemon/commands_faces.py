"""``prontuario faces``: how often the face model errs on pictures of known people, before anybody relies on it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from appliance.config import Config, Paths
from appliance.daemon.cli import home_option, read_config
from appliance.daemon.exits import CommandFailedError
from appliance.plugin_api.capabilities import FaceVerifier
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import SystemClock, instant

if TYPE_CHECKING:
    from appliance.plugin_host.host import PluginHost
    from appliance.security.faces.evaluation import Claim, Distances, Rate, Row
    from appliance.security.faces.vectors import Vector

PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})
PICTURES_AT_ONCE: Final = 8
LARGEST_PICTURE_BYTES: Final = 64 << 20
MODEL_WITHIN_S: Final = 300.0
ANSWER_WITHIN_S: Final = 300.0
_LOOK_S: Final = 0.1
_AI_BYTES: Final = 1 << 40
"""Nothing else runs in this process: the node's budget for models is none of its business."""


class Report(msgspec.Struct, frozen=True):
    """What was measured. ``unusable`` names pictures without exactly one good face, by reason."""

    model: str
    sha256: str
    people: int
    pictures: int
    unusable: dict[str, str]
    same_pairs: int
    different_pairs: int
    rows: list[Row]
    caution: str
    claim: Claim | None = None
    claim_refused: str = ""


@click.group()
def faces() -> None:
    """Faces as a second confirmation: measuring the model."""


@faces.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@home_option
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="A face model's folder; default: the home's configured model or active pack.",
)
@click.option("--plugin", default="facenet_auth", show_default=True, help="The plugin that offers face_verifier.")
@click.option(
    "--claim",
    "far",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Find the threshold at which FAR is at most this, and refuse if the pictures can't show it.",
)
@click.option(
    "--confidence", default=0.95, show_default=True, type=click.FloatRange(0, 1, min_open=True, max_open=True)
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def evaluate(  # noqa: PLR0917  click's own way of calling
    folder: Path, home: Path, model: Path | None, plugin: str, far: float | None, confidence: float, as_json: bool
) -> None:
    """Compare every picture in DIR with every other: one subfolder a person, JPEG or PNG. Nothing is kept of them.

    Tells how often two people were taken for one (FAR) and one person was not recognised (FRR) at thresholds, with exact
    95 % intervals. Needs no running node.
    """
    people = pictures_in(folder)
    try:
        report = asyncio.run(_report(people, Paths(home), model, plugin, far, confidence))
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')} ({error.kind.code})") from error
    click.echo(msgspec.json.encode(report).decode() if as_json else as_text(report))
    if model is None and report.claim is not None:
        _keep(report, Paths(home))
    if report.claim_refused:
        raise CommandFailedError(report.claim_refused)


def _keep(report: Report, paths: Paths) -> None:
    """What the threshold rests on, for the dashboard: the figures, and nothing of the pictures."""
    from appliance.security.faces.calibration import Kept, keep

    names = set(Kept.__struct_fields__) - {"at"}
    told = {name: value for name, value in msgspec.structs.asdict(report).items() if name in names}
    try:
        keep(paths.face_evaluation, Kept(at=instant(SystemClock().now()), **told))
    except OSError as error:
        click.echo(f"The dashboard can't show these figures: {paths.face_evaluation}: {error.strerror}.", err=True)


def pictures_in(folder: Path) -> dict[str, list[Path]]:
    """Pictures by person, the name of the subfolder.

    Raises:
        CommandFailedError: there are none.
    """
    people = {
        person.name: sorted(path for path in person.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
        for person in sorted(folder.iterdir())
        if person.is_dir()
    }
    found = {name: paths for name, paths in people.items() if paths}
    if not found:
        raise CommandFailedError(f"{folder} has no subfolders with JPEG or PNG pictures: one folder a person.")
    return found


async def _report(  # noqa: PLR0917  private
    people: Mapping[str, Sequence[Path]],
    paths: Paths,
    model: Path | None,
    plugin: str,
    far: float | None,
    confidence: float,
) -> Report:
    from appliance.security.faces.evaluation import CAUTION, THRESHOLDS, ClaimError, claim, distances, row

    async with _verifier(paths, model, plugin) as verifier:
        with click.progressbar(
            length=sum(map(len, people.values())), label="Looking at pictures", show_eta=True, file=sys.stderr
        ) as bar:
            found, unusable = await look(verifier, people, bar.update)
        info = verifier.model()
    try:
        apart: Distances = distances(found)
    except ValueError as error:
        raise CommandFailedError(
            f"{error}; {len(unusable)} pictures could not be used: {_counted(unusable)}."
        ) from error
    shown, refused = None, ""
    if far is not None:
        try:
            shown = claim(apart, far, confidence)
        except ClaimError as error:
            refused = str(error)
    return Report(
        model=info.id, sha256=info.sha256, people=len(found), pictures=sum(map(len, found.values())), unusable=unusable,
        same_pairs=len(apart.same), different_pairs=len(apart.different),
        rows=[row(apart, threshold) for threshold in THRESHOLDS], caution=CAUTION, claim=shown, claim_refused=refused,
    )  # fmt: skip


async def look(
    verifier: FaceVerifier, people: Mapping[str, Sequence[Path]], on_pictures: Callable[[int], None]
) -> tuple[dict[str, list[Vector]], dict[str, str]]:
    """Embeddings by person, and the pictures that have none, with the reason; a few pictures in memory at a time."""
    from appliance.plugin_api.engine import CallOptions, Lane
    from appliance.security.faces.vectors import decode

    call = CallOptions(lane=Lane.BACKGROUND, deadline_s=ANSWER_WITHIN_S, user="(evaluation)")
    found: dict[str, list[Vector]] = {}
    unusable: dict[str, str] = {}
    every = [(name, path) for name, paths in people.items() for path in paths]
    for start in range(0, len(every), PICTURES_AT_ONCE):
        some = every[start : start + PICTURES_AT_ONCE]
        said = await verifier.describe([_content(path) for _, path in some], call)
        for (name, path), frame in zip(some, said.frames, strict=True):
            if frame.problem:
                unusable[f"{name}/{path.name}"] = frame.problem
            else:
                found.setdefault(name, []).append(decode(frame.embedding))
        on_pictures(len(some))
    return found, unusable


def _content(path: Path) -> bytes:
    """The file; one that is no phone's picture by its size is not read at all, and called unreadable by the model."""
    return path.read_bytes() if path.stat().st_size <= LARGEST_PICTURE_BYTES else b""


@asynccontextmanager
async def _verifier(paths: Paths, model: Path | None, plugin: str) -> AsyncIterator[FaceVerifier]:
    """The plugin's verifier over an engine of this command's own; nothing of a running node is touched.

    Raises:
        CommandFailedError: no such plugin, or no model.
    """
    from appliance.daemon.record import RecordSlot
    from appliance.engines.fleet import EngineFleet
    from appliance.engines.ledger import MemoryLedger
    from appliance.plugin_host.discovery import discover
    from appliance.plugin_host.host import PluginHost

    config = read_config(paths.home)
    development = config.node.profile == "development"
    candidates = [one for one in discover(paths.plugins, development=development) if one.name == plugin]
    if not candidates:
        raise CommandFailedError(f"There is no plugin {plugin}.")
    table = config.plugins.get(plugin, {}) | ({} if model is None else {"model": str(model)})
    alone = Config(node=config.node, plugins={plugin: table})
    with tempfile.TemporaryDirectory() as scratch:
        workplace = Paths(Path(scratch))  # what a plugin writes goes there; models are the home's
        workplace.models.symlink_to(paths.models)
        fleet = EngineFleet(MemoryLedger(_AI_BYTES))
        host = PluginHost(alone, workplace, store=RecordSlot(), fleet=fleet, candidates=candidates)
        host.load()
        try:
            await host.start()
            yield await _ready(host, plugin)
        finally:
            await host.stop()


async def _ready(host: PluginHost, plugin: str) -> FaceVerifier:
    broken = [report.reason for report in host.report() if report.state != "active"]
    if broken:
        raise CommandFailedError(f"The plugin {plugin} can't be used: {'; '.join(broken)}.")
    with contextlib.suppress(TimeoutError, ProntuarioError):
        async with asyncio.timeout(MODEL_WITHIN_S):
            while True:
                verifier = host.abilities.face_verifier().instance  # raises once nothing is coming any more
                if verifier.model().ready:
                    return verifier
                await asyncio.sleep(_LOOK_S)
    raise CommandFailedError("No face model is ready: give one with --model, or activate a pack of face_verifier.")


def as_text(report: Report) -> str:
    """The report for people."""
    lines = [
        f"{report.model}  {report.sha256[:12]}",
        f"{report.people} people, {report.pictures} pictures; {len(report.unusable)} more could not be used.",
        f"{report.same_pairs} pairs of one person, {report.different_pairs} of two.",
        "threshold   FAR  (95 % interval, errors)              FRR  (95 % interval, errors)",
        *(f"{at.threshold:9.2f}   {_rate(at.false_accepts)}   {_rate(at.false_rejects)}" for at in report.rows),
        report.caution,
    ]
    if report.claim is not None:
        at = report.claim.row
        lines += [
            f"FAR <= {report.claim.far:g} at {report.claim.confidence:.0%} confidence holds up to threshold {at.threshold:.3f}.",
            f"There one person is not recognised in {at.false_rejects.share:.2%} of pairs.",
            f'[plugins.facenet_auth]\nthreshold = {at.threshold:.3f}\ncalibrated_for = "{report.sha256[:16]}"',
        ]
    return "\n".join(lines)


def _counted(unusable: Mapping[str, str]) -> str:
    return ", ".join(f"{problem} {count}" for problem, count in Counter(unusable.values()).most_common()) or "none"


def _rate(rate: Rate) -> str:
    return f"{rate.share:8.2e}  ({rate.low:.1e} to {rate.high:.1e}, {rate.errors})"


COMMANDS: list[click.Command] = [faces]
