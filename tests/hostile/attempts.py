"""What is tried with a mutant of each kind of file, in the way in which a program would use the file."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from sdcpp_py import EncodedPrompt, GenerationSettings, Generator, SdcppError, inspect, read_metadata
from sdcpp_py.image_files.exif import exif_block
from sdcpp_py.images.loading import to_pixels
from sdcpp_py.models.bundled import bundled_files
from sdcpp_py.models.catalogue import BUILT_IN, read_catalogues
from sdcpp_py.models.files import arguments_of
from sdcpp_py.settings.metadata import PictureMetadata, to_common_text, to_json
from sdcpp_py.synth import write, write_set
from tests.hostile import gguf_mutants, retyped, safetensors_mutants, text_mutants

Roles = Mapping[str, Path]
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 1, "seed": 1}
"""The picture that is generated of a mutant that can be opened."""
TINY: Roles = dict(zip(("diffusion_model", "llm", "vae"), dataclasses.astuple(bundled_files("tiny")), strict=True))
SETS = (
    "tiny-klein", "tiny-z-image", "tiny-flux1", "tiny-flux1-schnell", "tiny-flux1-fill", "tiny-chroma", "tiny-sd3",
    "tiny-qwen-image",
)  # fmt: skip
"""Small sets of random weights, of which a mutant may be made beside the model in the package."""


class Attempts:
    """Tries mutants of one kind after the other. ``folder`` is for files that are made on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attempt(self, random: Random, number: int) -> str:
        """Makes the mutant of a number, uses it, and says in a word what came of it. Errors come out as they are."""
        raise NotImplementedError


class _Models(Attempts):
    """Models of which one file of a format is a mutant."""

    suffixes: tuple[str, ...]
    sets: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._models: dict[str, Roles] = {"": TINY}
        self._originals: dict[Path, tuple[bytes, Any]] = {}

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        files = self._files(random.choice(("", *self.sets)))
        role = random.choice([role for role, path in files.items() if path.suffix in self.suffixes])
        mutant = self.folder / f"mutant{files[role].suffix}"
        mutant.write_bytes(self.mutant(files[role], random))
        return use({**files, role: mutant})

    def mutant(self, path: Path, random: Random) -> bytes:
        """The bytes of a mutant of a file."""
        raise NotImplementedError

    def original(self, path: Path, places: Callable[[bytes], Any]) -> tuple[bytes, Any]:
        """A file's bytes, and what is known of where things lie in it."""
        if path not in self._originals:
            data = path.read_bytes()
            self._originals[path] = (data, places(data))
        return self._originals[path]

    def _files(self, name: str) -> Roles:
        if name not in self._models:
            self._models[name] = write_set(name, self.folder / name, quant="Q8_0").files
        return self._models[name]


class Gguf(_Models):
    """Models with a GGUF file that is a mutant."""

    suffixes = (".gguf",)

    def mutant(self, path: Path, random: Random) -> bytes:
        """As in the base."""
        return gguf_mutants.mutate(*self.original(path, gguf_mutants.places_of), random)


class GgufOfAll(Gguf):
    """The same of all families."""

    sets = SETS


class Safetensors(_Models):
    """Models with a safetensors file that is a mutant."""

    suffixes = (".safetensors",)

    def mutant(self, path: Path, random: Random) -> bytes:
        """As in the base."""
        return safetensors_mutants.mutate(self.original(path, len)[0], random)


class SafetensorsOfAll(Safetensors):
    """The same of all families."""

    sets = SETS


class Retyped(Attempts):
    """Models with a tensor of another type: every one once, and after the last the first again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cases = retyped.cases(dict(TINY))

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        del random
        case = self._cases[number % len(self._cases)]
        mutant = retyped.write_retyped(case, TINY[case.role], self.folder)
        try:
            return use({**TINY, case.role: mutant})
        except SdcppError:
            raise
        except Exception as error:
            raise AssertionError(f"{case} was no error of ours") from error


def use(files: Roles) -> str:
    """Opens a model and generates a picture with it."""
    with Generator(**arguments_of(files), device="cpu", threads=1) as generator:
        generator.generate("a red circle", **SMALL)
    return "generated"


class Loras(Attempts):
    """LoRAs, which are inspected, and applied to the model in the package."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._original = write("tiny-klein-lora", folder).read_bytes()
        self._generator = Generator(**arguments_of(TINY), device="cpu", threads=1)
        self._latent = self._draw()

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        path = self.folder / "lora.safetensors"
        path.write_bytes(safetensors_mutants.mutate(self._original, random))
        inspect(path)
        try:
            self._draw(loras=path)
        finally:
            assert self._draw() == self._latent, "the picture after a LoRA's is another one"
        return "applied"

    def _draw(self, **arguments: Any) -> bytes:
        latent = self._generator.generate("a red circle", return_latent=True, **SMALL, **arguments).latent
        assert latent is not None
        return latent.tobytes()


