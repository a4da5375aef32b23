"""``python -m tiny_model.scores``: draws held-out prompts with the library and prints the shares that are right.

Needs no PyTorch.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from sdcpp_py import Generator

from .sizes import SIZES
from .world.captions import random_caption
from .world.scenes import Scene, random_scene_of
from .world.scoring import Score, score

WANTED = {
    "background": 0.97, "count": None, "colors": 0.95, "kinds": 0.90, "places": None, "relations": 0.85, "sizes": 0.85,
}  # fmt: skip
"""The share of each that the model should reach; None where nothing was set."""


@dataclass(frozen=True)
class Prompt:
    """A scene and one way to say it."""

    scene: Scene
    text: str


def held_out_prompts(count: int, seed: int = 0) -> list[Prompt]:
    """Prompts for scenes that were held out of training."""
    random = np.random.default_rng(seed)
    scenes = [random_scene_of(random, held_out=True) for _ in range(count)]
    return [Prompt(scene, random_caption(scene, random)) for scene in scenes]


def shares(scores: Iterable[Score]) -> dict[str, tuple[float, int]]:
    """Of each thing asked for: the share that is right, and how often it was asked for."""
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for one in scores:
        for field in fields(one):
            values = getattr(one, field.name)
            right[field.name] += sum(values)
            asked[field.name] += len(values)
    return {name: (right[name] / asked[name], asked[name]) for name in asked if asked[name]}


def share_right(scores: Iterable[Score]) -> float:
    """The share of all that was asked for, whatever it is."""
    answers: list[bool] = [answer for one in scores for field in fields(one) for answer in getattr(one, field.name)]
    return sum(answers) / len(answers)


def drawn_scores(
    generator: Generator, prompts: Sequence[Prompt], *, size: tuple[int, int] = SIZES[0], steps: int = 4, seed: int = 0
) -> list[Score]:
    """Scores of one picture of each prompt, with the seeds seed, seed + 1, ..."""
    width, height = size
    pictures = (
        generator.generate(prompt.text, width=width, height=height, steps=steps, seed=seed + number).image
        for number, prompt in enumerate(prompts)
    )
    return [score(prompt.scene, picture) for prompt, picture in zip(prompts, pictures, strict=True)]


def table(results: dict[str, tuple[float, int]]) -> str:
    """The shares as a Markdown table."""
    lines = ["| right | share | of | wanted |", "| --- | --- | --- | --- |"]
    for name, (share, asked) in results.items():
        wanted = WANTED[name]
        lines.append(f"| {name} | {100 * share:.1f}% | {asked} | {'' if wanted is None else f'{100 * wanted:.0f}%'} |")
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, draws, prints."""
    parser = argparse.ArgumentParser(prog="python -m tiny_model.scores", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="prompts, each with its own seed (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=SIZES[0], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--files", nargs=3, metavar=("DENOISER", "ENCODER", "AUTOENCODER"), help="another model")
    options = parser.parse_args()
    prompts = held_out_prompts(options.count)
    opened = (
        Generator(*options.files, device=options.device)
        if options.files
        else Generator.from_pretrained("tiny", device=options.device)
    )
    with opened as generator:
        scores = drawn_scores(generator, prompts, size=tuple(options.size), steps=options.steps)
    print(table(shares(scores)))


if __name__ == "__main__":
    main()
