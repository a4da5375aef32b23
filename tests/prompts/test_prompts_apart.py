"""No prompt reaches another: whatever a prompt ended with, the next has the states that it has alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from sdcpp_py import (
    EncodedPrompt,
    GenerationCancelled,
    GenerationSettings,
    Generator,
    Progress,
    SdcppError,
    SettingsError,
)
from sdcpp_py._native import library
from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.requests import FaultRequest
from sdcpp_py.memory.requirements import encode_request
from sdcpp_py.models.files import arguments_of
from sdcpp_py.prompts.cache import PromptCache
from sdcpp_py.synth import write_set
from tests.support.examples import examples

# One of each kind of text encoder and template; what differs in them is the denoiser.
SETS = ("tiny-klein", "tiny-z-image", "tiny-qwen-image", "tiny-flux1", "tiny-chroma", "tiny-sd3")
# What the next prompts say: their beginnings are where something left over would stick.
PROBES = ("a red circle", "\nuser\n", "")
# Ends at which a piece of text may be held back, cut or joined with the next.
ENDS = ("", "user\n", "user", "\n", "\nuser\n\n", " ", "<|im_start|>user\n", "<|im_end|>", "e\u0301", "\u0301", "'")
TEXTS = st.builds("".join, st.tuples(st.sampled_from(["", "a cat ", "word " * 90]), st.sampled_from(ENDS)))
FAULTS = ("ASSERTION", "POOLED_ASSERTION", "BAD_ALLOC", "EXCEPTION")


class Stop(Exception):
    """An exception of the user's own."""


class Watched:
    """A generator, its cache with a folder, and what the probes give in one that has seen nothing else."""

    def __init__(self, generator: Generator, cache: PromptCache, expected: dict[str, EncodedPrompt]) -> None:
        self.generator = generator
        self.cache = cache
        self.expected = expected

    def forget(self) -> None:
        """Nothing is kept any more, in memory or on disk."""
        self.cache.clear()
        for file in self.kept():
            file.unlink()

    def kept(self) -> list[Path]:
        """The files in the cache's folder."""
        assert self.cache.folder is not None
        return list(self.cache.folder.iterdir())


SMALLEST = GenerationSettings("", width=64, height=64)


@pytest.fixture(scope="module", params=SETS)
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Each kind of encoder in turn, with all of it in memory."""
    shared = {"tiny-klein": "klein", "tiny-z-image": "z_image"}.get(request.param)
    if shared is None:
        written = write_set(request.param, tmp_path_factory.mktemp("apart"), quant="Q8_0")
    else:
        written = request.getfixturevalue(shared)
    files = arguments_of(written.files)
    with Generator(**files, device="cpu", memory="all", cache_prompts=False) as generator:
        expected = {probe: generator.encode(probe) for probe in PROBES}
    folder = tmp_path_factory.mktemp("cache")
    with Generator(**files, device="cpu", memory="all", cache_dir=folder) as generator:
        cache = generator._pipeline.options.cache
        assert cache is not None
        yield Watched(generator, cache, expected)


def engine_of(generator: Generator) -> AnyEngine:
    """Its engine, made anew where a failure has ended the last one."""
    generator._pipeline.revive()
    return generator._pipeline.engine


def refuse_as_too_long(generator: Generator, text: str, limit: int) -> None:
    """A prompt that is refused where its tokens are counted: in the template's head, in the text or behind it."""
    if "llm" in generator.files.sources:  # CLIP and T5 read prompts of any length
        request = encode_request(generator.files, text, SMALLEST)
        with pytest.raises(SettingsError, match="too long"):
            engine_of(generator).measure(replace(request, max_tokens=limit))
    if generator.family.max_tokens:
        with pytest.raises(SettingsError, match="too long"):
            generator.encode("cat " * 700 + text)


def refuse_as_no_text(generator: Generator, text: str, limit: int) -> None:
    """A prompt that is refused before it comes to the engine."""
    for wrong in (text + "\0", "\ud800" + text):
        with pytest.raises(SettingsError, match="prompt"):
            generator.encode(wrong)


def stop(generator: Generator, text: str, limit: int) -> None:
    """A prompt whose encoding is ended by an exception of ``on_progress``."""

    def listen(progress: Progress) -> None:
        raise Stop

    with pytest.raises(Stop):
        generator.encode(text, on_progress=listen)


def cancel(generator: Generator, text: str, limit: int) -> None:
    """A prompt whose encoding is cancelled."""
    with pytest.raises(GenerationCancelled):
        generator.encode(text, on_progress=lambda progress: generator.cancel())


def measure(generator: Generator, text: str, limit: int) -> None:
    """A prompt that is tokenized and comes to no graph."""
    engine_of(generator).measure(encode_request(generator.files, text, SMALLEST))


def fail(generator: Generator, text: str, limit: int) -> None:
    """A failure of the engine, from which some leave it to be opened again."""
    fault = getattr(library.lib, f"SDPY_FAULT_{FAULTS[limit % len(FAULTS)]}")
    with pytest.raises(SdcppError):
        generator._pipeline.engine.run(FaultRequest(fault))


ENDINGS = (refuse_as_too_long, refuse_as_no_text, stop, cancel, measure, fail)


@pytest.mark.sample(1)
@profile(max_examples=examples(6), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(ENDINGS), TEXTS, st.integers(1, 7)), min_size=1, max_size=3),
    st.sampled_from(PROBES),
)
@example([(refuse_as_too_long, "user\n", 7)], PROBES[0])
@example([(refuse_as_too_long, "a cat ", 2)], PROBES[1])
@example([(measure, "word " * 90 + "user\n", 1), (cancel, "user\n", 1)], PROBES[2])
def test_a_prompt_that_came_to_nothing_leaves_nothing(
    watched: Watched, endings: list[tuple[object, str, int]], probe: str
) -> None:
    """After prompts that were refused, cancelled or failed: equal states, and nothing else is kept."""
    watched.forget()
    watched.generator.plan(prompt=probe)  # so that nothing comes between what ends badly and what is encoded next
    for ending, text, limit in endings:
        ending(watched.generator, text, limit)  # type: ignore[operator]
    assert watched.kept() == []
    encoded, expected = watched.generator.encode(probe), watched.expected[probe]
    [file] = watched.kept()
    for found in (encoded, EncodedPrompt.load(file), watched.generator.encode(probe)):
        assert found.prompt == probe
        assert found.arrays.keys() == expected.arrays.keys()
        assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())
