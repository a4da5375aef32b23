"""Encoded prompts: apart from drawing, saved, cached, and never trusted blindly."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from sdcpp_py import (
    EncodedPrompt,
    Generator,
    MetadataError,
    ModelMismatchError,
    OutputError,
    Phase,
    Progress,
    SettingsError,
)
from sdcpp_py._native.requests import EncodeRequest, Request
from sdcpp_py.prompts.cache import SHARED, PromptCache, fingerprint
from sdcpp_py.synth import SyntheticSet
from tests.conftest import open_generator
from tests.support.examples import examples

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 1, "seed": 3}


def pixels(generator: Generator, prompt: str | EncodedPrompt, **settings: Any) -> np.ndarray:
    return np.asarray(generator.generate(prompt, **{**SMALL, **settings}))


def phases(generator: Generator, prompt: str | EncodedPrompt) -> tuple[list[Phase], int]:
    """The phases of a picture, as they were reported, and how many prompts were encoded for it."""
    seen: list[Progress] = []
    engine, encoded = generator._pipeline.engine, 0
    run = engine.run

    def counted(request: Request, *listen: Any) -> dict[str, Any]:
        nonlocal encoded
        encoded += isinstance(request, EncodeRequest)
        return run(request, *listen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "run", counted)
        generator.generate(prompt, **SMALL, on_progress=seen.append)
    return list(dict.fromkeys(progress.phase for progress in seen)), encoded


def some_prompt(text: str = "a cat", tokens: int = 4) -> EncodedPrompt:
    return EncodedPrompt(text, "z-image", {"crossattn": np.ones((tokens, 64), np.float32)})


def test_a_prompt_can_be_encoded_in_advance(generator: Generator, tmp_path: Path) -> None:
    """Given as text, as encoded, as saved and loaded, or as pickled, a prompt gives the same picture."""
    expected = pixels(generator, "a cat in advance")
    encoded = generator.encode("a cat in advance")
    loaded = EncodedPrompt.load(encoded.save(tmp_path / "cat.npz"))
    for prompt in (encoded, loaded, pickle.loads(pickle.dumps(encoded))):
        assert np.array_equal(pixels(generator, prompt), expected)
    assert loaded.prompt == "a cat in advance"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.npz"]
    assert generator.generate(loaded, **SMALL).settings.prompt == "a cat in advance"


def test_an_encoded_prompt_is_sent_to_another_process(
    generator: Generator, model: SyntheticSet, tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """A process that never encodes draws the same picture, as the guided one with two encoded prompts."""
    settings: dict[str, Any] = {**SMALL, "cfg_scale": 2.0}
    expected = np.asarray(generator.generate("a cat", negative_prompt="a dog", **settings))
    for text in ("a cat", "a dog"):
        generator.encode(text).save(tmp_path / f"{text}.npz")
    result = run_python(
        "import sys, numpy as np\n"
        "from sdcpp_py import EncodedPrompt, Generator\n"
        "cat, dog = (EncodedPrompt.load(path) for path in sys.argv[4:6])\n"
        "with Generator(*sys.argv[1:4], device='cpu') as generator:\n"
        f"    picture = generator.generate(cat, negative_prompt=dog, **{settings})\n"
        "    np.save(sys.argv[6], np.asarray(picture))\n"
        "    print(generator.weight_bytes['text_encoder'], picture.timings['encode'])",
        model.diffusion_model, model.text_encoder, model.vae,
        tmp_path / "a cat.npz", tmp_path / "a dog.npz", tmp_path / "picture.npy",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert np.array_equal(np.load(tmp_path / "picture.npy"), expected)
    assert float(result.stdout.split()[1]) == 0


def test_a_prompt_is_encoded_once(generator: Generator) -> None:
    """For the second picture of a prompt nothing is encoded, and its phase is reported all the same."""
    SHARED.clear()
    for encoded in (1, 0):
        found = phases(generator, "a cat that is drawn twice")
        assert found == ([Phase.ENCODE, Phase.DENOISE, Phase.DECODE], encoded)


def test_generators_share_what_they_encoded(generator: Generator, model: SyntheticSet, tmp_path: Path) -> None:
    """The cache goes by what is in the encoder's file: another generator, over a copy of it, encodes nothing."""
    encoded = generator.encode("a cat for all")
    copy = tmp_path / "another name.gguf"
    copy.write_bytes(model.text_encoder.read_bytes())
    with Generator(model.diffusion_model, copy, model.vae, device="cpu") as other:
        assert other.encode("a cat for all") is encoded
    with open_generator(model, cache_prompts=False) as other:
        again = other.encode("a cat for all")
        assert again is not encoded
        assert np.array_equal(again.arrays["crossattn"], encoded.arrays["crossattn"])


