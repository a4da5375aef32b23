"""Pictures of ComfyUI, InvokeAI, NovelAI and Fooocus: what has a meaning here is taken, and the rest is said."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_py import GenerationSettings, MetadataError, MetadataWarning, read_metadata
from sdcpp_py.cli import main
from sdcpp_py.errors import SdcppError
from sdcpp_py.image_files.exif import exif_block
from sdcpp_py.image_files.png_chunks import Texts
from sdcpp_py.settings import OPTIONS, foreign
from sdcpp_py.settings.metadata import PictureMetadata, read_quietly
from sdcpp_py.settings.png_text import record_of
from tests.support.examples import examples

Values = dict[str, Any]


def png(**texts: object) -> io.BytesIO:
    """A PNG with texts, of which those that are no strings are written as JSON."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text if isinstance(text, str) else json.dumps(text))
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG", pnginfo=info)
    return stream


def read(**texts: object) -> PictureMetadata:
    return read_quietly(png(**texts))


def node(kind: str, **inputs: Any) -> Values:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def basic(**changes: Any) -> Values:
    """ComfyUI's default graph."""
    graph = {
        "3": node(
            "KSampler", seed=156680208700286, steps=20, cfg=8, sampler_name="dpmpp_2m", scheduler="karras", denoise=1,
            model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "6": node("CLIPTextEncode", text="a glass bottle", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="text, watermark", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }  # fmt: skip
    return {**graph, **changes}


BASIC = GenerationSettings(
    "a glass bottle", "text, watermark", 512, 768, 20, 8.0, 156680208700286, "dpm++2m", "karras"
)  # fmt: skip


def test_comfyuis_default_graph_is_read() -> None:
    """Prompts, size, steps, scale, seed, sampler, scheduler and model come from the nodes that the sampler names."""
    metadata = read(prompt=basic(), workflow="{}")
    assert metadata.settings == BASIC
    assert metadata.problems == ()
    assert (metadata.software, metadata.model) == (
        "ComfyUI",
        {"diffusion_model": "v1-5-pruned-emaonly.safetensors"},
    )


FLUX = {
    "6": node("CLIPTextEncode", text=["40", 0], clip=["11", 0]),
    "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
    "9": node("SaveImage", filename_prefix="FLUX", images=["8", 0]),
    "10": node("VAELoader", vae_name="ae.safetensors"),
    "11": node("DualCLIPLoader", clip_name1="t5xxl_fp16.safetensors", clip_name2="clip_l.safetensors", type="flux"),
    "12": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
    "13": node(
        "SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0], sigmas=["17", 0],
        latent_image=["27", 0],
    ),
    "16": node("KSamplerSelect", sampler_name="euler"),
    "17": node("BasicScheduler", scheduler="simple", steps=28, denoise=1.0, model=["30", 0]),
    "22": node("BasicGuider", model=["30", 0], conditioning=["26", 0]),
    "25": node("RandomNoise", noise_seed=["41", 0]),
    "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
    "27": node("EmptySD3LatentImage", width=["42", 0], height=["43", 0], batch_size=1),
    "30": node("ModelSamplingFlux", max_shift=1.15, base_shift=0.5, width=1024, height=768, model=["12", 0]),
    "40": node("StringConcatenate", string_a=["44", 0], string_b="at night", delimiter=", "),
    "41": node("PrimitiveInt", value=99),
    "42": node("Reroute", **{"": ["45", 0]}),
    "43": node("PrimitiveInt", value=768),
    "44": node("PrimitiveStringMultiline", value="a lighthouse"),
    "45": node("INTConstant", value=1024),
}  # fmt: skip


def test_comfyuis_flux_graph_is_read() -> None:
    """Where sampler, schedule, noise and guider are nodes of their own, and values primitives, all is found."""
    metadata = read(prompt=FLUX)
    assert metadata.settings == GenerationSettings(
        "a lighthouse, at night", "", 1024, 768, 28, 1.0, 99, "euler", "simple", guidance=3.5
    )
    assert metadata.problems == ()
    assert metadata.model == {"diffusion_model": "flux1-dev.safetensors", "vae": "ae.safetensors"}


def test_comfyuis_klein_graph_is_read() -> None:
    """A CFG guider has both prompts; a zeroed one is none, and a schedule of the model's own is the default."""
    graph = {
        **FLUX,
        "17": node("Flux2Scheduler", steps=4, width=1024, height=768),
        "22": node("CFGGuider", model=["12", 0], positive=["6", 0], negative=["50", 0], cfg=1.5),
        "50": node("ConditioningZeroOut", conditioning=["6", 0]),
    }
    metadata = read(prompt=graph)
    assert metadata.settings == GenerationSettings("a lighthouse, at night", "", 1024, 768, 4, 1.5, 99, "euler")
    assert [problem for problem in metadata.problems if "'Flux2' does not exist here" in problem]


def test_comfyuis_refiner_is_not_taken_for_the_base_model() -> None:
    """Of a graph with SDXL's refiner, the base model's pass is read, clip skip included, and the other is named."""
    graph = basic()
    graph["3"] = node(
        "KSamplerAdvanced", add_noise="enable", noise_seed=5, steps=25, cfg=8, sampler_name="euler_ancestral",
        scheduler="normal", start_at_step=0, end_at_step=20, return_with_leftover_noise="enable",
        model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
    )  # fmt: skip
    graph["6"] = node("CLIPTextEncodeSDXL", width=1024, text_g="a ship", text_l="a ship", clip=["20", 0])
    graph["20"] = node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["4", 1])
    graph["11"] = node(
        "KSamplerAdvanced", add_noise="disable", noise_seed=0, steps=25, cfg=7, sampler_name="euler",
        scheduler="simple", start_at_step=20, end_at_step=10000, return_with_leftover_noise="disable",
        model=["12", 0], positive=["15", 0], negative=["16", 0], latent_image=["3", 0],
    )  # fmt: skip
    graph["12"] = node("CheckpointLoaderSimple", ckpt_name="sd_xl_refiner.safetensors")
    graph["15"] = node("CLIPTextEncodeSDXLRefiner", ascore=6, text="refined", clip=["12", 1])
    graph["16"] = node("CLIPTextEncodeSDXLRefiner", ascore=2.5, text="bad", clip=["12", 1])
    graph["8"] = node("VAEDecode", samples=["11", 0], vae=["4", 2])
    metadata = read(prompt=graph)
    assert metadata.settings == GenerationSettings(
        "a ship", "text, watermark", 512, 768, 25, 8.0, 5, "euler_a", "discrete", clip_skip=2
    )
    assert metadata.model["diffusion_model"] == "v1-5-pruned-emaonly.safetensors"
    assert metadata.problems == ("it was generated in 2 passes, of which the first one's settings are taken",)


def test_comfyuis_image_to_image_is_read() -> None:
    """A latent that is made of a picture gives the strength, and no size; the picture itself is named as missing."""
    graph = basic(**{
        "5": node("VAEEncode", pixels=["10", 0], vae=["4", 2]), "10": node("LoadImage", image="house.png"),
    })  # fmt: skip
    graph["3"]["inputs"]["denoise"] = 0.6
    metadata = read(prompt=graph)
    assert metadata.settings == BASIC.replace(strength=0.6, width=512, height=512)
    assert metadata.problems == ("it began from a picture, which has to be given again",)


def test_comfyuis_loras_controls_and_unknown_samplers_are_said() -> None:
    """What a graph has beyond the settings costs none of these."""
    graph = basic(**{
        "20": node("LoraLoader", lora_name="ink.safetensors", strength_model=1, model=["4", 0], clip=["4", 1]),
        "21": node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], strength=1, image=["22", 0]),
    })  # fmt: skip
    graph["3"]["inputs"] |= {
        "model": ["20", 0], "positive": ["21", 0], "negative": ["21", 1], "sampler_name": "uni_pc", "seed": 2**64 - 1,
    }  # fmt: skip
    metadata = read(prompt=graph)
    assert metadata.settings == BASIC.replace(sampler="euler", seed=0)
    said = "; ".join(metadata.problems)
    words = ("ink.safetensors", "'uni_pc' does not exist here", "seed must be", "'ControlNetApplyAdvanced' did has no")
    assert all(word in said for word in words)


