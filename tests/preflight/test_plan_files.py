"""``sdcpp-py plan`` and ``sdcpp-py fit``: what they say before anything is loaded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sdcpp_py import ModelNotFoundError, SettingsError
from sdcpp_py.cli import main
from sdcpp_py.preflight.fits import Fit, best_first, fits_of
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.synth import MODELS, SyntheticSet
from sdcpp_py.system.ram import resident_bytes
from tests.conftest import open_generator
from tests.support.seconds import slower_than_usual


def test_a_plan_of_files_is_the_generators_own(klein: SyntheticSet) -> None:
    """Planned from headers, or by an open generator: the same bytes; and the text names each part."""
    before = plan_files(klein.files, width=256, height=128, memory="all", device="cpu", prompt="a cat")
    with open_generator(klein, memory="all") as generator:
        assert generator.plan(width=256, height=128, prompt="a cat") == before
        taken = generator.weight_bytes
    for part in before.parts:
        assert taken[part.need.name] == pytest.approx(part.need.weights, rel=0.02)


@pytest.mark.timing
def test_a_model_that_is_not_there_can_be_planned() -> None:
    """Klein 4B in its true size, in a second and without memory: 2.3 GiB of denoiser, 27 layers of text encoder."""
    held, began = resident_bytes(), time.process_time()
    with files_named("klein-4b", "Q4_K", hollow=True) as found:
        plan = plan_files(found.files, width=512, height=512, memory="2GiB", device="cpu")
        assert sum(part.need.weights for part in plan.parts) > 4 << 30
    assert plan.fits
    assert plan.peak("cpu") <= 2 << 30
    assert plan.part("diffusion_model").need.weights == pytest.approx(MODELS["klein-4b"].weight_bytes("Q4_K"), rel=0.1)
    assert time.process_time() - began < 20
    assert resident_bytes() - held < 400 << 20


def test_working_buffers_grow_as_pictures_do() -> None:
    """The VAE's grows with the pixels, and tiles make it small again; the denoiser's grows too."""
    with files_named("tiny", hollow=True) as found:
        small, large, tiled = (
            plan_files(found.files, width=size, height=size, memory="all", device="cpu", vae_tile_size=tile)
            for size, tile in ((256, 0), (512, 0), (512, 128))
        )
    working = [plan.part("vae").need.working for plan in (small, large, tiled)]
    assert working[1] == pytest.approx(4 * working[0], rel=0.3)
    assert working[2] < working[0]
    assert small.part("diffusion_model").need.working < large.part("diffusion_model").need.working


def test_plan_prints_who_is_in_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """A table by part, with the peak on the device; JSON with the same figures."""
    command = ["plan", "klein-4b", "--size", "512x256", "--memory", "1.5GiB", "--device", "cpu"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith("512x256\n")
    assert all(name in text for name in ("text_encoder", "diffusion_model", "vae", "of 1.50 GiB on cpu"))
    assert "streamed in" in text
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is True
    assert found["peaks"]["cpu"] <= found["limits"]["cpu"] == 1536 << 20
    assert [part["need"]["name"] for part in found["parts"]] == ["text_encoder", "diffusion_model", "vae"]


def test_plan_takes_files_too(klein: SyntheticSet, capsys: pytest.CaptureFixture[str]) -> None:
    """Three files make a Klein, and two do not."""
    files = ["--diffusion-model", str(klein.diffusion_model), "--llm", str(klein.text_encoder), "--vae", str(klein.vae)]
    assert main(["plan", *files, "--size", "64", "--device", "text_encoder=cpu,vae=cpu,diffusion_model=cpu"]) == 0
    assert capsys.readouterr().out.startswith("64x64\n")
    assert main(["plan", *files[:4]]) == 1
    assert "needs a VAE" in capsys.readouterr().err


def test_a_plan_that_does_not_fit_says_what_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    """It is no error to ask: the plan says that it does not fit, from where on it would, and names tiles."""
    assert main(["plan", "tiny", "--size", "1024", "--memory", "100MiB", "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert "does not fit: 1024x1024 needs at least" in text
    assert "tiles (--vae-tile-size 256)" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--size", "512y"], "--size is '512y'"),
        (["--size", "100"], "--size must be a multiple of 16"),
        (["--memory", "6 apples"], "--memory must be a size"),
        (["--device", "vulkan9"], "no device 'vulkan9'"),
        (["--device", "vae="], "--device is 'vae='"),
        (["--device", "decoder=cpu"], "device names text_encoder"),
        (["--vae-tile-size", "7"], "--vae-tile-size must"),
    ],
)
def test_wrong_wishes_are_named(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one line on standard error that names the option and the value."""
    assert main(["plan", "tiny", *arguments]) == 1
    assert says in capsys.readouterr().err


