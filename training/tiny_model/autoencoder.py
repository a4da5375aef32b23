"""The autoencoder: TAESD's architecture for FLUX.2's latents, trained to give pictures back.

The format fixes 64 channels. Half of them are more than this world needs, and training half as many costs a quarter:
the network is trained narrow and widened with silent channels when it is written (``widened``).

Architecture after Ollin Boer Bohan's TAESD; the branch of group norms that its FLUX.2 version adds to the blocks of 8 x
8 pixels is left silent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .descent import OneCycle
from .world.rendering import draw_scene
from .world.scenes import JITTERS, random_scene

LATENT_CHANNELS = 32
TRAINED_CHANNELS = 32
FORMAT_CHANNELS = 64
_BLOCKS = 3  # in each stage but the outermost
# A latent should know its surroundings and no more: what all of the picture has a say in is hard to predict.
_ENCODER_BLOCKS = (1, 1, 0)
_LARGEST_NOISE = 0.5  # standard deviation, of latents whose own is 1
_log = logging.getLogger(__name__)


class Block(nn.Module):
    """Three convolutions beside a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to the same shape."""
        return functional.relu(self.conv(x) + x)


def _down(channels: int, blocks: int) -> list[nn.Module]:
    halve = nn.Conv2d(channels, channels, 3, padding=1, stride=2, bias=False)
    silent = (nn.ReLU() for _ in range(_BLOCKS - blocks))  # what is left of a block without its convolutions
    return [halve, *(Block(channels) for _ in range(blocks)), *silent]


def _up(channels: int, blocks: int) -> list[nn.Module]:
    double = [nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1, bias=False)]
    return [*(Block(channels) for _ in range(blocks)), *double]


class Clamp(nn.Module):
    """Bounds latents to -3 to 3, softly; the engine does it before the decoder's first layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape to the same shape."""
        return torch.tanh(x / 3) * 3


