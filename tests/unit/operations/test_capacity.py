"""What two hundred people may be promised, and what not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from appliance.operations.capacity import as_text, capacity, read_config
from appliance.plugin_api.kv_geometry import UnknownModelError
from tests.unit.plugin_api.test_kv_geometry import MEDGEMMA_4B

M3_ULTRA = 819 * 10**9
BUDGET = 300 * 10**9


def test_two_hundred_at_8k_fit_and_at_128k_do_not() -> None:
    answer = capacity(MEDGEMMA_4B, budget_bytes=BUDGET, bandwidth=M3_ULTRA)
    assert answer.promise(200, 8 * 1024)
    assert answer.promise(200, 32 * 1024)
    assert not answer.promise(200, 128 * 1024)
    assert [one.fit for one in answer.contexts] == pytest.approx([1028, 375, 105], abs=2)


def test_ceilings_are_named_only_for_what_fits() -> None:
    answer = capacity(MEDGEMMA_4B, budget_bytes=BUDGET, bandwidth=M3_ULTRA)
    short, _, long = answer.contexts
    assert set(short.ceilings) == {1, 8, 64, 200}
    assert set(long.ceilings) == {1, 8, 64}
    assert short.ceilings[1] == pytest.approx(331, rel=0.01)
    assert short.ceilings[64] == pytest.approx(2532, rel=0.01)


def test_a_model_larger_than_the_budget_fits_nothing() -> None:
    answer = capacity(MEDGEMMA_4B, budget_bytes=10**9, bandwidth=M3_ULTRA)
    assert all(one.fit == 0 and not one.ceilings for one in answer.contexts)
    assert "none fits" in as_text(answer)


def test_the_table_says_when_the_model_was_not_made_for_it() -> None:
    text_config = {**MEDGEMMA_4B["text_config"], "max_position_embeddings": 32768}
    answer = capacity({**MEDGEMMA_4B, "text_config": text_config}, budget_bytes=BUDGET, bandwidth=M3_ULTRA)
    assert [one.beyond_model for one in answer.contexts] == [False, False, True]
    assert as_text(answer).count("longer than the model was made for") == 1


@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_or_the_file_itself_is_read(tmp_path: Path, *, inside: bool) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(msgspec.json.encode(MEDGEMMA_4B))
    assert read_config(tmp_path if inside else file) == MEDGEMMA_4B


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UnknownModelError):
        read_config(tmp_path)
