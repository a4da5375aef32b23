"""What the tests of pictures share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdcpp_py import Generator


@pytest.fixture(scope="module")
def tiny() -> Iterator[Generator]:
    """The model in the package, which is a Klein too."""
    with Generator.from_pretrained("tiny", device="cpu", threads=1) as generator:
        yield generator
