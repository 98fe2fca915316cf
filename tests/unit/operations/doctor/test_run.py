"""Checks run side by side: one that hangs or breaks is told as such, and doctor as a whole changes and betrays nothing."""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Config, Paths
from appliance.operations.doctor import home
from appliance.operations.doctor.checks import BY_ID, CHECKS, GROUPS
from appliance.operations.doctor.model import COMMON, Check, Finding
from appliance.operations.doctor.page import as_text, checks_page
from appliance.operations.doctor.patient import Line, Machine, Patient, filesystem, time_server
from appliance.operations.doctor.run import SCHEMA, Report, report, run_checks
from tests.unit.operations.doctor.ward import NOW, PASSPHRASE, PATIENCE_S, Ward

RUNBOOKS = Path(__file__).resolve().parents[4] / "docs" / "runbooks"


def all_of(ward: Ward) -> list[Finding]:
    return ward.findings()


def a_check(name: str = "x", **settings: float) -> Check:
    return Check(name, "home", pt="x", en="x", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ground", "skipped"),
    [
        ("mac", {"alone", "stopped"}),
        ("serving", {"elsewhere", "alone"}),
        ("pair", {"elsewhere"}),
    ],
)
def test_a_healthy_node_has_no_trouble(ward: Ward, ground: str, skipped: set[str]) -> None:
    ward.prepare(ground)  # type: ignore[arg-type]
    found = all_of(ward)
    assert [one.id for one in found] == [check.id for check in CHECKS]
    expected = {"node.off"} if ground == "mac" else {"api.silent"} if ground == "pair" else set()
    assert {f"{one.id}.{one.verdict}" for one in found if one.status in {"warning", "failed"}} == expected
    assert {one.verdict for one in found if one.status == "skipped"} == skipped


def test_what_a_program_was_asked_is_what_its_manual_page_says(ward: Ward) -> None:
    ward.prepare("mac")
    all_of(ward)
    home_folder = str(ward.paths.home)
    assert ward.asked("fdesetup") == ["status"]
    assert ward.asked("pmset") == ["-g custom"]
    assert ward.asked("tmutil") == [f"isexcluded {home_folder}"]
    assert ward.asked("sntp") == ["-t 3 10.0.0.1"]
    assert ward.asked("systemsetup") == ["-getusingnetworktime"]
    assert ward.asked("launchctl") == ["print system/br.prontuario.core"]
    assert ward.asked("pfctl") == ["-s info", "-s rules", "-a br.prontuario -s rules"]
    assert all(words.startswith("--verify --strict ") for words in ward.asked("codesign"))


def test_rules_that_the_main_ones_do_not_call_filter_nothing(ward: Ward) -> None:
    """A set-up that was killed while the second Mac was waited for leaves macOS's own rules in force, ours in their anchor."""
    ward.prepare("mac")
    assert ward.examine("firewall").verdict == "well"
    said = (ward.bin / "pfctl.out").read_text()
    ward.program("pfctl", said.replace('anchor "br.prontuario" all', 'anchor "com.apple/*" all'))
    assert ward.examine("firewall").verdict == "empty"


def test_a_job_that_ends_at_once_is_judged_by_how_it_ended(ward: Ward) -> None:
    ward.prepare("mac")
    jobs = ward.root / "Library" / "LaunchDaemons"
    (jobs / "br.prontuario.core.plist").rename(jobs / "br.prontuario.firewall.plist")
    for code, verdict in (("0", "well"), ("1", "down"), ("(never exited)", "down")):
        ward.program("launchctl", f"x = {{\n\tstate = not running\n\tlast exit code = {code}\n}}\n")
        assert ward.examine("launchd-jobs").verdict == verdict


def test_a_port_that_our_own_node_has(ward: Ward) -> None:
    ward.prepare("running")
    ward.set("api", port=8443)
    ward.on(can_bind=lambda _host, _port: False)
    assert ward.examine("ports").verdict == "ours"


def a_task(name: str, **changes: object) -> dict[str, object]:
    row = {
        "node": "b", "name": name, "title_pt": "x", "title_en": "x", "every_s": 1.0, "here": True, "running": False, "due_at": "",
        "ok_at": None, "last": None, "failures": 0, "trouble": None, "figures": {},
    }  # fmt: skip
    return {**row, **changes}


