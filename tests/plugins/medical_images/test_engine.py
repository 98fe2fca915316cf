"""The model's child on a tiny random checkpoint, in this process; at the end as a real child."""

from __future__ import annotations

import time
from pathlib import Path

import mlx.core as mx
import msgspec
import numpy as np
import pytest

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.blas import openblas_environment
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.plugin_api.messages import Failed, Output
from appliance.plugin_api.model_folder import weight_sha256
from appliance.plugin_api.testing import check_engine
from plugins.medical_images.engine import ImageEngine, NoLabelSetError
from plugins.medical_images.engine_questions import SENTENCES_A_STEP, SETS_KEPT
from plugins.medical_images.labels import BUILT_IN, read_label_set, read_label_sets, sigmoid
from plugins.medical_images.messages import FIND, HEAT, Found, ModelFacts, Picture
from plugins.medical_images.shape import CheckpointError
from tests.checkpoints.siglip import IMAGE_SIZE, make_tiny_siglip, tiny_weights
from tests.plugins.medical_images.asking import (
    config,
    find,
    found,
    heat,
    payload,
    run,
    samples,
    scores,
    small_set,
    submit,
    warmth,
)

CLOSE = 1e-4
"""Of a score in another batch: sums are done in another order."""
OPTIONS = CallOptions(user="somebody", deadline_s=100.0)


@pytest.fixture
def engine(tiny_siglip: Path) -> ImageEngine:
    made = ImageEngine()
    made.load(config(tiny_siglip))
    return made


@pytest.fixture
def small(tiny_siglip: Path, tmp_path: Path) -> ImageEngine:
    made = ImageEngine()
    made.load(config(tiny_siglip, small_set(tmp_path / "sets")))
    return made


# -- the contract ---------------------------------------------------------------------------------------------------------
def test_it_keeps_the_contract_of_engines(tiny_siglip: Path) -> None:
    loaded = check_engine(ImageEngine, config(tiny_siglip), (FIND, find(samples(1)[0])))
    assert loaded.model_sha256 == weight_sha256(tiny_siglip)
    assert not loaded.demonstration
    facts = msgspec.convert(loaded.info, ModelFacts)
    assert (facts.side, facts.resample) == (IMAGE_SIZE, 2)
    assert [one.name for one in facts.label_sets] == ["radiology", "pathology", "dermatology"]
    assert facts.by_modality["CR"] == "radiology"


def test_heat_keeps_it_too(tiny_siglip: Path) -> None:
    check_engine(ImageEngine, config(tiny_siglip), (HEAT, heat(samples(1)[0], "pneumonia")))


# -- scores ----------------------------------------------------------------------------------------------------------------
def test_scores_are_what_both_towers_say(small: ImageEngine, tmp_path: Path) -> None:
    """Computed again, sentence by sentence, from the model's own embeddings."""
    (one,) = samples(1)
    told = found(small, one, label_set="small")[0]
    net, model = small._model.net, small._model
    pixels = np.frombuffer(one.rgb, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3).astype(np.float32) / 127.5 - 1
    seen = np.array(net.pooled(net.patches(mx.array(pixels[None]))))[0]
    scale = float(np.exp(np.array(net.logit_scale))[0])
    for score, label in zip(told.scores, read_label_set(tmp_path / "sets" / "small.toml").labels, strict=True):
        sides = []
        for sentences in (label.positive, label.negative):
            mean = sum(np.array(net.sentences(mx.array(model.words.tokens([text]))))[0] for text in sentences)
            sides.append(float(seen @ (mean / np.linalg.norm(mean))))
        assert score.score == pytest.approx(sigmoid(scale * (sides[0] - sides[1])), abs=CLOSE)
        assert (score.label, score.pt, score.en) == (label.id, label.pt, label.en)
        assert not score.calibrated


def test_different_pictures_and_labels_have_different_scores(engine: ImageEngine) -> None:
    told = [scores(one) for one in found(engine, *samples(3))]
    assert max(abs(a - b) for a, b in zip(told[0], told[1], strict=True)) > 100 * CLOSE
    assert max(told[0]) - min(told[0]) > 100 * CLOSE
    assert all(0.0 <= score <= 1.0 for one in told for score in one)


