"""The pages that are written from the code are up to date, and the README names what exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_match_the_code() -> None:
    command = [sys.executable, "tools/reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_of_the_layout_is_described_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for folder in sorted(
        path.name for path in (ROOT / "appliance").iterdir() if path.is_dir() and path.name != "__pycache__"
    ):
        assert f"appliance/{folder}`" in text, folder


def test_every_command_named_in_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text() + "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link


def test_no_page_names_a_path_of_one_machine() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert not [page for page in pages if re.search(r"(^|[^\w.])/(work|root|home/\w+)/", page.read_text())]


def test_figures_of_the_readme_are_those_that_the_benches_printed() -> None:
    done = subprocess.run([sys.executable, "tools/figures.py", "--check"], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0, "run python tools/figures.py"
