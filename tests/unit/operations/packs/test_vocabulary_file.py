"""A pack's list of words is looked at when the pack is made and when it is taken in: the line at fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.operations.packs.contents import belongs, check_file
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.vocabulary import VOCABULARY_FILE


def written(folder: Path, text: str, name: str = VOCABULARY_FILE) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_list_of_words_belongs_into_a_pack(tmp_path: Path) -> None:
    assert belongs(VOCABULARY_FILE)
    check_file(written(tmp_path, "# da farmácia\nXarelto\nUTI neonatal\n"), VOCABULARY_FILE)


def test_a_list_that_can_not_be_used_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ProntuarioError) as caught:
        check_file(written(tmp_path, "Xarelto\n" + "x" * 61), VOCABULARY_FILE)
    assert caught.value.kind.code == "pack.format"
    assert caught.value.details == {"file": VOCABULARY_FILE, "reason": "line 2: more than 60 characters"}


def test_a_tokenizers_words_are_another_matter(tmp_path: Path) -> None:
    name = f"sub/{VOCABULARY_FILE}"
    check_file(written(tmp_path, "x" * 500, name), name)
