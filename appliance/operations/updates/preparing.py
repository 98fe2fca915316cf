"""Before anything is touched: is this update ours, whole, newer, reversible, and is there room? Then it is copied to this disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from appliance.config.model import Paths
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.operations.updates import bundle, signing
from appliance.operations.updates.bundle import OnBytes
from appliance.operations.updates.decide import turn_round
from appliance.operations.updates.errors import ALTERED, ASKED, NOTHING, UNFINISHED
from appliance.operations.updates.fitness import FreeBytes, check_room, check_schema, check_version, free_bytes
from appliance.operations.updates.journal import Place
from appliance.operations.updates.manifest import MANIFEST_NAME, PACK, TABLE, UpdateManifest, digest, read_raw
from appliance.operations.updates.state import Pack, State, Step, noted
from appliance.store.migrate import Migration, known_migrations
from appliance.telemetry.clock import Clock, instant


class Preparation:
    """``home``: the node's; ``migrations``: those of the running program. Everything here blocks."""

    def __init__(
        self,
        place: Place,
        home: Path,
        clock: Clock,
        *,
        migrations: Sequence[Migration] | None = None,
        free: FreeBytes = free_bytes,
    ) -> None:
        self._place, self._home, self._clock, self._free = place, home, clock, free
        self._migrations = known_migrations() if migrations is None else migrations

    def look(self, folder: Path) -> UpdateManifest:
        """What the bundle says, and whether it may come here; its parts are not read yet.

        Raises:
            ProntuarioError: ``update.unsigned|untrusted|manifest`` (422), ``update.older|too_far|schema`` (409),
                ``update.unsafe`` (403), ``update.not_installed`` (409).
        """
        manifest = bundle.look(folder, self._place.trusted())
        check_version(manifest, self._place.running(), self._place.past().newest)
        check_schema(manifest, self._migrations)
        return manifest

    def verify(self, folder: Path, on_bytes: OnBytes = lambda _: None) -> UpdateManifest:
        """Every check that there is, every byte read; nothing is written. Raises as ``look`` and ``bundle.prove``."""
        manifest = self.look(folder)
        self._check_room(manifest)
        return bundle.prove(folder, self._place.trusted(), on_bytes)

    def stage(self, folder: Path, on_bytes: OnBytes = lambda _: None) -> State:
        """Copy the bundle to this disk; from then on it waits for its turn. The same one again: as it was left.

        Raises:
            ProntuarioError: as ``verify``; ``update.unfinished`` (409): another one is under way; ``pack.*`` (422): a model pack
                in it is not one that this hospital takes.
        """
        known = self._place.load()
        if known is not None and not known.ended:
            return self._as_it_was_left(known, folder)
        manifest = self.look(folder)
        self._check_room(manifest)
        if known is not None:
            self._place.remember(known)
        staged = bundle.stage(folder, self._place.staged, self._place.trusted(), on_bytes)
        if bundle.look(staged, self._place.trusted()) != manifest:
            raise ALTERED(file=MANIFEST_NAME)  # the stick gave one to be checked and another one to be copied
        intake = Intake(self._shelf())
        for part in manifest.of_kind(PACK):
            intake.look(staged / "packs" / part.name)
        state = noted(self._first(manifest, staged), instant(self._clock.now()), "begun")
        self._place.save(state)
        return state

    def _check_room(self, manifest: UpdateManifest) -> None:
        """What an update that has ended left staged makes room for the next one, so it counts as free."""
        known, place = self._place.load(), self._place.folder
        under_way = known is not None and not known.ended
        left = [] if under_way else [one.lstat().st_size for one in self._place.staged.rglob("*") if one.is_file()]
        check_room(manifest, place, self._home, free=lambda one: self._free(one) + (sum(left) if one == place else 0))

    def _as_it_was_left(self, known: State, folder: Path) -> State:
        """The update under way, if ``folder`` holds the very same one. Raises as ``stage``."""
        raw, signature = read_raw(folder)
        signing.verify(raw, signature, self._place.trusted())
        staged = Path(known.staged)
        if staged.name != digest(raw) or not (staged / MANIFEST_NAME).is_file():
            raise UNFINISHED(version=known.version)
        return known

    def _first(self, manifest: UpdateManifest, staged: Path) -> State:
        shelf = self._shelf()
        bring = [part for part in manifest.of_kind(PACK) if shelf.active(part.capability) != part.name]
        return State(
            run=f"{manifest.version}-{instant(self._clock.now())}".replace(":", ""),
            version=manifest.version,
            before=self._place.running(),
            staged=str(staged),
            tables=tuple(part.name for part in manifest.of_kind(TABLE)),
            packs=tuple(Pack(part.name, part.capability) for part in bring),
        )

    def _shelf(self) -> Shelf:
        paths = Paths(self._home)
        return Shelf(paths.models, paths.pack_keys)

    def allow(self, *, confirmed: bool, window: str) -> State:
        """Note what a person said about the downtime of a Mac that works alone. Raises ``update.nothing`` (404)."""
        state = self._place.load()
        if state is None:
            raise NOTHING()
        if not state.ended and (confirmed or window):
            state = msgspec.structs.replace(
                state, confirmed=state.confirmed or confirmed, window=window or state.window
            )
            self._place.save(state)
        return state

    def ask_back(self) -> State:
        """From now on the way leads back to the version before. Raises ``update.nothing`` (404): there is nothing to take back."""
        state = self._place.load()
        if state is None or state.step is Step.ROLLED_BACK:
            raise NOTHING()
        state = turn_round(noted(state, instant(self._clock.now()), "asked", ASKED.code), ASKED.code)
        self._place.save(state)
        return state


__all__ = ["Preparation"]
