"""How prompts become tokens in this library against transformers' tokenizer, seen in the states of the text encoder."""

from __future__ import annotations

import pytest
from tests.reference.reference_model import ReferenceModel, relative_error

from sdcpp_py import Generator

pytestmark = pytest.mark.reference

AS_THE_ENGINE_SPLITS = (
    "12345 balloons, 3.14 and 50%",
    "first line\nsecond line\n\nthird",
    "tab\there, and a trailing space ",
    "  two spaces before",
    "a\u00a0no-break space",
    "한국어 हिन्दी ไทย العربية עברית Ελληνικά русский 日本語のテキスト",
    "semi;colons...and---dashes!?",
    "<think>special tokens in a prompt<|im_end|>",
)
AS_THE_REFERENCE_SPLITS = (
    pytest.param("two  spaces in   a row", id="several spaces"),
    pytest.param("a list:\n  - indented\n  - lines", id="indented lines"),
    pytest.param("THEY'LL SAY IT'S LOUD", id="contractions in capitals"),
    pytest.param("a sign that says 'dog'", id="a quoted word that begins with d"),
    pytest.param("a (red) cat, [blue] dog and ((very:1.3) big) hat", id="brackets"),
    pytest.param('{"scene": "a room", "colors": ["#FF0000", "(none)"]}', id="JSON"),
    pytest.param("a \\ backslash \\(and more\\)", id="backslashes"),
    pytest.param("½ cup, x², Ⅷ and ٣", id="numbers that are not 0 to 9"),
    pytest.param("e\u0301 decomposed cafe\u0301", id="decomposed accents"),
    pytest.param("a family 👨\u200d👩\u200d👧 and a balloon 🎈", id="emoji"),
    pytest.param("a flag 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", id="tag characters"),
    pytest.param("\nan empty line first", id="a line break first"),
)


@pytest.mark.parametrize("prompt", [*AS_THE_ENGINE_SPLITS, *AS_THE_REFERENCE_SPLITS])
def test_a_prompt_is_split_as_the_pipeline_splits_it(
    reference_z_image: ReferenceModel, z_image_generator: Generator, prompt: str
) -> None:
    """Every character of the prompt reaches the text encoder, in the tokens that the model was trained on."""
    states = z_image_generator.encode(prompt).arrays["crossattn"]
    reference = reference_z_image.encode(prompt)

    assert states.shape == reference.shape
    assert relative_error(states, reference) < 1e-4
