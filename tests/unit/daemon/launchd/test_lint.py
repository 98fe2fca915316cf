"""What launchd would silently ignore or everybody would suffer from is refused, with file and key."""

from __future__ import annotations

import plistlib
from typing import Any

import pytest

from appliance.daemon.launchd.jobs import jobs_of
from appliance.daemon.launchd.layout import Installation
from appliance.daemon.launchd.lint import check, faults_of
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.launchd.parts import HOME, PAIR

CORE = next(job for job in jobs_of(HOME, PAIR, Installation()) if job.name == "core").plist()
FILE = "br.prontuario.core.plist"


def lint(job: dict[str, Any], file: str = FILE) -> list[str]:
    return [str(fault) for fault in faults_of(file, plistlib.dumps(job))]


def test_our_own_job_is_sound() -> None:
    assert lint(CORE) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"KeepAlve": True}, "KeepAlve: unknown key"),
        ({"Sockets": {"api": {"SockServiceName": "8443"}}}, "Sockets: unknown key"),
        ({"KeepAlive": "yes"}, "KeepAlive: must be a boolean or a dictionary, not str"),
        ({"KeepAlive": {"Crashd": True}}, "KeepAlive.Crashd: unknown key"),
        ({"KeepAlive": {"SuccessfulExit": 0}}, "KeepAlive.SuccessfulExit: must be a boolean, not int"),
        ({"Umask": "077"}, "Umask: must be an integer, not str"),
        ({"RunAtLoad": 1}, "RunAtLoad: must be a boolean, not int"),
        ({"ExitTimeOut": 0}, "ExitTimeOut: must be at least 1, not 0"),
        ({"ProcessType": "interactive"}, "ProcessType: must be one of"),
        ({"ProgramArguments": "/bin/sh"}, "ProgramArguments: must be an array of a string, not str"),
        ({"ProgramArguments": ["/bin/sh", 1]}, "ProgramArguments[1]: must be a string, not int"),
        ({"SoftResourceLimits": {"OpenFiles": 9}}, "SoftResourceLimits.OpenFiles: unknown key"),
        ({"EnvironmentVariables": {"PATH": 1}}, "EnvironmentVariables.PATH: must be a string, not int"),
        ({"UserName": "admin"}, "UserName: must be one of root, _prontuario"),
        ({"Label": "br.prontuario.kore"}, "Label: the file must be called br.prontuario.kore.plist"),
        ({"ProgramArguments": ["prontuario"]}, "ProgramArguments[0]: must be an absolute path"),
        ({"WorkingDirectory": "data"}, "WorkingDirectory: must be an absolute path"),
        ({"EnvironmentVariables": {"PRONTUARIO_PASSPHRASE": "x"}}, "EnvironmentVariables.PRONTUARIO_PASSPHRASE: is not"),
        ({"HardResourceLimits": {"NumberOfFiles": 128}}, "HardResourceLimits.NumberOfFiles: would lower the limit"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_told_with_its_file(change: dict[str, Any], told: str) -> None:
    found = lint(CORE | change)
    assert len(found) == 1
    assert found[0].startswith(f"{FILE}: {told}")


@pytest.mark.parametrize(
    "key", ["Label", "ProgramArguments", "UserName", "GroupName", "RunAtLoad", "StandardErrorPath"]
)
def test_a_missing_key_is_told(key: str) -> None:
    assert f"{FILE}: {key}: is missing" in lint({name: value for name, value in CORE.items() if name != key})


@pytest.mark.parametrize("content", [b"", b"Label = x", b"<plist><dict><key>Label</key></plist>", b"\xff\xfe"])
def test_what_is_no_property_list_is_told(content: bytes) -> None:
    (fault,) = faults_of(FILE, content)
    assert (fault.file, fault.key) == (FILE, "(whole file)")


def test_a_list_instead_of_a_job_is_told() -> None:
    (fault,) = faults_of(FILE, plistlib.dumps(["Label"]))
    assert "must be a dictionary" in fault.what


def test_check_names_every_fault_of_every_file() -> None:
    bad = plistlib.dumps(CORE | {"Nice": "high"})
    worse = plistlib.dumps(CORE | {"Debug": True})
    with pytest.raises(ProntuarioError, match=r"launchd\.plist") as caught:
        check([(FILE, plistlib.dumps(CORE)), ("one.plist", bad), ("two.plist", worse)])
    sentence = caught.value.sentence("en")
    assert "one.plist: Nice" in sentence
    assert "two.plist: Debug" in sentence
    assert FILE not in sentence
