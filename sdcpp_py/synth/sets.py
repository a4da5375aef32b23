"""Which files make a model, by the part that each plays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from sdcpp_py.parts import ENCODERS
from sdcpp_py.synth.shapes_true import CHECKPOINTS


def _flux2(denoiser: str, llm: str, vae: str = "flux2-vae") -> dict[str, str]:
    return {"diffusion_model": denoiser, "llm": llm, "vae": vae}


def _z_image(denoiser: str) -> dict[str, str]:
    return {"diffusion_model": denoiser, "llm": "qwen3-4b", "vae": "flux1-vae"}


def _flux1(denoiser: str, size: str = "") -> dict[str, str]:
    t5xxl = f"{size}t5" if size else "t5xxl"
    return {"diffusion_model": denoiser, "clip_l": f"{size}clip-l", "t5xxl": t5xxl, "vae": f"{size}flux1-vae"}


# Set -> {role: name of its model file}.
FAMILIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "klein-4b": _flux2("klein-4b", "qwen3-4b"),
        "klein-4b-short": _flux2("klein-4b-short", "qwen3-4b"),
        "probe": _flux2("probe-klein", "tiny-qwen3", "probe-vae"),
        "klein-9b": _flux2("klein-9b", "qwen3-8b"),
        "klein-9b-short": _flux2("klein-9b-short", "qwen3-8b"),
        "z-image-turbo": _z_image("z-image-turbo"),
        "z-image-turbo-short": _z_image("z-image-turbo-short"),
        "flux1-dev": _flux1("flux1-dev"),
        "flux1-schnell": _flux1("flux1-schnell"),
        "flux1-fill": _flux1("flux1-fill"),
        "chroma": {"diffusion_model": "chroma", "t5xxl": "t5xxl", "vae": "flux1-vae"},
        "sd3.5-medium": {**_flux1("sd3.5-medium"), "clip_g": "clip-g"},
        "qwen-image": {"diffusion_model": "qwen-image", "llm": "qwen2.5-vl-7b", "vae": "wan-vae"},
        **{checkpoint.name: {"model": checkpoint.name} for checkpoint in CHECKPOINTS},
        "tiny-klein": _flux2("tiny-klein", "tiny-qwen3", "tiny-flux2-vae"),
        "tiny-z-image": {"diffusion_model": "tiny-z-image", "llm": "tiny-qwen3-36", "vae": "tiny-flux1-vae"},
        "tiny-flux1": _flux1("tiny-flux1", "tiny-"),
        "tiny-flux1-schnell": _flux1("tiny-flux1-schnell", "tiny-"),
        "tiny-flux1-fill": _flux1("tiny-flux1-fill", "tiny-"),
        "tiny-chroma": {"diffusion_model": "tiny-chroma", "t5xxl": "tiny-t5", "vae": "tiny-flux1-vae"},
        # Without T5, whose states have to be 4096 wide for SD3, and whose table would be too large for a tiny set.
        "tiny-sd3": {
            "diffusion_model": "tiny-sd3",
            "clip_l": "tiny-clip-l",
            "clip_g": "tiny-clip-g",
            "vae": "tiny-flux1-vae",
        },
        "tiny-qwen-image": {"diffusion_model": "tiny-qwen-image", "llm": "tiny-qwen2.5-vl", "vae": "tiny-wan-vae"},
    }
)


class SyntheticSet:
    """The files of a model, by the part each plays. ``text_encoder`` stands for "llm".

    Attributes:
        files: role -> path.
    """

    def __init__(
        self,
        diffusion_model: Path | None = None,
        text_encoder: Path | None = None,
        vae: Path | None = None,
        **others: Path,
    ) -> None:
        named = {"diffusion_model": diffusion_model, "llm": text_encoder, "vae": vae}
        self.files: Mapping[str, Path] = {role: path for role, path in named.items() if path is not None} | others

    def __iter__(self) -> Iterator[Path]:
        return iter(self.files.values())

    def __repr__(self) -> str:
        return f"SyntheticSet({', '.join(f'{role}={str(path)!r}' for role, path in self.files.items())})"

    @property
    def diffusion_model(self) -> Path:
        """The denoiser's file. Raises AttributeError where it is in a whole checkpoint."""
        return self._file("diffusion_model")

    @property
    def vae(self) -> Path:
        """The VAE's file. Raises AttributeError where it is in a whole checkpoint."""
        return self._file("vae")

    @property
    def text_encoder(self) -> Path:
        """The only text encoder's file. Raises AttributeError where there are none or several."""
        encoders = [path for role, path in self.files.items() if role in ENCODERS]
        if len(encoders) != 1:
            raise AttributeError(f"{self!r} has {len(encoders)} files of text encoders; see its files")
        return encoders[0]

    def _file(self, role: str) -> Path:
        if role not in self.files:
            raise AttributeError(f"{self!r} has no file of that role: {role}")
        return self.files[role]
