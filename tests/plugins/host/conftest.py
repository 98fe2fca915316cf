"""Plugins written to disk and loaded by a real host, on a real store, with real children."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.config.load import load_config
from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.plugin_host.discovery import Candidate
from appliance.plugin_host.host import PluginHost
from appliance.store.database import Database

TOY = Path(__file__).parents[3] / "docs" / "examples" / "toy_plugin"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    (folder / "plugins").mkdir()
    return folder


@pytest.fixture
async def make_host(home: Path) -> AsyncIterator[Callable[..., PluginHost]]:
    """A host on ``home``; ``toml`` is its configuration, ``plugins`` replaces discovery."""
    store = await Database.open(home / "data" / "record.sqlite", StoreConfig(litestream=False))
    fleets = []

    def make(toml: str = "", plugins: dict[str, Any] | None = None, **options: Any) -> PluginHost:
        paths = Paths(home)
        paths.config.write_text(toml, encoding="utf-8")
        fleet = EngineFleet(MemoryLedger(8 << 30))
        fleets.append(fleet)
        candidates = None if plugins is None else [candidate(name, plugin) for name, plugin in plugins.items()]
        options = {"candidates": candidates, **options}
        return PluginHost(load_config(paths.config), paths, store=store, fleet=fleet, **options)

    yield make
    for fleet in fleets:
        await fleet.stop(0.0)
    await store.close()


def candidate(name: str, plugin: Any, *, first_party: bool = True) -> Candidate:
    """``plugin`` is an object, or a function that makes one or raises."""
    load = plugin if callable(plugin) and not isinstance(plugin, type) else lambda: plugin
    return Candidate(name, "1.0", first_party, load)


@pytest.fixture
def as_candidate() -> Callable[..., Candidate]:
    return candidate


@pytest.fixture
def unpolluted_path() -> Iterator[None]:
    """Third-party folders leave the import path with the test."""
    before, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        if name.split(".")[0] in {"word_mirror", "stranger", "json_but_not"}:
            del sys.modules[name]


@pytest.fixture(scope="session")
def toy_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy plugin's wheel, built as its author would, without a network."""
    work = tmp_path_factory.mktemp("toy")
    source = work / "toy_plugin"
    copy = [
        sys.executable,
        "-c",
        "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])",
        str(TOY),
        str(source),
    ]
    subprocess.run(copy, check=True)
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(work / "dist"), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (work / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def unpacked_toy(toy_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pip puts it on disk."""
    target = tmp_path_factory.mktemp("unpacked") / "word_mirror-1.0.0"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--target", str(target), str(toy_wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture
def installed_toy(unpacked_toy: Path, home: Path) -> Path:
    """The toy plugin in the node's home."""
    return Path(shutil.copytree(unpacked_toy, home / "plugins" / unpacked_toy.name))


@pytest.fixture
def install_stranger(home: Path) -> Callable[..., Path]:
    """A small third-party plugin, written by hand; every part can be made wrong."""

    def install(
        code: str = "",
        *,
        name: str = "stranger",
        version: str = "1.0",
        permissions: str = "[]",
        manifest: str | None = None,
        entry_points: str | None = None,
        package: str | None = None,
        folder: str | None = None,
    ) -> Path:
        package = package or name
        target = home / "plugins" / (folder or f"{name}-{version}")
        (target / package).mkdir(parents=True)
        (target / package / "__init__.py").write_text(code or HARMLESS, encoding="utf-8")
        text = manifest if manifest is not None else f'name="{name}"\nversion="{version}"\npermissions={permissions}\n'
        if text:
            (target / "prontuario-plugin.toml").write_text(text, encoding="utf-8")
        info = target / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
        )
        lines = entry_points if entry_points is not None else f"[prontuario.plugins]\n{name} = {package}:plugin\n"
        (info / "entry_points.txt").write_text(lines, encoding="utf-8")
        return target

    return install


HARMLESS = """
from appliance.plugin_api.hooks import hookimpl

class Stranger:
    @hookimpl
    def startup(self):
        return None

plugin = Stranger()
"""


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Poll until a condition holds; never a fixed sleep."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60.0):
            while not condition():  # noqa: ASYNC110  there is no event for what another process does
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    """Whether a process has ended."""

    def gone(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return gone