def test_comfyuis_group_that_samples_is_no_riddle() -> None:
    """Where a sampler's values lie in a node of a kind that nobody knows, the prompt is read, and the rest is said."""
    graph = {**FLUX, "13": node("workflow/FLUX", guider=["22", 0], latent_image=["27", 0], sampler_name=3)}
    metadata = read(prompt=graph)
    expected = GenerationSettings("a lighthouse, at night", "", 1024, 768, guidance=3.5)
    assert (metadata.settings, metadata.problems) == (
        expected,
        ("its seed cannot be made out", "its steps cannot be made out"),
    )


def workflow() -> Values:
    """The editor's form of the default graph: rows of values without names, and links by number."""

    def row(number: int, kind: str, values: list[Any], **links: int) -> Values:
        inputs = [{"name": name, "type": "X", "link": link} for name, link in links.items()]
        return {"id": number, "type": kind, "mode": 0, "inputs": inputs, "widgets_values": values}

    return {
        "last_node_id": 9,
        "nodes": [
            row(3, "KSampler", [156680208700286, "randomize", 20, 8, "dpmpp_2m", "karras", 1],
                model=1, positive=4, negative=6, latent_image=2),
            row(4, "CheckpointLoaderSimple", ["v1-5-pruned-emaonly.safetensors"]),
            row(5, "EmptyLatentImage", [512, 768, 1]),
            row(6, "CLIPTextEncode", [""], clip=3, text=10),
            row(7, "CLIPTextEncode", ["text, watermark"], clip=5),
            row(8, "VAEDecode", [], samples=7, vae=8),
            row(9, "SaveImage", ["ComfyUI"], images=9),
            row(12, "PrimitiveNode", ["a glass bottle", "fixed"]),
            {"id": 13, "type": "SaveImage", "mode": 2, "inputs": [], "widgets_values": []},
        ],
        "links": [
            [1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 1, 6, 0, "CLIP"], [4, 6, 0, 3, 1, "X"],
            [5, 4, 1, 7, 0, "CLIP"], [6, 7, 0, 3, 2, "X"], [7, 3, 0, 8, 0, "LATENT"], [8, 4, 2, 8, 1, "VAE"],
            {"id": 9, "origin_id": 8, "origin_slot": 0}, [10, 12, 0, 6, 1, "STRING"], None, [1], "x",
        ],
        "version": 0.4,
    }  # fmt: skip


