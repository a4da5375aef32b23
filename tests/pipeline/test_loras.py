"""LoRAs beside the weights: the pictures of weights that they were added to, whatever program named their layers."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sdcpp_py import (
    EngineCrashedError,
    Generator,
    ModelMismatchError,
    ModelNotFoundError,
    OutOfMemoryError,
    Phase,
    Progress,
    SettingsError,
)
from sdcpp_py.errors import LoraWarning
from sdcpp_py.memory.plan import Stay
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.files import arguments_of
from sdcpp_py.models.loras import Lora
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.synth import SyntheticSet, write_set

from ..conftest import open_generator

Floats = NDArray[np.float32]
Tensors = dict[str, Floats]

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "seed": 3, "cfg_scale": 1, "return_latent": True}
RANK = 4
FAMILIES = ("klein", "z-image", "flux1-schnell", "sd3", "qwen-image", "chroma")


def random(shape: tuple[int, ...], seed: int) -> Floats:
    numbers: Floats = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    numbers /= np.float32(np.sqrt(shape[-1]))
    return numbers


def pair(shape: tuple[int, ...], seed: int) -> tuple[Floats, Floats]:
    """Halves (down, up) for a weight of this shape, whose product is a third as large as it."""
    outputs, inputs = shape
    return random((RANK, inputs), seed), random((outputs, RANK), seed + 1) * np.float32(0.6)


def matrices(files: SyntheticSet) -> dict[str, tuple[int, ...]]:
    """The denoiser's layers in the first block of each kind, and the shapes of their weights."""
    tensors = read_header(files.diffusion_model).tensors
    return {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2 and ".0." in name
    }


def add(file: Path, differences: Mapping[str, Floats]) -> None:
    """Adds to weights in a file, of float32."""
    tensors = read_header(file).tensors
    with file.open("r+b") as stream:
        for layer, difference in differences.items():
            tensor = tensors[f"{layer}.weight"]
            assert tensor.dtype == "F32"
            stream.seek(tensor.offset)
            weight = np.frombuffer(stream.read(tensor.nbytes), np.float32).reshape(tensor.shape)
            stream.seek(tensor.offset)
            stream.write((weight + difference).tobytes())


def opened(files: SyntheticSet, **arguments: Any) -> Generator:
    return Generator(**arguments_of(files.files), device="cpu", **arguments)


def latent(generator: Generator, **arguments: Any) -> Floats:
    found = generator.generate("cat", **{**SMALL, **arguments}).latent
    assert found is not None
    return found


def off(one: Floats, other: Floats) -> float:
    """How far two latents are from each other, beside their own size."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A small model in float32, pairs for its layers, and the latents without and with them in the weights."""
    folder = tmp_path_factory.mktemp(request.param)
    files = write_set(f"tiny-{request.param}", folder, quant="F32")
    pairs = {name: pair(shape, seed) for seed, (name, shape) in enumerate(matrices(files).items())}
    merged = folder / "merged"
    merged.mkdir()
    paths = {**files.files, "diffusion_model": Path(shutil.copy(files.diffusion_model, merged))}
    add(paths["diffusion_model"], {name: up @ down for name, (down, up) in pairs.items()})
    with Generator(**arguments_of(paths), device="cpu") as generator:
        wanted = latent(generator)
    with opened(files) as generator:
        yield {
            "name": request.param, "folder": folder, "pairs": pairs, "generator": generator, "merged": wanted,
            "plain": latent(generator),
        }  # fmt: skip


def kohya(layer: str, down: Floats, up: Floats) -> Tensors:
    name = f"lora_unet_{layer.replace('.', '_')}"
    return {
        f"{name}.lora_down.weight": down * 2,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": np.array(RANK / 2, np.float32),
    }


def comfyui(layer: str, down: Floats, up: Floats) -> Tensors:
    return {f"diffusion_model.{layer}.lora_A.weight": down, f"diffusion_model.{layer}.lora_B.weight": up}


def peft(layer: str, down: Floats, up: Floats) -> Tensors:
    name = f"base_model.model.{layer}"
    return {f"{name}.lora_A.default.weight": down, f"{name}.lora_B.default.weight": up}


