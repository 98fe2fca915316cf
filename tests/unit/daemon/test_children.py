import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from appliance.daemon.children import Child, ChildFailedError

PROGRAM = """
import asyncio, os, sys, time, pathlib
from appliance.daemon.lifeline import announce, stop_event
options = dict(part.lstrip("-").split("=", 1) for part in sys.argv[1:])
async def main():
    stop = stop_event(int(options["leash-fd"]))
    if options.get("mode") == "silent":
        await asyncio.sleep(600)
    if options.get("mode") == "fails":
        sys.exit(7)
    announce(int(options["ready-fd"]), {"pid": os.getpid()})
    if options.get("mode") == "stubborn":
        while True:
            time.sleep(1)
    await stop.wait()
    pathlib.Path(options["trace"]).write_text("drained")
asyncio.run(main())
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "victim.py").write_text(textwrap.dedent(PROGRAM))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return tmp_path / "trace"


def child(trace: Path, mode: str = "normal", *, stop_limit_s: float = 20) -> Child:
    return Child("victim", "victim", [f"--mode={mode}", f"--trace={trace}"], stop_limit_s=stop_limit_s)


async def gone(pid: int) -> bool:
    for _ in range(600):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_child_says_ready_and_drains_on_stop(program: Path) -> None:
    one = child(program)
    ready = await one.start(ready_limit_s=60)
    assert ready["pid"] == one.pid
    await one.stop()
    assert program.read_text() == "drained"
    assert one.pid is None


async def test_a_killed_child_comes_back_with_another_pid(program: Path) -> None:
    one = child(program)
    first = (await one.start(ready_limit_s=60))["pid"]
    os.kill(first, signal.SIGKILL)
    for _ in range(600):
        if one.pid not in {None, first}:
            break
        await asyncio.sleep(0.05)
    assert one.pid not in {None, first}
    assert one.restarts == 1
    await one.stop()


async def test_a_child_that_fails_at_start_tells_its_exit_status(program: Path) -> None:
    with pytest.raises(ChildFailedError) as caught:
        await child(program, "fails").start(ready_limit_s=60)
    assert caught.value.code == 7


async def test_a_child_that_says_nothing_is_killed(program: Path) -> None:
    one = child(program, "silent")
    with pytest.raises(ChildFailedError, match="said nothing"):
        await one.start(ready_limit_s=2)
    await one.stop()
    assert one.pid is None


async def test_a_child_that_ignores_sigterm_is_killed(program: Path) -> None:
    one = child(program, "stubborn", stop_limit_s=1)
    pid = (await one.start(ready_limit_s=60))["pid"]
    await one.stop()
    assert await gone(pid)


async def test_a_child_does_not_outlive_its_parent(program: Path, tmp_path: Path) -> None:
    parent = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from appliance.daemon.children import Child\n"
        "async def main():\n"
        f"    one = Child('victim', 'victim', ['--trace={program}'], stop_limit_s=5)\n"
        "    print((await one.start(ready_limit_s=60))['pid'], flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    pid = int(await asyncio.wait_for(process.stdout.readline(), 60))
    process.kill()
    await process.wait()
    assert await gone(pid)
