"""The picture in docs/architecture.md. `python -m tests.support.rooms_picture` in the repository's root draws it anew.

Rooms, floors and arrows are the code's own; only the column in which a room stands is chosen here.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from tests.test_architecture import PACKAGE, PACKAGES, ROOT, imports_of, modules, package_of

PICTURE = ROOT / "docs/architecture.svg"

COLUMNS = {
    "__main__": 0, "cli": 0, "preflight": 0, "synth": 0, "models": 0,
    "__init__": 1, "generator": 1, "pipeline": 1, "memory": 1, "images": 1, "settings": 1, "image_files": 1,
    "system": 1,
    "prompts": 2, "_native": 2,
}  # fmt: skip
"""Rooms above the ground floor by their column, so that no arrow runs through a room. Others take one that is free."""

WAY = (
    ("generator", "generate(prompt, ...)", "waits for its turn: one call at a time"),
    ("images", "an init image, a mask, references", "are read, checked, and brought to the picture's size"),
    ("settings", "prompt, size, steps, seed, ...", "are checked, with the family's defaults for the rest"),
    ("memory", "a plan", "says which weights are in memory in which phase"),
    ("prompts", "the prompt's embedding", "comes from the cache, or from the text encoder"),
    ("pipeline", "a latent of noise", "is denoised step by step and decoded by the VAE"),
    ("_native", "encode, denoise, decode", "each run in the engine's own thread and report progress"),
    ("images", "the picture", "comes out, and remembers its settings"),
)
"""The way of a prompt to a picture: the rooms that it passes, what passes, and what happens to it there."""

WIDTH, GAP, MARGIN, RISE, LINE = 252, 26, 28, 34, 16
LETTERS = 36
"""How many letters of a description go into the width of a room."""
MOST_LINES = 4
"""Of a longer description, what stands before its colon is enough."""

STYLE = """
  text { font: 12px system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif }
  .title, .name { font-size: 14px; font-weight: 600 }
  .name { font-family: ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace }
  .step { font-weight: 600 } .plain { font-weight: 400 }
  .number { font-size: 11px; font-weight: 700; text-anchor: middle }
  .paper { fill: #ffffff } .title, .name { fill: #1f2328 } .says { fill: #59636e }
  .room rect { fill: #f6f8fa; stroke: #c8d0d9 } .way rect { fill: #eef5ff; stroke: #7fb0ee }
  .foreign rect { fill: none; stroke: #b4bdc7; stroke-dasharray: 5 4 }
  .arrow { fill: none; stroke: #8a949e } .head { fill: #8a949e }
  .step, .badge { fill: #0759b8 } .number { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .title, .name { fill: #e6edf3 } .says { fill: #9aa4ae }
    .room rect { fill: #161b22; stroke: #3d444d } .way rect { fill: #10233c; stroke: #2f6cb5 }
    .foreign rect { stroke: #4a525c }
    .arrow { stroke: #6e7781 } .head { fill: #6e7781 }
    .step, .badge { fill: #79b8ff } .number { fill: #0d1117 }
  }
"""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Between left and right."""
        return self.x + self.width / 2

    @property
    def foot(self) -> float:
        """The lower edge."""
        return self.y + self.height


def imports() -> dict[str, set[str]]:
    """For each room those below that it imports from; tests/test_architecture.py refuses an import that points up."""
    found: dict[str, set[str]] = {room: set() for room in PACKAGES}
    for name, file in modules().items():
        lower = PACKAGES[PACKAGES.index(package_of(name)) + 1 :]
        found[package_of(name)] |= {package_of(other) for other in imports_of(file)}.intersection(lower)
    return found


def below(room: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """All that a room stands on."""
    return arrows[room].union(*(below(other, arrows) for other in arrows[room]))


def needed(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows without those that follow from others."""
    return {
        room: {other for other in others if not any(other in below(between, arrows) for between in others)}
        for room, others in arrows.items()
    }


def floors(arrows: Mapping[str, set[str]]) -> dict[str, int]:
    """The floor of each room: one above the highest that it imports from, and 0 where it imports from none."""
    found: dict[str, int] = {}
    for room in reversed(PACKAGES):
        found[room] = 1 + max((found[other] for other in arrows[room]), default=-1)
    return found


def says(room: str) -> str:
    """The first sentence of a room's own docstring."""
    path = PACKAGE / f"{room}.py"
    text = (path if path.exists() else PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0].replace("``", "")
    return first.removesuffix(".")


def title_of(room: str) -> str:
    """The name of a room as people write it."""
    return {"__init__": "sdcpp_py", "__main__": "python -m sdcpp_py"}.get(room, room)


def lines_of(room: str, width: float) -> list[str]:
    """What is written in a room below its name: as few lines as its width in pixels allows, of similar length."""
    if says(room) == title_of(room):
        return []
    words, letters = says(room), int(LETTERS * width / WIDTH)
    if len(_wrapped(words, letters)) > MOST_LINES:
        words = words.partition(":")[0]
    lines = _wrapped(words, letters)
    while letters > 1 and len(narrower := _wrapped(words, letters - 1)) == len(lines):
        letters, lines = letters - 1, narrower
    return lines


def _wrapped(words: str, letters: int) -> list[str]:
    return textwrap.wrap(words, letters, break_on_hyphens=False)


def columns_of(rooms: list[str]) -> dict[str, int]:
    """The column of each room of a floor above the ground."""
    chosen = {room: COLUMNS[room] for room in rooms if room in COLUMNS}
    free = [column for column in range(3) if column not in chosen.values()]
    return {**chosen, **dict(zip((room for room in rooms if room not in chosen), free, strict=False))}


def places(storeys: Mapping[str, int]) -> dict[str, Box]:
    """Where each room stands; the ground floor is as wide as the columns above it."""
    found: dict[str, Box] = {}
    top = MARGIN + 44.0
    for storey in range(max(storeys.values()), -1, -1):
        here = [room for room in PACKAGES if storeys[room] == storey]
        width = WIDTH if storey else (3 * WIDTH + 2 * GAP - (len(here) - 1) * GAP) / len(here)
        height = 37.0 + max(6 + LINE * len(lines) if (lines := lines_of(room, width)) else 0 for room in here)
        columns = columns_of(here) if storey else {room: index for index, room in enumerate(here)}
        for room, column in columns.items():
            found[room] = Box(MARGIN + column * (width + GAP), top, width, height)
        top += height + RISE
    return found


def text(kind: str, x: float, y: float, words: str) -> str:
    """A line of words."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def badge(x: float, y: float, number: int | str) -> str:
    """A step's number in a disc."""
    return f'<circle class="badge" cx="{x:g}" cy="{y:g}" r="8.5"/>{text("number", x, y + 4, str(number))}'


def frame(box: Box) -> str:
    """The edge of a box."""
    return f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="8"/>'


def drawn_room(room: str, box: Box) -> Iterator[str]:
    """A room with its name, what it is for, and the numbers of the steps that happen in it."""
    steps = [number for number, (where, *_) in enumerate(WAY, 1) if where == room]
    yield f'<g class="{"room way" if steps else "room"}" id="{room}">{frame(box)}'
    yield text("name", box.x + 14, box.y + 24, title_of(room))
    for index, line in enumerate(lines_of(room, box.width)):
        yield text("says", box.x + 14, box.y + 44 + index * LINE, line)
    for index, number in enumerate(reversed(steps)):
        yield badge(box.x + box.width - 20 - 22 * index, box.y + 20, number)
    yield "</g>"


def port(box: Box, other: Box) -> float:
    """Where an arrow leaves or meets a room: in the middle for one in its own column, else on the other one's side."""
    return box.middle if other.x == box.x else box.middle + box.width * (0.25 if other.x > box.x else -0.25)


def arrow(upper: Box, lower: Box) -> str:
    """From a room's foot to another one's head: bent between two floors, straight down the rest of the way."""
    x, y = port(upper, lower), upper.foot
    to_x, to_y = port(lower, upper), lower.y - 7
    bend = min(to_y, y + RISE - 7)
    path = f"M{x:g} {y:g}C{x:g} {bend:g} {to_x:g} {y:g} {to_x:g} {bend:g}V{to_y:g}"
    return f'<path class="arrow" d="{path}"/><path class="head" d="M{to_x - 4.5:g} {to_y:g}h9l-4.5 7z"/>'


def shown(arrows: Mapping[str, set[str]], storeys: Mapping[str, int]) -> list[tuple[str, str]]:
    """The arrows that are drawn, from the upper room to the lower one: those above the ground floor."""
    kept = needed(arrows)
    return [(upper, lower) for upper in PACKAGES for lower in PACKAGES if lower in kept[upper] and storeys[lower]]


def drawn_native(caller: Box, ground: Box) -> Iterator[str]:
    """The native layer beside the room that calls it, and the engine below."""
    x = caller.x + caller.width + GAP + 18
    box = Box(x, caller.y, WIDTH - 18, ground.foot - caller.y)
    folders = sorted(
        path.name for path in (ROOT / "native").iterdir() if any(path.glob("*.cpp")) or path.name == "base"
    )
    y = caller.y + 40
    yield f'<path class="arrow" d="M{caller.x + caller.width:g} {y:g}H{x - 7:g}"/>'
    yield f'<path class="head" d="M{x - 7:g} {y - 4.5:g}v9l7 -4.5z"/>'
    yield f'<g class="foreign">{frame(box)}{text("name", x + 14, box.y + 24, "native/")}'
    lines = [*textwrap.wrap("C++ around the engine, behind one C header (base/sdpy.h):", 32), "", *folders]
    for index, line in enumerate(lines):
        yield text("says", x + 14, box.y + 44 + index * LINE, line)
    engine = Box(x + 12, box.foot - 74, box.width - 24, 62)
    yield f"{frame(engine)}{text('name', engine.x + 12, engine.y + 22, 'stable-diffusion.cpp')}"
    for index, line in enumerate(("with ggml: pinned by its hash,", "and never changed")):
        yield text("says", engine.x + 12, engine.y + 39 + index * LINE, line)
    yield "</g>"


def drawn_way(x: float, y: float) -> Iterator[str]:
    """The steps in their order."""
    yield text("title", x, y, "The way of a prompt")
    for index, (room, what, happens) in enumerate(WAY):
        row = y + 34 + index * 48
        yield badge(x + 9, row - 4, index + 1)
        where = f'<tspan class="says plain"> in {room}</tspan>'
        yield f'<text class="step" x="{x + 28:g}" y="{row:g}">{escape(what)}{where}</text>'
        yield text("says", x + 28, row + 18, happens)


def picture() -> str:
    """The picture as SVG."""
    arrows = imports()
    storeys = floors(arrows)
    boxes = places(storeys)
    ground = boxes[next(room for room in PACKAGES if not storeys[room])]
    width, height = 2 * MARGIN + 4 * WIDTH + 3 * GAP, ground.foot + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="The packages of sdcpp_py and what they import">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width:g}" height="{height:g}" rx="10"/>',
        text("title", MARGIN, MARGIN + 12, "The rooms of sdcpp_py: imports point down"),
        text(
            "says",
            MARGIN,
            MARGIN + 30,
            "Every room may use those of the ground floor; arrows that follow from others are left out.",
        ),
        *(arrow(boxes[upper], boxes[lower]) for upper, lower in shown(arrows, storeys)),
        *(part for room in PACKAGES for part in drawn_room(room, boxes[room])),
        *drawn_native(boxes["_native"], ground),
        *drawn_way(MARGIN + 2 * (WIDTH + GAP) + 40, boxes["__main__"].y + 20),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