@pytest.mark.parametrize("program", [kohya, comfyui, peft])
def test_a_lora_is_what_is_added_to_the_weights(family: dict[str, Any], program: Callable[..., Tensors]) -> None:
    """Beside the weights, it gives the latent of weights that it was added to."""
    tensors: Tensors = {}
    for layer, (down, up) in family["pairs"].items():
        tensors |= program(layer, down, up)
    file = family["folder"] / f"{program.__name__}.safetensors"
    save_file(tensors, file)
    assert off(family["plain"], family["merged"]) > 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert off(latent(family["generator"], loras=file), family["merged"]) < 1e-3
    assert latent(family["generator"]).tobytes() == family["plain"].tobytes()


# What diffusers calls layers, and where they are in the model's own names: the layer, and which rows of how many equal
# parts of its weight.
FLUX = {
    "transformer_blocks.0.attn.to_q": ("double_blocks.0.img_attn.qkv", 0, 3),
    "transformer_blocks.0.attn.to_k": ("double_blocks.0.img_attn.qkv", 1, 3),
    "transformer_blocks.0.attn.to_v": ("double_blocks.0.img_attn.qkv", 2, 3),
    "transformer_blocks.0.attn.add_k_proj": ("double_blocks.0.txt_attn.qkv", 1, 3),
    "transformer_blocks.0.attn.to_out.0": ("double_blocks.0.img_attn.proj", 0, 1),
    "transformer_blocks.0.attn.to_add_out": ("double_blocks.0.txt_attn.proj", 0, 1),
}
DIFFUSERS: Mapping[str, Mapping[str, tuple[str, int, int]]] = {
    "klein": {
        **FLUX,
        "transformer_blocks.0.ff.linear_in": ("double_blocks.0.img_mlp.0", 0, 1),
        "transformer_blocks.0.ff.linear_out": ("double_blocks.0.img_mlp.2", 0, 1),
        "transformer_blocks.0.ff_context.linear_in": ("double_blocks.0.txt_mlp.0", 0, 1),
        "transformer_blocks.0.ff_context.linear_out": ("double_blocks.0.txt_mlp.2", 0, 1),
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj": ("single_blocks.0.linear1", 0, 1),
        "single_transformer_blocks.0.attn.to_out": ("single_blocks.0.linear2", 0, 1),
    },
    "flux1-schnell": {
        **FLUX,
        "transformer_blocks.0.ff.net.0.proj": ("double_blocks.0.img_mlp.0", 0, 1),
        "transformer_blocks.0.ff_context.net.2": ("double_blocks.0.txt_mlp.2", 0, 1),
        "single_transformer_blocks.0.attn.to_q": ("single_blocks.0.linear1", 0, 7),
        "single_transformer_blocks.0.attn.to_v": ("single_blocks.0.linear1", 2, 7),
        "single_transformer_blocks.0.proj_mlp": ("single_blocks.0.linear1", 3, -4),
        "single_transformer_blocks.0.proj_out": ("single_blocks.0.linear2", 0, 1),
    },
    "chroma": {
        **FLUX,
        "single_transformer_blocks.0.proj_mlp": ("single_blocks.0.linear1", 3, -4),
        "single_transformer_blocks.0.proj_out": ("single_blocks.0.linear2", 0, 1),
    },
    "z-image": {
        "layers.0.attention.to_q": ("layers.0.attention.qkv", 0, 3),
        "layers.0.attention.to_k": ("layers.0.attention.qkv", 1, 3),
        "layers.0.attention.to_v": ("layers.0.attention.qkv", 2, 3),
        "layers.0.attention.to_out.0": ("layers.0.attention.out", 0, 1),
        "layers.0.feed_forward.w1": ("layers.0.feed_forward.w1", 0, 1),
        "layers.0.feed_forward.w2": ("layers.0.feed_forward.w2", 0, 1),
        "context_refiner.0.attention.to_v": ("context_refiner.0.attention.qkv", 2, 3),
    },
    "sd3": {
        "transformer_blocks.0.attn.to_q": ("joint_blocks.0.x_block.attn.qkv", 0, 3),
        "transformer_blocks.0.attn.to_v": ("joint_blocks.0.x_block.attn.qkv", 2, 3),
        "transformer_blocks.0.attn.add_k_proj": ("joint_blocks.0.context_block.attn.qkv", 1, 3),
        "transformer_blocks.0.attn.to_out.0": ("joint_blocks.0.x_block.attn.proj", 0, 1),
        "transformer_blocks.0.ff.net.0.proj": ("joint_blocks.0.x_block.mlp.fc1", 0, 1),
    },
    "qwen-image": {
        "transformer_blocks.0.attn.to_q": ("transformer_blocks.0.attn.to_q", 0, 1),
        "transformer_blocks.0.attn.add_v_proj": ("transformer_blocks.0.attn.add_v_proj", 0, 1),
        "transformer_blocks.0.img_mlp.net.0.proj": ("transformer_blocks.0.img_mlp.net.0.proj", 0, 1),
    },
}


