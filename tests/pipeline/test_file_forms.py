"""Whatever form a model's files have, the picture is that of the same numbers in a plain file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py import Generator, ModelLoadError, ModelMismatchError
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write_set
from tests.support import diffusers_names
from tests.support.file_forms import FORMS, NEW, OLD, Form, Plain, Scaling, as_type, in_half, write_pipeline
from tests.support.stored_tensors import Tensors, floats, read, stored, write_gguf, write_safetensors, write_sharded

Drawing = tuple[NDArray[Any], NDArray[Any]]
LITTLE = "40MiB"
"""Less than the weights of a small Klein take."""
_PARTS = ("diffusion_model", "text_encoder", "vae")


@dataclass(frozen=True)
class Small:
    """A small Klein in one plain file for each part, its tensors, and what it draws."""

    files: Mapping[str, Any]
    parts: Mapping[str, Tensors]
    drawing: Drawing


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """In half precision."""
    written = write_set("tiny-klein", tmp_path_factory.mktemp("klein"), quant="F16")
    files = {part: getattr(written, part) for part in _PARTS}
    return Small(files, {part: read(path) for part, path in files.items()}, drawn(files))


def drawn(files: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Drawing:
    """The latent and the pixels of a small picture."""
    chosen = {"threads": 1, "isolation": "thread", **(options or {})}
    with Generator(**files, device="cpu", cache_prompts=False, **chosen) as generator:
        image = generator.generate("a red cube", seed=7, width=64, height=64, steps=2, return_latent=True)
    assert image.latent is not None
    return image.latent, np.asarray(image)


def assert_equal(found: Drawing, wanted: Drawing) -> None:
    """Latents and pixels, to the last bit."""
    assert np.isfinite(wanted[0]).all()
    assert np.array_equal(found[0], wanted[0])
    assert np.array_equal(found[1], wanted[1])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.title)
def test_a_form_draws_what_the_same_numbers_draw(tmp_path: Path, klein: Small, form: Form) -> None:
    """To the last bit of the latent and of the pixels."""
    tensors = klein.parts[form.part]
    plain, wanted = form.plain(tensors), klein.drawing
    if plain != tensors:
        wanted = drawn({**klein.files, form.part: write_gguf(tmp_path / "plain.gguf", plain)})
    written = form.write(tmp_path / "form", tensors)
    assert_equal(drawn({**klein.files, form.part: written}), wanted)


def test_the_folder_of_a_pipeline_draws_too(tmp_path: Path, klein: Small) -> None:
    """Given as a denoiser or as a whole model; a part that is given beside it takes its place."""
    folder = write_pipeline(tmp_path / "FLUX.2-klein-4B", klein.parts)
    assert_equal(drawn({"diffusion_model": folder}), klein.drawing)
    assert_equal(drawn({"model": folder}), klein.drawing)
    (folder / "text_encoder" / "model-00001-of-00002.safetensors").unlink()
    assert_equal(drawn({"model": folder, "text_encoder": klein.files["text_encoder"]}), klein.drawing)


FAMILIES = {name: names for name, names in diffusers_names.DENOISERS.items() if name != "tiny-klein"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_denoiser_in_diffusers_names_draws_as_the_original(tmp_path: Path, family: str) -> None:
    """In every family: queries, keys and values are laid together, and halves swapped where they are."""
    files = write_set(family, tmp_path, quant="F16").files
    plain = arguments_of(files)
    tensors = read(files["diffusion_model"])
    names = FAMILIES[family](tensors)
    assert not names.keys() <= tensors.keys()
    write = write_gguf if family == "tiny-sd3" else write_safetensors  # whose positions are in four bits
    other = write(tmp_path / "diffusion_pytorch_model", names)
    assert_equal(drawn({**plain, "diffusion_model": other}), drawn(plain))


def _pieces(tmp_path: Path, klein: Small) -> dict[str, Any]:
    """Every part in several pieces: scales, names of diffusers, parts of one tensor in different files."""
    scaled = OLD.tensors(diffusers_names.flux(klein.parts["diffusion_model"]))
    return {
        "diffusion_model": write_sharded(tmp_path / "transformer", "model", scaled),
        "text_encoder": write_sharded(tmp_path / "text_encoder", "model", NEW.tensors(_qwen(klein))),
        "vae": write_safetensors(tmp_path / "vae.safetensors", diffusers_names.vae(klein.parts["vae"])),
    }


def _qwen(klein: Small) -> Tensors:
    return diffusers_names.qwen(klein.parts["text_encoder"])


@pytest.mark.parametrize(
    "options",
    [{"isolation": "process"}, {"memory": LITTLE}, {"memory": LITTLE, "isolation": "process", "threads": 2}],
    ids=("in a process", "streamed", "streamed in a process"),
)
def test_pieces_are_streamed_and_shared(tmp_path: Path, klein: Small, options: dict[str, Any]) -> None:
    """In a process, or with less memory than the weights take, the picture is the same."""
    files = _pieces(tmp_path, klein)
    assert_equal(drawn(files, options), drawn(files))


def test_the_plan_counts_what_weights_take_in_memory(tmp_path: Path, klein: Small) -> None:
    """Eight-bit floats take two bytes each, and so do those with scales."""
    scaled = write_safetensors(tmp_path / "model.safetensors", OLD.tensors(klein.parts["diffusion_model"]))
    options: dict[str, Any] = {"device": "cpu", "threads": 1, "isolation": "thread"}
    with Generator(**klein.files, **options) as plain:
        wanted = plain.plan(width=64, height=64).rows()
    with Generator(**{**klein.files, "diffusion_model": scaled}, **options) as generator:
        assert generator.plan(width=64, height=64).rows() == wanted


def test_a_file_that_changes_is_told(tmp_path: Path, klein: Small) -> None:
    """A shard that another one takes the place of, before it is read once more, is an error; then it is opened anew."""
    index = write_sharded(tmp_path, "model", klein.parts["diffusion_model"])
    files = {**klein.files, "diffusion_model": index}
    with Generator(**files, device="cpu", threads=1, isolation="thread", memory=LITTLE) as generator:
        assert generator.plan(width=64, height=64).streams
        shard = tmp_path / "model-00002-of-00003.safetensors"
        shard.write_bytes(shard.read_bytes() + b" ")
        with pytest.raises(ModelLoadError, match=r"model-00002-of-00003\.safetensors has changed"):
            generator.generate("a", seed=7, width=64, height=64, steps=1)
    assert_equal(drawn(files), klein.drawing)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_scale_that_is_no_number(tmp_path: Path, klein: Small, number: float) -> None:
    """It is refused by the name of its tensor."""
    tensors = OLD.tensors(klein.parts["diffusion_model"])
    tensors["txt_in.scale_weight"] = stored(np.array(number, np.float32), "F32")
    files = {**klein.files, "diffusion_model": write_safetensors(tmp_path / "model.safetensors", tensors)}
    with pytest.raises(ModelLoadError, match=r"the scale of tensor 'txt_in.weight' is no number"):
        drawn(files)


@pytest.mark.parametrize("shape", [(0,), (7, 7), (2, 2, 2)])
def test_a_scale_of_a_shape_that_is_not_known(tmp_path: Path, klein: Small, shape: tuple[int, ...]) -> None:
    """It is refused with what is known."""
    tensors = OLD.tensors(klein.parts["diffusion_model"])
    tensors["txt_in.scale_weight"] = stored(np.ones(shape, np.float32), "F32")
    files = {**klein.files, "diffusion_model": write_safetensors(tmp_path / "model.safetensors", tensors)}
    with pytest.raises(ModelMismatchError, match=r"scale 'txt_in.scale_weight' of shape .*known are one number"):
        drawn(files)


def test_a_scale_beyond_half_precision_is_kept(tmp_path: Path, klein: Small) -> None:
    """Numbers that half precision has not are kept in BF16: an output layer of tiny numbers is not of zeros."""
    name, exponent = "final_layer.linear.weight", -24
    tensors = dict(klein.parts["diffusion_model"])
    eight = stored(floats(tensors[name]) * np.float32(16), "F8_E4M3")
    plain = {**tensors, name: stored(floats(eight) * np.float32(2.0**exponent), "BF16")}
    scale = {"final_layer.linear.scale_weight": stored(np.array(2.0**exponent, np.float32), "F32")}
    wanted = {**klein.files, "diffusion_model": write_gguf(tmp_path / "plain.gguf", plain)}
    scaled = write_safetensors(tmp_path / "m.safetensors", {**tensors, name: eight, **scale})
    assert_equal(drawn({**klein.files, "diffusion_model": scaled}), drawn(wanted))


@pytest.mark.parametrize(
    ("family", "scaling"), [("tiny-flux1", None), ("tiny-flux1", OLD), ("tiny-flux1", NEW), ("tiny-sd3", OLD)]
)
def test_a_checkpoint_in_fp8(tmp_path: Path, family: str, scaling: Scaling | None) -> None:
    """A denoiser and its VAE in one file, as ComfyUI saves FLUX.1 and SD 3, with scales or without."""
    files = write_set(family, tmp_path, quant="F16").files
    parts = {role: read(path) for role, path in files.items() if role in ("diffusion_model", "vae")}
    # Safetensors has no four bits, in which the table of SD 3's positions is.
    denoiser = {
        name: stored(np.zeros(one.shape, np.float32), "F16") if one.dtype == "Q4_0" else one
        for name, one in parts["diffusion_model"].items()
    }
    change: Plain = as_type("F8_E4M3") if scaling is None else scaling.tensors
    plain: Plain = in_half("F8_E4M3") if scaling is None else scaling.plain
    whole = {f"model.diffusion_model.{name}": one for name, one in change(denoiser).items()}
    whole |= {f"vae.{name}": one for name, one in parts["vae"].items()}
    encoders = [files[role] for role in files if role not in parts]
    apart = write_gguf(tmp_path / "apart", plain(denoiser))
    wanted = drawn({"diffusion_model": apart, "text_encoder": encoders, "vae": files["vae"]})
    assert_equal(drawn({"model": write_safetensors(tmp_path / "all", whole), "text_encoder": encoders}), wanted)