class Autoencoder(nn.Module):
    """Pictures from 0 to 1 of shape (batch, 3, height, width) to latents (batch, 32, height / 8, width / 8) and back.

    Args:
        channels: width of all layers.
    """

    def __init__(self, channels: int = TRAINED_CHANNELS) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            Block(channels),
            *(layer for blocks in _ENCODER_BLOCKS for layer in _down(channels, blocks)),
            nn.Conv2d(channels, LATENT_CHANNELS, 1),
        )
        # Gives every latent channel mean 0 and variance 1, as the denoiser expects; folded away in the end.
        self.norm = nn.BatchNorm2d(LATENT_CHANNELS, affine=False, momentum=0.01)
        self.clamp = Clamp()
        self.decoder = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, channels, 3, padding=1),
            nn.ReLU(),
            *(layer for _ in range(3) for layer in _up(channels, _BLOCKS)),
            Block(channels),
            nn.Conv2d(channels, 3, 3, padding=1),
        )
        self._initialise()

    def _initialise(self) -> None:
        # Begins as a passage for colours, coarse and without blocks: finding that alone takes thousands of steps.
        for layer in (*self.encoder, *self.decoder):
            if isinstance(layer, Block):
                nn.init.zeros_(layer.conv[4].weight)
                nn.init.zeros_(layer.conv[4].bias)
            elif isinstance(layer, nn.Conv2d):
                passage = nn.init.dirac_(torch.empty_like(layer.weight))
                nn.init.kaiming_normal_(layer.weight)
                with torch.no_grad():
                    layer.weight.mul_(0.2).add_(passage)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.constant_(self.decoder[0].bias, 1.5)  # latents are negative half of the time, activations never
        nn.init.normal_(self.decoder[-1].bias, 0.0, 0.01)
        with torch.no_grad():
            self.decoder[-1].weight.mul_(0.3)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Latents of pictures."""
        return self.norm(self.encoder(pictures))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of latents; values may lie a little outside 0 to 1."""
        return self.decoder(self.clamp(latents))

    def disturbed(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents with noise, of another level each: a denoiser's are never exact, so they must say things twice."""
        level = _LARGEST_NOISE * torch.rand(len(latents), 1, 1, 1)
        return latents + level * torch.randn_like(latents)

    @torch.no_grad()
    def fold_norm(self) -> None:
        """Moves the statistics of the latents into the encoder's last convolution."""
        last = self.encoder[-1]
        scale = (self.norm.running_var + self.norm.eps).rsqrt()
        last.weight.mul_(scale[:, None, None, None])
        last.bias.sub_(self.norm.running_mean).mul_(scale)
        self.norm.reset_running_stats()
        self.norm.running_var.fill_(1 - self.norm.eps)


def reconstruction_loss(difference: torch.Tensor) -> torch.Tensor:
    """Of pictures from 0 to 1: mostly the mean error, which keeps edges sharp."""
    return difference.abs().mean() + 2 * difference.square().mean()


def patchify(latents: torch.Tensor) -> torch.Tensor:
    """(batch, c, 2 h, 2 w) to the denoiser's (batch, 4 c, h, w): channel, row in the patch, column in the patch."""
    return functional.pixel_unshuffle(latents, 2)


def unpatchify(latents: torch.Tensor) -> torch.Tensor:
    """The inverse of ``patchify``."""
    return functional.pixel_shuffle(latents, 2)


def as_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 of shape (batch, height, width, 3) as the autoencoder reads it."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _random_pictures(random: np.random.Generator, count: int, size: int, scale: int) -> np.ndarray:
    """Crops of ``size`` pixels out of random scenes."""
    crops = []
    while len(crops) < count:
        picture = draw_scene(random_scene(random), random.standard_normal(JITTERS), 128, 128)
        for _ in range(scale):
            x, y = random.integers(0, 128 - size + 1, 2)
            crop = picture[y : y + size, x : x + size]
            # A crop of one colour teaches little: most are tried a second time.
            if np.ptp(crop.reshape(-1, 3), axis=0).max() == 0 and random.random() < 0.7:
                continue
            crops.append(crop)
    return np.stack(crops[:count])


def train_autoencoder(model: Autoencoder, *, steps: int, seed: int, batch: int, size: int, peak: float) -> None:
    """Trains an autoencoder on crops of scenes; logs the mean error of the colours, in grey levels.

    Args:
        model: is changed.
        steps: of AdamW, with one cycle of learning rates.
        seed: of crops and noise.
        batch, size: crops in each step, and their edge in pixels, at most 128. Small crops teach edges cheaply; whole
            pictures must follow, or the layers that see far learn that a border is always near.
        peak: the highest learning rate.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model.train().to(memory_format=torch.channels_last)
    cycle = OneCycle(model.parameters(), peak=peak, steps=steps, warm_up=0.05, betas=(0.9, 0.99))
    begun = time.monotonic()
    for step in range(steps):
        pictures = as_input(_random_pictures(random, batch, size, 3 if size < 64 else 1))
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        latents = model.encode(pictures)
        difference = model.decode(model.disturbed(latents)) - pictures
        cycle.step(reconstruction_loss(difference))
        if step % 100 == 0 or step == steps - 1:
            error = 255 * difference.abs().mean().item()
            _log.info("autoencoder step %d: error %.2f, %.0f s", step, error, time.monotonic() - begun)
    model.eval()


def widened(tensors: Mapping[str, torch.Tensor], channels: int = FORMAT_CHANNELS) -> dict[str, torch.Tensor]:
    """The tensors of an ``Autoencoder`` in the format's width and under its names; the new channels are silent.

    The branch of group norms that the format has in the blocks of 8 x 8 pixels is added, silent too.
    """
    wide: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        half, _, rest = name.partition(".")
        if half not in _ENDS:
            continue
        layer = int(rest.split(".")[0])
        first, last = _ENDS[half]
        shape = list(tensor.shape)
        if layer != last:
            shape[0] = channels
        if tensor.ndim == 4 and layer != first:
            shape[1] = channels
        if tensor.ndim == 4:
            shape[2:] = [3, 3]
        padded = torch.zeros(shape)
        corner = [slice(extent) for extent in tensor.shape]
        if tensor.ndim == 4 and tensor.shape[2] == 1:  # the middle of a larger kernel
            corner[2:] = [slice(1, 2), slice(1, 2)]
        padded[tuple(corner)] = tensor
        wide[f"{half}.layers.{rest}"] = padded
    for name in (f"encoder.layers.{layer}.conv.{conv}" for layer in _SILENT for conv in (0, 2, 4)):
        wide[f"{name}.weight"] = torch.zeros(channels, channels, 3, 3)
        wide[f"{name}.bias"] = torch.zeros(channels)
    for name in (f"{half}.layers.{layer}.pool" for half, layers in _POOLED.items() for layer in layers):
        wide[f"{name}.0.weight"] = torch.zeros(4 * channels, channels, 1, 1)
        wide[f"{name}.1.weight"] = torch.ones(4 * channels)
        wide[f"{name}.1.bias"] = torch.zeros(4 * channels)
        wide[f"{name}.3.weight"] = torch.zeros(channels, 4 * channels, 1, 1)
    return wide


def from_format(tensors: Mapping[str, torch.Tensor], channels: int = FORMAT_CHANNELS) -> Autoencoder:
    """An ``Autoencoder`` from the tensors of a file; of fewer channels where the others are silent."""
    autoencoder = Autoencoder(channels)
    state = autoencoder.state_dict()
    for name, tensor in state.items():
        if not name.startswith("norm."):
            half, _, rest = name.partition(".")
            whole = tensors[f"{half}.layers.{rest}"].float()
            middle = tensor.ndim == 4 and tensor.shape[2] < whole.shape[2]
            trained = whole[:, :, 1:2, 1:2] if middle else whole
            tensor.copy_(trained[tuple(slice(extent) for extent in tensor.shape)])
    return autoencoder.eval()


# The stages' first layers are 2, 6 and 10, the halving; their blocks follow.
_SILENT = [2 + 4 * stage + 1 + block for stage in range(3) for block in range(_ENCODER_BLOCKS[stage], _BLOCKS)]
_ENDS = {"encoder": (0, 5 + 3 * _BLOCKS), "decoder": (0, 9 + 3 * _BLOCKS)}
# Counted as the format counts: its decoder has the clamp outside, and an activation as layer 1.
_POOLED = {"encoder": range(11, 14), "decoder": range(2, 2 + _BLOCKS)}