def test_comfyuis_editors_graph_is_read() -> None:
    """Where only the editor's graph is in a picture, or the other is damaged, it gives the same settings."""
    metadata = read(workflow=workflow())
    assert metadata.settings == BASIC
    assert metadata.problems == ()
    assert read(prompt="{", workflow=workflow()).settings == BASIC


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_comfyuis_exif_is_read(kind: str) -> None:
    """In JPEG and WebP, ComfyUI's graphs stand where a camera's name belongs."""
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(basic())
    exif[0x010F] = "workflow:" + json.dumps(workflow())
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind, exif=exif)
    assert read_quietly(stream).settings == BASIC


INVOKE = {
    "app_version": "6.1.0", "generation_mode": "sdxl_txt2img", "positive_prompt": "a barn", "negative_prompt": "fog",
    "width": 832, "height": 1216, "seed": 7, "rand_device": "cpu", "cfg_scale": 6.5, "cfg_rescale_multiplier": 0,
    "steps": 30, "scheduler": "dpmpp_2m_k", "clip_skip": 0, "strength": 0.75, "type": "core_metadata", "loras": [],
    "model": {"key": "a", "hash": "b", "name": "Juggernaut XL", "base": "sdxl", "type": "main"}, "refiner_model": None,
    "positive_style_prompt": "", "vae": {"name": "sdxl-vae-fp16-fix"},
}  # fmt: skip


def test_invokeais_record_is_read() -> None:
    """InvokeAI's flat record gives settings and names; a strength plays no part where there was no init image."""
    metadata = read(invokeai_metadata=INVOKE, invokeai_graph="{}")
    assert metadata.settings == GenerationSettings("a barn", "fog", 832, 1216, 30, 6.5, 7, "dpm++2m", "karras")
    assert (metadata.problems, metadata.software) == ((), "InvokeAI 6.1.0")
    assert metadata.model == {"diffusion_model": "Juggernaut XL", "vae": "sdxl-vae-fp16-fix"}


