"""docs/label-sets.md: its example is a label set, and what it says of the tool is so."""

from __future__ import annotations

import re
from pathlib import Path

from plugins.medical_images.calibration import FEWEST
from plugins.medical_images.labels import BUILT_IN, read_label_set, read_label_sets

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "label-sets.md").read_text(encoding="utf-8")


def test_its_example_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "knee.toml"
    file.write_text(example, encoding="utf-8")
    assert [label.id for label in read_label_set(file).labels] == ["joint_effusion"]


def test_it_names_the_sets_that_ship_and_that_none_is_calibrated() -> None:
    for one in read_label_sets([BUILT_IN]).sets:
        assert f"`{one.name}`" in PAGE
        assert one.calibration is None
    assert "None of the three is calibrated" in PAGE


def test_it_says_how_many_pictures_are_needed() -> None:
    assert f"at least {FEWEST} with and {FEWEST} without" in PAGE


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).is_file()
