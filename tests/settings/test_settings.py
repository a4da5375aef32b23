"""Settings: what is valid stays as it is, what is not is named."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import GenerationSettings, Generator, SettingsError
from sdcpp_py.cli.parser import build_parser
from sdcpp_py.models.families import FAMILIES, FLUX2_KLEIN, Family
from sdcpp_py.progress import Phase
from sdcpp_py.settings import MAX_EDGE, MIN_EDGE, OPTIONS, SettingsArguments, check_edge
from sdcpp_py.settings.domains import Choice, Domain, Edge, Number, Text, Whole

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


def values(domain: Domain) -> st.SearchStrategy[object]:
    """Any value of a domain."""
    if isinstance(domain, Edge):
        return st.integers(MIN_EDGE // 16, MAX_EDGE // 16).map(lambda n: 16 * n)
    if isinstance(domain, Whole):
        return st.integers(domain.low, domain.high) | (st.nothing() if domain.off is None else st.just(domain.off))
    if isinstance(domain, Number):
        numbers = st.floats(domain.low, domain.high, exclude_min=domain.above)
        return numbers | (st.none() if domain.optional else st.nothing())
    if isinstance(domain, Choice):
        return st.sampled_from(domain.names)
    assert isinstance(domain, Text)
    return TEXT


SETTINGS = st.builds(GenerationSettings, **{name: values(option.domain) for name, option in OPTIONS.items()})


@given(SETTINGS)
def test_valid_settings_survive_their_dictionary(settings: GenerationSettings) -> None:
    """Settings built from their own dictionary are equal to themselves."""
    assert GenerationSettings(**settings.as_dict()) == settings  # type: ignore[arg-type]


@given(st.integers(-(10**30), 10**30), st.sampled_from([16, 32, 64]))
def test_an_edge_is_taken_or_the_nearest_valid_one_is_named(edge: int, multiple: int) -> None:
    """An edge that cannot be drawn is refused with one that can, and none is nearer."""
    try:
        assert check_edge("width", edge, multiple) == edge
        assert edge % multiple == 0
        assert MIN_EDGE <= edge <= MAX_EDGE
    except SettingsError as error:
        nearest = int(str(error).rsplit(" ", 1)[1])
        assert check_edge("width", nearest, multiple) == nearest
        assert abs(edge - nearest) <= multiple / 2 or nearest in (MIN_EDGE, MAX_EDGE)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("width", 0, "nearest is 64"),
        ("height", -512, "nearest is 64"),
        ("width", 500, "nearest is 496"),
        ("width", 10**9, "nearest is 4096"),
        ("width", 512.0, "whole number"),
        ("width", True, "whole number"),
        ("height", "512", "whole number"),
        ("steps", 0, "from 1 to 1000"),
        ("steps", -1, "from 1 to 1000"),
        ("steps", 10**6, "from 1 to 1000"),
        ("steps", 4.5, "whole number"),
        ("cfg_scale", math.nan, "from 0 to 100"),
        ("cfg_scale", math.inf, "from 0 to 100"),
        ("cfg_scale", -1, "from 0 to 100"),
        ("cfg_scale", "7", "must be a number"),
        ("seed", -2, "from 0 to"),
        ("seed", 2**63, "from 0 to"),
        ("seed", 1.5, "whole number"),
        ("sampler", "eular", "one of euler"),
        ("sampler", None, "one of euler"),
        ("scheduler", "", "one of reference"),
        ("vae_tile_size", 5, "from 64 to 2048"),
        ("vae_tile_size", 0.0, "whole number"),
        pytest.param("width", 10**5000, "nearest is 4096", id="absurd width"),
        pytest.param("steps", 10**5000, "from 1 to 1000", id="absurd steps"),
        ("cfg_scale", 10**400, "from 0 to 100"),
        ("prompt", None, "must be a string"),
        ("prompt", b"cat", "must be a string"),
        ("prompt", "x" * 100_000, "100,000 characters long"),
        ("prompt", "a\0b", "NUL character at position 1"),
        ("prompt", "a\ud800", "lone surrogate (U+D800) at position 1"),
        ("negative_prompt", "\udfff", "lone surrogate"),
    ],
)
def test_a_bad_value_is_named_in_plain_words(name: str, value: object, says: str) -> None:
    """A value out of its domain raises SettingsError (a ValueError) that names the setting and what would do."""
    with pytest.raises(SettingsError) as caught:
        GenerationSettings(**{"prompt": "cat", name: value})  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)
    assert name in str(caught.value)
    assert says in str(caught.value)


def test_numpy_numbers_become_pythons() -> None:
    """Integers and floats of numpy are taken, and come out as Python's."""
    settings = GenerationSettings(
        "cat", width=np.int64(256), cfg_scale=np.float32(2), seed=np.uint8(7), vae_tile_size=np.int8(0)
    )
    values = (settings.width, settings.cfg_scale, settings.seed, settings.vae_tile_size)
    assert [type(value) for value in values] == [int, float, int, int]


