"""Muon in float32: PyTorch's own runs its iteration in bfloat16, which is slow on CPUs that do not have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

_COEFFICIENTS = (3.4445, -4.775, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for the matrices of hidden layers (Jordan et al. 2024).

    The update is scaled so that learning rates are those of AdamW (Liu et al. 2025, "Muon is scalable").
    """

    def __init__(
        self, params: Iterable[torch.Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Updates all matrices that have a gradient."""
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            directions = []
            for parameter in moving:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                directions.append(parameter.grad.lerp(momentum, group["momentum"]))
            for parameter, update in zip(moving, orthogonal(directions), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)


def orthogonal(matrices: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Matrices of the same singular vectors whose singular values are all about 1 (0.7 to 1.2).

    The Newton-Schulz iteration multiplies with polynomials of the Gram matrix, which commute: they are gathered in the
    small square, and the matrix itself is multiplied twice instead of fifteen times. Squares of one size are iterated
    together.
    """
    wide = [matrix.T if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    wide = [matrix / matrix.norm().clamp(min=1e-7) for matrix in wide]
    by_rows: dict[int, list[int]] = {}
    for index, matrix in enumerate(wide):
        by_rows.setdefault(len(matrix), []).append(index)
    for indices in by_rows.values():
        factors = _iterated(torch.stack([wide[index] @ wide[index].T for index in indices]))
        for index, factor in zip(indices, factors, strict=True):
            wide[index] = factor @ wide[index]
    return [
        matrix.T if original.shape[0] > original.shape[1] else matrix
        for matrix, original in zip(wide, matrices, strict=True)
    ]


def _iterated(grams: torch.Tensor) -> torch.Tensor:
    """What the iteration multiplies each matrix with, from their Gram matrices (count, rows, rows)."""
    a, b, c = _COEFFICIENTS
    unit = torch.eye(grams.shape[1])
    gathered = unit.expand_as(grams)
    for _ in range(_ITERATIONS):
        factor = a * unit + b * grams + c * (grams @ grams)
        gathered = factor @ gathered
        grams = factor @ grams @ factor
    return gathered