def test_what_is_shared_cannot_be_changed(generator: Generator) -> None:
    """Writing into states that the cache keeps is an error, and not another picture for everyone."""
    states = generator.encode("a cat in stone").arrays["crossattn"]
    with pytest.raises(ValueError, match="read-only"):
        states[0, 0] = 0


def test_a_folder_keeps_prompts_for_other_days(model: SyntheticSet, tmp_path: Path) -> None:
    """A generator with a folder writes what it encodes there, and a later one reads it; families have their own."""
    folder = tmp_path / "new" / "cache"
    with open_generator(model, cache_dir=folder) as generator:
        encoded = generator.encode("a cat of yesterday")
    [file] = folder.iterdir()
    with open_generator(model, cache_dir=folder) as generator:
        assert phases(generator, "a cat of yesterday")[1] == 0
        again = generator.encode("a cat of yesterday")
    assert np.array_equal(again.arrays["crossattn"], encoded.arrays["crossattn"])
    assert not again.arrays["crossattn"].flags.writeable
    file.rename(file.with_name("elsewhere"))
    EncodedPrompt("a cat of yesterday", "flux2-klein", {"crossattn": np.ones((2, 32), np.float32)}).save(file)
    with open_generator(model, cache_dir=folder) as generator:  # a whole file, of another family
        again = generator.encode("a cat of yesterday")
    assert np.array_equal(again.arrays["crossattn"], encoded.arrays["crossattn"])


