"""The network, its optimiser, its export and a whole short training. Needs the extra ``train``."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tools.demo_models.orthogonal import orthogonal  # noqa: E402
from tools.demo_models.speech import windows as planned  # noqa: E402
from tools.demo_models.speech.batches import collate  # noqa: E402  after the check that torch is there
from tools.demo_models.speech.damage import DamageOdds  # noqa: E402
from tools.demo_models.speech.export import export, full_weights  # noqa: E402
from tools.demo_models.speech.losses import losses  # noqa: E402
from tools.demo_models.speech.muon import Muon  # noqa: E402
from tools.demo_models.speech.network import SpeechNetwork, sinusoids  # noqa: E402
from tools.demo_models.speech.plans import Shape, TrainingPlan  # noqa: E402
from tools.demo_models.speech.pool import Pool  # noqa: E402
from tools.demo_models.speech.presets import PRESETS  # noqa: E402
from tools.demo_models.speech.training import (  # noqa: E402
    Training,
    schedule,
    train,
    trained_network,
)
from tools.demo_models.speech.vocabulary import FULL_SIZE, Vocabulary  # noqa: E402
from tools.demo_models.speech.windows import Window, render  # noqa: E402

SMALL = Shape(state=64, heads=2, encoder=1, decoder=2)
PLAN = TrainingPlan(120, 60, positions=800, shape=SMALL)


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are planned by the four hundred; these runs need a hundred of them."""
    monkeypatch.setattr(planned, "_MACRO", PLAN.windows)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def network(vocabulary: Vocabulary) -> SpeechNetwork:
    torch.manual_seed(4)
    made = SpeechNetwork(vocabulary, SMALL)
    for parameter in made.parameters():  # larger than at the start, so that every part shows in the logits
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return made


def batch_of(pool: Pool, vocabulary: Vocabulary, *windows: Window) -> Any:
    examples = [render(pool, vocabulary, window, DamageOdds(0, 0, 0)) for window in windows]
    return collate(examples, vocabulary, 0, 0.0)


def test_shapes_of_what_goes_in_and_out(network: SpeechNetwork, vocabulary: Vocabulary) -> None:
    features = network.encoder(torch.zeros(2, 300, 80))
    logits, attention = network.decode(torch.zeros(2, 7, dtype=torch.long), features)
    assert features.shape == (2, 150, 64)
    assert logits.shape == (2, 7, len(vocabulary.full) + 1)
    assert [weights.shape for weights in attention] == [(2, 2, 7, 150)] * 2
    assert torch.allclose(attention[0].sum(-1), torch.ones(2, 2, 7))


def test_the_decoder_never_sees_what_comes_later(network: SpeechNetwork) -> None:
    features = network.encoder(torch.randn(1, 100, 80))
    tokens = torch.tensor([[5, 6, 7, 8]])
    changed = torch.tensor([[5, 6, 7, 90]])
    assert torch.allclose(network.decode(tokens, features)[0][:, :3], network.decode(changed, features)[0][:, :3])


def test_positions_are_whispers_own() -> None:
    from mlx_whisper.whisper import sinusoids as reference

    assert np.abs(sinusoids(500, 192).numpy() - np.array(reference(500, 192))).max() < 1e-4


def test_losses_fall_on_a_batch_that_is_learnt_by_heart(pool: Pool, vocabulary: Vocabulary) -> None:
    torch.manual_seed(0)
    made = SpeechNetwork(vocabulary, SMALL)
    optimiser = torch.optim.AdamW(made.parameters(), lr=2e-3)
    batch = batch_of(pool, vocabulary, Window((0,), 1, 3.0), Window((), 2, 2.0))
    curve = []
    for step in range(25):
        loss = losses(made, vocabulary, batch, torch.Generator().manual_seed(step), 0.95)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        curve.append(loss)
    assert curve[-1].text < 0.5 * curve[0].text
    assert curve[-1].letters < curve[0].letters
    assert curve[-1].tokens < curve[0].tokens
    assert curve[-1].guide < curve[0].guide


def test_a_batch_without_speech_has_no_helpers(network: SpeechNetwork, pool: Pool, vocabulary: Vocabulary) -> None:
    loss = losses(network, vocabulary, batch_of(pool, vocabulary, Window((), 2, 2.0)), torch.Generator(), 0.0)
    assert (loss.guide, loss.letters, loss.tokens) == (0.0, 0.0, 0.0)
    assert np.isfinite(loss.text)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 64, 16), (2, 16, 64)])
