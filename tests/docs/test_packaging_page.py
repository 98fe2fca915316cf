"""docs/packaging.md names only commands that exist, and tells every way in which an activation ends."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "packaging.md").read_text(encoding="utf-8")


def test_every_make_target_is_one() -> None:
    named = set(re.findall(r"make (pkg[\w-]*)", PAGE))
    targets = set(re.findall(r"^(pkg[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == targets


def test_every_script_and_option_is_one() -> None:
    shipped = ROOT / "packaging" / "install" / "shipped"
    for name in set(re.findall(r"current/scripts/(\w+\.sh)", PAGE)):
        assert (shipped / name).is_file()
    for script, option in (("activate.sh", "--heal"), ("activate.sh", "--back"), ("uninstall.sh", "--delete-data")):
        assert option in PAGE
        assert option in (shipped / script).read_text(encoding="utf-8")


def test_every_end_of_an_activation_is_told_in_both_languages() -> None:
    script = (ROOT / "packaging" / "install" / "shipped" / "activate.sh").read_text(encoding="utf-8")
    ends = {int(status) for status in re.findall(r"\bexit (\d)", script)} - {2}
    portuguese, _, english = PAGE.partition("\n---\n")
    assert {int(status) for status in re.findall(r"^\| (\d) \|", portuguese, re.MULTILINE)} == ends
    sentence = english.partition("Exit status:")[2].partition("`prontuario doctor`")[0]
    assert {int(status) for status in re.findall(r"(?:^|; ) ?(\d) ", sentence)} == ends