def test_what_invokeai_has_beyond_is_said() -> None:
    """Image to image, clip skip, styles, guidance and older names are read; LoRAs and unknown schedulers are said."""
    more = {
        "generation_mode": "img2img", "clip_skip": 1, "guidance": 3.5, "scheduler": "kdpm_2",
        "model": {"model_name": "sd-1"}, "loras": [{"lora": "ink"}], "positive_style_prompt": "ink drawing",
    }  # fmt: skip
    metadata = read(invokeai_metadata={**INVOKE, **more})
    expected = GenerationSettings("a barn ink drawing", "fog", 832, 1216, 30, 6.5, 7, "dpm2")
    assert metadata.settings == expected.replace(strength=0.75, clip_skip=2, guidance=3.5)
    assert metadata.problems == ("this is not taken from it: loras",)
    assert metadata.model["diffusion_model"] == "sd-1"
    unknown = read(invokeai_metadata={**INVOKE, "scheduler": "unipc_k"})
    assert unknown.settings.scheduler == "karras"
    assert "'unipc'" in unknown.problems[0]


NOVELAI = {
    "prompt": "a barn, {{night}}", "steps": 28, "height": 1216, "width": 832, "scale": 5.5, "uncond_scale": 0.0,
    "cfg_rescale": 0.0, "seed": 42, "n_samples": 1, "noise_schedule": "karras", "sampler": "k_euler_ancestral",
    "uc": "fog", "request_type": "PromptGenerateRequest", "sm": False, "sm_dyn": False, "strength": 0.7,
    "signed_hash": "abc",
}  # fmt: skip
NOVELAI_SETTINGS = GenerationSettings("a barn, {{night}}", "fog", 832, 1216, 28, 5.5, 42, "euler_a", "karras")


def novelai_texts(**changes: Any) -> dict[str, str]:
    return {
        "Title": "NovelAI generated image", "Description": "a barn", "Software": "NovelAI",
        "Source": "NovelAI Diffusion V4.5 4BDE2A90", "Comment": json.dumps({**NOVELAI, **changes}),
    }  # fmt: skip


def test_novelais_record_is_read() -> None:
    """NovelAI's comment gives settings, and its source the model; in JPEG and WebP all of them are one object."""
    metadata = read(**novelai_texts())
    assert metadata.settings == NOVELAI_SETTINGS
    assert (metadata.problems, metadata.software) == ((), "NovelAI")
    assert metadata.model == {"diffusion_model": "NovelAI Diffusion V4.5 4BDE2A90"}
    exif = exif_block(json.dumps(novelai_texts()))
    for kind in ("JPEG", "WEBP"):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, kind, exif=exif)
        assert read_quietly(stream) == metadata


def test_what_novelai_has_beyond_is_said() -> None:
    """The prompts of single characters and a rescaled guidance are named; strength counts for image to image."""
    caption = {"caption": {"base_caption": "two cats", "char_captions": [{"char_caption": "a red cat"}]}}
    changes = {"v4_prompt": caption, "cfg_rescale": 0.4, "request_type": "Img2ImgRequest", "noise_schedule": "native"}
    metadata = read(**novelai_texts(**changes))
    assert metadata.settings == NOVELAI_SETTINGS.replace(strength=0.7, scheduler="reference")
    assert metadata.problems == ("this is not taken from it: cfg_rescale, the prompts of characters",)
    without = {name: value for name, value in NOVELAI.items() if name not in ("prompt", "uc")}
    assert read(Comment={**without, "v4_prompt": caption}).settings.prompt == "two cats"


FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8Rundiffusion", "base_model_hash": "aeb7e9e689",
    "clip_skip": 2, "full_negative_prompt": ["fog", "blurry"], "full_prompt": ["a barn", "cinematic, dramatic"],
    "guidance_scale": 4.0, "loras": [], "metadata_scheme": "fooocus", "negative_prompt": "fog", "performance": "Speed",
    "prompt": "a barn", "refiner_model": "None", "refiner_switch": 0.5, "resolution": "(1152, 896)",
    "sampler": "dpmpp_2m", "scheduler": "karras", "seed": "6544385", "sharpness": 2.0, "steps": 30,
    "styles": "['Fooocus V2']", "vae": "Default (model)", "version": "Fooocus v2.5.5",
}  # fmt: skip
FOOOCUS_SETTINGS = GenerationSettings(
    "a barn, cinematic, dramatic", "fog, blurry", 1152, 896, 30, 4.0, 6544385, "dpm++2m", "karras", clip_skip=2
)  # fmt: skip


