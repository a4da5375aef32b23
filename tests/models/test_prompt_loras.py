"""LoRAs that prompts name: found in their folder, taken out of the text, and never outside of the folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import GenerationSettings, Lora, SettingsError
from sdcpp_py.models.prompt_loras import loras_in_prompt
from sdcpp_py.pipeline.arguments import prompt_and_loras


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files that are called as LoRAs are, and one beside it that no prompt may name."""
    root = tmp_path / "loras"
    for name in (
        "ink.safetensors",
        "style.v2.safetensors",
        "sub/oil.safetensors",
        "notes.txt",
        "../secret.safetensors",
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("a cat", "a cat", {}),
        ("  a cat ", "  a cat ", {}),
        ("a cat <lora:ink:0.8>", "a cat", {"ink.safetensors": 0.8}),
        ("a cat <lora:ink>", "a cat", {"ink.safetensors": 1.0}),
        ("<lora:ink.safetensors:-.5> a cat", "a cat", {"ink.safetensors": -0.5}),
        ("a <lora:style.v2:1> cat<LyCO: sub/oil : 2 >", "a cat",
         {"style.v2.safetensors": 1.0, "sub/oil.safetensors": 2.0}),
        (r"a cat <lora:sub\oil:1e-1>", "a cat", {"sub/oil.safetensors": 0.1}),
        ("a <lora:ink:0.25> cat <lora:ink.safetensors:0.5>", "a cat", {"ink.safetensors": 0.75}),
        ("a <lora:ink:1> cat <lora:ink:-1>", "a cat", {"ink.safetensors": 0.0}),
        ("a cat <hypernet:ink:1> <b> 1:2", "a cat <hypernet:ink:1> <b> 1:2", {}),
    ],
)  # fmt: skip
def test_loras_are_taken_out_of_a_prompt(folder: Path, prompt: str, text: str, expected: dict[str, float]) -> None:
    """Each with its weight, whatever way its name is written; nothing else of the prompt changes."""
    plain, loras = loras_in_prompt(prompt, folder)
    assert plain == text
    assert {Path(lora.path).relative_to(folder).as_posix(): lora.weight for lora in loras} == expected


@pytest.mark.parametrize(
    ("mention", "says"),
    [
        ("<lora:imk:1>", "which is not in .*did you mean 'ink'"),
        ("<lora:oil:1>", "did you mean 'sub/oil'"),
        ("<lora:elsewhere/oil:1>", "did you mean 'sub/oil'"),
        ("<lora:something else:1>", r"it has .*'ink'"),
        ("<lora:notes.txt:1>", "which is not in"),
        ("<lora:sub:1>", "which is not in"),
        ("<lora:../secret:1>", "is outside of .* sub/name"),
        ("<lora:sub/../../secret:1>", "is outside of"),
        (r"<lora:..\secret:1>", "is outside of"),
        ("<lora:/etc/passwd:1>", "is outside of"),
        (r"<lora:\\host\share\x:1>", "is outside of"),
        ("<lora:ink:much>", "no LoRA with one weight; write it as <lora:name:0.8>"),
        ("<lora:ink:nan>", "no LoRA with one weight"),
        ("<lora:ink:0.5:0.7>", "no LoRA with one weight"),
        ("<lora:ink:>", "no LoRA with one weight"),
        ("<lora::1>", "no LoRA with one weight"),
        ("<lora:>", "no LoRA with one weight"),
        ("<lora:ink:101>", "must be from -100 to 100"),
        ("<lora:ink:60> <lora:ink:60>", "must be from -100 to 100"),
        ("<lora:i\0nk:1>", "which is not in"),
        (f"<lora:{'x' * 100_000}:1>", "which is not in"),
    ],
)  # fmt: skip
def test_what_a_prompt_may_not_name_is_refused(folder: Path, mention: str, says: str) -> None:
    """With the nearest names, and in a sentence of bounded length."""
    with pytest.raises(SettingsError, match=says) as caught:
        loras_in_prompt(f"a cat {mention}", folder)
    assert len(str(caught.value)) < 600


def test_a_folder_must_be_there(folder: Path, tmp_path: Path) -> None:
    """A mistyped folder is an error even where the prompt names nothing; one without LoRAs says so."""
    for wrong in (tmp_path / "lora", folder / "ink.safetensors"):
        with pytest.raises(SettingsError, match=f"lora_dir must be a folder.*{re.escape(str(wrong))}"):
            loras_in_prompt("a cat", wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="it has no file in safetensors"):
        loras_in_prompt("a cat <lora:ink:1>", tmp_path / "empty")


def test_a_link_in_the_folder_may_lead_out_of_it(folder: Path, tmp_path: Path) -> None:
    """Whoever may put links there has chosen what they lead to; the Hub's cache is made of them."""
    (folder / "linked.safetensors").symlink_to(tmp_path / "secret.safetensors")
    _, [lora] = loras_in_prompt("<lora:linked:1>", folder)
    assert lora == Lora(folder / "linked.safetensors")


@given(st.text(st.sampled_from("<>:/\\.lora ink0.5e-~\0é\ud800"), max_size=60))
def test_no_prompt_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a prompt names is below the folder, or a SettingsError."""
    root = tmp_path_factory.getbasetemp() / "any"
    (root / "ink").mkdir(parents=True, exist_ok=True)
    (root / "ink.safetensors").touch()
    for prompt in (text, f"<lora:{text}>", f"<lora:{text}:1>"):
        try:
            plain, loras = loras_in_prompt(prompt, root)
        except SettingsError:
            continue
        assert loras or plain == prompt
        for lora in loras:
            assert Path(lora.path).resolve().is_relative_to(root.resolve())


def test_a_call_takes_loras_from_arguments_and_prompts(folder: Path) -> None:
    """Without ``lora_dir``, prompts are left alone; with it, each form of prompt is read."""
    ink = Lora(folder / "ink.safetensors", 0.5)
    settings = GenerationSettings("a cat <lora:ink:0.5>", seed=3)
    both: dict[str, Any] = {"loras": ("other.safetensors", 2), "lora_dir": folder}
    assert prompt_and_loras(settings.prompt, {}) == (settings.prompt, ())
    assert prompt_and_loras(settings.prompt, {"loras": "x.safetensors"}) == (settings.prompt, (Lora("x.safetensors"),))
    assert prompt_and_loras(settings.prompt, both) == ("a cat", (Lora("other.safetensors", 2), ink))
    assert prompt_and_loras(settings, {"lora_dir": folder}) == (settings.replace(prompt="a cat"), (ink,))
    several = [settings, "a dog <lora:ink:0.5>"]
    assert prompt_and_loras(several, {"lora_dir": folder}) == ([settings.replace(prompt="a cat"), "a dog"], (ink,))
    assert prompt_and_loras([], {"lora_dir": folder}) == ([], ())
    assert prompt_and_loras(3, {"lora_dir": folder}) == (3, ())
    with pytest.raises(SettingsError, match="name different LoRAs"):
        prompt_and_loras([settings, "a dog"], {"lora_dir": folder})
    with pytest.raises(SettingsError, match="twice"):
        prompt_and_loras(settings, {"loras": folder / "ink.safetensors", "lora_dir": folder})
