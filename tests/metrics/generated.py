"""Generated pairs of a text and the wanted one: English-looking, Chinese and mixed, many of them nearly alike, some empty."""

from __future__ import annotations

import random

WORDS = [
    "the", "a", "cat", "dog", "sat", "on", "mat's", "in", "front", "of", "two-thirds,", "over", "3.5%", "(red)", "Green",
    "house;", "and", "then", "U.S.A.", '"quoted"', "run!",
]  # fmt: skip
CHARACTERS = "我们今天去公园看了一场电影，天气很好。猫狗山水的是在有３５％ABC "


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Give pairs (written, wanted)."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        chinese = number % 3 == 1
        pool, glue = (CHARACTERS, "") if chinese else (WORDS, " ")
        wanted = [draw.choice(pool) for _ in range(draw.randint(1, 25))]
        if number % 3 == 2:
            wanted += draw.choices(CHARACTERS, k=draw.randint(0, 6))
        written = _changed(wanted, pool, draw)
        made.append((glue.join(written), glue.join(wanted)))
    made[7] = ("", made[7][1])
    return made


def _changed(wanted: list[str], pool: str | list[str], draw: random.Random) -> list[str]:
    """Some tokens left out, replaced, doubled or moved."""
    written: list[str] = []
    for token in wanted:
        fate = draw.random()
        if fate < 0.1:
            continue
        written.append(draw.choice(pool) if fate < 0.3 else token)
        if fate > 0.95:
            written.append(token)
    if draw.random() < 0.2:
        draw.shuffle(written)
    return written