def test_fooocus_record_is_read() -> None:
    """Fooocus' own scheme gives the prompt with its styles, in PNG, and in JPEG and WebP as it writes EXIF there."""
    metadata = read(parameters=FOOOCUS, fooocus_scheme="fooocus")
    assert metadata.settings == FOOOCUS_SETTINGS
    assert (metadata.problems, metadata.software) == ((), "Fooocus v2.5.5")
    assert metadata.model == {"diffusion_model": "juggernautXL_v8Rundiffusion"}
    exif = Image.Exif()
    exif[0x9286], exif[0x0131], exif[0x927C] = json.dumps(FOOOCUS), "Fooocus v2.5.5", "fooocus"
    for kind in ("JPEG", "WEBP"):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, kind, exif=exif)
        assert read_quietly(stream) == metadata


def test_what_fooocus_has_beyond_is_said() -> None:
    """LoRAs, a refiner and unknown samplers are named; older versions' comments are read."""
    changes = {"sampler": "dpmpp_2m_sde_gpu", "loras": [["ink", 0.5, "a"]], "resolution": "large"}
    metadata = read(parameters={**FOOOCUS, **changes})
    assert metadata.settings == FOOOCUS_SETTINGS.replace(sampler="euler", width=512, height=512)
    said = "; ".join(metadata.problems)
    assert all(word in said for word in ("'dpmpp_2m_sde_gpu'", "'large'", "loras"))
    older = {"prompt": "a barn", "negative_prompt": "", "base_model": "x", "cfg": 7, "width": 640, "height": 512}
    assert read(Comment=older).settings == GenerationSettings("a barn", width=640, cfg_scale=7.0)


def test_a_wildcard_prompt_is_no_json() -> None:
    """A common text whose prompt begins with a brace is read as such."""
    assert read(parameters="{a|b} cat\nSteps: 5, Extra: {x}").settings == GenerationSettings("{a|b} cat", steps=5)


def test_info_and_settings_from_take_foreign_pictures(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``info`` shows what was made of a graph, and the graph; ``--settings-from`` draws from it and says the rest."""
    small = basic(**{"5": node("EmptyLatentImage", width=64, height=64)})
    small["3"]["inputs"] |= {"steps": 1, "cfg": 1, "sampler_name": "uni_pc", "scheduler": "simple"}
    Path("comfy.png").write_bytes(png(prompt=small).getvalue())
    assert main(["info", "comfy.png"]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("a glass bottle", "'uni_pc' does not exist", "class_type", "ComfyUI"))
    assert main(["generate", "--settings-from", "comfy.png", "--device", "cpu", "-o", "new.jpg"]) == 0
    assert "'uni_pc' does not exist here" in capsys.readouterr().err
    expected = GenerationSettings(
        "a glass bottle", "text, watermark", 64, 64, 1, 1.0, 156680208700286, scheduler="simple"
    )
    assert read_metadata("new.jpg").settings == expected
    with pytest.warns(MetadataWarning, match="'uni_pc'"):
        GenerationSettings.from_image("comfy.png")


# --- hostile variants


NAMES = [*basic(), *FLUX, "nowhere"]
LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([2**70, -1, 1e308, float("nan"), float("inf"), "1e999", "9" * 5000, "x" * 200_000])
)  # fmt: skip
LINK = st.tuples(st.sampled_from(NAMES) | st.integers(), st.integers(-1, 3)).map(list)
ANYTHING = st.recursive(
    LEAF | LINK, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=5), s, max_size=3), max_leaves=8
)


def check_read(texts: dict[str, object]) -> None:
    """The texts are read or refused, with errors of ours alone, and what is read is valid."""
    as_text = {name: text if isinstance(text, str) else json.dumps(text) for name, text in texts.items()}
    try:
        record = record_of(Texts(as_text), "a.png")
        settings, _, problems = GenerationSettings.taken_from(record.settings)
    except MetadataError:
        return
    assert set(settings.as_dict()) == set(OPTIONS)
    assert all(isinstance(problem, str) and len(problem) < 10_000 for problem in [*record.problems, *problems])
    assert all(isinstance(name, str) for name in record.model.values())


@pytest.mark.parametrize("graph", [basic(), FLUX], ids=["basic", "flux"])
@given(data=st.data())
@settings(max_examples=examples(150))
def test_any_change_of_a_graph_is_read_or_refused(graph: Values, data: st.DataObject) -> None:
    """Links in circles and into nothing, huge numbers and wrong types anywhere raise only MetadataError, and end."""
    graph = json.loads(json.dumps(graph))
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(graph)))
        what = data.draw(st.sampled_from(["node", "inputs", "kind", "input", "input", "input"]))
        one = graph[name]
        if what == "node" or not isinstance(one, dict) or not isinstance(one.get("inputs"), dict):
            graph[name] = data.draw(ANYTHING)
        elif what == "input" and one["inputs"]:
            one["inputs"][data.draw(st.sampled_from(sorted(one["inputs"])))] = data.draw(ANYTHING)
        else:
            one["inputs" if what == "inputs" else "class_type"] = data.draw(ANYTHING)
    check_read({"prompt": graph})


@given(st.data())
@settings(max_examples=examples(100))
def test_any_change_of_an_editors_graph_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever stands in the place of the editor's nodes, links, inputs and values raises only MetadataError."""
    graph = workflow()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(["nodes", "links"]))
        if isinstance(graph[place], list) and graph[place] and data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(graph[place]) - 1))
            if isinstance(graph[place][at], dict) and graph[place][at] and data.draw(st.booleans()):
                graph[place][at][data.draw(st.sampled_from(sorted(graph[place][at])))] = data.draw(ANYTHING)
            else:
                graph[place][at] = data.draw(ANYTHING)
        else:
            graph[place] = data.draw(ANYTHING)
    check_read({"workflow": graph})


