"""Samplers and schedulers by the names that other programs have for them, and seeds drawn at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import SAMPLERS, SCHEDULERS, GenerationSettings, Generator, SettingsError
from sdcpp_py.models.families import FLUX2_KLEIN, SD1
from sdcpp_py.settings.sampler_names import COMMON_SAMPLERS


@pytest.mark.parametrize(
    ("text", "sampler", "scheduler"),
    [
        ("Euler a", "euler_a", None), ("EULER A", "euler_a", None), ("euler_ancestral", "euler_a", None),
        ("k_euler_a", "euler_a", None), ("DPM++ 2M", "dpm++2m", None), ("dpmpp_2m", "dpm++2m", None),
        ("DPM++ 2M Karras", "dpm++2m", "karras"), ("dpm++ 2m KARRAS", "dpm++2m", "karras"),
        ("Euler normal", "euler", "discrete"), ("DDIM", "ddim_trailing", None), ("LCM", "lcm", None),
        ("EulerAncestralDiscreteScheduler", "euler_a", None), ("DPMSolverMultistepScheduler", "dpm++2m", None),
        ("dpm_2", "dpm2", None), ("ipndm_v", "ipndm_v", None),
    ],
)  # fmt: skip
def test_a_sampler_is_found_by_the_names_of_others(text: str, sampler: str, scheduler: str | None) -> None:
    """In settings, in a family's settings and in changed ones; what is stored is our name."""
    for settings, own in (
        (GenerationSettings("a", sampler=text), "reference"),
        (GenerationSettings.for_family(SD1, "a", sampler=text), "discrete"),
        (GenerationSettings("a", scheduler="simple").replace(sampler=text), "simple"),
    ):
        assert (settings.sampler, settings.scheduler) == (sampler, scheduler or own)


@given(st.sampled_from(SAMPLERS), st.sampled_from(SCHEDULERS), st.sampled_from([str, str.upper, str.title]))
def test_a_pair_in_one_text_is_the_pair(sampler: str, scheduler: str, spelt: type[str]) -> None:
    """Of every sampler and schedule, by our names and by the common ones, in every case."""
    for name in (sampler, COMMON_SAMPLERS.get(sampler, sampler)):
        settings = GenerationSettings("a", sampler=spelt(f"{name} {scheduler}"))
        assert (settings.sampler, settings.scheduler) == (sampler, scheduler)
        apart = GenerationSettings("a", sampler=spelt(name), scheduler=spelt(scheduler))
        assert apart == settings


@pytest.mark.parametrize(
    ("text", "scheduler"),
    [("Karras", "karras"), ("normal", "discrete"), ("SGM Uniform", "sgm_uniform"), ("use_karras_sigmas", "karras"),
     ("Align Your Steps", "ays"), ("Automatic", "discrete")],
)  # fmt: skip
def test_a_scheduler_is_found_by_the_names_of_others(text: str, scheduler: str) -> None:
    """What the web UI leaves to the program is the family's own."""
    assert GenerationSettings.for_family(SD1, "a", scheduler=text).scheduler == scheduler


@pytest.mark.parametrize(
    ("given_values", "says"),
    [
        ({"sampler": "eular"}, "did you mean 'euler'"),
        ({"sampler": "dpm++2mm"}, r"did you mean 'dpm\+\+2m'"),
        ({"scheduler": "karas"}, "did you mean 'karras'"),
        ({"sampler": "Karras"}, "is a scheduler: scheduler=\"karras\""),
        ({"scheduler": "EulerDiscreteScheduler"}, "is a sampler: sampler=\"euler\""),
        ({"sampler": "DPM++ 2M Karras", "scheduler": "simple"}, "leave one of the two out"),
        ({"sampler": 3}, "must be one of"), ({"sampler": "xyz qwv"}, "must be one of"),
        ({"scheduler": ""}, "must be one of"),
    ],
)  # fmt: skip
def test_others_are_refused_with_what_was_meant(given_values: dict[str, object], says: str) -> None:
    """The nearest name, or the argument that the name belongs to."""
    with pytest.raises(SettingsError, match=says):
        GenerationSettings.for_family(FLUX2_KLEIN, "a", **given_values)


def test_minus_one_draws_a_seed_wherever_one_is_taken(generator: Generator) -> None:
    """The settings hold the seed that was drawn, and a batch counts on from it."""
    for settings in (GenerationSettings("a", seed=-1), GenerationSettings("a").replace(seed=-1)):
        assert 0 <= settings.seed < 2**32
    assert len({GenerationSettings.for_family(FLUX2_KLEIN, "a", seed=-1).seed for _ in range(4)}) > 1
    first, second = generator.generate_batch("a", count=2, seed=-1, width=64, height=64, steps=1)
    assert second.seed == first.seed + 1


def test_a_list_of_prompts_is_for_generate_batch(generator: Generator) -> None:
    """``generate`` says so."""
    with pytest.raises(SettingsError, match="generate_batch takes several"):
        generator.generate(["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_automatic_schedule_is_the_same_however_it_is_set(sampler: str) -> None:
    """Replacing the schedule of settings gives what making them with it gives, and so does a schedule before it."""
    made = GenerationSettings("a cat", sampler=sampler, scheduler="Automatic")
    assert GenerationSettings("a cat", sampler=sampler, scheduler="exponential").replace(scheduler="Automatic") == made
    assert GenerationSettings("a cat", scheduler="exponential").replace(sampler=sampler, scheduler="Automatic") == made
