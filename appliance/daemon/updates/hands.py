"""The hands of an update on a Mac: Installer, the version's own scripts, the node's operator socket (ADR 34)."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.cluster.model import ClusterStatus, Role
from appliance.config import Config, Paths, load_config
from appliance.daemon.control import ask
from appliance.daemon.updates.programs import Programs, last_line
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.operations.updates.decide import Seen
from appliance.operations.updates.errors import BACK, CONSULT, FAILED, HANDOVER, SWITCH
from appliance.operations.updates.journal import Place
from appliance.operations.updates.manifest import MANIFEST_NAME, PACK, TABLE, UpdateManifest, decode, order
from appliance.operations.updates.state import State, Step
from appliance.operations.updates.tables import Tables, as_owner
from appliance.operations.updates.window import within
from appliance.plugin_api.errors import ProntuarioError

INSTALL_LIMIT_S: Final = 3600.0
CONSULT_LIMIT_S: Final = 1200.0
HANDOVER_LIMIT_S: Final = 120.0
ANSWER_LIMIT_S: Final = 30.0
GATE_S: Final = 60
"""So long may a version that came back by itself take to say that it is ready."""
MODEL_LIMIT_S: Final = 3600.0
_POLL_S: Final = 0.5
Tell = Callable[..., Mapping[str, Any]]


class MacHands:
    """Implements ``appliance.operations.updates.runner.Hands`` for the node on ``home``; ``root`` stands for /."""

    def __init__(self, place: Place, home: Path, programs: Programs, *, root: Path = Path("/")) -> None:
        self._place, self._home, self._root = place, home, root
        self._programs = programs

    # -- looking ----------------------------------------------------------------------------------------------------------
    def look(self, state: State) -> Seen:
        """See ``Hands.look``."""
        running, switching = self._place.running(), self._place.switching()
        window = bool(state.window) and within(state.window, datetime.now().astimezone().time())
        config = self._config()
        if config is None or config.cluster.mode != "paired":
            return Seen(running, switching, in_window=window)
        status = self._status()
        if status is None:
            return Seen(running, switching, paired=True)
        leads = status.role is Role.PRIMARY
        peer = self._ask("update.peer")
        return Seen(
            running,
            switching,
            paired=True,
            leads=leads,
            leader=status.leader is not None,
            in_step=status.in_sync is not None if leads else status.in_sync == status.node,
            peer_version=str(peer.get("version", "")),
            peer_at_work=bool(peer.get("at_work", False)),
            peer_fits=self._fits(state, str(peer.get("version", ""))),
        )

    def _fits(self, state: State, peer_version: str) -> bool:
        """Whether the other node runs a version from which this update may come; what can't be compared is let pass."""
        with suppress(OSError, ProntuarioError):
            return order(peer_version) >= order(self._manifest(state).from_version)
        return True

    def _config(self) -> Config | None:
        path = Paths(self._home).config
        return load_config(path) if path.exists() else None

    def _status(self) -> ClusterStatus | None:
        told = self._ask("cluster.status").get("status")
        return msgspec.convert(told, ClusterStatus) if told is not None else None

    def _ask(self, verb: str, limit_s: float = ANSWER_LIMIT_S, **arguments: Any) -> Mapping[str, Any]:
        """A running core's answer, or ``{"error": …}``; a core that hangs is one that does not answer."""
        socket = Paths(self._home).socket("control")
        try:
            return asyncio.run(asyncio.wait_for(ask(socket, verb, **arguments), limit_s))
        except OSError as error:
            return {"error": error.strerror or type(error).__name__}

    # -- forward ----------------------------------------------------------------------------------------------------------
    def place(self, state: State) -> None:
        """See ``Hands.place``."""
        manifest, staged = self._manifest(state), Path(state.staged)
        with as_owner(self._home):
            tables, shelf = Tables(self._home, state.run), self._shelf()
            for part in manifest.of_kind(TABLE):
                tables.place(part.name, (staged / part.files[0].path).read_bytes())
            for part in manifest.of_kind(PACK):
                if not any(folder.name == part.name for folder in shelf.folders()):
                    Intake(shelf).take_in(staged / "packs" / part.name)

    def switch(self, state: State) -> None:
        """See ``Hands.switch``. The package's own scripts wait for launchd and go back by themselves if it is not ready."""
        package = Path(state.staged) / self._manifest(state).package.path
        words = ["/usr/sbin/installer", "-pkg", str(package), "-target", str(self._root)]
        with self._place.work() as hold:
            done = self._programs.run(words, INSTALL_LIMIT_S, hold=hold)
        if done.status or self._place.running() != state.version or self._place.switching():
            raise SWITCH(version=state.version, reason=last_line(done.said))

    def prove(self, state: State) -> None:
        """See ``Hands.prove``: in a scratch home beside the node's own, as its user, with the demonstration models."""
        scratch = self._home / "data" / "update-proof"
        words = [str(self._place.program(state.version)), "update", "consult", "--home", str(scratch)]
        with self._place.work() as hold:
            self._clear(scratch)
            try:
                done = self._programs.run(words, CONSULT_LIMIT_S, hold=hold, owner=self._home)
            finally:
                self._clear(scratch)
        if done.status:
            raise CONSULT(version=state.version, reason=last_line(done.said))

    def models(self, state: State) -> None:
        """See ``Hands.models``. A pack that serves already is left alone by core."""
        for pack in state.packs:
            told = self._ask("models.activate", MODEL_LIMIT_S, pack=pack.name)
            if "error" in told:
                raise FAILED(step=Step.MODELS, reason=f"{pack.name}: {told['error']}")

    def lead(self, state: State) -> None:
        """See ``Hands.lead``."""
        del state
        self._hand_over(lambda status: status.role is Role.PRIMARY)

    # -- back -------------------------------------------------------------------------------------------------------------
    def yield_lead(self, state: State) -> None:
        """See ``Hands.yield_lead``."""
        del state
        self._hand_over(lambda status: status.leader == status.peer)

    def put_back(self, state: State) -> None:
        """See ``Hands.put_back``. Only the links and files: the program that starts afterwards reads them."""
        with as_owner(self._home):
            tables, shelf = Tables(self._home, state.run), self._shelf()
            for name in state.tables:
                tables.put_back(name)
            for pack in state.packs:
                if shelf.active(pack.capability) == pack.name:
                    shelf.point(pack.capability, shelf.memory(pack.capability).previous)

    def back(self, state: State) -> None:
        """See ``Hands.back``. By the old version's own script, whatever the new one's is worth."""
        script = self._place.script(state.before, "activate.sh")
        with self._place.work() as hold:
            if self._is_back(state, hold):
                return
            done = self._programs.run([str(script), state.before, str(self._root)], INSTALL_LIMIT_S, hold=hold)
        if done.status or self._place.running() != state.before:
            raise BACK(version=state.before, reason=last_line(done.said))

    def _is_back(self, state: State, hold: int) -> bool:
        """It runs as before and says that it is ready. Tables and models were put back on the disk only: they want a restart."""
        if state.tables or state.packs or self._place.running() != state.before or self._place.switching():
            return False
        gate = self._place.script(state.before, "health_gate.sh")
        return self._programs.run([str(gate), str(self._home), str(GATE_S)], INSTALL_LIMIT_S, hold=hold).status == 0

    def _clear(self, scratch: Path) -> None:
        with as_owner(self._home):
            shutil.rmtree(scratch, ignore_errors=True)

    # -- parts ------------------------------------------------------------------------------------------------------------
    def _hand_over(self, over: Callable[[ClusterStatus], bool]) -> None:
        told = self._ask("cluster.act", action="handover", typed="")
        if "error" in told:
            raise HANDOVER(reason=told["error"])
        deadline = time.monotonic() + HANDOVER_LIMIT_S
        while time.monotonic() < deadline:
            status = self._status()
            if status is not None and over(status):
                return
            time.sleep(_POLL_S)
        raise HANDOVER(reason=f"nothing happened for {HANDOVER_LIMIT_S:.0f} s")

    def _manifest(self, state: State) -> UpdateManifest:
        """Of the copy that only root can change; its signature was proven when it was made."""
        return decode((Path(state.staged) / MANIFEST_NAME).read_bytes())

    def _shelf(self) -> Shelf:
        paths = Paths(self._home)
        return Shelf(paths.models, paths.pack_keys)


def may_change(prefix: Path) -> bool:
    """Whether this process may change what is installed."""
    return os.access(prefix, os.W_OK)
