"""Pictures of other programs, and of later versions of this one: what can be taken is, and the rest is said."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_py import SAMPLERS, SCHEDULERS, GenerationSettings, MetadataError, MetadataWarning, read_png
from sdcpp_py.cli import main
from sdcpp_py.settings.metadata import from_common_text, from_json, to_json, to_png_info
from sdcpp_py.settings.sampler_names import COMMON_SAMPLERS, find_both, find_sampler, find_scheduler

from ..support.picture_tools import png_with_chunks

FUTURE = {
    "format": 1,
    "software": "sdcpp_py 9.0",
    "engine": "fed",
    "settings": {"prompt": "a cat", "steps": 6, "seed": 3, "cfg_rescale": 2, "loras": [["x.safetensors", 0.5]]},
    "model": {"family": "flux2-klein"},
    "timings": {"denoise": 1.5},
    "licence": "CC0",
}


def save(name: str, **texts: str) -> Path:
    info = PngInfo()
    for text, value in texts.items():
        info.add_text(text, value)
    Image.new("RGB", (8, 8)).save(name, pnginfo=info)
    return Path(name)


def common(line: str, prompt: str = "a barn") -> str:
    return f"{prompt}\n{line}"


# --- later versions


def test_a_picture_of_a_later_version_is_read(work: Path) -> None:
    """What it knows more is kept, warned of, and written again; the rest is read as ever."""
    path = save("later.png", sdcpp_py=json.dumps(FUTURE))
    with pytest.warns(MetadataWarning, match=r"later\.png: .*another version.*'cfg_rescale', 'loras'"):
        metadata = read_png(path)
    assert metadata.settings == GenerationSettings("a cat", steps=6, seed=3)
    assert metadata.extra_settings == {"cfg_rescale": 2, "loras": [["x.safetensors", 0.5]]}
    assert metadata.extra == {"licence": "CC0"}
    with pytest.warns(MetadataWarning, match="cfg_rescale") as caught:
        assert GenerationSettings.from_png(path) == metadata.settings
    assert caught[0].filename == __file__
    Image.new("RGB", (8, 8)).save("again.png", pnginfo=to_png_info(metadata))
    with pytest.warns(MetadataWarning):
        assert read_png("again.png") == metadata
    with Image.open("again.png") as again:
        assert json.loads(again.info["sdcpp_py"]) == FUTURE


@pytest.mark.parametrize("text", ["{", json.dumps({**FUTURE, "format": 2})])
def test_the_common_text_stands_in_for_ours(work: Path, text: str) -> None:
    """Where our own text is damaged, or of a format that only a later version reads, the common one is taken."""
    path = save("later.png", sdcpp_py=text, parameters=common("Steps: 6, Seed: 3"))
    with pytest.warns(MetadataWarning, match="damaged|has format 2"):
        assert GenerationSettings.from_png(path) == GenerationSettings("a barn", steps=6, seed=3)


def test_only_what_differs_from_the_defaults_is_written() -> None:
    """Settings with their default are left out, so that versions without the option read the picture."""
    settings = GenerationSettings("a cat", seed=7)
    assert json.loads(to_json(from_json(to_json_of(settings))))["settings"] == {"prompt": "a cat", "seed": 7}


def to_json_of(settings: GenerationSettings) -> str:
    return json.dumps({"format": 1, "settings": settings.as_dict()})


def test_what_pictures_leave_out_never_changes() -> None:
    """These defaults are part of the format: with another one, pictures that were written would come out different."""
    defaults = GenerationSettings("").as_dict()
    assert {name: defaults[name] for name in WRITTEN_WITHOUT} == WRITTEN_WITHOUT


WRITTEN_WITHOUT: dict[str, Any] = {
    "negative_prompt": "", "width": 512, "height": 512, "steps": 4, "cfg_scale": 1.0, "seed": 0, "sampler": "euler",
    "scheduler": "reference", "vae_tile_size": 0, "guidance": 0.0, "strength": 1.0, "eta": None, "clip_skip": 0,
}  # fmt: skip


def test_values_that_are_not_valid_are_left_to_the_default(work: Path) -> None:
    """A value that cannot be used is left out and named; an edge becomes the nearest; a prompt there must be."""
    settings = {"prompt": "a cat", "width": 904, "height": "tall", "steps": True, "sampler": "magic", "seed": 5}
    path = save("odd.png", sdcpp_py=json.dumps({"format": 1, "settings": settings}))
    with pytest.warns(MetadataWarning) as caught:
        read = GenerationSettings.from_png(path)
    assert read == GenerationSettings("a cat", width=896, seed=5)
    for word in ("904", "896 is taken", "'tall'", "512 is taken", "steps", "'magic'", "'euler' is taken"):
        assert word in str(caught[0].message)
    for wrong in ({}, {"prompt": 3}, {"prompt": "a\0b"}):
        with pytest.raises(MetadataError, match="prompt"):
            from_json(json.dumps({"format": 1, "settings": wrong}))


@given(
    st.dictionaries(
        st.sampled_from([*WRITTEN_WITHOUT, "cfg_rescale", ""]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    )
)
def test_any_values_beside_a_prompt_are_read(values: dict[str, Any]) -> None:
    """Whatever stands beside a prompt, settings come out, and everything that was not taken is named or kept."""
    metadata = from_json(json.dumps({"format": 1, "settings": {"prompt": "a cat", **values}}))
    for name, value in values.items():
        taken = name in WRITTEN_WITHOUT and metadata.settings.as_dict()[name] == value
        said = any(name in problem for problem in metadata.problems)
        assert taken or said
        assert (name in metadata.extra_settings) == (name not in WRITTEN_WITHOUT)


# --- names of samplers and schedules

A1111 = {
    "Euler": "euler", "Euler a": "euler_a", "Heun": "heun", "DPM2": "dpm2", "DPM++ 2S a": "dpm++2s_a",
    "DPM++ 2M": "dpm++2m", "LCM": "lcm", "DDIM": "ddim_trailing", "Res Multistep": "res_multistep", "ER SDE": "er_sde",
    "TCD": "tcd", "IPNDM": "ipndm", "IPNDM_V": "ipndm_v",
}  # fmt: skip
KDIFFUSION = {
    "k_euler": "euler", "k_euler_a": "euler_a", "k_euler_ancestral": "euler_a", "k_heun": "heun", "k_dpm_2": "dpm2",
    "k_dpmpp_2s_a": "dpm++2s_a", "k_dpmpp_2m": "dpm++2m", "k_lcm": "lcm", "k_res_multistep": "res_multistep",
}  # fmt: skip
COMFYUI = {
    "euler": "euler", "euler_ancestral": "euler_a", "heun": "heun", "dpm_2": "dpm2", "dpmpp_2s_ancestral": "dpm++2s_a",
    "dpmpp_2m": "dpm++2m", "lcm": "lcm", "ipndm": "ipndm", "ipndm_v": "ipndm_v", "ddim": "ddim_trailing",
    "res_multistep": "res_multistep", "res_2s": "res_2s", "er_sde": "er_sde",
}  # fmt: skip
ENGINE_LOG = {
    "Euler A": "euler_a", "DPM++ (2s)": "dpm++2s_a", "DPM++ (2M)": "dpm++2m", "modified DPM++ (2M)": "dpm++2mv2",
    "iPNDM": "ipndm", "iPNDM_v": "ipndm_v", 'DDIM "trailing"': "ddim_trailing", "Res 2s": "res_2s", "ER-SDE": "er_sde",
}  # fmt: skip
SCHEDULES = {
    "Karras": "karras", "Exponential": "exponential", "SGM Uniform": "sgm_uniform", "KL Optimal": "kl_optimal",
    "Align Your Steps": "ays", "Align Your Steps GITS": "gits", "Simple": "simple", "Uniform": "discrete",
    "Normal": "discrete", "Bong Tangent": "bong_tangent", "sgm_uniform": "sgm_uniform", "SGMUniform": "sgm_uniform",
}  # fmt: skip


@pytest.mark.parametrize("names", [A1111, KDIFFUSION, COMFYUI, ENGINE_LOG], ids=["a1111", "k", "comfyui", "engine"])
def test_names_of_samplers_are_known(names: dict[str, str]) -> None:
    """What each program calls a sampler is the engine's, in any capitals."""
    for name, ours in names.items():
        assert [find_sampler(form) for form in (name, name.lower(), name.upper())] == [ours] * 3, name


