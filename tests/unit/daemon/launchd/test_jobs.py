from __future__ import annotations

import math
import plistlib
from typing import Any

import msgspec
import pytest

from appliance.config import Config
from appliance.config.model import Cluster
from appliance.daemon.cli import main
from appliance.daemon.launchd.jobs import OPEN_FILES, Job, jobs_of
from appliance.daemon.launchd.layout import Installation
from tests.unit.daemon.launchd.parts import ALONE, HOME, PAIR

INSTALLATION = Installation()


def jobs(config: Config) -> dict[str, Job]:
    return {job.name: job for job in jobs_of(HOME, config, INSTALLATION)}


def plists(config: Config) -> dict[str, dict[str, Any]]:
    return {name: plistlib.loads(job.file().content) for name, job in jobs(config).items()}


def test_a_node_alone_has_neither_etcd_nor_vipd() -> None:
    assert list(jobs(ALONE)) == ["firewall", "core", "admin"]


def test_a_node_of_a_pair_has_all_of_them() -> None:
    assert list(jobs(PAIR)) == ["firewall", "etcd", "vipd", "core", "admin"]


def test_a_pair_behind_a_balancer_has_no_vipd() -> None:
    behind = msgspec.structs.replace(PAIR, cluster=msgspec.structs.replace(PAIR.cluster, vip_addresses=()))
    assert "vipd" not in jobs(behind)


def test_a_node_that_is_no_voter_has_no_etcd() -> None:
    other = msgspec.structs.replace(PAIR, cluster=msgspec.structs.replace(PAIR.cluster, node="z"))
    assert "etcd" not in jobs(other)


def test_one_mac_with_leftover_pair_settings_stays_alone() -> None:
    cluster = Cluster(mode="single", etcd_initial_cluster="a=https://10.0.0.1:2380", vip_addresses=("10.0.0.9",))
    assert list(jobs(Config(cluster=cluster))) == ["firewall", "core", "admin"]


def test_every_program_is_a_command_that_exists() -> None:
    for job in jobs(PAIR).values():
        if job.name == "firewall":
            continue
        program, *words = job.arguments
        assert program == "/Library/Prontuario/current/bin/prontuario"
        with main.make_context("prontuario", list(words), resilient_parsing=True) as context:
            command: Any = main
            left = list(words)
            while hasattr(command, "commands"):
                command = command.commands[left.pop(0)]
            parsed = command.make_context(command.name, left, parent=context)
            assert str(parsed.params["home"]) == str(HOME)


def test_services_run_as_the_role_account_and_nobody_reads_what_they_write() -> None:
    for name in ("etcd", "core", "admin"):
        plist = plists(PAIR)[name]
        assert (plist["UserName"], plist["GroupName"], plist["InitGroups"]) == ("_prontuario", "_prontuario", False)
        assert plist["Umask"] == 0o077
        assert plist["SoftResourceLimits"] == {"NumberOfFiles": OPEN_FILES}
        assert plist["WorkingDirectory"] == plist["EnvironmentVariables"]["HOME"] == str(HOME)


def test_vipd_is_root_and_has_nothing_else() -> None:
    plist = plists(PAIR)["vipd"]
    assert (plist["UserName"], plist["GroupName"], plist["InitGroups"]) == ("root", "wheel", False)
    assert plist["WorkingDirectory"] == "/"
    assert plist["EnvironmentVariables"] == {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    assert not {"SoftResourceLimits", "HardResourceLimits", "AbandonProcessGroup"} & plist.keys()


def test_every_service_is_kept_alive_and_its_timers_are_not_gathered() -> None:
    for name, plist in plists(PAIR).items():
        kept = {key: plist.get(key) for key in ("KeepAlive", "ThrottleInterval", "ProcessType", "LegacyTimers")}
        wanted = {"KeepAlive": True, "ThrottleInterval": 10, "ProcessType": "Interactive", "LegacyTimers": True}
        assert kept == (dict.fromkeys(kept) if name == "firewall" else wanted)
        assert plist["RunAtLoad"] is True


@pytest.mark.parametrize("drain_s", [0.0, 5.0, 7.5, 600.0])
def test_core_has_longer_to_end_than_it_drains(drain_s: float) -> None:
    config = msgspec.structs.replace(PAIR, api=msgspec.structs.replace(PAIR.api, drain_s=drain_s))
    assert plists(config)["core"]["ExitTimeOut"] == math.ceil(drain_s) + 30


def test_root_never_opens_a_file_in_a_folder_of_the_account() -> None:
    for name, plist in plists(PAIR).items():
        assert plist["StandardErrorPath"] == plist["StandardOutPath"] == f"/var/log/prontuario/{name}.log"


def test_the_same_configuration_gives_the_same_bytes() -> None:
    first, second = jobs(PAIR), jobs(msgspec.convert(msgspec.to_builtins(PAIR), Config))
    assert [job.file() for job in first.values()] == [job.file() for job in second.values()]
    assert [job.file().path.name for job in first.values()] == [f"{job.label}.plist" for job in first.values()]


def test_nothing_of_the_plugins_settings_nor_any_secret_stands_in_a_plist() -> None:
    """A plist is readable by everybody. Every text that a hospital may write is a marker here; only the home comes back."""
    secret = {"api_key": "SENTINEL-key", "nested": {"password": "SENTINEL-password", "url": "https://u:SENTINEL@x"}}
    marked = msgspec.structs.replace(
        PAIR,
        plugins={"gcp_sync": secret, "other": secret},
        capabilities={"chat_model": ("SENTINEL-provider",)},
        node=msgspec.structs.replace(PAIR.node, name="SENTINEL-node", hospital="SENTINEL-hospital"),
        api=msgspec.structs.replace(PAIR.api, names=("SENTINEL.local",)),
    )
    for job in jobs(marked).values():
        assert b"SENTINEL" not in job.file().content
        assert b"SECRET" not in job.file().content.upper()


def test_another_prefix_is_used_everywhere() -> None:
    from pathlib import PurePosixPath

    for job in jobs_of(HOME, PAIR, Installation(PurePosixPath("/opt/p"))):
        assert job.name == "firewall" or job.arguments[0] == "/opt/p/current/bin/prontuario"
