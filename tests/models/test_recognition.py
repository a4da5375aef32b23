"""Each family tells its own files and no other's: over a file of every denoiser that can be written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdcpp_py import synth
from sdcpp_py.models.detect import kinds
from sdcpp_py.models.families import FAMILIES, FAMILIES_BY_NAME, VARIANTS, Family
from sdcpp_py.models.families.traits import DenoiserTensors
from sdcpp_py.models.tensors import TensorInfo

PREFIX = "model.diffusion_model."


def denoiser(name: str) -> DenoiserTensors:
    """The tensors of a model's denoiser; of a checkpoint, told as the engine tells them by the text encoders."""
    found = {tensor.name: TensorInfo(tensor.shape, tensor.type, 0, 0) for tensor in synth.MODELS[name].tensors("Q8_0")}
    own = {name.removeprefix(PREFIX): tensor for name, tensor in found.items() if name.startswith(PREFIX)}
    return DenoiserTensors(own or found)


def claims(seen: DenoiserTensors) -> Iterator[str]:
    """All that would take these tensors for their own."""
    for family in (*FAMILIES, *VARIANTS):
        if family.recognise(seen) is not None:
            yield family.title
        if family.recognise_diffusers(seen) is not None:
            yield f"{family.title} in diffusers' names"


@pytest.mark.parametrize("name", sorted(synth.MODELS))
def test_a_file_is_of_one_family_at_most(name: str) -> None:
    """No file is claimed by two families, so their order does not matter."""
    assert len(list(claims(denoiser(name)))) <= 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_knows_a_file(family: Family) -> None:
    """Each family claims at least one of the files."""
    assert any(family.recognise(denoiser(name)) is not None for name in synth.MODELS)


def test_what_a_family_names_exists() -> None:
    """Families whose LoRAs fit, and those that come nearest to a kind that is not supported, are families."""
    named = {name for family in FAMILIES for name in family.loras_of}
    named |= {kind.nearest for kind in (*dict(kinds.CANNOT_RUN), *(known[0] for known in kinds.ENGINE_KNOWS))}
    assert named <= set(FAMILIES_BY_NAME)
