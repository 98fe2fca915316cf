"""Switching the machine off, once everything is closed: the one thing that core may ask root to do, by a fixed command.

On macOS that is ``sudo -n /sbin/shutdown -h now``, for which the installed sudoers file gives ``_prontuario`` exactly this
command line and no other (``docs/power.md``). The command is run without a shell, its words come from the configuration.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Final

from appliance.telemetry.logs import get_logger

log = get_logger("power")
MAC_COMMAND: Final = ("/usr/bin/sudo", "-n", "/sbin/shutdown", "-h", "now")
LIMIT_S: Final = 20.0
CLOSING_LIMIT_S: Final = 90.0
"""Whatever was acknowledged is on the disk already: closing that takes longer must not use the battery up."""


def command_of(configured: tuple[str, ...], platform: str = sys.platform) -> tuple[str, ...]:
    """The command to run; empty: this machine is not switched off, only drained."""
    return configured or (MAC_COMMAND if platform == "darwin" else ())


class SwitchOff:
    """``order`` it while serving; ``carry_out`` when nothing is open any more.

    Closing that hangs, or fails, is not waited for longer than ``closing_limit_s``: a thread of its own switches off then.
    """

    def __init__(
        self, configured: tuple[str, ...], platform: str = sys.platform, *, closing_limit_s: float = CLOSING_LIMIT_S
    ) -> None:
        self._command = command_of(configured, platform)
        self._overdue = threading.Timer(closing_limit_s, self._carry_out_anyway)
        self._overdue.daemon = True
        self.ordered = False

    def order(self) -> None:
        """From now on the machine is to be switched off as soon as the record is closed. Safe to call twice."""
        if not self.ordered and self._command:
            self._overdue.start()
        self.ordered = True

    async def carry_out(self) -> bool:
        """Switch off if that was ordered; False if it was not, or could not be done."""
        self._overdue.cancel()
        if not self.ordered:
            return False
        if not self._command:
            log.error(
                "the battery ends and no shutdown command is configured; everything is closed, the machine stays on"
            )
            return False
        try:
            async with asyncio.timeout(LIMIT_S):
                process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.DEVNULL)
                status = await process.wait()
        except (OSError, TimeoutError) as error:
            log.error("the machine could not be switched off", error=type(error).__name__)  # noqa: TRY400  told whole
            return False
        if status:
            log.error("the machine could not be switched off", exit_code=status)
        return not status

    def _carry_out_anyway(self) -> None:
        log.error("closing takes too long on the last of the battery; the machine is switched off now")
        try:
            status = subprocess.run(self._command, stdin=subprocess.DEVNULL, check=False, timeout=LIMIT_S).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            log.error("the machine could not be switched off", error=type(error).__name__)  # noqa: TRY400  told whole
            return
        if status:
            log.error("the machine could not be switched off", exit_code=status)