def test_what_a_label_asks_the_other_way_round_has_the_rest_of_the_score(tiny_siglip: Path, tmp_path: Path) -> None:
    folder = small_set(tmp_path)
    text = (folder / "small.toml").read_text()
    (folder / "turned.toml").write_text(
        text.replace("positive", "x").replace("negative", "positive").replace("x =", "negative =")
    )
    engine = ImageEngine()
    engine.load(config(tiny_siglip, folder))
    (one,) = samples(1)
    (plain,), (turned,) = (found(engine, one, label_set=name) for name in ("small", "turned"))
    assert [a + b for a, b in zip(scores(plain), scores(turned), strict=True)] == pytest.approx([1.0, 1.0], abs=CLOSE)


# -- several people --------------------------------------------------------------------------------------------------------
def test_a_picture_among_others_is_scored_as_alone(engine: ImageEngine) -> None:
    """Nothing of one patient reaches another's answer, whoever shares the batch and wherever in it the picture stands."""
    drawn = samples(9)
    alone = [scores(found(engine, one)[0]) for one in drawn]
    chance = np.random.default_rng(11)
    for _ in range(4):
        order = chance.permutation(len(drawn)).tolist()
        together = found(engine, *(drawn[number] for number in order))
        for number, one in zip(order, together, strict=True):
            assert scores(one) == pytest.approx(alone[number], abs=CLOSE)


def test_findings_and_heat_maps_of_several_sets_share_a_batch(engine: ImageEngine) -> None:
    first, second, third = samples(3)
    expected = [scores(found(engine, first, label_set="dermatology")[0]), scores(found(engine, second)[0])]
    grid = warmth(engine, third, "edema")
    before = engine.stats()["batches"]
    submit(engine, 1, FIND, find(first, "dermatology"))
    submit(engine, 2, FIND, find(second))
    submit(engine, 3, HEAT, heat(third, "edema"))
    answers = run(engine)
    assert engine.stats()["batches"] == before + 1
    told = [scores(msgspec.msgpack.decode(payload(answers[number]), type=Found)) for number in (1, 2)]
    assert told[0] == pytest.approx(expected[0], abs=CLOSE)
    assert told[1] == pytest.approx(expected[1], abs=CLOSE)
    again = msgspec.msgpack.decode(payload(answers[3]), type=type(grid))
    assert again.values == pytest.approx(grid.values, abs=CLOSE)


def test_many_frames_go_through_in_batches_of_bounded_size(engine: ImageEngine) -> None:
    found(engine, *samples(1))
    before = engine.stats()
    told = found(engine, *samples(30))
    after = engine.stats()
    assert len(told) == 30
    assert after["pictures"] - before["pictures"] == 30
    assert after["batches"] - before["batches"] == 8  # of four


def test_a_batch_waits_a_moment_for_those_who_were_just_answered(engine: ImageEngine) -> None:
    """They ask again one after another; beginning with the first would tear the batch apart. A full one never waits."""
    found(engine, *samples(1))
    just_ended, long_over = time.monotonic() + 1000.0, time.monotonic() - 1000.0
    submit(engine, 0, FIND, find(samples(1)[0]))
    engine._last = (4, 1000.0, just_ended)
    assert engine.step() == []
    assert engine.busy()
    for request_id, one in enumerate(samples(3), start=1):
        submit(engine, request_id, FIND, find(one))
    assert {one.request_id for one in engine.step()} == {0, 1, 2, 3}
    submit(engine, 4, FIND, find(samples(1)[0]))
    engine._last = (4, 1000.0, long_over)
    assert [one.request_id for one in engine.step()] == [4]


def test_urgent_pictures_go_first_and_cancelled_ones_not_at_all(engine: ImageEngine) -> None:
    found(engine, *samples(1))
    for request_id, one in enumerate(samples(8)):
        submit(engine, request_id, FIND, find(one))
    submit(engine, 100, FIND, find(samples(1)[0]), urgent=True)
    engine.cancel(1)
    first = {one.request_id for one in engine.step()}
    assert first == {100, 0, 2, 3}
    assert set(run(engine)) == {4, 5, 6, 7}