def test_names_of_schedules_are_known() -> None:
    """What the web UIs call a schedule is the engine's; "Automatic" is what they take for the sampler."""
    for name, ours in SCHEDULES.items():
        assert find_scheduler(name) == ours, name
    assert find_scheduler("Automatic", "dpm++2m") == "karras"
    assert find_scheduler("Automatic", "euler") is None


def test_what_the_engine_lacks_is_not_taken_for_something_else() -> None:
    """Samplers and schedules that only others have are none of ours."""
    for name in ("DPM++ SDE", "DPM++ 2M SDE", "DPM++ 3M SDE", "DPM2 a", "UniPC", "LMS", "dpm_2_ancestral", "", "2M"):
        assert find_sampler(name) is None, name
    for name in ("Beta", "Polyexponential", "DDIM", "Turbo", "linear_quadratic", ""):
        assert find_scheduler(name) is None, name


def test_every_name_of_the_engine_is_told_from_the_others() -> None:
    """Each sampler and each schedule is found by its own name, alone and joined, and by the common name that it has."""
    for sampler in SAMPLERS:
        assert find_sampler(sampler) == sampler
        assert find_sampler(COMMON_SAMPLERS.get(sampler, sampler)) == sampler
        assert find_both(sampler) == (sampler, None)
        for scheduler in SCHEDULERS:
            assert find_both(f"{sampler} {scheduler}") == (sampler, scheduler)
            assert find_both(f"{COMMON_SAMPLERS.get(sampler, sampler)} {scheduler.title()}") == (sampler, scheduler)
    assert find_both("DPM++ 2M SDE Karras") == (None, "karras")
    assert find_both("magic") == (None, None)


