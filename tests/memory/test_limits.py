"""Drawing within limits of memory: the same pictures, no more bytes, and parts that are shared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import (
    EncodedPrompt,
    Generator,
    GeneratorClosedError,
    ModelLoadError,
    ModelMismatchError,
    NativeLibraryError,
    OutOfMemoryError,
    Phase,
    Progress,
    SettingsError,
    TextEncoder,
)
from sdcpp_py._native.library import device_usage
from sdcpp_py.memory.plan import Stay
from sdcpp_py.synth import SyntheticSet, write, write_set
from sdcpp_py.system.byte_sizes import parse_bytes
from tests.conftest import open_generator
from tests.support.patience import all_closed
from tests.support.reading import reading
from tests.support.silent_layers import layer_of, silence

PICTURE: dict[str, Any] = {"width": 128, "height": 128, "steps": 2, "seed": 5}
PROMPT = "a cat within limits"


@pytest.fixture(params=["klein", "z_image"])
def files(request: pytest.FixtureRequest) -> SyntheticSet:
    """A small model of each family."""
    found: SyntheticSet = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def counted() -> Iterator[None]:
    """Nothing is left on the device by generators that are gone."""
    all_closed()
    before = device_usage("cpu").bytes
    yield
    all_closed()
    assert device_usage("cpu").bytes == before


def held_by_others() -> int:
    """Bytes that generators of other tests hold."""
    all_closed()
    return device_usage("cpu").bytes


def drawn(files: SyntheticSet, **arguments: object) -> np.ndarray:
    with open_generator(files, cache_prompts=False, **arguments) as generator:
        return np.asarray(generator.generate(PROMPT, **PICTURE))


SHARES = range(7)
"""From the least that works for a picture to all there is, in sixths, so that every way of staying is met."""


def limit_at(share: int, files: SyntheticSet) -> int:
    with open_generator(files, memory="all") as generator:
        plan = generator.plan(width=128, height=128)
    least, most = plan.least("cpu"), plan.peak("cpu")
    return least + (most - least) * share // SHARES[-1]


@pytest.mark.sample(3)
@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("share", SHARES)
def test_the_picture_does_not_depend_on_the_limit(files: SyntheticSet, share: int) -> None:
    """Resident, staged or streamed: the same bytes, and never more allocated than the limit."""
    expected = drawn(files, memory="all")
    others = held_by_others()
    limit = limit_at(share, files)
    device_usage("cpu", reset=True)
    assert np.array_equal(drawn(files, memory=limit), expected)
    assert device_usage("cpu").most_bytes - others <= limit


@pytest.mark.slow
@pytest.mark.usefixtures("counted")
def test_streamed_guided_and_tiled_pictures_are_the_same(klein: SyntheticSet) -> None:
    """Guidance computes two graphs in a step, and tiles several in a decoding: all read their blocks in time."""
    settings: dict[str, Any] = {**PICTURE, "cfg_scale": 2.0, "vae_tile_size": 64}
    pictures = []
    for limit in ("all", limit_at(0, klein)):
        with open_generator(klein, cache_prompts=False, memory=limit) as generator:
            pictures.append(np.asarray(generator.generate(PROMPT, negative_prompt="a dog", **settings)))
    assert np.array_equal(pictures[0], pictures[1])


@pytest.mark.sample(2)
@pytest.mark.parametrize("share", SHARES)
def test_the_plan_tells_what_happens(klein: SyntheticSet, share: int) -> None:
    """What the plan calls resident is in memory between pictures, and nothing else is."""
    limit = limit_at(share, klein)
    with open_generator(klein, cache_prompts=False, memory=limit) as generator:
        plan = generator.plan(width=128, height=128)
        assert plan.fits
        assert plan.limits == {"cpu": limit}
        generator.generate(PROMPT, **PICTURE)
        held = generator.weight_bytes
        for part in plan.parts:
            if part.stay is Stay.RESIDENT:
                assert held[part.need.name] == pytest.approx(part.need.weights, rel=0.02)
        assert sum(held.values()) <= limit


def test_a_limit_too_small_is_refused_before_loading(files: SyntheticSet) -> None:
    """The error names the limits that work for the model's own size, and for the smallest picture of an encoded prompt.

    They do work, and what is under them is refused as well.
    """
    said = r"512x512 needs at least .*; even from a prompt embedding, 64x64 needs"
    with pytest.raises(OutOfMemoryError, match=said) as caught:
        open_generator(files, memory="1MiB")
    own, smallest = (said.split(" on cpu")[0] for said in str(caught.value).split("needs at least ")[1:])
    with open_generator(files, memory=own) as generator:
        assert generator.plan().fits
        encoded = generator.encode("a cat")
    with open_generator(files, memory=smallest) as generator:
        generator.generate(encoded, width=64, height=64, steps=1)
    with pytest.raises(OutOfMemoryError):
        open_generator(files, memory=parse_bytes("memory", smallest) - (2 << 20))


def test_a_picture_too_large_for_the_limit_is_refused_before_it_is_begun(klein: SyntheticSet) -> None:
    """A generator that draws its own size may be asked for one that does not fit: an error, and it goes on."""
    least = limit_at(0, klein)
    with open_generator(klein, memory=least) as generator:
        seen: list[Progress] = []
        with pytest.raises(OutOfMemoryError, match="2048x2048 needs at least"):
            generator.generate(PROMPT, width=2048, height=2048, on_progress=seen.append)
        assert not seen
        plan = generator.plan(width=2048, height=2048)
        assert not plan.fits
        assert "vae_tile_size" in plan.advice()
        generator.generate(PROMPT, **PICTURE)


@pytest.mark.parametrize("memory", ["", "lots", "-1GiB", 0, None, {"cpu": "x"}, {7: "1GiB"}, float("nan")])
def test_what_is_no_limit_is_refused(model: SyntheticSet, memory: object) -> None:
    """Limits that are no sizes are errors that name the setting."""
    with pytest.raises(SettingsError, match="memory"):
        open_generator(model, memory=memory)


@pytest.mark.parametrize("device", [{"encoder": "cpu"}, {"vae": 7}, 7, None])
def test_what_is_no_choice_of_devices_is_refused(model: SyntheticSet, device: object) -> None:
    """Parts that there are not, and names that are none, are errors."""
    with pytest.raises(SettingsError, match="device"):
        Generator(model.diffusion_model, model.text_encoder, model.vae, device=device)  # type: ignore[arg-type]


def test_devices_can_be_named_by_part(model: SyntheticSet) -> None:
    """Every part named, or some of them: the rest is chosen."""
    with Generator(
        model.diffusion_model, model.text_encoder, model.vae, device={"diffusion_model": "cpu"}
    ) as generator:
        assert {part.need.device for part in generator.plan().parts} == {"cpu"}
        assert generator.device == "cpu"


@pytest.mark.usefixtures("counted")
def test_equal_files_are_in_memory_once(tmp_path: Path) -> None:
    """A second generator over the same files allocates nothing for weights, and neither minds the other's end."""
    model = write_set("tiny-z-image", tmp_path, quant="Q8_0", seed=7)  # of files that no other generator has in memory
    before = device_usage("cpu").bytes
    with open_generator(model, memory="all") as one:
        alone = device_usage("cpu").bytes - before
        assert alone >= sum(one.weight_bytes.values()) * 0.99
        other = open_generator(model, memory="all")
        assert device_usage("cpu").bytes - before == alone
        expected = np.asarray(one.generate(PROMPT, **PICTURE))
    with other:
        assert np.array_equal(np.asarray(other.generate(PROMPT, **PICTURE)), expected)


