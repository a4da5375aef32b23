"""Wrong pairings of files: each is refused from the headers alone, in under 100 ms, with the file to get instead."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from sdcpp_py import ModelMismatchError, synth
from sdcpp_py.models import suggestions
from sdcpp_py.models.adapters import check_controlnet, check_lora, check_upscaler
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.families import FAMILIES
from sdcpp_py.models.files import check_files, check_text_encoder
from sdcpp_py.models.inspection import inspect
from sdcpp_py.parts import ROLES
from sdcpp_py.synth.taesd import TinyAutoencoder

from ..support import hollow_files as hollow

KLEIN_4B, KLEIN_9B = "get flux-2-klein-4b-Q4_0.gguf", "get flux-2-klein-9b-Q4_0.gguf"
QWEN3_4B, QWEN3_8B = "Qwen3-4B (unsloth/Qwen3-4B-GGUF)", "Qwen3-8B (unsloth/Qwen3-8B-GGUF)"
QWEN25 = "Qwen2.5-VL-7B-Instruct (mradermacher/Qwen2.5-VL-7B-Instruct-GGUF)"
CLIP_L, CLIP_G, T5 = "clip_l.safetensors", "clip_g.safetensors", "t5xxl_q4_k.gguf"
AE = "ae.safetensors (Comfy-Org/z_image_turbo)"
FLUX2_VAE = "flux2-vae.safetensors (Comfy-Org/flux2-dev)"
SDXL_VAE = "sdxl_vae.safetensors (madebyollin/sdxl-vae-fp16-fix)"
FLUX1_DEV = "get flux1-dev-Q4_K_S.gguf"
FLUX1 = {"diffusion_model": FLUX1_DEV, "clip_l": CLIP_L, "t5xxl": T5, "vae": AE}

# What each set is told to get, by role. Of the FLUX.1 denoisers, the other files fit all.
RIGHT: Mapping[str, Mapping[str, str]] = {
    "klein-4b": {"diffusion_model": KLEIN_4B, "llm": QWEN3_4B, "vae": FLUX2_VAE},
    "klein-9b": {"diffusion_model": KLEIN_9B, "llm": QWEN3_8B, "vae": FLUX2_VAE},
    "z-image-turbo": {"diffusion_model": "get z_image_turbo-Q4_K.gguf", "llm": QWEN3_4B, "vae": AE},
    "flux1-dev": FLUX1,
    "flux1-schnell": FLUX1,
    "flux1-fill": FLUX1,
    "chroma": {"diffusion_model": "get Chroma1-HD-Q4_0.gguf", "t5xxl": T5, "vae": AE},
    "sd3.5-medium": {
        "diffusion_model": "get sd3.5_medium-Q4_K_M.gguf",
        "clip_l": CLIP_L,
        "clip_g": CLIP_G,
        "t5xxl": T5,
        "vae": "vae/diffusion_pytorch_model.safetensors (stabilityai/stable-diffusion-3.5-medium)",
    },
    "qwen-image": {
        "diffusion_model": "get Qwen_Image-Q4_K_M.gguf",
        "llm": QWEN25,
        "vae": "qwen_image_vae.safetensors",
    },
    "sd1": {"vae": "vae-ft-mse-840000-ema-pruned.safetensors"},
    "sd2": {"vae": "vae-ft-mse-840000-ema-pruned.safetensors"},
    "sdxl": {"vae": SDXL_VAE},
    "ssd-1b": {"vae": SDXL_VAE},
    "sdxs-512": {"vae": "diffusion_pytorch_model.safetensors (madebyollin/taesd)"},
}
ENCODERS = ("qwen3-4b", "qwen3-8b", "qwen2.5-vl-7b", "clip-l", "clip-g", "t5xxl")
FLUX2_VAES = ("flux2-vae", "flux2-vae-small-decoder", "taesd-32")
FLUX1_VAES = ("flux1-vae", "taesd-16")
SD_VAES = ("sd-vae", "taesd-4")
WAN_VAES = ("wan-vae", "taehv")
VAES = (*FLUX2_VAES, *FLUX1_VAES, *SD_VAES, *WAN_VAES)
VAES_OF = {"klein-4b": FLUX2_VAES, "klein-9b": FLUX2_VAES, "qwen-image": WAN_VAES, "sdxs-512": ("taesd-4",)}
VAES_OF |= dict.fromkeys(("sd1", "sd2", "sdxl", "ssd-1b"), SD_VAES)
# Given as a denoiser: what is told of its own accord, whatever is given with it.
NO_DENOISERS = {
    "flux2-dev": KLEIN_4B,
    "hidream": FLUX1_DEV,
    "sdxl-unet": "sd_xl_base_1.0.safetensors",
}
# And what is told by the files that are given with it.
NO_DENOISERS_EITHER = ("klein-4b-lora", "flux1-lora", "sd1-controlnet", "esrgan")

TAEHV = {"decoder.1.weight": (256, 16, 3, 3), "decoder.7.conv.weight": (256, 256, 1, 1)}
HIDREAM = {"double_stream_blocks.0.block.attn1.to_q.weight": (8, 8), "caption_projection.0.linear.weight": (8, 8)}
UNET = {
    "input_blocks.0.0.weight": (320, 4, 3, 3),
    "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    "middle_block.1.norm.weight": (1280,),
}
FLUX1_LORA = {
    "lora_unet_single_blocks_0_linear1.lora_down.weight": (16, 3072),
    "lora_unet_single_blocks_0_linear1.lora_up.weight": (21504, 16),
}
SDXL_LORA = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (16, 2048),
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight": (640, 16),
}
HANDMADE: dict[str, hollow.Shapes] = {
    "taehv": TAEHV,
    "hidream": HIDREAM,
    "sdxl-unet": UNET,
    "flux1-lora": FLUX1_LORA,
    "sdxl-lora": SDXL_LORA,
}
SYNTHETIC = sorted(
    {name for family in RIGHT for name in synth.FAMILIES[family].values()}
    | set(ENCODERS)
    | {name for name in (*VAES, *NO_DENOISERS, *NO_DENOISERS_EITHER) if name not in HANDMADE}
)


@dataclass(frozen=True)
class Pairing:
    """Files by argument, by their names, and what their refusal says."""

    name: str
    says: str
    diffusion_model: str | None
    text_encoder: tuple[str, ...]
    vae: str | None
    model: str | None = None


def of_set(name: str, says: str, family: str, **changes: object) -> Pairing:
    """A set of files with some of them changed, by role; None leaves one out."""
    files: dict[str, object] = {**synth.FAMILIES[family], **changes}
    encoders = [file for role, file in files.items() if role not in ("model", "diffusion_model", "vae") and file]
    arguments = {role: files.get(role) for role in ("diffusion_model", "vae", "model")}
    return Pairing(f"{family}: {name}", says, text_encoder=tuple(map(str, encoders)), **arguments)  # type: ignore[arg-type]


def with_wrong_vaes(family: str) -> Iterator[Pairing]:
    right = RIGHT[family]["vae"]
    for vae in VAES:
        if vae not in VAES_OF.get(family, FLUX1_VAES):
            yield of_set(f"vae {vae}", right, family, vae=vae)
    for file in ("qwen3-4b", "clip-l", "z-image-turbo", "esrgan", "klein-4b-lora"):
        yield of_set(f"vae {file}", right, family, vae=file)
    if "model" not in synth.FAMILIES[family]:
        yield of_set("no vae", right, family, vae=None)


def with_wrong_encoders(family: str) -> Iterator[Pairing]:
    files = synth.FAMILIES[family]
    for role, right in RIGHT[family].items():
        if role in ("diffusion_model", "vae"):
            continue
        for encoder in ENCODERS:
            if encoder not in files.values():
                yield of_set(f"{role} {encoder}", right, family, **{role: encoder})
        yield of_set(f"{role} a VAE", right, family, **{role: "sd-vae"})
        if (family, role) != ("sd3.5-medium", "t5xxl"):
            yield of_set(f"no {role}", right, family, **{role: None})
    for encoder in ("t5xxl", "qwen3-4b"):
        if encoder not in files.values() and ("llm" not in files or encoder == "t5xxl"):
            yield of_set(f"also {encoder}", "leave it out", family, superfluous=encoder)


def with_wrong_denoisers(family: str) -> Iterator[Pairing]:
    files = synth.FAMILIES[family]
    for file, says in NO_DENOISERS.items():
        yield of_set(f"denoiser {file}", says, family, diffusion_model=file)
    for file in (*NO_DENOISERS_EITHER, files["vae"]):
        yield of_set(f"denoiser {file}", RIGHT[family]["diffusion_model"], family, diffusion_model=file)
    denoiser, vae = files["diffusion_model"], files["vae"]
    yield of_set("denoiser and vae swapped", "give it as vae", family, diffusion_model=vae, vae=denoiser)
    role, encoder = next((role, file) for role, file in files.items() if role not in ("diffusion_model", "vae"))
    swapped = {"diffusion_model": encoder, role: denoiser}
    yield of_set("denoiser and encoder swapped", "give it as text_encoder", family, **swapped)
    yield of_set("given as model", "give it as diffusion_model", family, diffusion_model=None, model=denoiser)


def pairings() -> Iterator[Pairing]:
    for family in RIGHT:
        yield from with_wrong_vaes(family)
        yield from with_wrong_encoders(family)
        if "model" not in synth.FAMILIES[family]:
            yield from with_wrong_denoisers(family)
    for checkpoint in ("sd1", "sd2", "sdxl", "ssd-1b", "sdxs-512"):
        yield of_set(f"encoder {checkpoint}", "give it as model", "z-image-turbo", llm=checkpoint)
        yield of_set(f"vae {checkpoint}", "give it as model", "z-image-turbo", vae=checkpoint)
    yield Pairing("nothing", "no denoiser was given", None, ("qwen3-4b",), "flux1-vae")
    yield Pairing("both", "both diffusion_model and model", "z-image-turbo", ("qwen3-4b",), "flux1-vae", "sd1")


PAIRINGS = list(pairings())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All files by name, hollow."""
    folder = tmp_path_factory.mktemp("pairings")
    made = {name: hollow.safetensors(folder / f"{name}.safetensors", shapes) for name, shapes in HANDMADE.items()}
    for family in RIGHT:
        written = synth.write_hollow_set(family, folder / family).files
        made |= {synth.FAMILIES[family][role]: path for role, path in written.items()}
    for name in SYNTHETIC:
        if name not in made:
            made[name] = write_hollow(name, folder)
    return made


