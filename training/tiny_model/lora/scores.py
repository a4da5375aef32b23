"""``python -m tiny_model.lora.scores``: how often new words are drawn right, with LoRAs, without, and on other weights.

Needs no PyTorch.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize, quantize

from sdcpp_py import Generator
from sdcpp_py.models.bundled import TINY, bundled_files

from ..scores import Prompt, held_out_prompts, share_right
from ..sizes import SIZES
from ..world.captions import random_caption
from ..world.novelties import NOVELTIES, has, random_novel_scene
from ..world.palette import NEW_COLORS
from ..world.scoring import Score, score

LORAS = Path(__file__).parents[3] / "tests" / "data" / "loras"
"""Where the trained files are: each is called after its word."""
WEIGHTS = ("F16", "Q8_0", "Q4_0")
"""Types of the denoiser's blocks that are scored; the package's own is Q8_0."""


def novel_prompts(count: int, words: Sequence[str], seed: int = 0) -> list[Prompt]:
    """Prompts for scenes that were held out of training, in each of which one shape is what all the words say."""
    random = np.random.default_rng(seed)
    scenes = [random_novel_scene(random, words, held_out=True) for _ in range(count)]
    return [Prompt(scene, random_caption(scene, random)) for scene in scenes]


@dataclass(frozen=True)
class Outcome:
    """How pictures of some prompts came out.

    Attributes:
        novel: by word, the share of the pictures whose shape has the new colour, or is of the new kind.
        all: the share of all that the prompts ask for, whatever it is.
    """

    novel: dict[str, float]
    all: float


def outcome(
    generator: Generator, prompts: Sequence[Prompt], words: Sequence[str], loras: Sequence[Path], *, weight: float = 1.0
) -> Outcome:
    """Draws each prompt with a seed of its own, 0, 1, ..., and reads the pictures back."""
    width, height = SIZES[0]
    scores = []
    for seed, prompt in enumerate(prompts):
        picture = generator.generate(
            prompt.text, width=width, height=height, steps=4, seed=seed, loras=[(file, weight) for file in loras]
        )
        scores.append(score(prompt.scene, picture.image, NOVELTIES))
    novel = {
        word: sum(_is_right(prompt, one, word) for prompt, one in zip(prompts, scores, strict=True)) / len(prompts)
        for word in words
    }
    return Outcome(novel, share_right(scores))


def _is_right(prompt: Prompt, found: Score, word: str) -> bool:
    """Whether the shape that the word is about has the new colour, or is of the new kind."""
    answers = found.colors if word in NEW_COLORS else found.kinds
    # Scores list shapes in the picture's order.
    in_order = prompt.scene.things[::-1] if prompt.scene.relation in ("right of", "below") else prompt.scene.things
    return any(right for thing, right in zip(in_order, answers, strict=True) if has(thing, word))


def rewritten(source: Path, target: Path, quant: str) -> Path:
    """Writes a denoiser again, with its blocks' matrices in another type."""
    writer = GGUFWriter(target, "flux")
    for key, pixels in zip(("sdcpp_py.default_width", "sdcpp_py.default_height"), SIZES[0], strict=True):
        writer.add_uint32(key, pixels)
    for tensor in GGUFReader(source).tensors:
        kind = tensor.tensor_type
        if kind == GGMLQuantizationType.Q8_0:
            kind = GGMLQuantizationType[quant]
        shape = [int(extent) for extent in reversed(tensor.shape)]
        weights = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        writer.add_tensor(tensor.name, quantize(np.ascontiguousarray(weights, np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@contextmanager
def opened(quant: str, folder: Path) -> Iterator[Generator]:
    """The package's model with its denoiser's blocks in some type; ``folder`` is for a file that this needs."""
    files = bundled_files(TINY)
    denoiser = files.diffusion_model
    if quant != "Q8_0":
        denoiser = rewritten(denoiser, folder / f"denoiser-{quant}.gguf", quant)
    with Generator(denoiser, files.text_encoder, files.vae, device="cpu") as generator:
        yield generator


def rows(generator: Generator, quant: str, count: int, folder: Path) -> Iterator[str]:
    """The table's rows for one type of weights."""
    cases: list[tuple[Sequence[str], Sequence[str]]] = [((word,), (word,)) for word in NOVELTIES]
    cases.append((NOVELTIES, NOVELTIES))
    if quant == WEIGHTS[0]:
        cases += [((word,), ()) for word in NOVELTIES]
        cases += [((word,), NOVELTIES) for word in NOVELTIES]
        cases += [((), ()), ((), NOVELTIES)]
    for words, applied in cases:
        prompts = novel_prompts(count, words) if words else held_out_prompts(count)
        found = outcome(generator, prompts, words, [folder / f"{word}.safetensors" for word in applied])
        novel = ", ".join(f"{word} {100 * share:.0f}%" for word, share in found.novel.items())
        yield (
            f"| {quant} | {' and '.join(applied) or 'none'} | {' and '.join(words) or 'nothing new'} "
            f"| {novel} | {100 * found.all:.1f}% |"
        )


def main() -> None:
    """Reads the command line, draws, prints."""
    parser = argparse.ArgumentParser(prog="python -m tiny_model.lora.scores", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="prompts of each row (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=LORAS, help="where the LoRAs are (default: the tests' own)")
    options = parser.parse_args()
    print("| weights | LoRAs | prompts ask for | the new thing right | all that they ask for |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for quant in WEIGHTS:
            with opened(quant, Path(folder)) as generator:
                for row in rows(generator, quant, options.count, options.folder):
                    print(row, flush=True)


if __name__ == "__main__":
    main()