def test_an_empty_prompt_is_allowed() -> None:
    """An empty prompt is a prompt."""
    assert GenerationSettings("").prompt == ""


def test_replace_refuses_unknown_names() -> None:
    """``replace`` names the settings there are when it gets another name."""
    with pytest.raises(SettingsError, match="no setting called 'stpes'"):
        GenerationSettings("cat").replace(stpes=4)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_defaults_are_the_familys(family: type) -> None:
    """What is not given is the family's own, and a seed that is not given is drawn anew each time."""
    first, second = (GenerationSettings.for_family(family, "cat") for _ in range(2))  # type: ignore[arg-type]
    assert (first.steps, first.cfg_scale) == (family.steps, family.cfg_scale)  # type: ignore[attr-defined]
    assert first.seed != second.seed
    assert 0 <= first.seed < 2**32


def test_none_counts_as_not_given() -> None:
    """An explicit None takes the default."""
    assert GenerationSettings.for_family(FLUX2_KLEIN, "cat", steps=None, seed=3).steps == 4


def test_generate_takes_every_setting_by_its_name() -> None:
    """``generate`` takes each setting as an argument of the same name, None by default, and ``generate_batch`` too."""
    parameters = inspect.signature(Generator.generate).parameters
    for field in dataclasses.fields(GenerationSettings):
        assert field.name in parameters
        if field.name != "prompt":
            assert parameters[field.name].default is None
            assert parameters[field.name].kind is inspect.Parameter.KEYWORD_ONLY
    batch = set(inspect.signature(Generator.generate_batch).parameters)
    assert batch >= {field.name for field in dataclasses.fields(GenerationSettings)}


def test_keyword_arguments_are_the_options() -> None:
    """The typed arguments are the options of the table, with the types of its fields or None, and no others."""
    types = typing.get_type_hints(GenerationSettings)
    arguments = typing.get_type_hints(SettingsArguments)
    assert arguments == {name: types[name] | None for name in OPTIONS if name not in ("prompt", "negative_prompt")}


def test_the_command_line_has_the_options() -> None:
    """``generate`` on the command line takes each option, and reads it as the type of its field."""
    parsed = vars(build_parser().parse_args(["generate", "cat"]))
    assert set(OPTIONS) <= set(parsed)
    for name, option in OPTIONS.items():
        if option.flags and option.domain.kind is not str:
            value = option.domain.kind(3)
            given = build_parser().parse_args(["generate", "cat", f"{option.flags[-1]}={value}"])
            assert getattr(given, name) == value


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_clip_skip_is_for_those_that_read_clip_alone(family: Family) -> None:
    """Stable Diffusion 1, 2, XL and their kin take ``clip_skip``; others refuse it, and say so."""
    if set(family.encoders) <= {"clip_l", "clip_g"}:
        assert GenerationSettings.for_family(family, "cat", clip_skip=2).clip_skip == 2
    else:
        with pytest.raises(SettingsError, match=f"clip_skip is 2, and {re.escape(family.title)} does not read it"):
            GenerationSettings.for_family(family, "cat", clip_skip=2)


def test_states_are_kept_apart_by_what_encoding_reads() -> None:
    """The options that a prompt's states depend on are those whose phase is encoding, the layer of CLIP among them."""
    read = GenerationSettings("cat", clip_skip=2).of_phase(Phase.ENCODE)
    assert read == {"width": 512, "height": 512, "clip_skip": 2}


def test_documents_name_every_option() -> None:
    """Each option is described in the docstring of ``GenerationSettings``."""
    text = GenerationSettings.__doc__ or ""
    assert all(f"        {name}:" in text for name in OPTIONS)


@given(st.sampled_from(FAMILIES), st.integers(-100, 9000), st.integers(1, 300).map(lambda edge: 16 * edge))
def test_a_size_of_a_file_s_own_can_be_drawn(family: Family, width: int, height: int) -> None:
    """The default size that a denoiser's file says counts where settings allow it, and else the family's own does."""
    sized = family.sized(width, height)
    GenerationSettings.for_family(sized, "")
    try:
        GenerationSettings.for_family(family, "", width=width, height=height)
    except SettingsError:
        assert sized is family
    else:
        assert (sized.width, sized.height) == (width, height)