def test_a_primary_whose_standby_is_away_is_judged_by_the_proof_of_its_own_copy(ward: Ward) -> None:
    ward.prepare("pair")
    now = NOW.isoformat()
    ward.answers["schedule.report"] = {"tasks": [a_task("lonely-proof", ok_at=now)]}
    assert ward.examine("restore-proof").verdict == "well"
    trouble = {"code": "x", "cause_pt": "x", "cause_en": "it broke", "step_pt": "x", "step_en": "mend it"}
    failed = a_task("lonely-proof", ok_at=now, trouble=trouble, failures=1)
    ward.answers["schedule.report"] = {"tasks": [failed, a_task("restore-proof", node="a", ok_at=now)]}
    found = ward.examine("restore-proof")
    assert (found.verdict, "it broke" in found.cause_en) == ("failed", True)
    assert ward.examine("routines").verdict == "well", "told once"


def test_in_a_pair_the_proof_is_the_one_of_the_node_whose_work_it_is(ward: Ward) -> None:
    """This node proved long ago, when it was the standby; the other one did so today."""
    ward.prepare("pair")
    ward.remember("restore-proof", ok_s=NOW.timestamp() - 30 * 86400)
    ward.remember("blob-check", failures=1, trouble=None)
    old = a_task("restore-proof", node="a", here=False, ok_at=(NOW - timedelta(days=30)).isoformat())
    ward.answers["schedule.report"] = {"tasks": [a_task("restore-proof", ok_at=NOW.isoformat()), old]}
    assert ward.examine("restore-proof").verdict == "well"
    ward.paths.database.unlink()
    assert ward.examine("restore-proof").verdict == "well", "a standby has no record of its own"
    assert ward.examine("routines").verdict == "well"
    trouble = {"code": "x", "cause_pt": "x", "cause_en": "it broke", "step_pt": "x", "step_en": "mend it"}
    ward.answers["schedule.report"] = {
        "tasks": [a_task("blob-check", trouble=trouble, failures=3), a_task("blob-check")]
    }
    assert "it broke" in ward.examine("routines").cause_en
    fcntl.flock(ward.pid_file, fcntl.LOCK_UN)
    assert ward.examine("restore-proof").verdict == "stopped", "the other node may be the one that proves"


def test_a_check_that_hangs_hangs_nobody(ward: Ward) -> None:
    released, slow, quick = threading.Event(), a_check("slow", deadline_s=0.01), a_check("quick", deadline_s=PATIENCE_S)
    well = quick.ok("bem", "well")

    @slow
    def wait(_patient: Patient) -> Finding:
        released.wait()
        return well()

    quick(lambda _patient: well())
    try:
        late, fine = run_checks([slow, quick], ward.paths, ward.machine)
    finally:
        released.set()
    assert (late.id, late.verdict, late.status) == ("slow", "late", "failed")
    assert "0.01 s" in late.cause_pt
    assert fine.status == "ok"


def test_a_program_that_hangs_is_ended_and_told(ward: Ward) -> None:
    (ward.bin / "sleepy").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (ward.bin / "sleepy").chmod(0o755)
    check = a_check()

    @check
    def examine(patient: Patient) -> Finding:
        patient.machine.ask("sleepy")
        raise AssertionError("it never answers")

    ward.on(patience_s=0.05)
    (finding,) = ward.findings([check])
    assert (finding.verdict, finding.status) == ("late", "failed")


@pytest.mark.parametrize("error", [OSError("x"), ValueError("x"), KeyError("x"), msgspec.DecodeError("x")])
def test_a_check_that_breaks_says_so_without_quoting(ward: Ward, error: Exception) -> None:
    check = a_check()

    @check
    def examine(_patient: Patient) -> Finding:
        raise error

    (finding,) = ward.findings([check])
    assert (finding.verdict, finding.status) == ("broken", "failed")
    assert type(error).__name__ in finding.cause_en


@pytest.mark.parametrize(("user", "verdict", "status"), [(501, "hidden", "skipped"), (0, "broken", "failed")])
def test_who_may_not_look_has_not_seen_it_and_only_root_has_found_something(
    ward: Ward, user: int, verdict: str, status: str
) -> None:
    check = a_check()

    @check
    def examine(_patient: Patient) -> Finding:
        raise PermissionError(13, "x")

    ward.on(user=lambda: user)
    (finding,) = ward.findings([check])
    assert (finding.verdict, finding.status) == (verdict, status)
    assert ("sudo prontuario doctor" in finding.step_pt) == (verdict == "hidden")


