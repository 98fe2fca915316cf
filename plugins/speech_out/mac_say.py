"""Run as a program of its own: standard input through macOS's ``say`` into a file of ours, and from there to standard output.

Arguments: words a minute [program]. The file lies in a folder that only we can read, and is gone before the first sound of it leaves:
whoever stops listening kills us. What a kill before that left goes when the next text is spoken.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

VOICE = "Luciana"
"""Brazilian Portuguese, on every Mac."""
PREFIX = "prontuario-say-"


def main(words_per_minute: str, program: str = "say") -> int:
    """The exit status of ``say``; its sound is on standard output if that is 0."""
    sweep(Path(tempfile.gettempdir()))
    with ExitStack() as kept:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
            sound = Path(folder) / "said.wav"
            form = ["--file-format=WAVE", "--data-format=LEI16@22050", "-o", str(sound)]
            done = subprocess.run(
                [program, "-v", VOICE, "-r", words_per_minute, *form, "-f", "-"],
                stdin=sys.stdin.buffer,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode != 0:
                return done.returncode
            file = kept.enter_context(sound.open("rb"))
        shutil.copyfileobj(file, sys.stdout.buffer)
    return 0


def sweep(folder: Path) -> None:
    """Remove what killed processes of ours left in ``folder``: a patient's note, spoken."""
    for left in folder.glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
