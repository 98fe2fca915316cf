"""What macOS's own programs print when something is set otherwise: the formats of their manual pages, replayed."""

from __future__ import annotations

from tests.unit.operations.doctor.ward import RECORDED, Ward, breaks, printed


@breaks("filevault.off", on="mac", says="fdesetup enable")
def _(ward: Ward) -> None:
    ward.program("fdesetup", "FileVault is Off.\nDeferred enablement appears to be active for user 'ana'.\n")


@breaks("filevault.working", on="mac", says="54.2 %")
def _(ward: Ward) -> None:
    ward.program("fdesetup", "FileVault is On.\nEncryption in progress: Percent completed = 54.2\n")


@breaks("sleep.wrong", on="mac", says="sleep 10")
def _(ward: Ward) -> None:
    """On the UPS it sleeps, though on mains it does not."""
    ups = (
        RECORDED["pmset"]
        .replace("AC Power:", "UPS Power:")
        .replace(" sleep                0", " sleep                10")
    )
    ward.program("pmset", RECORDED["pmset"] + ups)


@breaks("sleep.lax", on="mac", says="powernap 1")
def _(ward: Ward) -> None:
    ward.program("pmset", RECORDED["pmset"].replace("powernap             0", "powernap             1"))


@breaks("time-machine.included", on="mac", says="time_machine.sh")
def _(ward: Ward) -> None:
    ward.program("tmutil", f"[Included]    {ward.paths.home}\n")


@breaks("signatures.altered", on="mac", says="code or signature have been modified")
def _(ward: Ward) -> None:
    ward.program("codesign", status=1, err="/x/python3: invalid signature (code or signature have been modified)\n")


@breaks("firewall.missing", on="mac")
def _(ward: Ward) -> None:
    (ward.root / "etc" / "pf.anchors" / "br.prontuario").unlink()


@breaks("firewall.off", on="mac")
def _(ward: Ward) -> None:
    ward.program("pfctl", "Status: Disabled for 0 days 00:11:45          Debug: Urgent\n")


@breaks("firewall.empty", on="mac")
def _(ward: Ward) -> None:
    ward.program("pfctl", "Status: Enabled for 3 days 02:11:45           Debug: Urgent\n")


@breaks("firewall.unasked", on="mac", says="sudo prontuario doctor")
def _(ward: Ward) -> None:
    ward.program("pfctl", status=1, err="pfctl: /dev/pf: Permission denied\n")


@breaks("launchd-files.missing", on="mac")
def _(ward: Ward) -> None:
    (ward.root / "Library" / "LaunchDaemons" / "br.prontuario.core.plist").unlink()


@breaks("launchd-files.refused", on="mac", says="chmod 644")
def _(ward: Ward) -> None:
    (ward.root / "Library" / "LaunchDaemons" / "br.prontuario.core.plist").chmod(0o666)


@breaks("launchd-jobs.unloaded", on="mac", says="br.prontuario.core")
def _(ward: Ward) -> None:
    ward.program("launchctl", status=113, err='Could not find service "br.prontuario.core" in domain for system\n')


@breaks("launchd-jobs.down", on="mac", says="78")
def _(ward: Ward) -> None:
    ward.program("launchctl", printed("spawn scheduled", "78: EX_CONFIG"))