def test_states_of_another_reading_are_not_taken(
    model: SyntheticSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier version read a prompt as may be other tokens: its states stay on disk, and are not used."""
    for reading in (1, 2):
        monkeypatch.setattr("sdcpp_py.prompts.cache._READING", reading)
        with open_generator(model, cache_dir=tmp_path) as generator:
            generator.encode("a cat of another reading")
        assert len(list(tmp_path.iterdir())) == reading


@pytest.mark.sample(2)
@pytest.mark.parametrize("damage", ["cut short", "empty", "of another version", "of another prompt", "a pickle"])
def test_a_damaged_cache_file_is_ignored_and_rewritten(model: SyntheticSet, tmp_path: Path, damage: str) -> None:
    """What is in the folder is never trusted: the prompt is encoded anew, and the file is whole again."""
    with open_generator(model, cache_dir=tmp_path) as generator:
        expected = generator.encode("a cat").arrays["crossattn"]
    [file] = tmp_path.iterdir()
    good = file.read_bytes()
    if damage == "cut short":
        file.write_bytes(good[: len(good) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "of another prompt":
        some_prompt("a dog").save(file)
    elif damage == "a pickle":
        with file.open("wb") as stream:
            np.savez(stream, crossattn=np.array([object()]), allow_pickle=True)
    else:
        header = json.dumps({"format": 99, "prompt": "a cat", "family": "z-image"}).encode()
        with file.open("wb") as stream:
            np.savez(stream, sdcpp_py=np.frombuffer(header, np.uint8), crossattn=expected)
    with open_generator(model, cache_dir=tmp_path) as generator:
        assert np.array_equal(generator.encode("a cat").arrays["crossattn"], expected)
    [file] = tmp_path.iterdir()
    assert EncodedPrompt.load(file).prompt == "a cat"


def test_a_cache_is_bounded(tmp_path: Path) -> None:
    """The least recently used go first, in memory and on disk."""
    size = some_prompt().nbytes
    cache = PromptCache(tmp_path, memory_bytes=2 * size, folder_bytes=1)
    for key in "abc":
        cache.keep(key, some_prompt(key))
        cache.find("a", "a")
    assert cache.find("a", "a") is not None
    assert cache.find("b", "b") is None
    assert len(list(tmp_path.iterdir())) == 0


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    """A file whose process ended while it was written is deleted after an hour, and not before."""
    old, young = tmp_path / ".a.prompt.npz.1.part", tmp_path / ".b.prompt.npz.2.part"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    PromptCache(tmp_path).keep("key", some_prompt())
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_made_is_an_error(model: SyntheticSet, tmp_path: Path) -> None:
    """It is found before anything is loaded."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="prompt cache"):
        open_generator(model, cache_dir=tmp_path / "file" / "cache")


def test_a_prompt_of_another_model_is_refused(generator: Generator, klein_generator: Generator, tmp_path: Path) -> None:
    """States of another family, or of an encoder of another width, are named and not used."""
    encoded = klein_generator.encode("a cat")
    with pytest.raises(ModelMismatchError, match="encoded for flux2-klein"):
        generator.generate(encoded, **SMALL)
    narrow = EncodedPrompt("a cat", "z-image", {"crossattn": np.zeros((4, 32), np.float32)})
    with pytest.raises(ModelMismatchError, match="another text encoder"):
        generator.generate("a dog", negative_prompt=narrow, cfg_scale=2.0, **SMALL)
    short = EncodedPrompt("a cat", "flux2-klein", {"crossattn": encoded.arrays["crossattn"][:100]})
    with pytest.raises(ModelMismatchError, match="512"):
        klein_generator.generate(short, **SMALL)


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_a_file_of_any_bytes_is_an_error_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    """Whatever a file holds, it is loaded whole or refused by name."""
    file = tmp_path_factory.mktemp("prompt") / "p.npz"
    good = some_prompt().save(file).read_bytes()
    place = min(place, len(good))
    file.write_bytes(good[:place] + junk + good[place + len(junk) :])
    try:
        assert EncodedPrompt.load(file).family
    except MetadataError:
        pass


@profile(max_examples=examples(50))
@given(st.binary(max_size=20) | st.text(" ()[]{},'\"\\\n0", max_size=9).map(str.encode), st.integers(0, 140))
@example(b" ", 66)  # a bracket that is not closed is an error of Python's tokenizer
def test_an_array_of_any_bytes_is_an_error_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    """Where the archive is whole and an array in it is not, too."""
    file, wrong = tmp_path_factory.mktemp("prompt") / "p.npz", io.BytesIO()
    some_prompt().save(file)
    with zipfile.ZipFile(file) as good, zipfile.ZipFile(wrong, "w") as archive:
        for name in good.namelist():
            data = good.read(name)
            archive.writestr(name, data[:place] + junk + data[place + len(junk) :] if "crossattn" in name else data)
    file.write_bytes(wrong.getvalue())
    try:
        assert EncodedPrompt.load(file).family
    except MetadataError:
        pass


@pytest.mark.slow
def test_a_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """A few kilobytes that claim to be two gigabytes are not unpacked."""
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("crossattn.npy", "w") as stream:
        for _ in range(1100):
            stream.write(bytes(1 << 20))
    with pytest.raises(MetadataError, match="too much"):
        EncodedPrompt.load(file)


def test_a_batch_of_prompts_encodes_all_first(generator: Generator, tmp_path: Path) -> None:
    """Several prompts in one call: every prompt is encoded before the first picture, and each is drawn as alone."""
    SHARED.clear()
    prompts = ["a red cat", "a blue dog", "a red cat"]
    seen: list[Phase] = []
    pictures = generator.generate_batch(prompts, count=2, **SMALL, on_progress=lambda p: seen.append(p.phase))
    assert [(picture.settings.prompt, picture.seed) for picture in pictures] == [
        (prompt, seed) for prompt in prompts for seed in (3, 4)
    ]
    assert Phase.ENCODE not in seen[seen.index(Phase.DENOISE) :]
    assert np.array_equal(np.asarray(pictures[3]), pixels(generator, "a blue dog", seed=4))
    with pytest.raises(SettingsError, match="no prompt"):
        generator.generate_batch([])
    with pytest.raises(SettingsError, match="10,001 prompts"):
        generator.generate_batch(["x"] * 10_001)
    with pytest.raises(SettingsError, match="must be a string"):
        generator.generate(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="cache_prompts"):
        Generator.from_pretrained("tiny", device="cpu", cache_prompts=False, cache_dir=tmp_path)


def test_very_many_prompts_are_encoded_in_portions(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their states would fill the memory otherwise; every picture is drawn from its own prompt all the same."""
    monkeypatch.setattr("sdcpp_py.pipeline.batch.PROMPTS_AT_ONCE", 2)
    SHARED.clear()
    prompts = [f"cat number {number}" for number in range(5)]
    seen: list[Phase] = []
    pictures = generator.generate_batch(prompts, **SMALL, on_progress=lambda p: seen.append(p.phase))
    assert [picture.settings.prompt for picture in pictures] == prompts
    assert np.array_equal(np.asarray(pictures[4]), pixels(generator, prompts[4]))
    assert sum(after is Phase.ENCODE and before is not Phase.ENCODE for before, after in pairwise([None, *seen])) == 3


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """Equal files of other names are one; a byte more, or a sampled one changed, is another."""
    one, two = tmp_path / "one", tmp_path / "two"
    data = np.random.default_rng(0).bytes(33 << 20)
    one.write_bytes(data)
    two.write_bytes(data)
    assert fingerprint(one) == fingerprint(two)
    two.write_bytes(data + b"x")
    assert fingerprint(one) != fingerprint(two)
    two.write_bytes(b"y" + data[1:])
    assert fingerprint(one) != fingerprint(two)