def test_an_orthogonal_update_has_even_singular_values(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    made = orthogonal(torch.randn(shape) @ torch.diag(torch.linspace(0.2, 2, shape[2])), iterations=4)
    values = torch.linalg.svdvals(made)
    assert made.shape == shape
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.3


def test_muon_goes_on_from_its_state() -> None:
    def walk(split: bool) -> Any:
        torch.manual_seed(2)
        weight = torch.nn.Parameter(torch.randn(8, 8))
        muon = Muon([weight])
        for step in range(6):
            weight.grad = torch.randn(8, 8, generator=torch.Generator().manual_seed(step))
            if split and step == 3:
                state = muon.state()
                muon = Muon([weight])
                muon.restore(state)
            muon.step(1.0)
        return weight.detach()

    assert torch.equal(walk(split=False), walk(split=True))


def test_the_schedule_rises_stays_and_falls_to_nothing() -> None:
    assert schedule(0, 0.0) == pytest.approx(1 / 40)
    assert schedule(100, 0.2) == schedule(100, 0.45) == 1.0
    assert schedule(100, 0.725) == pytest.approx(0.5)
    assert schedule(100, 1.0) == pytest.approx(0.02)
    for preset in PRESETS.values():
        plan = preset.training
        assert plan.progress(plan.windows) == pytest.approx(1.0)
        if preset.after:
            assert plan.progress(0) == plan.begins > 0.45
            assert preset.pool == PRESETS[preset.after].pool
        else:
            assert plan.progress(0) == 0.0
            assert plan.progress(plan.constant) == pytest.approx(0.45)


def test_a_second_leg_begins_with_the_weights_of_the_first(pool_folder: Path, tmp_path: Path) -> None:
    list(train(pool_folder, tmp_path / "one", PLAN))
    plan = replace(PLAN, begins=0.8, seed=2)
    with pytest.raises(ValueError, match="a second leg begins"):
        list(train(pool_folder, tmp_path / "two", plan))
    with pytest.raises(ValueError, match="a second leg begins"):
        list(train(pool_folder, tmp_path / "two", PLAN, tmp_path / "one"))
    first, *_ = train(pool_folder, tmp_path / "two", plan, tmp_path / "one")
    fresh, *_ = train(pool_folder, tmp_path / "fresh", replace(PLAN, seed=2))
    assert first.text < fresh.text
    with pytest.raises(ValueError, match="another shape"):
        Training(Pool(pool_folder), trained_network(tmp_path / "one")[1], replace(plan, shape=Shape())).begin_with(
            tmp_path / "one" / "checkpoint.pt"
        )


def test_a_broken_training_goes_on_as_if_it_had_not_stopped(pool_folder: Path, tmp_path: Path) -> None:
    smallest, whole = float("5e-324"), []
    for point in train(pool_folder, tmp_path / "whole", PLAN):
        whole.append(point)
        assert smallest > 0, "the thread's own handling of denormals was not put back"
    pool, vocabulary = Pool(pool_folder), trained_network(tmp_path / "whole")[1]
    first = Training(pool, vocabulary, PLAN)
    list(first.run(until=7))
    assert 0 < first.windows < PLAN.windows
    (tmp_path / "split").mkdir()
    first.save(tmp_path / "split" / "checkpoint.pt")
    (tmp_path / "split" / "curve.jsonl").write_text("")
    rest = list(train(pool_folder, tmp_path / "split", PLAN))
    assert (rest[-1].step, rest[-1].windows) == (whole[-1].step, whole[-1].windows)
    assert rest[-1].text == pytest.approx(whole[-1].text, rel=1e-3)
    one, two = (trained_network(tmp_path / name)[0].state_dict() for name in ("whole", "split"))
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)
    curve = [json.loads(line) for line in (tmp_path / "whole" / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in curve] == [point.step for point in whole]


def test_a_checkpoint_of_another_plan_is_refused(
    pool_folder: Path, pool: Pool, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    Training(pool, vocabulary, PLAN).save(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="another plan"):
        Training(pool, vocabulary, replace(PLAN, seed=9)).restore(tmp_path / "checkpoint.pt")


def test_every_unused_row_of_the_exported_vocabulary_is_the_same(
    network: SpeechNetwork, vocabulary: Vocabulary
) -> None:
    table = full_weights(network, vocabulary)["decoder.token_embedding.weight"]
    assert table.shape == (FULL_SIZE, 64)
    unused = np.ones(FULL_SIZE, bool)
    unused[list(vocabulary.full)] = False
    assert (table[unused] == table[unused][0]).all()
    compact = network.embedding.table().detach().numpy()
    assert np.array_equal(table[list(vocabulary.full)], compact[: vocabulary.unused])


def logits_by_mlx(folder: Path, mel: np.ndarray, tokens: list[int]) -> np.ndarray:
    import mlx.core as mx

    from plugins.whisper_stt.engine_model import load_whisper

    model, _ = load_whisper(folder, "fp32")
    features = model.encoder(mx.array(mel))
    return np.array(model.decoder(mx.array([tokens]), features)[0])


def test_the_export_computes_what_the_training_computed(
    network: SpeechNetwork, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    export(network, vocabulary, tmp_path, bits=None)
    mel = np.random.default_rng(1).standard_normal((1, 1000, 80)).astype(np.float32)
    compact = random.Random(1).sample(range(len(vocabulary.full)), 9)
    with torch.no_grad():
        expected = network.decode(torch.tensor([compact]), network.encoder(torch.from_numpy(mel)))[0].numpy()
    got = logits_by_mlx(tmp_path, mel, [vocabulary.full[token] for token in compact])
    assert got.shape == (1, 9, FULL_SIZE)
    assert np.abs(got[..., list(vocabulary.full)] - expected[..., :-1]).max() < 2e-3
    assert np.abs(expected).max() > 0.5


def test_four_bits_are_small_and_near(network: SpeechNetwork, vocabulary: Vocabulary, tmp_path: Path) -> None:
    size = export(network, vocabulary, tmp_path / "four", bits=4)
    whole = export(network, vocabulary, tmp_path / "whole", bits=None)
    assert size < whole / 5
    config = json.loads((tmp_path / "four" / "config.json").read_text())
    assert config["quantization"] == {"group_size": 64, "bits": 4}
    assert (config["n_audio_ctx"], config["n_vocab"], config["model_type"]) == (500, FULL_SIZE, "whisper")
    mel = np.random.default_rng(1).standard_normal((1, 1000, 80)).astype(np.float32)
    tokens = list(vocabulary.full[:5])
    four, full = (logits_by_mlx(tmp_path / name, mel, tokens)[..., tokens] for name in ("four", "whole"))
    assert float(np.corrcoef(four.ravel(), full.ravel())[0, 1]) > 0.8