# -- sentences -------------------------------------------------------------------------------------------------------------
def test_a_sets_sentences_are_embedded_once_and_a_few_at_a_step(engine: ImageEngine) -> None:
    (radiology,) = [one for one in read_label_sets([BUILT_IN]).sets if one.name == "radiology"]
    count = sum(len(label.positive) + len(label.negative) for label in radiology.labels)
    submit(engine, 0, FIND, find(samples(1)[0]))
    steps = 0
    while engine.busy():
        before = engine.stats()["sentences"]
        engine.step()
        steps += 1
        assert engine.stats()["sentences"] - before <= SENTENCES_A_STEP
    assert engine.stats()["sentences"] == count
    assert steps == -(-count // SENTENCES_A_STEP)
    found(engine, *samples(5))
    assert engine.stats()["sentences"] == count


def test_pictures_of_a_known_set_do_not_wait_for_another_sets_sentences(engine: ImageEngine) -> None:
    found(engine, *samples(1))
    submit(engine, 1, FIND, find(samples(1)[0], "pathology"))
    submit(engine, 2, FIND, find(samples(1)[0]))
    assert [one.request_id for one in engine.step()] == [2]
    assert set(run(engine)) == {1}


def test_more_sets_than_are_kept_are_still_answered(tiny_siglip: Path, tmp_path: Path) -> None:
    folder = small_set(tmp_path)
    text = (folder / "small.toml").read_text()
    for number in range(SETS_KEPT + 2):
        (folder / f"ward_{number}.toml").write_text(text + f"# {number}\n")
    engine = ImageEngine()
    engine.load(config(tiny_siglip, folder))
    (one,) = samples(1)
    first = scores(found(engine, one, label_set="small")[0])
    for number in range(SETS_KEPT + 2):
        assert scores(found(engine, one, label_set=f"ward_{number}")[0]) == pytest.approx(first, abs=CLOSE)
    before = engine.stats()["sentences"]
    assert scores(found(engine, one, label_set="small")[0]) == pytest.approx(first, abs=CLOSE)
    assert engine.stats()["sentences"] > before  # it had been let go


# -- calibration -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("same_model", [True, False])
def test_a_calibration_counts_for_the_model_it_was_made_with(
    same_model: bool, small: ImageEngine, tiny_siglip: Path, tmp_path: Path
) -> None:
    digest = weight_sha256(tiny_siglip) if same_model else "0" * 64
    more = f'[calibration]\nmodel_sha256 = "{digest}"\nprovenance = "invented for this test"\n'
    for name in ("effusion", "lesion"):
        more += f"[calibration.labels.{name}]\na = 0.5\nb = -2.0\npositives = 30\nnegatives = 30\n"
    engine = ImageEngine()
    loaded = engine.load(config(tiny_siglip, small_set(tmp_path / "calibrated", more)))
    (one,) = samples(1)
    (plain,), (told,) = found(small, one, label_set="small"), found(engine, one, label_set="small")
    assert msgspec.convert(loaded.info, ModelFacts).label_sets[0].calibrated is same_model
    assert all(score.calibrated is same_model for score in told.scores)
    margins = [np.log(score / (1 - score)) for score in scores(plain)]
    expected = [sigmoid(0.5 * margin - 2.0) for margin in margins] if same_model else scores(plain)
    assert scores(told) == pytest.approx(expected, abs=CLOSE)


# -- half precision --------------------------------------------------------------------------------------------------------
def test_weights_in_half_precision_score_almost_the_same(engine: ImageEngine, tmp_path: Path) -> None:
    """As on a Mac, where a checkpoint is used as it is stored."""
    folder = make_tiny_siglip(tmp_path / "half")
    arrays = {name: mx.array(value).astype(mx.bfloat16) for name, value in tiny_weights(0).items()}
    mx.save_safetensors(str(folder / "model.safetensors"), arrays)
    half = ImageEngine()
    loaded = half.load(config(folder) | {"precision": "stored"})
    assert loaded.footprint_bytes < engine._model.footprint_bytes(4)
    drawn = samples(3)
    for mine, whole in zip(found(half, *drawn), found(engine, *drawn), strict=True):
        assert scores(mine) == pytest.approx(scores(whole), abs=0.1)  # bf16 keeps eight bits
    assert np.isfinite(warmth(half, drawn[0], "edema").values).all()
    assert scores(found(half, drawn[0])[0]) != scores(found(engine, drawn[0])[0])


# -- refusals --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "asked", "code"),
    [
        (FIND, find(samples(1)[0], "astrology"), "image.label_set"),
        (HEAT, heat(samples(1)[0], "pneumonia", "astrology"), "image.label_set"),
        (HEAT, heat(samples(1)[0], "bad_luck"), "image.label"),
        (FIND, find(Picture(0, 2, 2, bytes(12))), None),
        (FIND, find(Picture(0, IMAGE_SIZE, IMAGE_SIZE, b"short")), None),
        (FIND, b"rubbish", None),
        ("describe", find(samples(1)[0]), None),
    ],
)
def test_a_bad_request_is_refused_alone(kind: str, asked: bytes, code: str | None, engine: ImageEngine) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its code is looked at below
        submit(engine, 1, kind, asked)
    assert getattr(caught.value, "code", None) == code
    assert not engine.busy()
    assert len(found(engine, *samples(1))) == 1


