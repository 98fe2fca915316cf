"""What failed is run again alone: a real failure fails again, a race is told, many failures are never luck."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import again

SCRIPT = Path(again.__file__)
RACE = """
from pathlib import Path

def test_race():
    seen = Path("seen")
    assert seen.exists() or seen.write_text("") is None and seen.stat().st_size
"""


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], cwd=folder, check=False, capture_output=True, text=True, timeout=110)


def failed_once(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(body)
    assert run(folder, "-m", "pytest", "-q", "-p", "no:randomly", "test_it.py").returncode == 1
    return run(folder, str(SCRIPT))


def test_a_race_passes_and_is_told(tmp_path: Path) -> None:
    again_ = failed_once(tmp_path, RACE)
    assert again_.returncode == 0
    assert "FAILED ONCE, THEN PASSED 2 TIMES ALONE, to be mended: test_it.py::test_race" in again_.stderr


def test_a_failure_fails_again(tmp_path: Path) -> None:
    assert failed_once(tmp_path, "def test_it():\n    raise ValueError\n").returncode == 1


@pytest.mark.parametrize("count", [0, again.MOST + 1])
def test_none_or_many_are_not_run_again(tmp_path: Path, count: int) -> None:
    record = tmp_path / again.FAILED
    record.parent.mkdir(parents=True)
    record.write_text("{" + ",".join(f'"test_it.py::test_{n}": true' for n in range(count)) + "}")
    done = run(tmp_path, str(SCRIPT))
    assert (done.returncode, "nothing is run again" in done.stderr) == (1, True)


def test_a_run_that_broke_before_any_test_is_not_run_again(tmp_path: Path) -> None:
    assert run(tmp_path, str(SCRIPT)).returncode == 1