class Indices(Attempts):
    """Models in several files, of which the index is a mutant."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        lora = write("tiny-klein-lora", folder)
        header, _ = safetensors_mutants.split(lora.read_bytes())
        shards = [folder / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
        shutil.copy(lora, shards[0])
        one = {"other.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
        shards[1].write_bytes(safetensors_mutants.joined(json.dumps(one), bytes(8)))
        names = {name: shards[0].name for name in header if name != "__metadata__"}
        self._text = json.dumps(
            {"metadata": {"total_size": 8}, "weight_map": {**names, "other.weight": shards[1].name}}
        )

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        path = self.folder / "model.safetensors.index.json"
        path.write_text(text_mutants.mutate_json_text(self._text, random), "utf-8", "surrogatepass")
        inspect(random.choice((path, self.folder)))
        return "inspected"


class Prompts(Attempts):
    """Files of prompt embeddings, loaded or found in a cache's folder, and generated with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cache = folder / "cache"
        self._generator = Generator(**arguments_of(TINY), device="cpu", threads=1, cache_dir=self._cache)
        self._generator.encode("a red circle")
        (self._kept,) = self._cache.glob("*.npz")
        self._original = self._kept.read_bytes()

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        self._kept.write_bytes(text_mutants.mutate_archive(self._original, random))
        if random.random() < 0.5:
            prompt = EncodedPrompt.load(self._kept)
            self._generator.generate(prompt, **SMALL)
            return "generated"
        # What lies in a cache must never be an error.
        cache = self._generator._pipeline._encodings._cache
        if cache is not None:
            cache.clear()
        try:
            self._generator.encode("a red circle")
        except Exception as error:
            raise AssertionError("a damaged cache was an error") from error
        return "encoded"


class Catalogues(Attempts):
    """Catalogues of a user's own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._text = BUILT_IN.read_text("utf-8")

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        path = self.folder / "catalogue.toml"
        how = (
            text_mutants.mutate_lines
            if random.random() < 0.8
            else lambda text, r: text_mutants.mutate_bytes(text.encode(), r)
        )
        path.write_bytes(how(self._text, random))
        read_catalogues([path])
        return "read"


class Pictures(Attempts):
    """Pictures with settings in them: read, and taken for an init image."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        metadata = PictureMetadata(GenerationSettings("a cat, [dog]", "blurry", sampler="euler_a"), {"vae": "ae"})
        self._ours, self._common = to_json(metadata), to_common_text(metadata)
        self._graph = json.dumps(_GRAPH)

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        path = self.folder / "picture.png"
        path.write_bytes(self._exif(random) if random.random() < 0.25 else self._png(random))
        read_metadata(path)
        to_pixels(path)
        return "read"

    def _png(self, random: Random) -> bytes:
        names = ("sdcpp_py", "parameters", "prompt", "workflow", "invokeai_metadata", "Comment", "fooocus_scheme")
        texts = []
        for name in random.sample(names, random.choice((1, 2, 3))):
            text = random.choice(
                (self._ours, self._graph, '{"steps": 20, "prompt": "x", "seed": 3, "sampler": "k_euler"}')
            )
            texts.append((name, text_mutants.mutate_json_text(text, random)))
            if name == "parameters" and random.random() < 0.7:
                changed = text_mutants.mutate_bytes(self._common.encode(), random)
                texts[-1] = (name, changed.decode("utf-8", "replace"))
        return text_mutants.png_of(texts, random)

    def _exif(self, random: Random) -> bytes:
        """A JPEG whose EXIF block is a mutant."""
        import io

        from PIL import Image

        block = exif_block(self._common, text_mutants.mutate_json_text(self._ours, random), "sdcpp_py")
        out = io.BytesIO()
        changed = text_mutants.mutate_bytes(block[6:], random)[:60_000]
        Image.new("RGB", (8, 8)).save(out, "JPEG", exif=b"Exif\0\0" + changed)
        return text_mutants.mutate_bytes(out.getvalue(), random) if random.random() < 0.2 else out.getvalue()


class Deadly(Attempts):
    """The death of the process at number 1."""

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        del random
        if number == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        return "lived"


_GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 1, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "karras", "denoise": 1,
                   "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a bottle", "clip": ["4", 1]}},
}  # fmt: skip
