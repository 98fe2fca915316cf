"""The verbs of the speech model: ``python -m tools.demo_models speech-pool``, ``train-speech`` and so on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

PACK: Final = Path(__file__).resolve().parents[3] / "plugins" / "whisper_stt" / "demonstration"


def register(subparsers: Any) -> None:
    """Add the speech verbs to an ``argparse`` sub-parser set; each sets ``run``, a function of the arguments."""
    pool = _verb(subparsers, "speech-pool", _pool, "speak the sentences that training and tests need (resumable)")
    pool.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    train = _verb(subparsers, "train-speech", _train, "train the speech model (resumable)")
    train.add_argument("--threads", type=int, default=1, help="of PyTorch; one more prepares the sound")
    export = _verb(subparsers, "export-speech", _export, "write the trained model for mlx_whisper")
    export.add_argument("--out", type=Path, default=PACK)
    export.add_argument("--bits", type=int, default=4)
    evaluate = _verb(subparsers, "evaluate-speech", _evaluate, "measure a model through the product's engine")
    evaluate.add_argument("--model", type=Path, default=PACK)
    evaluate.add_argument("--most", type=int, help="so many utterances of each figure, only to see that it runs")
    smoke = subparsers.add_parser("smoke-speech", help="train for under a minute and compare with the recorded curve")
    smoke.add_argument("--work", type=Path, required=True, help="an empty folder")
    smoke.add_argument("--record", action="store_true", help="make this curve the recorded one")
    smoke.set_defaults(run=_smoke)


def _verb(subparsers: Any, name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=about)
    parser.add_argument("--work", type=Path, required=True, help="where pools, checkpoints and curves lie")
    parser.add_argument("--preset", choices=("full", "second", "ten-minutes"), default="full")
    parser.set_defaults(run=run)
    return parser


def _pool(asked: argparse.Namespace) -> int:
    from tools.demo_models.speech.presets import HELD_OUT, PRESETS

    for name, plan in {"pool": PRESETS[asked.preset].pool, **HELD_OUT}.items():
        _make(_pool_folder(asked, name), plan, asked.workers, name)
    return 0


def _make(folder: Path, plan: Any, workers: int, title: str) -> None:
    from tools.demo_models.speech.pool import make_shards, prepare_pool
    from tools.demo_models.speech.progress import Bar

    prepare_pool(folder, plan)
    bar = Bar(title, plan.shards)
    for done in make_shards(folder, plan, workers):
        bar.show(done)


def _train(asked: argparse.Namespace) -> int:
    import torch

    from tools.demo_models.speech.presets import PRESETS
    from tools.demo_models.speech.progress import Bar
    from tools.demo_models.speech.training import train

    torch.set_num_threads(asked.threads)
    preset = PRESETS[asked.preset]
    first_leg = Path(asked.work) / f"run-{preset.after}" if preset.after else None
    bar = Bar("train-speech", preset.training.windows)
    for point in train(_pool_folder(asked, "pool"), _run_folder(asked), preset.training, first_leg):
        bar.show(point.windows, f"text loss {point.text:.3f}, right {point.accuracy:.1%}")
    return 0


def _export(asked: argparse.Namespace) -> int:
    from tools.demo_models.speech.export import export
    from tools.demo_models.speech.training import trained_network

    network, vocabulary, counters = trained_network(_run_folder(asked))
    size = export(network, vocabulary, asked.out, asked.bits)
    print(f"{asked.out}: {size / 1e6:.1f} MB after {counters['windows']} windows")
    return 0


def _evaluate(asked: argparse.Namespace) -> int:
    from appliance.plugin_api.blas import load_openblas

    load_openblas()
    from tools.demo_models.speech.evaluation import described, evaluate
    from tools.demo_models.speech.pool import Pool
    from tools.demo_models.speech.presets import HELD_OUT

    figures = []
    pools = {name: Pool(_pool_folder(asked, name), 0.0) for name in HELD_OUT}
    for figure in evaluate(asked.model, pools, asked.most):
        figures.append(figure)
        print(described([figure]), flush=True)
    print(json.dumps({figure.name: round(figure.value, 4) for figure in figures}))
    return 0


def _smoke(asked: argparse.Namespace) -> int:
    from tools.demo_models.speech.smoke import differences, record, recorded, smoke

    points = smoke(asked.work)
    if asked.record:
        record(points)
    found = differences(points, recorded())
    for sentence in found:
        print(sentence, file=sys.stderr)
    print(json.dumps({"smoke-speech": asdict(points[-1]), "as_recorded": not found}))
    return 1 if found else 0


def _pool_folder(asked: argparse.Namespace, name: str) -> Path:
    from tools.demo_models.speech.presets import PRESETS

    spoken_for = PRESETS[asked.preset].after or asked.preset
    return Path(asked.work) / (f"pool-{spoken_for}" if name == "pool" else f"held-out-{name}")


def _run_folder(asked: argparse.Namespace) -> Path:
    return Path(asked.work) / f"run-{asked.preset}"
