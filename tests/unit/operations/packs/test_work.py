"""The bench: one piece of work at a time, told while it goes on and after it ended, recorded once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from appliance.operations.packs.activation import Activated
from appliance.operations.packs.errors import GATE, NO_PREVIOUS
from appliance.operations.packs.intake import FreeBytes, Intake, free_bytes
from appliance.operations.packs.places import Places
from appliance.operations.packs.shelf import INCOMING, OnBytes, Shelf
from appliance.operations.packs.work import Order, Work, Workbench
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs
from tests.unit.store.conftest import until

DONE = Work(id="", kind="verify", what="", by="", began="")


class PlayedSwitch:
    """Reads for as long as nobody lets it go on, then fails or serves."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.bad = self.broken = False

    async def activate(self, pack: str, on_bytes: OnBytes = lambda _: None) -> Activated:
        while not self.go_on.is_set():
            on_bytes(1)
            await asyncio.sleep(0)
        if self.broken:
            raise RuntimeError("nobody foresaw it")
        if self.bad:
            raise GATE(pack=pack, reason="engine.load_failed")
        return Activated("chat_model", pack, "tiny-1")

    async def rollback(self, capability: str, on_bytes: OnBytes = lambda _: None) -> Activated:
        del on_bytes
        raise NO_PREVIOUS(capability=capability)


class Bench:
    def __init__(self, shelf: Shelf, inbox: Path, free: FreeBytes = free_bytes) -> None:
        self.switch, self.recorded = PlayedSwitch(), list[tuple[str, str, int, str]]()
        places = Places(inbox, ())
        self.bench = Workbench(
            shelf, self.switch, Intake(shelf, free=free, spare_bytes=0), places, now=lambda: "now", record=self._record
        )

    async def _record(self, order: Order, what: str, status: int, code: str) -> None:
        self.recorded.append((order.kind, what, status, code))

    async def order(self, kind: str, what: str = "", path: str = "") -> Work:
        """Give it and wait for its end."""
        order = self.begin(kind, what, path)
        await until(lambda: (self.bench.latest() or DONE).id == order.id and bool((self.bench.latest() or DONE).ended))
        work = self.bench.latest()
        assert work is not None
        return work

    def begin(self, kind: str, what: str = "", path: str = "") -> Order:
        order = Order(id=f"{kind} {what}{path}", kind=kind, what=what, place="inbox", path=path, by="ana")  # type: ignore[arg-type]
        self.bench.check(order)
        self.bench.begin(order)
        return order


@pytest.fixture
def bench(shelf: Shelf, source: Path) -> Bench:
    return Bench(shelf, source.parent)


async def test_a_pack_comes_in_and_goes_out_with_its_bytes_counted(bench: Bench, shelf: Shelf) -> None:
    work = await bench.order("import", path="source")
    size = shelf.manifest(shelf.find("tiny-2")).size
    assert (work.state, work.pack, work.capability, work.by) == ("done", "tiny-2", "chat_model", "ana")
    assert (work.done_bytes, work.all_bytes, work.began, work.ended) == (size, size, "now", "now")
    bench.recorded.clear()
    assert (await bench.order("verify", "tiny-2")).state == "done"
    bench.recorded.clear()
    removed = await bench.order("remove", "tiny-2")
    assert (removed.state, removed.capability, removed.done_bytes >= size) == ("done", "chat_model", True)
    assert bench.recorded == [("remove", "tiny-2", 200, "")]
    assert [folder.name for folder in shelf.folders()] == ["tiny-1"]


async def test_what_is_wrong_is_told_file_by_file(bench: Bench, shelf: Shelf) -> None:
    (shelf.find("tiny-1") / "LICENSE").write_text("Apache 3.0 …")
    work = await bench.order("verify", "tiny-1")
    assert (work.state, [one.file for one in work.wrong], work.told.code) == ("failed", ["LICENSE"], "pack.altered")
    assert bench.recorded == [("verify", "tiny-1", 422, "pack.altered")]