def write_hollow(name: str, folder: Path) -> Path:
    """One synthetic model's header, at its true size."""
    model = synth.MODELS[name]
    types: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor in model.tensors("Q4_K"):
        types.setdefault(tensor.type, {})[tensor.name] = tensor.shape
    if model.architecture:
        shapes = {tensor: shape for tensors in types.values() for tensor, shape in tensors.items()}
        return hollow.gguf(folder / f"{name}.gguf", shapes)
    return hollow.safetensors(folder / f"{name}.safetensors", {}, others=types)


def test_there_are_two_hundred() -> None:
    """As many as were promised, and no two alike."""
    assert len(PAIRINGS) >= 200
    assert len({pairing.name for pairing in PAIRINGS}) == len(PAIRINGS)


@pytest.mark.sample(100)
@pytest.mark.parametrize("pairing", PAIRINGS, ids=[pairing.name for pairing in PAIRINGS])
def test_a_wrong_pairing_is_refused_with_the_right_file(files: dict[str, Path], pairing: Pairing) -> None:
    """The sentence names the file to get, or the argument that was meant; and it takes no 100 ms."""
    seconds = []
    for _ in range(5):
        start = time.process_time()
        with pytest.raises(ModelMismatchError) as refused:
            check_files(
                files[pairing.diffusion_model] if pairing.diffusion_model else None,
                [files[name] for name in pairing.text_encoder],
                files[pairing.vae] if pairing.vae else None,
                model=files[pairing.model] if pairing.model else None,
            )
        seconds.append(time.process_time() - start)
        if seconds[-1] < 0.1:
            break
    assert pairing.says in str(refused.value)
    assert min(seconds) < 0.1


