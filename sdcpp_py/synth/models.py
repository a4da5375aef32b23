"""The models that can be written, by name, and which three belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sdcpp_py.synth.autoencoder import Autoencoder
from sdcpp_py.synth.klein import Klein
from sdcpp_py.synth.qwen3 import Qwen3
from sdcpp_py.synth.tensors import QUANTIZATIONS, Layout, Tensor
from sdcpp_py.synth.z_image import ZImage

_GGUF_ALIGNMENT = 32


@dataclass(frozen=True)
class ModelShape:
    """A model file without its values.

    Attributes:
        name: what ``write`` calls it.
        layout: its sizes.
        architecture: GGUF's ``general.architecture``; "" for a VAE, which is a safetensors file.
        metadata: further GGUF keys.
    """

    name: str
    layout: Layout
    architecture: str = ""
    metadata: Mapping[str, int | float] = field(default_factory=dict)

    def tensors(self, quant: str = "Q4_K") -> Iterator[Tensor]:
        """All tensors in the file's order.

        Raises:
            ValueError: there is no such quantization.
        """
        check_quantization(quant)
        return self.layout.tensors(quant)

    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(tensor.elements for tensor in self.tensors())

    def weight_bytes(self, quant: str = "Q4_K") -> int:
        """Bytes of the file but for its header: each tensor, padded as its format pads."""
        padding = _GGUF_ALIGNMENT if self.architecture else 1
        return sum(-(-tensor.nbytes // padding) * padding for tensor in self.tensors(quant))

    def file_name(self, quant: str = "Q4_K") -> str:
        """What its file is called: ``klein-4b-Q4_K.gguf``, ``flux2-vae.safetensors``."""
        return f"{self.name}-{quant}.gguf" if self.architecture else f"{self.name}.safetensors"


def _encoder(name: str, sizes: Qwen3) -> ModelShape:
    return ModelShape(name, sizes, "qwen3", sizes.metadata)


_SHAPES = (
    ModelShape("klein-4b", Klein(hidden=3072, double=5, single=20, context=3 * 2560), "flux"),
    # Of full width, for devices on which the whole would take hours.
    ModelShape("klein-4b-short", Klein(hidden=3072, double=1, single=2, context=3 * 2560), "flux"),
    ModelShape("z-image-turbo", ZImage(hidden=3840, layers=30, refiners=2, caption=2560), "lumina2"),
    _encoder("qwen3-4b", Qwen3(hidden=2560, layers=36, ffn=9728, heads=32)),
    ModelShape("flux2-vae", Autoencoder(latent=32, channels=128, flux2=True, encoder=True)),
    ModelShape("flux1-vae", Autoencoder(latent=16, channels=128, flux2=False, encoder=True)),
    ModelShape("tiny-klein", Klein(hidden=256, double=1, single=2, context=3 * 64), "flux"),
    ModelShape("tiny-z-image", ZImage(hidden=256, layers=2, refiners=1, caption=64), "lumina2"),
    _encoder("tiny-qwen3", Qwen3(hidden=64, layers=28, ffn=192, heads=16)),
    _encoder("tiny-qwen3-36", Qwen3(hidden=64, layers=36, ffn=192, heads=32)),
    ModelShape("tiny-flux2-vae", Autoencoder(latent=32, channels=32, flux2=True, encoder=False)),
    ModelShape("tiny-flux1-vae", Autoencoder(latent=16, channels=32, flux2=False, encoder=False)),
)

MODELS: Mapping[str, ModelShape] = MappingProxyType({shape.name: shape for shape in _SHAPES})

# Family -> names of its denoiser, text encoder and VAE.
FAMILIES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "klein-4b": ("klein-4b", "qwen3-4b", "flux2-vae"),
        "klein-4b-short": ("klein-4b-short", "qwen3-4b", "flux2-vae"),
        "z-image-turbo": ("z-image-turbo", "qwen3-4b", "flux1-vae"),
        "tiny-klein": ("tiny-klein", "tiny-qwen3", "tiny-flux2-vae"),
        "tiny-z-image": ("tiny-z-image", "tiny-qwen3-36", "tiny-flux1-vae"),
    }
)


def model_named(name: str) -> ModelShape:
    """The model of that name.

    Raises:
        ValueError: there is none; the message lists all.
    """
    if name not in MODELS:
        raise ValueError(f"there is no synthetic model {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name]


def check_quantization(quant: str) -> None:
    """Refuses a name that is no quantization.

    Raises:
        ValueError: it cannot be written; the message lists all that can.
    """
    if quant not in QUANTIZATIONS:
        raise ValueError(f"there is no quantization {quant!r}; choose one of {', '.join(QUANTIZATIONS)}")