async def test_a_model_that_fails_its_test_leaves_what_served_and_says_so(bench: Bench) -> None:
    bench.switch.bad = True
    bench.switch.go_on.set()
    work = await bench.order("activate", "tiny-1")
    assert (work.state, work.told.code, work.serving) == ("failed", "pack.gate", "tiny-1")
    assert work.told.step_pt.startswith("Nada mudou")
    bench.recorded.clear()
    assert (await bench.order("rollback", "chat_model")).told.code == "pack.no_previous"
    assert bench.recorded == [("rollback", "chat_model", 409, "pack.no_previous")]


async def test_what_nobody_foresaw_is_told_and_leaves_the_bench_free(bench: Bench) -> None:
    bench.switch.broken = True
    bench.switch.go_on.set()
    work = await bench.order("activate", "tiny-1")
    assert (work.state, work.told.code, work.serving) == ("failed", "internal", "tiny-1")
    assert work.id in work.told.step_en
    assert bench.recorded == [("activate", "tiny-1", 500, "internal")]
    assert (await bench.order("verify", "tiny-1")).state == "done"


async def test_only_one_at_a_time_and_it_can_be_stopped(bench: Bench) -> None:
    order = bench.begin("activate", "tiny-1")
    await until(lambda: (bench.bench.latest() or DONE).done_bytes > 2)
    now = bench.bench.latest()
    assert now is not None
    assert (now.state, now.all_bytes > 0) == ("running", True)
    with pytest.raises(ProntuarioError, match=r"pack\.busy"):
        bench.begin("verify", "tiny-1")
    bench.bench.begin(Order(id="late", kind="verify", what="tiny-1"))  # lost the race between check and begin
    assert not bench.bench.stop("another")
    assert bench.bench.stop(order.id)
    await until(lambda: bool((bench.bench.latest() or DONE).ended))
    ended = bench.bench.latest()
    assert ended is not None
    assert (ended.id, ended.state, bench.recorded) == (order.id, "stopped", [("activate", "tiny-1", 499, "")])
    assert not bench.bench.stop(order.id)


async def test_an_import_that_was_stopped_is_taken_up_again(tmp_path: Path, shelf: Shelf) -> None:
    packs.make(tmp_path / "inbox" / "large", version=2, side=1200)
    go_on = threading.Event()

    def slow_look(_disk: Path) -> int:
        assert go_on.wait(60)
        return 1 << 40

    bench = Bench(shelf, tmp_path / "inbox", slow_look)
    order = bench.begin("import", path="large")
    assert bench.bench.stop(order.id)
    go_on.set()
    await until(lambda: bool((bench.bench.latest() or DONE).ended))
    stopped = bench.bench.latest()
    assert stopped is not None
    assert stopped.state == "stopped"
    assert len(list(shelf.models.rglob(f"{INCOMING}*"))) == 1
    again = Bench(shelf, tmp_path / "inbox")
    assert (await again.order("import", path="large")).pack == "tiny-2"


@pytest.mark.parametrize(
    ("kind", "what", "path", "code"),
    [
        ("verify", "none-1", "", "pack.unknown"),
        ("activate", "../tiny-1", "", "pack.unknown"),
        ("remove", "tiny-1", "", "pack.in_use"),
        ("import", "", "../x", "pack.place"),
    ],
)
async def test_what_speaks_against_it_is_said_before_it_begins(
    bench: Bench, kind: str, what: str, path: str, code: str
) -> None:
    with pytest.raises(ProntuarioError) as refused:
        bench.begin(kind, what, path)
    assert refused.value.kind.code == code
    assert bench.bench.latest() is None


async def test_a_source_that_went_away_is_told_and_nothing_is_left(bench: Bench, shelf: Shelf) -> None:
    work = await bench.order("import", path="pulled-out")
    assert (work.state, work.told.code, bench.recorded[0][2]) == ("failed", "pack.place", 404)
    assert list(shelf.models.rglob(f"{INCOMING}*")) == []
    await bench.bench.close()