def test_a_configuration_that_can_not_be_read_costs_only_what_depends_on_it(ward: Ward) -> None:
    ward.paths.config.write_text("[node\n")
    found = {one.id: one for one in run_checks(CHECKS, ward.paths, ward.machine, ward.line(), deadline_s=PATIENCE_S)}
    assert found["configuration"].verdict == "invalid"
    assert found["memory"].verdict == "unread"
    assert found["database"].verdict == "well"
    assert {one.verdict for name, one in found.items() if BY_ID[name].needs_config} == {"unread"}


def test_the_configuration_is_read_from_the_home(ward: Ward) -> None:
    ward.paths.config.write_text("[memory]\nai_bytes = 99_000_000_000\n")
    (finding,) = run_checks([BY_ID["memory"]], ward.paths, ward.machine, deadline_s=PATIENCE_S)
    assert finding.verdict == "too-much"


def test_no_home(tmp_path: Path) -> None:
    (finding,) = run_checks(CHECKS, Paths(tmp_path / "nowhere"))
    assert (finding.id, finding.verdict) == ("home", "missing")


def test_an_empty_home_has_no_failure_but_much_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    machine = Machine(
        now=lambda: NOW, platform="linux", can_bind=lambda _h, _p: True, flush_s=lambda _: 1e-3, filesystem=lambda _: "ext4",
        free_bytes=lambda _: 1 << 40, patience_s=PATIENCE_S,
    )  # fmt: skip
    found = {
        one.id: one for one in run_checks(CHECKS, Paths(tmp_path), machine, config=Config(), deadline_s=PATIENCE_S)
    }
    assert {name for name, one in found.items() if one.status == "failed"} == set()
    for name in ("configuration", "authority", "server-certificate", "secrets", "master-key", "pinned-root"):
        assert found[name].verdict == "missing"


def test_doctor_changes_nothing(ward: Ward) -> None:
    def picture() -> dict[str, tuple[int, bytes]]:
        files = [
            path for path in ward.paths.home.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        ]
        return {str(path): (path.stat().st_mode, path.read_bytes()) for path in files}

    (ward.paths.secrets / "root.key").chmod(0o640)
    before = picture()
    all_of(ward)
    assert picture() == before


def test_neither_a_patient_nor_a_secret_is_betrayed(ward: Ward) -> None:
    """Names in the record, in logs and in what failed stay where they are, whatever is broken."""
    ward.prepare("serving")
    ward.sql(
        'INSERT INTO audit_event (seq, body) VALUES (4, \'{"at": "2026-11-21T00:00:00.000Z", "patient": "Maria-Canario"}\')'
    )
    (ward.paths.logs / "core.jsonl").write_text("Maria-Canario")
    ward.paths.config.write_text("[node]\nsenha-canario = 'Maria-Canario'\n")
    (ward.paths.secrets / "root.pem").write_text("Maria-Canario")
    (ward.paths.home / "data" / "schedule.json").write_text("Maria-Canario")
    ward.sql("PRAGMA user_version = 1")
    text = msgspec.json.encode(report(all_of(ward), ward.machine)).decode()
    key = next(line for line in (ward.paths.secrets / "device-ca.key").read_text().splitlines() if len(line) > 60)
    for secret in ("Maria-Canario", PASSPHRASE, key):
        assert secret not in text


def test_the_report_is_json_that_other_programs_can_rely_on(ward: Ward) -> None:
    ward.on(free_bytes=lambda _: 0)
    told = msgspec.json.decode(msgspec.json.encode(report(all_of(ward), ward.machine)), type=Report)
    assert (told.schema, told.status, told.at[:10]) == (SCHEMA, "failed", "2026-11-21")
    assert set(msgspec.to_builtins(told.findings[0])) == {
        "id", "verdict", "status", "group", "title_pt", "title_en", "cause_pt", "cause_en", "step_pt", "step_en", "runbook", "seconds",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "total"),
    [((), "ok"), (("skipped",), "ok"), (("warning", "ok"), "warning"), (("failed", "warning"), "failed")],
)
def test_the_worst_finding_is_the_whole(statuses: tuple[str, ...], total: str) -> None:
    findings = [
        Finding(id="x", verdict="x", status=one, group="x", title_pt="", title_en="", cause_pt="", cause_en="")
        for one in statuses
    ]  # type: ignore[arg-type]
    assert report(findings).status == total


