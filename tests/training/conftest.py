"""The tiny model twice: as the library opens it, and as diffusers and transformers read its files.

PyTorch is imported when a test asks for it and not before: an ordinary test run reads these files too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdcpp_py import Generator


@pytest.fixture(scope="session")
def tiny() -> Iterator[Generator]:
    """The model in the package, in this library."""
    with Generator.from_pretrained("tiny", device="cpu", threads=2) as generator:
        yield generator