def test_a_file_that_was_replaced_is_another_file(model: SyntheticSet, tmp_path: Path) -> None:
    """A file written anew under the same name is read anew, while a generator over the old one goes on."""
    path = tmp_path / "denoiser.gguf"
    path.write_bytes(model.diffusion_model.read_bytes())
    with Generator(path, model.text_encoder, model.vae, device="cpu") as old:
        expected = np.asarray(old.generate(PROMPT, **PICTURE))
        fresh = write("tiny-z-image", tmp_path / "new", quant="Q8_0", seed=9)
        fresh.replace(path)
        with Generator(path, model.text_encoder, model.vae, device="cpu") as new:
            assert not np.array_equal(np.asarray(new.generate(PROMPT, **PICTURE)), expected)
        assert np.array_equal(np.asarray(old.generate(PROMPT, **PICTURE)), expected)


def loaded_bytes(seen: list[Progress]) -> int:
    return max((progress.bytes_total for progress in seen if progress.phase is Phase.LOAD), default=0)


@pytest.mark.slow
@pytest.mark.usefixtures("counted")
def test_a_shared_encoder_stays_when_models_change(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Z-Image and Klein read one text encoder; with a TextEncoder, switching between them does not read it again."""
    folder = tmp_path_factory.mktemp("both")
    parts = ("tiny-qwen3-36", "tiny-klein", "tiny-flux2-vae", "tiny-z-image", "tiny-flux1-vae")
    encoder_file, klein, klein_vae, z_image, z_vae = (write(name, folder, quant="Q8_0") for name in parts)
    encoder_bytes = encoder_file.stat().st_size
    with TextEncoder(encoder_file) as encoder:
        loads = []
        for denoiser, vae in ((z_image, z_vae), (klein, klein_vae), (z_image, z_vae)):
            seen: list[Progress] = []
            with Generator(denoiser, encoder, vae, device="cpu", memory="all", on_progress=seen.append) as generator:
                generator.generate(PROMPT, **PICTURE)
            loads.append(loaded_bytes(seen))
        files = [
            denoiser.stat().st_size + vae.stat().st_size for denoiser, vae in ((z_image, z_vae), (klein, klein_vae))
        ]
        assert loads[0] > z_image.stat().st_size + encoder_bytes * 0.8
        assert loads[1] <= files[1]
        assert loads[2] <= files[0]
        assert device_usage("cpu").bytes > encoder_bytes * 0.8
        assert "TextEncoder" in repr(encoder)
    with pytest.raises(GeneratorClosedError, match="text encoder is closed"):
        Generator(z_image, encoder, z_vae, device="cpu")


def test_layers_that_no_phase_uses_are_not_loaded(klein: SyntheticSet) -> None:
    """Klein reads states from the middle of its text encoder; what lies behind is left in the file."""
    with open_generator(klein, memory="all") as generator:
        assert generator.weight_bytes["text_encoder"] < klein.text_encoder.stat().st_size * 0.99


def test_an_encoder_of_another_size_is_refused(model: SyntheticSet, tmp_path: Path) -> None:
    """A TextEncoder is checked against the denoiser, and a file that is no text encoder makes none."""
    with TextEncoder(write("tiny-qwen3", tmp_path)) as short, pytest.raises(ModelMismatchError, match="28 layers"):
        Generator(model.diffusion_model, short, model.vae, device="cpu")
    with pytest.raises(ModelMismatchError, match="was given as a text encoder, but it is"):
        TextEncoder(model.vae)


@pytest.mark.sample(1)
@pytest.mark.usefixtures("counted", "every_cpu")
@pytest.mark.parametrize("tight", [False, True])
def test_two_threads_draw_with_one_encoder(model: SyntheticSet, tight: bool) -> None:
    """Two generators that share an encoder draw at the same time, and all pictures are right.

    Also where weights come and go under them.
    """
    expected = drawn(model, memory="all")
    limit = limit_at(1, model) if tight else "all"
    found: list[np.ndarray] = []
    with TextEncoder(model.text_encoder) as encoder:

        def draw() -> None:
            with Generator(
                model.diffusion_model, encoder, model.vae, device="cpu", memory=limit, cache_prompts=False, threads=1
            ) as generator:
                for _ in range(3):
                    found.append(np.asarray(generator.generate(PROMPT, **PICTURE)))

        threads = [threading.Thread(target=draw) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 6
    assert all(np.array_equal(picture, expected) for picture in found)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A Klein whose denoiser is larger than its working buffers."""
    files = write_set("tiny-klein", tmp_path_factory.mktemp("large"), quant="F32")
    silence(files.text_encoder, lambda name: layer_of(name) != 3)  # which is not what is tested with it
    return files


@pytest.fixture(scope="module")
def encoded(large: SyntheticSet) -> EncodedPrompt:
    with open_generator(large) as generator:
        return generator.encode(PROMPT)


def tight(generator: Generator) -> int:
    """The limit in which 64x64 of an encoded prompt are just possible: the denoiser has next to the least room."""
    needs = [part.need for part in generator.plan(width=64, height=64, prompt=PROMPT).parts]
    return max(need.least_room + need.working for need in needs if need.name != "text_encoder")


@pytest.mark.sample(1)
@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("more", [0, 1 << 20, 4 << 20, 6 << 20])
def test_a_denoiser_that_does_not_fit_comes_block_by_block(
    large: SyntheticSet, encoded: EncodedPrompt, more: int
) -> None:
    """In any room from the least to its whole size it draws the same picture, in every step, with guidance too."""
    size = {"width": 64, "height": 64}
    settings: dict[str, Any] = {**size, "steps": 3, "seed": 1, "cfg_scale": 2.0, "negative_prompt": encoded}
    with open_generator(large, memory="all") as generator:
        expected = np.asarray(generator.generate(encoded, **settings))
        least = tight(generator)
    device_usage("cpu", reset=True)
    with open_generator(large, memory=least + more) as generator:
        assert np.array_equal(np.asarray(generator.generate(encoded, **settings)), expected)
        assert generator.weight_bytes["diffusion_model"] < large.diffusion_model.stat().st_size - (1 << 20)
        with pytest.raises(OutOfMemoryError, match="64x64 needs at least"):
            generator.generate("a cat that is not encoded yet", width=64, height=64)
    assert device_usage("cpu").most_bytes <= least + more + held_by_others()


@pytest.mark.slow
def test_a_file_that_vanishes_under_a_stream_is_an_error(
    large: SyntheticSet, encoded: EncodedPrompt, tmp_path: Path
) -> None:
    """A denoiser that is cut short while its blocks are read again and again ends the picture, and not the process."""
    path = tmp_path / "denoiser.gguf"
    data = large.diffusion_model.read_bytes()
    path.write_bytes(data)
    with open_generator(large, memory="all") as generator:
        expected = np.asarray(generator.generate(encoded, width=64, height=64, steps=4, seed=1))
        least = tight(generator)

    def cut(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and progress.fraction > 0:
            path.write_bytes(data[: len(data) // 4])

    with Generator(path, large.text_encoder, large.vae, device="cpu", memory=least) as generator:
        # Many steps on a slow disk: the picture is not done before the file is cut.
        with reading(bytes_per_second=20 << 20), pytest.raises(ModelLoadError, match="ended early"):
            generator.generate(encoded, width=64, height=64, steps=1000, on_progress=cut)
        path.write_bytes(data)
        again = generator.generate(encoded, width=64, height=64, steps=4, seed=1)
        assert np.array_equal(np.asarray(again), expected)


def test_cancelling_while_weights_come_leaves_the_generator_usable(klein: SyntheticSet) -> None:
    """An exception out of a load in the middle of a picture leaves nothing half loaded behind."""
    expected = drawn(klein, memory="all")
    with open_generator(klein, memory=limit_at(1, klein), cache_prompts=False) as generator:

        def stop(progress: Progress) -> None:
            if progress.phase is Phase.LOAD:
                raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                generator.generate(PROMPT, on_progress=stop, **PICTURE)
        assert np.array_equal(np.asarray(generator.generate(PROMPT, **PICTURE)), expected)


@pytest.mark.slow
@pytest.mark.usefixtures("counted")
def test_a_load_that_is_stopped_at_its_end_counts(klein: SyntheticSet) -> None:
    """Weights that came although their caller was stopped are made room of, as others are: the limit holds."""
    limit = limit_at(1, klein)
    others = held_by_others()
    with open_generator(klein, memory=limit, cache_prompts=False) as generator:

        def stop(progress: Progress) -> None:
            if progress.phase is Phase.LOAD and progress.fraction == 1:
                raise ZeroDivisionError

        device_usage("cpu", reset=True)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                generator.generate(PROMPT, on_progress=stop, **PICTURE)
            generator.generate(PROMPT, **PICTURE)
        assert device_usage("cpu").most_bytes - others <= limit


@pytest.mark.usefixtures("counted")
def test_a_shared_encoder_makes_room_under_a_limit(large: SyntheticSet, encoded: EncodedPrompt) -> None:
    """What an earlier generator left in a TextEncoder goes where a later one's limit has no room for it."""
    others = held_by_others()
    with TextEncoder(large.text_encoder) as encoder:
        with Generator(large.diffusion_model, encoder, large.vae, device="cpu", memory="all") as generator:
            least = tight(generator)
        assert device_usage("cpu").bytes - others > least
        with Generator(large.diffusion_model, encoder, large.vae, device="cpu", memory=least) as generator:
            generator.generate(encoded, width=64, height=64, steps=1)
            device_usage("cpu", reset=True)
            generator.generate(encoded, width=64, height=64, steps=1)
            assert device_usage("cpu").most_bytes - others <= least


@pytest.mark.slow
def test_a_file_that_was_replaced_is_not_read_for_the_old_one(large: SyntheticSet, tmp_path: Path) -> None:
    """Parts that come again and again come from the file that was opened: another in its place is refused by name."""
    path = tmp_path / "denoiser.gguf"
    path.write_bytes(large.diffusion_model.read_bytes())
    with open_generator(large, memory="all") as generator:
        limit = generator.plan(width=64, height=64).least("cpu")
    with Generator(path, large.text_encoder, large.vae, device="cpu", memory=limit) as generator:
        settings: dict[str, Any] = {"width": 64, "height": 64, "steps": 1}
        generator.generate("one", **settings)
        write("tiny-klein", tmp_path / "new", quant="F32", seed=9).replace(path)
        with pytest.raises(ModelLoadError, match="has changed since it was opened"):
            generator.generate("two", **settings)


def test_a_closed_generator_holds_nothing(model: SyntheticSet) -> None:
    """Asking a closed generator for its weights gives none, and touches nothing that is gone."""
    generator = open_generator(model)
    assert generator.weight_bytes["vae"] > 0
    generator.close()
    assert generator.weight_bytes == {}


def test_a_limit_for_a_device_that_there_is_not_is_an_error(model: SyntheticSet) -> None:
    """A slip in a device's name is no limit that is never kept to."""
    with pytest.raises(NativeLibraryError, match="vulcan0"):
        open_generator(model, memory={"vulcan0": "1GiB"})


@pytest.mark.parametrize(
    ("wish", "meant"), [(8, "8GiB"), ("8", "8GiB"), (6144, "6144MiB"), ({"cpu": 8}, "8GiB"), (" 12 ", "12GiB")]
)
def test_a_forgotten_unit_is_asked_for(wish: Any, meant: str) -> None:
    """No model runs in 8 bytes; before any file is looked for."""
    with pytest.raises(SettingsError, match=rf"bytes; did you mean {meant}\?"):
        Generator.from_pretrained("no-model", memory=wish)