def test_a_build_without_vulkan_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error of ``--device vulkan0`` and ``doctor`` say what the build did not find, and how to mend it."""
    said = "Vulkan was not built, so no GPU is used (no glslc); to build it: `apt install glslc`"
    (tmp_path / "vulkan.txt").write_text(said)
    monkeypatch.setattr("sdcpp_py._native.library.MODULE_DIR", tmp_path)
    assert main(["plan", "tiny", "--device", "vulkan0"]) == 1
    assert said in capsys.readouterr().err
    assert main(["doctor"]) == 0
    assert said in capsys.readouterr().out
    (tmp_path / "vulkan.txt").unlink()
    assert main(["plan", "tiny", "--device", "Vulkan0"]) == 1
    assert "docs/building.md" in capsys.readouterr().err
    (tmp_path / "libggml-vulkan.so").touch()
    assert main(["plan", "tiny", "--device", "vulkan0"]) == 1
    assert "not built" not in capsys.readouterr().err


def test_a_name_that_is_no_model_is_named() -> None:
    """The error lists what there is."""
    with pytest.raises(ModelNotFoundError, match="klein-4b"), files_named("no-such-model", "Q4_K", hollow=True):
        pass
    with pytest.raises(SettingsError, match="Q4_K"), files_named("klein-4b", "Q9_K", hollow=True):
        pass


def test_fit_goes_through_models_and_quantizations() -> None:
    """More bits need more memory, and with little of it less stays; what does not fit says what it needs."""
    roomy = list(fits_of([("tiny-klein", "Q4_0"), ("tiny-klein", "BF16")], sizes=[64], memory="all", device="cpu"))
    assert roomy[0].plans[0].peak("cpu") < roomy[1].plans[0].peak("cpu")
    least = roomy[1].plans[0].least("cpu")
    [tight] = fits_of([("tiny-klein", "BF16")], sizes=[64], memory=least, device="cpu")
    assert tight.plans[0].fits
    assert tight.plans[0].peak("cpu") == least < roomy[1].plans[0].peak("cpu")
    [short] = fits_of([("tiny-klein", "BF16")], sizes=[64], memory=least - 1, device="cpu")
    assert not short.plans[0].fits


def test_fit_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each quantization of the models that are named, as the catalogue names them; a column a size."""
    command = ["fit", "base-4b", "flux1-schnell:Q4_K", "--memory", "3GiB", "--device", "cpu", "--sizes", "256,1024"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "256x256" in lines[0]
    assert "1024x1024" in lines[0]
    assert sorted(line.split()[0] for line in lines[1:]) == [
        "flux1-schnell:Q4_K", "flux2-klein-base-4b:Q4_0", "flux2-klein-base-4b:Q4_K_M", "flux2-klein-base-4b:Q8_0",
    ]  # fmt: skip
    assert "no: needs" in lines[-1] or "streamed" in lines[-1]
    assert main(["fit", "--sizes", "none"]) == 1


def test_fit_has_the_best_first() -> None:
    """What fits, then what is not streamed, then the larger model, then more bits."""
    wanted = [("qwen-image", "Q8_0"), ("klein-4b", "Q4_K_M"), ("sdxs-512", "F16"), ("klein-4b", "Q8_0")]
    found = best_first(fits_of(wanted, sizes=[512], memory="6GiB", device="cpu"))
    assert [(fit.model, fit.quant, fit.streams) for fit in found] == [
        ("klein-4b", "Q8_0", False),
        ("klein-4b", "Q4_K_M", False),
        ("sdxs-512", "F16", False),
        ("qwen-image", "Q8_0", True),
    ]
    tight = best_first(fits_of(wanted, sizes=[512], memory="1GiB", device="cpu"))
    assert [fit.fits for fit in tight] == sorted((fit.fits for fit in tight), reverse=True)
    assert (tight[0].fits, tight[-1].fits) == (True, False)


def test_a_models_encoder_is_the_one_of_its_entry() -> None:
    """More bits of the denoiser are none of the text encoder, which the catalogue has in four bits."""
    four, eight = fits_of([("klein-4b", "Q4_K_M"), ("klein-4b", "Q8_0")], sizes=[256], memory="all", device="cpu")
    encoders = [fit.plans[0].part("text_encoder").need.weights for fit in (four, eight)]
    assert encoders[0] == encoders[1] < 2 << 30


def test_needs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time nothing is measured, and where the file of them is broken, everything is."""
    monkeypatch.setenv("SDCPP_PY_CACHE", str(tmp_path))

    def fit(size: int) -> list[Fit]:
        return list(fits_of([("tiny-klein", "Q8_0")], sizes=[size], memory="1GiB", device="cpu"))

    first = fit(64)
    with monkeypatch.context() as patch:
        patch.setattr("sdcpp_py.preflight.needs.Pipeline", None)
        assert fit(64) == first
        with pytest.raises(TypeError):
            fit(128)
    for text in ("[1]", "{", "{}"):
        (tmp_path / "needs.json").write_text(text)
        assert fit(64) == first
    monkeypatch.setenv("SDCPP_PY_CACHE", str(tmp_path / "needs.json" / "no-folder"))
    assert fit(64) == first


@pytest.mark.timing
def test_fit_is_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All models, of which nothing is known yet, in less than 5 seconds of CPU, or on a slow machine as many more."""
    monkeypatch.setenv("SDCPP_PY_CACHE", str(tmp_path))
    slower = slower_than_usual()
    began = time.process_time()
    assert main(["fit", "--memory", "8GiB"]) == 0
    assert time.process_time() - began < 5 * slower


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "tiny", "-m", "tiny"], "named twice"),
        (["plan", "tiny", "--size", "512", "-W", "256"], "--size is '512', and width or height"),
        (["bench", "tiny", "-W", "256", "-H", "512"], "bench times square pictures, and 256x512 is none"),
        (["fit", "no-such-model"], "'no-such-model'"),
        (["models", "no-such-model"], "'no-such-model'"),
        (["recommend", "no-such-model"], "'no-such-model'"),
        (["recommend", "--count", "0"], "--count is 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one line on standard error that names what was given."""
    assert main(arguments) == 1
    assert says in capsys.readouterr().err


def test_plan_takes_a_name_and_a_size_in_both_ways(model: SyntheticSet, capsys: pytest.CaptureFixture[str]) -> None:
    """``-m`` and the name alone, ``--size`` and ``-W -H``, are one plan; ``-m`` takes a file as well."""
    plans = []
    for arguments in (["-m", "tiny", "-W", "128", "-H", "96"], ["tiny", "--size", "128x96"]):
        assert main(["plan", *arguments, "--device", "cpu", "--memory", "1GiB"]) == 0
        plans.append(capsys.readouterr().out)
    assert plans[0] == plans[1]
    assert main(["plan", "-m", str(model.diffusion_model), "--quant", "Q4_0"]) == 1
    assert "--quant (Q4_0) is for models by their names" in capsys.readouterr().err