def rows_of(outputs: int, index: int, parts: int) -> slice:
    """Rows of a weight; fewer than 0 parts: the last of seven, so many."""
    if parts < 0:
        return slice(outputs * (7 + parts) // 7, outputs)
    return slice(outputs * index // parts, outputs * (index + 1) // parts)


@pytest.mark.parametrize("style", ["dots", "underscores"])
def test_layers_are_found_by_the_names_of_diffusers(family: dict[str, Any], style: str) -> None:
    """A layer that a model has in one piece with others, and diffusers apart, is changed in its own rows."""
    own: dict[str, tuple[Floats, Floats]] = {}
    theirs: Tensors = {}
    shapes = {name: (len(up), down.shape[1]) for name, (down, up) in family["pairs"].items()}
    for seed, (name, (layer, index, parts)) in enumerate(DIFFUSERS[family["name"]].items()):
        outputs, inputs = shapes[layer]
        rows = rows_of(outputs, index, parts)
        down, up = pair((rows.stop - rows.start, inputs), seed)
        whole = np.zeros((outputs, RANK), np.float32)
        whole[rows] = up
        before = own.get(layer, (np.zeros((0, inputs), np.float32), np.zeros((outputs, 0), np.float32)))
        own[layer] = (np.concatenate([before[0], down]), np.concatenate([before[1], whole], axis=1))
        if style == "dots":
            theirs |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}
        else:
            flat = f"lora_transformer_{name.replace('.', '_')}"
            theirs |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
    files = [family["folder"] / f"{whose}-{style}.safetensors" for whose in ("own", "diffusers")]
    save_file({key: half for layer, halves in own.items() for key, half in comfyui(layer, *halves).items()}, files[0])
    save_file(theirs, files[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected, found = (latent(family["generator"], loras=file) for file in files)
    assert off(found, family["plain"]) > 0.01
    assert off(found, expected) < 1e-4


# Layers outside of the blocks, in diffusers and in the model's own names, and whether their halves are swapped there.
LAST: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "klein": {
        "norm_out.linear": ("final_layer.adaLN_modulation.1", True),
        "time_guidance_embed.timestep_embedder.linear_2": ("time_in.out_layer", False),
    },
    "flux1-schnell": {"norm_out.linear": ("final_layer.adaLN_modulation.1", True)},
    "chroma": {"proj_out": ("final_layer.linear", False)},
    "z-image": {"all_final_layer.2-1.adaLN_modulation.1": ("final_layer.adaLN_modulation.1", False)},
    "sd3": {
        "norm_out.linear": ("final_layer.adaLN_modulation.1", True),
        "transformer_blocks.1.norm1_context.linear": ("joint_blocks.1.context_block.adaLN_modulation.1", True),
        "transformer_blocks.0.norm1_context.linear": ("joint_blocks.0.context_block.adaLN_modulation.1", False),
    },
    "qwen-image": {"norm_out.linear": ("norm_out.linear", False)},
}


def test_scale_and_shift_of_diffusers(family: dict[str, Any]) -> None:
    """Where diffusers writes scale before shift, and the model shift before scale, each goes where it belongs."""
    (denoiser,) = (family["folder"] / "merged").iterdir()
    stored = read_header(denoiser).tensors
    for seed, (name, (layer, swapped)) in enumerate(LAST[family["name"]].items()):
        down, up = pair(stored[f"{layer}.weight"].shape, seed)
        ours = np.concatenate(np.split(up, 2)[::-1]) if swapped else up
        files = [family["folder"] / f"{whose}-last.safetensors" for whose in ("own", "diffusers")]
        save_file(comfyui(layer, down, ours), files[0])
        save_file({f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}, files[1])
        expected, found = (latent(family["generator"], loras=file) for file in files)
        assert off(found, family["plain"]) > 1e-3
        assert off(found, expected) < 1e-5


@pytest.fixture
def lora(model: SyntheticSet, tmp_path: Path) -> Path:
    """A LoRA for two layers of the model."""
    return written(tmp_path / "style.safetensors", model, 0, 2)


def written(file: Path, model: SyntheticSet, first: int, count: int, seed: int = 0) -> Path:
    layers = list(matrices(model).items())[first : first + count]
    tensors = {key: half for name, shape in layers for key, half in comfyui(name, *pair(shape, seed)).items()}
    save_file(tensors, file)
    return file


def test_weights_scale_it_and_0_is_none(generator: Generator, lora: Path) -> None:
    """A weight of 0 gives the bytes of no LoRA, half of it other ones than the whole, and -1 takes away what 1 adds."""
    plain = latent(generator)
    assert latent(generator, loras=[(lora, 0)]).tobytes() == plain.tobytes()
    half, whole = (latent(generator, loras=[(lora, weight)]) for weight in (0.5, 1))
    assert latent(generator, loras=str(lora)).tobytes() == whole.tobytes()
    assert latent(generator, loras=[Lora(lora)]).tobytes() == whole.tobytes()
    assert 0 < off(half, plain) < off(whole, plain)
    assert latent(generator).tobytes() == plain.tobytes()


def test_several_are_added_up(generator: Generator, model: SyntheticSet, tmp_path: Path) -> None:
    """Two LoRAs, also of one layer, give what one gives that has the layers of both."""
    one = written(tmp_path / "one.safetensors", model, 0, 3, seed=1)
    other = written(tmp_path / "other.safetensors", model, 2, 3, seed=2)
    both: dict[str, tuple[Floats, Floats]] = {}
    for first, seed in ((0, 1), (2, 2)):
        for name, shape in list(matrices(model).items())[first : first + 3]:
            down, up = pair(shape, seed)
            before = both.get(name, (down[:0], up[:, :0]))
            both[name] = (np.concatenate([before[0], down]), np.concatenate([before[1], up * 0.5], axis=1))
    whole = tmp_path / "both.safetensors"
    save_file({key: half for name, halves in both.items() for key, half in comfyui(name, *halves).items()}, whole)
    expected = latent(generator, loras=whole)
    assert off(latent(generator, loras=[(one, 0.5), (other, 0.5)]), expected) < 1e-5


def test_the_weights_stay_as_they_are(model: SyntheticSet, generator: Generator, lora: Path) -> None:
    """A generator over the same files draws its own picture meanwhile, and nothing is read again for another LoRA."""
    plain, changed = latent(generator), latent(generator, loras=lora)
    heard: list[Progress] = []
    with open_generator(model) as other:
        found: list[Floats] = []

        def draw() -> None:
            found.extend(latent(other, on_progress=heard.append) for _ in range(3))

        thread = threading.Thread(target=draw)
        thread.start()
        ours = [latent(generator, loras=lora, on_progress=heard.append) for _ in range(3)]
        thread.join()
    assert {one.tobytes() for one in ours} == {changed.tobytes()}
    assert {one.tobytes() for one in found} == {plain.tobytes()}
    assert Phase.LOAD not in {progress.phase for progress in heard}


def test_isolated_and_after_a_crash(model: SyntheticSet, generator: Generator, lora: Path) -> None:
    """An engine in a process of its own gives the same bytes, and so does the one that follows it."""
    expected = latent(generator, loras=lora)
    with open_generator(model, isolation="process") as isolated:
        assert latent(isolated, loras=lora).tobytes() == expected.tobytes()
        engine = isolated._pipeline.engine
        assert isinstance(engine, RemoteEngine)

        def crash(progress: Progress) -> None:
            if progress.phase is Phase.DENOISE:
                os.kill(engine.pid, signal.SIGKILL)

        with pytest.raises(EngineCrashedError):
            latent(isolated, loras=lora, on_progress=crash, steps=20)
        assert latent(isolated, loras=lora).tobytes() == expected.tobytes()
        assert latent(isolated).tobytes() == latent(generator).tobytes()


def test_steps_of_another_lora_are_not_gone_on_with(isolated: Generator, lora: Path) -> None:
    """A picture that was broken off is begun anew where the next one has other LoRAs."""
    engine = isolated._pipeline.engine
    assert isinstance(engine, RemoteEngine)
    plain = latent(isolated)

    def crash(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and progress.step >= 1:
            os.kill(engine.pid, signal.SIGKILL)

    with pytest.raises(EngineCrashedError):
        latent(isolated, loras=lora, on_progress=crash)
    assert latent(isolated).tobytes() == plain.tobytes()


def test_streamed_weights_take_it_too(tmp_path: Path, lora: Path) -> None:
    """So do weights that come from the file block by block, with the same bytes."""
    files = write_set("tiny-z-image", tmp_path, quant="F32")
    with open_generator(files) as generator:
        prompt = generator.encode("cat")
        expected = generator.generate(prompt, loras=lora, **SMALL).latent
        least = generator.plan(width=64, height=64, prompt=prompt).least("cpu")
    assert expected is not None
    with open_generator(files, memory=least + lora.stat().st_size) as small:
        assert small.plan(width=64, height=64, prompt=prompt).parts[1].stay is Stay.STREAMED
        found = small.generate(prompt, loras=lora, **SMALL).latent
    assert found is not None
    assert found.tobytes() == expected.tobytes()


def test_its_bytes_count(model: SyntheticSet, tmp_path: Path) -> None:
    """What a LoRA takes is not there for the model, and plans say so."""
    large = tmp_path / "large.safetensors"
    name, (outputs, inputs) = next(iter(matrices(model).items()))
    save_file(comfyui(name, random((4096, inputs), 0), random((outputs, 4096), 1)), large)
    with open_generator(model, memory="40MiB") as generator:
        before = generator.plan(width=64, height=64).limits["cpu"]
        taken = large.stat().st_size
        with_it = generator.plan(width=64, height=64, loras=large)
        assert before - with_it.limits["cpu"] == pytest.approx(taken, rel=0.01)
        with pytest.raises(OutOfMemoryError):
            latent(generator, loras=large, width=1024, height=1024)
        assert generator.plan(width=64, height=64).limits["cpu"] == before
        generator.generate("cat", **SMALL)


def test_text_encoders_have_loras(generator: Generator, model: SyntheticSet, tmp_path: Path) -> None:
    """A LoRA of the text encoder changes what a prompt comes to, and no prompt that was kept stands for it."""
    shapes = read_header(model.text_encoder).tensors
    tensors: Tensors = {}
    for name, stored in (("self_attn_q_proj", "attn_q"), ("mlp_up_proj", "ffn_up")):
        outputs, inputs = shapes[f"blk.0.{stored}.weight"].shape
        down, up = pair((outputs, inputs), 1)
        key = f"lora_te_model_layers_0_{name}"
        tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
    file = tmp_path / "text.safetensors"
    save_file(tensors, file)
    plain = latent(generator)
    changed = latent(generator, loras=file)
    assert changed.tobytes() != plain.tobytes()
    assert latent(generator).tobytes() == plain.tobytes()
    assert latent(generator, loras=file).tobytes() == changed.tobytes()

    states = generator.encode("cat", loras=file)
    assert states.arrays["crossattn"].tobytes() != generator.encode("cat").arrays["crossattn"].tobytes()
    named = generator.encode(f"cat <lora:{file.stem}>", lora_dir=tmp_path)
    assert named.prompt == "cat"
    assert named.arrays["crossattn"].tobytes() == states.arrays["crossattn"].tobytes()
    of_states = generator.generate(states, **SMALL).latent  # the file changes nothing of the denoiser
    assert of_states is not None
    assert of_states.tobytes() == changed.tobytes()


def test_layers_without_a_place_are_told_of(generator: Generator, lora: Path, model: SyntheticSet) -> None:
    """Some are left out with a warning that names them; where none has a place, nothing is computed."""
    plain, expected = latent(generator), latent(generator, loras=lora)
    foreign = lora.with_name("foreign.safetensors")
    nowhere = comfyui("nowhere.0.to_q", *pair((8, 8), 0))
    layers = {
        key: half
        for name, shape in list(matrices(model).items())[:2]
        for key, half in comfyui(name, *pair(shape, 0)).items()
    }
    save_file({**layers, **nowhere}, foreign)
    with pytest.warns(LoraWarning, match=r"1 of the 3 layers .* diffusion_model\.nowhere\.0\.to_q"):
        found = latent(generator, loras=foreign)
    assert found.tobytes() == expected.tobytes()
    save_file(nowhere, foreign)
    heard: list[Progress] = []
    with pytest.raises(ModelMismatchError, match="none of the 1 layers"):
        latent(generator, loras=foreign, on_progress=heard.append)
    assert not [progress for progress in heard if progress.phase is Phase.DENOISE]
    assert latent(generator).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("wish", "error", "says"),
    [
        ([("a.safetensors", float("nan"))], SettingsError, "must be from -100 to 100"),
        ([("a.safetensors", 1e9)], SettingsError, "must be from -100 to 100"),
        ([("a.safetensors", "much")], SettingsError, "must be a number"),
        ([("a.safetensors", 1, 2)], SettingsError, "a file and its weight"),
        (["a.safetensors", ("a.safetensors", 0.5)], SettingsError, "twice"),
        (["a.safetensors", ""], SettingsError, "must be the path"),
        ([7], SettingsError, "must be the path"),
        (7, SettingsError, "must be LoRAs"),
        ([f"{number}.safetensors" for number in range(65)], SettingsError, "64 is the most"),
        ("missing.safetensors", ModelNotFoundError, "missing.safetensors"),
    ],
)
def test_what_is_no_lora(generator: Generator, wish: Any, error: type[Exception], says: str) -> None:
    """Each wrong wish is an error in words, before anything is computed."""
    with pytest.raises(error, match=says):
        latent(generator, loras=wish)


def test_files_that_are_none(generator: Generator, model: SyntheticSet, lora: Path, tmp_path: Path) -> None:
    """A model's file, a LoRA of another size, and one that was damaged are refused; the next picture is right."""
    plain = latent(generator)
    with pytest.raises(ModelMismatchError, match="was given as"):
        latent(generator, loras=model.vae)
    other = tmp_path / "other.safetensors"
    name, (outputs, inputs) = next(iter(matrices(model).items()))
    save_file(comfyui(name, *pair((outputs + 8, inputs), 0)), other)
    with pytest.raises(ModelMismatchError, match=r"trained on another model|was made for"):
        latent(generator, loras=[lora, other])
    assert latent(generator).tobytes() == plain.tobytes()


def test_a_file_that_changes_is_read_again(generator: Generator, model: SyntheticSet, lora: Path) -> None:
    """A LoRA that was trained further and written anew is another one."""
    before = latent(generator, loras=lora)
    time.sleep(0.01)  # a file's time may be that of the kernel's last tick
    written(lora, model, 0, 2, seed=5)
    assert latent(generator, loras=lora).tobytes() != before.tobytes()


# Layers as LoRAs call them, and as checkpoints do, of U-Nets with as many blocks as they come with.
UNETS: Mapping[str, Mapping[str, str]] = {
    "sd1": {
        "down_blocks_0_resnets_0_conv1": "input_blocks.1.0.in_layers.2",
        "down_blocks_0_attentions_0_proj_in": "input_blocks.1.1.proj_in",
        "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (
            "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
        ),
        "down_blocks_0_downsamplers_0_conv": "input_blocks.3.0.op",
        "mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj": (
            "middle_block.1.transformer_blocks.0.ff.net.0.proj"
        ),
        "up_blocks_1_resnets_0_conv_shortcut": "output_blocks.3.0.skip_connection",
    },
    "sdxs-512": {
        "down_blocks_0_resnets_0_conv1": "input_blocks.1.0.in_layers.2",
        "down_blocks_1_attentions_0_proj_in": "input_blocks.4.1.proj_in",
        "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_v": (
            "input_blocks.4.1.transformer_blocks.0.attn2.to_v"
        ),
        "down_blocks_1_downsamplers_0_conv": "input_blocks.6.0.op",
        "up_blocks_0_attentions_1_transformer_blocks_0_ff_net_2": "output_blocks.1.1.transformer_blocks.0.ff.net.2",
        "up_blocks_0_upsamplers_0_conv": "output_blocks.2.1.conv",
        "up_blocks_1_upsamplers_0_conv": "output_blocks.5.2.conv",
        "up_blocks_2_resnets_1_conv_shortcut": "output_blocks.7.0.skip_connection",
    },
    "ssd-1b": {
        "down_blocks_0_downsamplers_0_conv": "input_blocks.3.0.op",
        "down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k": (
            "input_blocks.4.1.transformer_blocks.1.attn2.to_k"
        ),
        "input_blocks_7_1_transformer_blocks_3_attn1_to_out_0": "input_blocks.7.1.transformer_blocks.3.attn1.to_out.0",
        "mid_block_resnets_0_conv1": "middle_block.0.in_layers.2",
        "up_blocks_0_attentions_2_transformer_blocks_9_ff_net_2": "output_blocks.2.1.transformer_blocks.9.ff.net.2",
        "up_blocks_0_upsamplers_0_conv": "output_blocks.2.2.conv",
        "up_blocks_1_attentions_1_proj_in": "output_blocks.4.1.proj_in",
    },
}


@pytest.mark.full_size
@pytest.mark.parametrize("name", list(UNETS))
def test_layers_of_a_unet(tmp_path: Path, name: str) -> None:
    """So do convolutions: as the weights of a Stable Diffusion to which they were added, as near as float16 is."""
    (path,) = write_set(name, tmp_path, quant="F16").files.values()
    merged = Path(shutil.copy(path, tmp_path / f"merged{path.suffix}"))
    stored, halves = read_header(path).tensors, {}
    with merged.open("r+b") as stream:
        for seed, (key, layer) in enumerate(UNETS[name].items()):
            tensor = stored[f"model.diffusion_model.{layer}.weight"]
            outputs, *inputs = tensor.shape
            down, up = pair((outputs, int(np.prod(inputs))), seed)
            halves[f"lora_unet_{key}.lora_down.weight"] = down.reshape(RANK, *inputs)
            halves[f"lora_unet_{key}.lora_up.weight"] = up.reshape(outputs, RANK, *[1] * (len(inputs) - 1))
            stream.seek(tensor.offset)
            weight = np.frombuffer(stream.read(tensor.nbytes), np.float16).reshape(outputs, -1)
            stream.seek(tensor.offset)
            stream.write((weight + up @ down).astype(np.float16).tobytes())
    file = tmp_path / "lora.safetensors"
    save_file(halves, file)
    with Generator(model=merged, device="cpu") as generator:
        expected = latent(generator)
    with Generator(model=path, device="cpu") as generator, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert off(latent(generator), expected) > 0.05
        assert off(latent(generator, loras=file), expected) < 5e-3


def test_prompts_name_loras_of_a_folder(generator: Generator, lora: Path) -> None:
    """Where a folder is given, and then the prompt is what is left of it; without one, all of it is words."""
    plain = latent(generator)
    prompt = f"cat <lora:{lora.stem}:0.5>"
    named = generator.generate(prompt, **SMALL, lora_dir=lora.parent)
    assert named.latent is not None
    assert named.latent.tobytes() == latent(generator, loras=[(lora, 0.5)]).tobytes()
    assert named.settings.prompt == "cat"
    words = generator.generate(prompt, **SMALL)
    assert words.latent is not None
    assert words.settings.prompt == prompt
    assert words.loras == ()
    assert latent(generator, lora_dir=lora.parent).tobytes() == plain.tobytes()


def test_a_generator_has_loras_of_its_own(model: SyntheticSet, generator: Generator, lora: Path) -> None:
    """They are applied where a call has none, and an empty list is none."""
    expected, plain = latent(generator, loras=[(lora, 0.5)]), latent(generator)
    with open_generator(model, loras=[(lora, 0.5)]) as own:
        assert latent(own).tobytes() == expected.tobytes()
        assert latent(own, loras=[]).tobytes() == plain.tobytes()
        assert latent(own, loras=lora).tobytes() == latent(generator, loras=lora).tobytes()
        assert latent(own).tobytes() == expected.tobytes()