@pytest.mark.parametrize("family", RIGHT)
def test_the_right_pairing_is_taken(files: dict[str, Path], family: str) -> None:
    """The same sets with nothing changed, the encoders in any order; a checkpoint also as the denoiser."""
    names = synth.FAMILIES[family]
    encoders = [files[file] for role, file in names.items() if role not in ("model", "diffusion_model", "vae")]
    main = files[names.get("diffusion_model") or names["model"]]
    for order in (encoders, encoders[::-1]):
        checked = check_files(main, order, files[names["vae"]] if "vae" in names else None)
        assert dict(checked.sources) == {role: files[file] for role, file in names.items()}
        # The synthetic VAE of Stable Diffusion 3 is FLUX.1's, and is called so.
        assert bool(checked.warnings) == (family == "sd3.5-medium")


def test_a_checkpoints_parts_can_be_replaced(files: dict[str, Path]) -> None:
    """With a whole checkpoint, the other arguments stand for its parts."""
    checked = check_files(None, files["clip-g"], files["sd-vae"], model=files["sdxl"])
    assert set(checked.sources) == {"model", "clip_g", "vae"}
    assert checked.held == ("clip_l", "clip_g", "vae")
    assert checked.of_part("text_encoder") == (files["sdxl"], files["clip-g"])
    assert checked.of_part("diffusion_model") == (files["sdxl"],)
    assert checked.of_part("vae") == (files["sd-vae"],)
    assert check_files(model=files["sdxl"]).of_part("vae") == (files["sdxl"],)
    assert list(check_files(model=files["sdxl"]).names) == ["family", "model"]
    assert checked.names["text_encoder"] == files["clip-g"].name
    both = check_files(files["sdxl"], [files["clip-g"], files["clip-l"]])
    assert both.of_part("text_encoder") == (files["clip-l"], files["clip-g"])
    assert both.context_width == 2048


