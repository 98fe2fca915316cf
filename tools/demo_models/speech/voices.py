"""Which espeak-ng voices train the model, and which it never hears before it is tested."""

from __future__ import annotations

import random
from typing import Final

from tools.demo_models.speech.espeak import Delivery

_LANGUAGE: Final = "pt-br"

PLAIN: Final = ("f1", "f2", "f3", "f5", "m1", "m2", "m3", "m4", "m6", "m7", "m8")
"""espeak-ng's numbered women and men."""
NAMED: Final = (
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Hugo", "Jacky", "Lee", "Marco"),
    *(
        "Mario",
        "Michael",
        "Mike",
        "Mr serious",
        "Nguyen",
        "RicishayMax",
        "RicishayMax3",
        "adam",
        "announcer",
        "antonio",
    ),
    *("aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "edward2", "grandma", "grandpa"),
    *("gustave", "iven", "iven2", "iven3", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "max", "michel"),
    *("miguel", "norbert", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph3", "travis"),
    *("victor", "zac"),
)
"""Variants that people made for it. Whispers, robots, monsters and the speed test are left out: they are no speakers."""
HELD_OUT: Final = ("f4", "m5", "Henrique", "anika", "linda", "marcelo", "pedro")
"""Never trained on: two numbered voices and five named ones (``linda`` and ``pedro`` were the worst of the first model)."""
NEAR, FAR = ("f4", "m5"), ("Henrique", "anika", "linda", "marcelo", "pedro")
_PLAIN_SHARE: Final = 0.45


def training_delivery(rng: random.Random) -> Delivery:
    """A training voice at a random rate, pitch and warp."""
    variant = rng.choice(PLAIN if rng.random() < _PLAIN_SHARE else NAMED)
    return _delivery(rng, variant, warp=rng.uniform(0.93, 1.07))


def held_out_delivery(rng: random.Random, variants: tuple[str, ...] = HELD_OUT) -> Delivery:
    """A held-out voice at a random rate and pitch, unwarped."""
    return _delivery(rng, rng.choice(variants), warp=1.0)


def clean_delivery(rng: random.Random) -> Delivery:
    """A training voice, drawn as for training, unwarped: for tests on sentences that were never trained on."""
    return _delivery(rng, rng.choice(PLAIN if rng.random() < _PLAIN_SHARE else NAMED), warp=1.0)


def _delivery(rng: random.Random, variant: str, *, warp: float) -> Delivery:
    return Delivery(
        f"{_LANGUAGE}+{variant}",
        words_per_minute=rng.randint(140, 225),
        pitch=rng.randint(25, 75),
        pitch_range=rng.randint(30, 70),
        warp=warp,
    )
