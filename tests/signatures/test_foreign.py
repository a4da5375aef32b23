"""Words of other programs: each gets an answer, and none is understood in silence."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from sdcpp_py import GenerationSettings, Generator, TextEncoder, extend, inspect, read_png, signatures
from sdcpp_py.signatures.foreign import ARGUMENTS, ON_GENERATOR, ON_PICTURES
from tests.support import peers_table

PEERS = peers_table.PEERS
OURS = {name for names in signatures._CHECKED.values() for name in names}


@pytest.mark.parametrize("peer", PEERS)
def test_every_argument_of_a_peer_has_an_answer(peer: str) -> None:
    """It is ours too, or the table says what it is here, or why there is none."""
    words = {name for names in PEERS[peer]["arguments"].values() for name in names}
    assert len(words) > 5
    assert words <= OURS | set(ARGUMENTS), sorted(words - OURS - set(ARGUMENTS))


@pytest.mark.parametrize("peer", PEERS)
def test_every_method_of_a_peer_has_an_answer(peer: str) -> None:
    """It is ours too, or the table says what to type."""
    for name in PEERS[peer]["members"]:
        assert name in ON_GENERATOR or hasattr(Generator, name), name


def test_answers_name_what_there_is() -> None:
    """An answer names an argument of ours, or says what to do; no word of ours is called foreign."""
    assert not OURS & set(ARGUMENTS)
    for name, answer in ARGUMENTS.items():
        assert answer.ours in OURS if answer.ours else answer.note, name
        assert not answer.note.endswith("."), name
    for members in (ON_GENERATOR, ON_PICTURES):
        assert all(note and not note.endswith(".") for note in members.values())
    assert not [name for name in ON_GENERATOR if name != "__call__" and hasattr(Generator, name)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Generator(model_path="no.gguf"), "it is 'model' here: a whole checkpoint"),  # type: ignore[call-arg]
        (lambda: Generator("no.gguf", n_gpu_layers=-1), "it is 'device' here"),  # type: ignore[call-arg]
        (lambda: Generator("no.gguf", steps=4), r"it is an argument of Generator\.generate\(\)"),  # type: ignore[call-arg]
        (lambda: Generator("no.gguf", torch_dtype="bfloat16"), r"it is 'quant' of Generator\.from_pretrained\(\) here"),  # type: ignore[call-arg]
        (lambda: Generator.from_pretrained(repo_id="a/b", filename="c"), "it is 'name' here"),  # type: ignore[call-arg]
        (lambda: Generator.from_pretrained("no", verbose=False), "logging"),  # type: ignore[call-arg]
        (lambda: TextEncoder("no.gguf", n_threads=2), r"it is 'threads' of Generator"),  # type: ignore[call-arg]
        (lambda: GenerationSettings("a", num_inference_steps=4), "it is 'steps' here"),  # type: ignore[call-arg]
        (lambda: GenerationSettings("a", step=4), "did you mean 'steps'"),  # type: ignore[call-arg]
        (lambda: extend("no.png", lefft=4), "did you mean 'left'"),  # type: ignore[call-arg]
        (lambda: inspect(model_path="no.gguf"), "it is 'model' of Generator"),  # type: ignore[call-arg]
        (lambda: read_png(filename="no.png"), "there are|it is|did you mean"),  # type: ignore[call-arg]
    ],
)  # fmt: skip
def test_a_foreign_argument_is_answered_before_any_file_is_looked_at(call: Callable[[], object], says: str) -> None:
    """The files that these calls name do not exist, and no error says so."""
    with pytest.raises(TypeError, match=f"unexpected keyword argument.*({says})"):
        call()


@pytest.mark.parametrize("method", ["generate", "generate_batch", "encode", "plan"])
@pytest.mark.parametrize("word", ["num_inference_steps", "lora_path", "verbose", "ref_images", "generator"])
def test_methods_answer_too(generator: Generator, method: str, word: str) -> None:
    """In every method that takes keywords, by the row of the table."""
    answer = ARGUMENTS[word]
    with pytest.raises(TypeError, match=answer.ours or answer.note.split("(")[0]):
        getattr(generator, method)(**{word: 1})


def test_an_attribute_of_a_pipeline_says_what_to_type(generator: Generator) -> None:
    """As an AttributeError, so that hasattr and getattr with a default stay true."""
    for name, note in ON_GENERATOR.items():
        if name != "__call__":
            assert not hasattr(generator, name)
            with pytest.raises(AttributeError) as caught:
                getattr(generator, name)
            assert str(caught.value).endswith(f"'{name}'; {note}")
    with pytest.raises(AttributeError, match=r"^'Generator' object has no attribute 'nothing'$"):
        generator.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"Generator\(model=FILE\)"):
        Generator.from_single_file("x")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"not callable; type generator\.generate"):
        generator("a cat")  # type: ignore[operator]


def test_a_picture_says_what_to_type_and_stays_a_value(generator: Generator) -> None:
    """``.images[0]`` names ``.image``; copies, pickles and dir are as they were."""
    picture = generator.generate("a cat", width=64, height=64, steps=1, seed=3)
    with pytest.raises(AttributeError, match=r"PIL image is \.image"):
        picture.images[0]  # type: ignore[attr-defined]
    for other in (copy.copy(picture), copy.deepcopy(picture), pickle.loads(pickle.dumps(picture))):
        assert other.settings == picture.settings
        assert other.image.tobytes() == picture.image.tobytes()
    assert "images" not in dir(picture)
    assert "image" in dir(picture)


def test_the_page_shows_the_table() -> None:
    """docs/coming-from/python.md is what the table and the recorded signatures make now."""
    text = peers_table.PAGE.read_text(encoding="utf-8")
    assert peers_table.page(text) == text, "run `python -m tests.support.peers_table`"