def test_a_tiny_autoencoder_is_one(files: dict[str, Path]) -> None:
    """It has a role of its own, and stands under the VAE's name."""
    checked = check_files(files["z-image-turbo"], files["qwen3-4b"], files["taesd-16"])
    assert checked.vae_is_tiny
    assert checked.of_part("vae") == (files["taesd-16"],)
    assert checked.names["vae"] == files["taesd-16"].name


def test_a_checkpoint_that_lacks_parts_is_told_to_be_one(tmp_path: Path, files: dict[str, Path]) -> None:
    """Stable Diffusion 3 without its encoders: as the denoiser it is refused, as model it is taken with them."""
    prefix = "model.diffusion_model."
    shapes = {f"{prefix}{t.name}": t.shape for t in synth.MODELS["sd3.5-medium"].tensors("Q4_K")}
    shapes |= {f"first_stage_model.{t.name}": t.shape for t in synth.MODELS["flux1-vae"].tensors("Q4_K")}
    path = hollow.safetensors(tmp_path / "sd3_medium.safetensors", shapes)
    encoders = [files["clip-l"], files["clip-g"], files["t5xxl"]]
    with pytest.raises(ModelMismatchError, match="give it as model"):
        check_files(path, encoders)
    checked = check_files(text_encoder=encoders, model=path)
    assert set(checked.sources) == {"model", "clip_l", "clip_g", "t5xxl"}
    assert checked.of_part("text_encoder") == tuple(encoders)
    with pytest.raises(ModelMismatchError, match=r"further text encoders; get CLIP-L.*, CLIP-G.* and T5-XXL"):
        check_files(model=path)


