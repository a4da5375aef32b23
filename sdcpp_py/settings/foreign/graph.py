"""Graphs of nodes as ComfyUI runs them, looked at from their outputs back.

A graph comes out of a picture, so that links may lead nowhere or round in circles: each walk goes to a node once, and
none follows a value through more than some hundred nodes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_py.settings.record import plain_number, plain_text, table

_MOST_HOPS = 200
_LONGEST_TEXT = 100_000
# What nodes that do nothing but hold a value call it.
_VALUES = ("value", "text", "string", "prompt", "seed", "noise_seed", "int", "float", "number", "populated_text")
# How nodes that join texts call these: "string_a", "text1", ...
_PIECE = re.compile(r"(?:string|text)_?[a-z0-9]")


@dataclass(frozen=True, eq=False)
class Node:
    """A node: the name of its class, and its inputs, which are values or links."""

    kind: str
    inputs: Mapping[str, Any]

    def has(self, *names: str) -> bool:
        """Whether it has all of these inputs."""
        return all(name in self.inputs for name in names)


class Graph:
    """Nodes by their names. A link to one is ``[name, number of the output]``."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes

    @classmethod
    def of_object(cls, values: Mapping[str, Any]) -> Graph:
        """The graph of the JSON that ComfyUI is given to run; what is no node there is left out."""
        found = {}
        for name, node in values.items():
            kind = table(node).get("class_type")
            if isinstance(kind, str):
                found[str(name)] = Node(kind, table(node.get("inputs")))
        return cls(found)

    def linked(self, value: object) -> Node | None:
        """The node that an input is linked to; None where it is a value, or the link leads nowhere."""
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int)):
            return self.nodes.get(str(value[0]))
        return None

    def walk(self, start: object, names: Sequence[str] | None) -> Iterator[Node]:
        """The nodes from a link on, the nearest first, each once.

        ``names``: of the inputs to follow. Where a node has none of them and one link alone, that one is followed:
        it passes something on. None: all.
        """
        waiting = deque([start])
        seen: set[int] = set()
        while waiting:
            node = self.linked(waiting.popleft())
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            waiting.extend(self._onward(node, names))

    def _onward(self, node: Node, names: Sequence[str] | None) -> list[Any]:
        links = {name: value for name, value in node.inputs.items() if self.linked(value) is not None}
        wanted = [links[name] for name in (links if names is None else names) if name in links]
        return wanted or (list(links.values()) if len(links) == 1 else [])

    def number(self, value: object) -> int | float | None:
        """The number of an input, whatever nodes hand it on; None where it cannot be made out."""
        for _ in range(_MOST_HOPS):
            node = self.linked(value)
            if node is None:
                return None if isinstance(value, str) and len(value) > 40 else plain_number(value)
            value = self._held(node, (int, float))
        return None

    def text(self, value: object) -> str:
        """The text of an input, whatever nodes hand it on or join it; "" where it cannot be made out."""
        pieces: list[str] = []
        waiting = [value]
        for _ in range(_MOST_HOPS):
            if not waiting or sum(map(len, pieces)) > _LONGEST_TEXT:
                break
            value = waiting.pop()
            node = self.linked(value)
            if node is None:
                pieces.append(plain_text(value))
            else:
                waiting.extend(reversed(self._joined(node)))
        return "".join(pieces)

    def _joined(self, node: Node) -> list[Any]:
        """What a node makes its text of: several pieces where it joins them."""
        pieces = [value for name, value in node.inputs.items() if _PIECE.fullmatch(name.lower())]
        if len(pieces) < 2 or "switch" in node.kind.lower():
            return [self._held(node, (str,))]
        between = plain_text(node.inputs.get("delimiter"))
        return [part for piece in pieces for part in (between, piece)][1:]

    def _held(self, node: Node, kinds: tuple[type, ...]) -> Any:
        """The value, or the link to it, that a node holds: under one of the usual names, or the only one there is."""
        fitting = {
            name: value
            for name, value in node.inputs.items()
            if (isinstance(value, kinds) and not isinstance(value, bool)) or self.linked(value) is not None
        }
        for name in _VALUES:
            if name in fitting:
                return fitting[name]
        return next(iter(fitting.values())) if len(fitting) == 1 else None