RECORDS = {
    "invokeai_metadata": INVOKE,
    "Comment": NOVELAI,
    "parameters": FOOOCUS,
}


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(max_examples=examples(100))
def test_any_change_of_a_record_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever value stands in whatever place of a flat record raises only MetadataError."""
    record = dict(RECORDS[name])
    for key in data.draw(st.lists(st.sampled_from(sorted(record)), min_size=1, max_size=4)):
        record[key] = data.draw(ANYTHING)
    check_read({name: record})


@given(st.sampled_from([name for name, _ in foreign.READERS] + ["parameters", "sdcpp_py"]), ANYTHING, st.text())
def test_any_text_is_read_or_refused(name: str, value: object, text: str) -> None:
    """JSON of any shape, and what is none, in place of any program's text raises only MetadataError."""
    check_read({name: json.dumps(value)})
    check_read({name: text})


DEEP = 100_000


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, '{"3":{"class_type":"KSampler","inputs":' * DEEP])
def test_deep_nesting_is_refused(text: str) -> None:
    """JSON that is nested deeper than Python goes is refused."""
    for name in ("prompt", "workflow", "invokeai_metadata", "Comment", "parameters"):
        with pytest.raises(SdcppError):
            read(**{name: text})


def test_long_rows_of_nodes_are_followed_in_time_that_grows_with_them() -> None:
    """Thousands of nodes in a row, in circles, and doubling their text with each node, end soon."""
    count = 5000
    chain = {f"r{at}": node("Reroute", **{"": [f"r{at + 1}", 0]}) for at in range(count)}
    chain[f"r{count}"] = node("VAEDecode", samples=["3", 0], vae=["4", 2])
    graph = {**basic(**{"9": node("SaveImage", images=["r0", 0])}), **chain}
    assert read(prompt=graph).settings == BASIC
    doubling = {f"t{at}": node("StringConcatenate", string_a=[f"t{at + 1}", 0], string_b=[f"t{at + 1}", 0])
                for at in range(60)}  # fmt: skip
    doubling["t60"] = node("PrimitiveString", value="word ")
    graph = {**basic(), **doubling}
    graph["6"]["inputs"]["text"] = ["t0", 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetadataWarning)
        check_read({"prompt": graph})
    ring = basic(**{"6": node("Reroute", **{"": ["10", 0]}), "10": node("Reroute", **{"": ["6", 0]})})
    with pytest.raises(MetadataError, match="no prompt can be made out"):
        read(prompt=ring)