@pytest.mark.parametrize("prefix", ["first_stage_model.", "tae."])
def test_sdxs_decodes_with_the_tiny_autoencoder_in_its_checkpoint(
    tmp_path: Path, files: dict[str, Path], prefix: str
) -> None:
    """Under the name of a VAE, as it was published, or under its own, as the engine's converter writes it."""
    shapes = {t.name.replace("first_stage_model.", prefix): t.shape for t in synth.MODELS["sdxs-512"].tensors("F16")}
    path = hollow.safetensors(tmp_path / "sdxs.safetensors", shapes)
    assert inspect(path).drawable
    assert inspect(path).distilled
    assert not inspect(path).vae
    checked = check_files(path)
    assert dict(checked.sources) == {"model": path}
    assert checked.vae_is_tiny
    assert checked.of_part("vae") == (path,)
    assert check_files(path, vae=files["taesd-4"]).of_part("vae") == (files["taesd-4"],)


def test_an_autoencoder_that_is_not_read_in_a_checkpoint_is_none(tmp_path: Path, files: dict[str, Path]) -> None:
    """Stable Diffusion 1 with a tiny autoencoder where its VAE was: the engine looks there for the VAE alone."""
    tiny = TinyAutoencoder(latent=4, prefix="first_stage_model.")
    kept = [tensor for tensor in synth.MODELS["sd1"].tensors("F16") if not tensor.name.startswith(tiny.prefix)]
    shapes = {tensor.name: tensor.shape for tensor in (*kept, *tiny.tensors("F16"))}
    path = hollow.safetensors(tmp_path / "model.safetensors", shapes)
    assert inspect(path).vae == RIGHT["sd1"]["vae"] + " (stabilityai/sd-vae-ft-mse-original)"
    with pytest.raises(ModelMismatchError, match="needs a VAE; get vae-ft-mse"):
        check_files(model=path)
    for vae in SD_VAES:
        assert check_files(model=path, vae=files[vae]).of_part("vae") == (files[vae],)


def test_stable_diffusion_3_can_do_without_t5(files: dict[str, Path]) -> None:
    """That is a warning."""
    encoders = [files["clip-l"], files["clip-g"]]
    checked = check_files(files["sd3.5-medium"], encoders, files["taesd-16"])
    assert "t5xxl" not in checked.sources
    assert len(checked.warnings) == 1
    assert "without T5-XXL" in checked.warnings[0]


def test_autoencoders_of_equal_shape_are_told_apart_by_name(tmp_path: Path, files: dict[str, Path]) -> None:
    """A 16-channel VAE that is called sd3 is taken for FLUX.1 with a warning; its tensors cannot tell."""
    vae = tmp_path / "sd3_vae.safetensors"
    vae.symlink_to(files["flux1-vae"])
    (warning,) = check_files(files["z-image-turbo"], files["qwen3-4b"], vae).warnings
    assert AE in warning


def test_two_of_one_encoder_are_refused(files: dict[str, Path]) -> None:
    """Both are named."""
    encoders = [files["clip-l"], files["clip-l"], files["t5xxl"]]
    with pytest.raises(ModelMismatchError, match="both CLIP-L text encoders"):
        check_files(files["flux1-dev"], encoders, files["flux1-vae"])


