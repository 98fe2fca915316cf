"""A stand-in Mac for whole runs of the package on Linux: a root of its own (overlay), its network, its launchd.

Everything that the package ships runs as it is, at its own places (``/Library/Prontuario``, ``/Library/Application Support``,
``/Library/LaunchDaemons``): launcher, preinstall, postinstall, ``activate.sh``, the health gate, the jobs under their own users.
Stand-ins are macOS's own programs alone: launchd, ``installer``, ``dscl``, ``pmset``, ``tmutil``, ``pfctl`` and the like.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import say
from tests.fakes.mac_ground import DIRECTORY, POWER, SUDOERS

BENCH: Final = Path(__file__).resolve().parent
LAUNCHD_SOCKET: Final = "/var/launchd.sock"
"""Not below /var/run: seen from outside, that link leads out of the Mac."""
DAEMONS: Final = "/Library/LaunchDaemons"
HOME: Final = "/Library/Application Support/Prontuario"
PREFIX: Final = "/Library/Prontuario"
ACCOUNT: Final = "_prontuario"
ACCOUNT_ID: Final = 301
"""What role_account.sh takes first on a machine without other role accounts."""
STICK: Final = "/Volumes/STICK"
SHELL: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "en_US.UTF-8", "TERM": "dumb"}
_KERNEL: Final = ("proc", "dev", "dev/shm", "sys")
_SOURCE: Final = "ptmac"
_LIMIT_S: Final = 120
Within = Callable[[Sequence[str]], list[str]]
"""Words to be run in the machine's network."""


class Mac:
    """``folder`` holds its disk; ``within`` puts a command into its network. ``mount`` it, ``boot`` it, ``unmount`` it."""

    def __init__(self, folder: Path, within: Within) -> None:
        self.folder, self._within = folder, within
        self.root = folder / "root"
        self.running: subprocess.Popen[Any] | None = None

    @property
    def home(self) -> Path:
        """The node's home, as this machine sees it."""
        return self.below(HOME)

    @property
    def prefix(self) -> Path:
        """Where the package lies, as this machine sees it."""
        return self.below(PREFIX)

    def below(self, path: str) -> Path:
        """A place on the Mac, as this machine sees it."""
        return self.root / path.lstrip("/")

    def mount(self) -> None:
        """A fresh Mac: nothing of ours was ever installed. Raises ``CalledProcessError``: no overlays here."""
        remove_leftovers()
        upper, work = self.folder / "disk", self.folder / "work"
        for place in (upper, work, self.root):
            place.mkdir(parents=True)
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        _do("mount", "-t", "overlay", f"{_SOURCE}-{os.getpid()}", "-o", layers, str(self.root))
        for name in _KERNEL:
            _do("mount", "--bind", f"/{name}", str(self.below(name)))
        for place in (DAEMONS, "/var/book", "/usr/local/bin", STICK, "/Library/Application Support"):
            self.below(place).mkdir(parents=True, exist_ok=True)
        python = Path(sys.base_prefix)
        for folder in (python, *python.parents):
            self.below(str(folder)).chmod(
                0o755
            )  # the role account runs an interpreter that lies in root's own home, say
        self._accounts()
        self._stand_ins()

    def unmount(self) -> None:
        """Whatever still runs in it keeps its files until it ends. Safe to call twice."""
        _unmount(self.root)

    def move_in(self, home: Path) -> None:
        """A node that was founded elsewhere comes here."""
        shutil.move(home, self.home)
        _do("chown", "-R", f"{ACCOUNT_ID}:{ACCOUNT_ID}", str(self.home))

    def boot(self, log: Any) -> None:
        """launchd, and with it every job whose plist is there. Returns once launchd answers."""
        self.below(LAUNCHD_SOCKET).unlink(missing_ok=True)
        words = [sys.executable, "-I", "-S", str(BENCH / "mac_launchd.py"), "serve", LAUNCHD_SOCKET, DAEMONS]
        self.running = self.popen(words, stdout=log, stderr=log)
        deadline = time.monotonic() + _LIMIT_S
        while not self.below(LAUNCHD_SOCKET).exists():
            if self.running.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError("the stand-in launchd does not start")
            time.sleep(0.05)

    def command(self, words: Sequence[str]) -> list[str]:
        """``words`` as root's shell on the Mac would run them; the process keeps the pid that it was started with."""
        environment = [f"{name}={value}" for name, value in SHELL.items()]
        return self._within(["chroot", str(self.root), "env", "-i", *environment, *words])

    def popen(self, words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start ``words`` on the Mac."""
        return subprocess.Popen(self.command(words), stdin=subprocess.DEVNULL, **options)

    def run(self, *words: str, check: bool = True, limit_s: float = _LIMIT_S) -> subprocess.CompletedProcess[str]:
        """Run ``words`` on the Mac to their end. Raises ``CalledProcessError`` after telling what was said."""
        done = subprocess.run(
            self.command(words), capture_output=True, text=True, check=False, timeout=limit_s, stdin=subprocess.DEVNULL
        )
        if check and done.returncode:
            say(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
            done.check_returncode()
        return done

    def current(self) -> str:
        """The version that ``current`` names; empty: none."""
        link = self.prefix / "current"
        return link.readlink().name if link.is_symlink() else ""

    def _accounts(self) -> None:
        for file, line in (
            ("/etc/passwd", f"{ACCOUNT}:x:{ACCOUNT_ID}:{ACCOUNT_ID}::/var/empty:/usr/bin/false\n"),
            ("/etc/group", f"{ACCOUNT}:x:{ACCOUNT_ID}:\nwheel:x:0:\n"),
        ):
            with self.below(file).open("a", encoding="utf-8") as accounts:
                accounts.write(line)

    def _stand_ins(self) -> None:
        shutil.copy2(self.below("/usr/bin/uname"), self.below("/usr/bin/uname.gnu"))
        launchctl = f'exec "{sys.executable}" -I -S "{BENCH / "mac_launchd.py"}" ctl {LAUNCHD_SOCKET} "$@"'
        for place, body in {
            "/usr/sbin/installer": f'exec "{sys.executable}" "{BENCH / "mac_installer.py"}" "$@"',
            "/usr/bin/launchctl": launchctl,
            "/usr/bin/uname": 'case $* in -m) echo arm64 ;; *) exec uname.gnu "$@" ;; esac',
            "/usr/bin/dscl": DIRECTORY,
            "/usr/bin/pmset": POWER,
            "/usr/sbin/visudo": SUDOERS,
            "/usr/bin/tmutil": "exit 0",
            "/usr/sbin/pfctl": "exit 0",
            "/usr/bin/sync": "exit 0",  # the real one would wait for the disks of everybody on this machine
        }.items():
            program = self.below(place)
            program.unlink(missing_ok=True)
            program.write_text(f"#!/bin/sh\nset -eu\nbook=/var/book\n{body}\n", encoding="utf-8")
            program.chmod(0o755)


def why_no_mac(folder: Path) -> str | None:
    """Why a stand-in Mac can't be made below ``folder``, in plain words; None: it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a stand-in Mac's root needs Linux and root"
    mac = Mac(folder / "try", list)
    try:
        mac.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine makes no overlay: {error}"
    finally:
        mac.unmount()
        shutil.rmtree(folder / "try", ignore_errors=True)
    return None


def remove_leftovers() -> None:
    """Unmount the disks of processes that no longer live."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        source, target = line.split()[:2]
        name, _, pid = source.partition("-")
        if name == _SOURCE and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _unmount(Path(target))


def _unmount(root: Path) -> None:
    for place in (*(root / name for name in reversed(_KERNEL)), root):
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=_LIMIT_S)