# --- other programs


def sd_cli(sampler: str = "euler discrete", prompt: str = "a lighthouse", **more: Any) -> str:
    """The text that the engine's own program writes, without the values that say nothing special was wanted."""
    record = {
        "schema": "sdcpp.image.params/v1",
        "prompt": {"positive": prompt, "negative": "fog"},
        "sampling": {"method": "euler", "steps": 99},
        "note": "Steps: 77, Seed: 77",
        **more,
    }
    return (
        f"{prompt}\nNegative prompt: fog\nSteps: 20, CFG scale: 1.000000, Guidance: 3.500000, Eta: 0.000000, "
        f"Seed: 42, Size: 512x768, Model: , RNG: cuda, Sampler: {sampler}, TE: clip_l.safetensors, TE: t5xxl.gguf, "
        "Unet: flux1-dev-q4_k.gguf, VAE: ae.safetensors, Version: stable-diffusion.cpp, "
        f"SDCPP: {json.dumps(record)}"
    )


def test_sd_clis_pictures_are_read() -> None:
    """sd-cli's text gives every sampler and schedule of the engine, all other settings and files, and no problem."""
    for sampler, scheduler in itertools.product(SAMPLERS, SCHEDULERS[1:]):
        metadata = from_common_text(sd_cli(f"{sampler} {scheduler}"))
        assert metadata.problems == ()
        assert metadata.settings == GenerationSettings(
            "a lighthouse", "fog", 512, 768, 20, 1.0, 42, sampler, scheduler, guidance=3.5
        )
        assert metadata.model == {
            "diffusion_model": "flux1-dev-q4_k.gguf",
            "text_encoder": "clip_l.safetensors, t5xxl.gguf",
            "vae": "ae.safetensors",
        }


