"""The layers of a LoRA: which tensors make one up, whether they fit each other, and what comes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sdcpp_py.errors import ModelLoadError
from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.loras import algebra
from sdcpp_py.models.loras.adapter_settings import AdapterSettings
from sdcpp_py.models.loras.algebra import Pair
from sdcpp_py.models.loras.numbers import WEIGHTS, Floats, TensorReader, is_number
from sdcpp_py.models.tensors import TensorInfo

MOST_RANK = 4096

SCALES = frozenset({"alpha", "scale"})
"""The parts of a layer that are single numbers."""

_LOHA = frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"})
_WORDS = {"down": "lora_down (or lora_A)", "up": "lora_up (or lora_B)"}
_AGAIN = "download it again, or get another LoRA"


@dataclass(frozen=True)
class _Shape:
    """What a difference is as a matrix, and the rank of what it is kept as."""

    outputs: int
    inputs: int
    rank: int
    kernel: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How the pair of a layer is made, (down, up) as matrices, and how large it will be.

    Attributes:
        outputs, inputs, rank: of the pair.
        kernel: (height, width) of a convolution whose inputs are channels * height * width; else ().
        make: reads and computes the pair.
    """

    outputs: int
    inputs: int
    rank: int
    kernel: tuple[int, ...]
    make: Callable[[TensorReader], Pair]


