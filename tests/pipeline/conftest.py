"""What the tests of pictures share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdcpp_py import Generator
from sdcpp_py.pipeline.isolation import process
from sdcpp_py.synth import SyntheticSet
from tests.conftest import open_generator
from tests.support.patience import PATIENCE


@pytest.fixture(autouse=True)
def _how_a_process_ended_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a process that was killed may take longer to go than a user is to wait for its signal."""
    monkeypatch.setattr(process, "_END_SECONDS", PATIENCE)


@pytest.fixture(scope="module")
def tiny() -> Iterator[Generator]:
    """The model in the package, which is a Klein too."""
    with Generator.from_pretrained("tiny", device="cpu", threads=1) as generator:
        yield generator


@pytest.fixture(scope="session")
def isolated(model: SyntheticSet) -> Iterator[Generator]:
    """A generator over ``model`` whose engine is in a process of its own. As with ``generator``, all tests share it."""
    with open_generator(model, isolation="process") as opened:
        yield opened


@pytest.fixture(params=["thread", "process"])
def either(request: pytest.FixtureRequest) -> Generator:
    """Both of them in turn: what they do is the same."""
    shared: Generator = request.getfixturevalue("generator" if request.param == "thread" else "isolated")
    return shared