def test_sd_clis_prompts_are_whole() -> None:
    """A prompt with a line like a negative prompt's comes out of sd-cli's JSON as it was; LoRAs are named."""
    prompt = "a sign\nNegative prompt: it says\nSteps: 3, SDCPP: {"
    metadata = from_common_text(sd_cli(prompt=prompt, loras=[{"name": "ink.safetensors", "multiplier": 1.0}]))
    assert (metadata.settings.prompt, metadata.settings.negative_prompt) == (prompt, "fog")
    assert metadata.settings.steps == 20
    assert any("ink.safetensors" in problem for problem in metadata.problems)


@pytest.mark.parametrize("cut", [1, 60, 200])
def test_sd_clis_text_may_be_cut_short(cut: int) -> None:
    """Without the end of its JSON, what stands before it is read."""
    text = sd_cli()
    assert from_common_text(text[: -cut or None]).settings == from_common_text(text).settings


def test_sd_clis_plain_text_in_utf_8_is_read(work: Path) -> None:
    """sd-cli writes UTF-8 where the standard says Latin-1; real Latin-1 is read too."""
    prompt = "ein Haus in Köln, 猫"
    for name, encoding, text in (("utf.png", "utf-8", prompt), ("latin.png", "latin-1", "Köln")):
        data = b"parameters\0" + common("Steps: 4", text).encode(encoding)
        Path(name).write_bytes(png_with_chunks((b"tEXt", data)))
        assert GenerationSettings.from_png(name).prompt == text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Sampler: DPM++ 2M, Schedule type: Karras", {"sampler": "dpm++2m", "scheduler": "karras"}),
        ("Sampler: DPM++ 2M Karras", {"sampler": "dpm++2m", "scheduler": "karras"}),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", {"sampler": "dpm++2m", "scheduler": "karras"}),
        ("Sampler: Euler a, Schedule type: Automatic", {"sampler": "euler_a"}),
        ("Sampler: Euler, Schedule type: SGM Uniform", {"scheduler": "sgm_uniform"}),
        ("Sampler: Euler, Schedule type: Simple, Distilled CFG Scale: 3.5", {"scheduler": "simple", "guidance": 3.5}),
        ("Model hash: ab, TI hashes: \"c: 3\", Version: f2.0.1", {}),
    ],
)  # fmt: skip
def test_what_other_programs_write_is_read_without_a_word(line: str, expected: dict[str, Any]) -> None:
    """Whole settings of A1111 and Forge give settings here, and nothing to warn of."""
    metadata = from_common_text(common(f"Steps: 20, {line}"))
    assert metadata.settings == GenerationSettings("a barn", steps=20, **expected)
    assert metadata.problems == ()


@pytest.mark.parametrize(
    ("line", "says", "expected"),
    [
        ("Sampler: DPM++ SDE", "the sampler 'DPM++ SDE' does not exist here", {}),
        ("Sampler: DPM++ 2M SDE Karras", "the sampler 'DPM++ 2M SDE Karras'", {"scheduler": "karras"}),
        ("Sampler: Euler, Schedule type: Beta", "the scheduler 'Beta' does not exist here", {}),
        ("Seed: many", "'seed' is 'many', which is no number", {}),
        ("Seed: -1", "seed is -1, which names none", {}),
        ("Size: large", "'size' is 'large'", {}),
        ("Size: 512x904", "896 is taken", {"height": 896}),
        ("CFG scale: 1e9", "cfg_scale must be from 0 to 100", {}),
        ("Hires steps: 5, NGMS: 0.2", "Hires steps: 5, NGMS: 0.2", {}),
        ("Denoising strength: 0.4", "Denoising strength: 0.4", {}),
        ('Lora hashes: "a: 1, b: 2", Version: f2.0.1', "LoRAs, which are not taken: a (1), b (2)", {}),
        ("Skip layers: [7, 8, 9, ], RNG: cpu", "Skip layers: [7, 8, 9, ], RNG: cpu", {}),
    ],
)
def test_what_cannot_be_taken_is_said(work: Path, line: str, says: str, expected: dict[str, Any]) -> None:
    """One value that cannot be used here costs no other one, and is warned of."""
    path = save("other.png", parameters=common(f"Steps: 20, {line}"))
    with pytest.warns(MetadataWarning) as caught:
        settings = GenerationSettings.from_png(path)
    assert len(caught) == 1
    assert says in str(caught[0].message)
    assert settings == GenerationSettings("a barn", **{"steps": 20, **expected})


