"""Settings without effect are said once for each generator and kind, and taken all the same."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tiny_model.world.palette import KINDS, SYNONYMS

from sdcpp_py import GenerationSettings, Generator
from sdcpp_py.cli import main
from sdcpp_py.models.bundled import TRAINED_ON
from sdcpp_py.models.families import FAMILIES, FLUX1, FLUX2_KLEIN
from sdcpp_py.pipeline.effects import tell, without_effect
from sdcpp_py.synth import SyntheticSet
from tests.conftest import open_generator

SMALL = {"width": 64, "height": 64, "steps": 1}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"negative_prompt": "dogs"}, "negative_prompt"), ({"guidance": 3.5}, "guidance"), ({"eta": 0.5}, "eta"),
        ({"prompt": "a cat <lora:foo:0.8>"}, "lora"),
        ({"prompt": "a cat <hypernet:foo:0.8>"}, "lora"), ({"prompt": "a (red cat:1.3)"}, "weights"),
        ({"negative_prompt": "dogs", "cfg_scale": 2.0}, ""), ({"eta": 0.5, "sampler": "euler_a"}, ""), ({}, ""),
        ({"prompt": "a cat (with a hat), at 10:30, ratio (1:2:x) and <b>"}, ""),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_found(settings: dict[str, Any], kind: str) -> None:
    """And nothing else is."""
    found = [name for name, _ in without_effect(GenerationSettings(**{"prompt": "a cat", **settings}), FLUX2_KLEIN)]
    assert found == ([kind] if kind else [])


def test_guidance_is_read_where_a_family_has_a_default_for_it() -> None:
    """The defaults of a family are never without effect."""
    assert not list(without_effect(GenerationSettings("a cat", guidance=2.0), FLUX1))
    for family in FAMILIES:
        assert not list(without_effect(GenerationSettings.for_family(family, "a cat"), family))


def test_it_is_said_once_for_each_generator(model: SyntheticSet, caplog: pytest.LogCaptureFixture) -> None:
    """As a warning of the logger "sdcpp_py"."""
    with caplog.at_level(logging.WARNING, "sdcpp_py"), open_generator(model) as generator:
        for _ in range(2):
            generator.generate("a cat", negative_prompt="dogs", **SMALL)  # type: ignore[arg-type]
        generator.generate("a (cat:1.2)", **SMALL)  # type: ignore[arg-type]
    said = [record.getMessage() for record in caplog.records if record.name == "sdcpp_py"]
    assert len([line for line in said if "negative_prompt has no effect" in line]) == 1
    assert len([line for line in said if "read as words" in line]) == 1


def test_the_tiny_model_says_what_it_was_trained_on(tiny: Generator, caplog: pytest.LogCaptureFixture) -> None:
    """Its words are those of its training, and it is told of prompts and sizes beyond."""
    assert {word.split()[0] for kind in KINDS for word in SYNONYMS[kind]} - {"five-pointed"} == TRAINED_ON.things
    assert tiny.family.trained_on == TRAINED_ON
    with caplog.at_level(logging.WARNING, "sdcpp_py"):
        for prompt in ("two red circles", "a cross", "Boxes", "a five-pointed star"):
            tell(set(), [GenerationSettings(prompt, width=128, height=96)], tiny.family)
        assert not caplog.records
        tell(set(), [GenerationSettings("a cat", width=256, height=128)], tiny.family)
    size, words = (record.getMessage() for record in caplog.records)
    assert "256x128" in size
    assert "names none: " in words


def test_the_command_shows_it_as_one_line(work: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By the options' names."""
    command = [
        "generate",
        "a red circle",
        "--negative-prompt",
        "dogs",
        "-W",
        "96",
        "-H",
        "96",
        "--steps",
        "1",
        "--no-progress",
    ]
    for _ in range(2):
        assert main([*command, "-m", "tiny", "--device", "cpu"]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
        assert len(lines) == 1
        assert lines[0].startswith("sdcpp-py: warning: --negative-prompt has no effect while --cfg-scale is 1")