def test_a_lora_for_another_model_is_refused(files: dict[str, Path]) -> None:
    """By its family, and by the size of it; a FLUX.1 one goes with what has FLUX.1's blocks."""
    klein = check_files(files["klein-4b"], files["qwen3-4b"], files["flux2-vae"])
    larger = check_files(files["klein-9b"], files["qwen3-8b"], files["flux2-vae"])
    flux1 = check_files(files["flux1-dev"], [files["clip-l"], files["t5xxl"]], files["flux1-vae"])
    fill = check_files(files["flux1-fill"], [files["clip-l"], files["t5xxl"]], files["flux1-vae"])
    check_lora(files["klein-4b-lora"], klein)
    check_lora(files["flux1-lora"], flux1)
    check_lora(files["flux1-lora"], fill)
    for checkpoint in ("sdxl", "ssd-1b"):
        check_lora(files["sdxl-lora"], check_files(model=files[checkpoint]))
    for lora, drawn, says in (
        ("klein-4b-lora", flux1, "get a LoRA for FLUX.1, or take the denoiser flux-2-klein-4b-Q4_0.gguf"),
        ("klein-4b-lora", larger, "of width 3072, and .* has 4096; .* take the denoiser flux-2-klein-4b-Q4_0.gguf"),
        ("flux1-lora", klein, "get a LoRA for FLUX.2 Klein, or take the denoiser flux1-dev-Q4_K_S.gguf"),
        ("sdxl-lora", klein, "get a LoRA for FLUX.2 Klein, or take the denoiser sd_xl_base_1.0.safetensors"),
        ("sdxl-lora", check_files(model=files["sd1"]), "get a LoRA for Stable Diffusion 1, or"),
        ("sdxl-lora", check_files(model=files["sdxs-512"]), "get a LoRA for SDXS-512-DreamShaper, or"),
        ("esrgan", klein, "it is an upscaler .*; get a LoRA"),
    ):
        with pytest.raises(ModelMismatchError, match=says):
            check_lora(files[lora], drawn)


def test_other_additions_are_checked(files: dict[str, Path]) -> None:
    """A ControlNet and an upscaler, and others in their places."""
    check_upscaler(files["esrgan"])
    check_controlnet(files["sd1-controlnet"], check_files(model=files["sd1"]))
    # SDXS has fewer blocks than a ControlNet for Stable Diffusion 1 adds to.
    for checkpoint, title in (("sdxl", "Stable Diffusion XL"), ("sdxs-512", "SDXS-512-DreamShaper")):
        with pytest.raises(ModelMismatchError, match=f"get a ControlNet for {title}, or take the denoiser v1-5"):
            check_controlnet(files["sd1-controlnet"], check_files(model=files[checkpoint]))
    with pytest.raises(ModelMismatchError, match=r"it is a LoRA .*; get RealESRGAN_x4plus.safetensors"):
        check_upscaler(files["klein-4b-lora"])


def test_a_shared_text_encoder_is_one(files: dict[str, Path]) -> None:
    """``TextEncoder`` refuses other parts."""
    assert check_text_encoder(files["qwen3-4b"]) == ()
    with pytest.raises(ModelMismatchError, match="given as a text encoder, but it is the Z-Image denoiser"):
        check_text_encoder(files["z-image-turbo"])


def test_the_files_to_get_are_in_the_catalogue() -> None:
    """What a sentence says to get can be got by name."""
    catalogue = open_catalogue({})
    known = {(file.repository, Path(file.file).name) for file in catalogue.files.values()}
    for model in catalogue.models.values():
        known |= {(file.repository, Path(file.file).name) for file in model.quantizations.values()}
    repositories = {repository for repository, _ in known}
    sentences = [family.denoiser_file(width) for family in FAMILIES for width in (0, 4096)]
    sentences += [family.vae_file for family in FAMILIES if family.name not in ("sd1", "sd2")]
    sentences += [suggestions.CLIP_L, suggestions.CLIP_G, suggestions.T5XXL, suggestions.UPSCALER]
    for sentence in sentences:
        found = re.fullmatch(r"(?:[A-Z0-9-]+: )?(\S+) \((\S+)\)", sentence)
        assert found is not None, sentence
        assert (found[2], Path(found[1]).name) in known, sentence
    for make, width in (("qwen3", 2560), ("qwen3", 4096), ("qwen2.5", 3584)):
        found = re.search(r"\((\S+)\)", suggestions.language_model(make, width))
        assert found is not None
        assert found[1] in repositories


def test_roles_are_the_engines(files: dict[str, Path]) -> None:
    """Whatever is found has a role that the native layer knows."""
    for family in RIGHT:
        assert set(synth.FAMILIES[family]) <= set(ROLES)