# --- info


def info(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["info", *arguments]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_info_shows_what_cannot_be_used(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings that are taken, what is not, and the whole text of another program are shown."""
    text = common("Steps: 20, Sampler: DPM++ SDE, Schedule type: Beta, NGMS: 2")
    save("other.png", parameters=text, Software="somebody")
    shown = info(capsys, "other.png")
    for part in ("prompt           a barn", "steps            20", "'DPM++ SDE' does not exist here", text, "somebody"):
        assert part in shown
    plain = json.loads(info(capsys, "other.png", "--json"))
    assert plain["settings"]["steps"] == 20
    assert plain["settings"]["sampler"] == "euler"
    assert plain["texts"] == {"parameters": text, "Software": "somebody"}
    assert any("NGMS: 2" in problem for problem in plain["problems"])


def test_info_shows_comfyuis_texts(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A graph that samples nothing gives no settings, and is shown: its names, its size and how it begins."""
    save("comfy.png", prompt='{"3": {"class_type": "KSampler"}}', workflow="{" + "x" * 300_000 + "}")
    shown = info(capsys, "comfy.png")
    assert "KSampler" in shown
    assert "workflow, 300,002 characters" in shown
    assert len(shown) < 5000
    plain = json.loads(info(capsys, "comfy.png", "--json"))
    assert "settings" not in plain
    assert len(plain["texts"]["workflow"]) == 300_002
    with pytest.raises(
        MetadataError, match=r"no node samples a latent.*; the text of ComfyUI in the picture is damaged"
    ):
        GenerationSettings.from_png("comfy.png")


def test_info_shows_damaged_and_later_texts(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text of ours that cannot be read is shown as it is; of a later version, also what is not known here."""
    save("damaged.png", sdcpp_py="{not JSON")
    assert "{not JSON" in info(capsys, "damaged.png")
    save("later.png", sdcpp_py=json.dumps(FUTURE))
    assert "cfg_rescale      2" in info(capsys, "later.png")
    assert json.loads(info(capsys, "later.png", "--json"))["settings"]["cfg_rescale"] == 2


def test_info_commands_no_terminal(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in a picture's texts, with which it could rewrite the screen, are shown and not sent."""
    evil = "\x1b[2J\x9b2J\u202e\r\x07"
    settings = {"prompt": f"a cat{evil}", evil: evil}
    record = {"format": 1, "settings": settings, "model": {evil: evil}, "software": evil, "timings": {evil: 1}}
    info_of = {"sdcpp_py": json.dumps(record), "parameters": evil, "note": evil}
    save("evil.png", **info_of)
    shown = info(capsys, "evil.png")
    assert not set(evil) & set(shown) - set("[2J")
    assert "a cat\\x1b[2J\\x9b2J\\u202e\\r\\x07" in shown


def test_generating_from_another_programs_settings_says_what_is_not_taken(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--settings-from`` prints what it leaves out, in plain lines."""
    save("other.png", parameters=common("Steps: 1, Size: 64x64, Seed: 3, Sampler: DPM++ SDE"))
    assert main(["generate", "--settings-from", "other.png", "--device", "cpu", "-o", "new.png"]) == 0
    assert "sdcpp-py: other.png: the sampler 'DPM++ SDE' does not exist here" in capsys.readouterr().err
    assert read_png("new.png").settings == GenerationSettings("a barn", width=64, height=64, steps=1, seed=3)
