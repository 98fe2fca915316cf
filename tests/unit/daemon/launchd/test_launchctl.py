"""Replacing a job: the same expectations of the fake launchd and of the real one, and the naive way for comparison."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.daemon.launchd.launchctl import NOT_YET, Launchctl, patience_of
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.launchd.parts import PATIENCE_S, Bench, PaperLaunchd


async def naive_replace(bench: Bench) -> int:
    """What a script would do: bootout, bootstrap, done."""
    target = f"{bench.launchctl.domain}/{bench.label}"
    subprocess.run([bench.launchctl.program, "bootout", target], check=True)
    done = subprocess.run(
        [bench.launchctl.program, "bootstrap", bench.launchctl.domain, str(bench.plist)],
        check=False,
        capture_output=True,
    )
    return done.returncode


async def test_a_job_comes_and_goes(bench: Bench) -> None:
    assert not await bench.launchctl.knows(bench.label)
    await bench.start()
    assert await bench.launchctl.knows(bench.label)
    await bench.launchctl.bootout(bench.label, within_s=PATIENCE_S)
    assert not await bench.launchctl.knows(bench.label)


async def test_taking_away_what_is_not_there_is_no_error(bench: Bench) -> None:
    await bench.launchctl.bootout(bench.label, within_s=PATIENCE_S)
    assert not await bench.launchctl.knows(bench.label)


async def test_loading_what_is_loaded_is_refused_and_leaves_it_running(bench: Bench) -> None:
    await bench.start()
    with pytest.raises(ProntuarioError, match=r"launchd\.launchctl") as caught:
        await bench.launchctl.bootstrap(bench.plist, within_s=0.0)
    assert caught.value.details["label"] == bench.label
    assert await bench.launchctl.knows(bench.label)


async def test_the_naive_sequence_ends_with_nothing_running(bench: Bench) -> None:
    await bench.start()
    assert await naive_replace(bench) in NOT_YET
    await bench.until_gone()  # the old one has left, and nobody came after it


async def test_ours_ends_with_the_new_job_running(bench: Bench) -> None:
    await bench.start()
    await bench.launchctl.replace(bench.plist)
    assert await bench.launchctl.knows(bench.label)


async def test_replacing_starts_what_did_not_run(bench: Bench) -> None:
    await bench.launchctl.replace(bench.plist)
    assert await bench.launchctl.knows(bench.label)


async def test_a_bootout_by_somebody_else_is_waited_for(bench: Bench) -> None:
    await bench.start()
    target = f"{bench.launchctl.domain}/{bench.label}"
    subprocess.run([bench.launchctl.program, "bootout", target], check=True)
    await bench.launchctl.replace(bench.plist)
    assert await bench.launchctl.knows(bench.label)


async def test_a_label_freed_between_two_tries_is_taken(bench: Bench) -> None:
    """Somebody's bootout is still at work when we only load: the refusals 37 and 5 are tried again."""
    await bench.start()
    target = f"{bench.launchctl.domain}/{bench.label}"
    subprocess.run([bench.launchctl.program, "bootout", target], check=True)
    await bench.launchctl.bootstrap(bench.plist, within_s=PATIENCE_S)
    assert await bench.launchctl.knows(bench.label)


async def test_a_job_that_never_leaves_is_reported(paper: PaperLaunchd, tmp_path: Path) -> None:
    paper.set(jobs={"br.prontuario.core": None}, stuck=True)
    launchctl = Launchctl(str(paper.program), poll_s=0.01)
    with pytest.raises(ProntuarioError, match=r"launchd\.leaving") as caught:
        await launchctl.bootout("br.prontuario.core", within_s=0.5)
    assert "restart the Mac" in caught.value.next_step("en")


async def test_what_launchd_says_reaches_the_person(paper: PaperLaunchd, tmp_path: Path) -> None:
    broken = tmp_path / "br.prontuario.core.plist"
    broken.write_text("not a plist")
    with pytest.raises(ProntuarioError) as caught:
        await Launchctl(str(paper.program), poll_s=0.01).bootstrap(broken, within_s=0.0)
    assert "Input/output error" in caught.value.sentence("pt")


async def test_patience_is_longer_than_launchd_s_own(bench: Bench) -> None:
    assert patience_of(bench.plist) > 20
