"""``sdcpp-py plan`` and ``sdcpp-py fit``: what they say before anything is loaded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sdcpp_py import ModelNotFoundError, SettingsError
from sdcpp_py.cli import main
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import fits, plan_files
from sdcpp_py.synth import MODELS, SyntheticSet
from sdcpp_py.system.ram import resident_bytes
from tests.conftest import open_generator


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
    held, began = resident_bytes(), time.perf_counter()
    with files_named("klein-4b", "Q4_K", hollow=True) as found:
        plan = plan_files(found.files, width=512, height=512, memory="2GiB", device="cpu")
        assert sum(part.need.weights for part in plan.parts) > 4 << 30
    assert plan.fits
    assert plan.peak("cpu") <= 2 << 30
    assert plan.part("diffusion_model").need.weights == pytest.approx(MODELS["klein-4b"].weight_bytes("Q4_K"), rel=0.1)
    assert time.perf_counter() - began < 20
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
    """The error of ``--device vulkan0`` and ``doctor`` say what the build did not find, and the commands that mend it."""
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
    roomy = list(fits(["tiny-klein"], ["Q4_0", "BF16"], sizes=[64], memory="all", device="cpu"))
    assert roomy[0].plans[0].peak("cpu") < roomy[1].plans[0].peak("cpu")
    least = roomy[1].plans[0].least("cpu")
    [tight] = fits(["tiny-klein"], ["BF16"], sizes=[64], memory=least, device="cpu")
    assert tight.plans[0].fits
    assert tight.plans[0].peak("cpu") == least < roomy[1].plans[0].peak("cpu")
    [short] = fits(["tiny-klein"], ["BF16"], sizes=[64], memory=least - 1, device="cpu")
    assert not short.plans[0].fits


def test_fit_prints_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each model and quantization, a column for each size."""
    monkeypatch.setattr("sdcpp_py.cli.planning.QUANTS", ("Q4_K", "Q8_0"))
    monkeypatch.setattr("sdcpp_py.cli.planning.MODELS", ("klein-4b", "flux1-schnell"))
    assert main(["fit", "--memory", "3GiB", "--device", "cpu", "--sizes", "256,1024"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "256x256" in lines[0]
    assert "1024x1024" in lines[0]
    assert lines[1].startswith("klein-4b")
    assert "encoder staged" in lines[1]
    assert main(["fit", "--sizes", "none"]) == 1
