"""An update from a stick onto a Mac's own ground: the real package, its own scripts, an asynchronous launchd."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from pkgmake.assemble import assemble
from pkgmake.errors import BuildError
from pkgmake.package import write_package
from updatemake.__main__ import main as updatemake
from updatemake.make import Wanted, make, schema_of

from appliance.daemon.updates.hands import MacHands
from appliance.daemon.updates.programs import Ran
from appliance.operations.packs.signing import read_private_key
from appliance.operations.updates import bundle
from appliance.operations.updates.journal import Place
from appliance.operations.updates.preparing import Preparation
from appliance.operations.updates.runner import Runner
from appliance.operations.updates.state import State, Step
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.migrate import Migration
from appliance.telemetry.clock import SystemClock
from tests.fakes.mac_ground import ScratchMac
from tests.fakes.package_sources import Ground
from tests.fakes.packs import make as make_pack
from tests.fakes.packs import write_trusted
from tests.fakes.updates import KNOWN, MAKER, NEW, OLD, TABLE_NAME, KilledError, public_pem

JOBS = {f"br.prontuario.{name}" for name in ("firewall", "core", "admin")}
THIRD = Migration(3, "three", "-- readable-by: 2\nCREATE TABLE three (id);")


class ScratchPrograms:
    """Installer and scripts as the scratch Mac runs them."""

    def __init__(self, mac: ScratchMac) -> None:
        self._mac = mac

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        if words[0] == "/usr/sbin/installer":
            assert words[1::2] == ["-pkg", "-target"]
            done = self._mac.install(Path(words[2]))
        else:
            done = self._mac.run(Path(words[0]), *words[1:])
        return Ran(done.returncode, done.stdout + done.stderr)


class PowerLoss(ScratchPrograms):
    """The first installation does not come to its end, and neither does whoever asked for it."""

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        super().run(words, limit_s, hold=hold, owner=owner)
        raise KilledError


def sql_of(ground: Ground, *migrations: Migration) -> None:
    folder = ground.repository / "appliance" / "store" / "migrations"
    folder.mkdir(parents=True, exist_ok=True)
    for one in migrations:
        (folder / f"{one.number:04}_{one.name}.sql").write_text(one.sql)


@pytest.fixture(scope="module")
def stick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``old``: the package that runs; ``bundle``: the update; ``key``: the maker's; ``package``: the new program alone."""
    folder = tmp_path_factory.mktemp("stick")
    ground = Ground(folder / "ground")
    packages = {}
    for version, migrations in ((OLD, KNOWN), (NEW, [*KNOWN, THIRD])):
        sql_of(ground, *migrations)
        assemble(ground.sources(), version, folder / version)
        packages[version] = folder / f"prontuario-{version}.pkg"
        write_package(folder / version, ground.repository / "packaging" / "install", version, packages[version])
    key = folder / "key.pem"
    key.write_bytes(private_pem())
    (folder / "knee.toml").write_text("version = 1\n")
    make_pack(folder / "pack")
    words = [
        f"--package={packages[NEW]}", f"--from={OLD}", f"--key={key}", f"--out={folder / 'bundle'}",
        f"--table={TABLE_NAME}={folder / 'knee.toml'}", f"--pack={folder / 'pack'}", "--notes-pt=Novo.",
    ]  # fmt: skip
    assert updatemake(words) == 0
    assert updatemake(words) == 1, "a bundle is never written over another"
    return {"old": packages[OLD], "package": packages[NEW], "bundle": folder / "bundle", "key": key}


def private_pem() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return MAKER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, stick: dict[str, Path]) -> ScratchMac:
    mac = ScratchMac.make(tmp_path_factory.mktemp("installed"))
    mac.make_node()
    assert mac.install(stick["old"]).returncode == 0
    maker = stick["key"].with_name("maker.pub.pem")
    maker.write_bytes(public_pem(MAKER))
    Place(mac.prefix).trust(maker)
    write_trusted(mac.home / "trust" / "packs")
    table = mac.home / "data" / "plugins" / TABLE_NAME
    table.parent.mkdir(parents=True)
    table.write_text("the hospital's own")
    return mac


@pytest.fixture
def mac(installed: ScratchMac, tmp_path: Path) -> ScratchMac:
    return installed.copy(tmp_path / "mac")


def update(mac: ScratchMac, stick: dict[str, Path], programs: ScratchPrograms | None = None) -> State:
    place, clock = Place(mac.prefix), SystemClock()
    preparation = Preparation(place, mac.home, clock, migrations=KNOWN, free=lambda _: 1 << 40)
    with place.alone():
        state = preparation.stage(stick["bundle"])
        # A model is put to work through a running core; here there is none.
        state = preparation.allow(confirmed=True, window="")
        hands = ModelsElsewhere(place, mac.home, programs or ScratchPrograms(mac), root=mac.root)
        return Runner(place, hands, clock).run(state)


class ModelsElsewhere(MacHands):
    """The pack lies there; that core puts it to work is shown by the tests of packs."""

    def models(self, state: State) -> None:
        assert [one.name for one in state.packs] == [folder.name for folder in self._shelf().folders()]