def test_people_see_what_is_wrong_and_its_next_step_in_their_language(ward: Ward) -> None:
    ward.on(free_bytes=lambda _: 0)
    told = report(all_of(ward), ward.machine)
    portuguese, english = as_text(told, "pt"), as_text(told, "en")
    assert "FALHA Espaço em disco: Há só 0.0 GiB livres" in portuguese
    assert "Libere espaço agora" in portuguese
    assert "docs/runbooks/disk-full.md" in portuguese
    assert "FAILED Disk space: Only 0.0 GiB are free" in english
    assert "[disk-space.full]" in english
    assert "Clock:" not in english
    assert "Clock: The clock shows" in as_text(told, "en", everything=True)
    assert "1 falhas" in portuguese


# -- the register -------------------------------------------------------------------------------------------------------
def test_every_check_is_listed_once_with_words_in_both_languages() -> None:
    assert len(BY_ID) == len(CHECKS) >= 40
    for check in CHECKS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", check.id)
        assert check.group in GROUPS
        assert check.pt
        assert check.en
        assert any(verdict.status == "ok" for verdict in check.verdicts.values()), check.id
        assert any(verdict.status in {"warning", "failed"} for verdict in check.verdicts.values()), check.id
        assert not check.runbook or (RUNBOOKS / f"{check.runbook}.md").exists(), check.id


def test_both_languages_name_the_same_details() -> None:
    for one in (*COMMON, *(verdict for check in CHECKS for verdict in check.verdicts.values())):
        names = [set(re.findall(r"\{(\w+)\}", " ".join(words))) for words in (one.pt, one.en)]
        assert names[0] == names[1], one


def test_no_check_takes_a_name_that_any_check_may_give() -> None:
    assert {one.name for one in COMMON}.isdisjoint({name for check in CHECKS for name in check.verdicts})


def test_a_verdict_can_not_be_declared_twice() -> None:
    check = a_check()
    check.ok("x", "x")
    with pytest.raises(ValueError, match="two verdicts"):
        check.ok("x", "x")


def test_the_page_tells_every_verdict() -> None:
    page = checks_page()
    for check in CHECKS:
        assert f"**`{check.id}`**" in page
        for verdict in check.verdicts.values():
            assert (f"`{check.id}.{verdict.name}`" in page) == (verdict.status != "ok")


# -- the machine --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "server"),
    [
        ("server time.apple.com\n", "time.apple.com"),
        ("# comment\nserver 10.0.0.1 iburst\nserver 10.0.0.2\n", "10.0.0.1"),
        ("serverless x\n", None),
        ("server\n", None),
    ],
)
def test_the_time_server_stands_where_macos_keeps_it(tmp_path: Path, content: str, server: str | None) -> None:
    file = tmp_path / "ntp.conf"
    file.write_text(content)
    assert time_server(file) == server
    assert time_server(tmp_path / "missing") is None


def test_the_real_disk_can_be_asked(tmp_path: Path) -> None:
    machine = Machine()
    assert machine.flush_s(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []
    assert machine.free_bytes(tmp_path) > 0
    assert 0 < machine.available_bytes() <= machine.memory_bytes()
    assert "127.0.0.1" in machine.addresses()
    assert isinstance(filesystem(tmp_path), str)


def test_a_running_node_is_asked_each_verb_once(ward: Ward) -> None:
    asked: list[str] = []

    @contextmanager
    def noted() -> Iterator[Line]:
        def ask(verb: str) -> dict[str, str]:
            asked.append(verb)
            if verb == "mute":
                raise ConnectionRefusedError
            return {"verb": verb}

        yield Line(ask)

    with noted() as line:
        for _ in range(3):
            assert line.ask("doctor") == {"verb": "doctor"}
            with pytest.raises(ConnectionRefusedError):
                line.ask("mute")
    assert asked == ["doctor", "mute"]


def test_a_lock_that_fell_with_its_holder_is_no_node(ward: Ward) -> None:
    assert not home.runs_here(ward.paths.run)
    (ward.paths.run / "core.pid").write_text("1")
    assert not home.runs_here(ward.paths.run)
    ward.prepare("running")
    assert home.runs_here(ward.paths.run)


def test_a_checkpoint_long_after_the_last_commit_is_not_taken_for_a_copy_that_trails(ward: Ward) -> None:
    now = time.time()
    os.utime(next(ward.paths.spool.rglob("*.ltx")), (now - 7200, now - 7200))
    os.utime(ward.paths.database, (now, now))
    ward.paths.database.with_name("record.sqlite-wal").write_bytes(b"")
    assert ward.examine("spool").status == "ok"