@dataclass(frozen=True)
class LayerTensors:
    """A layer's tensors, by the parts they are of it (``names.place_of``)."""

    header: FileHeader
    key: str
    parts: Mapping[str, str]
    settings: AdapterSettings

    def recipe(self) -> Recipe:
        """How the layer's pair is made. Raises ModelLoadError where its tensors do not make one difference."""
        self._check_types()
        weights = self.parts.keys() - SCALES
        if weights <= {"down", "up", "mid"}:
            return self._through_core() if "mid" in weights else self._plain()
        if weights == {"diff"}:
            return self._whole()
        if weights <= _LOHA:
            return self._loha()
        if all(part.startswith("lokr_") for part in weights):
            return self._lokr()
        names = ", ".join(f"'{self.parts[part]}'" for part in sorted(weights))
        raise self._error(f"layer '{self.key}' is of several kinds of LoRA at once ({names}); get another LoRA")

    def _plain(self) -> Recipe:
        shape = self._pair_shape("down", "up")

        def make(reader: TensorReader) -> Pair:
            return self._pair(reader, "down", "up", self._scale(reader, shape.rank))

        return Recipe(shape.outputs, shape.inputs, shape.rank, shape.kernel, make)

    def _through_core(self) -> Recipe:
        (inner, channels), (outputs, rank) = self._flat("down"), self._flat("up")
        core = self._tensor("mid").shape
        self._fit(len(core) == 4 and core[:2] == (rank, inner), "down", "mid", "up")
        self._check_rank(max(rank, inner), "mid")

        def make(reader: TensorReader) -> Pair:
            down, up = self._pair(reader, "down", "up", self._scale(reader, inner))
            mid = reader.floats(self.parts["mid"], self._tensor("mid"))
            return self._sound(algebra.through_core(down, mid), up)

        return Recipe(outputs, channels * math.prod(core[2:]), rank, core[2:], make)

    def _whole(self) -> Recipe:
        if len(self._tensor("diff").shape) < 2:
            raise self._error(
                f"tensor '{self.parts['diff']}' changes a norm or a bias, and only matrices are changed; "
                "get a plain LoRA (lora_down and lora_up, or lora_A and lora_B) instead"
            )
        outputs, inputs, kernel = self._long("diff")
        return Recipe(
            outputs,
            inputs,
            min(outputs, inputs),
            kernel,
            lambda reader: algebra.dense(self._matrix(reader, "diff")),
        )

    def _loha(self) -> Recipe:
        first, second = (self._pair_shape(f"hada_w{number}_b", f"hada_w{number}_a") for number in (1, 2))
        same = (first.outputs, first.inputs, first.kernel) == (second.outputs, second.inputs, second.kernel)
        self._fit(same, "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")

        def make(reader: TensorReader) -> Pair:
            scaled = self._pair(reader, "hada_w1_b", "hada_w1_a", self._scale(reader, first.rank))
            return self._sound(*algebra.hadamard(scaled, self._pair(reader, "hada_w2_b", "hada_w2_a")))

        rank = algebra.hadamard_rank(first.outputs, first.inputs, first.rank, second.rank)
        return Recipe(first.outputs, first.inputs, rank, first.kernel, make)

    def _lokr(self) -> Recipe:
        factors = ("lokr_w1", "lokr_w2")
        first, second = (self._factor_shape(factor) for factor in factors)
        trained = [
            shape.rank for shape, factor in zip((first, second), factors, strict=True) if factor not in self.parts
        ]
        halves = [part for part in self.parts if part.endswith("_b")]
        self._fit(not first.kernel, *(part for part in self.parts if part.startswith("lokr_w1")))
        # Both were trained with one rank, by which alpha is divided; whole factors have no scale.
        self._fit(len(set(trained)) < 2, *halves)

        def make(reader: TensorReader) -> Pair:
            scale = self._scale(reader, trained[0]) if trained else 1.0
            scaled = self._factor(reader, "lokr_w1", scale)
            return self._sound(*algebra.kronecker(scaled, self._factor(reader, "lokr_w2")))

        outputs, inputs = first.outputs * second.outputs, first.inputs * second.inputs
        ranks = [min(shape.rank, shape.outputs, shape.inputs) for shape in (first, second)]
        return Recipe(outputs, inputs, algebra.kronecker_rank(outputs, inputs, *ranks), second.kernel, make)

    def _factor_shape(self, factor: str) -> _Shape:
        if factor not in self.parts:
            return self._pair_shape(f"{factor}_b", f"{factor}_a")
        if f"{factor}_a" in self.parts or f"{factor}_b" in self.parts:
            raise self._error(f"layer '{self.key}' has '{self.parts[factor]}' whole and in halves; get another LoRA")
        outputs, inputs, kernel = self._long(factor)
        return _Shape(outputs, inputs, min(outputs, inputs), kernel)

    def _factor(self, reader: TensorReader, factor: str, scale: float = 1.0) -> Floats | Pair:
        if factor in self.parts:
            return self._matrix(reader, factor, scale)
        return self._pair(reader, f"{factor}_b", f"{factor}_a", scale)

    # What a part is.

    def _pair_shape(self, down: str, up: str) -> _Shape:
        (rank, inputs, kernel), (outputs, inner) = self._long(down), self._flat(up)
        self._fit(rank == inner, down, up)
        self._check_rank(rank, down)
        return _Shape(outputs, inputs, rank, kernel)

    def _flat(self, part: str) -> tuple[int, int]:
        """Rows and columns of a matrix, which may be written as a convolution of 1x1."""
        shape = self._tensor(part).shape
        if len(shape) not in (2, 4) or math.prod(shape[2:]) != 1:
            raise self._error(f"tensor '{self.parts[part]}' has the shape {shape}, and is to be a matrix; {_AGAIN}")
        return shape[0], shape[1]

    def _long(self, part: str) -> tuple[int, int, tuple[int, ...]]:
        """Rows, columns and kernel of a matrix or of a convolution."""
        shape = self._tensor(part).shape
        if len(shape) not in (2, 4):
            raise self._error(
                f"tensor '{self.parts[part]}' has the shape {shape}, and layers are matrices or convolutions in two "
                f"dimensions; {_AGAIN}"
            )
        return shape[0], math.prod(shape[1:]), shape[2:]

    def _tensor(self, part: str) -> TensorInfo:
        if part not in self.parts:
            other = next(self.parts[other] for other in self.parts if other not in SCALES)
            raise self._error(
                f"layer '{self.key}' has '{other}' and lacks the part '{_WORDS.get(part, part)}'; {_AGAIN}"
            )
        return self.header.tensors[self.parts[part]]

    # Reading parts.

    def _pair(self, reader: TensorReader, down: str, up: str, scale: float = 1.0) -> Pair:
        return self._matrix(reader, down), self._matrix(reader, up, scale)

    def _matrix(self, reader: TensorReader, part: str, scale: float = 1.0) -> Floats:
        tensor = self._tensor(part)
        return reader.floats(self.parts[part], tensor, scale).reshape(tensor.shape[0], -1)

    def _scale(self, reader: TensorReader, rank: int) -> float:
        if "scale" in self.parts:
            return reader.number(self.parts["scale"], self._tensor("scale"))
        if "alpha" in self.parts:
            return reader.number(self.parts["alpha"], self._tensor("alpha")) / rank
        return self.settings.scale_of(self.key, rank)

    # Refusing.

    def _check_types(self) -> None:
        for part, name in self.parts.items():
            tensor = self._tensor(part)
            if part in SCALES:
                if not is_number(tensor):
                    raise self._error(f"tensor '{name}' of type {tensor.dtype} is no single number; {_AGAIN}")
            elif tensor.dtype not in WEIGHTS:
                raise self._error(
                    f"tensor '{name}' has the type {tensor.dtype}, which is not read; get it in F16 or BF16"
                )

    def _check_rank(self, rank: int, part: str) -> None:
        if rank > MOST_RANK:
            raise self._error(
                f"tensor '{self.parts[part]}' has the rank {rank:,}, and {MOST_RANK:,} is the most that is read; "
                "get a LoRA of lower rank"
            )

    def _fit(self, fits: bool, *parts: str) -> None:
        if not fits:
            shapes = ", ".join(f"'{self.parts[part]}' {self._tensor(part).shape}" for part in parts)
            raise self._error(f"the parts of layer '{self.key}' do not fit each other: {shapes}; {_AGAIN}")

    def _sound(self, down: Floats, up: Floats) -> Pair:
        """A pair that was computed, whose numbers may have become infinite."""
        if not (np.isfinite(down).all() and np.isfinite(up).all()):
            raise self._error(f"the numbers of layer '{self.key}' are too large; get another LoRA")
        return down, up

    def _error(self, message: str) -> ModelLoadError:
        return ModelLoadError(f"{self.header.path} cannot be read as a LoRA: {message}")