def is_whole(mac: ScratchMac, version: str, table: str) -> None:
    assert mac.current == f"versions/{version}"
    assert mac.jobs == JOBS
    assert not (mac.prefix / "switching").exists()
    assert (mac.home / "record").read_text() == "what must never be lost"
    assert (mac.home / "data" / "plugins" / TABLE_NAME).read_text() == table


def test_the_bundle_says_what_its_package_says(stick: dict[str, Path]) -> None:
    told = bundle.prove(stick["bundle"], [MAKER.public_key()])
    assert (told.version, told.from_version, told.notes_pt) == (NEW, OLD, "Novo.")
    assert [(one.number, one.readable_by) for one in told.schema] == [(1, 1), (2, 2), (3, 2)]
    assert [one.number for one in schema_of(stick["old"])] == [1, 2]
    assert [(one.kind, one.capability) for one in told.parts] == [
        ("package", ""),
        ("table", ""),
        ("pack", "chat_model"),
    ]


def test_what_is_no_package_or_no_pack_makes_no_bundle(stick: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "prontuario-1.1.0.pkg"
    body = bytearray(stick["package"].read_bytes())
    body[-1] ^= 1
    broken.write_bytes(body)
    assert updatemake([f"--package={broken}", f"--from={OLD}", f"--key={stick['key']}", f"--out={tmp_path / 'a'}"]) == 1
    wanted = Wanted(stick["package"], OLD, "2026-11-21", "", "", packs=(tmp_path,))
    with pytest.raises(BuildError, match="no signed pack"):
        make(wanted, read_private_key(stick["key"]), tmp_path / "b")
    assert [one.name for one in tmp_path.iterdir()] == [broken.name], "nothing is left of the attempts"


def test_who_does_not_wait_for_launchd_leaves_nothing_running_and_an_update_waits(
    mac: ScratchMac, stick: dict[str, Path]
) -> None:
    """The regression pair: bootout and bootstrap at once, and then ours, against the same asynchronous launchd."""
    launchctl = mac.book / "bin" / "launchctl"
    for label in sorted(JOBS):
        plist = mac.root / "Library" / "LaunchDaemons" / f"{label}.plist"
        assert mac.run(launchctl, "bootout", f"system/{label}").returncode == 0
        assert mac.run(launchctl, "bootstrap", "system", str(plist)).returncode in {5, 37}
    assert mac.jobs == set(), "the naive sequence: nothing runs"
    ended = update(mac, stick)
    assert ended.step is Step.DONE, ended.failure_en
    is_whole(mac, NEW, "version = 1\n")
    consults = [call for call in mac.interpreter_calls if "update consult" in call]
    assert [call.partition(":")[0] for call in consults] == [NEW]
    assert not (mac.home / "data" / "update-proof").exists()
    again = Preparation(Place(mac.prefix), mac.home, SystemClock(), migrations=[*KNOWN, THIRD])
    with pytest.raises(ProntuarioError) as caught:
        again.verify(stick["bundle"])
    assert caught.value.kind.code == "update.older"


def test_a_program_with_which_no_consult_gets_through_goes_away_again(mac: ScratchMac, stick: dict[str, Path]) -> None:
    mac.spoil(f"mute-{NEW}")
    ended = update(mac, stick)
    assert (ended.step, ended.failure) == (Step.ROLLED_BACK, "update.consult")
    assert "the note is empty" in ended.failure_en
    is_whole(mac, OLD, "the hospital's own")
    assert mac.interpreter_calls[-1].startswith(f"{OLD}: "), "it was the version before that got ready last"


def test_an_installer_that_is_killed_in_the_middle_is_taken_back(mac: ScratchMac, stick: dict[str, Path]) -> None:
    mac.kill_at("bootstrap")
    ended = update(mac, stick)
    assert (ended.step, ended.failure) == (Step.ROLLED_BACK, "update.switch")
    is_whole(mac, OLD, "the hospital's own")


def test_after_a_power_loss_in_the_middle_of_the_switch_the_same_command_ends_it(
    mac: ScratchMac, stick: dict[str, Path]
) -> None:
    mac.kill_at("bootstrap")
    with pytest.raises(KilledError):
        update(mac, stick, PowerLoss(mac))
    state = Place(mac.prefix).load()
    assert state is not None
    assert (state.step, (mac.prefix / "switching").read_text().strip()) == (Step.SWITCH, OLD)
    ended = update(mac, stick)
    assert ended.step is Step.DONE, ended.failure_en
    is_whole(mac, NEW, "version = 1\n")


def test_a_stick_that_was_tampered_with_stops_no_job(mac: ScratchMac, stick: dict[str, Path], tmp_path: Path) -> None:
    forged = shutil.copytree(stick["bundle"], tmp_path / "forged")
    package = next(forged.glob("*.pkg"))
    package.write_bytes(package.read_bytes()[:-1] + b"!")
    calls = mac.launchctl_calls
    with pytest.raises(ProntuarioError) as caught:
        update(mac, {**stick, "bundle": forged})
    assert caught.value.kind.code == "update.altered"
    assert mac.launchctl_calls == calls
    assert Place(mac.prefix).load() is None
    is_whole(mac, OLD, "the hospital's own")