def test_an_answer_that_is_no_number_fails_and_the_next_one_is_sound(engine: ImageEngine) -> None:
    expected = scores(found(engine, *samples(1))[0])
    norm = engine._model.net.vision_model.post_layernorm
    sound, norm.bias = norm.bias, mx.full(norm.bias.shape, mx.nan)
    submit(engine, 1, FIND, find(samples(1)[0]))
    submit(engine, 2, HEAT, heat(samples(1)[0], "edema"))
    answers = run(engine)
    assert {one.code for one in answers.values() if isinstance(one, Failed)} == {"internal"}
    assert len(answers) == engine.stats()["failed"] == 2
    norm.bias = sound
    assert scores(found(engine, *samples(1))[0]) == pytest.approx(expected, abs=CLOSE)


def test_a_model_that_is_none_or_has_nothing_to_ask_is_not_loaded(tiny_siglip: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not numbers"):
        ImageEngine().load(config(make_tiny_siglip(tmp_path / "poisonous", poisonous=True)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoLabelSetError, match="no label set"):
        ImageEngine().load(config(tiny_siglip, tmp_path / "empty"))
    (tmp_path / "empty" / "ours.toml").write_text("version = ")
    with pytest.raises(NoLabelSetError, match=r"ours\.toml"):
        ImageEngine().load(config(tiny_siglip, tmp_path / "empty"))


def test_a_broken_file_of_the_hospital_is_told(tiny_siglip: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("version = ")
    loaded = ImageEngine().load(config(tiny_siglip, BUILT_IN, tmp_path))
    assert len(loaded.info["label_problems"]) == 1
    assert len(loaded.info["label_sets"]) == 3


# -- as a real child -------------------------------------------------------------------------------------------------------
async def test_a_real_child_answers_as_this_process_does(engine: ImageEngine, tiny_siglip: Path) -> None:
    drawn = samples(6)
    expected = [scores(one) for one in found(engine, *drawn)]
    spec = EngineSpec(
        "image_model",
        "plugins.medical_images.engine:ImageEngine",
        config=config(tiny_siglip),
        footprint_bytes=2 << 30,
        environment=openblas_environment(threads=1),
    )
    child = EngineSupervisor(spec, MemoryLedger(4 << 30))
    await child.start()
    try:
        assert await child.wait_ready(100.0), child.last_death
        told = [[piece async for piece in child.submit(FIND, find(one), OPTIONS)] for one in drawn]
    finally:
        await child.stop(drain_s=1.0)
    for pieces, wanted in zip(told, expected, strict=True):
        assert scores(msgspec.msgpack.decode(pieces[-1], type=Found)) == pytest.approx(wanted, abs=1e-3)


def test_closing_forgets_what_waits(engine: ImageEngine) -> None:
    submit(engine, 1, FIND, find(samples(1)[0]))
    engine.close()
    assert not engine.busy()


def test_answers_are_whole(engine: ImageEngine) -> None:
    submit(engine, 7, FIND, find(samples(1)[0]))
    answers = [one for _ in range(20) if engine.busy() for one in engine.step()]
    assert [(one.request_id, isinstance(one, Output) and one.final) for one in answers] == [(7, True)]
