"""A person in Jupyter: the notebook of the examples, run by a real kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.notebook

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_pictures.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What each cell shows, by its first words."""
    import nbformat
    from nbclient import NotebookClient

    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"  # where the kernel's files are is asked with a warning otherwise
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    assert (folder / "red_circle.png").is_file()
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def shown(outputs: dict[str, list[dict[str, Any]]], beginning: str, kind: str) -> str:
    """The only result of that media type of the cell that begins so."""
    of_cell = next(found for source, found in outputs.items() if source.startswith(beginning))
    results = [each["data"] for each in of_cell if each["output_type"] == "execute_result"]
    assert len(results) == 1
    return str(results[0][kind])


def test_pictures_show_themselves(outputs: dict[str, list[dict[str, Any]]]) -> None:
    """One is a PNG, several are a gallery with the seed below each."""
    assert shown(outputs, "generator.generate(", "image/png").startswith("iVBOR")
    gallery = shown(outputs, "generator.generate_batch(", "text/html")
    assert gallery.count("<img") == 4
    assert gallery.count("seed 3") == gallery.count("seed 4") == 2


def test_plans_and_prompts_are_readable(outputs: dict[str, list[dict[str, Any]]]) -> None:
    """A plan is a table with a row for each part; what is large shows itself in one short line."""
    assert shown(outputs, "generator.plan(", "text/html").count("<tr") == 4
    for beginning in ("from sdcpp_py", "prompt = "):
        line = shown(outputs, beginning, "text/plain")
        assert line.startswith("<")
        assert len(line) < 100


def test_progress_is_a_widget_and_not_text(outputs: dict[str, list[dict[str, Any]]]) -> None:
    """With ipywidgets, a bar is a widget, and nothing is written to the standard streams."""
    every = [each for of_cell in outputs.values() for each in of_cell]
    assert any("application/vnd.jupyter.widget-view+json" in each.get("data", {}) for each in every)
    written = [each["text"] for each in every if each["output_type"] == "stream"]
    assert written == [
        "Generator.generate() got an unexpected keyword argument 'num_inference_steps'; it is 'steps' here\n"
    ]
