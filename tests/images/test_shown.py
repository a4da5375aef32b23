"""How things show themselves: short on a line, as pictures and tables in a notebook."""

from __future__ import annotations

import base64
import copy
import html
import inspect
import io
import pickle
import re
import sys
import types
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sdcpp_py
from sdcpp_py import Generator, TextEncoder
from sdcpp_py.naming import excerpt
from sdcpp_py.pipeline import progress_bar
from sdcpp_py.progress import Phase, Progress

LONG = 'a cat\non a "windowsill" <b> & ' * 30
SMALL = {"width": 64, "height": 64, "steps": 1}


def test_reprs_are_short_lines(generator: Generator) -> None:
    """Of pictures, plans, encoded prompts and generators: one line under 100 characters, whatever the prompt."""
    picture = generator.generate(LONG, **SMALL, seed=2**63 - 1)  # type: ignore[arg-type]
    encoded = generator.encode(LONG)
    for thing in (picture, generator.plan(), encoded, generator):
        assert re.fullmatch(r"<[A-Z]\w+ .{5,90}>", repr(thing)), repr(thing)
    assert f"seed {2**63 - 1}" in repr(picture)


@given(st.text())
def test_an_excerpt_is_one_short_line(text: str) -> None:
    """Of any text; a short one is whole."""
    short = excerpt(text)
    assert len(short) <= 40
    assert short.isprintable()


def test_a_batch_is_a_list_that_shows_a_gallery(generator: Generator) -> None:
    """Still a list, that copies and pickles; each picture small, with its seed, and nothing of the prompt as HTML."""
    drawn = generator.generate_batch(LONG, count=2, seed=5, **SMALL)  # type: ignore[arg-type]
    assert isinstance(drawn, list)
    shown = drawn._repr_html_()  # type: ignore[attr-defined]
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    assert [Image.open(io.BytesIO(base64.b64decode(data))).size for data in sources] == [(64, 64)] * 2
    assert "seed 5" in shown
    assert "seed 6" in shown
    assert "<b>" not in shown
    assert html.escape(LONG) in shown
    many = copy.copy(drawn)
    many *= 50
    assert many._repr_html_().count("<img") == 64  # type: ignore[attr-defined]
    assert "36 more" in many._repr_html_()  # type: ignore[attr-defined]
    assert [one.seed for one in pickle.loads(pickle.dumps(drawn))] == [5, 6]
    with pytest.raises(AttributeError, match="its items are the pictures"):
        drawn.images  # type: ignore[attr-defined]  # noqa: B018


def test_a_plan_is_a_table_in_a_notebook(generator: Generator) -> None:
    """A row for each part, and what it takes at most."""
    plan = generator.plan(width=64, height=64)
    shown = plan._repr_html_()
    assert shown.count("<tr>") == 1 + len(plan.parts)
    assert all(part.need.name in shown for part in plan.parts)
    assert "at most" in shown


def test_the_module_lists_its_public_names() -> None:
    """``dir`` shows ``__all__``, and every name in it is there."""
    assert dir(sdcpp_py) == sorted(sdcpp_py.__all__)
    assert all(hasattr(sdcpp_py, name) for name in dir(sdcpp_py))


@pytest.mark.parametrize(
    "function", [Generator, Generator.from_pretrained, Generator.generate, Generator.generate_batch, Generator.encode,
                 Generator.plan, TextEncoder, sdcpp_py.GenerationSettings],
)  # fmt: skip
def test_help_shows_true_signatures(function: Callable[..., object]) -> None:
    """Every argument by its name, and no default longer than a few words."""
    for one in inspect.signature(function).parameters.values():
        assert one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        assert len(repr(one.default)) < 40 or one.default is one.empty, one


def test_a_bar_goes_on_while_an_earlier_picture_is_decoded() -> None:
    """What is told of that one between two steps of the next has no line; when the bar has ended, it has one."""
    stream = io.StringIO()
    bar = progress_bar.ProgressBar(stream)
    for phase, fraction, image in (
        (Phase.DENOISE, 0.5, 1), (Phase.DECODE, 0.0, 0), (Phase.DECODE, 1.0, 0), (Phase.DENOISE, 1.0, 1),
        (Phase.DECODE, 0.5, 1), (Phase.DECODE, 1.0, 1),
    ):  # fmt: skip
        bar(Progress(phase, fraction, 1.0, None, image=image, images=2))
    assert "decode 1/2" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 2
    bar(Progress(Phase.DECODE, 0.5, 1.0, None, image=0, images=2))
    assert "decode 1/2" in stream.getvalue()
    bar.close()


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_gets_a_widget_where_it_can_show_one(monkeypatch: pytest.MonkeyPatch, widgets: bool) -> None:
    """Without ipywidgets the line of a terminal, without a warning; a terminal never asks for widgets."""
    assert not progress_bar.has_widgets()
    notebook = types.ModuleType("IPython")
    notebook.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    found = progress_bar.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *more: (object() if widgets else None) if name == "ipywidgets" else found(name, *more),
    )
    made: list[dict[str, object]] = []

    class Widget:
        n = 0.0

        def __init__(self, **options: object) -> None:
            made.append(options)

        def set_postfix_str(self, *given: object, **named: object) -> None: ...
        def refresh(self) -> None: ...
        def close(self) -> None: ...

    auto = types.ModuleType("tqdm.auto")
    auto.tqdm = Widget  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    bar = progress_bar.ProgressBar()
    bar(Progress(Phase.DENOISE, 0.5, 1.0, 1.0, 1, 2, 0, 0, 0, 1))
    bar.close()
    assert bool(made) == widgets
