"""Run as a program of its own: standard input through macOS's ``say`` into a file of ours, and from there to standard output.

Arguments: words a minute [program]. The file lies in a folder that only we can read, and is gone when we end.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VOICE = "Luciana"
"""Brazilian Portuguese, on every Mac."""


def main(words_per_minute: str, program: str = "say") -> int:
    """The exit status of ``say``; its sound is on standard output if that is 0."""
    with tempfile.TemporaryDirectory(prefix="prontuario-say-") as folder:
        sound = Path(folder) / "said.wav"
        form = ["--file-format=WAVE", "--data-format=LEI16@22050", "-o", str(sound)]
        done = subprocess.run(
            [program, "-v", VOICE, "-r", words_per_minute, *form, "-f", "-"],
            stdin=sys.stdin.buffer,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0:
            with sound.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
