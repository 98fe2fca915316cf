from __future__ import annotations

import pytest

from appliance.daemon.launchd.jobs import Job, jobs_of
from appliance.daemon.launchd.layout import Installation
from appliance.daemon.launchd.newsyslog import faults_of, rotation
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.launchd.parts import HOME, PAIR

GOOD = "/var/log/prontuario/core.log _prontuario:_prontuario 640 5 1024 * N"


def test_every_job_s_output_is_rotated_once_and_belongs_to_the_job() -> None:
    jobs = jobs_of(HOME, PAIR, Installation())
    file = rotation(jobs)
    lines = [line.split() for line in file.content.decode().splitlines() if not line.startswith("#")]
    assert [line[0] for line in lines] == [str(job.plist()["StandardErrorPath"]) for job in jobs]
    assert [line[1] for line in lines] == [f"{job.user}:{job.group}" for job in jobs]
    assert str(file.path) == "/etc/newsyslog.d/prontuario.conf"


@pytest.mark.parametrize(
    "line", [GOOD, "", "# only a comment", GOOD.replace("* N", "@T00 -"), GOOD.replace("1024 *", "* 24")]
)
def test_sound_lines_pass(line: str) -> None:
    assert list(faults_of(line)) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (GOOD.replace("/var/log/prontuario/", "/Users/x/"), "logfile"),
        (GOOD.replace("core.log", "../core.log"), "logfile"),
        (GOOD.replace("_prontuario:_prontuario", "_prontuario"), "owner"),
        (GOOD.replace("640", "666"), "mode"),
        (GOOD.replace("640", "9"), "mode"),
        (GOOD.replace(" 5 ", " many "), "count"),
        (GOOD.replace("1024", "1M"), "size"),
        (GOOD.replace("1024", "*"), "never rotated"),
        (GOOD.replace("* N", "daily N"), "when"),
        (GOOD.replace("* N", "* nosignal"), "flags"),
        (GOOD.removesuffix(" * N"), "5 fields instead of 7"),
        (f"{GOOD}\n{GOOD}", "line 2: /var/log/prontuario/core.log is rotated twice"),
    ],
)
def test_a_wrong_field_is_named(line: str, told: str) -> None:
    found = list(faults_of(line))
    assert len(found) == 1
    assert told in found[0]


def test_a_job_whose_name_breaks_the_line_is_refused() -> None:
    with pytest.raises(ProntuarioError, match=r"launchd\.newsyslog"):
        rotation([Job("two words", ("/bin/true",))])
