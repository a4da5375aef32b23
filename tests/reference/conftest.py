"""The models that the reference tests draw with, each made once.

PyTorch, diffusers and transformers are imported when a test asks for a model and not before: an ordinary test run reads
these files too, on machines that have none of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdcpp_py import Generator

from .reference_model import ModelPaths, ReferenceModel


@pytest.fixture(scope="session")
def reference_klein(tmp_path_factory: pytest.TempPathFactory) -> ReferenceModel:
    """A small FLUX.2 Klein in diffusers."""
    from .tiny_klein import tiny_klein

    return tiny_klein(tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="session")
def reference_z_image(tmp_path_factory: pytest.TempPathFactory) -> ReferenceModel:
    """A small Z-Image in diffusers."""
    from .tiny_z_image import tiny_z_image

    return tiny_z_image(tmp_path_factory.mktemp("z_image"))


@pytest.fixture(scope="session")
def klein_generator(reference_klein: ReferenceModel) -> Iterator[Generator]:
    """The same small FLUX.2 Klein in this library."""
    with _open(reference_klein.paths) as generator:
        yield generator


@pytest.fixture(scope="session")
def z_image_generator(reference_z_image: ReferenceModel) -> Iterator[Generator]:
    """The same small Z-Image in this library."""
    with _open(reference_z_image.paths) as generator:
        yield generator


def _open(paths: ModelPaths) -> Generator:
    return Generator(paths.diffusion_model, paths.text_encoder, paths.vae, device="cpu", threads=2)
